"""Layouts, padding and the center square."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.imaging.layout import (
    center_crop,
    check_images,
    from_network,
    from_pil,
    from_uint8,
    pad_to_multiple,
    pad_to_size,
    to_network,
    to_pil,
    to_uint8,
)


def test_network_layout_and_range():
    images = torch.tensor([0.0, 0.5, 1.0]).expand(1, 2, 4, 3)
    x = to_network(images)
    assert x.shape == (1, 3, 2, 4)
    assert x[0, :, 0, 0].tolist() == [-1, 0, 1]
    assert torch.equal(from_network(x), images)


def test_padding_reflects_without_repeating_the_edge():
    x = torch.arange(5.0).view(1, 1, 5, 1)
    assert pad_to_multiple(x, 8).shape == (1, 8, 8, 1)
    assert pad_to_multiple(x, 8)[0, 0, :, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


def test_padding_folds_as_often_as_it_takes():
    x = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1)
    assert pad_to_multiple(x, 7)[0, 3, :, 0].tolist() == [1, 2, 1, 2, 1, 2, 1]


def test_multiples_are_not_padded():
    x = torch.rand(1, 64, 128, 3)
    assert pad_to_multiple(x, 64) is x


def test_center_square_crops_and_frames():
    x = torch.ones(1, 1, 5, 9)
    square = center_crop(x, 7)
    assert square.shape == (1, 1, 7, 7)
    assert square[0, 0].sum(dim=1).tolist() == [0, 7, 7, 7, 7, 7, 0]
    wide = torch.arange(9.0).expand(1, 1, 7, 9)
    assert center_crop(wide, 7)[0, 0, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_the_odd_pixel_of_a_frame_is_at_the_bottom_right():
    square = center_crop(torch.ones(1, 1, 4, 4), 7)[0, 0]
    assert square[0].sum() == 0 and square[1, 1] == 1 and square[5:].sum() == 0


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.rand(4, 4, 3), r"\[B, H, W, 3\]"),
        (torch.rand(1, 3, 4, 4), r"\[B, H, W, 3\]"),
        (torch.rand(0, 4, 4, 3), r"\[B, H, W, 3\]"),
        (torch.zeros(1, 4, 4, 3, dtype=torch.uint8), "divide by its maximum"),
        (torch.linspace(0, float("nan"), 48).view(1, 4, 4, 3), "not finite"),
        (torch.full((1, 4, 4, 3), -torch.inf), "not finite"),
        (torch.linspace(0, 255, 48).view(1, 4, 4, 3), r"about 0..1, got 0..255; divide"),
        ([[0.0]], "torch tensor"),
    ],
)
def test_what_is_no_picture_is_refused(images, words):
    with pytest.raises(ad.InputError, match=words):
        check_images(images)


def test_values_somewhat_outside_are_those_of_a_picture():
    images = torch.linspace(-1, 2, 48).view(1, 4, 4, 3)
    assert torch.equal(check_images(images), images)


def test_eight_bits_are_rounded_and_clamped():
    values = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 254.4 / 255, 254.6 / 255, 1.7])
    assert to_uint8(values).tolist() == [0, 0, 1, 254, 255, 255]


def test_all_levels_come_back():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(levels)), levels)
    assert torch.equal(from_uint8(levels.numpy()), from_uint8(levels))


@pytest.mark.parametrize("channels", [3, 4])
def test_pillow_and_back(channels):
    image = from_uint8(torch.arange(5 * 7 * channels, dtype=torch.uint8).view(5, 7, channels))
    assert torch.equal(from_pil(to_pil(image)), image)
    assert from_pil(to_pil(image).convert("L")).shape == (5, 7)


def test_small_pictures_are_extended_by_reflection():
    images = torch.arange(5.0).view(1, 1, 5, 1)
    assert pad_to_size(images, 8)[0, 3, :, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    assert pad_to_size(torch.rand(1, 8, 9, 3), 8).shape == (1, 8, 9, 3)
