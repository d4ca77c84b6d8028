"""A headless Chromium, driven by its DevTools protocol over a WebSocket.

Blocking, as the WebSocket is: a test of trio asks it from a thread (`Tab.evaluate` and the others
do that themselves).
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from websockets.sync.client import ClientConnection, connect

from tests.waiting import until

PATIENCE = 30.0
COMMAND = shutil.which("chromium") or shutil.which("chromium-browser")


CONTRASTS = """(() => {
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = parse(colour).map((c) => c / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (parse(colour)[3] !== 0) return colour;
        }
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !element.checkVisibility()) continue;
        if (["STYLE", "SCRIPT"].includes(element.tagName)) continue;
        const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        found.push([contrast, walk.currentNode.data]);
    }
    return found;
})()"""


class Browser:
    """One running browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0
        self._tabs: dict[str, Tab] = {}

    @classmethod
    @contextmanager
    def running(cls, directory: Path, *more: str) -> Iterator["Browser"]:
        """A fresh one, that keeps its files in this directory, until the block ends.

        `more` are words of its command line.
        """
        assert COMMAND is not None
        words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        words += ["--no-first-run", "--disable-background-networking", "--disable-sync"]
        words += ["--remote-debugging-port=0", f"--user-data-dir={directory}"]
        words += [*more, "about:blank"]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen([COMMAND, *words], stderr=log, stdout=log, process_group=0)
        try:
            # Its events queue up while no test reads them, and pongs with them.
            options = {"max_size": None, "max_queue": None, "ping_interval": None}
            with connect(_address(directory, process), **options) as socket:
                browser = cls(socket)
                yield browser
                browser.ask("Browser.close")  # Killed, it would leave files of its own behind.
                process.wait(PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    async def open(self, url: str, *, width: int = 1200, dark: bool = False) -> "Tab":
        """A new tab with this page, which may still be loading."""
        return await trio.to_thread.run_sync(lambda: self._open(url, width, dark))

    def _open(self, url: str, width: int, dark: bool) -> "Tab":
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Runtime", "Log", "Page"):
            self.ask(f"{domain}.enable", session)
        self.ask(
            "Emulation.setDeviceMetricsOverride", session,
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.ask("Emulation.setScrollbarsHidden", session, hidden=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", session, features=[scheme])
        self.ask("Page.navigate", session, url=url)
        return tab

    def ask(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        self._socket.send(json.dumps({**message, **({"sessionId": session} if session else {})}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer)
                result: dict[str, Any] = answer["result"]
                return result
            if tab := self._tabs.get(answer.get("sessionId", "")):
                tab.note(answer["method"], answer["params"])


class Tab:
    """One page in a browser, and what went wrong in it."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.errors: list[str] = []
        """What its console has as errors, and what its scripts raised."""
        self._browser = browser
        self._session = session

    async def look_at(self) -> None:
        """Bring it to the front, before all others."""
        await self._ask("Page.bringToFront")

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self._ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, (script, answer)
        return answer["result"].get("value")

    async def text(self, selector: str) -> str:
        """What can be read in an element; nothing if it is not there, or not shown."""
        text: str = await self.evaluate(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            return element?.checkVisibility() ? element.innerText : "";
        }})()""")
        return text

    async def until(self, script: str) -> Any:
        """Wait until the expression gives something true, and give that."""
        return await until(script, lambda: self.evaluate(script))

    async def until_reads(self, selector: str, text: str) -> None:
        """Wait until this text is in the element."""

        async def look() -> bool:
            seen.append(await self.text(selector))
            return text in seen[-1]

        seen: list[str] = []
        try:
            await until(f"{text!r} in {selector}", look)
        except AssertionError:
            raise AssertionError(f"{text!r} is not in {selector}, but {seen[-1]!r}") from None

    async def check_is_readable(self) -> None:
        """WCAG 2.2, 1.4.3: text has a contrast of at least 4.5 to what is behind it."""
        contrasts = await self.evaluate(CONTRASTS)
        assert len(contrasts) > 15
        assert [found for found in contrasts if found[0] < 4.5] == []

    async def screenshot(self, file: Path) -> None:
        """The whole page, for people to look at."""
        answer = await self._ask("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        file.write_bytes(base64.b64decode(answer["data"]))

    def note(self, event: str, about: dict[str, Any]) -> None:
        """Keep what tells of an error."""
        if event == "Runtime.exceptionThrown":
            self.errors.append(str(about["exceptionDetails"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.errors.append(str(about["entry"]))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning"):
            self.errors.append(str(about["args"]))

    async def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await trio.to_thread.run_sync(
            lambda: self._browser.ask(method, self._session, **parameters)
        )


def _address(directory: Path, process: subprocess.Popen[bytes]) -> str:
    """Where it can be driven, which it writes to a file when it is ready."""
    file = directory / "DevToolsActivePort"
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and process.poll() is None:
        port, _, path = file.read_text().partition("\n") if file.exists() else ("", "", "")
        if path:
            return f"ws://127.0.0.1:{port}{path}"
        time.sleep(0.01)
    raise AssertionError(f"the browser did not start:\n{(directory / 'log').read_text()}")
