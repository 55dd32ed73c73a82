"""The folder of an evaluation: resumed, refused, and the pictures in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

import autodir_core as ad


def test_it_returns_what_was_appended(store, results, provenance):
    read = store.open(provenance)
    assert read == results
    assert [result.seconds for result in read] == [1.5, 0, 0]


def test_an_incomplete_last_line_is_dropped(store, results, images, provenance):
    store.path.write_text(store.path.read_text()[:-20])
    assert store.open(provenance) == results[:2]
    store.append(results[2], images)
    assert store.open(provenance) == results


def test_other_settings_are_refused_by_name(store, provenance):
    other = replace(provenance, sha256="def", protocol=replace(provenance.protocol, steps=5))
    with pytest.raises(ad.InputError, match=r"another sha256 and steps; choose another folder, or delete .*results"):
        store.open(other)


def test_more_crops_and_mixtures_only_add_samples(store, results, provenance):
    more = replace(provenance, protocol=replace(provenance.protocol, crops=9, mixtures=True))
    assert store.open(more) == results


def test_the_output_must_be_a_folder(store, provenance):
    with pytest.raises(ad.InputError, match="must be a folder"):
        replace(store, folder=store.path).open(provenance)


def test_every_sample_has_its_own_picture(store, results):
    assert len({store.image_path(result) for result in results}) == 3
    with Image.open(store.image_path(results[0])) as side_by_side:
        assert side_by_side.size == (96, 32)
