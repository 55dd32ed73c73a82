"""The quality gate on made-up cases: what is accepted, what is refused and why, and what follows a refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import autodir_core as ad
from autodir_core.checkpoint.metadata import GateThresholds
from autodir_core.model import AutoDIR
from autodir_core.outputs import Verdict
from autodir_core.pipeline import plan_rounds, repeat_rounds
from autodir_core.stages.quality_gate import QualityGate, judge

LABELS = ("noise", "haze", "no")
BEFORE = {"noise": 0.7, "haze": 0.1, "no": 0.2}
CLEANED = {"noise": 0.1, "haze": 0.1, "no": 0.8}
FAST = ad.SamplerSettings(steps=2)


@pytest.fixture
def picture() -> Tensor:
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    return 0.2 + 0.6 * torch.nn.functional.interpolate(coarse, (64, 64), mode="bilinear").movedim(1, -1)


def refusal(picture: Tensor, after: Tensor, found: dict[str, float], label: str = "noise", **least: float) -> str:
    return judge(picture, after, (BEFORE, found), label, GateThresholds(**least)).refusal


def test_damage_that_went_while_the_content_stayed_is_accepted(picture):
    verdict = judge(picture, picture * 0.98, (BEFORE, CLEANED), "noise", GateThresholds())
    assert verdict.accepted and verdict.removed == pytest.approx(6 / 7) and verdict.edges > 0.99


def test_damage_that_stayed_is_refused(picture):
    assert refusal(picture, picture, BEFORE) == "the damage stayed"
    assert refusal(picture, picture, CLEANED, min_removed=0.9) == "the damage stayed"


def test_another_damage_in_its_place_is_refused(picture):
    assert refusal(picture, picture, {"noise": 0.1, "haze": 0.7, "no": 0.2}) == "another damage rose"
    assert not refusal(picture, picture, {"noise": 0.1, "haze": 0.3, "no": 0.6}), "it rose by less than the other fell"
    assert not refusal(picture, picture, {"noise": 0.0, "haze": 0.5, "no": 0.5}), "it was there beside the other"
    assert not refusal(picture, picture, {"noise": 0.01, "haze": 0.97, "no": 0.02}), "the other had covered it"


def test_another_scene_is_refused(picture):
    assert refusal(picture, picture.flip(1), CLEANED) == "edges moved"


def test_only_damage_of_light_may_change_the_light(picture):
    brighter, found = picture * 0.6 + 0.4, {"noise": 0.7, "haze": 0.01, "no": 0.29}
    assert refusal(picture, brighter, CLEANED) == "light and colors shifted"
    assert not refusal(picture, brighter, found, label="haze")


def gate(found: dict[float, dict[str, float]], picture: Tensor) -> QualityGate:
    """A gate whose assessment goes by how bright a picture is, relative to the given one."""

    def assess(image: Tensor) -> Tensor:
        ratio = (image.mean() / picture.mean()).item()
        nearest = min(found, key=lambda at: abs(at - ratio))
        return torch.tensor([[found[nearest][label] for label in LABELS]])

    return QualityGate({"noise": GateThresholds(max_shift=0.3)}, LABELS, assess)


def test_a_weaker_change_is_tried(picture):
    worse = BEFORE | {"haze": 0.9}
    verdict, image = gate({0.5: worse, 0.75: CLEANED}, picture).choose(picture, picture / 2, "noise", BEFORE)
    assert verdict.accepted and verdict.strength == 0.5
    torch.testing.assert_close(image, 0.75 * picture)


def test_of_an_overdone_change_a_part_is_tried_first(picture):
    careful = replace(gate({0.9: CLEANED}, picture), thresholds={"noise": GateThresholds(max_strength=0.8)})
    verdict, image = careful.choose(picture, picture * 0.9, "noise", BEFORE)
    assert verdict.accepted and verdict.strength == 0.8
    torch.testing.assert_close(image, picture * 0.92)
    refusing = replace(careful, thresholds={"noise": GateThresholds(max_strength=0.8, max_shift=0.02)})
    assert refusing.choose(picture, picture * 0.9, "noise", BEFORE)[0].strength == 0.4, "then half of that part"


def test_what_no_part_of_a_change_improves_stays_bit_for_bit(picture):
    verdict, image = gate({1.0: BEFORE}, picture).choose(picture, picture / 2, "noise", BEFORE)
    assert image is picture and (verdict.refusal, verdict.strength) == ("the damage stayed", 1.0)


def test_an_upscaled_round_is_judged_in_its_size(picture):
    enlarged = torch.nn.functional.interpolate(picture.movedim(-1, 1), scale_factor=2, mode="bilinear").movedim(1, -1)
    verdict, image = gate({1.0: CLEANED}, picture).choose(picture, enlarged, "noise", BEFORE)
    assert verdict.accepted and image is enlarged


def with_thresholds(model: AutoDIR, **least: float) -> AutoDIR:
    gate = {label: GateThresholds(**least) for label in model.labels}
    return AutoDIR(model.networks, model.config, replace(model.metadata, gate=gate))


def test_refused_rounds_leave_the_input_and_say_so(tiny):
    images = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(3))
    strict = with_thresholds(tiny, min_edges=1.0, min_removed=1.0)
    done = ad.restore(strict, images, ad.LoopSettings(max_rounds=2, gate=True), FAST)
    assert torch.equal(done.image, images) and done.image is not images
    assert [r.verdict(0).accepted for r in done.rounds] == [False, False]  # pyright: ignore[reportOptionalMemberAccess]
    assert len({r.label for r in done.rounds}) == 2, "the next probable label is tried"


def test_a_gate_that_accepts_changes_no_bit(picture):
    after = picture * 0.9
    verdict, image = gate({0.9: CLEANED}, picture).choose(picture, after, "noise", BEFORE)
    assert verdict.strength == 1.0 and image is after


def test_a_label_that_is_not_probable_enough_begins_no_round(tiny):
    images = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(3))
    done = ad.restore(with_thresholds(tiny, min_confidence=1.0), images, ad.LoopSettings(gate=True), FAST)
    assert done.rounds == [] and done.stopped in [("low_confidence",), ("clean",)]


def test_a_damage_that_is_named_is_seen_among_all_others(tiny):
    """Where only one label may be the answer its probability is 1, before the round and after."""
    images = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(3))
    gate = QualityGate.of(tiny, ("noise",), "center")
    found = gate.overall(images, ("noise",))
    assert found == QualityGate.of(tiny, tiny.labels, "center").probabilities(images)
    assert gate.labels == tiny.labels and found["noise"] < 1
    told = ("noise", "no")
    assert QualityGate.of(tiny, told, "center").overall(images, told) is None


def test_whoever_names_a_damage_needs_no_sure_assessment(tiny):
    images = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(3))
    done = ad.restore(
        with_thresholds(tiny, min_confidence=1.0), images, ad.LoopSettings(labels=["noise"], gate=True), FAST
    )
    assert [r.label for r in done.rounds] == ["noise"]


def test_strength_is_the_part_of_the_whole_change_whatever_the_rounds(tiny):
    """A weaker round would be refused for the damage that it leaves, and the next would see what it left."""
    images = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(3))
    whole, half, none = (
        ad.restore(tiny, images, ad.LoopSettings(max_rounds=2, strength=strength), FAST) for strength in (1, 0.5, 0)
    )
    assert len(whole.rounds) == 2 and all(
        torch.equal(*pair) for pair in zip(*map(pictures, (whole, half)), strict=True)
    )
    torch.testing.assert_close(half.image, (images + whole.image) / 2)
    assert torch.equal(none.image, images) and none.image.data_ptr() != images.data_ptr()
    with pytest.raises(ad.InputError, match="strength"):
        ad.LoopSettings(strength=1.5)


def pictures(done: ad.Restoration) -> list[Tensor]:
    return [one.image for one in done.rounds]


def test_of_several_candidates_the_gate_takes_the_best(tiny, monkeypatch):
    """The second of three, which removed most, whose noise is not the picture's own."""
    images = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(3))
    found = iter([0.5, 0.9, 0.7])

    def choose(gate: QualityGate, before: Tensor, after: Tensor, *_: object) -> tuple[Verdict, Tensor]:
        return Verdict("", 1.0, next(found), 1.0, 0.0), after

    monkeypatch.setattr("autodir_core.pipeline.QualityGate.choose", choose)
    done = ad.restore(tiny, images, ad.LoopSettings(max_rounds=1, gate=True, candidates=3), FAST, seed=5)
    assert done.rounds[0].verdict(0) == Verdict("", 1.0, 0.9, 1.0, 0.0)
    second = ad.restore(tiny, images, ad.LoopSettings(max_rounds=1), FAST, seed=5 + 1_000_003)
    assert torch.equal(done.image, second.image)
    loop = ad.LoopSettings(max_rounds=1, gate=True, candidates=3)
    planned = plan_rounds(tiny, done, loop)
    assert torch.equal(repeat_rounds(tiny, images, planned, loop, FAST, seed=5), done.image), "with that noise too"
    with pytest.raises(ad.InputError, match="need the gate"):
        ad.LoopSettings(candidates=2)
