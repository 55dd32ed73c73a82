"""The slider picture: which side shows what, where the bar stands, and what fits below."""

from __future__ import annotations

import pytest
import torch

from autodir_core.errors import InputError
from autodir_core.reporting.before_after import before_after_slider
from autodir_core.reporting.drawing import BACKGROUND, BRIGHT, GAP

NOTHING = [("", "")]
DARK, LIGHT = 51 / 255, 204 / 255


def flat(value: float, height: int = 90, width: int = 120, batch: int = 1) -> torch.Tensor:
    return torch.full((batch, height, width, 3), value)


def color(rgb: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(rgb) / 255


@pytest.mark.parametrize(("position", "cut"), [(0.25, 30), (0.5, 60), (0.0, 0), (1.0, 120)])
def test_before_is_left_of_the_bar_and_after_right_of_it(position, cut):
    image = before_after_slider(flat(DARK), flat(LIGHT), NOTHING, position=position)
    row = image[0, GAP + 5, GAP : GAP + 120]
    assert torch.allclose(row[: max(cut - 2, 0)], torch.tensor(DARK))
    assert torch.allclose(row[cut + 2 :], torch.tensor(LIGHT))
    bar = [columns for columns in (cut - 1, cut) if 0 <= columns < 120]
    assert torch.allclose(row[bar], color(BRIGHT))


def test_the_handle_is_a_disc_with_arrows_in_the_middle_of_the_bar():
    image = before_after_slider(flat(DARK, 400), flat(DARK, 400), NOTHING)[0, GAP : GAP + 400, GAP : GAP + 120]
    bright = torch.isclose(image, color(BRIGHT), atol=0.01).all(dim=-1)
    radius = 400 // 32
    assert bright[: 200 - radius].sum(dim=1).unique().tolist() == [2]
    assert bright[190, 56:64].all(), "inside the disc, above the arrows"
    arrows = torch.isclose(image[200], color(BACKGROUND), atol=0.01).all(dim=-1)
    assert arrows[60 - radius + 4 : 57].any() and arrows[64 : 60 + radius - 4].any()


def test_captions_stand_below_the_picture():
    plain = before_after_slider(flat(0.5, 90, 400), flat(0.5, 90, 400), NOTHING)
    told = before_after_slider(flat(0.5, 90, 400), flat(0.5, 90, 400), [("left", "")])
    changed = (plain != told).any(dim=-1)[0].nonzero()
    assert plain.shape == told.shape == (1, 90 + 2 * GAP + GAP // 2 + 2 * 15, 400 + 2 * GAP, 3)
    assert changed[:, 0].min() > GAP + 90 and changed[:, 1].max() < 60


@pytest.mark.parametrize("size", [(1, 72), (72, 1), (1, 1)])
def test_a_tiny_picture_gets_room_for_its_captions(size):
    details = [("PSNR 20.12 dB, SSIM 0.6120", "PSNR 25.34 dB, SSIM 0.8010")]
    image = before_after_slider(flat(DARK, *size), flat(LIGHT, *size), details)
    assert image.shape[2] > 250 and image.shape[1] == size[0] + 2 * GAP + GAP // 2 + 2 * 15


def test_the_pictures_of_a_batch_have_one_size():
    details = [("short", ""), ("a line that is much longer than the picture is wide", "")]
    image = before_after_slider(torch.cat([flat(DARK), flat(0.0)]), flat(LIGHT, batch=2), details)
    assert len(image) == 2
    left = image[:, GAP + 5, image.shape[2] // 2 - 30, 0]
    assert torch.allclose(left, torch.tensor([DARK, 0.0]))


@pytest.mark.parametrize(
    ("after", "details", "position", "message"),
    [
        (flat(0.5, 80), NOTHING, 0.5, "one shape before and after"),
        (flat(0.5), [], 0.5, "one pair of details per picture.* and 0 pairs"),
        (flat(0.5), NOTHING, 1.1, "position must lie in 0"),
    ],
)
def test_what_does_not_fit(after, details, position, message):
    with pytest.raises(InputError, match=message):
        before_after_slider(flat(0.5), after, details, position=position)
