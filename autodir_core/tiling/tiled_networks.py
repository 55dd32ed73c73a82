"""The networks for pictures of any size: whole where they fit, else in tiles with the statistics of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..diffusion.guidance import Denoise
from ..imaging.layout import from_network, pad_to_multiple, to_network
from ..networks.build import Networks
from ..networks.config import ModelConfig
from ..networks.global_statistics import global_statistics, sample_patches
from ..networks.precision import call_finite
from ..outputs import OnTile
from ..stages import autoencoder, correction
from .memory import FreeMemory, bytes_per_pixel, choose_tile_size, free_memory, retry_smaller_tiles
from .sizes import DIFFUSION_OVERLAP, OVERLAP, STATISTICS_SIZE
from .tiles import LATENT, PICTURE, plan_tiles, run_tiled


@dataclass(frozen=True)
class Stage:
    """One use of a network, as the tiles see it.

    Attributes:
        name: of the stage, in progress and in `memory.bytes_per_pixel`.
        owner: the name in `Networks` of the one that works.
        network: what is done to a tile.
        dims: `PICTURE` or `LATENT`: what goes in and what comes out.
        grid: values that the network divides its sides by.
        unit: pixels per value of what goes in.
        module: the part whose norms and averages are to be those of the whole picture; None for none.
        overlap: see `plan_tiles`.
    """

    name: str
    owner: str
    network: Callable[..., Tensor]
    dims: tuple[int, int]
    grid: int = 1
    unit: int = 1
    module: nn.Module | None = None
    overlap: int = OVERLAP


class TiledNetworks:
    """Encoding, denoising, decoding and correction of pictures [B, H, W, 3] in 0..1 that were checked before.

    A picture that goes through a network whole gives its result on the device of the networks. One in tiles stays
    where it is, and its tiles go there one by one.
    """

    def __init__(
        self,
        networks: Networks,
        config: ModelConfig,
        tile_size: int | None = None,
        free_memory: FreeMemory = free_memory,
    ) -> None:
        """Take the side of all tiles in pixels, None to choose it by the free memory for each stage."""
        self.networks, self.config = networks, config
        self.tile_size, self.free_memory = tile_size, free_memory
        self.limits: dict[str, int] = {}  # by stage the side that fitted where a larger one had not

    @property
    def device(self) -> torch.device:
        return self.networks.execution_device

    @property
    def factor(self) -> int:
        """Pixels per latent value along a side."""
        return 2 ** (len(self.config.vae.channels) - 1)

    @property
    def unet_stride(self) -> int:
        """Latent values that the sides of a latent are a multiple of."""
        return 2 ** (len(self.config.unet.channels) - 1)

    @property
    def stride(self) -> int:
        """Pixels that sides are padded to a multiple of."""
        return self.factor * self.unet_stride

    def pad(self, images: Tensor) -> Tensor:
        """Extend by reflection to multiples of the stride."""
        images = pad_to_multiple(images, self.stride)
        single = images.shape[1] == images.shape[2] == self.stride
        if single and self.config.unet.groups in (*self.config.unet.channels, *self.config.vae.channels):
            # a group norm over one value is undefined, and networks this narrow have one channel per group
            return pad_to_multiple(images, 2 * self.stride)
        return images

    def place(self, images: Tensor) -> Tensor:
        """Bring a picture to the device once, unless it goes there in tiles."""
        stages = ("encode", "decode", "correct")
        whole = all(self.choose_tile_size(stage, *images.shape[1:3]) is None for stage in stages)
        return images.to(self.device) if whole else images

    def encode(self, images: Tensor, on_tile: OnTile | None = None) -> Tensor:
        """Encode to the conditioning latent [B, C, h, w], padded, not scaled, on the device."""
        vae = self.networks.vae

        def encode(part: Tensor) -> Tensor:
            return autoencoder.encode_mode(vae, to_network(part.to(self.device)))

        stage = Stage("encode", "vae", encode, (PICTURE, LATENT), grid=self.factor, module=vae.encoder)
        return self.run(stage, [self.pad(images)], on_tile=on_tile).to(self.device)

    def decode(
        self, latent: Tensor, scale: float, size: tuple[int, int] | None = None, on_tile: OnTile | None = None
    ) -> Tensor:
        """Decode a scaled latent to pictures, not clamped, cropped to `size`."""
        vae = self.networks.vae

        def decode(part: Tensor) -> Tensor:
            return from_network(autoencoder.decode(vae, part.to(self.device), scale))

        stage = Stage("decode", "vae", decode, (LATENT, PICTURE), unit=self.factor, module=vae.decoder)
        return self.run(stage, [latent], size=size, on_tile=on_tile)

    def correct(self, degraded: Tensor, generated: Tensor, on_tile: OnTile | None = None) -> Tensor:
        """Correct the generated picture at weight 1, not clamped."""
        scm = self.networks.scm

        def correct(*parts: Tensor) -> Tensor:
            return from_network(correction.correct(scm, *(to_network(part.to(self.device)) for part in parts)))

        stage = Stage("correct", "scm", correct, (PICTURE, PICTURE), grid=scm.stride, module=scm)
        return self.run(stage, [degraded, generated], on_tile=on_tile)

    def tiled_denoiser(
        self, denoiser: Callable[[Tensor], Denoise], condition: Tensor, on_tile: OnTile | None = None
    ) -> Denoise:
        """Return `denoise(x, sigma)` for latents of any size, whose tiles are blended at every step.

        All tiles share one noise and one text, and each is normalized by itself, as in training (MultiDiffusion,
        Bar-Tal et al. 2023).

        Args:
            denoiser: returns the denoiser for a conditioning latent or a part of one.
            condition: [B, C, h, w].
            on_tile: called with the number of finished tiles of a step and of all.
        """

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            stage = Stage(
                "sample",
                "unet",
                lambda part, condition_part: denoiser(condition_part)(part, sigma),
                (LATENT, LATENT),
                grid=self.unet_stride,
                unit=self.factor,
                overlap=DIFFUSION_OVERLAP,
            )
            return self.run(stage, [x, condition], on_tile=on_tile, check=False)

        return denoise

    def run(
        self,
        stage: Stage,
        inputs: Sequence[Tensor],
        *,
        size: tuple[int, int] | None = None,
        on_tile: OnTile | None = None,
        check: bool = True,
    ) -> Tensor:
        """Run a stage over its inputs, in tiles where they do not fit, in smaller ones where memory runs out.

        The result is finite where `check` asks for it; AutoDIRError where it cannot be.
        """
        height, width = (side * stage.unit for side in dims_of(inputs[0], stage.dims[0]))

        def attempt(tile_size: int | None) -> Tensor:
            size_of_input = dims_of(inputs[0], stage.dims[0])
            tiles = plan_tiles(*size_of_input, tile_size, grid=stage.grid, unit=stage.unit, overlap=stage.overlap)
            with nullcontext() if len(tiles) == 1 else self.statistics(stage, inputs, tile_size):
                return run_tiled(stage.network, inputs, tiles, dims=stage.dims, size=size, on_tile=on_tile)

        with self.networks.on_device(stage.owner):
            chosen = self.choose_tile_size(stage.name, height, width)

            def compute() -> Tensor:
                longer = max(height, width)
                return retry_smaller_tiles(attempt, chosen, longer, lambda side: self.limit(stage.name, side))

            return call_finite(self.networks, stage.owner, stage.name, compute, inputs=inputs) if check else compute()

    def choose_tile_size(self, stage: str, height: int, width: int) -> int | None:
        """Return the side in pixels of the tiles in which a stage sees a picture of this size, None for the whole."""
        if stage in self.limits:
            return self.limits[stage]
        if self.tile_size is not None:
            return self.tile_size
        need, free = bytes_per_pixel(self.networks)[stage], self.free_memory(self.device)
        return choose_tile_size(stage, height * width, need, free)

    def limit(self, stage: str, side: int) -> None:
        """Let a stage use no larger tiles from now on."""
        self.limits[stage] = side

    def statistics(self, stage: Stage, inputs: Sequence[Tensor], tile_size: int | None) -> AbstractContextManager[None]:
        """Return the context in which tiles are normalized as the whole picture would be."""
        if stage.module is None or tile_size is None:
            return nullcontext()
        side, dim = min(tile_size, STATISTICS_SIZE) // stage.unit, stage.dims[0]
        samples = [sample_patches(x, dim, side, stage.grid) for x in inputs]
        return global_statistics(stage.module, lambda: stage.network(*samples))


def dims_of(x: Tensor, dim: int) -> tuple[int, int]:
    """Return height and width of a picture or latent."""
    return x.shape[dim], x.shape[dim + 1]
