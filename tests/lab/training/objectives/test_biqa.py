"""The assessment's objective: which ground truths count, the same losses however it is split, the teacher's patches."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from autodir_lab.training.data.dataset import full_batch, split_batch
from autodir_lab.training.init.model import init_model
from autodir_lab.training.objectives.biqa import (
    LogitsFn,
    Teacher,
    agnostic_sum,
    biqa_objective,
    cosine_logits_fn,
    label_embeddings,
    label_logits,
    publish_references,
    smooth_neighbors,
)
from autodir_lab.training.objectives.patch_dropout import remove_patch_dropout


@pytest.fixture(scope="module")
def clip(small):
    return init_model(small).networks.clip


def test_only_references_of_degraded_pictures_have_an_agnostic_term():
    """1 - sqrt(1 - 0.36) = 0.2, the clean one nothing."""
    probabilities = torch.tensor([[0.36, 0.64], [0.5, 0.5]])
    assert agnostic_sum(probabilities, torch.tensor([0, 1]), clean=1).item() == pytest.approx(0.2, abs=1e-4)
    assert agnostic_sum(probabilities, torch.tensor([1, 1]), clean=1).item() == 0


def test_some_of_a_target_goes_to_its_neighbor():
    """Blur and low resolution have each other, no other label has one, nor has one of the two without the other."""
    targets = smooth_neighbors(("blur", "haze", "low resolution"), 0.1)
    assert targets.tolist() == torch.tensor([[0.9, 0, 0.1], [0, 1, 0], [0.1, 0, 0.9]]).tolist()
    assert torch.equal(smooth_neighbors(("blur", "no"), 0.1), torch.eye(2))


@pytest.mark.parametrize("step", [0, 5])
def test_micro_batches_add_up_to_the_whole(clip, data, small, step):
    """Four pictures dropped patches before step 3, and all patches after it."""
    plan = replace(small.biqa_objective, crops=replace(small.biqa_objective.crops, clean_fraction=0.4))
    objective = biqa_objective(clip, data, plan, unmasked_from=3)
    with torch.no_grad():
        at_once = objective(full_batch(1, 9, step=step))
        micro_batches = [objective(micro) for micro in split_batch(1, step, 9, 4)]
    for name, value in at_once.items():
        total = torch.stack([micro[name] for micro in micro_batches]).sum()
        assert total.item() == pytest.approx(value.item(), rel=1e-4), name
        assert value > 0
    remove_patch_dropout(clip)


def test_the_teacher_sees_the_same_patches_of_the_same_pictures(clip, data, small):
    """An unchanged model then agrees with its teacher, whatever is dropped, and nothing pulls it away."""
    teacher, seen = deepcopy(clip), {}

    def record(name: str, logits_fn: LogitsFn) -> LogitsFn:
        return lambda images: seen.setdefault(name, logits_fn(images))

    extended = replace(data, new_label=data.labels[0])
    objective = biqa_objective(
        clip,
        extended,
        replace(small.biqa_objective, patch_keep_ratio=0.25),
        unmasked_from=3,
        logits_fn=record("student", cosine_logits_fn(clip, extended.labels)),
        teacher=Teacher(teacher, record("teacher", cosine_logits_fn(teacher, extended.labels[1:]))),
    )
    with torch.no_grad():
        objective(full_batch(1, 9, step=0))
    assert len(seen["student"]) == 12, "nine pictures and three ground truths"
    torch.testing.assert_close(seen["student"][:9, 1:], seen["teacher"])
    remove_patch_dropout(clip)


def test_outside_of_training_all_patches_are_seen(clip, data, small):
    """A sample grid in the middle of a training shows the assessment as it is used."""
    pictures = torch.rand(3, 64, 64, 3)
    alone = label_logits(clip, pictures, label_embeddings(clip, data.labels))
    objective = biqa_objective(clip, data, replace(small.biqa_objective, patch_keep_ratio=0.25), unmasked_from=3)
    with torch.no_grad():
        objective(full_batch(1, 9, step=0))
    torch.testing.assert_close(label_logits(clip, pictures, label_embeddings(clip, data.labels)), alone)
    remove_patch_dropout(clip)


def test_ground_truths_see_as_much_web_as_the_degraded_pictures():
    pictures, micro = torch.rand(4, 64, 64, 3), full_batch(1, 4)
    changed = (publish_references(pictures, micro, range(4), 0.5) != pictures).flatten(1).any(dim=1)
    assert torch.equal(publish_references(pictures, micro, range(4), 0.0), pictures)
    assert changed.any() and not changed.all()
    alone = publish_references(pictures[2:3], micro, [2], 0.5)
    assert torch.equal(alone, publish_references(pictures, micro, range(4), 0.5)[2:3]), "however a batch is split"
