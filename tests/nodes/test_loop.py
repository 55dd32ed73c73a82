"""Loop Open and Loop Close by themselves, on the tiny golden model and a body that each test is."""

from __future__ import annotations

import dataclasses
import importlib
import operator
from collections.abc import Mapping

import pytest
import torch

NOTHING = object()


class Running:
    """A running graph as the host hands it to a node: here with two nodes on a level of their own."""

    def __init__(self, nodes, parent=None):
        self.nodes, self.parent = nodes, parent

    def all_node_ids(self):
        return {*self.nodes, "elsewhere"}

    def get_node(self, node_id):
        return self.nodes[node_id]

    def get_parent_node_id(self, node_id):
        return "other" if node_id == "elsewhere" else self.parent

    def get_display_node_id(self, node_id):
        return f"drawn {node_id}"


@pytest.fixture(autouse=True)
def expansion(comfy, monkeypatch):
    """What ComfyUI answers to a node that expands."""
    module = comfy("expansion")
    monkeypatch.setattr(module, "list_index", lambda: 0)
    monkeypatch.setattr(module, "blocked_output", lambda: NOTHING)
    monkeypatch.setattr(module, "keeps_results", lambda: True)
    monkeypatch.setattr(module, "alloc_prefix", lambda: "9.0.0.")
    monkeypatch.setattr(module, "is_output_node", lambda class_type: class_type == "PreviewImage")
    return module


@pytest.fixture
def loop_open(pack, model):
    node = pack.NODE_CLASS_MAPPINGS["AutoDIRLoopOpen"]()
    return lambda image, labels="", **inputs: node.open(model, image, labels, **inputs)


@pytest.fixture
def close(pack):
    return pack.NODE_CLASS_MAPPINGS["AutoDIRLoopClose"]()


@pytest.fixture
def core(pack):
    return lambda name: importlib.import_module(f"{pack.__name__}.autodir_core.{name}")


@pytest.fixture
def error(core):
    return core("errors").InputError


@pytest.fixture
def white(photo):
    return torch.ones_like(photo)


