"""Every shared workflow on ComfyUI's page in a real browser; skipped where playwright or a Chromium is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations, count
from pathlib import Path
from typing import Any

import pytest

from tests.host.conftest import completed, prepare
from tests.host.page.browser import Page, find_chromium, opened_page
from tests.host.server import ROOT, Server
from tests.host.test_workflows import QUICK

pytestmark = pytest.mark.host

WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
EARLIER = sorted((ROOT / "tests/host/releases").glob("*/page/*.json"))
TITLE = 30
"""Height of a node's title, which stands above its position."""

HELP = """async name => {
    const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s;
    stores.get('sidebarTab').activeSidebarTabId = 'node-library';
    while (!stores.has('nodeHelp')) await new Promise(resolve => setTimeout(resolve, 50));
    stores.get('nodeHelp').openHelp(stores.get('nodeDef').nodeDefsByName[name]);
}"""
"""As the question mark above a node does."""

TOLD = """([title, picture]) => {
    const told = document.querySelector('.node-help-content');
    return told?.querySelector('h1')?.innerText === title
        && [...told.querySelectorAll('img')].some(one => one.src.endsWith(picture) && one.naturalWidth > 300);
}"""
HEADED = """title => {
    const told = document.querySelector('.node-help-content');
    return told?.querySelector('h1')?.innerText.trim() === title && told.querySelector('td');
}"""
FITS = """() => {
    const told = document.querySelector('.node-help-content'), edge = told.getBoundingClientRect().right + 1;
    const parts = [...told.querySelectorAll("table, td, td code, img")];
    return parts.every(one => one.getBoundingClientRect().right <= edge);
}"""
"""No column of the help is cut off by the edge of the side panel."""
COMPLAINTS = "() => [...document.querySelectorAll('.p-toast-message-error, .p-dialog')].map(one => one.innerText)"


