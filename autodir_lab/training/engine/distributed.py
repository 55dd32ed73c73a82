"""One process, or several that share every batch: on several GPUs or machines, through Hugging Face Accelerate."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from torch import Tensor

from autodir_core.optional_imports import optional_import

if TYPE_CHECKING:
    from accelerate import Accelerator

TIMEOUT = timedelta(hours=3)
"""How long processes wait for the one that prepares the data."""

BUCKET_BYTES = 25 * 2**20
"""Tensors are reduced together up to this size, as in DistributedDataParallel."""

Result = TypeVar("Result")


class ProcessGroup:
    """The processes that share a batch, and how their gradients come together; here a single one, the usual case.

    Attributes:
        rank: number of this process, from 0; process 0 writes the files.
        world_size: how many processes there are.
        device: where this process computes.
    """

    rank = 0
    world_size = 1

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    def all_reduce_sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""

    def barrier(self) -> None:
        """Return when all processes have reached this call."""


class AccelerateGroup(ProcessGroup):
    """One of the processes that `accelerate launch` (or torchrun) has started."""

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__(accelerator.device)
        self.accelerator, self.rank, self.world_size = accelerator, accelerator.process_index, accelerator.num_processes

    def all_reduce_sum(self, tensors: Sequence[Tensor]) -> None:
        # not DistributedDataParallel: it reduces in the forward pass of one module, objectives call several methods
        for bucket in split_into_buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            total = cast("Tensor", self.accelerator.reduce(flat, reduction="sum"))
            parts = total.split([tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def barrier(self) -> None:
        self.accelerator.wait_for_everyone()


def split_into_buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Yield neighbors of one type together, up to `BUCKET_BYTES`; a larger tensor alone."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (tensor.dtype != bucket[0].dtype or size + tensor.nbytes > BUCKET_BYTES):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.nbytes
    if bucket:
        yield bucket


def is_launched() -> bool:
    """Return whether `accelerate launch` or torchrun started this process; both say so in its environment."""
    return "ACCELERATE_MIXED_PRECISION" in os.environ or int(os.environ.get("WORLD_SIZE", "1")) > 1


def find_process_group(device: torch.device) -> ProcessGroup:
    """Return the processes of this training; a launcher chooses the device of each, unless the CPU is asked for.

    PackageError where a launcher is at work and Accelerate is missing.
    """
    if not is_launched():
        return ProcessGroup(device)
    with optional_import("accelerate"):
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs
    timeout = InitProcessGroupKwargs(timeout=TIMEOUT)
    return AccelerateGroup(Accelerator(cpu=device.type == "cpu", kwargs_handlers=[timeout]))


def main_process_first(group: ProcessGroup, work: Callable[[], Result]) -> Result:
    """Run `work` in process 0, then in the others, which find the files that it wrote."""
    if group.rank > 0:
        group.barrier()
    result = work()
    if group.rank == 0:
        group.barrier()
    return result


@torch.no_grad()
def broadcast_weights(weights: Sequence[Tensor], group: ProcessGroup) -> None:
    """Give every process the weights of process 0: different devices may have initialized them a little differently."""
    if group.world_size > 1:
        for tensor in weights:
            tensor.mul_(group.rank == 0)
        group.all_reduce_sum(weights)
