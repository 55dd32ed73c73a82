"""The montage of rounds and the contact sheet, on records made by hand."""

from __future__ import annotations

import pytest
import torch

from autodir_core.errors import InputError
from autodir_core.outputs import Restoration, Round
from autodir_core.reporting import montage
from autodir_core.reporting.drawing import BACKGROUND, GAP, SEAM
from autodir_core.reporting.montage import batch_montage, contact_sheet, round_montage

LABELS = ("noise", "haze", "low resolution", "no")


def flat(value: float, height: int = 40, width: int = 60, batch: int = 1) -> torch.Tensor:
    return torch.full((batch, height, width, 3), value)


class TestRoundMontage:
    def test_shows_input_rounds_and_result_from_left_to_right(self, two_rounds):
        picture = round_montage(flat(0.1, 400, 600), wide(two_rounds), height=100)
        middle = picture[0, GAP + 50, :, 0]
        assert [round(value.item(), 1) for value in middle[[GAP + 75, 2 * GAP + 225, 3 * GAP + 375]]] == [0.1, 0.5, 0.7]
        assert picture.shape[2] == 4 * GAP + 3 * 150
        assert picture.dtype == torch.float32

    def test_captions_are_written_below(self, two_rounds):
        picture = round_montage(flat(0.1, 400, 600), wide(two_rounds), height=100)
        below = picture[0, GAP + 100 :]
        assert below.max() > 0.8
        assert torch.equal(picture[0, 0, 0] * 255, torch.tensor(BACKGROUND).float())

    def test_small_pictures_keep_their_size(self, two_rounds):
        picture = round_montage(flat(0.1), two_rounds)
        assert (picture[0, GAP : GAP + 40] == picture[0, GAP]).all()
        assert (picture[0, GAP + 40] != picture[0, GAP]).any()

    def test_values_outside_are_clamped(self, batch):
        assert round_montage(flat(1.5, batch=2), batch, 1).max() == 1

    @pytest.mark.parametrize("picture", [0, 1])
    def test_input_and_result_are_always_there(self, batch, picture):
        row = round_montage(flat(0.9, batch=2), batch, picture)[0, GAP + 20, :, 0]
        shown = torch.unique_consecutive(row[row > 0.1]).tolist()
        assert shown == pytest.approx([0.9, 0.4], abs=0.005)

    def test_own_words(self, in_words):
        row = round_montage(flat(0.9), in_words)[0, GAP + 20, :, 0]
        assert torch.unique_consecutive(row[row > 0.1]).tolist() == pytest.approx([0.9, 0.7], abs=0.005)

    @pytest.mark.parametrize("reason", ["clean", "low_confidence"])
    def test_why_nothing_was_done(self, reason, monkeypatch):
        written = []
        add_caption = montage.add_caption
        monkeypatch.setattr(montage, "add_caption", lambda *texts: written.append(texts[1:]) or add_caption(*texts))
        round_montage(flat(0.9), Restoration(flat(0.9), [], (reason,), LABELS, torch.tensor([[0.4, 0.3, 0.2, 0.1]])))
        assert written == [("input", "60 x 40"), ("result", f"{reason.replace('_', ' ')}, left as it is")]

    def test_montages_of_a_batch_have_one_width(self, batch):
        image = flat(0.9, batch=2)
        both = batch_montage(image, batch)
        single = round_montage(image, batch, 1)
        assert len(both) == 2 and torch.equal(both[1:, :, : single.shape[2]], single)
        assert both.shape[2] == max(round_montage(image, batch, i).shape[2] for i in (0, 1))

    def test_a_height_of_nothing(self, two_rounds):
        with pytest.raises(InputError, match="height must be 1 or more"):
            round_montage(flat(0.1), two_rounds, height=0)


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


class TestContactSheet:
    def test_pairs_stand_side_by_side(self):
        picture = contact_sheet(flat(0.2), flat(0.8), ["one"])
        row = picture[0, GAP + 20, :, 0]
        assert torch.unique_consecutive(row).tolist() == pytest.approx(
            [20 / 255, 0.2, 20 / 255, 0.8, 20 / 255], abs=0.005
        )
        assert picture.shape[2] >= 2 * GAP + SEAM + 120

    def test_different_sizes_and_long_captions(self):
        sizes = [(300, 200), (20, 20), (64, 128), (512, 512), (256, 256), (256, 256)]
        before = [torch.rand(height, width, 3) for height, width in sizes]
        after = [one[None] for one in before]
        picture = contact_sheet(before, after, ["été.png", "x" * 500, "", "four", "five", "six"])
        assert picture.shape[2] == 2 * (2 * 256 + SEAM) + GAP + 2 * GAP

    def test_numbers_that_differ(self):
        with pytest.raises(InputError, match="got 1, 1, 2"):
            contact_sheet(flat(0.2), flat(0.8), ["one", "two"])
        with pytest.raises(InputError, match="got 0, 0, 0"):
            contact_sheet([], [], [])
