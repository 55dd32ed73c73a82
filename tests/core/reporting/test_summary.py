"""The words, the JSON and the pictures that tell of a restoration, on records made by hand."""

from __future__ import annotations

import json

import pytest
import torch

from autodir_core.errors import InputError
from autodir_core.reporting import summary as report
from autodir_core.reporting.summary import BACKGROUND, GAP, SEAM, as_json, assessment_lines, round_lines, sheet, strip
from autodir_core.settings import Assessment, Restoration, Round

LABELS = ("noise", "haze", "low resolution", "no")


def flat(value: float, height: int = 40, width: int = 60, batch: int = 1) -> torch.Tensor:
    return torch.full((batch, height, width, 3), value)


def a_round(label: str | None, probabilities: list[float], value: float = 0.5) -> Round:
    return Round((label,), torch.tensor([probabilities]), flat(value + 0.1), flat(value + 0.05), flat(value))


@pytest.fixture
def two_rounds() -> Restoration:
    """Haze, then noise, then clean; "haze" and "noise" were asked about no more."""
    rounds = [a_round("haze", [0.09, 0.62, 0.2, 0.09]), a_round("noise", [0.6, 0.0, 0.004, 0.396], 0.6)]
    return Restoration(flat(0.7), rounds, ("clean",), LABELS, torch.tensor([[0.0, 0.0, 0.29, 0.71]]))


@pytest.fixture
def batch() -> Restoration:
    """The first picture is clean at once; the second has one round, the only one allowed."""
    rounds = [
        Round(
            (None, "noise"),
            torch.tensor([[0.0] * 4, [0.5, 0.3, 0.1, 0.1]]),
            flat(0.2, batch=2),
            flat(0.3, batch=2),
            flat(0.3, batch=2),
        )
    ]
    last = torch.tensor([[0.1, 0.0, 0.0, 0.9], [0.5, 0.3, 0.1, 0.1]])
    return Restoration(flat(0.4, batch=2), rounds, ("clean", "max_rounds"), LABELS, last)


@pytest.fixture
def unsure() -> Restoration:
    """Haze, then nothing that is probable enough."""
    rounds = [a_round("haze", [0.09, 0.62, 0.2, 0.09])]
    return Restoration(flat(0.7), rounds, ("unsure",), LABELS, torch.tensor([[0.38, 0.0, 0.32, 0.3]]))


@pytest.fixture
def in_words() -> Restoration:
    return Restoration(flat(0.7), [Round((None,), None, flat(0.5), flat(0.6), flat(0.6))], ("prompt",))


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
            "done: 1 round used up",
        ]

    def test_other_ends(self, two_rounds, in_words):
        at_most = Restoration(two_rounds.image, two_rounds.rounds, ("max_rounds",), LABELS)
        assert round_lines(at_most)[-1] == "done: 2 rounds used up"
        nothing_left = Restoration(two_rounds.image, two_rounds.rounds, ("no_labels",), LABELS)
        assert round_lines(nothing_left)[-1] == "done: no label left"
        assert round_lines(in_words) == ["round 1: your own words", "done: your own words"]

    def test_unsure(self, unsure):
        assert round_lines(unsure)[1:] == ["done: unsure (noise 38 %, below the threshold)"]

    def test_a_picture_that_is_not_there(self, batch):
        with pytest.raises(InputError, match="no picture 2"):
            round_lines(batch, 2)

    def test_assessment(self):
        assessment = Assessment(
            LABELS, torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.85, 0.1, 0.05, 0.0]]), torch.zeros(2, 77, 4)
        )
        assert assessment_lines(assessment, 1) == ["noise 85 %", "haze 10 %", "low resolution 5 %", "no 0 %"]


class TestJSON:
    def test_probabilities_of_what_was_asked(self, two_rounds):
        told = json.loads(json.dumps(as_json(two_rounds)))
        assert told == {
            "rounds": [
                {"label": "haze", "probabilities": {"noise": 0.09, "haze": 0.62, "low resolution": 0.2, "no": 0.09}},
                {"label": "noise", "probabilities": {"noise": 0.6, "low resolution": 0.004, "no": 0.396}},
            ],
            "stopped": "clean",
            "last_probabilities": {"low resolution": 0.29, "no": 0.71},
        }

    def test_the_last_assessment_is_the_last_round_s_when_the_rounds_were_used_up(self, batch):
        told = as_json(batch, 1)
        assert told["last_probabilities"] == told["rounds"][0]["probabilities"]
        assert as_json(batch, 0) == {
            "rounds": [],
            "stopped": "clean",
            "last_probabilities": {"no": 0.9, "noise": 0.1} | {"haze": 0.0, "low resolution": 0.0},
        }

    def test_what_was_unsure_is_told_whole(self, unsure):
        told = as_json(unsure)
        assert told["stopped"] == "unsure"
        assert told["last_probabilities"] == pytest.approx({"noise": 0.38, "low resolution": 0.32, "no": 0.3})

    def test_nothing_that_is_not_known(self, in_words):
        assert as_json(in_words) == {"rounds": [{"label": None}], "stopped": "prompt"}


