"""Chromium as people use it, with an eye on what the page complains of and on its accessibility."""

import atexit
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import Any

import axe_playwright_python
from playwright.async_api import Browser, BrowserContext, Download, Page, async_playwright

from tests.eventually import PATIENCE

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
AXE = next(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js")).read_text("utf-8")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
VIOLATIONS = """
document.addEventListener('securitypolicyviolation', event => {
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""


def executable() -> str:
    found = next(
        (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
    )
    assert found, "Chromium is missing: make setup installs it"
    return found


@cache
def _started() -> str:
    """Where the one Chromium of this run listens: a start costs seconds, a fresh person in it nothing."""
    config = {"executablePath": executable(), "args": ARGUMENTS, "headless": True}
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(config, file)
    command = [
        sys.executable,
        "-m",
        "playwright",
        "launch-server",
        "--browser=chromium",
        f"--config={file.name}",
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert server.stdout is not None
    atexit.register(_end, server, Path(file.name))
    return server.stdout.readline().strip()


def _end(server: subprocess.Popen[str], config: Path) -> None:
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    server.wait()
    if server.stdout is not None:
        server.stdout.close()
    config.unlink(missing_ok=True)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect(_started())
        try:
            yield browser
        finally:
            await browser.close()


async def text_of(download: Download) -> str:
    """What a person finds in the file; the browser is another process with folders of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "download"
        await download.save_as(file)
        return file.read_text("utf-8")


class Screen:
    """A person's window: the page, and everything it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.expected: list[str] = []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", lambda m: self._complain(m.text) if m.type in {"error", "warning"} else None)
        page.on("pageerror", lambda e: self._complain(str(e)))

    def _complain(self, text: str) -> None:
        if not any(known in text for known in self.expected):
            self.complaints.append(text)

    async def axe(self, state: str) -> None:
        """No accessibility violation in this state (axe-core, every rule of WCAG 2.2 A and AA, best practice)."""
        if not await self.page.evaluate("typeof window.axe === 'object'"):
            await self.page.evaluate(AXE)
        result: dict[str, Any] = await self.page.evaluate(
            "axe.run(document, {resultTypes: ['violations'], runOnly: "
            "['wcag2a','wcag2aa','wcag21a','wcag21aa','wcag22aa','best-practice']})"
        )
        found = [
            f"{v['id']}: {v['help']} {[n['target'] for n in v['nodes']][:3]} {v['nodes'][0].get('failureSummary', '')}"
            for v in result["violations"]
        ]
        assert not found, f"{state}: {found}"

    async def shot(self, name: str) -> None:
        """A picture, where JOINLINE_SHOTS names a folder for them."""
        folder = os.environ.get("JOINLINE_SHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            await self.page.screenshot(path=Path(folder) / f"{name}.png")


@asynccontextmanager
async def screen(
    browser: Browser, *, viewport: dict[str, int] = DESKTOP, dark: bool = False, **options: Any
) -> AsyncIterator[Screen]:
    """A fresh person: no cookies, no storage."""
    context: BrowserContext = await browser.new_context(
        viewport=viewport,  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        has_touch=viewport is PHONE,
        **options,
    )
    await context.add_init_script(VIOLATIONS)
    try:
        yield Screen(await context.new_page())
    finally:
        await context.close()
