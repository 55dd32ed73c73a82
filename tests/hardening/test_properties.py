"""What holds for every input that hypothesis thinks of: layouts, tiles, the loop, samplers, workflows."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
import torch

pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st

from autodir_client.workflow import Workflow
from autodir_core.choices import ORDERS, SAMPLERS
from autodir_core.diffusion.schedule import sigmas
from autodir_core.errors import InputError
from autodir_core.imaging.layout import (
    crop,
    crop_starts,
    from_network,
    from_uint8,
    pad_to_multiple,
    reflect_indices,
    to_network,
    to_uint8,
)
from autodir_core.labels import CLEAN, LABELS
from autodir_core.loop_policy import LoopState
from autodir_core.outputs import Assessment, Round
from autodir_core.tiling.tiles import LATENT, PICTURE, plan_spans, plan_tiles, run_tiled
from tests.client.helpers.fake import DEFINITIONS, PAGE, WORKFLOW

SIDES = st.integers(1, 90)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.lists(st.integers(0, 255), min_size=1))
def test_all_levels_survive_the_way_there_and_back(levels: list[int]) -> None:
    tensor = torch.tensor(levels, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(tensor)), tensor)


@given(st.integers(1, 3), SIDES, SIDES, st.integers(0, 9))
def test_the_networks_layout_is_the_pictures(batch: int, height: int, width: int, seed: int) -> None:
    images = noise(batch, height, width, 3, seed=seed)
    x = to_network(images)
    assert x.shape == (batch, 3, height, width)
    torch.testing.assert_close(from_network(x), images, atol=1e-6, rtol=0)


@given(SIDES, SIDES, st.integers(1, 70))
def test_padding_is_taken_off_again(height: int, width: int, stride: int) -> None:
    images = noise(1, height, width, 3)
    padded = pad_to_multiple(images, stride)
    assert padded.shape[1] % stride == padded.shape[2] % stride == 0
    assert padded.shape[1] - height < stride and padded.shape[2] - width < stride
    assert torch.equal(crop(padded, height, width), images)


@given(SIDES, st.integers(0, 300))
def test_reflection_stays_inside_and_moves_by_one(size: int, more: int) -> None:
    index = reflect_indices(size, size + more)
    assert index[:size].tolist() == list(range(size))
    assert index.min() >= 0 and index.max() < size
    assert size == 1 or (index.diff().abs() == 1).all()


@given(st.integers(1, 5000), st.integers(1, 700))
def test_crops_reach_from_border_to_border(length: int, side: int) -> None:
    starts = crop_starts(length, side)
    if length > side:
        assert starts[0] == 0 and starts[-1] == length - side and starts == sorted(set(starts))


@given(st.integers(1, 700), st.integers(2, 12), st.sampled_from([1, 4, 8, 16]), st.integers(0, 6))
def test_spans_cover_a_side_and_their_windows_sum_to_one(size: int, steps: int, grid: int, overlap: int) -> None:
    tile = steps * grid
    spans = plan_spans(size, tile, overlap=min(overlap, steps // 2) * grid, grid=grid)
    assert spans[0].start == 0 and spans[-1].end == size
    assert all(span.start % grid == 0 and 0 < span.end - span.start <= tile for span in spans)
    total = torch.zeros(size)
    for span in spans:
        total[span.start : span.end] += span.window(1.0)
    torch.testing.assert_close(total, torch.ones(size), atol=1e-5, rtol=0)


LAYOUTS = st.sampled_from([(PICTURE, 1, 1), (LATENT, 1, 8), (LATENT, 8, 8)])


@given(SIDES, SIDES, st.sampled_from([128, 192, 256]), LAYOUTS)
def test_tiles_of_what_a_network_hands_on_are_the_whole(
    height: int, width: int, tile_size: int, layout: tuple[int, int, int]
) -> None:
    dim, grid, unit = layout
    height, width = 3 * height, 3 * width
    x = noise(1, height, width, 3) if dim == PICTURE else noise(1, 3, height, width)
    tiles = plan_tiles(height, width, tile_size, grid=grid, unit=unit)
    torch.testing.assert_close(run_tiled(lambda part: part, [x], tiles, dims=(dim, dim)), x, atol=1e-5, rtol=0)


PROBABILITIES = st.lists(st.floats(0, 1, width=32), min_size=len(LABELS), max_size=len(LABELS))
PICTURE_OF_ONE = torch.zeros(1, 1, 1, 3)


@given(st.lists(PROBABILITIES, min_size=1, max_size=10), st.integers(1, 9), st.floats(0, 1), st.sampled_from([*ORDERS]))
def test_the_loop_ends_and_no_label_wins_twice(
    seen: list[list[float]], max_rounds: int, min_confidence: float, order: str
) -> None:
    state, number = LoopState.start(PICTURE_OF_ONE, LABELS), 0
    while state.stop_reason(max_rounds) is None:
        asked = torch.tensor([seen[number % len(seen)][: len(state.remaining)]])
        state = state.apply_assessment(Assessment(state.remaining, asked, torch.zeros(1, 1, 1)), None, order)
        state = state.apply_confidence(min_confidence)
        if state.label is not None:
            assert state.confidence >= min_confidence and state.label != CLEAN
            last = state.is_last_round(max_rounds)
            done = Round((state.label,), asked, PICTURE_OF_ONE, PICTURE_OF_ONE, PICTURE_OF_ONE)
            state = state.apply_round(done, PICTURE_OF_ONE)
            assert last == (state.stop_reason(max_rounds) is not None)
        number += 1
        assert number <= len(LABELS)
    won = [done.labels[0] for done in state.rounds]
    assert len(set(won)) == len(won) <= max_rounds
    assert state.restoration(max_rounds).stopped[0] in {"clean", "max_rounds", "no_labels", "low_confidence"}


@given(st.sampled_from([*SAMPLERS]), st.integers(1, 30), st.integers(0, 99))
def test_a_denoiser_that_knows_the_picture_gives_it(sampler: str, steps: int, seed: int) -> None:
    levels, target, estimates = sigmas(steps), noise(1, 4, 3, 3, seed=seed), []
    assert (levels.diff() < 0).all() and levels[-1] == 0 and len(levels) == steps + 1
    generator = torch.Generator().manual_seed(seed)
    result = SAMPLERS.load(sampler)(
        lambda x, sigma: target,
        torch.randn(target.shape, generator=generator) * levels[0],
        levels,
        noise=lambda sigma, sigma_next: torch.randn(target.shape, generator=generator),
        on_step=lambda step, estimate: estimates.append(step),
    )
    torch.testing.assert_close(result, target, atol=1e-4, rtol=0)
    assert estimates == list(range(steps))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**30) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values in JSON."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


GRAPHS = [PAGE["graph"], WORKFLOW]


@given(st.data())
def test_a_damaged_workflow_is_converted_or_refused(data: st.DataObject) -> None:
    content = deepcopy(data.draw(st.sampled_from(GRAPHS)))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(content)[1:] or [("nodes",)]))
        inner: Any = content
        for key in path:
            inner = inner[key]
        inner[last] = data.draw(JSON)
    try:
        prompt = Workflow("flow", content).prompt(DEFINITIONS)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
    else:
        json.dumps(prompt)
