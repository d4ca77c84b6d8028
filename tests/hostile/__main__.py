import sys
import tempfile
from pathlib import Path

import trio

from tests.hostile import __doc__ as description
from tests.hostile import runner
from tests.hostile.table import ATTACKS, Attack
from tests.support.programs import program_parser

HEADING = (
    f"{'milliseconds and MiB':<38}{'quiet: median':>14}{'99 %':>8}{'attacked: median':>18}"
    f"{'99 %':>9}{'memory before':>15}{'during':>8}{'after':>8}"
)


def main() -> int:
    parser = program_parser("tests.hostile", description)
    parser.add_argument("--only", default="", metavar="TEXT", help="kinds whose name has this")
    parser.add_argument("--seconds", type=float, default=5, help="for each measurement")
    arguments = parser.parse_args()
    chosen = [kind for kind in ATTACKS if arguments.only in kind.name]
    return trio.run(_run, chosen, arguments.seconds)


async def _run(chosen: list[Attack], seconds: float) -> int:
    missed = 0
    print(HEADING, flush=True)
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        for number, kind in enumerate(chosen):
            if kind.missing:
                print(f"{kind.name:<40}left out: {kind.missing}", flush=True)
                continue
            try:
                result = await runner.run(kind, Path(name) / str(number), seconds)
            except Exception as error:  # noqa: BLE001 - the next kind has a new site
                missed += 1
                print(f"{kind.name:<40}FAILED\n{error!r}", flush=True)
                continue
            quiet, attacked, memory = result.quiet, result.attacked, result.memory
            print(
                f"{kind.name:<40}{quiet.median:>14.1f}{quiet.p99:>8.1f}{attacked.median:>18.1f}"
                f"{attacked.p99:>9.1f}{memory.before:>15.1f}{memory.during:>8.1f}"
                f"{memory.after:>8.1f}",
                flush=True,
            )
            for what in result.missed:
                print(f"    MISSED: {what}", flush=True)
            missed += bool(result.missed)
    if missed:
        print(f"{missed} of {len(chosen)} kinds of attack went over a bound", file=sys.stderr)
    return 1 if missed else 0


raise SystemExit(main())
