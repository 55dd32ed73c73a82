"""What a training will need in memory, told before it starts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from autodir_core.devices import parse_dtype

from ..data.microbatch import MicroBatch
from .distributed import Processes
from .loop import LoopPlan, Objective

GIB = 2**30


@dataclass(frozen=True)
class Memory:
    """Bytes on the device of one process.

    Attributes:
        weights: of all networks, the frozen ones too.
        gradients: of the trained parameters.
        optimizer: AdamW's two moments.
        average: the moving average.
        activations: what the forward pass of one micro-batch keeps for the backward pass, measured on one picture and
            multiplied by the pictures of a micro-batch.
    """

    weights: int
    gradients: int
    optimizer: int
    average: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.average + self.activations


def estimate(
    networks: nn.Module, trained: nn.Module, objective: Objective, plan: LoopPlan, processes: Processes
) -> Memory:
    """The memory of training `trained`, one of `networks`, whose trained parameters require gradients already."""
    learning = total_bytes(parameter for parameter in trained.parameters() if parameter.requires_grad)
    pictures = -(-plan.batch // (processes.count * plan.accumulate))
    return Memory(
        weights=total_bytes(networks.parameters()),
        gradients=learning,
        optimizer=2 * learning,
        average=learning,
        activations=pictures * kept_for_backward(networks, objective, plan, processes.device),
    )


def kept_for_backward(networks: nn.Module, objective: Objective, plan: LoopPlan, device: torch.device) -> int:
    """Bytes that autograd keeps of the forward pass over one picture, each storage once, without the weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in networks.parameters()}
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    micro = MicroBatch(plan.seed, max(plan.steps - 1, 0), (0,), plan.batch)
    autocast = torch.autocast(device.type, parse_dtype(plan.precision), enabled=plan.precision != "float32")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
        losses = objective(micro)  # held until the hooks are gone, so that no storage is freed and counted twice
        total = sum(storages.values())
    del losses
    return total


def total_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def available(device: torch.device) -> int | None:
    """Bytes of memory that the device has; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type == "cpu" and "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def described(memory: Memory, device: torch.device) -> str:
    """One line for the user, with a hint where the device is too small."""
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "AdamW": memory.optimizer,
        "average": memory.average,
        "activations (measured on one picture)": memory.activations,
    }
    sizes = " + ".join(f"{size / GIB:.2f} {name}" for name, size in parts.items())
    there = available(device)
    line = f"about {memory.total / GIB:.2f} GiB of memory: {sizes}"
    if there is None:
        return line
    hint = "; too little: raise accumulate, lower batch or size, or choose bfloat16" if memory.total > there else ""
    return f"{line}; {device.type} has {there / GIB:.1f} GiB{hint}"
