import sys
import tempfile
from pathlib import Path

import trio

from tests.faults import __doc__ as description
from tests.faults import cases
from tests.faults.runner import Runner
from tests.faults.summary import Summary
from tests.support.programs import program_parser


def main() -> int:
    parser = program_parser("tests.faults", description)
    parser.add_argument("--pairs", action="store_true", help="then two at a time")
    parser.add_argument("--once", action="store_true", help="each fault in one phase only")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has this")
    parser.add_argument("--seed", type=int, default=1, help="chooses the phases of pairs")
    arguments = parser.parse_args()
    chosen = cases.each_once() if arguments.once else cases.all_phases()
    if arguments.pairs:
        chosen += cases.pairs(arguments.seed)
    return trio.run(_run, [case for case in chosen if arguments.only in str(case)])


async def _run(chosen: list[cases.Case]) -> int:
    failed = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        runner = Runner(Path(name), Summary())
        try:
            for number, case in enumerate(chosen, start=1):
                print(f"{number:4}/{len(chosen)} {case}", end=" ", flush=True)
                try:
                    skipped = await runner.run(case)
                except Exception as error:  # noqa: BLE001 - the next case has a new site
                    failed += 1
                    print(f"FAILED\n{error!r}", flush=True)
                else:
                    print(f"skipped: {skipped}" if skipped else "ok", flush=True)
        finally:
            runner.close()
    print(runner.summary)
    if failed:
        print(f"{failed} cases FAILED", file=sys.stderr)
    return 1 if failed else 0


raise SystemExit(main())
