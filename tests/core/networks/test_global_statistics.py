"""Norms and averages of the whole picture for its parts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autodir_core.networks.global_statistics import global_statistics, patch_indices, sample_patches


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestSample:
    def test_patches_come_from_all_over(self):
        assert patch_indices(102, 6, patch=2).tolist() == [0, 1, 50, 51, 100, 101]
        assert patch_indices(99, 4, patch=2).tolist() == [0, 1, 96, 97], "an odd end is left out"

    def test_a_short_side_is_taken_whole(self):
        assert patch_indices(7, 8, patch=4).tolist() == list(range(7))

    def test_both_sides(self):
        x = torch.arange(400.0).view(1, 1, 20, 20)
        assert sample_patches(x, 2, 16, 1)[0, 0, :, 0].tolist() == [20.0 * i for i in (*range(8), *range(8, 16))]
        assert sample_patches(x.movedim(1, -1), 1, 16, 1).shape == (1, 16, 16, 1)
        assert sample_patches(x, 2, 2, 1).tolist() == [[[[0, 1], [20, 21]]]]


class TestStatistics:
    X = noise(2, 4, 6, 8) * 3 + 1

    @pytest.fixture
    def norm(self):
        norm = nn.GroupNorm(2, 4)
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([1.0, -2, 3, 0.5]))
            norm.bias.copy_(torch.tensor([0.0, 1, -1, 2]))
        return norm.requires_grad_(False)

    def test_a_part_is_normalized_as_in_the_whole(self, norm):
        part, whole = norm(self.X[..., :3]), norm(self.X)
        with global_statistics(norm, lambda: norm(self.X)):
            assert torch.allclose(norm(self.X[..., :3]), whole[..., :3], atol=1e-6)
        assert torch.equal(norm(self.X[..., :3]), part), "afterwards it is as before"

    def test_tokens_are_normalized_too(self, norm):
        tokens = self.X.flatten(2)
        with global_statistics(norm, lambda: norm(tokens)):
            assert torch.allclose(norm(tokens[..., 5:]), F.group_norm(tokens, 2, norm.weight, norm.bias)[..., 5:])

    def test_the_precision_is_kept(self, norm):
        half, x = norm.bfloat16(), self.X.bfloat16()
        with global_statistics(half, lambda: half(x)):
            found = half(x[..., :3])
        assert found.dtype == torch.bfloat16
        assert torch.allclose(found, half(x)[..., :3], atol=0.04)

    def test_an_average_is_that_of_the_whole(self):
        pool = nn.AdaptiveAvgPool2d(1)
        with global_statistics(nn.Sequential(pool), lambda: pool(self.X)):
            assert torch.allclose(pool(self.X[..., :3]).flatten(1), self.X.mean(dim=(2, 3)))

    def test_nothing_stays_behind_after_an_error(self, norm):
        with pytest.raises(KeyboardInterrupt), global_statistics(norm, lambda: norm(self.X)):
            raise KeyboardInterrupt
        assert not norm._forward_hooks
