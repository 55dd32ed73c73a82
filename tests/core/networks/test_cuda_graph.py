"""The UNet's kernels from a CUDA graph: the numbers of single launches, whatever the graph saw before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import autodir_core as ad
from autodir_core.networks.cuda_graph import use_cuda_graph


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_a_graph_gives_the_numbers_of_single_launches(tiny_path: Path) -> None:
    eager, graph = (ad.load_autodir(tiny_path, "cuda", "float32", cuda_graph=given) for given in (False, True))
    generator = torch.Generator().manual_seed(0)
    for height, width in ((64, 64), (64, 64), (96, 64), (64, 64)):  # recorded, replayed, recorded anew twice
        image = torch.rand(1, height, width, 3, generator=generator)
        loop, sampler = ad.LoopSettings(1, labels=["haze"]), ad.SamplerSettings(steps=4)
        results = [ad.restore(model, image, loop, sampler, seed=2).image for model in (eager, graph)]
        assert (results[0] - results[1]).norm() <= 1e-4 * results[0].norm()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
def test_a_graph_and_offload_exclude_each_other(tiny_path: Path) -> None:
    with pytest.raises(ad.InputError, match="take turns"):
        ad.load_autodir(tiny_path, "cuda", offload=True, cuda_graph=True)


def test_a_graph_needs_cuda(tiny: ad.AutoDIR, tiny_path: Path) -> None:
    with pytest.raises(ad.InputError, match=r"one NVIDIA GPU, got cpu; leave cuda_graph out"):
        use_cuda_graph(tiny.networks)
    with pytest.raises(ad.InputError, match="got cpu"):
        ad.load_autodir(tiny_path, "cpu", cuda_graph=True)
