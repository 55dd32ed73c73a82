"""Make the pictures of the shared workflows and of the help pages again: `python docs/pictures.py [NAME ...]`.

A name is that of a workflow (`restore`) or of a node (`AutoDIRAssess`); without names all are made. Each graph is run
on ComfyUI's page in a browser, with the embedded model. Needs playwright, a Chromium and a ComfyUI, as the tests of the
page do: COMFYUI_PATH and CHROMIUM may name the latter two.
"""

from __future__ import annotations

import argparse
import io
import math
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script's own folder is all that Python adds

from tests.host.page import Page, find_chromium, opened_page
from tests.host.server import ROOT, Server, find_comfyui

WORKFLOWS = {path.stem: path for path in sorted((ROOT / "workflows").glob("*.json"))}
HELP = {path.name: path for path in sorted((ROOT / "web/docs").iterdir())}

WORKFLOW_WIDTH, HELP_WIDTH = 1600, 1200
"""Pixels; a help page's graph is never enlarged."""
WORKFLOW_BYTES, HELP_BYTES = 149_000, 39_000
FINER = 2
"""The page is drawn so many times larger than the picture, so that small text stays legible."""
WATCHED = 800
"""Width of the window during a run, where drawing costs little."""

LINK = re.compile(r"^(\S.*?) {2,}(\S.*?) +──► (\S.*?) {2,}(\S.*)$", re.M)
"""A line of a help page's example: node, output, input, node."""
SUPPLIERS = {
    "AUTODIR_MODEL": "AutoDIRLoadModel",
    "AUTODIR_ASSESSMENT": "AutoDIRAssess",
    "CONDITIONING": "AutoDIRPrompt",
    "LATENT": "AutoDIRSample",
    "IMAGE": "LoadImage",
    "generated": "AutoDIRDecode",
}
"""Node whose first output is given to a required input that an example leaves open, by type or name of the input."""
SAMPLE, CLEAN = "autodir_sample.png", "autodir_clean.png"
FIRST_HELPER = 100
"""Number of the first node that is only there for the run."""
STEPS = 20
WITH_CLEAN = {"AutoDIRColorMatch", "AutoDIRCompare", "AutoDIRDegrade"}
"""Help pages whose Load Image shows a picture to damage or to take colours from."""

PLAIN = {
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasMenu": False,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.LowQualityRenderingZoomThreshold": 0.1,
}
"""Settings under which nothing lies over the graph and its text is drawn at every scale."""
FOCUS = "() => { app.extensionManager.focusMode = true; }"
HIDDEN = ".workflow-tabs-container, .comfy-menu-hamburger, .p-toast, .p-dialog-mask { display: none !important; }"
"""What lies over the graph all the same."""
LOAD_PROMPT = """async ([prompt, name]) => {
    app.clean();  // else nodes show the results of those that had their numbers
    await app.loadApiJson(prompt, name);
}"""
RUN = """() => new Promise(async (resolve, reject) => {
    const refuse = ({detail}) => reject(new Error(`${detail.node_type}: ${detail.exception_message}`));
    app.api.addEventListener('execution_success', () => resolve(), {once: true});
    app.api.addEventListener('execution_error', refuse, {once: true});
    try {
        // what the button calls asks for a login on the net first
        const {node_errors} = await app.api.queuePrompt(0, await app.graphToPrompt());
        if (Object.keys(node_errors ?? {}).length) reject(new Error(JSON.stringify(node_errors)));
    } catch (error) {
        reject(new Error(`${error.message} ${JSON.stringify(error.response ?? {})}`));
    }
})"""
DRAWN = """() => app.graph.nodes.every(node => !app.nodeOutputs[node.id]?.images?.length
    || (node.imgs?.length && node.imgs.every(one => one.complete && one.naturalWidth)))"""
REMOVE = "first => app.graph.nodes.filter(node => node.id >= first).forEach(node => app.graph.remove(node))"
LAY_OUT = """columns => {
    let x = 0;
    for (const nodes of columns.map(column => column.map(number => app.graph.getNodeById(number)))) {
        let y = 0;
        for (const node of nodes) {
            node.pos = [x, y];
            node.setSize([Math.max(node.size[0], 240), node.size[1]]);  // a narrow one cuts off its title
            y += node.size[1] + 70;
        }
        x += Math.max(...nodes.map(node => node.size[0])) + 80;
    }
}"""
EDGES = """() => {
    const boxes = [...app.graph.nodes, ...app.graph.groups].map(one => [...one.pos, ...one.size]);
    const titled = app.graph.nodes.map(node => node.pos[1] - 52);  // the title and the pack's name above it
    return [
        Math.min(...boxes.map(box => box[0])), Math.min(...titled, ...boxes.map(box => box[1])),
        Math.max(...boxes.map(box => box[0] + box[2])), Math.max(...boxes.map(box => box[1] + box[3])),
    ];
}"""
FRAME = """([left, top, scale]) => {
    app.canvas.deselectAll();
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset = [-left, -top];
    app.canvas.setDirty(true, true);
}"""
MARGIN = 16

