"""The real command, and an app that answers everything alike."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from blue_green.control.messages import encode
from blue_green.control.server import listening
from tests.support.launch import Done
from tests.waiting import PATIENCE


def cli(directory: Path, *words: str, **env: str) -> Done:
    """Run the command here, with nothing of ours in the environment, to its end."""
    ours = ("BLUE_GREEN_SOCKET", "STATE_DIRECTORY")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, "-m", "blue_green", *words],
        cwd=directory,
        env={**clean, "COLUMNS": "100", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert "Traceback" not in done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


@contextmanager
def answering(path: Path, *answer: dict[str, Any], each: bool = False) -> Iterator[list[bytes]]:
    """A supervisor that gives one client this answer; what it was asked.

    With `each`, each line of the answer is for another client.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    asked: list[bytes] = []
    with listening(path) as listener:
        listener.settimeout(PATIENCE)

        def serve() -> None:
            for part in [[one] for one in answer] if each else [answer]:
                with suppress(TimeoutError):  # Nobody asked, as the test will see.
                    connection, _ = listener.accept()
                    with connection, connection.makefile("rb") as lines:
                        asked.append(lines.readline())
                        connection.sendall(b"".join(map(encode, part)))

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        listener.settimeout(0)
        thread.join(PATIENCE)
