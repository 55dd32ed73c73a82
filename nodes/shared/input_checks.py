"""Every input of every node, checked before its work: one line that names the node and the input.

ComfyUI checks the values that people type; what other nodes give, or programs send, reaches a node as it is.
"""

from __future__ import annotations

import inspect
import math
import reprlib
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from ...autodir_core.errors import AutoDIRError, InputError
from ...autodir_core.settings import LoopSettings, SamplerSettings
from ..assess import AssessmentOutput
from ..comfy.memory import HostedModel
from . import io, loop_graph
from .loop_state import Loop

MAX_TEXT = 20_000
"""Characters that a text typed into a node may have; what other nodes give to a socket alone may have any number."""

MAX_MESSAGE = 500
"""Characters of an error: a page shows it whole, however long the text was that it names."""

CLASSES = {
    "AUTODIR_MODEL": (HostedModel, "AutoDIR Load Model"),
    "AUTODIR_ASSESSMENT": (AssessmentOutput, "AutoDIR Assess"),
    "AUTODIR_LOOP": (Loop, "AutoDIR Loop Open"),
    io.SAMPLER_SETTINGS_TYPE: (SamplerSettings, "AutoDIR Sampler Settings"),
    io.LOOP_SETTINGS_TYPE: (LoopSettings, "AutoDIR Loop Settings"),
}
"""By type of input the class of its values, and the node that gives them."""

Options = Mapping[str, Any]


def guard(nodes: Iterable[type]) -> None:
    """Let every node check its inputs before it works; InputError where one does not fit."""
    for node in nodes:
        name = vars(node)["FUNCTION"]
        setattr(node, name, with_checks(node, getattr(node, name)))


def with_checks(node: Any, work: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function of a node with checks before it, and errors that no page is too small for."""
    signature = inspect.signature(work)

    @wraps(work)
    def run(*given: Any, **named: Any) -> Any:
        values = signature.bind(*given, **named).arguments
        check_inputs(node, {**values, **values.get("widgets", {})})
        try:
            return work(*given, **named)
        except AutoDIRError as error:
            if len(str(error)) <= MAX_MESSAGE:
                raise
            raise type(error)(f"{str(error)[:MAX_MESSAGE]}...") from error

    return run


def check_inputs(node: Any, values: Mapping[str, Any]) -> None:
    """InputError for the first value that does not fit its input; those that were not given keep their defaults."""
    inputs = node.INPUT_TYPES()
    if values.get(loop_graph.PREVIOUS) is not None:  # what a round gave back is told of with all of the loop
        inputs["required"].pop("image")
    for group in ("required", "optional", "hidden"):
        for name, declared in inputs.get(group, {}).items():
            kind, options = declared if isinstance(declared, tuple) else (declared, {})
            value = values.get(name)
            unlinked = value is None and group != "required" and "default" not in options  # a socket, no widget
            if name not in values or options.get("rawLink") or unlinked:
                continue
            problem = find_problem(kind, options, value)
            if problem:
                raise InputError(f"{node.DISPLAY_NAME}: the input {name!r} {problem}")


def find_problem(kind: Any, options: Options, value: Any) -> str:
    """Return what is wrong with a value of an input, "" where nothing is."""
    if isinstance(kind, list):
        return "" if value in kind else f"takes one of its list, got {reprlib.repr(value)}"
    if kind in CLASSES:
        known, source = CLASSES[kind]
        return "" if isinstance(value, known) else f"takes what {source} gives, got {describe(value)}"
    check = CHECKS.get(kind)
    return check(value, options) if check else ""


def check_number(value: Any, options: Options) -> str:
    """Check a number, or a list with one for each picture, against the range that the page offers."""
    if isinstance(value, list) and value:
        return next(filter(None, (check_number(one, options) for one in value)), "")
    endless = isinstance(value, float) and not math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or endless:
        return f"takes a number, got {describe(value)}"
    low, high = options.get("min", -math.inf), options.get("max", math.inf)
    return "" if low <= value <= high else f"takes a number in {low:g}..{high:g}, got {reprlib.repr(value)}"


def check_integer(value: Any, options: Options) -> str:
    return check_number(value, options) if isinstance(value, int) else f"takes a whole number, got {describe(value)}"


def check_boolean(value: Any, options: Options) -> str:
    return "" if isinstance(value, bool) else f"takes true or false, got {describe(value)}"


def check_text(value: Any, options: Options) -> str:
    if not isinstance(value, str):
        return f"takes a text, got {describe(value)}"
    if "\0" in value:
        return "holds a NUL character; remove it"
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        return "holds half of a character (a lone surrogate), which no file can keep; remove it"
    if len(value) > MAX_TEXT and not options.get("forceInput"):
        return f"takes up to {MAX_TEXT} characters, got {len(value)}"
    return ""


def check_picture(value: Any, options: Options) -> str:
    problem = check_tensor(value, "[B, H, W, 3 or 4]", (4,))
    if problem or value.shape[-1] in (3, 4):
        return problem
    return f"takes pictures [B, H, W, 3 or 4], got {list(value.shape)}"


def check_mask(value: Any, options: Options) -> str:
    return check_tensor(value, "[B, H, W]", (2, 3))


def check_map(value: Any, options: Options) -> str:
    return check_tensor(value, "[B, H, W] or [B, H, W, 3]", (2, 3, 4))


def check_latent(value: Any, options: Options) -> str:
    if not isinstance(value, dict) or "samples" not in value:
        return f"takes a latent, got {describe(value)}"
    return check_tensor(value["samples"], "[B, C, h, w]", (3, 4, 5))


def check_conditioning(value: Any, options: Options) -> str:
    if not isinstance(value, list) or not value:
        return f"takes a conditioning, got {describe(value)}"
    for entry in value:
        if not isinstance(entry, (list, tuple)) or len(entry) != 2 or not isinstance(entry[1], dict):
            return f"takes a conditioning, got {describe(value)}"
    return next(filter(None, (check_tensor(entry[0], "[B, tokens, width]", (2, 3)) for entry in value)), "")


def check_tensor(value: Any, layout: str, ranks: tuple[int, ...]) -> str:
    """Return what is wrong with a tensor of one of so many dimensions: its kind, its shape, or values in it."""
    if not isinstance(value, Tensor):
        return f"takes {layout}, got {describe(value)}"
    if value.ndim not in ranks or not value.numel():
        return f"takes {layout}, not empty, got {list(value.shape)}"
    if not value.is_floating_point():
        return f"takes floating point values, got {value.dtype}"
    return "" if torch.stack(value.aminmax()).isfinite().all() else "holds values that are not finite (nan or inf)"


def describe(value: Any) -> str:
    """Return a value that everybody can read, of other types their name."""
    plain = value is None or isinstance(value, (bool, int, float, str))
    return reprlib.repr(value) if plain else f"a value of the type {type(value).__name__}"


CHECKS: dict[str, Callable[[Any, Options], str]] = {
    "INT": check_integer,
    "FLOAT": check_number,
    "BOOLEAN": check_boolean,
    "STRING": check_text,
    "IMAGE": check_picture,
    "MASK": check_mask,
    "MASK,IMAGE": check_map,
    "LATENT": check_latent,
    "CONDITIONING": check_conditioning,
}
"""By type of input; a check returns what is wrong, in words that follow the input's name."""
