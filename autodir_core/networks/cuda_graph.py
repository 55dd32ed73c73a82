"""A UNet that replays its kernels from a CUDA graph: small pictures otherwise wait for their launches, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import InputError
from .build import Networks, weight_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

WARM_UP_RUNS = 3
"""Before a recording, as `torch.cuda.make_graphed_callables` does: libraries choose and load their kernels."""


class Recording:
    """The kernels of one evaluation, and the memory that they read and write.

    Args:
        evaluate: (sample, timestep, text) -> noise; always the same kernels for these shapes, without gradients.
        inputs: of the shapes and types that all later ones have.
    """

    def __init__(self, evaluate: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        self.inputs = tuple(tensor.clone() for tensor in inputs)
        self.graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_RUNS):
                evaluate(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(self.graph):
            self.output = evaluate(*self.inputs)

    def replay(self, inputs: tuple[Tensor, ...]) -> Tensor:
        for own, tensor in zip(self.inputs, inputs, strict=True):
            own.copy_(tensor)
        self.graph.replay()
        return self.output.clone()


class GraphedForward:
    """In place of the forward pass of a UNet: records it for the shapes it meets, keeps the last recording."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self.unet, self.eager, self.dtype = unet, unet.forward, weight_dtype(unet)
        self.key: tuple[object, ...] = ()
        self.recording: Recording | None = None

    def __call__(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> object:
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput

        # weights in another precision for a while have other addresses each time, a graph holds the old ones
        if torch.is_grad_enabled() or not sample.is_cuda or sample.dtype != self.dtype:
            return self.eager(sample, timestep, encoder_hidden_states)
        inputs = sample, timestep, encoder_hidden_states
        weights = next(self.unet.parameters())
        key = (weights.data_ptr(), *((tensor.shape, tensor.dtype, tensor.device) for tensor in inputs))
        if self.recording is None or key != self.key:
            self.recording = None  # its memory goes before the next one is made
            self.recording, self.key = Recording(self.evaluate, inputs), key
        return UNet2DConditionOutput(sample=self.recording.replay(inputs))

    def evaluate(self, sample: Tensor, timestep: Tensor, text: Tensor) -> Tensor:
        return self.eager(sample, timestep, text, return_dict=False)[0]


def use_cuda_graph(networks: Networks) -> None:
    """Let the UNet replay its kernels from a CUDA graph; elsewhere, or with gradients, it runs as before.

    For networks that stay where they are: a graph holds the addresses of weights. The first evaluation of every new
    shape records it, which takes as long as several. InputError where networks take turns, or are not on CUDA.
    """
    if networks.execution_device.type != "cuda" or networks.shared_device:
        where = "networks that take turns on it" if networks.shared_device else f"{networks.execution_device}"
        raise InputError(f"a CUDA graph needs all networks on one NVIDIA GPU, got {where}; leave cuda_graph out")
    networks.unet.forward = GraphedForward(networks.unet)  # type: ignore[method-assign]