class TestOpen:
    def test_the_first_round_decides_as_the_core_does(self, loop_open, model, photo):
        loop, image, assessed, label, weight, index, *values = loop_open(photo, value_a="mine")
        expected = model.model.assess(photo)
        assert torch.equal(image, photo) and loop.in_progress
        assert torch.equal(assessed.assessment.probabilities, expected.probabilities)
        assert torch.equal(assessed.assessment.embedding, expected.embedding)
        assert assessed.prompt_states.shape[0] == 8
        assert (label, weight, index, values) == ("low resolution", 0.0, 0, ["mine", None])

    def test_the_next_round_asks_about_what_remains(self, loop_open, model, photo):
        loop, *_ = loop_open(photo)
        loop, image, assessed, label, weight, index, *values = loop_open(photo / 2, previous=loop, value_b=3)
        remaining = [name for name in model.model.labels if name != "low resolution"]
        expected = model.model.assess(photo / 2, remaining)
        assert torch.equal(image, photo / 2)
        found = dict(zip(assessed.assessment.labels, assessed.assessment.probabilities[0].tolist(), strict=True))
        assert found.pop("low resolution") == 0
        assert list(found.values()) == expected.probabilities[0].tolist()
        assert torch.equal(assessed.assessment.embedding, expected.embedding)
        assert (label, weight, index, values) == (expected.top[0], 1.0, 1, [None, 3])

    def test_a_clean_picture_lets_nothing_run(self, loop_open, photo):
        loop, *others = loop_open(photo, "no")
        assert not loop.in_progress
        assert others == [NOTHING] * 7

    def test_pictures_of_a_batch_have_their_own_labels(self, loop_open, photo, white):
        loop, _, _, label, *_ = loop_open(torch.cat([photo, white]), "underexposure, no")
        assert label == "underexposure, no"
        assert [picture.stopped for picture in loop.states] == [None, "clean"]

    def test_a_label_that_won_has_probability_0_for_that_picture_only(self, loop_open, photo):
        batch = torch.cat([photo, photo / 10])
        first, _, _, label, *_ = loop_open(batch, "raindrop, haze, noise")
        assert label == "raindrop, haze"
        probabilities = loop_open(batch, previous=first)[2].assessment.probabilities
        assert (probabilities == 0).tolist() == [[True, False, False], [False, True, False]]
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))

    def test_weights_differ_in_a_batch_only_where_they_have_to(self, pack, loop_open, model, photo, white):
        loop, *_ = loop_open(torch.cat([photo, white]), "underexposure, no")
        weights = {"underexposure": 0.25}
        metadata = dataclasses.replace(model.model.metadata, scm_weight=weights)
        autodir = type(model.model)(model.model.networks, model.model.config, metadata)
        assert pack.loop.loop_state.current_weights(loop, autodir) == 0.25  # the other is finished
        states = (loop.states[0], dataclasses.replace(loop.states[1], label="rain", stopped=None))
        assert pack.loop.loop_state.current_weights(dataclasses.replace(loop, states=states), autodir) == [0.25, 1.0]

    def test_correct_takes_a_weight_for_each(self, pack, model, photo, error):
        batch, correct = torch.cat([photo, photo.flip(1)]), pack.NODE_CLASS_MAPPINGS["AutoDIRCorrect"]()
        image, _ = correct.correct(model, batch, batch.flip(2), [0.0, 1.0])
        whole, _ = correct.correct(model, batch, batch.flip(2), 1.0)
        assert torch.equal(image, torch.cat([batch.flip(2)[:1], whole[1:]]))
        with pytest.raises(error, match="one for each of the 2 pictures, got 3"):
            correct.correct(model, batch, batch, [0.0, 1.0, 1.0])

    def test_the_crops_is_the_core_s_in_every_round(self, loop_open, model):
        large = torch.rand(1, 230, 300, 3, generator=torch.Generator().manual_seed(4))
        loop, _, assessed, label, *_ = loop_open(large, crops="grid")
        first = model.model.assess(large, crops="grid")
        assert torch.equal(assessed.assessment.probabilities, first.probabilities)
        _, _, assessed, *_ = loop_open(large, crops="grid", previous=loop)
        remaining = [name for name in model.model.labels if name != label]
        second = model.model.assess(large, remaining, "grid")
        assert torch.equal(assessed.assessment.embedding, second.embedding)
        assert assessed.assessment.agreement == second.agreement

    def test_labels_are_checked(self, loop_open, photo, error):
        with pytest.raises(error, match="unknown label 'fog'"):
            loop_open(photo, "fog")

    def test_a_list_is_refused(self, loop_open, photo, expansion, monkeypatch, error):
        monkeypatch.setattr(expansion, "list_index", lambda: 1)
        with pytest.raises(error, match="the loop was given a list"):
            loop_open(photo)


class TestLast:
    """After the last round Loop Open only takes up what the body made, and Loop Close tells it."""

    @pytest.fixture
    def finished(self, loop_open, close):
        def finish(before, images, max_rounds=7, **values):
            loop, *others = loop_open(images, previous=before, last=True, **values)
            assert others == [NOTHING] * 7
            return close.close(loop, ["body", 0], max_rounds)

        return finish

    def test_the_results(self, loop_open, finished, photo):
        loop, *_ = loop_open(photo, "rain")
        image, count, report, pictures, *values = finished(loop, photo / 2, value_a="new", value_b="kept")
        assert torch.equal(image, photo / 2) and torch.equal(pictures, torch.cat([photo, photo / 2]))
        assert (count, values) == (1, ["new", "kept"])
        assert report.splitlines() == ["round 1: rain 100 %", "done: no label left"]

    def test_the_rounds_are_used_up(self, loop_open, finished, photo):
        assert finished(loop_open(photo)[0], photo, 1)[2].splitlines()[-1] == "stopped: limit of 1 round reached"

    def test_finished_pictures_stay(self, loop_open, finished, photo, white):
        loop, *_ = loop_open(torch.cat([photo, white]), "underexposure, no")
        image, count, report, pictures, *_ = finished(loop, torch.cat([photo / 2, white / 2]), 1)
        assert torch.equal(image, torch.cat([photo / 2, white]))
        assert torch.equal(pictures, torch.cat([photo, white, photo / 2, white]))
        one, other = report.split("\n\n")
        assert (
            one.endswith("stopped: limit of 1 round reached")
            and other.startswith("picture 2\ndone: clean")
            and count == 1
        )

    def test_alpha_is_kept_and_grows_with_the_picture(self, loop_open, finished, photo):
        alpha = torch.linspace(0, 1, 72).expand(1, 50, 72)[..., None]
        loop, image, *_ = loop_open(torch.cat([photo, alpha], dim=-1), "rain")
        assert image.shape[-1] == 4
        same, _, _, pictures, *_ = finished(loop, photo / 2)
        assert torch.equal(same, torch.cat([photo / 2, alpha], dim=-1)) and pictures.shape[-1] == 3
        larger, _, _, pictures, *_ = finished(loop, torch.zeros(1, 100, 144, 3))
        assert larger.shape == (1, 100, 144, 4) and pictures.shape == (2, 100, 144, 3)
        assert (larger[0, 0, :, 3].diff() >= 0).all() and larger[0, 0, -1, 3] == 1

    @pytest.mark.parametrize("images", [None, torch.zeros(2, 50, 72, 3), torch.zeros(50, 72, 3)])
    def test_another_number_of_pictures(self, loop_open, finished, photo, error, images):
        with pytest.raises(error, match="one picture for each of the 1 that went in"):
            finished(loop_open(photo)[0], images)

    def test_a_new_size_beside_a_finished_picture(self, loop_open, finished, photo, white, error):
        loop, *_ = loop_open(torch.cat([photo, white]), "underexposure, no")
        with pytest.raises(error, match=r"72 x 50 x 3 and 144 x 100 x 3.*one\s+picture at a time"):
            finished(loop, torch.zeros(2, 100, 144, 3))


