"""The assessment's step: which tokens are kept, which ground truths count, and the same losses however it is cut."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from autodir_lab.training.data.microbatch import full_batch, split_batch
from autodir_lab.training.init.model import init_model
from autodir_lab.training.init.networks import label_embeddings
from autodir_lab.training.objectives.biqa import (
    Answer,
    Former,
    KeptTokens,
    agnostic_sum,
    biqa_objective,
    cosine_answer,
    keep_all_tokens,
    kept_tokens,
    label_logits,
)


@pytest.fixture(scope="module")
def clip(small):
    return init_model(small).networks.clip


def test_the_class_token_and_the_chosen_ones_are_kept():
    x = torch.arange(10.0).view(2, 5, 1)
    dropout = KeptTokens()
    assert dropout(x) is x
    with dropout.only(torch.tensor([[3, 0], [1, 2]])):
        assert dropout(x).flatten().tolist() == [0, 4, 1, 5, 7, 8]
        assert dropout(x[:1]).flatten().tolist() == [0, 4, 1]
    assert dropout(x) is x


def test_tokens_are_drawn_per_picture(clip):
    kept = kept_tokens(clip, full_batch(0, 4), [0], 0.25)
    assert kept.shape == (5, 16) and all(len(row.unique()) == 16 for row in kept)
    first, second = (
        kept_tokens(clip, micro, [0] if i == 0 else [], 0.25) for i, micro in enumerate(split_batch(0, 0, 4, 2))
    )
    assert torch.equal(kept, torch.cat([first[:2], second, first[2:]]))


def test_only_truths_of_degraded_pictures_have_an_agnostic_term():
    """1 - sqrt(1 - 0.36) = 0.2, the clean one nothing."""
    probabilities = torch.tensor([[0.36, 0.64], [0.5, 0.5]])
    assert agnostic_sum(probabilities, torch.tensor([0, 1]), clean=1).item() == pytest.approx(0.2, abs=1e-4)
    assert agnostic_sum(probabilities, torch.tensor([1, 1]), clean=1).item() == 0


@pytest.mark.parametrize("step", [0, 5])
def test_pieces_add_up_to_the_whole(clip, data, small, step):
    """Four pictures dropped tokens before step 3, and all tokens after it."""
    plan = replace(small.biqa_data, crops=replace(small.biqa_data.crops, clean_share=0.4))
    objective = biqa_objective(clip, data, plan, full_from=3)
    with torch.no_grad():
        at_once = objective(full_batch(1, 9, step=step))
        micro_batches = [objective(micro) for micro in split_batch(1, step, 9, 4)]
    for name, value in at_once.items():
        total = torch.stack([micro[name] for micro in micro_batches]).sum()
        assert total.item() == pytest.approx(value.item(), rel=1e-4), name
        assert value > 0
    keep_all_tokens(clip)


def test_the_former_assessment_sees_the_same_tokens_of_the_same_pictures(clip, data, small):
    """So a model that is as it was answers as it did, whatever is dropped, and nothing pulls it away."""
    former, seen = deepcopy(clip), {}

    def noted(name: str, way: Answer) -> Answer:
        return lambda images: seen.setdefault(name, way(images))

    taught = replace(data, new=data.labels[0])
    objective = biqa_objective(
        clip,
        taught,
        replace(small.biqa_data, keep=0.25),
        full_from=3,
        answer=noted("now", cosine_answer(clip, taught.labels)),
        before=Former(former, noted("before", cosine_answer(former, taught.labels[1:]))),
    )
    with torch.no_grad():
        objective(full_batch(1, 9, step=0))
    assert len(seen["now"]) == 12, "nine pictures and three ground truths"
    torch.testing.assert_close(seen["now"][:9, 1:], seen["before"])
    keep_all_tokens(clip)


def test_what_looks_on_sees_all_tokens(clip, data, small):
    """A sheet in the middle of a training shows the assessment as it is used."""
    pictures = torch.rand(3, 64, 64, 3)
    alone = label_logits(clip, pictures, label_embeddings(clip, data.labels))
    objective = biqa_objective(clip, data, replace(small.biqa_data, keep=0.25), full_from=3)
    with torch.no_grad():
        objective(full_batch(1, 9, step=0))
    torch.testing.assert_close(label_logits(clip, pictures, label_embeddings(clip, data.labels)), alone)
    keep_all_tokens(clip)
