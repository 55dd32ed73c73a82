"""Pictures in tiles against the whole, with a tiny model and with the embedded one."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.errors import InputError
from autodir_core.imaging.metrics import psnr
from autodir_core.pipeline import restore
from autodir_core.tiling.sizes import DIFFUSION_OVERLAP, MAX_DIFFUSION_TILE_SIZE, MAX_TILE_SIZE, OVERLAP
from autodir_core.tiling.tiled_networks import Stage
from autodir_core.tiling.tiles import LATENT, PICTURE, plan_tiles, run_tiled
from autodir_lab.evaluation.sources import read_packaged_photo


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def mini() -> ad.AutoDIR:
    return ad.load_autodir(device="cpu")


@pytest.fixture(scope="module")
def palace() -> torch.Tensor:
    """A photo [1, 320, 640, 3] with even sky beside detail: what tiles by themselves would make uneven."""
    return read_packaged_photo("sklearn.datasets.images", "china.jpg")[:, :320]


def test_tiles_are_close_to_the_whole_picture(mini, palace):
    small = mini.tiled(256)
    code, tiled_code = (model.encode(palace) for model in (mini, small))
    assert (tiled_code - code).std() < 0.08 * code.std()
    drawn, tiled_drawn = (model.decode(code, scale=1.0) for model in (mini, small))
    assert psnr(tiled_drawn, drawn) > 38
    corrected, tiled_corrected = (model.correct(palace, drawn) for model in (mini, small))
    assert psnr(tiled_corrected, corrected) > 50


def sky(height: int, width: int) -> torch.Tensor:
    """An even gradient with a little noise, on which every seam is visible."""
    ramp = torch.linspace(0.3, 0.7, width).expand(height, width)
    return (ramp[None, ..., None] + 0.03 * noise(1, height, width, 3)).clamp(0, 1)


@pytest.mark.parametrize(("kind", "tile_size", "side"), [("sky", 256, 160), ("photo", 256, 160), ("photo", 512, 320)])
def test_no_seams(mini, palace, kind, tile_size, side):
    """At the borders of tiles the difference to the whole is no larger than elsewhere; without overlap it is.

    Neighbors share 32 pixels, an eighth of the smaller tiles and a sixteenth of the larger ones.
    """
    image = sky(192, 640) if kind == "sky" else palace[:, :192]
    settings = ad.SamplerSettings(2, "dpmpp_2m")
    results = {}
    for name, model in (("whole", mini), ("tiled", mini.tiled(tile_size))):
        latent = model.sample(model.encode(image), mini.embed_text(["A photo needs denoise"]), settings, seed=1)
        results[name] = model.correct(image, model.decode(latent, image.shape[1:3]))
    blended = border_ratio(results["tiled"], results["whole"], side)
    naive = border_ratio(naive_tiles(mini, image, settings, side), results["whole"], side)
    assert blended < 1.3 < naive


def border_ratio(image: torch.Tensor, whole: torch.Tensor, side: int) -> float:
    """Steps of the difference to the whole across the borders of tiles, relative to those elsewhere."""
    steps = (image - whole).diff(dim=2).abs().mean(dim=(0, 1, 3))
    borders = torch.zeros_like(steps, dtype=torch.bool)
    for border in range(side, image.shape[2], side):
        borders[border - 1] = True
    return (steps[borders].mean() / steps[~borders].mean()).item()


def naive_tiles(model, image, settings, side):
    """Tiles restored by themselves and put side by side."""
    text = model.embed_text(["A photo needs denoise"])

    def one(part):
        latent = model.sample(model.encode(part), text, settings, seed=1)
        return model.correct(part, model.decode(latent, part.shape[1:3]))

    return torch.cat(
        [torch.cat([one(part) for part in row.split(side, dim=2)], dim=2) for row in image.split(side, dim=1)], dim=1
    )


class TestDiffusion:
    def test_every_tile_shares_the_noise_and_the_text(self, tiny):
        """A denoiser that works by place gives with tiles what it gives without."""
        stages, condition, x = tiny.tiled(128).stages, noise(1, 4, 40, 56), noise(1, 4, 40, 56, seed=1)
        seen = []

        def denoiser(c):
            seen.append(c.shape)
            return lambda part, sigma: part * sigma + c

        sigma = torch.tensor(2.0)
        done = stages.tiled_denoiser(denoiser, condition)(x, sigma)
        assert len(seen) > 4 and max(max(shape[-2:]) for shape in seen) <= 16
        assert torch.allclose(done, x * 2 + condition, atol=1e-5)

    def test_progress_counts_the_tiles_of_all_steps(self, tiny):
        seen = []
        model = tiny.tiled(128)
        latent = model.encode(torch.rand(1, 200, 200, 3))
        model.sample(latent, tiny.null_text, ad.SamplerSettings(2), on_tile=lambda *at: seen.append(at))
        done, totals = zip(*seen, strict=True)
        assert set(totals) == {totals[0]} and done[-1] == totals[0] and sorted(done) == list(done)


class TestModel:
    def test_tiles_change_nothing_of_the_model(self, tiny):
        image, z = torch.rand(1, 150, 200, 3), noise(1, 4, 24, 32)
        before = tiny.encode(image), tiny.decode(z), tiny.correct(image, image)
        small = tiny.tiled(128)
        inside = small.encode(image), small.decode(z), small.correct(image, image)
        after = tiny.encode(image), tiny.decode(z), tiny.correct(image, image)
        for whole, tiled, again in zip(before, inside, after, strict=True):
            assert torch.equal(whole, again)
            assert whole.shape == tiled.shape and not torch.equal(whole, tiled)
        assert (tiny.tile_size, small.tile_size) == (None, 128)

    def test_small_pictures_are_the_same_to_the_last_bit(self, tiny):
        image = torch.rand(1, 50, 72, 3)
        assert torch.equal(tiny.tiled(128).encode(image), tiny.encode(image))
        assert torch.equal(tiny.tiled(128).correct(image, image), tiny.correct(image, image))

    @pytest.mark.parametrize("size", [(130, 203), (1, 400), (400, 3), (3, 2000)])
    def test_a_tiled_restoration_keeps_the_size(self, tiny, size):
        image = torch.rand(1, *size, 3)
        done = restore(tiny.tiled(128), image, ad.LoopSettings(1, prompt="haze"), ad.SamplerSettings(steps=1))
        assert done.image.shape == image.shape and done.image.isfinite().all()

    def test_little_memory_means_tiles(self, tiny):
        image = torch.rand(1, 200, 300, 3)
        poor = tiny.tiled(free_memory=lambda device: 0)
        assert torch.equal(poor.encode(image), tiny.tiled(128).encode(image))
        rich = tiny.tiled(free_memory=lambda device: 10**12)
        assert torch.equal(rich.encode(image), tiny.encode(image))

    def test_large_pictures_are_tiled_whatever_the_memory(self, tiny):
        choose = tiny.tiled(free_memory=lambda device: 10**12).stages.choose_tile_size
        assert choose("decode", 1024, 1024) is None
        assert choose("decode", 3000, 4000) == MAX_TILE_SIZE
        assert choose("sample", 3000, 4000) == MAX_DIFFUSION_TILE_SIZE

    def test_a_stage_that_ran_out_of_memory_stays_with_smaller_tiles(self, tiny):
        model, tried = tiny.tiled(free_memory=lambda device: 10**12), []

        def fits(network, inputs):
            tried.append(max(inputs[0].shape[-2:]))
            if tried[-1] > 200:
                raise torch.cuda.OutOfMemoryError("tried to allocate 20 GiB")

        handle = tiny.networks.vae.encoder.register_forward_pre_hook(fits)
        image = torch.rand(1, 300, 300, 3)
        first, count = model.encode(image), sum(side > 200 for side in tried)
        again = model.encode(image)
        handle.remove()
        assert torch.equal(first, again) and count == 1 == sum(side > 200 for side in tried)

    def test_the_scale_of_latents_can_be_another(self, tiny):
        z = noise(1, 4, 8, 8)
        assert torch.allclose(tiny.decode(z, scale=1.0), tiny.decode(z * tiny.metadata.latent_scale), atol=1e-5)

    def test_tiles_can_be_too_small(self, tiny):
        with pytest.raises(InputError, match="128 pixels a side or more, got 64"):
            tiny.tiled(64)


@pytest.mark.parametrize("size", [(1500, 2000), (3000, 4000), (4000, 6000), (8700, 11500), (300, 30000), (30000, 300)])
@pytest.mark.parametrize(
    ("tile_size", "overlap", "most"),
    [(MAX_DIFFUSION_TILE_SIZE, DIFFUSION_OVERLAP, 4 / 3), (MAX_TILE_SIZE, OVERLAP, 7 / 6)],
)
def test_the_overlap_of_tiles_is_bounded(size, tile_size, overlap, most):
    """Tiles hold no more than a third more pixels than the picture, those of the large stages a sixth more."""
    height, width = (side // 4 for side in size)
    counted, x = [], torch.empty(1, 1, height, width)
    tiles = plan_tiles(height, width, tile_size, grid=4, unit=4, overlap=overlap)
    run_tiled(lambda part: counted.append(part.numel()) or part, [x], tiles, dims=(LATENT, LATENT))
    assert x.numel() < sum(counted) < most * x.numel()


def test_statistics_of_a_picture_come_from_a_small_sample(tiny):
    seen = []
    stage = Stage(
        "correct", "scm", lambda part: seen.append(part.shape), (PICTURE, PICTURE), module=torch.nn.Identity()
    )
    for tile_size in (1024, 256):
        with tiny.stages.statistics(stage, [torch.zeros(1, 900, 1200, 3)], tile_size):
            pass
    assert seen == [(1, 512, 512, 3), (1, 256, 256, 3)], "a sample as large as a tile costs as much as a tile"
