"""What can be chosen by name: one row each, read by Python, the command line and the nodes; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from .errors import InputError


@dataclass(frozen=True)
class Choice:
    """One row of a table.

    Args:
        function: what implements it, as "module:function" inside this package; "" where the name alone is the choice.
        summary: what a user reads about it, in help texts and tooltips.
    """

    function: str
    summary: str


class Choices(Mapping[str, Choice]):
    """The rows of one table by name, the default first; `what` names a row in errors."""

    def __init__(self, what: str, rows: Mapping[str, Choice], former: Mapping[str, str] | None = None) -> None:
        """Check the rows; `former` maps names of earlier versions to those of today."""
        for name, row in rows.items():
            if row.function and len(row.function.split(":")) != 2:
                raise ValueError(f"{what} {name!r} needs a function written module:function, got {row.function!r}")
        self.what = what
        self.rows = dict(rows)
        self.former = dict(former or {})

    def __getitem__(self, name: str) -> Choice:
        return self.rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def default(self) -> str:
        """The name of the first row."""
        return next(iter(self.rows))

    def check(self, name: str) -> str:
        """Return the row's name of today; InputError unless there is such a row."""
        if name not in (*self.rows, *self.former):
            raise InputError(f"unknown {self.what} {name!r}; choose among: {', '.join(self.rows)}")
        return self.former.get(name, name)

    def load(self, name: str) -> Callable[..., Any]:
        """The function of a row, imported now; InputError for an unknown name."""
        module, _, function = self.rows[self.check(name)].function.partition(":")
        return getattr(import_module(f".{module}", __package__), function)

    def describe(self) -> str:
        """Return every name with its summary, for help texts and tooltips."""
        return "; ".join(f"{name}: {row.summary}" for name, row in self.rows.items())


SAMPLERS = Choices(
    "sampler",
    {
        "euler_ancestral": Choice("diffusion.samplers:euler_ancestral", "the official one, draws noise at every step"),
        "euler": Choice("diffusion.samplers:euler", "deterministic steps of the first order"),
        "dpmpp_2m": Choice("diffusion.samplers:dpmpp_2m", "deterministic, second order: good with few steps"),
    },
)

COLOR_METHODS = Choices(
    "color method",
    {
        "adain": Choice("imaging.color:adain", "matches mean and spread of each color channel"),
        "wavelet": Choice("imaging.color:wavelet", "takes the low frequencies of a reference of the same content"),
    },
)

DEGRADATIONS = Choices(
    "degradation",
    {
        "haze": Choice("degrade.weather:haze", "fog that thickens with distance"),
        "rain": Choice("degrade.weather:rain", "streaks over a light veil"),
        "raindrop": Choice("degrade.raindrops:raindrop", "drops on the glass in front of the lens"),
        "blur": Choice("degrade.optics:blur", "out of focus or moving"),
        "underexposure": Choice("degrade.sensor:underexposure", "too dark, with a color cast and a little noise"),
        "noise": Choice("degrade.sensor:noise", "read and shot noise of a sensor"),
        "low resolution": Choice("degrade.resolution:low_resolution", "reduced and enlarged again"),
        "jpeg artifact": Choice("degrade.compression:jpeg", "blocks and ripples of strong compression"),
    },
)
"""In the order of image formation, from the scene over lens and sensor to the file, in which several are applied.

A function takes an image [3, H, W] in 0..1 of at least 8 pixels a side, a `Draw` and `severity=` 0..1, perhaps also
`depth=` ([H, W], 0 near .. 1 far, or None), and returns the degraded image, which is clamped afterwards.
"""

CROPS = Choices(
    "crops",
    {
        "center": Choice("", "the central crop, the paper's way"),
        "grid": Choice("", "up to 9 crops from border to border, their probabilities averaged"),
    },
    former={"centre": "center"},
)

PRECISIONS = Choices(
    "precision",
    {
        "float32": Choice("", "exact, the natural one of a CPU"),
        "float16": Choice("", "half the memory, the natural one of a CUDA GPU"),
        "bfloat16": Choice("", "half the memory, wider range, less exact"),
    },
)

PRESETS = Choices(
    "preset",
    {
        "paper": Choice("", "the official way: 100 ancestral steps per round"),
        "best": Choice("", "what has proved best on our own tables; so far that is the paper's way"),
        "fast": Choice("", "10 steps of the second order per round, for a quick look"),
    },
)
