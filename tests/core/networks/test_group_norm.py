"""Group norms of channels-last pictures on a CPU, whose own kernel loses digits with every pixel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from autodir_core.networks.build import build_unet, build_vae
from autodir_core.networks.config import UNetConfig, VAEConfig
from autodir_core.networks.group_norm import ExactGroupNorm


def channels_last(*size: int, mean: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*size, generator=generator) + mean * torch.randn(*size[:2], 1, 1, generator=generator)
    return x.contiguous(memory_format=torch.channels_last)


def norm_of(channels: int, kind: type[nn.GroupNorm] = ExactGroupNorm) -> nn.GroupNorm:
    norm = kind(4, channels).requires_grad_(False)
    generator = torch.Generator().manual_seed(1)
    for parameter in norm.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return norm


def error(norm: nn.GroupNorm, x: Tensor) -> float:
    """Return the relative L2 distance to the same in float64."""
    with torch.no_grad():
        got = norm(x)
        exact = nn.functional.group_norm(
            x.double().contiguous(), norm.num_groups, norm.weight.double(), norm.bias.double(), norm.eps
        )
    return float((got - exact).norm() / exact.norm())


@pytest.mark.parametrize("mean", [0.0, 3.0, 1000.0])
@pytest.mark.parametrize("size", [(1, 8, 1024, 1024), (2, 8, 33, 65), (1, 8, 1, 1)])
def test_it_is_exact_at_any_size(size, mean):
    """To 2e-6 with a mean of a thousand spreads: float32 holds no more of such a picture."""
    x = channels_last(*size, mean=mean)
    assert error(norm_of(8), x) < (2e-6 if mean < 100 else 3e-4)
    assert norm_of(8)(x).is_contiguous(memory_format=torch.channels_last)


def test_its_own_kernel_is_not():
    """Why this is needed; where PyTorch has mended it, `ExactGroupNorm` can go."""
    assert error(norm_of(8, nn.GroupNorm), channels_last(1, 8, 1024, 1024)) > 5e-5


@pytest.mark.parametrize("x", [torch.rand(2, 8, 6, 5), torch.rand(2, 8, 7)])
def test_what_is_contiguous_keeps_its_bits(x):
    assert torch.equal(norm_of(8)(x), norm_of(8, nn.GroupNorm)(x))


@pytest.mark.skipif(torch.__version__.startswith("2.2."), reason="the gradient of its kernel ends the process")
def test_training_takes_its_own_kernel():
    norm = norm_of(8).requires_grad_(True)
    norm(channels_last(1, 8, 4, 4)).sum().backward()
    assert norm.weight.grad is not None


def test_networks_have_no_other():
    networks = (
        build_vae(VAEConfig((8, 16), 1, 4, groups=4)),
        build_unet(UNetConfig(4, 4, (8, 16), 1, (True, False), context=8, heads=2, groups=4)),
    )
    norms = [module for network in networks for module in network.modules() if isinstance(module, nn.GroupNorm)]
    assert norms and all(type(module) is ExactGroupNorm for module in norms)