@pytest.fixture(scope="module")
def page(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """One browser for all workflows."""
    pytest.importorskip("playwright.sync_api", reason="no browser tests: pip install playwright")
    binary = find_chromium()
    if binary is None:
        pytest.skip("no browser tests: no Chromium found, CHROMIUM may name one")
    with opened_page(server, binary, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def test_the_example_picture_is_there_when_a_workflow_shows_it(page, server):
    """Newer pages call a picture missing that is not in the list of Load Image."""
    example = server.base / "input/autodir_sample.png"
    example.unlink(missing_ok=True)
    page.restart()
    page.open(ROOT / "workflows/restore.json")
    page.page.wait_for_timeout(1000)
    assert example.is_file() and page.errors == []
    assert "missing" not in page.page.evaluate("document.body.innerText").lower()


@pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.stem)
def test_one_of_an_earlier_release_still_runs(page, server, path):
    """Its values go by position and its links by their old names."""
    page.open(path)
    assert page.errors == []
    prompt = prepare(page.prompt(), **QUICK)
    assert all(server.run(prompt).values())


@pytest.fixture(scope="module", params=WORKFLOWS, ids=lambda path: path.stem)
def shown(request: pytest.FixtureRequest, page: Page) -> tuple[Path, list[dict[str, Any]]]:
    """A shared workflow and its nodes as the page shows them, opened once for the tests that leave it as it is."""
    return request.param, page.open(request.param)


def test_it_opens_as_it_was_saved(page, shown):
    path, nodes = shown
    assert [node["type"] for node in nodes if not node["known"]] == []
    assert page.errors == [] and page.page.evaluate(COMPLAINTS) == []
    kept = {node["id"]: node.get("widgets_values") or [] for node in json.loads(path.read_text("utf-8"))["nodes"]}
    for node in nodes:
        assert node["values"][: len(kept[node["id"]])] == kept[node["id"]], node["type"]


def test_it_queues_what_the_api_version_says(page, server, shown):
    path, queued = shown[0], page.prompt()
    for node in queued.values():
        if node["class_type"] == "PreviewAny":
            node["inputs"].pop("preview", None)  # the text that it last showed
    promised = json.loads((path.parent / "api" / path.name).read_text(encoding="utf-8"))
    promised = completed(promised, server.call("/object_info"))
    assert {number: (node["class_type"], node["inputs"]) for number, node in queued.items()} == {
        number: (node["class_type"], node["inputs"]) for number, node in promised.items()
    }


def test_no_node_lies_on_another(shown):
    hidden = [(one["type"], other["type"]) for one, other in combinations(shown[1], 2) if overlap(one, other)]
    assert hidden == []


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    (x, y, width, height), (left, top, across, down) = one["box"], other["box"]
    return x < left + across and left < x + width and y - TITLE < top + down and top - TITLE < y + height


def open_help(page: Page, name: str, title: str, language: str) -> None:
    """Open the help of a node, with the picture that lies beside it."""
    page.page.evaluate(HELP, name)
    told = [title, f"/docs/{name}/{language}.webp"]
    page.page.wait_for_function(TOLD, arg=told, timeout=20_000)


def find_cut(page: Page, language: str) -> list[str]:
    """The nodes whose help is wider than the panel of a small window."""
    page.page.set_viewport_size({"width": 1280, "height": 720})
    cut = []
    for path in sorted(ROOT.glob(f"web/docs/*/{language}.md")):
        title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        page.page.evaluate(HELP, path.parent.name)
        page.page.wait_for_function(HEADED, arg=title, timeout=20_000)
        cut += [] if page.page.evaluate(FITS) else [path.parent.name]
    return cut


class TestHelp:
    """The help of a node as the page shows it."""

    def test_in_english(self, page):
        open_help(page, "AutoDIRLoopOpen", "AutoDIR Loop Open", "en")

    def test_no_column_is_cut(self, page):
        assert find_cut(page, "en") == []


AROUND_THE_LOOP = {
    "bypassed": "app.graph.getNodeById(8).mode = 4",
    "muted preview": "app.graph.getNodeById(9).mode = 2",
    "reroute": """{
        const reroute = LiteGraph.createNode('Reroute');
        app.graph.add(reroute);
        app.graph.getNodeById(7).connect(0, reroute, 0);
        reroute.connect(0, app.graph.getNodeById(8), 0);
    }""",
    "subgraph": "app.graph.convertToSubgraph(new Set([4, 5, 6, 7, 8].map(id => app.graph.getNodeById(id))))",
}
"""What a user does on the page to the nodes of the workflow loop."""
GROUP = """() => {
    app.canvas.selectItems([3, 4, 5, 6, 7, 8, 9, 10].map(id => app.graph.getNodeById(id)));
    app.extensionManager.command.execute('Comfy.GroupNode.ConvertSelectedNodesToGroupNode');
}"""


@pytest.mark.parametrize("change", AROUND_THE_LOOP.values(), ids=AROUND_THE_LOOP)
def test_a_loop_runs_as_before_when_its_nodes_are(page, server, change):
    path = ROOT / "workflows/loop.json"
    page.open(path)
    page.page.evaluate(f"() => {{ {change} }}")
    prompt = prepare(page.prompt(), **QUICK)
    report = next(number for number, node in prompt.items() if node["class_type"] == "PreviewAny")
    (text,) = server.run(prompt)[report]["text"]
    assert len([line for line in text.splitlines() if line.startswith("round")]) == 2
    assert page.errors == []


def test_a_loop_runs_as_before_in_a_group_node(page, server):
    """All of it, Open and Close too."""
    page.open(ROOT / "workflows/loop.json")
    plain = prepare(page.prompt(), **QUICK)
    if not page.page.evaluate("'groupNodeManage' in comfyAPI"):
        pytest.skip("this page makes no group nodes, but subgraphs")
    page.page.evaluate(GROUP)
    page.page.fill(".p-dialog input", "rounds")
    page.page.keyboard.press("Enter")
    page.page.wait_for_function("app.graph.nodes.some(node => node.type.startsWith('workflow'))")
    grouped = prepare(page.prompt(), **QUICK)
    assert any(":" in number for number in grouped) and page.errors == []
    told = [server.run(prompt)["12"]["text"] for prompt in (grouped, plain)]
    assert told[0] == told[1] and "round 2" in told[0][0]


def test_a_muted_node_in_a_loop_is_one_clear_line(page, server):
    """The page leaves it out; Loop Close then lacks its picture."""
    page.open(ROOT / "workflows/loop.json")
    page.page.evaluate("() => { app.graph.getNodeById(8).mode = 2 }")
    with pytest.raises(AssertionError, match="Required input is missing"):
        server.queue(prepare(page.prompt(), **QUICK))


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "subgraphs").glob("*.json"))])
def test_a_blueprint_runs(page, server, name):
    """As a workflow of its own, with a photo before it and a Save node behind it."""
    page.open(ROOT / f"subgraphs/{name}.json")
    page.page.evaluate("""() => {
        const [blueprint] = app.graph.nodes;
        const [photo, saved] = ['LoadImage', 'SaveImage'].map(type => LiteGraph.createNode(type));
        [photo, saved].forEach(node => app.graph.add(node));
        photo.connect(0, blueprint, 0);
        blueprint.connect(0, saved, 0);
    }""")
    assert page.errors == []
    prompt = prepare(page.prompt(), **{**QUICK, "labels": "underexposure, no"})
    saved = next(number for number, node in prompt.items() if node["class_type"] == "SaveImage")
    assert server.run(prompt)[saved]["images"]


