"""Processes that nobody supervises."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SLEEP = "import time; print(flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


@contextmanager
def left_behind(program: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not attended by anybody; it has got so far as to write a line."""
    with subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, **env}, stdout=subprocess.PIPE
    ) as popen:
        assert popen.stdout is not None
        popen.stdout.readline()
        try:
            yield popen
        finally:
            popen.kill()
