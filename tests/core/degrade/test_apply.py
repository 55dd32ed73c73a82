from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from autodir_core.degrade import DEGRADATIONS, compose, degrade
from autodir_core.errors import InputError
from autodir_core.labels import EXTRA, LABELS

every_label = pytest.mark.parametrize("label", DEGRADATIONS + EXTRA)


def psnr(degraded: Tensor, clean: Tensor) -> Tensor:
    return -10 * (degraded - clean).square().mean((1, 2, 3)).log10()


def test_degradations_are_the_labels_without_the_clean_one() -> None:
    assert LABELS[:-1] == DEGRADATIONS


@every_label
def test_same_seed_gives_the_same_picture_and_another_seed_another(scene: Tensor, label: str) -> None:
    first = degrade(scene[:1], label, seed=3)
    assert torch.equal(first, degrade(scene[:1], label, seed=3))
    assert not torch.equal(first, degrade(scene[:1], label, seed=4))


@every_label
def test_picture_of_a_batch_equals_the_picture_alone(scene: Tensor, label: str) -> None:
    batch = degrade(scene, label, severity=[0.1, 0.4, 0.7, 1.0], seed=5)
    assert torch.equal(batch[2:3], degrade(scene[2:3], label, severity=0.7, seed=7))
    assert torch.equal(batch, degrade(scene, label, severity=[0.1, 0.4, 0.7, 1.0], seed=[5, 6, 7, 8]))


@every_label
def test_shape_dtype_and_range(scene: Tensor, label: str) -> None:
    for images in (scene, scene[:, :17, :16]):
        result = degrade(images * 1.2 - 0.1, label, severity=1.0)
        assert result.shape == images.shape
        assert result.dtype == torch.float32
        assert result.min() >= 0.0 and result.max() <= 1.0


@every_label
def test_input_is_left_alone(scene: Tensor, label: str) -> None:
    before = scene.clone()
    degrade(scene, label)
    assert torch.equal(scene, before)


@every_label
def test_psnr_falls_with_severity(scene: Tensor, label: str) -> None:
    pictures = scene.repeat(4, 1, 1, 1)
    mild, medium, severe = (psnr(degrade(pictures, label, severity=s), pictures).mean() for s in (0.0, 0.5, 1.0))
    assert mild > medium + 1 > severe + 2


@pytest.mark.parametrize(
    ("label", "least"),
    [("noise", 26), ("blur", 22), ("rain", 28), ("underexposure", 8), ("haze", 14), ("low resolution", 22)],
)
def test_severity_zero_is_mild(scene: Tensor, label: str, least: float) -> None:
    assert psnr(degrade(scene, label, severity=0.0), scene).min() > least


def test_compose_ignores_the_order_given(scene: Tensor) -> None:
    assert torch.equal(
        compose(scene, ["low resolution", "noise", "haze"], seed=2),
        compose(scene, ["haze", "low resolution", "noise"], seed=2),
    )


def test_compose_follows_image_formation(scene: Tensor) -> None:
    chain = scene
    for label in ("haze", "rain", "raindrop", "blur", "underexposure", "noise", "low resolution"):
        chain = degrade(chain, label, severity=0.3, seed=9)
    assert torch.equal(compose(scene, DEGRADATIONS, severity=0.3, seed=9), chain)


def test_compose_of_nothing_returns_the_picture(scene: Tensor) -> None:
    assert torch.equal(compose(scene, []), scene)


@pytest.mark.parametrize("label", ["no", "fog", ""])
def test_unknown_label_names_the_known_ones(scene: Tensor, label: str) -> None:
    with pytest.raises(InputError, match="known: noise, blur, rain"):
        degrade(scene, label)


def test_text_instead_of_a_list_of_labels(scene: Tensor) -> None:
    with pytest.raises(InputError, match=r"\['haze'\]"):
        compose(scene, "haze")


@pytest.mark.parametrize("severity", [-0.1, 1.01, math.nan, [0.5, 0.5]])
def test_bad_severity(scene: Tensor, severity: float | list[float]) -> None:
    with pytest.raises(InputError, match="severity"):
        degrade(scene, "blur", severity=severity)


def test_wrong_number_of_seeds(scene: Tensor) -> None:
    with pytest.raises(InputError, match="seed must be one number or 4"):
        degrade(scene, "blur", seed=[1, 2])


@pytest.mark.parametrize("shape", [(64, 64, 3), (1, 3, 64, 64), (1, 64, 64, 4), (1, 4, 64, 3), (0, 64, 64, 3)])
def test_wrong_image_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\[B, H, W, 3\]"):
        degrade(torch.zeros(shape), "blur")


def test_bytes_are_refused() -> None:
    with pytest.raises(InputError, match="divide bytes by 255"):
        degrade(torch.zeros(1, 32, 32, 3, dtype=torch.uint8), "blur")


@pytest.mark.parametrize("depth", [torch.zeros(4, 128, 96), torch.full((4, 96, 128), 2.0)])
def test_wrong_depth(scene: Tensor, depth: Tensor) -> None:
    with pytest.raises(InputError, match="depth"):
        degrade(scene, "haze", depth=depth)