Prompt = dict[str, dict[str, Any]]
"""A graph in API format."""


def main() -> None:
    names = parser().parse_args().names or [*WORKFLOWS, *HELP]
    comfyui, binary = find_comfyui(), find_chromium()
    if comfyui is None or binary is None:
        sys.exit("needs a ComfyUI and a Chromium: COMFYUI_PATH and CHROMIUM name them")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(comfyui, Path(folder) / "base")
        try:
            with opened_page(server, binary, Path(folder) / "browser") as page:
                make(page, server, names)
        finally:
            server.stop()


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    described.add_argument("names", nargs="*", metavar="NAME", help="workflow or node (all)", type=known)
    return described


def known(name: str) -> str:
    if name not in WORKFLOWS | HELP:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(WORKFLOWS | HELP)}")
    return name


def make(page: Page, server: Server, names: list[str]) -> None:
    """The workflows, which are shown in English, and the examples in each language."""
    prepare(page)
    for name in filter(WORKFLOWS.__contains__, names):
        make_workflow(page, WORKFLOWS[name])
    pages = [HELP[name] for name in names if name in HELP]
    if pages:
        make_examples(page, server, pages, "en")
        page.speak("zh")
        prepare(page)
        make_examples(page, server, pages, "zh")


def prepare(page: Page) -> None:
    """The graph fills the window."""
    for name, value in PLAIN.items():
        page.set(name, value)
    page.page.evaluate(FOCUS)
    page.page.add_style_tag(content=HIDDEN)


def make_workflow(page: Page, path: Path) -> None:
    page.open(path)
    run(page)
    save(photograph(page, WORKFLOW_WIDTH), path.with_suffix(".jpg"), WORKFLOW_BYTES)


def make_examples(page: Page, server: Server, folders: list[Path], language: str) -> None:
    definitions = server.call("/object_info")
    for folder in folders:
        server.call("/free", {"free_memory": True})  # what is not computed anew has no previews
        make_example(page, folder / f"{language}.webp", definitions)


def make_example(page: Page, path: Path, definitions: dict[str, Any]) -> None:
    """The example of a help page as a graph."""
    drawn = example(path.parent, definitions)
    page.page.evaluate(LOAD_PROMPT, [runnable(drawn, definitions), path.parent.name])
    run(page)
    page.page.evaluate(REMOVE, FIRST_HELPER)
    page.page.evaluate(LAY_OUT, columns(drawn))
    save(photograph(page, HELP_WIDTH, enlarge=False), path, HELP_BYTES)


def run(page: Page) -> None:
    """Queue what is open and wait until its results are on the nodes."""
    frame(page, WATCHED)  # only nodes in sight load their pictures
    page.page.evaluate(RUN)
    page.page.wait_for_function(DRAWN)
    page.page.wait_for_timeout(500)


def photograph(page: Page, width: int, enlarge: bool = True) -> Image.Image:
    """The whole graph, as wide as is asked for, or less where it is not to be enlarged."""
    size = frame(page, width, FINER, enlarge)
    page.page.wait_for_timeout(1000)
    seen = Image.open(io.BytesIO(page.page.screenshot())).convert("RGB")
    return seen.resize(size, Image.Resampling.LANCZOS)


def frame(page: Page, width: int, finer: int = 1, enlarge: bool = True) -> tuple[int, int]:
    """Fit the window to the graph with a margin; the size of both, before the window is made so many times finer."""
    left, top, right, bottom = page.page.evaluate(EDGES)
    across, down = right - left + 2 * MARGIN, bottom - top + 2 * MARGIN
    scale = width / across if enlarge else min(1, width / across)
    size = round(across * scale), math.ceil(down * scale)
    page.page.set_viewport_size({"width": size[0] * finer, "height": size[1] * finer})
    page.page.wait_for_timeout(500)
    page.page.evaluate(FRAME, [left - MARGIN, top - MARGIN, scale * finer])
    return size


def save(picture: Image.Image, path: Path, most: int) -> None:
    """In the best quality that fits into so many bytes."""
    for quality in range(92, 40, -3):
        data = io.BytesIO()
        picture.save(data, path.suffix[1:].replace("jpg", "jpeg"), quality=quality, method=6, optimize=True)
        if data.tell() <= most:
            break
    path.write_bytes(data.getvalue())
    print(path.relative_to(ROOT), f"{data.tell() / 1000:.0f} kB")


