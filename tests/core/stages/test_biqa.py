"""What part of a picture is assessed: the paper's central square, or a grid of squares from border to border."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.choices import CROPS
from autodir_core.imaging.layout import crop_starts, grid_crops
from autodir_core.stages.conditioning import blend

SIDE = 224
"""Of the tiny model's vision tower, as of the official one."""


def pictures(count: int, height: int, width: int) -> torch.Tensor:
    """Noise that grows from left to right, so that no two squares look alike."""
    noise = torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(4))
    return noise * torch.linspace(0, 1, width).view(1, 1, -1, 1)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (1, [0]),
        (224, [0]),
        (225, [0, 1]),
        (448, [0, 224]),
        (449, [0, 112, 225]),
        (672, [0, 224, 448]),
        (2016, [0, 896, 1792]),
        (2017, [0, 597, 1195, 1793]),
        (9001, [0, 1462, 2925, 4388, 5851, 7314, 8777]),
    ],
)
def test_squares_reach_from_border_to_border(length, expected):
    assert crop_starts(length, SIDE) == expected


def test_squares_are_at_native_resolution_row_by_row():
    image = pictures(1, 300, 500)
    expected = [image[:, y : y + SIDE, x : x + SIDE] for y in (0, 76) for x in (0, 138, 276)]
    assert torch.equal(grid_crops(image, SIDE), torch.cat(expected))
    assert grid_crops(image[:, :90], SIDE).shape == (3, 90, SIDE, 3)


class TestGrid:
    IMAGE = pictures(1, 300, 500)

    @pytest.fixture
    def votes(self, tiny):
        """The probabilities that each square gets as a picture of its own, [6, 8]."""
        return torch.cat([tiny.assess(part[None]).probabilities for part in grid_crops(self.IMAGE, SIDE)])

    def test_the_probabilities_of_the_squares_are_averaged(self, tiny, votes):
        found = tiny.assess(self.IMAGE, crops="grid").probabilities
        torch.testing.assert_close(found, votes.mean(dim=0, keepdim=True), rtol=1e-5, atol=1e-7)
        of_logits = votes.log().mean(dim=0, keepdim=True).softmax(dim=1)
        assert (found - of_logits).abs().max() > 1e-4, "the mean of the logits is something else"

    @pytest.mark.parametrize("labels", [None, ["haze", "rain", "no"]])
    def test_how_many_squares_have_the_same_top_label(self, tiny, labels):
        crops = grid_crops(self.IMAGE, SIDE)
        tops = [tiny.assess(part[None], labels).top[0] for part in crops]
        found = tiny.assess(self.IMAGE, labels, "grid")
        assert found.votes.tolist() == [[tops.count(label) for label in found.labels]]
        assert found.agreeing == ((tops.count(found.top[0]), 6),)
        assert found.agreement == (tops.count(found.top[0]) / 6,)

    def test_one_square_agrees_with_itself_and_the_center_is_not_asked(self, tiny):
        assert tiny.assess(self.IMAGE[:, :200, :200], crops="grid").agreement == (1.0,)
        center = tiny.assess(self.IMAGE)
        assert center.votes is None and center.agreeing is None and center.agreement is None

    def test_the_condition_is_blended_with_them(self, tiny):
        found = tiny.assess(self.IMAGE, ["haze", "rain", "no"], "grid")
        assert torch.equal(found.embedding, blend(found.probabilities, tiny.prompts(found.labels).states))

    def test_borders_count(self, tiny):
        other = self.IMAGE.clone()
        other[:, :20] = 1
        center, grid = ([tiny.assess(image, crops=crops) for image in (self.IMAGE, other)] for crops in CROPS)
        assert torch.equal(center[0].probabilities, center[1].probabilities)
        assert not torch.allclose(grid[0].probabilities, grid[1].probabilities)

    @pytest.mark.parametrize("size", [(1, 1), (48, 64), (224, 224), (100, 224)])
    def test_no_larger_than_the_square_it_is_the_center(self, tiny, size):
        image = pictures(1, *size)
        center, grid = (tiny.assess(image, crops=crops) for crops in CROPS)
        assert torch.equal(center.probabilities, grid.probabilities)
        assert torch.equal(center.embedding, grid.embedding)

    def test_a_picture_of_a_batch_gives_what_it_gives_alone(self, tiny):
        batch = pictures(2, 230, 300)
        together = tiny.assess(batch, crops="grid").probabilities
        alone = [tiny.assess(image, crops="grid").probabilities for image in batch.split(1)]
        assert torch.equal(together, torch.cat(alone))

    def test_a_restoration_looks_so_in_every_round(self, tiny):
        sampler = ad.SamplerSettings(steps=1)
        out = ad.restore(tiny, self.IMAGE, ad.LoopSettings(max_rounds=2, crops="grid"), sampler)
        first, second = out.rounds
        seen = tiny.assess(self.IMAGE, crops="grid")
        assert torch.equal(first.probabilities, seen.probabilities)
        assert torch.equal(first.votes, seen.votes)
        assert not torch.equal(first.probabilities, tiny.assess(self.IMAGE).probabilities)
        remaining = [label for label in tiny.labels if label != first.label]
        seen = tiny.assess(first.image, remaining, "grid")
        asked = [label != first.label for label in tiny.labels]
        assert torch.equal(second.probabilities[:, asked], seen.probabilities)
        assert torch.equal(second.votes[:, asked], seen.votes) and second.votes.sum() == 6


def test_the_center_is_the_default(tiny):
    image = pictures(1, 300, 500)
    assert torch.equal(tiny.assess(image).probabilities, tiny.assess(image, crops="center").probabilities)
    assert ad.LoopSettings().crops == "center"


def test_unknown_crops_are_explained(tiny):
    with pytest.raises(ad.InputError, match="unknown crops 'whole'; choose among: center, grid"):
        tiny.assess(pictures(1, 8, 8), crops="whole")
    with pytest.raises(ad.InputError, match="unknown crops 'whole'; choose among: center, grid"):
        ad.LoopSettings(crops="whole")


@pytest.mark.parametrize("crops", ["center", "grid"])
def test_values_that_are_no_numbers_are_an_error(tiny, monkeypatch, crops):
    monkeypatch.setattr(tiny.networks.clip.logit_scale, "data", torch.tensor(torch.nan))
    with pytest.raises(ad.AutoDIRError, match=r"the stage .assess. gave values that are not finite .* in float32"):
        tiny.assess(torch.zeros(1, 8, 8, 3), crops=crops)
