"""The secret that a forge and we share, from a file.

Not in the settings themselves, which many may read, and read anew each time it is needed, so that
it can be changed while we run.
"""

from pathlib import Path

from blue_green.system import files

SHORTEST = 16
"""Bytes. Whoever has seen one signed request can try secrets as fast as his machine allows."""
LONGEST = 4096


class BadSecret(Exception):
    """The file has no secret to use; str() says why and what to do."""


def read(file: Path) -> bytes:
    """What the file has, without white space around it; raise `BadSecret`."""
    try:
        secret = files.read_start(file, LONGEST + 1).strip()
    except OSError as error:
        raise BadSecret(f"{file}: cannot be read: {error.strerror}") from None
    if not SHORTEST <= len(secret) <= LONGEST:
        raise BadSecret(
            f"{file}: has {len(secret)} bytes, and a secret has {SHORTEST} to {LONGEST}: "
            f"openssl rand -hex 32 >{file}"
        )
    return secret
