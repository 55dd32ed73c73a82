"""How large a part of a picture fits into memory at once, and what to do when it did not."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch

from ..errors import InputError, is_out_of_memory
from ..networks.build import Networks, weight_bytes, weight_dtype
from .sizes import MAX_DIFFUSION_TILE_SIZE, MAX_TILE_SIZE, MIN_TILE_SIZE, WHOLE_PIXELS

logger = logging.getLogger(__name__)

T = TypeVar("T")
FreeMemory = Callable[[torch.device], int]

USABLE = 0.6
"""Part of the free memory that a tile may take: allocators leave gaps, and the pictures need theirs."""

RESIDENT_SIZE = 512
"""Side in pixels of the picture that must fit beside all networks, else they take turns."""

TILE_SIDE_STEP = 64
"""Sides of tiles that memory decides are multiples of so many pixels."""


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free for tensors on a device."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return free_cpu_memory()


def free_cpu_memory() -> int:
    """Return the bytes that this machine can still give to programs."""
    if sys.platform == "win32":
        status = (ctypes.c_ulonglong * 8)(64)  # MEMORYSTATUSEX: its length, ..., as the third number what is free
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return status[2]
    if os.path.exists("/proc/meminfo"):
        with open("/proc/meminfo", encoding="ascii") as lines:
            free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        return max(min([free, *free_of_limits()]), 0)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # macOS counts no free pages


def free_of_limits(cgroups: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """Yield what the limits of this process leave on Linux: that of its address space, and that of its container.

    Args:
        cgroups: where control groups are mounted, of version 2 or 1.
    """
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        yield limit - pages * resource.getpagesize()
    for folder, most, now, cache in (
        (cgroups, "memory.max", "memory.current", "inactive_file"),
        (cgroups / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        with suppress(OSError, ValueError):  # no such version, or "max": no limit
            used = int((folder / now).read_text(encoding="ascii"))
            counts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
            yield int((folder / most).read_text(encoding="ascii")) - used + int(counts.get(cache, 0))


def bytes_per_pixel(networks: Networks) -> dict[str, int]:
    """Return what a pixel of a picture needs at the peak of each stage: so many values at its widest resolution.

    Measured with the embedded model and at the official size; ComfyUI's estimate for the decoder is 2178 / 128 = 17.
    """
    vae, scm, unet = networks.vae, networks.scm, networks.unet
    factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
    decoder = 17 * vae.config["block_out_channels"][0] * weight_dtype(vae).itemsize
    return {
        "encode": decoder // 2,
        "sample": 3 * 40 * unet.config["block_out_channels"][0] * weight_dtype(unet).itemsize // factor**2,
        "decode": decoder,
        "correct": 6 * scm.intro.out_channels * scm.intro.weight.dtype.itemsize,
    }


def offload_needed(networks: Networks, device: torch.device, free_memory: FreeMemory = free_memory) -> bool:
    """Return whether a GPU with memory of its own does not hold all networks and what they need for a picture."""
    if device.type != "cuda":
        return False
    needed = weight_bytes(networks) + bytes_per_pixel(networks)["decode"] * RESIDENT_SIZE**2
    if needed <= free_memory(device):
        return False
    logger.warning("the free memory of %s does not hold all networks (%.1f GB): they take turns", device, needed / 1e9)
    return True


def place_networks(networks: Networks, device: torch.device, offload: bool | None) -> None:
    """Put networks on a device, or let them take turns there; None decides by its free memory."""
    if offload_needed(networks, device) if offload is None else offload:
        networks.shared_device = device
    else:
        networks.to(device)


def check_offload(device: torch.device) -> None:
    """InputError for a device on which networks cannot take turns, because its memory is the CPU's."""
    if device.type in ("cpu", "mps"):
        raise InputError(f"offload needs a device with memory of its own, such as cuda, got {device}; leave it out")


def choose_tile_size(stage: str, pixels: int, need: int, free: int) -> int | None:
    """Return the side of the tiles in which a stage sees a picture, None for the whole.

    Args:
        stage: "encode", "sample", "decode" or "correct".
        pixels: of the picture.
        need: bytes per pixel.
        free: bytes.
    """
    fitting = USABLE * free / need
    if pixels <= min(fitting, WHOLE_PIXELS):
        return None
    largest = MAX_DIFFUSION_TILE_SIZE if stage == "sample" else MAX_TILE_SIZE
    side = math.isqrt(int(fitting)) // TILE_SIDE_STEP * TILE_SIDE_STEP
    return min(max(side, MIN_TILE_SIZE), largest)


def retry_smaller_tiles(
    call: Callable[[int | None], T], tile_size: int | None, side: int, on_smaller: Callable[[int], object]
) -> T:
    """Return `call(tile_size)`; where memory runs out, try with tiles of half the size, and so on.

    Args:
        call: what to do in tiles of a side in pixels, None without tiles.
        tile_size: the first choice.
        side: of the picture in pixels, the longer one.
        on_smaller: called with each smaller size.

    Raises the last error where not even the smallest tiles fit.
    """
    while True:
        try:
            return call(tile_size)
        except (RuntimeError, MemoryError) as error:
            current = min(tile_size or side, side)
            if not is_out_of_memory(error) or current <= MIN_TILE_SIZE:
                raise
        # outside the except block, which would keep what the attempt has allocated
        tile_size = max(current // 2, MIN_TILE_SIZE)
        logger.warning("memory does not hold tiles of %d pixels a side: trying %d", current, tile_size)
        on_smaller(tile_size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
