"""The tables of what can be chosen by name, and that one function and one row are all that a new entry takes."""

from __future__ import annotations

import argparse

import pytest
import torch

import autodir_core as ad
from autodir_core import choices
from autodir_core.choices import Choice, Choices
from autodir_core.cli import restore
from autodir_core.diffusion import samplers

TABLES = {name: table for name, table in vars(choices).items() if isinstance(table, Choices)}


@pytest.mark.parametrize(("table", "name"), [(table, name) for table in TABLES.values() for name in table])
def test_every_row_has_a_summary_and_a_function_that_is_there(table, name):
    assert table[name].summary
    assert not table[name].function or callable(table.load(name))


def test_a_malformed_row_is_refused_where_the_table_is_defined():
    with pytest.raises(ValueError, match="sampler 'mine' needs a function written module:function"):
        Choices("sampler", {"mine": Choice("diffusion.samplers.mine", "")})


def test_an_unknown_name_is_told_the_known_ones():
    known = ", ".join(choices.SAMPLERS)
    with pytest.raises(ad.InputError, match=f"unknown sampler 'ddim'; choose among: {known}"):
        choices.SAMPLERS.check("ddim")


def test_a_new_sampler_is_one_function_and_one_row(tiny, monkeypatch):
    def keep_noise(denoise, x, sigmas, *, noise, on_step):
        return x

    monkeypatch.setattr(samplers, "keep_noise", keep_noise, raising=False)
    monkeypatch.setitem(choices.SAMPLERS.rows, "keep_noise", Choice("diffusion.samplers:keep_noise", "keeps the noise"))
    latent = torch.zeros(1, *tiny.latent_shape(64, 64))
    noise = torch.ones_like(latent)
    settings = ad.SamplerSettings(steps=1, sampler="keep_noise")
    assert torch.equal(tiny.sample(latent, tiny.null_text, settings, noise=noise), noise * ad.sigmas(1)[0].item())
    parser = argparse.ArgumentParser()
    restore.add_arguments(parser)
    assert parser.parse_args(["-o", "x.png", "--sampler", "keep_noise"]).sampler == "keep_noise"


def test_presets_are_settings():
    loop, sampler = ad.preset("paper")
    assert (loop, sampler) == (ad.LoopSettings(), ad.SamplerSettings())
    assert all(len(ad.preset(name)) == 2 for name in choices.PRESETS)
    with pytest.raises(ad.InputError, match="unknown preset 'slow'; choose among: best, fast, paper"):
        ad.preset("slow")
