"""AutoDIR: the four networks of one weights file behind the public methods."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from .checkpoint.load import load_networks
from .checkpoint.metadata import ModelMetadata
from .choices import CROPS, SAMPLERS
from .devices import memory_format, natural_dtype, network_dtype, parse_device, parse_dtype
from .diffusion.guidance import Denoise, branch_weights, guided_denoiser
from .diffusion.noise import Seed, check_noise, seeded_noise
from .diffusion.samplers import NoiseSampler, OnStep, StepCounter
from .diffusion.schedule import sigmas
from .errors import InputError
from .imaging.layout import check_finite, check_images, check_layout, check_same_shape
from .labels import check_labels
from .networks.build import Networks, weight_dtype
from .networks.config import ModelConfig
from .networks.cuda_graph import use_cuda_graph
from .networks.precision import call_finite
from .outputs import Assessment, OnTile
from .settings import SamplerSettings, settings_or_default
from .stages import biqa, conditioning, correction
from .stages.text_encoder import TextEncoder
from .tiling.memory import FreeMemory, check_offload, free_memory, place_networks
from .tiling.sizes import MIN_TILE_SIZE
from .tiling.tiled_networks import TiledNetworks

MINI = Path(__file__).parent / "assets" / "autodir-mini.safetensors"
"""The embedded model."""


def load_autodir(
    path: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    *,
    offload: bool | None = None,
    cuda_graph: bool = False,
) -> AutoDIR:
    """Load an AutoDIR model.

    Args:
        path: a `.safetensors` or `.ckpt` file with official key names; None loads the embedded mini model.
        device: None takes CUDA, then MPS, then the CPU.
        dtype: None takes float16 on CUDA and float32 elsewhere. In float16 the SCM and the VAE stay wider.
        offload: keep the weights in the CPU's memory and have only the network in use on the device, which gives the
            same bits; None does so on CUDA where its free memory does not hold them all.
        cuda_graph: replay the UNet's kernels from a recording, see `use_cuda_graph`; not together with `offload`.

    Raises CheckpointError for a file that is not a complete AutoDIR model, InputError for device or precision.
    """
    place = parse_device(device)
    if offload:
        check_offload(place)
    precision = natural_dtype(place) if dtype is None else parse_dtype(dtype)
    networks, plan = load_networks(
        MINI if path is None else path, lambda key: network_dtype(key.partition(".")[0], precision, place)
    )
    place_networks(networks.to(memory_format=memory_format(place)), place, offload)
    if cuda_graph:
        use_cuda_graph(networks)
    return AutoDIR(networks, plan.config, plan.metadata)


class AutoDIR:
    """One loaded model. Pictures are float32 [B, H, W, 3] in 0..1, values outside allowed, any size and batch.

    Large pictures go through the networks in tiles, of a size that the free memory allows. `on_tile` of the methods is
    called with the number of finished tiles and of all.

    Attributes:
        stages: the networks for pictures that were checked before; what the methods and the pipeline call.
    """

    def __init__(self, networks: Networks, config: ModelConfig, metadata: ModelMetadata) -> None:
        self.networks = networks
        self.config = config
        self.metadata = metadata
        self.stages = TiledNetworks(networks, config)
        self._texts = TextEncoder(networks)

    @property
    def labels(self) -> tuple[str, ...]:
        """The file's own labels, in the order of its softmax."""
        return self.metadata.labels

    @property
    def device(self) -> torch.device:
        return self.networks.execution_device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the diffusion and of CLIP."""
        return weight_dtype(self.networks.unet)

    @property
    def factor(self) -> int:
        """Pixels per latent value along a side: 8 officially."""
        return self.stages.factor

    @property
    def stride(self) -> int:
        """Pixels that sides are padded to a multiple of: 64 officially."""
        return self.stages.stride

    @property
    def tile_size(self) -> int | None:
        """The side in pixels of all tiles; None where the free memory decides."""
        return self.stages.tile_size

    def tiled(self, tile_size: int | None = None, *, free_memory: FreeMemory = free_memory) -> AutoDIR:
        """Return the same networks, which take larger pictures in other tiles; the result is close, not equal.

        Args:
            tile_size: side in pixels, 128 or more; None chooses it for each stage, and keeps pictures of up to a
                megapixel whole where they fit.
            free_memory: returns the bytes that are free on a device.
        """
        if tile_size is not None and tile_size < MIN_TILE_SIZE:
            raise InputError(f"tiles need {MIN_TILE_SIZE} pixels a side or more, got {tile_size}")
        other = copy.copy(self)
        other.stages = TiledNetworks(self.networks, self.config, tile_size, free_memory)
        return other

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return (C, h, w) of the latent of a picture of this size."""
        sides = self.stages.pad(torch.empty(1, height, width, 3, device="meta")).shape[1:3]
        return self.config.vae.latent_channels, sides[0] // self.factor, sides[1] // self.factor

    @torch.inference_mode()
    def assess(self, images: Tensor, labels: Sequence[str] | None = None, crops: str = "center") -> Assessment:
        """Ask CLIP which degradation the pictures show (paper section 3.2, official `BIQA`).

        Args:
            images: [B, H, W, 3].
            labels: those to ask about; None asks about all of the file.
            crops: what is looked at, and checked to be finite, at native resolution: "center", officially one crop of
                the vision tower's size, or "grid", `layout.grid_crops`, whose probabilities are averaged.
        """
        asked = check_labels(self.labels if labels is None else labels, self.labels)
        prompts = self.prompts(asked)
        look = partial(biqa.classify, self.networks.clip, check_layout(images).float(), prompts, CROPS.check(crops))
        probabilities, votes = call_finite(self.networks, "clip", "assess", look, lambda found: [found[0]])
        embedding = conditioning.blend(probabilities, prompts.states)
        device = images.device
        seen = None if votes is None else votes.to(device)
        return Assessment(asked, probabilities.to(device), embedding.to(device), seen)

    @torch.inference_mode()
    def locate(self, image: Tensor, labels: Sequence[str] | None = None) -> Tensor:
        """Return where each degradation is: how probable each label is around each place, [L, h, w] of 16 pixels each.

        Args:
            image: one picture [1, H, W, 3].
            labels: those to ask about; None asks about all of the file.
        """
        prompts = self.prompts(check_labels(self.labels if labels is None else labels, self.labels))
        look = partial(biqa.probability_map, self.networks.clip, check_images(image), prompts)
        return call_finite(self.networks, "clip", "locate", look).clone().to(image.device)

    def prompts(self, labels: tuple[str, ...]) -> biqa.Prompts:
        """Return the encoded prompts of a label list; each label is encoded once per model, by itself."""
        return self._texts.prompts(labels)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Encode custom prompts to [N, 77, D], "" to the null prompt; padding is not masked, as officially."""
        return self._texts.embed(texts)

    @property
    def null_text(self) -> Tensor:
        """The embedding [1, 77, D] of the empty prompt, computed once."""
        return self._texts.null

    @torch.inference_mode()
    def encode(self, images: Tensor, *, on_tile: OnTile | None = None) -> Tensor:
        """Encode to the conditioning latent [B, C, h, w]: the posterior's mode, not scaled; padded by reflection."""
        return self.stages.encode(check_images(images), on_tile)

    @torch.inference_mode()
    def decode(
        self,
        latent: Tensor,
        size: tuple[int, int] | None = None,
        *,
        scale: float | None = None,
        on_tile: OnTile | None = None,
    ) -> Tensor:
        """Decode scaled latents to pictures [B, H, W, 3], not clamped.

        Args:
            latent: [B, C, h, w], scaled as `sample` returns it.
            size: crops to (H, W).
            scale: what the latents were multiplied by, if not the model's own scale.
            on_tile: see the class.
        """
        return self.stages.decode(latent, self.metadata.latent_scale if scale is None else scale, size, on_tile)

    @torch.inference_mode()
    def predict_noise(
        self, noisy_latent: Tensor, timestep: Tensor | float, image_latent: Tensor, text_embedding: Tensor
    ) -> Tensor:
        """Evaluate the UNet once; returns the noise in `noisy_latent`, float32.

        Args:
            noisy_latent: [B, C, h, w], scaled to unit variance as in training.
            timestep: 0..999, fractional allowed; a number or [B].
            image_latent: conditioning latent [B, C, h, w].
            text_embedding: [B or 1, 77, D].
        """
        dtype, device = self.dtype, self.device
        timesteps = torch.as_tensor(timestep, device=device, dtype=torch.float32).expand(len(noisy_latent))
        stacked = torch.cat([noisy_latent.to(device), image_latent.to(device)], dim=1).to(dtype)
        text = text_embedding.to(device, dtype).expand(len(noisy_latent), -1, -1)
        with self.networks.on_device("unet"):
            return self.networks.unet(stacked, timesteps, encoder_hidden_states=text).sample.float()

    @torch.inference_mode()
    def sample(
        self,
        image_latent: Tensor,
        text_embedding: Tensor,
        settings: SamplerSettings | None = None,
        *,
        seed: Seed = 0,
        noise: Tensor | None = None,
        noise_sampler: NoiseSampler | None = None,
        on_step: OnStep | None = None,
        on_tile: OnTile | None = None,
    ) -> Tensor:
        """Draw a restored latent (paper section 3.3, official `sample` script).

        Args:
            image_latent: conditioning latent [B, C, h, w] from `encode`.
            text_embedding: [B or 1, 77, D].
            settings: None is the paper's 100 Euler ancestral steps without extra guidance.
            seed: picture i draws from seed + i; a list gives each its own. Noise is drawn on the CPU: a seed means the
                same noise on every device.
            noise: initial noise [B, C, h, w] of unit variance, instead of the seed's.
            noise_sampler: (sigma, sigma_next) -> [B, C, h, w], instead of the seed's; not called for the step to 0.
            on_step: called with the step's number and the estimate of the result [B, C, h, w] after each evaluation.
            on_tile: called with the number of finished tiles of all steps and of all.

        Returns the scaled latent [B, C, h, w], float32.
        """
        settings = settings_or_default(settings, SamplerSettings, "settings")
        c = image_latent.to(self.device)
        check_finite(text_embedding, "the text condition")
        denoiser, levels = self.denoiser(text_embedding, settings), sigmas(settings.steps)

        def run() -> Tensor:
            drawn, draw = seeded_noise(seed, c.shape)
            initial = check_noise(noise, c) if noise is not None else drawn
            step_noise, counter = noise_sampler or draw, StepCounter(settings.steps, on_step, on_tile)
            return SAMPLERS.load(settings.sampler)(
                *(self.stages.tiled_denoiser(denoiser, c, counter.on_tile), initial.to(c) * levels[0].item(), levels),
                noise=lambda sigma, sigma_next: step_noise(sigma, sigma_next).to(c),
                on_step=counter.on_step,
            )

        return call_finite(self.networks, "unet", "sample", run, inputs=[c])  # at the end, so that no step waits

    def denoiser(self, text_embedding: Tensor, settings: SamplerSettings) -> Callable[[Tensor], Denoise]:
        """Return what makes the guided denoiser of a conditioning latent [B, C, h, w] or of a part of one."""
        weights = branch_weights(settings.text_guidance, settings.image_guidance)
        negative = settings.negative_prompt.strip()
        null_text = self.embed_text([negative]) if negative else self.null_text

        def make(condition: Tensor) -> Denoise:
            text, null = text_embedding.to(condition).expand(len(condition), -1, -1), null_text.to(condition)
            return guided_denoiser(self.predict_noise, condition, text, null_text=null, weights=weights)

        return make

    @torch.inference_mode()
    def correct(
        self,
        images: Tensor,
        generated: Tensor,
        weight: float | Tensor = 1.0,
        *,
        on_tile: OnTile | None = None,
    ) -> Tensor:
        """Correct the structure: [B, H, W, 3], not clamped, generated + weight * residual (paper section 3.4).

        Args:
            images: the degraded pictures [B, H, W, 3].
            generated: the decoder's pictures, same shape.
            weight: 0 keeps the generated picture, 1 is the official correction; a tensor weighs per picture or pixel.
            on_tile: see the class.
        """
        degraded, generated = check_images(images), check_images(generated, "generated")
        check_same_shape(degraded, generated)
        corrected = self.stages.correct(degraded, generated, on_tile)
        return correction.lerp_correction(generated, corrected.to(generated.device), weight)
