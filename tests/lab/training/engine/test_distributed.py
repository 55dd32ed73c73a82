"""Several processes: who shares what, and that two on a CPU give what one gives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autodir_lab.training.engine.distributed import (
    BUCKET_BYTES,
    ProcessGroup,
    find_process_group,
    is_launched,
    main_process_first,
    split_into_buckets,
)
from autodir_lab.training.engine.loop import local_micro_batches
from tests.lab.training.engine.test_loop import CONFIG, trained

ROOT = Path(__file__).resolve().parents[4]
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, "{root}")
import torch
torch.set_num_threads(1)
from tests.lab.training.engine.test_loop import CONFIG, fit, line, train
from autodir_lab.training.engine.distributed import AccelerateGroup, find_process_group
group = find_process_group(torch.device("cpu"))
assert isinstance(group, AccelerateGroup) and group.world_size == 2
module = line(seed=group.rank)  # the first one's weights count
module = train("two", module, fit(module), CONFIG, Path("{folder}"), group=group)
torch.save(module.state_dict(), "{folder}/weights-" + str(group.rank) + ".pt")
"""


class Second(ProcessGroup):
    rank = 1
    world_size = 2


def test_processes_take_turns_with_the_micro_batches():
    first = local_micro_batches([4], CONFIG, ProcessGroup())
    assert [micro.indices for micro in first] == [tuple(range(32))]
    [half] = local_micro_batches([4], CONFIG, Second())
    assert half.indices == tuple(range(16, 32)) and half.batch_size == 32 and half.step == 4


def test_what_the_first_writes_the_others_find():
    calls = []

    class Watched(ProcessGroup):
        def barrier(self):
            calls.append("barrier")

    class Later(Watched):
        rank = 1

    for group in (Watched(), Later()):
        assert main_process_first(group, lambda: calls.append("work") or 7) == 7
    assert calls == ["work", "barrier", "barrier", "work"]


def test_neighbors_share_a_bucket_up_to_its_size():
    sizes = [1, 2, BUCKET_BYTES // 4, 3, 1, 1]
    tensors = [torch.empty(size) for size in sizes]
    tensors[-1] = tensors[-1].half()
    buckets = list(split_into_buckets(tensors))
    assert [[tensor.numel() for tensor in bucket] for bucket in buckets] == [[1, 2], [BUCKET_BYTES // 4], [3, 1], [1]]
    assert not list(split_into_buckets([]))


def test_nothing_is_imported_without_a_launcher(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    assert not is_launched()
    assert isinstance(find_process_group(torch.device("cpu")), ProcessGroup)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert is_launched()


@pytest.mark.slow
def test_two_processes_give_the_result_of_one(tmp_path):
    pytest.importorskip("accelerate")
    alone = trained(tmp_path, "one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    code = SCRIPT.format(root=ROOT.as_posix(), folder=tmp_path.as_posix())
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([sys.executable, "-c", code], env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    first, second = (torch.load(tmp_path / f"weights-{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(first["weight"], second["weight"])
    assert torch.allclose(first["weight"], alone.weight, atol=1e-5)
    assert len((tmp_path / "two.jsonl").read_text().splitlines()) == 6, "only the first process writes"
