"""Residual branches that end in zeros add nothing: without gradients they are skipped.

Autoencoders start with such branches, and those of the embedded model still have them: its codec is linear.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL


class ZeroCheck:
    """Whether a layer's weight and bias are zero; looked at once, and again after they have changed."""

    def __init__(self) -> None:
        self.seen: tuple[int, ...] = ()
        self.zero = False

    def __call__(self, layer: nn.Module) -> bool:
        parameters = list(layer.parameters())
        # tensors made in inference mode have no version, and cannot change outside it
        state = tuple(number for p in parameters for number in (id(p), 0 if p.is_inference() else p._version))
        if state != self.seen:
            self.seen, self.zero = state, not any(p.any() for p in parameters)
        return self.zero


class SkippingResnetBlock(ResnetBlock2D):
    """A residual block that is its shortcut alone where its last convolution is zero."""

    @cached_property
    def check(self) -> ZeroCheck:
        return ZeroCheck()

    def forward(self, input_tensor: Tensor, temb: Any, *args: Any, **kwargs: Any) -> Tensor:
        if torch.is_grad_enabled() or not self.check(self.conv2):
            return super().forward(input_tensor, temb, *args, **kwargs)
        return input_tensor if self.conv_shortcut is None else self.conv_shortcut(input_tensor)


class SkippingAttention(Attention):
    """A residual self-attention that hands its input on where its output projection is zero."""

    @cached_property
    def check(self) -> ZeroCheck:
        return ZeroCheck()

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if torch.is_grad_enabled() or not self.check(self.get_submodule("to_out.0")):
            return super().forward(hidden_states, *args, **kwargs)
        return hidden_states


def skip_zero_branches(vae: AutoencoderKL) -> AutoencoderKL:
    """Let the blocks of an autoencoder skip what adds nothing, and return it; parameters stay as they are."""
    for module in vae.modules():
        if type(module) is ResnetBlock2D:
            module.__class__ = SkippingResnetBlock
        elif type(module) is Attention:
            module.__class__ = SkippingAttention
    return vae