class TestClose:
    @pytest.fixture
    def running(self):
        """A loop with one node."""
        return Running(
            {
                "a.1": {"class_type": "AutoDIRLoopOpen", "inputs": {"model": ["m", 0], "image": ["p", 0]}},
                "c": {"class_type": "Sharpen", "inputs": {"image": ["a.1", 1]}},
                "b": {"class_type": "AutoDIRLoopClose", "inputs": {"loop": ["a.1", 0], "image": ["c", 0]}},
            }
        )

    def test_a_clean_picture_comes_back_untouched(self, loop_open, close, photo):
        loop, *_ = loop_open(photo, "no", value_a="mine")
        image, count, report, pictures, *values = close.close(loop, ["body", 0], 7)
        assert torch.equal(image, photo) and torch.equal(pictures, photo)
        assert (count, report, values) == (0, "done: clean (no 100 %)", ["mine", None])

    def test_another_round_is_an_expansion(self, loop_open, close, photo, running):
        loop, *_ = loop_open(photo)
        assert close.close(loop, ["c", 0], 7, node_id="b", graph=running) == {
            "expand": {
                "9.0.0.a.1": {
                    "class_type": "AutoDIRLoopOpen",
                    "inputs": {
                        "model": ["m", 0],
                        "image": ["c", 0],
                        "previous": ["a.1", 0],
                        "last": False,
                        "low_confidence": "",
                        "gate": False,
                    },
                    "override_display_id": "drawn a.1",
                },
                "9.0.0.b": {
                    "class_type": "AutoDIRLoopClose",
                    "inputs": {"loop": ["9.0.0.a.1", 0], "image": ["9.0.0.c", 0]},
                    "override_display_id": "drawn b",
                },
                "9.0.0.c": {
                    "class_type": "Sharpen",
                    "inputs": {"image": ["9.0.0.a.1", 1]},
                    "override_display_id": "drawn c",
                },
            },
            "result": tuple(["9.0.0.b", output] for output in range(6)),
        }

    def test_clones_of_nodes_in_a_subgraph_are_in_none(self, loop_open, close, photo, running, expansion, monkeypatch):
        """Older pages look for a subgraph of the name before every ":", and fail."""
        running.nodes = {
            "4:1": {"class_type": "AutoDIRLoopOpen", "inputs": {"image": ["p", 0]}},
            "4:2": {"class_type": "Sharpen", "inputs": {"image": ["4:1", 1]}},
            "4:3": {"class_type": "AutoDIRLoopClose", "inputs": {"loop": ["4:1", 0], "image": ["4:2", 0]}},
        }
        monkeypatch.setattr(expansion, "alloc_prefix", lambda: "4:3.0.0.")
        done = close.close(loop_open(photo)[0], ["4:2", 0], 7, node_id="4:3", graph=running)
        assert list(done["expand"]) == ["4-3.0.0.4-1", "4-3.0.0.4-2", "4-3.0.0.4-3"]
        assert done["expand"]["4-3.0.0.4-2"]["inputs"] == {"image": ["4-3.0.0.4-1", 1]}
        assert done["expand"]["4-3.0.0.4-2"]["override_display_id"] == "drawn 4:2"
        assert done["result"][0] == ["4-3.0.0.4-3", 0]

    @pytest.mark.parametrize(
        ("source", "message"), [("a.1", "the loop has no nodes"), ("p", "gets its image from outside the loop")]
    )
    def test_what_no_node_of_the_loop_made_is_refused(self, loop_open, close, photo, running, error, source, message):
        """A bypassed body, or a link past it, would report rounds in which nothing happened."""
        running.nodes["b"]["inputs"]["image"] = [source, 1]
        with pytest.raises(error, match=message):
            close.close(loop_open(photo)[0], [source, 1], 7, node_id="b", graph=running)

    def test_a_host_that_forgets_results_is_told(self, loop_open, close, photo, running, error, monkeypatch, expansion):
        monkeypatch.setattr(expansion, "keeps_results", lambda: False)
        with pytest.raises(error, match="runs no loops with --cache-none"):
            close.close(loop_open(photo)[0], ["c", 0], 7, node_id="b", graph=running)

    @pytest.mark.parametrize(("labels", "max_rounds", "last"), [("", 2, False), ("", 1, True), ("rain", 7, True)])
    def test_the_last_round_is_known_before_it_runs(self, loop_open, close, photo, running, labels, max_rounds, last):
        loop, *_ = loop_open(photo, labels)
        expansion = close.close(loop, ["c", 0], max_rounds, node_id="b", graph=running)["expand"]
        assert expansion["9.0.0.a.1"]["inputs"]["last"] is last

    def test_the_host_neither_evaluates_nor_gives_what_the_body_makes(self, close):
        types = close.INPUT_TYPES()
        for options in (
            types["required"]["image"][1],
            types["optional"]["value_a"][1],
            types["optional"]["value_b"][1],
        ):
            assert options["lazy"] and options["rawLink"]

    @pytest.mark.parametrize("max_rounds", [0, 17])
    def test_the_number_of_rounds_is_bounded(self, loop_open, close, photo, error, max_rounds):
        with pytest.raises(error, match=rf"in 1..16, got {max_rounds}"):
            close.close(loop_open(photo)[0], ["body", 0], max_rounds)

    def test_a_list_is_refused(self, loop_open, close, photo, expansion, monkeypatch, error):
        loop, *_ = loop_open(photo)
        monkeypatch.setattr(expansion, "list_index", lambda: 1)
        with pytest.raises(error, match="the loop was given a list"):
            close.close(loop, ["body", 0], 7)


