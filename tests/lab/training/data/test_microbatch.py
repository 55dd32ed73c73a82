"""Random draws: the same picture whatever the cut of the batch, different ones otherwise."""

from __future__ import annotations

import torch

from autodir_lab.training.data.microbatch import cut, whole


def test_pieces_are_the_batch_cut_up():
    pieces = cut(3, 7, 10, 4)
    assert [piece.numbers for piece in pieces] == [(0, 1, 2), (3, 4, 5), (6, 7), (8, 9)]
    assert sum(piece.share for piece in pieces) == 1
    batch = whole(3, 10, step=7)
    for draw in (
        lambda piece: piece.uniform("a"),
        lambda piece: piece.integers("a", 1000),
        lambda piece: piece.noise("a", (2, 3)),
    ):
        assert torch.equal(torch.cat([draw(piece) for piece in pieces]), draw(batch))
    assert {piece.step_rng("a").random() for piece in pieces} == {batch.step_rng("a").random()}


def test_seed_step_number_and_purpose_all_count():
    drawn = [
        whole(0, 2).uniform("a"),
        whole(1, 2).uniform("a"),
        whole(0, 2, step=1).uniform("a"),
        whole(0, 2).uniform("b"),
    ]
    assert len(torch.cat(drawn).unique()) == 8


def test_noise_has_unit_variance():
    noise = whole(0, 4).noise("noise", (50, 50))
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
