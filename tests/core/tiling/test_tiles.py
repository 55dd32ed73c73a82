"""Overlapping tiles against the whole, with networks whose answer is known."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from autodir_core.tiling.tiles import LATENT, PICTURE, Span, plan_spans, plan_tiles, run_tiled


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestSpans:
    @pytest.mark.parametrize(
        ("tile", "grid", "overlap"), [(16, 1, 4), (16, 4, 4), (64, 16, 16), (64, 32, 32), (64, 8, 8)]
    )
    def test_they_cover_every_size_and_overlap(self, tile, grid, overlap):
        for size in range(1, 400):
            spans = plan_spans(size, tile, overlap=overlap, grid=grid)
            assert spans[0].start == 0 and spans[-1].end == size
            assert all(span.start % grid == 0 and span.end - span.start <= tile for span in spans)
            assert all(one.end - other.start >= overlap for one, other in pairwise(spans[:-1]))
            assert sum(span.window(1.0)[0].item() >= 0 for span in spans) == len(spans)

    @pytest.mark.parametrize("scale", [1.0, 4.0, 0.25])
    @pytest.mark.parametrize("size", [20, 36, 64, 100, 256])
    def test_the_windows_sum_to_one(self, size, scale):
        total = torch.zeros(round(size * scale))
        for span in plan_spans(size, 16, overlap=4, grid=4):
            start = round(span.start * scale)
            total[start : start + round((span.end - span.start) * scale)] += span.window(scale)
        assert torch.allclose(total, torch.ones_like(total), atol=1e-6)

    def test_what_fits_is_one_tile(self):
        assert plan_spans(16, 16, overlap=4, grid=4) == [Span(0, 16, None, None)]

    def test_tiles_are_of_one_size_and_no_larger_than_needed(self):
        assert [(span.start, span.end) for span in plan_spans(40, 16, overlap=4, grid=1)] == [
            (0, 16),
            (12, 28),
            (24, 40),
        ]
        assert [(span.start, span.end) for span in plan_spans(18, 16, overlap=4, grid=1)] == [(0, 11), (7, 18)]

    def test_the_border_of_a_tile_is_not_used(self):
        first, second = plan_spans(28, 16, overlap=4, grid=1)
        assert first.fade_out == second.fade_in == (13, 15)
        assert first.window(1.0)[-1] == 0 and second.window(1.0)[0] == 0

    def test_the_windows_are_smooth(self):
        first, _ = plan_spans(280, 160, overlap=40, grid=1)
        steps = first.window(1.0).diff()
        assert steps.diff().abs().max() < 0.02, "no kink, where a straight line has one of a twentieth"


class TestTiles:
    X = noise(2, 3, 52, 76)

    @pytest.mark.parametrize("side", [32, 48, 60])
    @pytest.mark.parametrize(
        ("grid", "network"),
        [
            (1, lambda x: x + 1),
            (1, partial(F.interpolate, scale_factor=4)),
            (2, partial(F.avg_pool2d, kernel_size=2)),
            (4, lambda x: F.interpolate(F.avg_pool2d(x, 2, ceil_mode=True), scale_factor=2)[..., : x.shape[2], :]),
        ],
    )
    def test_what_is_computed_by_place_comes_out_as_from_the_whole(self, network, grid, side):
        tiles = plan_tiles(52, 76, side * 2, grid=grid, unit=2)
        assert len(tiles) > 1
        done = run_tiled(network, [self.X], tiles, dims=(LATENT, LATENT))
        assert torch.allclose(done, network(self.X), atol=1e-5)

    def test_pictures_and_latents(self):
        def encode(images):
            return F.avg_pool2d(images.movedim(-1, 1), 4)

        images = self.X.movedim(1, -1)
        latent = run_tiled(encode, [images], plan_tiles(52, 76, 32, grid=4), dims=(PICTURE, LATENT))
        assert torch.allclose(latent, encode(images), atol=1e-5)

        def decode(part):
            return F.interpolate(part, scale_factor=4).movedim(1, -1)

        tiles = plan_tiles(13, 19, 32, grid=1, unit=4)
        back = run_tiled(decode, [latent], tiles, dims=(LATENT, PICTURE), size=(50, 75))
        assert back.shape == (2, 50, 75, 3)
        assert torch.allclose(back, decode(latent)[:, :50, :75], atol=1e-5)

    def test_several_inputs_are_cut_alike(self):
        done = run_tiled(torch.sub, [self.X, self.X], plan_tiles(52, 76, 32, grid=1), dims=(LATENT, LATENT))
        assert not done.any()

    def test_the_network_sees_no_more_than_a_tile(self):
        seen = []
        tiles = plan_tiles(52, 76, 40, grid=4)
        run_tiled(lambda x: seen.append(tuple(x.shape[-2:])) or x, [self.X], tiles, dims=(LATENT, LATENT))
        assert max(side for size in seen for side in size) <= 40 and len(seen) == len(tiles)

    def test_a_single_tile_gives_the_result_itself(self):
        seen = []
        tiles = plan_tiles(52, 76, None, grid=8)
        assert run_tiled(lambda x: seen.append(x) or x, [self.X], tiles, dims=(LATENT, LATENT)) is seen[0]
        assert seen[0].data_ptr() == self.X.data_ptr()

    def test_a_single_tile_is_cropped(self):
        tiles = plan_tiles(52, 76, None, grid=8)
        done = run_tiled(lambda x: x, [self.X.movedim(1, -1)], tiles, dims=(PICTURE, PICTURE), size=(50, 70))
        assert done.shape == (2, 50, 70, 3) and done.is_contiguous()

    def test_the_input_is_not_written_to(self):
        before = self.X.clone()
        run_tiled(lambda x: x, [self.X], plan_tiles(52, 76, 32, grid=1), dims=(LATENT, LATENT))
        assert torch.equal(self.X, before)

    def test_progress_counts_tiles_from_nothing(self):
        seen, tiles = [], plan_tiles(52, 76, 50, grid=1)
        run_tiled(lambda x: x, [self.X], tiles, dims=(LATENT, LATENT), on_tile=lambda *at: seen.append(at))
        assert seen == [(done, len(tiles)) for done in range(len(tiles) + 1)]