class TestMinConfidence:
    """A batch of two, of which the tiny model is not equally sure."""

    LABELS = "noise, blur, rain"

    @pytest.fixture
    def batch(self, photo, white):
        return torch.cat([photo, white])

    @pytest.fixture
    def first(self, loop_open, batch):
        return loop_open(batch, self.LABELS)[0]

    @pytest.fixture
    def sure(self, first):
        """How sure the model is of each."""
        return [picture.assessment.probabilities.max().item() for picture in first.states]

    @pytest.fixture
    def running(self):
        nodes = {
            "open": {"class_type": "AutoDIRLoopOpen", "inputs": {"image": ["p", 0]}},
            "body": {"class_type": "Sharpen", "inputs": {"image": ["open", 1]}},
            "close": {"class_type": "AutoDIRLoopClose", "inputs": {"loop": ["open", 0], "image": ["body", 0]}},
        }
        return Running(nodes)

    def test_above_everything_the_pictures_come_back_untouched(self, first, close, batch, sure):
        image, count, report, pictures, *_ = close.close(first, ["body", 0], 7, min_confidence=1.0)
        assert torch.equal(image, batch) and torch.equal(pictures, batch) and count == 0
        assert [line.split(" (")[0] for line in report.splitlines() if line.startswith("done")] == [
            "done: low confidence"
        ] * 2
        assert f"{100 * sure[0]:.0f} %)" in report.split("\n\n")[0]

    def test_one_exactly_at_it_goes_on(self, pack, first, sure):
        for min_confidence in (0.0, min(sure), max(sure)):
            going_on = [
                p.label is not None for p in pack.loop.loop_state.apply_confidence(first, min_confidence, False).states
            ]
            assert going_on == [probability >= min_confidence for probability in sure]

    def test_the_next_open_is_told_which_and_leaves_them(self, first, loop_open, close, batch, sure, running):
        weaker = sure.index(min(sure))
        settings = {"node_id": "close", "graph": running}
        expansion = close.close(first, ["body", 0], 7, min_confidence=sum(sure) / 2, **settings)["expand"]
        inputs = expansion["9.0.0.open"]["inputs"]
        assert (inputs["low_confidence"], inputs["last"]) == (str(weaker), False)
        loop, image, _, label, *_ = loop_open(batch / 2, previous=first, low_confidence=inputs["low_confidence"])
        assert torch.equal(image[weaker], batch[weaker]) and torch.equal(image[1 - weaker], batch[1 - weaker] / 2)
        assert label.split(", ")[weaker] == "no" and loop.states[weaker].stopped == "low_confidence"
        assert first.states[weaker].stopped is None, "the loop of the link is not written to"

    def test_who_had_low_confidence_stays_so(self, pack, first, loop_open, batch):
        loop, *_ = loop_open(batch, previous=first, low_confidence="1")
        loop, *_ = loop_open(batch, previous=loop, low_confidence="1")
        assert pack.loop.loop_state.low_confidence_indices(loop) == "1"
        assert [len(picture.rounds) for picture in loop.states] == [2, 0]
        assert loop.states[1].stop_reason(7) == "low_confidence"

    def test_with_the_others_clean_nothing_is_in_progress(self, loop_open, close, photo, white):
        batch = torch.cat([photo, white])
        loop, *_ = loop_open(batch, "underexposure, no")
        image, count, report, *_ = close.close(loop, ["body", 0], 7, min_confidence=1.0)
        assert torch.equal(image, batch) and count == 0
        assert [line.split()[1] for line in report.splitlines() if line.startswith("done")] == ["low", "clean"]

    def test_more_than_ten_pictures_are_told_apart(self, pack, loop_open, photo):
        loop, *_ = loop_open(photo.repeat(12, 1, 1, 1), "rain")
        given_up = pack.loop.loop_state.mark_low_confidence(loop, "3,10")
        assert [i for i, picture in enumerate(given_up.states) if picture.label is None] == [3, 10]
        assert pack.loop.loop_state.low_confidence_indices(given_up) == "3,10"

    @pytest.mark.parametrize("min_confidence", [-0.1, 1.5])
    def test_it_is_a_probability(self, first, close, error, min_confidence):
        with pytest.raises(error, match=rf"min_confidence. takes a number in 0..1, got {min_confidence}"):
            close.close(first, ["body", 0], 7, min_confidence=min_confidence)


