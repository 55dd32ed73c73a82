"""The dataset and its loader: labels as often as asked, and the same pictures whoever draws them."""

from __future__ import annotations

import multiprocessing
import pickle
from dataclasses import replace
from itertools import islice

import pytest
import torch

import autodir_core as ad
from autodir_lab.training.data.augment import AugmentationProbs
from autodir_lab.training.data.crops import CropConfig
from autodir_lab.training.data.dataset import Batch, MicroBatch, PairDataset, full_batch, load_batches, split_batch
from autodir_lab.training.data.prepare_data import prepare_scenes
from autodir_lab.training.data.sources import CleanSource, TrainingData

CROPS = CropConfig(48, clean_fraction=0.3)


def fractions(data: TrainingData, config: CropConfig, count: int) -> dict[str, float]:
    """How often each label is drawn."""
    labels = PairDataset(data, config).draw_labels(full_batch(0, count))
    return {label: labels.count(label) / count for label in data.labels}


def assert_equal(first: Batch, second: Batch) -> None:
    for name in ("clean", "degraded", "labels"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name


def test_clean_crops_and_degraded_ones(data):
    batch = PairDataset(data, CROPS)[full_batch(0, 12)]
    assert batch.clean.shape == batch.degraded.shape == (12, 48, 48, 3)
    assert len(batch.labels.unique()) > 3
    for clean, degraded, label in zip(batch.clean, batch.degraded, batch.labels, strict=True):
        assert torch.equal(clean, degraded) == (ad.LABELS[label] == "no")


def test_a_batch_serves_several_steps(data):
    """Drawn once, from wherever a training resumes; what is drawn beside the pictures is of each step."""

    class Counting(PairDataset):
        count = 0

        def __getitem__(self, micro: MicroBatch) -> Batch:
            self.count += 1
            return super().__getitem__(micro)

    plain = {step: PairDataset(data, CROPS)[full_batch(2, 5, step=step)] for step in (0, 3)}
    for first in (0, 1):
        dataset = Counting(data, CROPS)
        micros = [micro for step in range(first, 6) for micro in split_batch(2, step, 5, 2, repeats=3)]
        loaded = list(load_batches(dataset, micros))
        assert dataset.count == 4
        assert [micro.step for micro, _ in loaded] == [micro.step for micro in micros]
        for micro, batch in loaded:
            index = list(micro.indices)
            whole = plain[micro.step - micro.step % 3]
            assert_equal(batch, Batch(whole.clean[index], whole.degraded[index], whole.labels[index]))
            assert dataset.draw_labels(micro) == dataset.draw_labels(micro.pictures)
    draws = [micro.uniform("noise") for micro, _ in loaded if micro.indices[0] == 0]
    assert len({tuple(draw.tolist()) for draw in draws}) == len(draws)


def test_a_batch_is_the_same_however_it_is_split(data):
    dataset = PairDataset(data, CROPS)
    batch = dataset[full_batch(2, 5, step=9)]
    parts = [dataset[micro] for micro in split_batch(2, 9, 5, 3)]
    whole = Batch(*(torch.cat([getattr(part, name) for part in parts]) for name in ("clean", "degraded", "labels")))
    assert_equal(whole, batch)


def test_labels_are_drawn_as_often_as_asked(data):
    drawn = fractions(data, CropConfig(48, clean_fraction=0.25), 4000)
    assert drawn.pop("no") == pytest.approx(0.25, abs=0.03)
    assert all(fraction == pytest.approx(0.75 / 7, abs=0.03) for fraction in drawn.values())


def test_class_weights(data):
    drawn = fractions(data, CropConfig(48, clean_fraction=0.2, class_weights={"haze": 4.0, "rain": 0.5}), 8000)
    one = 0.8 / (5 + 4 + 0.5)
    assert drawn["no"] == pytest.approx(0.2, abs=0.02)
    assert drawn["haze"] == pytest.approx(4 * one, abs=0.02)
    assert drawn["rain"] == pytest.approx(0.5 * one, abs=0.02)
    assert drawn["blur"] == pytest.approx(one, abs=0.02)


def test_a_new_label_has_its_own_fraction(data):
    config = CropConfig(48, clean_fraction=0.2, new_label_fraction=0.5)
    drawn = fractions(replace(data, new_label="haze"), config, 4000)
    assert drawn.pop("haze") == pytest.approx(0.5, abs=0.03)
    assert drawn.pop("no") == pytest.approx(0.2, abs=0.03)
    assert all(fraction == pytest.approx(0.3 / 6, abs=0.02) for fraction in drawn.values())


@pytest.mark.parametrize("setting", ["class_weights", "max_downscale"])
def test_settings_of_labels_that_do_not_exist(data, setting):
    with pytest.raises(ad.InputError, match=rf"`{setting}` names 'fog'.*noise"):
        PairDataset(data, CropConfig(48, clean_fraction=0.2, **{setting: {"fog": 2.0}}))


def test_a_recipe_may_name_official_labels_that_a_model_lacks(data):
    weights = {"blur": 9.0, "rain": 3.0}
    config = CropConfig(48, clean_fraction=0.2, class_weights=weights, max_downscale={"haze": 2.0})
    drawn = fractions(replace(data, labels=("noise", "rain", "no")), config, 4000)
    assert drawn["rain"] == pytest.approx(3 * drawn["noise"], rel=0.15)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Every augmentation, on tiles in a file, as a training has them."""
    tiles = prepare_scenes(tmp_path_factory.mktemp("tiles"), 2, seed=5)
    config = CropConfig(96, clean_fraction=0.2, augmentation=AugmentationProbs(*[0.5] * 11))
    return PairDataset(TrainingData(ad.LABELS, (CleanSource(tiles),)), config)


def micro_batches(first: int, last: int) -> list[MicroBatch]:
    return [micro for step in range(first, last) for micro in split_batch(7, step, 6, 2)]


@pytest.fixture(params=multiprocessing.get_all_start_methods())
def start_method(request):
    """Every way to start a process; Windows and macOS spawn them."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(request.param, force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("start_method")
def test_workers_draw_what_this_process_draws(dataset):
    """Inline, without workers and with two, from the beginning and from the middle."""
    inline = [(micro, dataset[micro]) for micro in micro_batches(0, 4)]
    from_the_middle = [(2, 2)]  # starting two processes anew costs seconds, which one way to start them tells all for
    whole = [(0, 0), (0, 2)] if multiprocessing.get_start_method() == multiprocessing.get_all_start_methods()[0] else []
    for first, workers in whole + from_the_middle:
        loaded = list(load_batches(dataset, micro_batches(first, 4), num_workers=workers))
        assert len(loaded) == len(inline[2 * first :])
        for (micro, batch), (expected_micro, expected) in zip(loaded, inline[2 * first :], strict=True):
            assert micro == expected_micro
            assert_equal(batch, expected)
    assert not multiprocessing.active_children()


def test_pictures_do_not_depend_on_the_number_of_threads(dataset):
    threads = torch.get_num_threads()
    micro = full_batch(1, 12)
    try:
        torch.set_num_threads(1)
        one = dataset[micro]
        torch.set_num_threads(4)
        assert_equal(dataset[micro], one)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)


def test_a_training_that_stops_leaves_no_workers(dataset):
    batches = load_batches(dataset, micro_batches(0, 50), num_workers=2)
    assert len(list(islice(batches, 3))) == 3
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert not multiprocessing.active_children()


def test_workers_get_the_path_of_the_tiles_not_the_tiles(dataset):
    assert len(pickle.dumps(dataset)) < 10_000


class Broken(torch.utils.data.Dataset):
    def __getitem__(self, micro):
        raise ad.InputError("the picture is gone")


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_workers_reach_the_training(workers):
    with pytest.raises(ad.InputError, match="the picture is gone"):
        list(load_batches(Broken(), [full_batch(0, 1)], num_workers=workers))


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
