"""ComfyUI's page in a real browser, for the tests of the page and for the pictures in the documentation."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from tests.host.server import Server

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
PATIENCE = 120_000
"""Milliseconds; a busy machine takes long to load the page."""

STARTED = """() => window.app?.graph && app.extensionManager && app.vueAppReady !== false
    && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 50"""
OPEN = """async ([graph, name]) => {
    await app.loadGraphData(graph, true, true, name);
    return app.graph.nodes.map(node => ({
        id: Number(node.id), type: node.type, title: node.title, box: [...node.pos, ...node.size],
        outputs: (node.outputs ?? []).map(output => output.localized_name),
        known: node.type in LiteGraph.registered_node_types,
        values: (node.widgets ?? []).filter(widget => widget.serialize !== false).map(widget => widget.value),
    }));
}"""
TO_PROMPT = "async () => JSON.stringify((await app.graphToPrompt()).output)"
SET = """([name, value]) => {
    const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s;
    if (name in stores.get('setting').settingsById) return app.extensionManager.setting.set(name, value);
}"""


class Page:
    """ComfyUI's page, and the errors of its console since the last workflow was opened."""

    def __init__(self, page: Any) -> None:
        self.page, self.errors = page, []
        page.on("console", lambda told: self.note(f"{told.text} {told.location}") if told.type == "error" else None)
        page.on("pageerror", lambda error: self.note(str(error)))

    def note(self, error: str) -> None:
        # what the page fetches from elsewhere is refused below
        if "ERR_FAILED" not in error:
            self.errors.append(error)

    def open(self, path: Path) -> list[dict[str, Any]]:
        """The nodes as the page shows them."""
        self.errors.clear()
        nodes = self.page.evaluate(OPEN, [json.loads(path.read_text(encoding="utf-8")), path.stem])
        self.page.wait_for_timeout(300)
        return nodes

    def prompt(self) -> dict[str, Any]:
        """What the page would queue."""
        return json.loads(self.page.evaluate(TO_PROMPT))

    def start(self) -> None:
        """Wait until the page can be used."""
        self.page.wait_for_function(STARTED)
        self.page.wait_for_timeout(500)

    def set(self, name: str, value: Any) -> None:
        """Change a setting of the page, where this version has it."""
        self.page.evaluate(SET, [name, value])

    def speak(self, language: str) -> None:
        """Change the language of the page, which takes effect when it is loaded again."""
        self.set("Comfy.Locale", language)
        self.restart()

    def restart(self) -> None:
        """Load the page again, with the lists of files as they are now."""
        self.page.reload(wait_until="domcontentloaded")
        self.start()


def find_chromium() -> str | None:
    """CHROMIUM may name one."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


@contextmanager
def opened_page(server: Server, binary: str, profile: Path) -> Iterator[Page]:
    """The page in a browser from which nothing but the server can be reached."""
    from playwright.sync_api import sync_playwright  # the other tests do without it

    host = f"127.0.0.1:{server.port}"
    with sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(profile, executable_path=binary, args=FLAGS, locale="en-US")
        context.route(lambda url: urlparse(url).netloc not in ("", host), lambda route: route.abort())
        context.set_default_timeout(PATIENCE)
        page = Page(context.pages[0])
        page.page.goto(f"http://{host}", wait_until="domcontentloaded")
        page.start()
        close_welcome(page)
        page.restart()
        yield page
        context.close()


def close_welcome(page: Page) -> None:
    """The first visitor is shown templates over everything; newer pages open help elsewhere by default."""
    page.set("Comfy.TutorialCompleted", True)
    page.set("Comfy.NodeLibrary.NewDesign", False)
    page.page.wait_for_timeout(500)
    page.page.keyboard.press("Escape")
    page.page.wait_for_timeout(500)
