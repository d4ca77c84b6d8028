"""File system calls in the event loop, where one that hangs would stop everything."""

import os
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

CALLS = ("listdir", "lstat", "mkdir", "open", "readlink", "replace", "scandir", "stat", "unlink")


@contextmanager
def noted(directory: Path) -> Iterator[list[str]]:
    """Note the calls of this thread about paths in the directory, each with where it came from."""
    found: list[str] = []
    thread = threading.get_ident()

    def watched(name: str) -> Any:
        call = getattr(os, name)

        def note(path: Any = ".", *arguments: Any, **named: Any) -> Any:
            text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
            if threading.get_ident() == thread and text.startswith(str(directory)):
                callers = reversed(traceback.extract_stack(limit=9)[:-1])
                at = " < ".join(f"{Path(at.filename).name}:{at.lineno}" for at in callers)
                found.append(f"{name} {text}: {at}")
            return call(path, *arguments, **named)

        return mock.patch.object(os, name, note)

    patches = [watched(name) for name in CALLS]
    for patch in patches:
        patch.start()
    try:
        yield found
    finally:
        for patch in patches:
            patch.stop()