class TestStrip:
    def test_shows_input_rounds_and_result_from_left_to_right(self, two_rounds):
        picture = strip(flat(0.1, 400, 600), wide(two_rounds), height=100)
        middle = picture[0, GAP + 50, :, 0]
        assert [round(value.item(), 1) for value in middle[[GAP + 75, 2 * GAP + 225, 3 * GAP + 375]]] == [0.1, 0.5, 0.7]
        assert picture.shape[2] == 4 * GAP + 3 * 150
        assert picture.dtype == torch.float32

    def test_captions_are_written_below(self, two_rounds):
        picture = strip(flat(0.1, 400, 600), wide(two_rounds), height=100)
        below = picture[0, GAP + 100 :]
        assert below.max() > 0.8
        assert torch.equal(picture[0, 0, 0] * 255, torch.tensor(BACKGROUND).float())

    def test_small_pictures_keep_their_size(self, two_rounds):
        picture = strip(flat(0.1), two_rounds)
        assert (picture[0, GAP : GAP + 40] == picture[0, GAP]).all()
        assert (picture[0, GAP + 40] != picture[0, GAP]).any()

    def test_values_outside_are_clamped(self, batch):
        assert strip(flat(1.5, batch=2), batch, 1).max() == 1

    @pytest.mark.parametrize("picture", [0, 1])
    def test_input_and_result_are_always_there(self, batch, picture):
        row = strip(flat(0.9, batch=2), batch, picture)[0, GAP + 20, :, 0]
        shown = torch.unique_consecutive(row[row > 0.1]).tolist()
        assert shown == pytest.approx([0.9, 0.4], abs=0.005)

    def test_own_words(self, in_words):
        row = strip(flat(0.9), in_words)[0, GAP + 20, :, 0]
        assert torch.unique_consecutive(row[row > 0.1]).tolist() == pytest.approx([0.9, 0.7], abs=0.005)

    @pytest.mark.parametrize("reason", ["clean", "unsure"])
    def test_why_nothing_was_done(self, reason, monkeypatch):
        written = []
        figure = report.figure
        monkeypatch.setattr(report, "figure", lambda *texts: written.append(texts[1:]) or figure(*texts))
        strip(flat(0.9), Restoration(flat(0.9), [], (reason,), LABELS, torch.tensor([[0.4, 0.3, 0.2, 0.1]])))
        assert written == [("input", "60 x 40"), ("result", f"{reason}, left as it is")]

    def test_a_height_of_nothing(self, two_rounds):
        with pytest.raises(InputError, match="height must be 1 or more"):
            strip(flat(0.1), two_rounds, height=0)


def wide(restoration: Restoration) -> Restoration:
    """The same with pictures of 400 x 600."""

    def grown(x: torch.Tensor) -> torch.Tensor:
        return x[:, :1, :1].expand(-1, 400, 600, -1)

    rounds = [
        Round(r.labels, r.probabilities, grown(r.generated), grown(r.corrected), grown(r.image))
        for r in restoration.rounds
    ]
    last = restoration.last_probabilities
    return Restoration(grown(restoration.image), rounds, restoration.stopped, restoration.labels, last)


class TestSheet:
    def test_pairs_stand_side_by_side(self):
        picture = sheet(flat(0.2), flat(0.8), ["one"])
        row = picture[0, GAP + 20, :, 0]
        assert torch.unique_consecutive(row).tolist() == pytest.approx(
            [20 / 255, 0.2, 20 / 255, 0.8, 20 / 255], abs=0.005
        )
        assert picture.shape[2] >= 2 * GAP + SEAM + 120

    def test_different_sizes_and_long_captions(self):
        sizes = [(300, 200), (20, 20), (64, 128), (512, 512), (256, 256), (256, 256)]
        before = [torch.rand(height, width, 3) for height, width in sizes]
        after = [one[None] for one in before]
        picture = sheet(before, after, ["été.png", "x" * 500, "", "four", "five", "six"])
        assert picture.shape[2] == 2 * (2 * 256 + SEAM) + GAP + 2 * GAP

    def test_numbers_that_differ(self):
        with pytest.raises(InputError, match="got 1, 1, 2"):
            sheet(flat(0.2), flat(0.8), ["one", "two"])
        with pytest.raises(InputError, match="got 0, 0, 0"):
            sheet([], [], [])
