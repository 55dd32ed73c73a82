"""What stages of a restoration cost in seconds and memory, on which machine; imported on use: it needs torch."""

from __future__ import annotations

import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

CLEAR_REFS, STATUS, CPU_INFO = Path("/proc/self/clear_refs"), Path("/proc/self/status"), Path("/proc/cpuinfo")
RESET_PEAK = "5"
"""Sets the peak of the resident memory back to what is resident now (proc(5))."""


@dataclass(frozen=True)
class Spread:
    """Median and extremes of several measurements."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Cost:
    """What calls cost.

    Attributes:
        seconds: of the clock.
        cpu_seconds: of this process on all its threads, which other programs on the machine disturb less; None where
            the work is not the CPU's.
        peak_bytes: of memory, above the start; None where it cannot be measured.
    """

    seconds: Spread
    cpu_seconds: Spread | None
    peak_bytes: int | None


class Meter:
    """Measures calls on a device: one to warm up, then `runs`."""

    def __init__(self, device: torch.device, runs: int) -> None:
        self.device, self.runs = device, runs
        self.memory = PeakMemory(device)

    def measure(
        self, call: Callable[[], Result], on_run: Callable[[int, float], None] = lambda run, seconds: None
    ) -> tuple[Cost, Result]:
        """Return what a call costs and its last result; `on_run` gets the number of a run and its seconds."""
        self.memory.reset()
        (wall, _), result = self.time(call)
        on_run(0, wall)
        times: list[tuple[float, float]] = []
        for run in range(1, self.runs + 1):
            del result  # the next one needs its memory
            seconds, result = self.time(call)
            times.append(seconds)
            on_run(run, seconds[0])
        walls, processor = zip(*times, strict=True)
        spent = Spread.of(processor) if self.device.type == "cpu" else None
        return Cost(Spread.of(walls), spent, self.memory.peak()), result

    def time(self, call: Callable[[], Result]) -> tuple[tuple[float, float], Result]:
        """Return the seconds of one call by the clock and of the processor, and its result."""
        synchronize(self.device)
        wall, processor = time.perf_counter(), time.process_time()
        result = call()
        synchronize(self.device)
        return (time.perf_counter() - wall, time.process_time() - processor), result


class PeakMemory:
    """The peak of the memory of a CUDA device, or of this process, above what it was at the start."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.start = 0
        self.can_reset = device.type == "cpu" and reset_resident_peak()
        self.reset()
        self.start = self.peak() or 0

    @property
    def method(self) -> str:
        """How the peak is measured."""
        if self.device.type == "cuda":
            return "max_memory_allocated of each stage, weights included"
        if self.device.type != "cpu" or sys.platform == "win32":
            return "not measured on this device"
        if self.can_reset:
            return "resident memory of the process (VmHWM, reset for each stage) above the start, weights included"
        return "largest resident memory of the process so far (ru_maxrss) above the start, weights included"

    def reset(self) -> None:
        """Let the peak begin at what is in use now, where that is possible."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif self.can_reset:
            reset_resident_peak()

    def peak(self) -> int | None:
        """Return the bytes since the last reset, above the start; None where they are unknown."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) - self.start
        if self.device.type != "cpu" or sys.platform == "win32":
            return None
        return (resident_peak() if self.can_reset else largest_resident()) - self.start


def reset_resident_peak() -> bool:
    """Set the peak of the resident memory back; False where the system does not allow it."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def resident_peak() -> int:
    """Return the peak of the resident memory since it was reset, in bytes."""
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def largest_resident() -> int:
    """Return the largest resident memory that this process has had, in bytes."""
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def synchronize(device: torch.device) -> None:
    """Wait for what a GPU still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@dataclass(frozen=True)
class Machine:
    """Where something was measured; memory in bytes, None where it is unknown."""

    system: str
    cpu: str
    cores: int
    memory: int | None
    gpu: str | None
    gpu_memory: int | None
    torch: str
    threads: int

    @classmethod
    def here(cls, device: torch.device) -> Machine:
        """Describe this machine, with the GPU where `device` is a CUDA one."""
        properties = torch.cuda.get_device_properties(device) if device.type == "cuda" else None
        return cls(
            system=f"{platform.system()} {platform.machine()}",
            cpu=cpu_model(),
            cores=os.cpu_count() or 1,
            memory=None if sys.platform == "win32" else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            gpu=properties.name if properties else None,
            gpu_memory=properties.total_memory if properties else None,
            torch=torch.__version__,
            threads=torch.get_num_threads(),
        )

    def __str__(self) -> str:
        ram = f", {self.memory / 2**30:.0f} GiB" if self.memory else ""
        text = f"{self.cpu}, {self.cores} cores{ram}, {self.system}, torch {self.torch}, {self.threads} threads"
        return f"{self.gpu}, {self.gpu_memory / 2**30:.0f} GiB; {text}" if self.gpu and self.gpu_memory else text


def cpu_model() -> str:
    """Return the name of the processor, as far as the system tells it."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def draw_picture(height: int, width: int) -> Tensor:
    """Return a picture [1, H, W, 3] in 0..1 of a sky, hills and tiled ground, clean and the same at every call."""
    y, x = torch.arange(height)[:, None] / 64, torch.arange(width)[None] / 64
    sky = torch.linspace(0.95, 0.5, height)[:, None].expand(height, width)
    hills = 0.25 + 0.2 * torch.sin(3 * x + torch.sin(y)) * torch.sin(2 * y)
    ground = 0.05 + 0.8 * ((x.floor() + y.floor()) % 2) + 0.1 * torch.sin(4 * math.pi * x * y / (1 + x + y))
    ridge = height / 64 * (0.4 + 0.1 * torch.sin(x / 2))
    gray = torch.where(y < ridge, sky, torch.where(y < 1.6 * ridge, hills, ground))
    return torch.stack([gray * 0.7, gray, gray * 1.2], dim=-1)[None].clamp(0, 1)
