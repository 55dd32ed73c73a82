"""A restoration in lines and as JSON, on records made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from autodir_core.errors import InputError
from autodir_core.outputs import Assessment, Restoration
from autodir_core.reporting.summary import assessment_dict, assessment_lines, round_lines, to_dict

LABELS = ("noise", "haze", "low resolution", "no")


class TestLines:
    def test_rounds_name_the_winner_and_what_came_next(self, two_rounds):
        assert round_lines(two_rounds) == [
            "round 1: haze 62 % (low resolution 20 %, noise 9 %)",
            "round 2: noise 60 % (no 40 %)",
            "done: clean (no 71 %)",
        ]

    def test_each_picture_of_a_batch_has_its_own(self, batch):
        assert round_lines(batch, 0) == ["done: clean (no 90 %)"]
        assert round_lines(batch, 1) == [
            "round 1: noise 50 % (haze 30 %, low resolution 10 %)",
            "stopped: limit of 1 round reached",
        ]

    def test_other_ends(self, two_rounds, in_words):
        at_most = Restoration(two_rounds.image, two_rounds.rounds, ("max_rounds",), LABELS)
        assert round_lines(at_most)[-1] == "stopped: limit of 2 rounds reached"
        nothing_left = Restoration(two_rounds.image, two_rounds.rounds, ("no_labels",), LABELS)
        assert round_lines(nothing_left)[-1] == "done: no label left"
        assert round_lines(in_words) == ["round 1: custom prompt", "done: custom prompt"]

    def test_unsure(self, unsure):
        advice = "if you see it, name it: labels, or --labels on the command line"
        assert round_lines(unsure)[1:] == [f"done: low confidence (noise 38 %); {advice}"]

    def test_a_picture_that_is_not_there(self, batch):
        with pytest.raises(InputError, match="no picture 2"):
            round_lines(batch, 2)

    def test_assessment(self):
        assessment = Assessment(
            LABELS, torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.85, 0.1, 0.05, 0.0]]), torch.zeros(2, 77, 4)
        )
        assert assessment_lines(assessment, 1) == ["noise 85 %", "haze 10 %", "low resolution 5 %", "no 0 %"]

    def test_how_far_the_crops_agree(self, two_rounds):
        """Where there are several."""
        probabilities, votes = torch.tensor([[0.1, 0.6, 0.3, 0.0]] * 2), torch.tensor([[0, 7, 2, 0], [0, 1, 0, 0]])
        assessment = Assessment(LABELS, probabilities, torch.zeros(2, 77, 4), votes)
        assert assessment_lines(assessment)[4:] == ["top label of 7 of 9 crops"]
        assert assessment_lines(assessment, 0, "zh")[4:] == ["9 个裁剪块中有 7 个以此标签为首"]
        assert len(assessment_lines(assessment, 1)) == 4
        several, one = assessment_dict(assessment)["pictures"]
        assert (several["agreement"], several["crops"]) == (0.7778, 9) and "agreement" not in one
        seen = Restoration(two_rounds.image, [replace(two_rounds.rounds[0], votes=votes[:1])], ("max_rounds",), LABELS)
        found = "haze 62 % (low resolution 20 %, noise 9 %)"
        assert round_lines(seen)[0] == f"round 1: {found}, top label of 7 of 9 crops"
        assert round_lines(seen, 0, "zh")[0].endswith("），9 个裁剪块中有 7 个以此标签为首")
        [told] = to_dict(seen)["rounds"]
        assert (told["agreement"], told["crops"]) == (0.7778, 9)


class TestJSON:
    def test_probabilities_of_what_was_asked(self, two_rounds):
        told = json.loads(json.dumps(to_dict(two_rounds)))
        assert told == {
            "rounds": [
                {"label": "haze", "probabilities": {"noise": 0.09, "haze": 0.62, "low resolution": 0.2, "no": 0.09}},
                {"label": "noise", "probabilities": {"noise": 0.6, "low resolution": 0.004, "no": 0.396}},
            ],
            "stopped": "clean",
            "last_probabilities": {"low resolution": 0.29, "no": 0.71},
        }

    def test_the_last_assessment_is_the_last_round_s_when_the_rounds_were_used_up(self, batch):
        told = to_dict(batch, 1)
        assert told["last_probabilities"] == told["rounds"][0]["probabilities"]
        assert to_dict(batch, 0) == {
            "rounds": [],
            "stopped": "clean",
            "last_probabilities": {"no": 0.9, "noise": 0.1} | {"haze": 0.0, "low resolution": 0.0},
        }

    def test_what_was_unsure_is_told_whole(self, unsure):
        told = to_dict(unsure)
        assert told["stopped"] == "low_confidence"
        assert told["last_probabilities"] == pytest.approx({"noise": 0.38, "low resolution": 0.32, "no": 0.3})

    def test_nothing_that_is_not_known(self, in_words):
        assert to_dict(in_words) == {"rounds": [{"label": None}], "stopped": "prompt"}
