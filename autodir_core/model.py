"""AutoDIR: the four networks of one weights file behind the public methods."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .checkpoint.load import load_networks
from .devices import natural_dtype, network_dtype, parse_device, parse_dtype
from .diffusion.guidance import branch_weights, guided_denoiser
from .diffusion.noise import Seed, seeded_noise
from .diffusion.samplers import SAMPLER_FUNCTIONS, NoiseSampler, OnStep
from .diffusion.schedule import sigmas
from .errors import InputError
from .imaging.layout import check_images, crop, from_network, pad_to_multiple, to_network
from .imaging.tile_sizes import MIN_TILE
from .imaging.tiling import with_room
from .labels import check_labels
from .networks.build import Networks
from .networks.config import ModelConfig, ModelMetadata
from .settings import Assessment, SamplerSettings, check_view
from .stages import autoencoder as latent
from .stages import biqa
from .stages import conditioning as condition
from .stages import correction as correct

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
    networks, plan, metadata = load_networks(
        MINI if path is None else path, lambda key: network_dtype(key.partition(".")[0], precision, place)
    )
    return AutoDIR(networks.to(place), plan.config, metadata)


class AutoDIR:
    """One loaded model. Pictures are float32 [B, H, W, 3] in 0..1, values outside allowed, any size and batch.

    Encoding, decoding and correction that do not fit into the memory of a GPU are tried once more in smaller squares.
    """

    tile: int | None = None
    """Side in pixels of the squares that larger pictures are encoded, decoded and corrected in; None is no limit."""

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

    def tiled(self, tile: int | None) -> AutoDIR:
        """The same networks, in squares of so many pixels where pictures are larger; only the UNet sees them whole.

        Needs less memory; the result is close to the whole picture's, not equal. None is no limit. InputError below
        128 pixels.
        """
        if tile is not None and tile < MIN_TILE:
            raise InputError(f"squares need {MIN_TILE} pixels a side or more, got {tile}")
        other = copy.copy(self)
        other.tile = tile
        return other

    def padded(self, x: Tensor) -> Tensor:
        """[B, 3, H, W] extended by reflection to multiples of the stride."""
        x = pad_to_multiple(x, self.stride)
        single = x.shape[-2] == x.shape[-1] == self.stride
        if single and self.config.unet.groups in (*self.config.unet.channels, *self.config.vae.channels):
            # a group norm over one value is undefined, and networks this narrow have one channel per group
            return pad_to_multiple(x, 2 * self.stride)
        return x

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of the latent of a picture of this size."""
        sides = self.padded(torch.empty(1, 3, height, width, device="meta")).shape[-2:]
        return self.config.vae.latent_channels, sides[0] // self.factor, sides[1] // self.factor

    @torch.inference_mode()
    def assess(self, images: Tensor, labels: Sequence[str] | None = None, view: str = "centre") -> Assessment:
        """Ask CLIP which degradation the pictures show (paper section 3.2, official `BIQA`).

        Args:
            images: [B, H, W, 3].
            labels: those to ask about; None asks about all of the file.
            view: what is looked at, at native resolution: "centre", officially the central square of the vision tower's
                size, or "grid", up to 9 such squares from border to border, whose probabilities are averaged.
        """
        asked = check_labels(self.labels if labels is None else labels, self.labels)
        images, view = check_images(images), check_view(view)
        prompts = self.prompts(asked)
        probabilities = biqa.probabilities(self.networks.clip, images.to(self.device), prompts, view)
        embedding = condition.blend(probabilities, prompts.states)
        return Assessment(asked, probabilities.to(images.device), embedding.to(images.device))

    def prompts(self, labels: tuple[str, ...]) -> biqa.Prompts:
        """The encoded prompts of a label list; each label is encoded once per model, by itself."""
        for label in labels:
            if label not in self._prompts:
                self._prompts[label] = biqa.encode_prompts(self.networks.clip, (label,))
        known = [self._prompts[label] for label in labels]
        return biqa.Prompts(
            labels, *(torch.cat(parts) for parts in zip(*((p.states, p.embeddings) for p in known), strict=True))
        )

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Conditions [N, 77, D] of the user's words, "" the null prompt; padding is not masked, as officially."""
        tokens, _ = condition.tokenize(texts)
        return condition.text_states(self.networks.clip, tokens).float()

    @property
    def null_text(self) -> Tensor:
        """Condition [1, 77, D] of the empty prompt, computed once."""
        if self._null_text is None:
            self._null_text = self.embed_text([""])
        return self._null_text

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Conditioning latent [B, C, h, w]: the posterior's mode, not scaled; padded to the stride by reflection."""
        x = self.padded(to_network(check_images(images)).to(self.device))
        return with_room(lambda tile: latent.encode_mode(self.networks.vae, x, tile), self.tile, max(x.shape[-2:]))

    @torch.inference_mode()
    def decode(self, z: Tensor, size: tuple[int, int] | None = None, *, scale: float | None = None) -> Tensor:
        """Pictures [B, H, W, 3], not clamped, of scaled latents.

        Args:
            z: [B, C, h, w], scaled as `sample` returns them.
            size: crops to (H, W).
            scale: what the latents were multiplied by, if not the model's own scale.
        """
        z, scale = z.to(self.device), self.metadata.latent_scale if scale is None else scale
        side = self.factor * max(z.shape[-2:])
        x = with_room(lambda tile: latent.decode(self.networks.vae, z, scale, tile), self.tile, side)
        images = from_network(x)
        return images if size is None else crop(images, *size)

    @torch.inference_mode()
    def predict_noise(self, x: Tensor, t: Tensor | float, c: Tensor, e: Tensor) -> Tensor:
        """One evaluation of the UNet: the noise in `x`, float32.

        Args:
            x: noisy latent [B, C, h, w], scaled to unit variance as in training.
            t: timestep in 0..999, fractional allowed; a number or [B].
            c: conditioning latent [B, C, h, w].
            e: text condition [B or 1, 77, D].
        """
        dtype, device = self.dtype, self.device
        timestep = torch.as_tensor(t, device=device, dtype=torch.float32).expand(len(x))
        stacked = torch.cat([x.to(device), c.to(device)], dim=1).to(dtype)
        text = e.to(device, dtype).expand(len(x), -1, -1)
        return self.networks.unet(stacked, timestep, encoder_hidden_states=text).sample.float()

    @torch.inference_mode()
    def sample(
        self,
        c: Tensor,
        e: Tensor,
        settings: SamplerSettings | None = None,
        *,
        seed: Seed = 0,
        noise: Tensor | None = None,
        noise_sampler: NoiseSampler | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Draw a restored latent (paper section 3.3, official `sample` script).

        Args:
            c: conditioning latent [B, C, h, w] from `encode`.
            e: text condition [B or 1, 77, D].
            settings: None is the paper's 100 Euler ancestral steps without extra guidance.
            seed: picture i draws from seed + i; a list gives each its own. Noise is drawn on the CPU: a seed means the
                same noise on every device.
            noise: start noise [B, C, h, w] of unit variance, instead of the seed's.
            noise_sampler: (sigma, sigma_next) -> [B, C, h, w], instead of the seed's; not called for the step to 0.
            on_step: called with the step's number and the estimate of the result [B, C, h, w] after each evaluation.

        Returns the scaled latent [B, C, h, w], float32.
        """
        settings = settings or SamplerSettings()
        c = c.to(self.device)
        drawn, draw = seeded_noise(seed, c.shape)
        levels = sigmas(settings.steps)
        start = check_noise(noise, c) if noise is not None else drawn
        step_noise = noise_sampler or draw
        return SAMPLER_FUNCTIONS[settings.sampler](
            guided_denoiser(
                self.predict_noise,
                c,
                e.to(c).expand(len(c), -1, -1),
                null_text=self.null_text.to(c),
                weights=branch_weights(settings.text_guidance, settings.image_guidance),
            ),
            start.to(c) * levels[0].item(),
            levels,
            noise=lambda sigma, sigma_next: step_noise(sigma, sigma_next).to(c),
            on_step=on_step or ignore_step,
        )

    @torch.inference_mode()
    def correct(self, images: Tensor, generated: Tensor, weight: float | Tensor = 1.0) -> Tensor:
        """Structure correction [B, H, W, 3], not clamped: generated + weight * residual (paper section 3.4).

        Args:
            images: the degraded pictures [B, H, W, 3].
            generated: the decoder's pictures, same shape.
            weight: 0 keeps the generated picture, 1 is the official correction; a tensor weighs per picture or pixel.
        """
        degraded, generated = check_images(images), check_images(generated, "generated")
        if degraded.shape != generated.shape:
            raise InputError(f"both pictures need one shape, got {list(degraded.shape)} and {list(generated.shape)}")
        before, drawn = (to_network(image).to(self.device) for image in (degraded, generated))
        x = with_room(
            lambda tile: correct.correct(self.networks.scm, before, drawn, tile), self.tile, max(images.shape[1:3])
        )
        return correct.weigh(generated, from_network(x).to(generated.device), weight)


def check_noise(noise: Tensor, c: Tensor) -> Tensor:
    """InputError unless the start noise has the shape of the conditioning latent."""
    if noise.shape != c.shape:
        raise InputError(f"noise must have the latent's shape {list(c.shape)}, got {list(noise.shape)}")
    return noise


def ignore_step(step: int, estimate: Tensor) -> None:
    """The callback of those who do not watch."""
