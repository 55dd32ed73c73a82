"""The help pages, the Chinese names and tooltips, and both READMEs against the definitions of the nodes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.nodes.test_definitions import NODES, inputs

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "web/docs"
LANGUAGES = ("en", "zh")
DEFAULT, RANGE, OPTIONAL = (
    {"en": "default {:g}", "zh": "默认 {:g}"},
    {"en": "{:g} to {:g}", "zh": "{:g} 到 {:g}"},
    {"en": "optional", "zh": "可选"},
)
QUOTED = {"en": re.compile(r"^- \*\*“(.+?)”\.\*\*", re.M), "zh": re.compile(r"^- \*\*报错“(.+?)”。\*\*", re.M)}
"""An error message as the beginning of a mistake."""
NUMBER = r"\d+(?:\.\d+)?"
LINK = r"^(\S.*?) {2,}(\S.*?) +──► (\S.*?) {2,}(\S.*)$"
"""A line of an example: node, output, input, node."""

every_page = pytest.mark.parametrize("language", LANGUAGES)
every_node = pytest.mark.parametrize("name", NODES)


@pytest.fixture(scope="module")
def chinese():
    """The Chinese locale by node."""
    return json.loads((ROOT / "locales/zh/nodeDefs.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def source():
    """The code of nodes and core, with texts over several lines made one."""
    paths = [*(ROOT / "nodes").rglob("*.py"), *(ROOT / "autodir_core").rglob("*.py")]
    return re.sub(r'"\n\s*f?"', "", "\n".join(path.read_text(encoding="utf-8") for path in paths))


@pytest.fixture
def titles(pack, chinese):
    """Node by the title that a language gives it."""
    translated = {name: entry["display_name"] for name, entry in chinese.items()}
    tables = {"en": pack.NODE_DISPLAY_NAME_MAPPINGS, "zh": translated}
    return lambda language: {title: name for name, title in tables[language].items()}


def outputs(node) -> list[str]:
    return list(getattr(node, "RETURN_NAMES", node.RETURN_TYPES))


def page(name: str, language: str) -> str:
    return (DOCS / name / f"{language}.md").read_text(encoding="utf-8")


def sections(name: str, language: str) -> list[str]:
    """Title and purpose, when to use it, inputs, outputs, example, mistakes, siblings."""
    found = re.split(r"^## .+\n", page(name, language), flags=re.M)
    assert len(found) == 7
    return found


def rows(table: str) -> list[list[str]]:
    """The cells of a table's rows, without its head."""
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def shown_as(name: str, language: str, entry: dict[str, str]) -> str:
    """The first cell of a socket's row."""
    return f"`{name}`" if language == "en" else f"`{name}` {entry['name']}"


