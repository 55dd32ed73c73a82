"""Recipes: what the shipped ones say, what TOML may hold, and that mistakes are named."""

from __future__ import annotations

import pytest

from autodir_core import InputError
from autodir_lab.training import STAGE_NAMES
from autodir_lab.training.data.augment import AugmentationProbs
from autodir_lab.training.data.sources import DataConfig
from autodir_lab.training.init.model import init_model
from autodir_lab.training.recipes.recipe import read_recipe, scale_steps

OTHERS = "".join(f"[{stage}]\nsteps = 3\nlearning_rate = 1\n" for stage in STAGE_NAMES if stage != "ldm")
PLANS = OTHERS + "[ldm]\nsteps = 3\nlearning_rate = 1\n"


@pytest.fixture
def refused(tmp_path):
    """The error of a recipe."""

    def read(text: str) -> str:
        path = tmp_path / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError) as error:
            read_recipe(path)
        return str(error.value)

    return read


def test_the_mini_recipe_is_the_shipped_model():
    mini = read_recipe("mini")
    assert mini.name == mini.metadata.name == "autodir-mini" and mini.save_precision == "float16"
    assert [mini.train_config(stage).steps for stage in STAGE_NAMES] == [13000, 0, 8000, 10000]
    assert mini.biqa.trainable_prefixes == ("visual", "logit_scale") and mini.biqa.batch_size == 24
    assert mini.biqa_objective.crops.augmentation == AugmentationProbs(
        shaded_objects=0.35,
        depth_of_field=0.3,
        camera_isp=0.35,
        soft_patches=0.3,
        low_key=0.15,
        jpeg=0.2,
        camera=0.5,
        imperceptible=0.3,
        second=0.15,
        partial=0.1,
        web=0.6,
    )
    assert mini.config is not None and mini.config.unet.attention == (False, False, True)
    assert mini.config.clip.text_width % 64 == 0
    assert mini.data == DataConfig(scenes=1600, scenes_weight=0.53, photos_weight=0.47)


def test_the_official_recipe_has_what_paper_and_code_tell():
    official = read_recipe("official")
    assert official.config is None
    assert official.biqa.learning_rate == 3e-6 and official.biqa.trainable_prefixes == ("visual",)
    assert (official.biqa_objective.fidelity_weight, official.biqa_objective.cross_entropy_weight) == (1, 0)
    assert official.biqa_objective.semantic_agnostic_weight > 0
    assert (
        official.ldm.learning_rate == 1e-4
        and official.ldm.trainable_prefixes == ()
        and official.ldm_objective.max_inverse_snr == 0
    )
    assert official.scm.learning_rate == 1e-3 and official.scm.steps == 4000
    assert official.scm.learning_rate * official.scm.final_lr_fraction == pytest.approx(1e-7)
    correction = official.scm_objective
    assert (correction.mse_weight, correction.psnr_weight, correction.sampled_fraction) == (1, 0, 0)
    assert correction.pure_noise_fraction == official.ldm_objective.pure_noise_fraction == 0
    with pytest.raises(InputError, match="no config"):
        init_model(official)


def test_the_recipe_of_families_continues_the_assessment_alone():
    families = read_recipe("families")
    assert [families.train_config(stage).steps for stage in STAGE_NAMES] == [30000, 0, 0, 0]
    assert families.config is None and families.biqa.decay_fraction < 1
    assert families.biqa.trainable_prefixes == ("visual", "logit_scale")


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(PLANS + "[data]\nscenes = 7\n[metadata]\nlabels = ['noise', 'no']\n", encoding="utf-8")
    recipe = read_recipe(path)
    assert recipe.ldm.steps == 3 and recipe.ldm.learning_rate == 1.0 and recipe.data.scenes == 7
    assert recipe.metadata.labels == ("noise", "no")
    assert [scale_steps(recipe, 0.4).train_config(stage).steps for stage in STAGE_NAMES] == [2, 2, 2, 2]


def test_read_recipes_by_name():
    assert read_recipe("mini.toml") == read_recipe("mini") == read_recipe("mini")
    with pytest.raises(InputError, match="does not exist; give a recipe's TOML file, or one of: mini, official"):
        read_recipe("maxi")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[ldm]\nstepps = 3", r"unknown key 'ldm.stepps'; the nearest known one is 'ldm.steps'"),
        ("[biqa_objective.crops.augmentation]\njpg = 1", "known one is 'biqa_objective.crops.augmentation.jpeg'"),
        ("learnig_rate = 3", "unknown key 'learnig_rate'"),
        ("seed = 1.5", "'seed' must be a whole number, got 1.5"),
        ("seed = true", "'seed' must be a whole number, got True"),
        ("[data]\nphotos = 3", "'data.photos' must be a text"),
        ("data = 3", "'data' must be a table"),
        ("[ldm]\nlearning_rate = 1", "'ldm.steps' is missing"),
        ("[metadata]\nlabels = 'haze'", "'metadata.labels' must be a list, got 'haze'"),
        ("[ldm]\nbetas = [0.9]", "'ldm.betas' must be a list of 2"),
        ("[metadata]\nscm_weight = 3", "'metadata.scm_weight' must be a table"),
        ("[ldm", "is not TOML"),
    ],
)
def test_mistakes_are_named(refused, text, message):
    top_level = "[" not in text.partition("=")[0]
    assert message in refused(f"{text}\n{PLANS}" if top_level else f"{OTHERS if '[ldm' in text else PLANS}{text}")


def test_a_missing_stage(refused):
    assert "'biqa' is missing" in refused("seed = 3")


def test_the_precision_is_checked(refused):
    assert "unknown precision" in refused(f"save_precision = 'float8'\n{PLANS}")
