"""One process, or several that share every batch: on several GPUs or machines, through Hugging Face Accelerate."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import torch
from torch import Tensor

from autodir_core.optional_imports import optional_import

if TYPE_CHECKING:
    from accelerate import Accelerator

PATIENCE = timedelta(hours=3)
"""How long processes wait for the one that draws the pictures."""

Result = TypeVar("Result")


class Processes(Protocol):
    """Who works on a batch, and how the gradients come together."""

    @property
    def index(self) -> int:
        """Number of this process, from 0; process 0 writes the files."""
        ...

    @property
    def count(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        ...

    def wait(self) -> None:
        """Return when all processes have come here."""
        ...


class Alone:
    """The usual case: nothing to share."""

    index = 0
    count = 1

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    def add_up(self, tensors: Iterable[Tensor]) -> None: ...

    def wait(self) -> None: ...


class Launched:
    """One of the processes that `accelerate launch` (or torchrun) has started."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.index: int = accelerator.process_index
        self.count: int = accelerator.num_processes
        self.device: torch.device = accelerator.device

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        for tensor in tensors:
            tensor.copy_(cast("Tensor", self.accelerator.reduce(tensor, reduction="sum")))

    def wait(self) -> None:
        self.accelerator.wait_for_everyone()


def was_launched() -> bool:
    """Whether `accelerate launch` or torchrun started this process; both say so in its environment."""
    return "ACCELERATE_MIXED_PRECISION" in os.environ or int(os.environ.get("WORLD_SIZE", "1")) > 1


def find_processes(device: torch.device) -> Processes:
    """The processes of this training; a launcher chooses the device of each, unless the CPU is asked for.

    PackageError where a launcher is at work and Accelerate is missing.
    """
    if not was_launched():
        return Alone(device)
    with optional_import("accelerate"):
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs
    patience = InitProcessGroupKwargs(timeout=PATIENCE)
    return Launched(Accelerator(cpu=device.type == "cpu", kwargs_handlers=[patience]))


def first_then_others(processes: Processes, work: Callable[[], Result]) -> Result:
    """Do what leaves a file behind in process 0; the others then find it."""
    if processes.index > 0:
        processes.wait()
    result = work()
    if processes.index == 0:
        processes.wait()
    return result
