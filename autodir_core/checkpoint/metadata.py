"""What the shapes of a weights file cannot tell: the official values, overridden by the file's own metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from ..errors import CheckpointError, InputError
from ..labels import LABELS
from ..serialization.typed_reader import read_dataclass

METADATA_KEY = "autodir"
"""The safetensors metadata entry whose JSON overrides `ModelMetadata`."""

MAX_DIVISOR = 1024
"""The largest number of heads or groups that is taken seriously."""

MAX_LATENT_SCALE = 1e4
"""Latents differ from unit variance by no more than this factor, either way."""

MAX_SCM_WEIGHT = 2.0
"""The strongest structure correction: twice the residual, as the nodes allow."""


@dataclass(frozen=True)
class GateThresholds:
    """What a round under one label must reach to be accepted (`quality_gate`).

    Attributes:
        min_confidence: least probability of the label against "no", 0..1 (`labels.damage_probability`), for a round to
            begin at all.
        min_probability: least probability of the label among all that are asked about for that, 0..1; damages share it.
        min_removed: least part of that probability that must be gone after it, 0..1.
        min_edges: least correlation of the edges before and after, -1..1.
        max_shift: greatest change of the light at large, RMS in 0..1; where the damage is one of light, beyond one
            change of brightness and contrast per channel.
        max_strength: part of the round's change that is tried first, 0..1: below 1 where the networks overdo it.
    """

    min_confidence: float = 0.0
    min_probability: float = 0.0
    min_removed: float = 0.0
    min_edges: float = 0.5
    max_shift: float = 0.15
    max_strength: float = 1.0

    def __post_init__(self) -> None:
        for name in (one.name for one in fields(self)):
            low = -1 if name == "min_edges" else 0
            if not low <= getattr(self, name) <= 1:
                raise InputError(f"{name} of the gate must be in {low}..1, got {getattr(self, name)}")


@dataclass(frozen=True)
class ModelMetadata:
    """What shapes cannot tell, with the official values as defaults.

    Attributes:
        unet_heads, text_heads, vision_heads: attention heads per network, 1..1024; they divide its widths.
        norm_groups: groups of the group norms of UNet and VAE, 1..1024; they divide all widths.
        latent_scale: what brings latents to unit variance, 0.0001..10000.
        labels: names of the degradations in the order of the softmax, each once; without "no" the loop ends only when
            its rounds or its labels are used up.
        scm_weight: strength of the structure correction by label, 0..2; 1 where a label is not named. It may name
            labels that the model lacks.
        gate: by label what its rounds must reach, where a gate is asked for; the defaults where a label is not named.
        name, provenance, licence: of the weights, free text.

    Raises InputError for values outside these ranges.
    """

    unet_heads: int = 8
    text_heads: int = 12
    vision_heads: int = 16
    norm_groups: int = 32
    latent_scale: float = 0.18215
    labels: tuple[str, ...] = LABELS
    scm_weight: Mapping[str, float] = field(default_factory=lambda: {"low resolution": 0.0})
    gate: Mapping[str, GateThresholds] = field(default_factory=dict[str, GateThresholds])
    name: str = ""
    provenance: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        for name in ("unet_heads", "text_heads", "vision_heads", "norm_groups"):
            if not 1 <= getattr(self, name) <= MAX_DIVISOR:
                raise InputError(f"{name} must be in 1..{MAX_DIVISOR}, got {getattr(self, name)!r:.20}")
        if not 1 / MAX_LATENT_SCALE <= self.latent_scale <= MAX_LATENT_SCALE:
            raise InputError(
                f"latent_scale must be in {1 / MAX_LATENT_SCALE:g}..{MAX_LATENT_SCALE:g}, got {self.latent_scale}"
            )
        _check_label_names(self.labels)
        for label, weight in self.scm_weight.items():
            if not 0 <= weight <= MAX_SCM_WEIGHT:
                raise InputError(f"scm_weight of {label!r} must be in 0..{MAX_SCM_WEIGHT:g}, got {weight}")

    @classmethod
    def from_header(cls, header: Mapping[str, str]) -> ModelMetadata:
        """Read the metadata out of a safetensors header; CheckpointError where its entry does not fit."""
        try:
            return read_dataclass(cls, json.loads(header.get(METADATA_KEY, "{}")))
        except (ValueError, RecursionError) as error:  # InputError and JSONDecodeError are ValueErrors
            raise CheckpointError(f"the metadata entry {METADATA_KEY!r} of the file is not usable: {error}") from error

    def to_header(self) -> dict[str, str]:
        """Return the metadata as the entry of a safetensors header."""
        return {METADATA_KEY: json.dumps(asdict(self), ensure_ascii=False)}


def _check_label_names(labels: tuple[str, ...]) -> None:
    """InputError unless there are labels, each is named once, and each can be written on a command line."""
    if not labels:
        raise InputError("labels must name at least one degradation")
    for label in labels:
        if not label or label != label.strip() or "," in label or not label.isprintable():
            raise InputError(f"a label is a text without commas, line breaks and surrounding spaces, got {label!r}")
        if labels.count(label) > 1:
            raise InputError(f"labels must differ, {label!r} is there twice")
