"""What every kind of every label must do and must not do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from autodir_core.choices import DEGRADATIONS, list_kinds
from autodir_core.degrade import compose, degrade, draw_kind
from autodir_core.errors import InputError

KINDS = [(label, kind) for label in DEGRADATIONS for kind in list_kinds(label)]
every_kind = pytest.mark.parametrize(("label", "kind"), KINDS)
MILDEST = {"haze": 14, "underexposure": 8, "rain": 20, "raindrop": 16, "noise": 22, "blur": 20, "low resolution": 20}
"""PSNR in dB that severity 0 leaves at least."""


def psnr(degraded: Tensor, clean: Tensor) -> Tensor:
    return -10 * (degraded - clean).square().mean((1, 2, 3)).clamp_min(1e-10).log10()


@every_kind
def test_a_seed_repeats_alone_or_in_a_batch_and_others_differ(scene: Tensor, label: str, kind: str) -> None:
    batch = degrade(scene[:2].repeat(2, 1, 1, 1), label, kind=kind, seed=5)
    assert torch.equal(batch[1:2], degrade(scene[1:2], label, kind=kind, seed=6))
    assert not torch.equal(batch[0], batch[2])
    assert batch.dtype == torch.float32 and batch.min() >= 0 and batch.max() <= 1


@every_kind
def test_damage_grows_with_severity_from_mild_to_visible(scene: Tensor, label: str, kind: str) -> None:
    pictures = scene.repeat(3, 1, 1, 1)
    damage = [psnr(degrade(pictures, label, kind=kind, severity=s, seed=1), pictures) for s in (0.0, 0.5, 1.0)]
    mild, medium, severe = (values.mean() for values in damage)
    assert mild > medium + 0.3 > severe + 0.6
    assert damage[0].min() > MILDEST.get(label, 18)
    assert severe < 30


@every_kind
@pytest.mark.parametrize("size", [(8, 8), (1, 100), (300, 3)])
def test_sizes_are_kept(label: str, kind: str, size: tuple[int, int]) -> None:
    picture = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(1))
    degraded = degrade(picture, label, kind=kind, severity=1.0, seed=2)
    assert degraded.shape == picture.shape and torch.isfinite(degraded).all()


@pytest.mark.parametrize("label", DEGRADATIONS)
def test_no_kind_is_another_under_a_new_name(scene: Tensor, label: str) -> None:
    pictures = [degrade(scene[:1], label, kind=kind, seed=3) for kind in list_kinds(label)]
    for i, first in enumerate(pictures):
        assert all((first - other).abs().mean() > 1e-3 for other in pictures[:i])


@pytest.mark.parametrize("label", DEGRADATIONS)
def test_a_drawn_kind_is_the_named_one(scene: Tensor, label: str) -> None:
    drawn = degrade(scene, label, seed=9)
    for i in range(len(scene)):
        assert torch.equal(drawn[i : i + 1], degrade(scene[i : i + 1], label, kind=draw_kind(label, 9 + i), seed=9 + i))


@pytest.mark.parametrize("label", DEGRADATIONS)
def test_every_kind_is_drawn(label: str) -> None:
    drawn = [draw_kind(label, seed) for seed in range(400)]
    assert set(drawn) == set(list_kinds(label))
    assert max(map(drawn.count, drawn)) < 2.5 * len(drawn) / len(list_kinds(label))


def test_unknown_kinds_and_counts(scene: Tensor) -> None:
    with pytest.raises(InputError, match="unknown kind of rain 'film grain'; choose among: standard, thin"):
        degrade(scene, "rain", kind="film grain")
    with pytest.raises(InputError, match="kind must be one or 2, one per label; got 1"):
        compose(scene, ["rain", "noise"], kind=["thin"])


def test_a_kind_for_each_label(scene: Tensor) -> None:
    both = compose(scene, ["noise", "rain"], kind=["film grain", None], seed=4)
    assert torch.equal(both, degrade(degrade(scene, "rain", seed=4), "noise", kind="film grain", seed=4))


def test_the_docs_name_every_kind() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/degradations.md").read_text(encoding="utf-8")
    assert [f"{label}: {kind}" for label, kind in KINDS if f"| {kind} |" not in page] == []


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")
@every_kind
def test_cuda_gives_the_cpu_picture(scene: Tensor, label: str, kind: str) -> None:
    there = degrade(scene[:1].cuda(), label, kind=kind, seed=3)
    assert there.is_cuda
    # a count of photons or a level of JPEG may fall on the other side
    assert (there.cpu() - degrade(scene[:1], label, kind=kind, seed=3)).abs().mean() < 1e-3
