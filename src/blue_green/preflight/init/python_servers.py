"""The servers of apps in Python, and their arguments."""

import re
from collections.abc import Mapping, Sequence

from blue_green.preflight.init import capacity
from blue_green.preflight.init.checkout import Checkout

GUNICORN_FILE = "gunicorn.conf.py"
"""gunicorn reads it by itself."""
LOCAL = ("--host", "127.0.0.1", "--port", "{port}")
BIND = "127.0.0.1:{port}"


def wsgi(target: str, checkout: Checkout) -> Mapping[str, tuple[str, ...]]:
    """Servers for a WSGI application, the preferred one first, each with its arguments."""
    return {
        "gunicorn": ("gunicorn", *gunicorn_options((), checkout), target),
        "waitress": ("waitress", f"--listen={BIND}", target),
    }


def asgi(target: str) -> Mapping[str, tuple[str, ...]]:
    """Servers for an ASGI application, the preferred one first, each with its arguments."""
    return {
        "uvicorn": ("uvicorn", *LOCAL, target),
        "hypercorn": ("hypercorn", "--bind", BIND, target),
        "daphne": ("daphne", "--bind", "127.0.0.1", "--port", "{port}", target),
    }


def gunicorn_options(given: Sequence[str], checkout: Checkout) -> tuple[str, ...]:
    """What a command of gunicorn with these words lacks: where it listens, and its workers."""
    found: list[str] = []
    if not _has(given, "-b", "--bind"):
        found += ["--bind", BIND]
    has_file = re.search(r"\bworkers\b", checkout.text(GUNICORN_FILE))
    if has_file or _has(given, "-c", "--config", "-w", "--workers"):
        return tuple(found)
    found += ["--workers", str(capacity.of_this_machine().workers)]
    if not _has(given, "-k", "--worker-class", "--threads"):
        found += ["--threads", str(capacity.THREADS)]
    return tuple(found)


def why(words: Sequence[str]) -> str:
    """The reasons for the numbers in options that were made here; empty if there are none."""
    return capacity.of_this_machine().reasons if "--workers" in words else ""


def _has(words: Sequence[str], *options: str) -> bool:
    """Whether one of these options is given, also as `--option=value` or `-ovalue`."""
    return any(
        word == option
        or word.startswith(f"{option}=")
        or (not option.startswith("--") and word.startswith(option))
        for word in words
        for option in options
    )
