"""The degradations AutoDIR knows and the sentence that asks CLIP about each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .errors import InputError

LABELS = ("noise", "blur", "rain", "underexposure", "haze", "low resolution", "raindrop", "no")
"""The official labels in the official order, which is the order of the softmax."""

CLEAN = "no"
"""The label that says nothing is left to restore."""


def parse_labels(text: str) -> list[str]:
    """Split a text at commas and line ends into label names."""
    return [name.strip() for name in re.split(r"[,\n]", text) if name.strip()]


def prompt_for(label: str) -> str:
    """Return the sentence whose CLIP similarity to a picture scores `label` (official `BIQA` template)."""
    return f"A photo needs {label} artifact reduction"


def damage_probability(probabilities: Mapping[str, float], label: str) -> float:
    """Return how probable a damage is, 0..1, where the question is whether it is there or none is.

    Several damages share what the assessment gives to them together; each is as sure by this measure as it is alone.
    1 where "no" was not asked about.
    """
    here, none = probabilities[label], probabilities.get(CLEAN, 0.0)
    return here / (here + none) if here > 0 else 0.0


def check_list(labels: Sequence[str]) -> Sequence[str]:
    """Return `labels`; InputError for one text, which is a sequence of letters."""
    if isinstance(labels, str):
        raise InputError(f"labels must be a list of names, got the text {labels!r}; write [{labels!r}]")
    return labels


def known_name(name: str, known: Sequence[str]) -> str:
    """Return `name`, or the known name that it is in another case, or with underscores, which shells like better."""
    alike = {one.casefold(): one for one in known}
    return name if name in known else alike.get(name.replace("_", " ").casefold(), name)


def check_labels(labels: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the known names of `labels`, each once; InputError for an empty list or a label outside `known`."""
    names = [known_name(label, known) for label in check_list(labels)]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"unknown label {unknown[0]!r}; this model knows: {', '.join(known)}")
    if not labels:
        raise InputError(f"no labels were given; choose among: {', '.join(known)}")
    return tuple(dict.fromkeys(names))
