"""Adding a label: it gets its place, the known ones are distilled, and the written file knows all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import autodir_core as ad
from autodir_core.cli import main
from autodir_core.errors import InputError
from autodir_core.model import MINI
from autodir_lab.training import recipes
from autodir_lab.training.add_label import NewLabel, insert_label
from autodir_lab.training.data.dataset import Batch
from autodir_lab.training.data.sources import CleanSource, TrainingData
from autodir_lab.training.objectives.biqa import distillation_loss, teacher_probabilities

LABELS = ("noise", "new", "no")


@pytest.fixture
def data(scenes) -> TrainingData:
    return TrainingData(
        LABELS, (CleanSource(scenes, degradations={label: spoil for label in LABELS[:2]}),), new_label="new"
    )


def spoil(crop: torch.Tensor, severity: float, seed: int) -> torch.Tensor:
    return crop[..., :3]


def batch_of(*labels: str) -> Batch:
    pictures = torch.zeros(len(labels), 8, 8, 3)
    return Batch(pictures, pictures, torch.tensor([LABELS.index(label) for label in labels]))


def answer(images: torch.Tensor) -> torch.Tensor:
    """The model of before knew two labels and found noise three times as likely as none."""
    return torch.tensor([3.0, 1.0]).log().expand(len(images), 2)


def test_the_new_label_comes_before_no():
    assert insert_label("dust", ("noise", "no", "rain")) == ("noise", "rain", "dust", "no")
    with pytest.raises(InputError, match="knows 'rain' already"):
        insert_label("rain", ad.LABELS)


@pytest.mark.parametrize("label", ["", " dust", "dust  and dirt", "dust, dirt", "dust\ndirt"])
def test_labels_that_could_not_be_written_in_a_list(label):
    with pytest.raises(InputError, match="without commas"):
        NewLabel(label, degradation="jpeg artifact")


def test_examples_come_from_one_place():
    for ways in ({}, {"pairs": Path("pairs"), "degradation": "jpeg artifact"}):
        with pytest.raises(InputError, match="give either pairs or a degradation"):
            NewLabel("dust", **ways)


def test_what_was_told_before_leaves_the_new_label_out(data):
    assert teacher_probabilities(batch_of("noise"), data, answer)[0].tolist() == pytest.approx([0.75, 0.0, 0.25])


def test_remembering_costs_the_cross_entropy_with_the_former_answers(data):
    """Even answers cost ln 3; on a picture of the new label nothing is remembered."""
    even = torch.zeros(2, 3)
    clean, both = batch_of("no"), batch_of("new", "noise")
    one = distillation_loss(even[:1], teacher_probabilities(clean, data, answer), clean, data)
    assert one.item() == pytest.approx(1.0986, abs=1e-4)
    half = distillation_loss(even, teacher_probabilities(both, data, answer), both, data)
    assert half.item() == pytest.approx(1.0986 / 2, abs=1e-4)


@pytest.fixture
def recipe(tmp_path) -> Path:
    """The shipped recipe with two scenes and one step of two pictures for each stage."""
    text = (Path(recipes.__file__).parent / "teach.toml").read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        key = line.partition(" = ")[0]
        lines.append({"scenes": "scenes = 2", "steps": "steps = 1", "batch_size": "batch_size = 2"}.get(key, line))
    path = tmp_path / "short.toml"
    path.write_text("\n".join(lines).replace("[vae]\nsteps = 1", "[vae]\nsteps = 0"), encoding="utf-8")
    return path


def test_the_embedded_model_learns_jpeg(tmp_path, recipe, capsys):
    done = main(
        ["teach", "jpeg artifact", "--degrade", "jpeg artifact", "--recipe", str(recipe), "--output", str(tmp_path)]
    )
    assert done == 0, capsys.readouterr().err
    path = tmp_path / "autodir-taught.safetensors"
    model = ad.load_autodir(path, device="cpu")
    assert model.labels == (*ad.LABELS[:-1], "jpeg artifact", "no")
    assessment = model.assess(torch.rand(1, 64, 64, 3))
    assert assessment.probabilities.shape == (1, 9)
    before, after = load_file(MINI), load_file(path)
    assert before.keys() == after.keys()
    changed = {key for key, value in before.items() if not torch.equal(value.float(), after[key].float())}
    assert {key.partition(".")[0] for key in changed} == {"model_assessment", "model", "NAFNet"}
    assert not any("text_model" in key for key in changed)


@pytest.mark.parametrize(
    ("label", "examples", "message"),
    [
        ("haze", ("--degrade", "jpeg artifact"), "knows 'haze' already"),
        ("dust", ("--pairs", "nowhere"), "nowhere/clean does not exist"),
    ],
)
def test_what_is_refused_leaves_no_folder(tmp_path, capsys, label, examples, message):
    assert main(["teach", label, *examples, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
