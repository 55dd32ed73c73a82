"""Tables of what can be chosen by name, read by Python, the commands and the nodes; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Generic, TypeVar

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


@dataclass(frozen=True)
class Degradation(Choice):
    """One row of `DEGRADATIONS`: a family of unlike ways to damage a picture that share a label.

    Args:
        function: of the kind `STANDARD`, the recipe of version 0.1.0, the same bits ever since.
        summary: of the label.
        kinds: the others of the family, unlike each other.
    """

    kinds: Mapping[str, Choice] = field(default_factory=dict[str, Choice])


Row = TypeVar("Row", bound=Choice)


class Choices(Mapping[str, Row], Generic[Row]):
    """The rows of one table by name, the default first; `what` names a row in errors."""

    def __init__(self, what: str, rows: Mapping[str, Row], former: Mapping[str, str] | None = None) -> None:
        """Check the rows; `former` maps names of earlier versions to those of today."""
        for name, row in rows.items():
            if row.function and len(row.function.split(":")) != 2:
                raise ValueError(f"{what} {name!r} needs a function written module:function, got {row.function!r}")
        self.what = what
        self.rows = dict(rows)
        self.former = dict(former or {})

    def __getitem__(self, name: str) -> Row:
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
        """Return the function of a row, imported now; InputError for an unknown name."""
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

STANDARD = "standard"
"""The kind of every label that version 0.1.0 knew."""
ANY_KIND = "any"
"""Stands for a kind that the seed draws from the label's family."""

DEGRADATIONS = Choices(
    "degradation",
    {
        "haze": Degradation(
            "degrade.haze:haze",
            "fog that thickens with distance",
            {
                "homogeneous": Choice("degrade.haze:homogeneous", "the same everywhere"),
                "horizon": Choice("degrade.haze:horizon", "thickens row by row up to a horizon"),
                "planes": Choice("degrade.haze:planes", "each surface at its own distance"),
                "luminance": Choice("degrade.haze:luminance", "what is bright counts as far"),
                "colored": Choice("degrade.haze:colored", "blue mist, brown smoke or dust"),
                "patchy": Choice("degrade.haze:patchy", "banks and wisps of fog"),
                "smoke": Choice("degrade.haze:smoke", "puffs of smoke or steam that blur the picture"),
                "scattering": Choice("degrade.haze:scattering", "dense fog that blurs the distance, lights glow"),
                "veil": Choice("degrade.haze:veil", "pale, with low contrast and saturation"),
            },
        ),
        "rain": Degradation(
            "degrade.rain:rain",
            "streaks over a light veil",
            {
                "thin": Choice("degrade.rain:thin", "fine translucent streaks at one angle"),
                "dense": Choice("degrade.rain:dense", "opaque white strokes close to each other"),
                "long": Choice("degrade.rain:long_streaks", "few long streaks"),
                "thick": Choice("degrade.rain:thick", "short wide drops near the camera, out of focus"),
                "crossed": Choice("degrade.rain:crossed", "gusts: streaks at several angles"),
                "mist": Choice("degrade.rain:mist", "a downpour whose far drops merge into mist"),
                "refracting": Choice("degrade.rain:refracting", "streaks that smear what lies behind them"),
                "overcast": Choice("degrade.rain:overcast", "even gray strokes under a dark sky"),
                "flash": Choice("degrade.rain:flash", "near drops frozen by a flash: short, wide, bright strokes"),
            },
        ),
        "raindrop": Degradation(
            "degrade.raindrops:raindrop",
            "drops on the glass in front of the lens",
            {
                "soft": Choice("degrade.raindrops:soft", "blurred discs of drops out of focus"),
                "defocused": Choice("degrade.raindrops:defocused", "refracting drops a little out of focus"),
                "droplets": Choice("degrade.raindrops:droplets", "dense fine droplets"),
                "running": Choice("degrade.raindrops:running", "drops that run down and leave trails"),
                "film": Choice("degrade.raindrops:film", "a film of water, blurred and wavy in patches"),
                "irregular": Choice("degrade.raindrops:irregular", "splashes and pools of any outline"),
                "dirty": Choice("degrade.raindrops:dirty", "splashes of milky or muddy water"),
                "mixed": Choice("degrade.raindrops:mixed", "large drops out of focus among small sharp ones"),
            },
        ),
        "blur": Degradation(
            "degrade.blur:blur",
            "out of focus or moving",
            {
                "gaussian": Choice("degrade.blur:gaussian", "a Gaussian, round or elongated"),
                "defocus": Choice("degrade.blur:defocus", "an aperture of blades, highlights show its form"),
                "motion": Choice("degrade.blur:motion", "a straight motion"),
                "camera shake": Choice("degrade.blur:camera_shake", "a random path of the hand, with pauses"),
                "rotation": Choice("degrade.blur:rotation", "turned around a point during the exposure"),
                "zoom": Choice("degrade.blur:zoom", "moved toward a point during the exposure"),
                "moving object": Choice("degrade.blur:moving_object", "one part moves, the rest is sharp"),
                "uneven": Choice("degrade.blur:uneven", "a tilted plane of focus"),
                "sharpened": Choice("degrade.blur:sharpened", "blur, and halos of sharpening after it"),
            },
        ),
        "underexposure": Degradation(
            "degrade.underexposure:underexposure",
            "too dark, with a color cast and a little noise",
            {
                "exposure": Choice("degrade.underexposure:exposure", "fewer stops of light"),
                "gamma": Choice("degrade.underexposure:gamma", "dark middle tones"),
                "crushed": Choice("degrade.underexposure:crushed", "an S-curve that crushes the shadows"),
                "black level": Choice("degrade.underexposure:black_level", "black subtracted, shadows clipped"),
                "vignette": Choice("degrade.underexposure:vignetted", "dark, and darker toward the borders"),
                "backlit": Choice("degrade.underexposure:backlit", "exposed for one bright part"),
                "low light": Choice("degrade.underexposure:low_light", "dark with a cast and a lifted noise floor"),
            },
        ),
        "noise": Degradation(
            "degrade.noise:noise",
            "read and shot noise of a sensor",
            {
                "gaussian": Choice("degrade.noise:gaussian", "white, the same everywhere"),
                "poisson": Choice("degrade.noise:poisson", "few photons"),
                "demosaiced": Choice("degrade.noise:demosaiced", "a raw sensor's, spread by demosaicing"),
                "chroma": Choice("degrade.noise:chroma", "in color, fine or in blotches"),
                "luminance": Choice("degrade.noise:luminance", "in brightness, without color"),
                "smoothed": Choice("degrade.noise:smoothed", "what a phone's noise reduction left"),
                "film grain": Choice("degrade.noise:film_grain", "clumped grain, most in the middle tones"),
                "impulse": Choice("degrade.noise:impulse", "salt and pepper, hot pixels"),
                "banding": Choice("degrade.noise:banding", "rows of a sensor read at high gain"),
                "speckle": Choice("degrade.noise:speckle", "multiplies the brightness"),
            },
        ),
        "low resolution": Degradation(
            "degrade.resolution:low_resolution",
            "reduced and enlarged again",
            {
                "bicubic": Choice("degrade.resolution:bicubic", "by Keys' cubic both ways, as test sets are made"),
                "pixelated": Choice("degrade.resolution:pixelated", "enlarged without interpolation: blocks"),
                "aliased": Choice("degrade.resolution:aliased", "pixels left out: jagged edges, moiré"),
                "noisy": Choice("degrade.resolution:noisy", "noise before it is enlarged"),
                "compressed": Choice("degrade.resolution:compressed", "JPEG before it is enlarged"),
                "anisotropic": Choice("degrade.resolution:anisotropic", "other factors along x and y, as in video"),
                "second order": Choice("degrade.resolution:second_order", "blurred, reduced, noisy, compressed, twice"),
                "sharpened": Choice("degrade.resolution:sharpened", "halos of sharpening after it is enlarged"),
            },
        ),
        "jpeg artifact": Degradation(
            "degrade.compression:jpeg",
            "blocks and ripples of strong compression",
            {
                "double": Choice("degrade.compression:double", "compressed at two qualities"),
                "shifted": Choice("degrade.compression:shifted", "cropped between two compressions: two grids"),
                "enlarged": Choice("degrade.compression:enlarged", "compressed small, so that blocks are large"),
            },
        ),
    },
)
"""In the order of image formation, from the scene over lens and sensor to the file, in which several are applied.

A function takes an image [3, H, W] in 0..1 of at least 8 pixels a side, a `Draw` and `severity=` 0..1, perhaps also
`depth=` ([H, W], 0 near .. 1 far, or None), and returns the degraded image, which is clamped afterwards.
"""