@pytest.mark.parametrize(("gate", "least_edges"), [(False, 0.0), (True, -1.0), (True, 1.0)])
def test_the_rounds_of_the_core(loop_open, close, model, photo, core, monkeypatch, gate, least_edges):
    """Round by round with the core's own diffusion as the body: the core's restoration, bit for bit.

    Without a gate, and with one that accepts a part of one round, or of none.
    """
    records = core("settings")
    settings = records.SamplerSettings(steps=1)
    thresholds = core("checkpoint.metadata").GateThresholds(min_edges=least_edges, max_shift=1.0)
    metadata = dataclasses.replace(model.model.metadata, gate=dict.fromkeys(model.model.labels, thresholds))
    monkeypatch.setattr(model.model, "metadata", metadata)
    expected = core("pipeline").restore(model.model, photo, records.LoopSettings(gate=gate), settings, seed=3)
    loop, image, assessed, _, weight, *_ = loop_open(photo)
    while loop.in_progress:
        latent = model.model.sample(model.model.encode(image), assessed.assessment.embedding, settings, seed=3)
        generated = model.model.decode(latent, size=image.shape[1:3])
        image = core("stages.correction").lerp_correction(generated, model.model.correct(image, generated), weight)
        loop, image, assessed, _, weight, *_ = loop_open(image, previous=loop, gate=gate)
    image, count, report, *_ = close.close(loop, ["body", 0], 7, gate=gate)
    assert torch.equal(image, expected.image)
    assert [done.verdicts for done in loop.states[0].rounds] == [done.verdicts for done in expected.rounds]
    assert count == 5 and report.splitlines() == core("reporting.summary").round_lines(expected)


def test_any_type_matches_every_other_and_equals_only_itself(pack):
    unequal = operator.ne
    assert not unequal(pack.loop.ANY, "IMAGE") and not unequal("IMAGE", pack.loop.ANY)
    assert pack.loop.ANY == "*" and not operator.eq(pack.loop.ANY, "IMAGE")


