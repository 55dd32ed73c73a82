"""Thresholds of the gate: what made-up rounds teach it."""

from __future__ import annotations

import pytest

import autodir_core as ad
from autodir_core.checkpoint.metadata import GateThresholds
from autodir_core.outputs import Verdict
from autodir_lab.evaluation.gate_thresholds import (
    PARTS,
    JudgedRound,
    accepts,
    describe,
    fit_thresholds,
    judge_rounds,
)
from autodir_lab.evaluation.sources import ImagePair, Sample


def judged(
    gain: float,
    *,
    confidence: float = 0.9,
    probability: float = 0.9,
    removed: float = 0.9,
    edges: float = 0.9,
    shift: float = 0.02,
    strength: float = 1.0,
) -> JudgedRound:
    return JudgedRound("noise", confidence, probability, Verdict("", strength, removed, edges, shift), gain)


def fit(rounds: list[JudgedRound]) -> GateThresholds:
    return fit_thresholds(rounds, ("noise", "no"))["noise"]


def test_rounds_that_all_gain_ask_for_what_the_least_sure_has():
    found = fit([judged(3.0, confidence=0.4, removed=0.05), judged(1.0)])
    assert (found.min_confidence, found.min_removed) == (0.4, 0.0)


def test_confidence_that_costs_next_to_nothing_is_asked_for():
    """A photograph unlike all others should not be changed on a guess."""
    found = fit([*(judged(5.0) for _ in range(20)), judged(1.0, confidence=0.1)])
    assert (found.min_confidence, found.min_removed) == (0.9, 0.0)


@pytest.mark.parametrize("measure", ["confidence", "probability", "removed"])
def test_losses_are_cut_off_where_they_differ(measure):
    rounds = [judged(3.0) for _ in range(8)] + [judged(-4.0, **{measure: 0.42}) for _ in range(3)]
    found = fit(rounds)
    assert [accepts(found, one) for one in rounds] == [True] * 8 + [False] * 3


def test_a_loss_counts_more_than_a_gain():
    alike = [judged(1.0, confidence=0.5) for _ in range(3)] + [judged(-2.5, confidence=0.5)]
    assert not any(accepts(fit([judged(2.0), *alike]), one) for one in alike)


def test_of_an_overdone_change_the_part_is_taken_that_is_worth_most():
    whole = [judged(4.0) for _ in range(6)] + [judged(-2.0) for _ in range(2)]
    part = [judged(3.0, strength=0.8) for _ in range(6)] + [judged(-0.1, strength=0.8) for _ in range(2)]
    found = fit(whole + part)
    assert found.max_strength == 0.8 and [accepts(found, one) for one in (*whole, *part)] == [False] * 8 + [True] * 8
    assert fit([*whole[:6], *part]).max_strength == 1.0


def test_content_is_what_good_rounds_keep():
    rounds = [judged(2.0, edges=0.3, shift=0.2) for _ in range(20)]
    found = fit(rounds)
    assert not accepts(found, judged(2.0, edges=0.24)) and not accepts(found, judged(2.0, shift=0.26))
    assert all(accepts(found, one) for one in rounds)


def test_content_is_asked_for_no_more_than_usually():
    """Rounds on mixtures change more than those on single damage, which the fit sees."""
    found, usual = fit([judged(2.0, edges=0.95, shift=0.01)]), GateThresholds()
    assert (found.min_edges, found.max_shift) == (usual.min_edges, usual.max_shift)


def test_where_the_surest_round_loses_there_are_thresholds_all_the_same():
    sure_loss = judged(-4.0, confidence=1.0, probability=1.0, removed=1.0)
    unsure_gain = judged(1.0, confidence=0.1)
    assert accepts(fit([sure_loss, unsure_gain]), unsure_gain), "it makes good a part"


def test_without_rounds_the_defaults_hold():
    assert fit_thresholds([], ("haze", "no")) == {"haze": GateThresholds()}


def test_each_label_has_a_line():
    rounds = [judged(1.0), judged(-1.0, confidence=0.1)]
    [line] = describe(rounds, {"noise": fit(rounds)})
    assert "noise: strength 1.0, confidence" in line and line.endswith("accepts 1 of 2 rounds, worse 0 of 1")


def test_rounds_are_judged_against_their_references(tiny, random_image):
    """A picture whose reference is itself can only lose; every part of the change is assessed."""
    image = random_image(0, 48)
    sample = Sample("one", 0, ("noise",), 0.5, lambda: ImagePair(image, image))
    found = judge_rounds(tiny, [sample], ad.SamplerSettings(steps=1), seed=0)
    expected = ad.restore(tiny, image, ad.LoopSettings(max_rounds=1), ad.SamplerSettings(steps=1)).rounds
    assert [(one.label, one.verdict.strength) for one in found] == [(expected[0].label, part) for part in PARTS]
    assert all(one.gain == -6.0 and one.utility == -18.0 and 0 < one.confidence < 1 for one in found)
    assert len({one.verdict.removed for one in found}) == len(PARTS)