def example(folder: Path, definitions: dict[str, Any]) -> Prompt:
    """What the diagram of a node's help page shows."""
    links = LINK.findall((folder / "en.md").read_text(encoding="utf-8"))
    titles = list(dict.fromkeys(title for source, _, _, target in links for title in (source, target)))
    kinds = {title: kind_of(title, definitions) for title in titles}
    numbers = {title: str(number) for number, title in enumerate(titles, start=1)}
    picture = CLEAN if folder.name in WITH_CLEAN else SAMPLE
    prompt = {numbers[title]: node(kinds[title], definitions, picture) for title in titles}
    for source, output, socket, target in links:
        index = definitions[kinds[source]]["output_name"].index(output)
        prompt[numbers[target]]["inputs"][socket] = [numbers[source], index]
    return prompt


def kind_of(title: str, definitions: dict[str, Any]) -> str:
    """The class of a node by its title; a remark in brackets may follow either."""
    named = {entry["display_name"] or kind: kind for kind, entry in definitions.items()}
    return named.get(title) or next(kind for shown, kind in named.items() if plain(shown) == plain(title))


def plain(title: str) -> str:
    return title.partition(" (")[0]


def node(kind: str, definitions: dict[str, Any], picture: str = SAMPLE) -> dict[str, Any]:
    """A node with the widgets' defaults, but a picture, few steps, a seed that stays, and KSampler as its page says."""
    changed: dict[str, dict[str, Any]] = {"steps": {"steps": STEPS}, "seed": {"control_after_generate": "fixed"}}
    changed |= {"cfg": {"cfg": 1.0}, "scheduler": {"scheduler": "normal"}}
    if kind == "LoadImage":
        changed = {"image": {"image": picture}}
    inputs = [changed[name] for name in definitions[kind]["input"].get("required", {}) if name in changed]
    return {"class_type": kind, "inputs": {name: value for one in inputs for name, value in one.items()}}


def runnable(drawn: Prompt, definitions: dict[str, Any]) -> Prompt:
    """The graph with helpers that give it what it leaves open, and that ask for what nothing else would."""
    prompt = {number: {**one, "inputs": dict(one["inputs"])} for number, one in drawn.items()}
    add = adder(prompt)
    for number in unused(drawn):
        if not definitions[drawn[number]["class_type"]]["output_node"]:
            add({"class_type": "PreviewAny", "inputs": {"source": [number, 0]}})
    damaged = any(one["class_type"] == "AutoDIRDegrade" for one in drawn.values())
    pending = list(drawn)
    while pending:
        taker = prompt[pending.pop()]
        for socket in unlinked(taker, definitions):
            pending.append(add(supplier(taker["class_type"], socket, damaged, definitions)))
            taker["inputs"][socket] = [pending[-1], 0]
    return prompt


def adder(prompt: Prompt) -> Callable[[dict[str, Any]], str]:
    """Adds a helper and gives its number."""

    def add(helper: dict[str, Any]) -> str:
        number = str(FIRST_HELPER + len(prompt))
        prompt[number] = helper
        return number

    return add


def sources(one: dict[str, Any]) -> list[str]:
    """The numbers of the nodes that a node is linked to."""
    return [value[0] for value in one["inputs"].values() if isinstance(value, list)]


def unused(prompt: Prompt) -> list[str]:
    """The nodes that nothing is linked to."""
    used = {source for one in prompt.values() for source in sources(one)}
    return [number for number in prompt if number not in used]


def unlinked(taker: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """The required inputs that a helper has to be linked to."""
    required = definitions[taker["class_type"]]["input"]["required"]
    return [name for name, kind in required.items() if name not in taker["inputs"] and str(kind[0]) in SUPPLIERS]


def supplier(taker: str, socket: str, damaged: bool, definitions: dict[str, Any]) -> dict[str, Any]:
    """The helper for an input of a node; where an example damages a picture, the other nodes too take that one."""
    wanted = definitions[taker]["input"]["required"][socket][0]
    if damaged and wanted == "IMAGE":
        return node("LoadImage" if taker == "AutoDIRDegrade" else "AutoDIRDegrade", definitions, CLEAN)
    return node(SUPPLIERS.get(socket) or SUPPLIERS[wanted], definitions)


def columns(prompt: Prompt) -> list[list[int]]:
    """The nodes from left to right: after all they take from, and those that take nothing right before their takers."""

    def depth(number: str) -> int:
        return 1 + max(map(depth, sources(prompt[number])), default=-1)

    def column(number: str) -> int:
        takers = [depth(other) for other, one in prompt.items() if number in sources(one)]
        return depth(number) if sources(prompt[number]) or not takers else min(takers) - 1

    places = {number: column(number) for number in prompt}
    rows = [[int(number) for number in prompt if places[number] == place] for place in range(max(places.values()) + 1)]
    return [row for row in rows if row]


if __name__ == "__main__":
    main()
