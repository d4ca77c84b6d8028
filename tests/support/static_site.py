"""A static site whose pages name their script by its content, as builders of such sites do."""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from tests.support.app_checkout import git
from tests.support.site import RealSite

SCRIPT = re.compile(r"/assets/app-[0-9a-f]{12}\.js")


class StaticSite:
    """A checkout with a directory `public`, and its settings."""

    def __init__(self, directory: Path, **sections: dict[str, Any]) -> None:
        self.real = real = RealSite(directory)
        real.sections["app"] = {"name": "test"}
        real.sections["swap"] = {"drain_timeout": "10s"}
        del real.sections["health"]
        real.configure(files={"/": "public"}, **sections)
        self.public = real.checkout / "public"

    def publish(self, text: str, pages: dict[str, str] | None = None) -> str:
        """Commit a site with this text and these pages only; its revision."""
        shutil.rmtree(self.public, ignore_errors=True)
        script = f"/assets/app-{hashlib.sha256(text.encode()).hexdigest()[:12]}.js"
        index = f'<title>{text}</title><script src="{script}"></script>'
        for name, content in {"/index.html": index, script: text, **(pages or {})}.items():
            path = self.public / name.removeprefix("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        git(self.real.checkout, "add", "-A")
        git(self.real.checkout, "commit", "-q", "-m", text)
        return self.real.head()


def script_in(page: bytes) -> str:
    """The path of the script that a page loads."""
    found = SCRIPT.search(page.decode())
    assert found, page
    return found[0]
