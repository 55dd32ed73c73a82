"""Values that do not belong into an input: one line that names the node and the input, before any work."""

from __future__ import annotations

import math

import pytest
import torch

PICTURE = torch.rand(1, 8, 8, 3)
LATENT = torch.zeros(1, 4, 2, 2)

WRONG = [
    ("Degrade", "image", None, r"takes \[B, H, W, 3 or 4\], got None"),
    ("Degrade", "image", PICTURE[0], r"not empty, got \[8, 8, 3\]"),
    ("Degrade", "image", PICTURE[..., :1], r"takes pictures .*, got \[1, 8, 8, 1\]"),
    ("Degrade", "image", PICTURE * math.nan, "holds values that are not finite"),
    ("Degrade", "image", PICTURE.byte(), "takes floating point values, got torch.uint8"),
    ("Degrade", "severity", "much", "takes a number, got 'much'"),
    ("Degrade", "severity", 1.5, "takes a number in 0..1, got 1.5"),
    ("Degrade", "severity", math.nan, "takes a number, got nan"),
    ("Degrade", "seed", 0.5, "takes a whole number, got 0.5"),
    ("Degrade", "seed", -1, "takes a number in 0"),
    ("Degrade", "seed", 10**400, "takes a number"),
    ("Degrade", "seed", True, "takes a number, got True"),
    ("Degrade", "degradation", "fog", "takes one of its list, got 'fog'"),
    ("Degrade", "degradation", [], r"takes one of its list, got \[\]"),
    ("Degrade", "depth", "far", r"takes \[B, H, W\] or \[B, H, W, 3\], got 'far'"),
    ("LoopSettings", "gate", "yes", "takes true or false, got 'yes'"),
    ("LoopSettings", "labels", "a\0b", "holds a NUL character"),
    ("LoopSettings", "labels", "a\ud800", "holds half of a character"),
    ("LoopSettings", "gate", None, "takes true or false, got None"),
    ("Degrade", "kind", None, "takes"),
    ("LoopSettings", "labels", "x" * 1_000_000, "takes up to 20000 characters, got 1000000"),
    ("LoopSettings", "labels", 5, "takes a text, got 5"),
    ("Mix", "conditioning_a", [], "takes a conditioning, got a value of the type list"),
    ("Mix", "conditioning_a", [["text", {}]], "takes .*, got 'text'"),
    ("Mix", "conditioning_a", [[PICTURE[0] * math.inf, {}]], "not finite"),
    ("Decode", "latent", LATENT, "takes a latent, got a value of the type Tensor"),
    ("Decode", "latent", {"samples": LATENT / 0}, "not finite"),
    ("Decode", "model", "mini", "takes what AutoDIR Load Model gives, got 'mini'"),
    ("Blend", "assessment", object(), "takes what AutoDIR Assess gives, got a value of the type object"),
    ("Restore", "loop_settings", {}, "takes what AutoDIR Loop Settings gives"),
]
GOOD = {
    "Degrade": {"image": PICTURE, "degradation": "noise", "severity": 0.5, "seed": 0},
    "LoopSettings": {
        **{"labels": "", "crops": "center", "min_confidence": 0.0, "gate": True, "strength": 1.0},
        **{"order": "probability", "local": False, "candidates": 1},
    },
    "Mix": {"conditioning_a": [[PICTURE[0], {}]], "conditioning_b": [[PICTURE[0], {}]], "weight": 0.5},
    "Decode": {"latent": {"samples": LATENT}},
    "Blend": {"assessment": None, "temperature": 1.0, "top_k": 0, "exclude_labels": ""},
    "Restore": {
        **{"image": PICTURE, "steps": 1, "seed": 0, "max_rounds": 1, "text_guidance": 1.0, "image_guidance": 1.0},
        **{"prompt": "", "scm_weight": -1.0},
    },
}


@pytest.mark.parametrize(("name", "given", "value", "says"), WRONG, ids=range(len(WRONG)))
def test_what_does_not_fit_is_refused(node, model, core, name, given, value, says):
    one = node(name)
    inputs = {"model": model, **GOOD[name]} if "model" in one.INPUT_TYPES()["required"] else GOOD[name]
    with pytest.raises(core("errors").InputError, match=says) as raised:
        getattr(one, one.FUNCTION)(**{**inputs, given: value})
    assert str(raised.value).startswith(f"{one.DISPLAY_NAME}: the input {given!r} ")
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 200


def test_what_fits_is_passed_on(node):
    for name in ("Degrade", "LoopSettings", "Mix"):
        one = node(name)
        assert getattr(one, one.FUNCTION)(**GOOD[name])


def test_half_precision_and_a_weight_for_each_picture_fit(node):
    degrade = node("Degrade")
    degrade.degrade(**{**GOOD["Degrade"], "image": PICTURE.half()})
    with pytest.raises(TypeError, match="missing"):
        degrade.degrade(PICTURE)


def test_a_long_error_is_cut_off(node, model, photo, core):
    with pytest.raises(core("errors").InputError, match=r"unknown label") as raised:
        node("Assess").assess(model, photo, "x" * 5000)
    assert len(str(raised.value)) < 600
