"""How large a tile may be, and what follows where memory runs out."""

from __future__ import annotations

import sys

import pytest
import torch

from autodir_core.errors import is_out_of_memory
from autodir_core.tiling.memory import (
    bytes_per_pixel,
    choose_tile_size,
    free_memory,
    free_of_limits,
    retry_smaller_tiles,
)
from autodir_core.tiling.sizes import MAX_DIFFUSION_TILE_SIZE, MAX_TILE_SIZE, MIN_TILE_SIZE, WHOLE_PIXELS

GB = 10**9


class TestChoice:
    def test_a_megapixel_that_fits_is_whole(self):
        assert choose_tile_size("decode", WHOLE_PIXELS, 1000, 2 * GB) is None
        assert choose_tile_size("decode", WHOLE_PIXELS + 1, 1000, 100 * GB) == MAX_TILE_SIZE
        assert choose_tile_size("sample", WHOLE_PIXELS + 1, 1000, 100 * GB) == MAX_DIFFUSION_TILE_SIZE

    def test_memory_decides_below(self):
        assert choose_tile_size("decode", WHOLE_PIXELS, 10_000, 5 * GB) == 512
        assert choose_tile_size("decode", 100 * WHOLE_PIXELS, 10_000, 5 * GB) == 512
        assert choose_tile_size("decode", 300 * 300, 10_000, 5 * GB) is None

    def test_there_is_a_smallest(self):
        assert choose_tile_size("decode", WHOLE_PIXELS, 10_000, 0) == MIN_TILE_SIZE

    def test_wider_networks_need_more(self, tiny):
        needs = bytes_per_pixel(tiny.networks)
        assert set(needs) == {"encode", "sample", "decode", "correct"}
        assert needs["decode"] == 17 * tiny.config.vae.channels[0] * 4

    def test_this_machine_has_memory(self):
        assert 10**8 < free_memory(torch.device("cpu")) < 10**14


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
class TestLimits:
    @pytest.mark.parametrize(
        ("folder", "most", "now", "cache"),
        [
            (".", "memory.max", "memory.current", "inactive_file"),
            ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ],
    )
    def test_a_container_has_what_its_limit_leaves(self, tmp_path, monkeypatch, folder, most, now, cache):
        monkeypatch.setattr("resource.getrlimit", lambda kind: (-1, -1))
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, text in {most: "3000\n", now: "1000\n", "memory.stat": f"anon 7\n{cache} 200\n"}.items():
            (tmp_path / folder / name).write_text(text)
        assert list(free_of_limits(tmp_path)) == [2200]
        (tmp_path / folder / most).write_text("max\n")
        assert list(free_of_limits(tmp_path)) == []

    def test_address_space(self, tmp_path, monkeypatch):
        monkeypatch.setattr("resource.getrlimit", lambda kind: (2**40, 2**41))
        (left,) = free_of_limits(tmp_path)
        assert 0 < left < 2**40
        monkeypatch.setattr("resource.getrlimit", lambda kind: (1, 1))
        assert free_memory(torch.device("cpu")) == 0, "and not less"


class Memory:
    """Holds tiles of so many pixels a side."""

    def __init__(self, limit: int, side: int) -> None:
        self.limit, self.side, self.tried = limit, side, []

    def __call__(self, tile: int | None) -> str:
        self.tried.append(tile)
        if min(tile or self.side, self.side) > self.limit:
            raise torch.cuda.OutOfMemoryError("tried to allocate 20 GiB")
        return "done"


class TestRetry:
    def test_what_fits_is_tried_once(self):
        memory, smaller = Memory(600, 600), []
        assert retry_smaller_tiles(memory, None, 600, smaller.append) == "done"
        assert (memory.tried, smaller) == ([None], [])

    def test_tiles_are_halved_until_they_fit_and_it_is_logged(self, caplog):
        memory, smaller = Memory(300, 1000), []
        assert retry_smaller_tiles(memory, None, 1000, smaller.append) == "done"
        assert memory.tried == [None, 500, 250] and smaller == [500, 250]
        assert "memory does not hold tiles of 1000 pixels a side: trying 500" in caplog.text

    def test_the_smallest_are_the_last(self):
        memory = Memory(0, 600)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            retry_smaller_tiles(memory, 512, 600, lambda side: None)
        assert memory.tried == [512, 256, 128]

    def test_other_errors_are_not_tried_again(self):
        def broken(tile):
            raise RuntimeError("a bug")

        with pytest.raises(RuntimeError, match="a bug"):
            retry_smaller_tiles(broken, None, 4000, lambda side: None)

    @pytest.mark.parametrize(
        "error",
        [
            torch.cuda.OutOfMemoryError("CUDA"),
            MemoryError(),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            RuntimeError("MPS backend out of memory"),
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
            RuntimeError("unable to mmap 9 bytes from file <a>: Cannot allocate memory (12)"),
            RuntimeError("could not create a primitive"),
        ],
    )
    def test_the_ways_in_which_memory_runs_out(self, error):
        assert is_out_of_memory(error)
