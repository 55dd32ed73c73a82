"""The transforms of albumentations as degradations: every one damages more with severity, and repeats with its seed."""

from __future__ import annotations

import pytest
import torch

import autodir_core as ad
from autodir_core.choices import DEGRADATIONS

pytest.importorskip("albumentations", reason="albumentations is not installed")

from autodir_lab.evaluation.albumentations_kinds import KINDS, compose, draw_kind


@pytest.fixture(scope="module")
def photo():
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.interpolate(coarse, size=(128, 128), mode="bicubic").clamp(0, 1).movedim(1, -1)


def test_every_label_has_kinds():
    assert set(KINDS) == set(DEGRADATIONS)
    for label in KINDS:
        assert {draw_kind(label, seed) for seed in range(60)} == set(KINDS[label])
    with pytest.raises(ad.InputError, match="albumentations has nothing for 'glare'"):
        draw_kind("glare", 0)


@pytest.mark.parametrize(("label", "kind"), [(label, kind) for label in KINDS for kind in KINDS[label]])
def test_damage_grows_and_repeats(photo, label, kind):
    errors = []
    for severity in (0.0, 1.0):
        many = [compose(photo, [label], [kind], severity=severity, seed=seed) for seed in range(6)]
        assert torch.equal(many[2], compose(photo, [label], [kind], severity=severity, seed=2))
        errors.append(torch.cat([one - photo for one in many]).square().mean())
    assert 0 < errors[0] < errors[1]
