"""An estimate of the memory that a training will need, for a line before it starts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from ..data.dataset import MicroBatch
from ..objectives.losses import Objective
from .config import TrainConfig
from .distributed import ProcessGroup

GIB = 2**30
ACTIVATIONS = "activations (measured on one picture)"


def estimate_memory(
    networks: nn.Module, trained: nn.Module, objective: Objective, config: TrainConfig, group: ProcessGroup
) -> dict[str, int]:
    """Return by purpose the bytes of training `trained`, one of `networks`, whose parameters require gradients already.

    Activations are what autograd keeps of the forward pass of one micro-batch: measured on one picture and multiplied.
    """
    trainable = total_bytes(parameter for parameter in trained.parameters() if parameter.requires_grad)
    pictures = -(-config.batch_size // (group.world_size * config.gradient_accumulation_steps))
    return {
        "weights": total_bytes(networks.parameters()),
        "gradients": trainable,
        "AdamW": 2 * trainable,
        "EMA": trainable,
        ACTIVATIONS: pictures * measure_activations(networks, objective, config, group.device),
    }


def measure_activations(networks: nn.Module, objective: Objective, config: TrainConfig, device: torch.device) -> int:
    """Return the bytes that autograd keeps of the forward pass over one picture: each storage once, no weights."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in networks.parameters()}
    storages: dict[int, int] = {}

    def record(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    micro_batch = MicroBatch(config.seed, max(config.steps - 1, 0), (0,), config.batch_size)
    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor), config.autocast(device):
        losses = objective(micro_batch)  # held until the hooks are gone, so that no storage is freed and counted twice
        total = sum(storages.values())
    del losses
    return total


def total_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the size of some tensors together."""
    return sum(tensor.nbytes for tensor in tensors)


def device_memory(device: torch.device) -> int | None:
    """Return the bytes of memory that the device has, None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type == "cpu" and "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def describe_memory(memory: Mapping[str, int], device: torch.device) -> str:
    """Return one line for the user, with a hint where the device has too little."""
    sizes = " + ".join(f"{size / GIB:.2f} {purpose}" for purpose, size in memory.items())
    limit, total = device_memory(device), sum(memory.values())
    line = f"about {total / GIB:.2f} GiB of memory: {sizes}"
    if limit is None:
        return line
    advice = "; too little: raise gradient_accumulation_steps, lower batch_size or the crops' size, or use bfloat16"
    return f"{line}; {device.type} has {limit / GIB:.1f} GiB{advice if total > limit else ''}"
