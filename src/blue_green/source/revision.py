"""The syntax of commit ids."""

import re

REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A full id: SHA-1 or SHA-256."""
ABBREVIATED = re.compile(r"[0-9a-f]{7,64}")
"""A full or abbreviated id."""
