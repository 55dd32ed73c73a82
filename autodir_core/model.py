"""AutoDIR: the four networks of one weights file behind the public methods."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .checkpoint.load import load_networks
from .checkpoint.metadata import ModelMetadata
from .choices import CROPS, SAMPLERS
from .devices import memory_format, natural_dtype, network_dtype, parse_device, parse_dtype
from .diffusion.guidance import branch_weights, guided_denoiser
from .diffusion.noise import Seed, seeded_noise
from .diffusion.samplers import NoiseSampler, OnStep
from .diffusion.schedule import sigmas
from .errors import InputError
from .imaging.layout import check_images, check_layout, crop, from_network, pad_to_multiple, to_network
from .imaging.tile_sizes import MIN_TILE_SIZE
from .imaging.tiling import retry_smaller_tiles
from .labels import check_labels
from .networks.build import Networks
from .networks.config import ModelConfig
from .outputs import Assessment
from .settings import SamplerSettings
from .stages import autoencoder, biqa, conditioning, correction

MINI = Path(__file__).parent / "assets" / "autodir-mini.safetensors"
"""The embedded model."""


def load_autodir(
    path: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> AutoDIR:
    """Load an AutoDIR model.

    Args:
        path: a `.safetensors` or `.ckpt` file with official key names; None loads the embedded mini model.
        device: None takes CUDA, then MPS, then the CPU.
        dtype: None takes float16 on CUDA and float32 elsewhere. In float16 the SCM and the VAE stay wider.

    Raises CheckpointError for a file that is not a complete AutoDIR model, InputError for device or precision.
    """
    place = parse_device(device)
    precision = natural_dtype(place) if dtype is None else parse_dtype(dtype)
    networks, plan = load_networks(
        MINI if path is None else path, lambda key: network_dtype(key.partition(".")[0], precision, place)
    )
    return AutoDIR(networks.to(place).to(memory_format=memory_format(place)), plan.config, plan.metadata)


class AutoDIR:
    """One loaded model. Pictures are float32 [B, H, W, 3] in 0..1, values outside allowed, any size and batch.

    Encoding, decoding and correction that do not fit into the memory of a GPU are tried once more in smaller tiles.
    The methods that end in `_pixels` take and return pictures in network layout, [B, 3, H, W] in -1..1 on the model's
    device, so that a round of `pipeline.restore` brings a picture there once.
    """

    tile_size: int | None = None
    """Side in pixels of the tiles in which larger pictures are encoded, decoded and corrected; None is no limit."""

    def __init__(self, networks: Networks, config: ModelConfig, metadata: ModelMetadata) -> None:
        self.networks = networks
        self.config = config
        self.metadata = metadata
        self._prompts: dict[str, biqa.Prompts] = {}
        self._null_text: Tensor | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The file's own labels, in the order of its softmax."""
        return self.metadata.labels

    @property
    def device(self) -> torch.device:
        return self.networks.unet.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the diffusion and of CLIP."""
        return self.networks.unet.dtype

    @property
    def factor(self) -> int:
        """Pixels per latent value along a side: 8 officially."""
        return 2 ** (len(self.config.vae.channels) - 1)

    @property
    def stride(self) -> int:
        """Pixels that sides are padded to a multiple of: 64 officially."""
        return self.factor * 2 ** (len(self.config.unet.channels) - 1)

    def tiled(self, tile_size: int | None) -> AutoDIR:
        """Return the same networks, which take larger pictures in tiles of so many pixels; the UNet sees them whole.

        Needs less memory; the result is close to the whole picture's, not equal. None is no limit. InputError below
        128 pixels.
        """
        if tile_size is not None and tile_size < MIN_TILE_SIZE:
            raise InputError(f"tiles need {MIN_TILE_SIZE} pixels a side or more, got {tile_size}")
        other = copy.copy(self)
        other.tile_size = tile_size
        return other

    def pad(self, x: Tensor) -> Tensor:
        """Extend [B, 3, H, W] by reflection to multiples of the stride."""
        x = pad_to_multiple(x, self.stride)
        single = x.shape[-2] == x.shape[-1] == self.stride
        if single and self.config.unet.groups in (*self.config.unet.channels, *self.config.vae.channels):
            # a group norm over one value is undefined, and networks this narrow have one channel per group
            return pad_to_multiple(x, 2 * self.stride)
        return x

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Return (C, h, w) of the latent of a picture of this size."""
        sides = self.pad(torch.empty(1, 3, height, width, device="meta")).shape[-2:]
        return self.config.vae.latent_channels, sides[0] // self.factor, sides[1] // self.factor

    @torch.inference_mode()
    def assess(self, images: Tensor, labels: Sequence[str] | None = None, crops: str = "center") -> Assessment:
        """Ask CLIP which degradation the pictures show (paper section 3.2, official `BIQA`).

        Args:
            images: [B, H, W, 3].
            labels: those to ask about; None asks about all of the file.
            crops: what is looked at, and checked to be finite, at native resolution: "center", officially one crop of
                the vision tower's size, or "grid", up to 9 from border to border, whose probabilities are averaged.
        """
        asked = check_labels(self.labels if labels is None else labels, self.labels)
        prompts = self.prompts(asked)
        images = check_layout(images).float()
        probabilities = biqa.classify(self.networks.clip, images, prompts, CROPS.check(crops))
        embedding = conditioning.blend(probabilities, prompts.states)
        return Assessment(asked, probabilities.to(images.device), embedding.to(images.device))

    def prompts(self, labels: tuple[str, ...]) -> biqa.Prompts:
        """Return the encoded prompts of a label list; each label is encoded once per model, by itself."""
        for label in labels:
            if label not in self._prompts:
                self._prompts[label] = biqa.encode_prompts(self.networks.clip, (label,))
        known = [self._prompts[label] for label in labels]
        return biqa.Prompts(
            labels, torch.cat([one.states for one in known]), torch.cat([one.embeddings for one in known])
        )

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Encode custom prompts to [N, 77, D], "" to the null prompt; padding is not masked, as officially."""
        tokens, _ = conditioning.tokenize(texts)
        return conditioning.text_states(self.networks.clip, tokens).float()

    @property
    def null_text(self) -> Tensor:
        """The embedding [1, 77, D] of the empty prompt, computed once."""
        if self._null_text is None:
            self._null_text = self.embed_text([""])
        return self._null_text

    def network_input(self, images: Tensor) -> Tensor:
        """Return [B, H, W, 3] in network layout on the model's device."""
        return to_network(images.to(self.device))

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Encode to the conditioning latent [B, C, h, w]: the posterior's mode, not scaled; padded by reflection."""
        return self.encode_pixels(self.network_input(check_images(images)))

    def encode_pixels(self, x: Tensor) -> Tensor:
        """Encode [B, 3, H, W] as `encode` does."""
        x = self.pad(x)
        return retry_smaller_tiles(
            lambda tile_size: autoencoder.encode_mode(self.networks.vae, x, tile_size),
            self.tile_size,
            max(x.shape[-2:]),
        )

    @torch.inference_mode()
    def decode(self, latent: Tensor, size: tuple[int, int] | None = None, *, scale: float | None = None) -> Tensor:
        """Decode scaled latents to pictures [B, H, W, 3], not clamped.

        Args:
            latent: [B, C, h, w], scaled as `sample` returns it.
            size: crops to (H, W).
            scale: what the latents were multiplied by, if not the model's own scale.
        """
        images = from_network(self.decode_pixels(latent, scale=scale))
        return images if size is None else crop(images, *size)

    def decode_pixels(self, latent: Tensor, *, scale: float | None = None) -> Tensor:
        """Decode as `decode` does, to [B, 3, H, W] with the padding."""
        z, scale = latent.to(self.device), self.metadata.latent_scale if scale is None else scale
        return retry_smaller_tiles(
            lambda tile_size: autoencoder.decode(self.networks.vae, z, scale, tile_size),
            self.tile_size,
            self.factor * max(z.shape[-2:]),
        )

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

        Returns the scaled latent [B, C, h, w], float32.
        """
        settings = settings or SamplerSettings()
        c = image_latent.to(self.device)
        drawn, draw = seeded_noise(seed, c.shape)
        levels = sigmas(settings.steps)
        initial = check_noise(noise, c) if noise is not None else drawn
        step_noise = noise_sampler or draw
        return SAMPLERS.load(settings.sampler)(
            guided_denoiser(
                self.predict_noise,
                c,
                text_embedding.to(c).expand(len(c), -1, -1),
                null_text=self.null_text.to(c),
                weights=branch_weights(settings.text_guidance, settings.image_guidance),
            ),
            initial.to(c) * levels[0].item(),
            levels,
            noise=lambda sigma, sigma_next: step_noise(sigma, sigma_next).to(c),
            on_step=on_step or ignore_step,
        )

    @torch.inference_mode()
    def correct(self, images: Tensor, generated: Tensor, weight: float | Tensor = 1.0) -> Tensor:
        """Correct the structure: [B, H, W, 3], not clamped, generated + weight * residual (paper section 3.4).

        Args:
            images: the degraded pictures [B, H, W, 3].
            generated: the decoder's pictures, same shape.
            weight: 0 keeps the generated picture, 1 is the official correction; a tensor weighs per picture or pixel.
        """
        degraded, generated = check_images(images), check_images(generated, "generated")
        if degraded.shape != generated.shape:
            raise InputError(f"both pictures need one shape, got {list(degraded.shape)} and {list(generated.shape)}")
        x = self.correct_pixels(self.network_input(degraded), self.network_input(generated))
        return correction.lerp_correction(generated, from_network(x).to(generated.device), weight)

    def correct_pixels(self, degraded: Tensor, generated: Tensor) -> Tensor:
        """Correct [B, 3, H, W] as `correct` does at weight 1."""
        return retry_smaller_tiles(
            lambda tile_size: correction.correct(self.networks.scm, degraded, generated, tile_size),
            self.tile_size,
            max(degraded.shape[-2:]),
        )


def check_noise(noise: Tensor, image_latent: Tensor) -> Tensor:
    """Return the initial noise; InputError unless it has the shape of the conditioning latent."""
    if noise.shape != image_latent.shape:
        raise InputError(f"noise must have the latent's shape {list(image_latent.shape)}, got {list(noise.shape)}")
    return noise


def ignore_step(step: int, estimate: Tensor) -> None:
    """Do nothing after a step."""
