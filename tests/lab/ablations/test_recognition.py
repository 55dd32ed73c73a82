"""The study of recognition: what each kind is trained with, and how answers are counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import autodir_core as ad
from autodir_lab.ablations import RecognitionPlan, recognition_study
from autodir_lab.ablations import recognition as study
from autodir_lab.ablations.recognition import KINDS, Recognised, measured
from autodir_lab.ablations.tables import recognition_table
from autodir_lab.training.data.crops import synthetic_data
from autodir_lab.training.data.microbatch import full_batch
from autodir_lab.training.recipes import Sources, Start, shipped_recipe

PHOTOS = {"grey": torch.full((1, 260, 260, 3), 0.5)}


@pytest.fixture
def recipe():
    """The mini recipe with a smaller vision tower and few pictures."""
    mini = shipped_recipe("mini")
    clip = replace(mini.config.clip, vision_width=96, vision_layers=2, vision_heads=4, vision_hidden=192, image=64)
    return replace(
        mini,
        config=replace(mini.config, clip=clip),
        metadata=replace(mini.metadata, vision_heads=4),
        data=Sources(scenes=2),
        start=Start(prompt_steps=2, codec_steps=2),
        biqa=replace(mini.biqa, batch_size=4, precision="float32"),
        biqa_data=replace(mini.biqa_data, crops=replace(mini.biqa_data.crops, size=64)),
    )


def test_every_kind_is_trained_with_its_own_losses(recipe, tmp_path, monkeypatch):
    """All begin alike and see the same pictures; the classifier's head learns too."""
    seen = {}

    def train(name, network, objective, loop, folder):
        seen[folder.name] = {key for key, value in objective(full_batch(0, 16)).items() if value > 0}
        seen[folder.name + " parts"] = loop.trainable_prefixes

    monkeypatch.setattr(study, "train", train)
    data = synthetic_data(np.random.default_rng(0).integers(0, 256, (1, 512, 512, 4), dtype=np.uint8))
    plan = RecognitionPlan(steps=5, seeds=(3,), crops=1)
    results = recognition_study(recipe, data, PHOTOS, plan, tmp_path)
    assert [(one.kind, one.seed) for one in results] == [(kind, 3) for kind in KINDS]
    assert seen["classifier 3"] == {"cross_entropy"}
    assert seen["classification loss 3"] == {"fidelity", "cross_entropy"}
    assert seen["semantic-agnostic term 3"] == {"fidelity", "cross_entropy", "semantic_agnostic"}
    assert seen["classifier 3 parts"] == ("clip.visual", "clip.logit_scale", "head")
    assert seen["classification loss 3 parts"] == ("visual", "logit_scale")


@pytest.mark.parametrize(("said", "accuracy", "alarms"), [("no", 1 / 8, 0.0), ("haze", 1 / 8, 1.0)])
def test_one_answer_for_everything(said, accuracy, alarms):
    def answer(images):
        return torch.nn.functional.one_hot(torch.tensor([ad.LABELS.index(said)]), 8).float()

    one = measured(answer, ad.LABELS, PHOTOS, RecognitionPlan(crops=1), kind="classifier", seed=0)
    assert (one.accuracy, one.false_alarms) == (accuracy, alarms)


def test_the_table_has_means_and_spreads():
    results = [Recognised(kind, seed, 0.5 + 0.1 * seed, 0.25) for kind in KINDS for seed in (0, 1)]
    row = recognition_table(results).splitlines()[2]
    assert row == "| classifier | 55.0 ± 7.1 | 25.0 ± 0.0 |"