@every_page
@every_node
class TestPages:
    def test_every_socket_has_its_row(self, pack, chinese, name, language):
        node, known = pack.NODE_CLASS_MAPPINGS[name], chinese[name]
        _, _, takes, gives, *_ = sections(name, language)
        wanted = [shown_as(socket, language, known["inputs"][socket]) for socket in inputs(node)]
        assert [row[0] for row in rows(takes)] == wanted
        wanted = [shown_as(socket, language, known["outputs"][str(i)]) for i, socket in enumerate(outputs(node))]
        assert [row[0] for row in rows(gives)] == wanted
        assert all(all(row) for row in rows(takes) + rows(gives))

    def test_the_title_is_the_nodes(self, titles, name, language):
        (title,) = re.findall(r"^# (.+)$", page(name, language), re.M)
        assert titles(language)[title] == name

    def test_defaults_ranges_and_choices_are_the_definitions(self, pack, name, language):
        node = pack.NODE_CLASS_MAPPINGS[name]
        values = {row[0].split("`")[1]: row[2] for row in rows(sections(name, language)[2])}
        for socket, (kind, options) in inputs(node).items():
            told = values[socket]
            assert (OPTIONAL[language] in told) == (socket in node.INPUT_TYPES().get("optional", {})), socket
            if kind in ("INT", "FLOAT"):
                assert DEFAULT[language].format(options["default"]) in told, socket
            if kind in ("INT", "FLOAT") and socket != "seed":
                assert RANGE[language].format(options["min"], options["max"]) in told, socket
            if isinstance(kind, list):
                assert all(f"`{choice}`" in told for choice in kind if choice != "tiny.safetensors"), socket

    def test_the_example_can_be_drawn(self, pack, chinese, titles, name, language):
        nodes, by_title = pack.NODE_CLASS_MAPPINGS, titles(language)
        drawn = re.search(r"```text\n(.+?)\n```", sections(name, language)[4], re.S)
        assert drawn
        links = [re.fullmatch(LINK, line) for line in drawn[1].splitlines()]
        assert all(links)
        seen = set()
        for source, output, socket, target in (link.groups() for link in links if link):
            kinds = []
            if source in by_title:
                node = nodes[by_title[source]]
                known = outputs(node) if language == "en" else names(chinese, by_title[source], "outputs")
                kinds.append({node.RETURN_TYPES[known.index(output)]})
            if target in by_title:
                node = nodes[by_title[target]]
                known = list(inputs(node)) if language == "en" else names(chinese, by_title[target], "inputs")
                kinds.append(set(list(inputs(node).values())[known.index(socket)][0].split(",")))
            assert len(kinds) < 2 or kinds[0] <= kinds[1]
            seen |= {by_title.get(source), by_title.get(target)}
        assert name in seen

    def test_the_picture_of_the_example_is_there(self, name, language):
        """ComfyUI looks for it from the folder of all help pages, sites of repositories from that of this one."""
        (picture,) = re.findall(r"!\[.+\]\((.+)\)", sections(name, language)[4])
        assert picture == f"{name}/{language}.webp"
        assert 5_000 < (DOCS / picture).stat().st_size < 40_000
        assert (DOCS / name / picture).read_bytes() == (DOCS / picture).read_bytes(), "docs/pictures.py copies it"

    def test_mistakes_have_a_cure(self, name, language):
        found = re.findall(r"^- \*\*.+?\*\* .+$", sections(name, language)[5], re.M)
        assert len(found) >= 3

    def test_the_errors_it_quotes_are_given(self, source, name, language):
        """What stands between the dots, word for word."""
        quoted = QUOTED[language].findall(sections(name, language)[5])
        assert quoted == QUOTED["en"].findall(sections(name, "en")[5])
        assert [error for error in quoted if not all(part in source for part in error.split("…"))] == []

    def test_it_leads_to_its_siblings(self, name, language):
        """By whole addresses: ComfyUI's page would look for a relative one elsewhere."""
        declared = re.search(r'^Repository = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
        assert declared
        links = re.findall(r"(?<!!)\[[^]]+\]\((.+?)\)", page(name, language))
        paths = [link.removeprefix(f"{declared[1]}/blob/main/") for link in links]
        assert len(paths) >= 2 and f"web/docs/{name}/{language}.md" not in paths
        assert all(path.endswith(f"/{language}.md") and (ROOT / path).is_file() for path in paths)


def names(chinese, name: str, sockets: str) -> list[str]:
    return [entry["name"] for entry in chinese[name][sockets].values()]


def test_the_pages_lie_where_comfyui_looks(pack):
    assert (ROOT / pack.WEB_DIRECTORY / "docs").resolve() == DOCS
    found = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("*/*") if path.is_file()}
    pages = [f"{name}/{language}" for name in NODES for language in LANGUAGES]
    assert found == {f"{page}.{ending}" for page in pages for ending in ("md", "webp")}


