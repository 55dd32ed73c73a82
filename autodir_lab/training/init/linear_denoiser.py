"""Initialize the diffusion as the best linear predictor of the noise (see `signed_pairs`)."""

from __future__ import annotations

import torch
from torch import nn

from autodir_core.diffusion.schedule import TIMESTEPS, alphas_cumprod
from autodir_core.imaging.layout import to_network
from autodir_core.model import AutoDIR
from autodir_core.networks.build import submodule
from autodir_core.stages.autoencoder import encode_mode

from ..data.crops import CropConfig
from ..data.dataset import PairDataset, full_batch
from ..data.sources import TrainingData
from ..objectives.losses import add_noise
from . import signed_pairs


@torch.no_grad()
def init_linear_denoiser(model: AutoDIR, data: TrainingData, *, seed: int = 0) -> None:
    """Let a freshly built UNet predict the noise that fits best among all a x - b c, constant over the timesteps.

    x is the noised latent and c the latent of the degraded picture. At high noise the answer is nearly x itself, to a
    precision that group norms do not let through; with this initialization it is there, and training learns the rest.
    """
    unet, latent = model.networks.unet, len(model.networks.vae.get_parameter("post_quant_conv.weight"))
    norm = signed_pairs.last_norm(unet)
    groups = norm.num_groups
    if groups < latent or norm.num_channels < 6 * groups:
        raise ValueError(f"a linear denoiser needs {latent} norm groups of six channels, got {groups} groups")
    signed_pairs.zero_residual_branches(unet)
    weight, bias = signed_pairs.weight_and_bias(unet.conv_in)
    bias[: 2 * latent] = 0
    # the degraded picture's latent comes unscaled
    gains = torch.tensor([1.0, model.metadata.latent_scale]).repeat_interleave(latent)
    nn.init.dirac_(weight[: 2 * latent]).mul_(gains.view(-1, 1, 1, 1))
    shortcut = submodule(submodule(unet.up_blocks[-1], "resnets", nn.ModuleList)[-1], "conv_shortcut", nn.Conv2d)
    hidden = shortcut.in_channels - unet.conv_in.out_channels
    for source in range(2):
        signed_pairs.write_pairs(shortcut, groups, latent, columns=hidden + source * latent, offset=2 * source)
    signed_pairs.write_constants(shortcut, groups, latent, offset=4)
    norm.weight.fill_((2 * (2 + signed_pairs.CONSTANT**2) * groups / norm.num_channels) ** 0.5)
    norm.bias.zero_()
    signed_pairs.zero_parameters(unet.conv_out)
    identity = nn.init.dirac_(torch.empty(latent, latent, 3, 3))
    a, b = fit_linear_denoiser(model, data, seed)
    signed_pairs.read_pairs(unet.conv_out, a * identity, groups)
    signed_pairs.read_pairs(unet.conv_out, -b * identity, groups, offset=2)


def fit_linear_denoiser(model: AutoDIR, data: TrainingData, seed: int) -> tuple[float, float]:
    """Return a and b of the noise that a x - b c predicts best over all timesteps."""
    vae, scale = model.networks.vae, model.metadata.latent_scale
    batch = PairDataset(data, CropConfig(64, clean_fraction=0.05))[full_batch(seed, 64)].to(vae.device)
    target, c = (encode_mode(vae, to_network(x)) * scale for x in (batch.clean, batch.degraded))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(target.shape, generator=generator).to(target)
    signal = alphas_cumprod()[torch.randint(0, TIMESTEPS, (len(target),), generator=generator)].to(target)
    x = add_noise(target, noise, signal)
    solution = torch.linalg.lstsq(torch.stack([x.flatten(), -c.flatten()], dim=1), noise.flatten()[:, None]).solution
    return solution[0].item(), solution[1].item()