def test_errors_in_clones_are_named_on_the_drawn_node(expansion, monkeypatch):
    """And those in what a clone, or any other node, expanded to."""
    monkeypatch.undo()
    parents = {"9.0.0.5": "9", "9.0.0.5.0.0.1": "9.0.0.5", "7.0.0.1": "7"}
    running = Running(
        {"9": {"class_type": "AutoDIRLoopClose"}, "9.0.0.5": {"class_type": "Other"}, "7": {"class_type": "Other"}}
    )
    running.get_parent_node_id = parents.get
    running.get_display_node_id = {"9.0.0.5": "5"}.get
    expansion.report_errors_on_drawn_nodes(running, "AutoDIRLoopClose")
    named = {node: running.get_real_node_id(node) for node in ("9.0.0.5", "9.0.0.5.0.0.1", "7.0.0.1", "7", "9")}
    assert named == {"9.0.0.5": "5", "9.0.0.5.0.0.1": "5", "7.0.0.1": "7", "7": "7", "9": "9"}


class TestOneDecision:
    def test_all_pictures_get_the_label_of_their_mean(self, loop_open, model, photo):
        batch = torch.cat([photo, photo / 10])
        loop, _, assessed, label, *_ = loop_open(batch, "raindrop, haze, noise", one_decision=True)
        assert loop_open(batch, "raindrop, haze, noise")[3] == "raindrop, haze", "each has its own"
        mean = model.model.assess(batch, ["raindrop", "haze", "noise"]).probabilities.mean(dim=0)
        winner = ("raindrop", "haze", "noise")[int(mean.argmax())]
        assert label == f"{winner}, {winner}"
        assert torch.allclose(assessed.assessment.probabilities, mean.expand(2, -1))
        _, _, assessed, label, *_ = loop_open(batch, previous=loop, one_decision=True)
        assert len(set(label.split(", "))) == 1 and winner not in label
        assert torch.equal(*assessed.assessment.probabilities)

    @pytest.mark.parametrize("accepted", [0.5, 0.0])
    def test_the_gate_finds_the_same_about_all(self, loop_open, photo, core, monkeypatch, accepted):
        """It looks at one of the two, which accepts half of its change, or nothing."""
        judged = []

        def judge(gate, before, after, label, overall, strength=1.0):
            judged.append(before)
            reason = "" if strength <= accepted else "edges moved"
            return core("outputs").Verdict(reason, strength, 1.0, 1.0, 0.0)

        monkeypatch.setattr(core("stages.quality_gate").QualityGate, "judge", judge)
        batch = torch.cat([photo, photo / 10])
        first, *_ = loop_open(batch, one_decision=True)
        second, *_ = loop_open(batch.flip(2), previous=first, one_decision=True, gate=True)
        example = batch[first.example or 0][None]
        assert judged and all(torch.equal(before, example) for before in judged)
        verdicts = [state.rounds[0].verdicts[0] for state in second.states]
        assert verdicts[0] is verdicts[1] and verdicts[0].accepted == (accepted > 0)
        torch.testing.assert_close(second.images, torch.lerp(batch, batch.flip(2), accepted))

    def test_pictures_that_are_clean_end_together(self, loop_open, photo):
        loop, *others = loop_open(torch.cat([photo, photo / 10]), "no", one_decision=True)
        assert [state.stopped for state in loop.states] == ["clean", "clean"] and others == [NOTHING] * 7


def counted(value, seen: set[int]) -> int:
    """Bytes that ComfyUI's cache of finished nodes counts (since 0.36), each memory once."""
    if isinstance(value, torch.Tensor):
        place = value.untyped_storage()
        known = place.data_ptr() in seen
        seen.add(place.data_ptr())
        return 0 if known else place.nbytes()
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        return sum(counted(one, seen) for one in value)
    return counted(value._comfy_cache_tensors(), seen) if hasattr(value, "_comfy_cache_tensors") else 0


def test_the_host_s_cache_knows_how_large_the_loop_is(loop_open, photo):
    first, _, assessed, *_ = loop_open(photo)
    second, *_ = loop_open(photo / 2, previous=first, value_a=torch.zeros(1000))
    states, embedding = assessed.prompt_states, assessed.assessment.embedding
    assert counted(assessed, set()) >= states.nbytes + embedding.nbytes
    assert counted(first, set()) >= photo.nbytes + embedding.nbytes
    assert counted(second, set()) - counted(first, set()) >= photo.nbytes + 4000
