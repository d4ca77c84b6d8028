"""A worker for tests: it writes down what happens to it, and checks that it is alone.

`worker.json` in its release says how it behaves:

- `dies`: it ends by itself after so many seconds, with exit status 3.
- `says`: what it prints then.
- `takes`: seconds that it takes to finish its work after SIGTERM.
- `child`: its work is done by a child in its process group, which SIGTERM would end at once.
- `daemon`: it goes to the background, with a session of its own.
"""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

BEHAVIOUR = json.loads(Path("worker.json").read_text())
JOURNAL = Path(os.environ["JOURNAL"])
REVISION = os.environ["BLUE_GREEN_REVISION"]
INSTANCE = os.environ["BLUE_GREEN_INSTANCE"]


def note(kind: str) -> None:
    line = {"kind": kind, "revision": REVISION, "instance": INSTANCE, "pid": os.getpid()}
    with JOURNAL.open("a") as journal:
        journal.write(json.dumps(line) + "\n")


if BEHAVIOUR.get("daemon"):
    if os.fork():
        sys.exit()
    os.setsid()
    if os.fork():
        os._exit(0)

ends: list[float] = []


def finish(*_: object) -> None:
    note("worker signal")
    ends.append(time.monotonic() + BEHAVIOUR.get("takes", 0))


signal.signal(signal.SIGTERM, finish)
lock = JOURNAL.with_suffix(f".{INSTANCE}.lock").open("w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    note("worker overlap")
child = 0
if BEHAVIOUR.get("child") and (child := os.fork()) == 0:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while os.getppid() != 1:
        time.sleep(0.01)
    os._exit(0)
note("worker start")
print(f"worker {INSTANCE} of {REVISION[:7]} works", flush=True)
dies = time.monotonic() + BEHAVIOUR.get("dies", 1e9)
while not ends or time.monotonic() < min(ends):
    time.sleep(0.01)
    if time.monotonic() > dies:
        why = BEHAVIOUR.get("says", "the worker cannot find its queue")
        print(why, file=sys.stderr, flush=True)
        sys.exit(3)
if child and os.waitpid(child, os.WNOHANG) != (0, 0):
    note("worker lost its child")
note("worker end")
