"""What the id of a commit looks like."""

import re

REVISION = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""In full: a SHA-1 or a SHA-256."""
ABBREVIATED = re.compile(r"[0-9a-f]{7,64}")
"""In full, or its beginning."""
