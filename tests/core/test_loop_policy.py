"""The loop's machine: what an assessment, a confidence and a finished round do to a picture's state."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from autodir_core.checkpoint.metadata import GateThresholds
from autodir_core.loop_policy import LoopState, choose_label, mean_assessment
from autodir_core.outputs import Assessment, Round

IMAGE = torch.zeros(1, 2, 2, 3)


def start(*labels: str) -> LoopState:
    return LoopState.start(IMAGE, labels)


def assess(state: LoopState, *probabilities: float) -> LoopState:
    found = Assessment(state.remaining, torch.tensor([probabilities]), torch.zeros(1, 77, 4))
    return state.apply_assessment(found)


def finish(state: LoopState) -> LoopState:
    image = state.image + 1
    return state.apply_round(Round((state.label,), None, image, image, image), image)


def test_the_most_probable_label_is_restored_and_asked_about_no_more():
    state = assess(start("noise", "haze", "no"), 0.2, 0.5, 0.3)
    assert (state.label, state.remaining, state.stop_reason(7)) == ("haze", ("noise", "no"), None)


def test_no_means_clean():
    state = assess(start("noise", "no"), 0.2, 0.5)
    assert (state.label, state.remaining, state.stop_reason(7)) == (None, ("noise", "no"), "clean")


def test_votes_of_several_are_added_where_all_have_some():
    def seen(votes: list[int] | None) -> Assessment:
        counts = None if votes is None else torch.tensor([votes])
        return Assessment(("haze", "no"), torch.tensor([[0.7, 0.3]]), torch.zeros(1, 77, 4), counts)

    assert mean_assessment([seen([5, 4]), seen([2, 0])]).agreeing == ((7, 11),)
    assert mean_assessment([seen([5, 4]), seen(None)]).votes is None


def test_a_tie_goes_to_the_first_label():
    assert assess(start("noise", "no"), 0.5, 0.5).label == "noise"


@pytest.mark.parametrize(
    ("least", "label", "stopped"), [(0.0, "haze", None), (0.5, "haze", None), (0.51, None, "low_confidence")]
)
def test_a_degradation_must_be_probable_enough(least, label, stopped):
    state = assess(start("noise", "haze", "no"), 0.2, 0.5, 0.3).apply_confidence(least)
    assert (state.label, state.stopped) == (label, stopped)


@pytest.mark.parametrize(
    ("thresholds", "stopped"),
    [
        ({"min_confidence": 0.62}, None),  # 0.5 of the 0.8 that are not of noise
        ({"min_confidence": 0.63}, "low_confidence"),
        ({"min_probability": 0.5}, None),
        ({"min_probability": 0.51}, "low_confidence"),
    ],
)
def test_a_gate_asks_for_the_probability_against_none_and_among_all(thresholds, stopped):
    gate = {"haze": GateThresholds(**thresholds)}
    assert assess(start("noise", "haze", "no"), 0.2, 0.5, 0.3).apply_confidence(0, gate).stopped == stopped
    named = assess(start("noise", "haze"), 0.4, 0.6).apply_confidence(0, {"haze": GateThresholds(min_probability=1)})
    assert named.label == "haze", "where none may be clean a person has said what is there"


def test_clean_needs_no_confidence():
    assert assess(start("noise", "no"), 0.4, 0.6).apply_confidence(1.0).stopped == "clean"


def test_probabilities_of_removed_labels_are_0():
    state = finish(assess(start("noise", "haze", "no"), 0.2, 0.5, 0.3))
    state = assess(state, 0.75, 0.25)
    assert state.assessment is not None and state.assessment.probabilities.tolist() == [[0.75, 0, 0.25]]
    assert state.confidence == 0.75


@pytest.mark.parametrize(
    ("labels", "max_rounds", "reason"),
    [
        (("rain", "no"), 7, None),
        (("rain", "no"), 1, "max_rounds"),
        (("rain",), 1, "max_rounds"),
        (("rain",), 2, "no_labels"),
    ],
)
def test_why_the_loop_stops(labels, max_rounds, reason):
    state = assess(start(*labels), *([1.0] + [0.0] * (len(labels) - 1)))
    assert state.is_last_round(max_rounds) == (reason is not None), "known before the round"
    assert finish(state).stop_reason(max_rounds) == reason


def test_a_finished_round_is_kept_and_feeds_the_next():
    state = finish(assess(start("rain", "no"), 0.9, 0.1))
    assert state.image.unique().tolist() == [1] and len(state.rounds) == 1 and state.label is None
    done = state.restoration(1)
    assert (done.stopped, done.labels, done.rounds[0].label) == (("max_rounds",), ("rain", "no"), "rain")
    assert done.last_probabilities is not None


def test_giving_up_keeps_the_picture_that_entered_the_round():
    state = assess(finish(assess(start("rain", "haze", "no"), 0.9, 0.1, 0)), 0.6, 0.4).give_up()
    assert state.image.unique().tolist() == [1] and state.restoration(7).stopped == ("low_confidence",)


def test_states_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        start("no").label = "rain"


@pytest.mark.parametrize(
    ("probabilities", "label"),
    [
        ({"haze": 0.4, "noise": 0.3, "no": 0.3}, "noise"),
        ({"haze": 0.6, "noise": 0.2, "no": 0.2}, "haze"),
        ({"haze": 0.3, "noise": 0.3, "no": 0.4}, "no"),
        ({"glare": 0.5, "noise": 0.4, "no": 0.1}, "glare"),
    ],
)
def test_in_physical_order_what_came_last_is_undone_first(probabilities, label):
    assert choose_label(probabilities, "physical") == label
    assert choose_label(probabilities, "probability") == max(probabilities, key=lambda name: probabilities[name])
