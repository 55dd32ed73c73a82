"""Random draws: the same picture however the batch is split, different ones otherwise."""

from __future__ import annotations

import torch

from autodir_lab.training.data.microbatch import full_batch, split_batch


def test_micro_batches_are_parts_of_the_batch():
    micro_batches = split_batch(3, 7, 10, 4)
    assert [micro.indices for micro in micro_batches] == [(0, 1, 2), (3, 4, 5), (6, 7), (8, 9)]
    assert sum(micro.weight for micro in micro_batches) == 1
    batch = full_batch(3, 10, step=7)
    for draw in (
        lambda micro: micro.uniform("a"),
        lambda micro: micro.integers("a", 1000),
        lambda micro: micro.noise("a", (2, 3)),
    ):
        assert torch.equal(torch.cat([draw(micro) for micro in micro_batches]), draw(batch))
    assert {micro.step_rng("a").random() for micro in micro_batches} == {batch.step_rng("a").random()}


def test_seed_step_number_and_purpose_all_count():
    drawn = [
        full_batch(0, 2).uniform("a"),
        full_batch(1, 2).uniform("a"),
        full_batch(0, 2, step=1).uniform("a"),
        full_batch(0, 2).uniform("b"),
    ]
    assert len(torch.cat(drawn).unique()) == 8


def test_noise_has_unit_variance():
    noise = full_batch(0, 4).noise("noise", (50, 50))
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
