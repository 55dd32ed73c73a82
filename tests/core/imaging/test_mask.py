"""Where a mask restores and where it keeps, and maps of other sizes and layouts."""

from __future__ import annotations

import pytest
import torch

from autodir_core.errors import InputError
from autodir_core.imaging.mask import apply_mask, fit_map

ORIGINAL, RESTORED = torch.rand(2, 10, 12, 3), torch.rand(2, 10, 12, 3)


@pytest.mark.parametrize("layout", ["[h, w]", "[1, h, w]", "[B, h, w]", "[1, h, w, 3]"])
def test_one_restores_and_zero_keeps_bit_for_bit(layout):
    mask = torch.zeros(10, 12)
    mask[:, 6:] = 1
    shaped = {
        "[h, w]": mask,
        "[1, h, w]": mask[None],
        "[B, h, w]": mask.expand(2, -1, -1),
        "[1, h, w, 3]": mask[None, ..., None].expand(-1, -1, -1, 3),
    }[layout]
    result = apply_mask(ORIGINAL, RESTORED, shaped)
    assert torch.equal(result[:, :, :6], ORIGINAL[:, :, :6])
    assert torch.equal(result[:, :, 6:], RESTORED[:, :, 6:])


def test_values_between_blend_and_values_outside_are_clamped():
    torch.testing.assert_close(
        apply_mask(ORIGINAL, RESTORED, torch.full((3, 4), 0.25)), 0.75 * ORIGINAL + 0.25 * RESTORED
    )
    assert torch.equal(apply_mask(ORIGINAL, RESTORED, torch.full((10, 12), -3.0)), ORIGINAL)


def test_without_a_mask_everything_is_restored():
    assert apply_mask(ORIGINAL, RESTORED, None) is RESTORED


def test_a_map_takes_the_size_of_the_pictures():
    halves = torch.tensor([[0.0, 1.0]]).repeat_interleave(30, dim=1).expand(50, -1)
    fitted = fit_map(halves, ORIGINAL, name="mask")
    assert fitted.shape == (2, 10, 12)
    assert (fitted[:, :, :5] == 0).all() and (fitted[:, :, 7:] > 0.999).all()


@pytest.mark.parametrize("shape", [(12,), (3, 10, 12), (1, 1, 10, 12, 3)])
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"the depth must be \[1 or 2, height, width\], got"):
        fit_map(torch.zeros(shape), ORIGINAL, name="depth")
