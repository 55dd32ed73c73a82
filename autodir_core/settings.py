"""How a restoration runs: frozen settings whose defaults are the paper's way, and named presets of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .choices import CROPS, ORDERS, PRESETS, SAMPLERS
from .errors import InputError
from .labels import check_list

GUIDANCE_RANGE = 0.0, 20.0
SCM_WEIGHT_RANGE = 0.0, 2.0
"""What commands and nodes offer; Python takes any number."""


@dataclass(frozen=True)
class SamplerSettings:
    """How the latent diffusion runs; the defaults are the paper's.

    Args:
        steps: network evaluations per round, 1 or more; the official script defaults to 100, its README uses 200.
        sampler: one of `choices.SAMPLERS`; the official one is "euler_ancestral".
        text_guidance: strength of the text condition; 1 is no extrapolation.
        image_guidance: strength of the image condition; 1 is no extrapolation.
        negative_prompt: what the result is led away from, in the place of the null prompt; it counts only in the
            branches that other guidance than 1 adds, so InputError where both are 1.
    """

    steps: int = 100
    sampler: str = "euler_ancestral"
    text_guidance: float = 1.0
    image_guidance: float = 1.0
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"steps must be 1 or more, got {self.steps}")
        SAMPLERS.check(self.sampler)
        if self.negative_prompt.strip() and self.text_guidance == self.image_guidance == 1:
            raise InputError(
                f"a negative prompt counts with guidance other than 1 only, got {self.negative_prompt!r} with text and "
                "image guidance 1; raise text_guidance, to 3 for example"
            )


@dataclass(frozen=True)
class LoopSettings:
    """How the rounds of a restoration go; the defaults are the paper's.

    Args:
        max_rounds: rounds at most, 1 or more; the official loop stops after 7.
        labels: the labels to look for; None means all labels of the file.
        prompt: a custom prompt instead of the assessment: one round, no label.
        scm_weight: strength of the structure correction; None means the file's table, a number holds for every label,
            a mapping overrides the table for the labels it names.
        crops: one of `choices.CROPS`, what part of a picture is assessed; the official one is "center".
        min_confidence: 0..1, how probable a degradation must be to be restored; a picture whose most probable one is
            less so is finished. 0 restores whatever wins, as the paper does.
        round_height: pixels that the pictures of finished rounds are scaled to in the result, so that those of a large
            one take no memory; None keeps them as they are. `on_round` gets them in full size.
        reduced_labels: labels whose damage has low frequencies only: they are restored on a copy of one megapixel, and
            pictures of more than two are changed as the copy was. The paper's way is none.
        gate: accept a round only where the damage went and the content stayed (`quality_gate`), so that the result is
            never worse than the input for all that can be told; the paper's way has none.
        strength: 0..1, the part of the whole change that the result has; rounds, and what a gate decides on them, are
            those of the full change.
        local: whether a round is kept to where its damage is (`AutoDIR.locate`), and all else stays bit for bit.
        candidates: how many times each round is tried, each with noise of its own; the gate, which it needs, takes the
            best. A round takes as many times as long.
        order: one of `choices.ORDERS`, which of several probable degradations is restored first.
    """

    max_rounds: int = 7
    labels: Sequence[str] | None = None
    prompt: str | None = None
    scm_weight: float | Mapping[str, float] | None = None
    crops: str = "center"
    min_confidence: float = 0.0
    round_height: int | None = None
    reduced_labels: Sequence[str] = ()
    gate: bool = False
    strength: float = 1.0
    order: str = "probability"
    local: bool = False
    candidates: int = 1

    def __post_init__(self) -> None:
        if self.max_rounds < 1:
            raise InputError(f"max_rounds must be 1 or more, got {self.max_rounds}")
        if self.labels is not None:
            check_list(self.labels)
        if self.round_height is not None and self.round_height < 1:
            raise InputError(f"round_height must be 1 or more, got {self.round_height}")
        CROPS.check(self.crops)
        ORDERS.check(self.order)
        if self.candidates < 1:
            raise InputError(f"candidates must be 1 or more, got {self.candidates}")
        if self.candidates > 1 and not self.gate:
            advice = "turn it on (gate, --gate), or ask for 1"
            raise InputError(f"{self.candidates} candidates need the gate, which takes the best; {advice}")
        check_confidence(self.min_confidence)
        if not 0 <= self.strength <= 1:
            raise InputError(f"strength must be in 0..1, got {self.strength}")


Settings = TypeVar("Settings", SamplerSettings, LoopSettings)


def settings_or_default(given: Settings | None, kind: type[Settings], parameter: str) -> Settings:
    """Return the settings, the paper's way for None; InputError for anything else, which names the right class."""
    if given is None:
        return kind()
    if not isinstance(given, kind):
        example = 'sampler="euler"' if kind is SamplerSettings else "max_rounds=3"
        raise InputError(f"{parameter} takes settings such as {kind.__name__}({example}), got {given!r}")
    return given


def check_confidence(min_confidence: float) -> float:
    """Return `min_confidence`; InputError unless it is a probability, 0..1."""
    if not 0 <= min_confidence <= 1:
        raise InputError(f"min_confidence must be in 0..1, got {min_confidence}")
    return min_confidence


LOW_FREQUENCY_LABELS = ("underexposure",)
"""Labels that lose nothing on a reduced copy; haze, which follows the edges of depth, lost up to 0.8 dB."""


def preset(name: str) -> tuple[LoopSettings, SamplerSettings]:
    """Return the settings of one of `choices.PRESETS`; InputError for another name."""
    return {
        "paper": (LoopSettings(), SamplerSettings()),
        "best": (LoopSettings(reduced_labels=LOW_FREQUENCY_LABELS, gate=True), SamplerSettings(steps=12)),
        "fast": (LoopSettings(reduced_labels=LOW_FREQUENCY_LABELS, gate=True), SamplerSettings(steps=4)),
    }[PRESETS.check(name)]