def list_kinds(label: str) -> Choices[Choice]:
    """Return the kinds of a degradation, `STANDARD` first; InputError for an unknown label."""
    row = DEGRADATIONS[DEGRADATIONS.check(label)]
    return Choices(f"kind of {label}", {STANDARD: row, **row.kinds})


def describe_kinds() -> str:
    """Return the names of every label's kinds, for help texts and tooltips."""
    return "; ".join(f"{label}: {', '.join(row.kinds)}" for label, row in DEGRADATIONS.items() if row.kinds)


DEGRADERS = Choices(
    "degrader",
    {
        STANDARD: Choice("", "the standard kind of each label, as the tables of version 0.1.0"),
        "families": Choice("", "a kind drawn from each label's family"),
        "albumentations": Choice("", "the library's transforms, which nothing here was trained on or made after"),
    },
)
"""What degrades the clean photos of an evaluation."""

CROPS = Choices(
    "crops",
    {
        "center": Choice("", "the central crop, the paper's way"),
        "grid": Choice(
            "", "up to 9 crops from border to border, in large pictures up to 49, their probabilities averaged"
        ),
    },
    former={"centre": "center"},
)

ORDERS = Choices(
    "order",
    {
        "probability": Choice("", "the most probable degradation first, the paper's way"),
        "physical": Choice("", "of nearly as probable ones the one that came last into the picture first"),
    },
)

PRECISIONS = Choices(
    "precision",
    {
        "float32": Choice("", "exact, the natural one of a CPU"),
        "float16": Choice("", "half the memory, the natural one of a CUDA GPU"),
        "bfloat16": Choice("", "half the memory, wider range, less exact"),
    },
)

STORED_PRECISIONS = Choices(
    "precision",
    {
        "float16": Choice("", "the correction stays bfloat16"),
        "float8": Choice(
            "", "two thirds of float16's size: 8 bits for large weights of UNet, correction and text tower"
        ),
        "bfloat16": Choice("", "as large as float16, less exact"),
        "float32": Choice("", "exact"),
    },
)

PRESETS = Choices(
    "preset",
    {
        "best": Choice("", "12 ancestral steps per round; darkness of large pictures on a reduced copy"),
        "fast": Choice("", "the same with 4 steps"),
        "paper": Choice("", "the official way: 100 ancestral steps per round, everything in full size"),
    },
)

LANGUAGES = Choices("language", {"en": Choice("", "English"), "zh": Choice("", "Chinese, 中文")})
