"""The status page: one HTML file that shows the data of `/events` and does nothing else.

A Content-Security-Policy (level 3) makes the browser enforce that: it runs only the page's own
script, identified by its hash; it loads nothing else; it connects only to the page's own origin;
and no other page may frame it. Text from outside (output, commit messages, reasons) cannot become
HTML, since the policy forbids creating HTML from strings (`require-trusted-types-for`). It is one
file despite its length, so that the browser has nothing else to load.
"""

import base64
import hashlib
from pathlib import Path

from blue_green.admin.server import Reply

FILE = Path(__file__).with_name("page.html")


def page() -> Reply:
    """The page, the same for every request."""
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
    """The hash by which the policy identifies the only such element (CSP 3, section 2.3.1)."""
    _, text = html.split(f"<{element}>")
    text, _ = text.split(f"</{element}>")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
