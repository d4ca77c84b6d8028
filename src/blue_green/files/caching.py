"""Cache-Control of files: those whose name changes with their content may be kept for ever.

Such names are recognised by the hash in them. A name that is taken for one by mistake would show an
old file for a year, and one that is not recognised costs a request that is answered with 304. So
only what hardly anybody would call a file is a hash:

- eight or more hexadecimal digits, both letters and numbers, between dots or after a hyphen:
  webpack, Django, Rails, Hugo, Phoenix (`app.3f2a9c1b.js`, `app-3f2a9c1b.css`).
- for scripts, styles and fonts: eight characters that change between capitals, small letters,
  digits and signs four times or more: Vite, esbuild (`index-B7xK2_qa.js`).
"""

import re
from itertools import pairwise

IMMUTABLE = b"public, max-age=31536000, immutable"
ASK_EACH_TIME = b"no-cache"

HEX = re.compile(rb"[.-](?=[0-9]*[a-f])(?=[a-f]*[0-9])([0-9a-f]{8,128})(?=\.)")
SHORT = re.compile(rb"[.-]([0-9A-Za-z_-]{8})\.(?:js|mjs|css|wasm|woff2?|ttf)(?:\.map)?\Z")
KINDS = re.compile(rb"[0-9]+|[a-z]+|[A-Z]+|[_-]+")
LEAST_KINDS = 5
DIRECTORIES = (b"immutable",)
NEXT = (b"_next", b"static")


def cache_control(names: tuple[bytes, ...]) -> bytes:
    """Cache-Control for the file at this path."""
    return IMMUTABLE if is_hashed(names) else ASK_EACH_TIME


def is_hashed(names: tuple[bytes, ...]) -> bool:
    """Whether the path of a file changes with its content."""
    if not names:
        return False
    *directories, name = names
    if any(directory in DIRECTORIES for directory in directories):
        return True
    if any(pair == NEXT for pair in pairwise(directories)):
        return True
    if HEX.search(name):
        return True
    found = SHORT.search(name)
    return found is not None and _looks_random(found[1])


def _looks_random(text: bytes) -> bool:
    has_digit = any(byte in b"0123456789" for byte in text)
    return has_digit and len(KINDS.findall(text)) >= LEAST_KINDS
