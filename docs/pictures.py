"""Render the pictures of the shared workflows and of the help pages: `python docs/pictures.py [NAME ...]`.

A workflow has two: the graph after a run in `docs/graphs`, and beside the file before and after, which ComfyUI's page
shows on the card of the template.

A name is that of a workflow (`restore`) or of a node (`AutoDIRAssess`); without names all are rendered. Each graph is
run on ComfyUI's page in a browser, with the embedded model. Needs playwright, a Chromium and a ComfyUI, as the tests of
the page do: COMFYUI_PATH and CHROMIUM may name the latter two.
"""

from __future__ import annotations

import argparse
import io
import math
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Python adds the folder of the script alone

from example_graphs import FIRST_HELPER_ID, complete_example, layout_columns, parse_example
from thumbnails import thumbnail

from tests.host.page.browser import Page, find_chromium, opened_page
from tests.host.server import ROOT, Server, find_comfyuis

WORKFLOWS = {path.stem: path for path in sorted((ROOT / "workflows").glob("*.json"))}
GRAPHS = ROOT / "docs/graphs"
HELP = {path.name: path for path in sorted((ROOT / "web/docs").iterdir())}

WORKFLOW_WIDTH, HELP_WIDTH = 1600, 1200
"""Pixels; a help page's graph is never enlarged."""
WORKFLOW_BYTES, HELP_BYTES, THUMBNAIL_BYTES = 149_000, 39_000, 49_000
SUPERSAMPLING = 2
"""How many times larger than the picture the page is drawn, so that small text stays legible."""
RUN_WIDTH = 800
"""Width of the window during a run, small because drawing costs time."""

SETTINGS = {
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasMenu": False,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.LowQualityRenderingZoomThreshold": 0.1,
}
"""Settings of the page under which nothing covers the graph and its text is drawn at every scale."""
HIDDEN = ".workflow-tabs-container, .comfy-menu-hamburger, .p-toast, .p-dialog-mask { display: none !important; }"
"""What covers the graph all the same."""
MARGIN = 16


def main() -> None:
    names = parse_names()
    hosts, binary = find_comfyuis(), find_chromium()
    if not hosts or binary is None:
        sys.exit("needs a ComfyUI and a Chromium: COMFYUI_PATH and CHROMIUM name them")
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        copy_examples(base / "input")
        server = Server(hosts[0], base)
        try:
            with opened_page(server, binary, Path(folder) / "browser") as page:
                render(page, server, names)
        finally:
            server.stop()


def copy_examples(folder: Path) -> None:
    """Copy the example pictures, which the page shows in Load Image before anything has run."""
    folder.mkdir(parents=True)
    for path in (ROOT / "autodir_core/assets").glob("*.png"):
        shutil.copy(path, folder / f"autodir_{path.name}")


def parse_names() -> list[str]:
    """Return the names of the command line; all without any."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="workflow or node (default: all)")
    names = parser.parse_args().names or [*WORKFLOWS, *HELP]
    if unknown := [name for name in names if name not in WORKFLOWS | HELP]:
        parser.error(f"unknown name {unknown[0]!r}; choose among: {', '.join(WORKFLOWS | HELP)}")
    return names


def render(page: Page, server: Server, names: list[str]) -> None:
    """Render the workflows, in English, and the examples of the help pages in each language."""
    prepare_page(page)
    for name in filter(WORKFLOWS.__contains__, names):
        render_workflow(page, server, WORKFLOWS[name])
    pages = [HELP[name] for name in names if name in HELP]
    if pages:
        render_examples(page, server, pages, "en")
        page.speak("zh")
        prepare_page(page)
        render_examples(page, server, pages, "zh")


def prepare_page(page: Page) -> None:
    """Let the graph fill the window."""
    for name, value in SETTINGS.items():
        page.set(name, value)
    page.page.add_script_tag(path=Path(__file__).with_suffix(".js"))
    page.page.evaluate("pictures.focus()")
    page.page.add_style_tag(content=HIDDEN)


def render_workflow(page: Page, server: Server, path: Path) -> None:
    """Render the graph of a workflow, and the picture of its card."""
    page.open(path)
    run(page)
    save(screenshot(page, WORKFLOW_WIDTH), GRAPHS / f"{path.stem}.jpg", WORKFLOW_BYTES)
    save(thumbnail(server, page.prompt(), path.stem), path.with_suffix(".jpg"), THUMBNAIL_BYTES)


def render_examples(page: Page, server: Server, folders: list[Path], language: str) -> None:
    """Render the examples of help pages in one language."""
    definitions = server.call("/object_info")
    for folder in folders:
        server.call("/free", {"free_memory": True})  # nodes with cached results show no previews
        render_example(page, folder / f"{language}.webp", definitions)


def render_example(page: Page, path: Path, definitions: dict[str, Any]) -> None:
    """Render the example of a help page."""
    example = parse_example(path.parent, definitions)
    page.page.evaluate("given => pictures.load(given)", [complete_example(example, definitions), path.parent.name])
    run(page)
    page.page.evaluate("first => pictures.removeFrom(first)", FIRST_HELPER_ID)
    page.page.evaluate("columns => pictures.layOut(columns)", layout_columns(example))
    save(screenshot(page, HELP_WIDTH, enlarge=False), path, HELP_BYTES)
    copy = path.parent / path.parent.name / path.name  # where sites of repositories look: from the folder of the page
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(path, copy)


def run(page: Page) -> None:
    """Queue the open graph and wait until its results are on the nodes."""
    fit_window(page, RUN_WIDTH)  # only visible nodes load their pictures
    page.page.evaluate("pictures.run()")
    page.page.wait_for_function("pictures.allDrawn()")
    page.page.wait_for_timeout(500)


def screenshot(page: Page, width: int, enlarge: bool = True) -> Image.Image:
    """Return a picture of the whole graph, `width` pixels wide, or less where it is not to be enlarged."""
    size = fit_window(page, width, SUPERSAMPLING, enlarge)
    page.page.wait_for_timeout(1000)
    image = Image.open(io.BytesIO(page.page.screenshot())).convert("RGB")
    return image.resize(size, Image.Resampling.LANCZOS)


def fit_window(page: Page, width: int, supersampling: int = 1, enlarge: bool = True) -> tuple[int, int]:
    """Fit the window to the graph with a margin; return the size of the picture, without supersampling."""
    left, top, right, bottom = page.page.evaluate("pictures.bounds()")
    across, down = right - left + 2 * MARGIN, bottom - top + 2 * MARGIN
    scale = width / across if enlarge else min(1, width / across)
    size = round(across * scale), math.ceil(down * scale)
    page.page.set_viewport_size({"width": size[0] * supersampling, "height": size[1] * supersampling})
    page.page.wait_for_timeout(500)
    page.page.evaluate("place => pictures.frame(place)", [left - MARGIN, top - MARGIN, scale * supersampling])
    return size


def save(picture: Image.Image, path: Path, max_bytes: int) -> None:
    """Write a picture in the best quality that fits into `max_bytes`."""
    for quality in range(92, 40, -3):
        data = io.BytesIO()
        picture.save(data, path.suffix[1:].replace("jpg", "jpeg"), quality=quality, method=6, optimize=True)
        if data.tell() <= max_bytes:
            break
    path.write_bytes(data.getvalue())
    print(path.relative_to(ROOT), f"{data.tell() / 1000:.0f} kB")


if __name__ == "__main__":
    main()
