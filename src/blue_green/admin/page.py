"""The page for people: one HTML file, that shows what `/events` tells and can do nothing else.

The browser is told to hold it to that (Content-Security-Policy, level 3): it runs the page's own
script and no other, known by its hash; it loads nothing; it talks to the address that it came from
and no other; nobody may frame it. What comes from outside (output, commit messages, reasons) cannot
become HTML, since nothing may be made from text at all (`require-trusted-types-for`).
"""

import base64
import hashlib
from pathlib import Path

from blue_green.admin.server import Reply

FILE = Path(__file__).with_name("page.html")


def page() -> Reply:
    """The page as it is sent to everybody."""
    html = FILE.read_text(encoding="utf-8")
    policy = [
        "default-src 'none'",
        f"script-src {_hash_of('script', html)}",
        f"style-src {_hash_of('style', html)}",
        "img-src data:",  # Its icon.
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    headers = {
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }
    return Reply(200, html.encode(), "text/html; charset=utf-8", headers)


def _hash_of(element: str, html: str) -> str:
    """By which the policy knows the one such element (CSP 3, section 2.3.1)."""
    _, text = html.split(f"<{element}>")
    text, _ = text.split(f"</{element}>")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