class TestChineseLocale:
    def test_it_has_every_node_and_socket(self, pack, chinese):
        promised = {
            name: (list(inputs(node)), [str(i) for i in range(len(node.RETURN_TYPES))])
            for name, node in pack.NODE_CLASS_MAPPINGS.items()
        }
        assert {name: (list(entry["inputs"]), list(entry["outputs"])) for name, entry in chinese.items()} == promised

    @every_node
    def test_it_says_everything(self, chinese, name):
        entry = chinese[name]
        assert entry.keys() == {"display_name", "description", "inputs", "outputs"}
        sockets = [*entry["inputs"].values(), *entry["outputs"].values()]
        assert all(socket.keys() == {"name", "tooltip"} and socket["name"] for socket in sockets)
        texts = [entry["description"], *(socket["tooltip"] for socket in sockets)]
        assert all(text.endswith("。") and re.search(r"[\u4e00-\u9fff]{3}", text) for text in texts)

    @every_node
    def test_its_numbers_are_those_of_the_tooltips(self, pack, chinese, name):
        node, entry = pack.NODE_CLASS_MAPPINGS[name], chinese[name]
        english = [node.DESCRIPTION, *(options["tooltip"] for _, options in inputs(node).values())]
        translated = [entry["description"], *(socket["tooltip"] for socket in entry["inputs"].values())]
        english += node.OUTPUT_TOOLTIPS
        translated += [socket["tooltip"] for socket in entry["outputs"].values()]
        for original, text in zip(english, translated, strict=True):
            assert set(re.findall(NUMBER, text)) == set(re.findall(NUMBER, original)), text

    def test_titles_and_names_are_told_apart(self, chinese):
        titles = [entry["display_name"] for entry in chinese.values()]
        assert len(set(titles)) == len(titles) and all(title.startswith("AutoDIR ") for title in titles)
        for name in chinese:
            for sockets in ("inputs", "outputs"):
                assert len(set(names(chinese, name, sockets))) == len(chinese[name][sockets])

    def test_the_page_has_no_other_meaning_for_it(self):
        """ComfyUI's page takes these characters of a translation for placeholders, links and plurals."""
        for path in (ROOT / "locales").rglob("*.json"):
            strings = re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text(encoding="utf-8"))
            assert strings and not [text for text in strings if set(text) & set("{}|@")]

    def test_the_category_has_a_name(self, pack):
        known = json.loads((ROOT / "locales/zh/main.json").read_text(encoding="utf-8"))
        assert known["nodeCategories"].keys() == {node.CATEGORY for node in pack.NODE_CLASS_MAPPINGS.values()}


class TestReadme:
    FILES = {"en": "README.md", "zh": "README.zh.md"}

    @pytest.fixture
    def texts(self):
        return {language: (ROOT / name).read_text(encoding="utf-8") for language, name in self.FILES.items()}

    @every_page
    def test_its_table_leads_to_every_help_page(self, texts, titles, language):
        found = re.findall(r"^\| \[(.+?)\]\((.+?)\) \|", texts[language], re.M)
        assert dict(found) == {title: f"web/docs/{name}/{language}.md" for title, name in titles(language).items()}

    @every_page
    def test_its_other_table_leads_to_every_workflow(self, texts, language):
        found = re.findall(r"^\| \*\*\[(.+?)\]\((.+?)\)\*\* \| .+ \|$", texts[language], re.M)
        assert dict(found) == {path.stem: f"workflows/{path.name}" for path in (ROOT / "workflows").glob("*.json")}
        assert [name for name, _ in found] == re.findall(r"\*\*\[(.+?)\]\(workflows/", texts["en"])

    def test_both_lead_to_each_other_at_the_top(self, texts):
        for language, other in (("en", "zh"), ("zh", "en")):
            assert f"]({self.FILES[other]})" in texts[language].splitlines()[2]

    def test_both_have_the_same_sections_pictures_and_commands(self, texts):
        """Without comments; a diagram, whose words are translated, counts its lines."""
        parts = []
        for text in texts.values():
            blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
            lines = [[line.partition("#")[0].rstrip() for line in block.splitlines()] for block in blocks]
            commands = [len(block) if "─►" in block[0] else block for block in lines]
            parts.append((text.count("\n## "), re.findall(r"!\[.+?\]\((.+?)\)", text), commands))
        assert parts[0] == parts[1]

    def test_both_have_the_same_measurements(self, texts):
        tables = [re.search(r"<!-- evaluation.+<!-- /evaluation -->", text, re.S) for text in texts.values()]
        english, translated = (re.findall(NUMBER, table[0]) for table in tables if table)
        assert english == translated and len(english) > 50