SMALL = {"file": "tiny.safetensors", "image": "small.png", "preset": "custom", "steps": 3, "max_rounds": 2}
RUN = """async values => {
    for (const node of app.graph.nodes) {
        for (const widget of node.widgets ?? []) widget.value = values[widget.name] ?? widget.value;
    }
    const ended = new Promise(resolve => app.api.addEventListener('execution_success', resolve, { once: true }));
    let previews = 0;
    app.api.addEventListener('b_preview_with_metadata', () => previews++);
    await app.queuePrompt(0, 1);
    await ended;
    return previews;
}"""
"""As the page's button does, but quick; the number of live previews."""
SEEDS = count(77)
"""A run with one that was used before would come from the cache."""


@pytest.fixture(params=[False, True], ids=["classic", "nodes 2.0"])
def drawn(page: Page, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page with either way to draw nodes; older pages have the first alone."""
    page.set("Comfy.VueNodes.Enabled", request.param)
    yield page
    page.set("Comfy.VueNodes.Enabled", False)


def test_the_montage_takes_the_place_of_the_preview(drawn):
    """The page would go on showing the preview, and with Nodes 2.0 both."""
    drawn.open(ROOT / "workflows/restore.json")
    assert drawn.page.evaluate(RUN, {**SMALL, "seed": next(SEEDS)}) > 0
    drawn.page.wait_for_function("() => Object.keys(app.nodePreviewImages).length === 0", timeout=20_000)
    assert drawn.errors == []


@pytest.fixture(scope="class")
def chinese(page: Page) -> Iterator[dict[str, Any]]:
    """The page in Chinese, and the names of the nodes there."""
    page.speak("zh")
    yield json.loads((ROOT / "locales/zh/nodeDefs.json").read_text(encoding="utf-8"))
    page.set("Comfy.Locale", "en")  # which the server keeps, and our reports follow
    page.page.wait_for_timeout(300)


class TestChinese:
    """The last tests: the page is loaded anew for another language, which takes seconds."""

    def test_help(self, page, chinese):
        open_help(page, "AutoDIRAssess", chinese["AutoDIRAssess"]["display_name"], "zh")

    def test_no_column_is_cut(self, page, chinese):
        assert find_cut(page, "zh") == []

    def test_titles_and_sockets(self, page, chinese):
        graphs = [json.loads(path.read_text(encoding="utf-8")) for path in WORKFLOWS]
        renamed = [{node["id"] for node in graph["nodes"] if "title" in node} for graph in graphs]
        for path, own_titles in zip(WORKFLOWS, renamed, strict=True):
            ours = [node for node in page.open(path) if node["type"] in chinese]
            for node in ours:
                names = chinese[node["type"]]
                assert node["outputs"] == [output["name"] for output in names["outputs"].values()]
                assert node["title"] == names["display_name"] or node["id"] in own_titles
            assert ours and page.errors == []
