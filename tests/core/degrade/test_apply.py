from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import autodir_core.degrade.haze
from autodir_core.choices import DEGRADATIONS, Degradation
from autodir_core.cli import main
from autodir_core.degrade import compose, degrade
from autodir_core.errors import InputError
from autodir_core.imaging.files import read_picture, write_picture
from autodir_core.labels import CLEAN, LABELS

every_label = pytest.mark.parametrize("label", DEGRADATIONS)


def psnr(degraded: Tensor, clean: Tensor) -> Tensor:
    return -10 * (degraded - clean).square().mean((1, 2, 3)).log10()


def test_every_label_but_the_clean_one_can_be_made() -> None:
    assert set(LABELS) - {CLEAN} < set(DEGRADATIONS)


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
    assert psnr(degrade(scene, label, severity=0.0, kind="standard"), scene).min() > least


def test_compose_ignores_the_order_given(scene: Tensor) -> None:
    assert torch.equal(
        compose(scene, ["low resolution", "noise", "haze"], seed=2),
        compose(scene, ["haze", "low resolution", "noise"], seed=2),
    )


def test_compose_follows_image_formation(scene: Tensor) -> None:
    formed = ["haze", "rain", "raindrop", "blur", "underexposure", "noise", "low resolution", "jpeg artifact"]
    assert [label for label in DEGRADATIONS if label in formed] == formed
    chain = scene
    for label in DEGRADATIONS:
        chain = degrade(chain, label, severity=0.3, seed=9)
    assert torch.equal(compose(scene, list(DEGRADATIONS), severity=0.3, seed=9), chain)


def test_compose_of_nothing_returns_the_picture(scene: Tensor) -> None:
    assert torch.equal(compose(scene, []), scene)


@pytest.mark.parametrize("label", ["no", "fog", ""])
def test_unknown_label_names_the_known_ones(scene: Tensor, label: str) -> None:
    with pytest.raises(InputError, match="choose among: haze, rain, raindrop"):
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


@pytest.mark.parametrize("shape", [(64, 64, 3), (1, 3, 64, 64), (1, 64, 64, 4), (1, 0, 64, 3), (0, 64, 64, 3)])
def test_wrong_image_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\[B, H, W, 3\]"):
        degrade(torch.zeros(shape), "blur")


def test_bytes_are_refused() -> None:
    with pytest.raises(InputError, match="divide by its maximum"):
        degrade(torch.zeros(1, 32, 32, 3, dtype=torch.uint8), "blur")


@pytest.mark.parametrize("depth", [torch.zeros(3, 96, 128), torch.full((4, 96, 128), 2.0)])
def test_wrong_depth(scene: Tensor, depth: Tensor) -> None:
    with pytest.raises(InputError, match="depth"):
        degrade(scene, "haze", depth=depth)
    assert torch.equal(degrade(scene, "noise", depth=depth), degrade(scene, "noise")), "only haze looks at it"


def test_depth_of_any_size_and_layout(scene: Tensor) -> None:
    depth = torch.zeros(12, 16)
    depth[:, 8:] = 1
    hazy = degrade(scene, "haze", kind="standard", severity=0.8, depth=depth)
    every = depth.expand(4, -1, -1)
    assert torch.equal(hazy, degrade(scene, "haze", kind="standard", severity=0.8, depth=every))
    picture = depth[None, ..., None].expand(-1, -1, -1, 3)
    torch.testing.assert_close(hazy, degrade(scene, "haze", kind="standard", severity=0.8, depth=picture))
    torch.testing.assert_close(hazy[:, :, :50], scene[:, :, :50])
    assert (hazy - scene)[:, :, 80:].abs().mean() > 0.1


@every_label
@pytest.mark.parametrize("size", [(5, 5), (1, 1), (1, 40)])
def test_a_picture_smaller_than_a_kernel(scene: Tensor, label: str, size: tuple[int, int], tmp_path: Path) -> None:
    """The same in Python and on the command line; tests/nodes holds the node to it."""
    small = scene[:1, : size[0], : size[1]]
    degraded = degrade(small, label, seed=3, depth=torch.full(size, 0.5) if label == "haze" else None)
    assert degraded.shape == small.shape and torch.isfinite(degraded).all()
    write_picture(tmp_path / "small.png", small)
    command = ["degrade", str(tmp_path / "small.png"), "-o", str(tmp_path / "o.png"), "--label", label, "--seed", "3"]
    assert main([*command, "--kind", "any"]) == 0
    write_picture(
        tmp_path / "expected.png", degrade(read_picture(tmp_path / "small.png").image, label, kind="any", seed=3)
    )
    assert (tmp_path / "o.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_each_picture_is_announced(scene: Tensor) -> None:
    seen: list[int] = []
    degrade(scene, "noise", on_picture=seen.append)
    assert seen == [0, 1, 2, 3]


class TestANewOne:
    """One function and one row are all that a new degradation takes; tests/nodes has the same for the node."""

    @pytest.fixture(autouse=True)
    def negative(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def invert(image: Tensor, draw: object, *, severity: float) -> Tensor:
            return image + severity * (1 - 2 * image)

        monkeypatch.setattr(autodir_core.degrade.haze, "invert", invert, raising=False)
        monkeypatch.setitem(DEGRADATIONS.rows, "negative", Degradation("degrade.haze:invert", "inverted colors"))

    def test_in_python(self, scene: Tensor) -> None:
        torch.testing.assert_close(degrade(scene, "negative", severity=1.0), 1 - scene)
        both = compose(scene, ["negative", "blur"], severity=1.0)
        assert torch.equal(both, degrade(degrade(scene, "blur", severity=1.0), "negative", severity=1.0))

    def test_on_the_command_line(self, scene: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write_picture(tmp_path / "photo.png", scene[:1])
        command = ["degrade", str(tmp_path / "photo.png"), "-o", str(tmp_path / "o.png"), "--severity", "1"]
        assert main([*command, "--label", "negative"]) == 0
        photo, degraded = (read_picture(tmp_path / name).image for name in ("photo.png", "o.png"))
        torch.testing.assert_close(degraded, 1 - photo)
        with pytest.raises(SystemExit):
            main(["degrade", "--help"])
        assert "negative: inverted colors" in " ".join(capsys.readouterr().out.split())
