"""Which nodes a loop runs again, on graphs drawn as "name: what it takes its inputs from"."""

from __future__ import annotations

import pytest

DRAWN = {
    "photo": "",
    "mask": "",
    "open": "photo",
    "blur": "open mask",
    "mixed": "open blur",
    "look": "mixed",  # a preview on the side
    "shown": "resized",
    "resized": "blur",  # leads to the preview before it
    "unused": "blur",  # leads nowhere
    "close": "open mixed",
    "save": "close",
    "compared": "blur close",  # waits for the loop to finish
    "looked": "compared",
}
CLASSES = {"open": "AutoDIRLoopOpen", "close": "AutoDIRLoopClose"}
PREVIEWS = ("look", "shown", "save", "looked")


@pytest.fixture
def loop_graph(pack):
    return pack.loop.loop_graph


@pytest.fixture
def graph():
    return drawn(DRAWN)


def drawn(sources: dict[str, str]) -> dict[str, dict]:
    """Nodes whose first input is called "loop" on a Close and "image" elsewhere, the others by their number."""
    nodes = {}
    for name, taken in sources.items():
        first = "loop" if name.startswith("close") else "image"
        names = [first, "image" if first == "loop" else "1", "2", "3"]
        inputs = dict(zip(names, ([source, 0] for source in taken.split()), strict=False))
        kind = CLASSES.get(name.split()[0], "Preview" if name in PREVIEWS else "Other")
        nodes[name] = {"class_type": kind, "inputs": {**inputs, "strength": 0.5}}
    return nodes


def is_output(class_type: str) -> bool:
    return class_type == "Preview"


class TestBody:
    def test_between_the_ends_and_previews_on_the_side(self, loop_graph, graph):
        assert loop_graph.loop_body(graph, "close", is_output) == {"blur", "mixed", "look", "resized", "shown"}

    def test_a_preview_that_waits_for_the_loop_does_not_count(self, loop_graph):
        graph = drawn({"open": "", "blur": "open", "close": "open blur", "look": "blur close"})
        assert loop_graph.loop_body(graph, "close", is_output) == {"blur"}

    def test_an_empty_body(self, loop_graph):
        assert loop_graph.loop_body(drawn({"open": "", "close": "open open"}), "close", is_output) == set()

    def test_a_loop_inside_is_part_of_it_and_has_its_own(self, loop_graph):
        graph = drawn({"open": "", "open 2": "open", "close": "", "close 2": "", "blur": ""})
        graph["blur"]["inputs"] = {"image": ["open 2", 1]}
        graph["close 2"]["inputs"] = {"loop": ["open 2", 0], "image": ["blur", 0]}
        graph["close"]["inputs"] = {"loop": ["open", 0], "image": ["close 2", 0]}
        assert loop_graph.loop_body(graph, "close", is_output) == {"open 2", "blur", "close 2"}
        assert loop_graph.loop_body(graph, "close 2", is_output) == {"blur"}

    def test_a_close_that_is_not_linked_to_an_open(self, loop_graph, pack):
        graph = drawn({"open": "", "switch": "open", "close": "switch open"})
        with pytest.raises(pack.loop.InputError, match="must go straight into AutoDIR Loop Close"):
            loop_graph.find_open(graph, "close")
        with pytest.raises(pack.loop.InputError, match="must go straight into AutoDIR Loop Close"):
            loop_graph.find_open(drawn({"close": "elsewhere"}), "close")

    def test_two_closes_for_one_open(self, loop_graph, pack):
        with pytest.raises(pack.loop.InputError, match="one AutoDIR Loop Open feeds 2"):
            loop_graph.find_open(drawn({"open": "", "close": "open open", "close 2": "open open"}), "close")


class TestCloneRound:
    @pytest.fixture
    def clones(self, loop_graph, graph):
        graph["open"]["inputs"]["value_b"] = ["mask", 1]
        names = {"new_id": "2.{}".format, "drawn_id": str.upper}
        return loop_graph.clone_round(graph, "close", is_output, last=False, low_confidence="0,2", **names)

    def test_the_body_and_both_ends_are_cloned(self, clones):
        names = ("blur", "close", "look", "mixed", "open", "resized", "shown")
        assert list(clones) == [f"2.{name}" for name in names]
        assert [clone["override_display_id"] for clone in clones.values()] == [name.upper() for name in names]

    def test_links_inside_move_and_links_outside_stay(self, clones):
        assert clones["2.blur"]["inputs"] == {"image": ["2.open", 0], "1": ["mask", 0], "strength": 0.5}
        assert clones["2.close"]["inputs"] == {"loop": ["2.open", 0], "image": ["2.mixed", 0], "strength": 0.5}

    def test_the_next_open_begins_where_this_round_ended(self, clones):
        assert clones["2.open"]["inputs"] == {
            "image": ["mixed", 0],
            "previous": ["open", 0],
            "last": False,
            "low_confidence": "0,2",
            "gate": False,
            "value_b": ["mask", 1],
            "strength": 0.5,
        }

    def test_who_had_low_confidence_before_is_told_anew(self, loop_graph, graph):
        graph["open"]["inputs"]["low_confidence"] = "1"
        clones = loop_graph.clone_round(graph, "close", is_output, last=False, new_id="2.{}".format, drawn_id=str.upper)
        assert clones["2.open"]["inputs"]["low_confidence"] == ""

    def test_after_the_last_round_nothing_of_the_body_is_needed(self, loop_graph, graph):
        clones = loop_graph.clone_round(graph, "close", is_output, last=True, new_id="2.{}".format, drawn_id=str.upper)
        assert list(clones) == ["2.close", "2.open"]
        assert clones["2.open"]["inputs"]["last"] is True
        assert clones["2.open"]["inputs"]["image"] == ["mixed", 0]

    def test_what_the_host_wrote_into_a_node_names_the_clones(self, loop_graph, graph):
        graph["blur"] |= {
            "_loop_body": ["look", "mask"],
            "_loop_end": "mixed",
            "is_changed": 1,
            "_meta": {"title": "look"},
        }
        clones = loop_graph.clone_round(graph, "close", is_output, last=False, new_id="2.{}".format, drawn_id=str.upper)
        assert clones["2.blur"].keys() - clones["2.look"].keys() == {"_loop_body", "_loop_end"}
        assert clones["2.blur"]["_loop_body"] == ["2.look", "mask"]
        assert clones["2.blur"]["_loop_end"] == "2.mixed"

    def test_the_graph_is_not_written_to(self, graph, clones):
        assert graph["open"]["inputs"] == {"image": ["photo", 0], "strength": 0.5, "value_b": ["mask", 1]}
        assert graph["blur"] == drawn(DRAWN)["blur"]


@pytest.mark.parametrize(
    ("node_id", "parent", "name"),
    [("12", None, "12"), ("load.image", None, "load.image"), ("9.0.0.5", "9", "5"), ("9.0.0.9.0.0.5", "9.0.0.9", "5")]
    + [("my.close.0.0.load.image", "my.close", "load.image")]
    + [("16-9.0.0.16-5", "16:9", "16-5"), ("16:9.0.0.x:5", "16:9", "x:5"), ("16:5", None, "16:5")],
)
def test_names_do_not_grow_with_the_rounds(loop_graph, node_id, parent, name):
    assert loop_graph.local_name(node_id, parent) == name
