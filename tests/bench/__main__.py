import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import __doc__ as description
from tests.bench import files, held, http2, memory, neighbours, routing, throughput, tls
from tests.support.programs import program_parser


def main() -> int:
    parser = program_parser("tests.bench", description)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="for each cell of a round")
    parser.add_argument("--only", default="", metavar="TEXT", help="rows whose name has this in it")
    tables = ["throughput", "tls", "http2", "routing", "neighbours", "held", "memory", "files"]
    parser.add_argument("--table", choices=tables, help="only this one")
    arguments = parser.parse_args()
    missing = [
        tool for tool in ("wrk", "nginx", "taskset", "openssl") if shutil.which(tool) is None
    ]
    if missing:
        print(f"the benchmark needs {', '.join(missing)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # nginx's worker is another user.
        if arguments.table in (None, "throughput"):
            throughput.table(directory, arguments.rounds, arguments.seconds, arguments.only)
        if arguments.table in (None, "tls"):
            tls.table(directory, arguments.rounds, arguments.seconds, arguments.only)
        if arguments.table in (None, "http2"):
            http2.table(directory, arguments.rounds, arguments.seconds, arguments.only)
        if arguments.table in (None, "files"):
            files.table(directory, arguments.rounds, arguments.seconds, arguments.only)
        if arguments.table in (None, "routing"):
            routing.table(directory, arguments.rounds, arguments.seconds)
        if arguments.table in (None, "neighbours"):
            neighbours.table(directory, arguments.rounds, arguments.seconds)
        if arguments.table in (None, "memory"):
            memory.table(directory)
        if arguments.table in (None, "held"):
            held.table(directory, arguments.rounds)  # Last: it pins this process to one core.
    return 0


raise SystemExit(main())
