"""The secret of the push hook, from a file.

It is not in the settings, which many may read. The file is read each time, so that the secret can
be changed while we run.
"""

from pathlib import Path

from blue_green.system import files

SHORTEST = 16
"""Bytes. With one signed request, an attacker can try secrets offline."""
LONGEST = 4096


class BadSecret(Exception):
    """The file has no usable secret; str() says why and what to do."""


def read(file: Path) -> bytes:
    """Read the secret, without surrounding white space; raise `BadSecret`."""
    try:
        secret = files.read_start(file, LONGEST + 1).strip()
    except OSError as error:
        raise BadSecret(f"{file}: cannot be read: {error.strerror}") from None
    if not SHORTEST <= len(secret) <= LONGEST:
        raise BadSecret(
            f"{file}: has {len(secret)} bytes, but a secret needs {SHORTEST} to {LONGEST}: "
            f"openssl rand -hex 32 >{file}"
        )
    return secret
