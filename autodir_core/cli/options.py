"""Options that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..choices import CROPS, PRECISIONS, PRESETS
from ..errors import CheckpointError, InputError
from ..imaging.paths import FORMATS
from ..labels import check_labels, known_name
from ..tiling.sizes import MIN_TILE_SIZE

if TYPE_CHECKING:
    from ..model import AutoDIR

SUFFIXES = ", ".join(FORMATS)
MAX_SEED = 2**64 - 1
DEPTHS = (8, 16)
"""Bits a channel that results have."""


def add_renamed(parser: argparse._ActionsContainer, name: str, *former: str, **options: Any) -> None:
    """Add the option `name`; its `former` names work, in full, until version 1.0 and are not in the help."""
    dest = parser.add_argument(name, **options).dest
    hidden: dict[str, Any] = {"dest": dest, "help": argparse.SUPPRESS, "default": argparse.SUPPRESS}
    parser.add_argument(*former, **(options | hidden))


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the weights, the device and the precision."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="FILE", help="weights, .safetensors or .ckpt (default: the embedded model)")
    group.add_argument("--device", help="such as cuda, cuda:1, mps or cpu (default: the best there is)")
    group.add_argument(
        "--precision",
        choices=tuple(PRECISIONS),
        help="of the weights in memory (default: float16 on CUDA, else float32)",
    )
    group.add_argument(
        "--offload",
        action=argparse.BooleanOptionalAction,
        help="keep in a GPU's memory only the network in use: slower, and the same picture with less of that memory "
        "(default: where it does not hold them all)",
    )
    graph = "replay the diffusion's kernels on an NVIDIA GPU from a recording: faster for small pictures, more memory"
    group.add_argument("--cuda-graph", action="store_true", help=graph)


def load_model(arguments: argparse.Namespace) -> AutoDIR:
    """Load the model that the options of `add_model_options` name."""
    from ..model import load_autodir

    place = {"offload": arguments.offload, "cuda_graph": arguments.cuda_graph}
    return load_autodir(arguments.model, arguments.device, arguments.precision, **place)


def check_weights(arguments: argparse.Namespace) -> None:
    """CheckpointError for weights that are no model, InputError for labels that it does not know; reads no values."""
    from ..checkpoint.inspection import inspect
    from ..model import MINI

    found = inspect(arguments.model or MINI)
    if found.problem:
        raise CheckpointError(found.problem)
    chosen_labels(arguments, found.metadata.labels)


def chosen_labels(arguments: argparse.Namespace, known: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of `--labels`, or all that a model has; InputError for one that it does not know."""
    given = known if arguments.labels is None else arguments.labels
    return check_labels(given, known)


def add_output_options(parser: argparse.ArgumentParser, marker: str) -> None:
    """Add the output, and what happens to results that exist."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help=f"a file ({SUFFIXES}) for one picture, else a folder, created if missing, for NAME_{marker}.SUFFIX",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace existing results (default: refuse them; in a folder skip them, so that a run can be continued)",
    )


def add_tile_size(parser: argparse.ArgumentParser) -> None:
    """Add the option of the tiles that large pictures are processed in."""
    add_renamed(
        parser,
        "--tile-size",
        "--tile",
        type=at_least(MIN_TILE_SIZE),
        metavar="PIXELS",
        help="side of the overlapping tiles in which larger pictures are processed; smaller ones take less memory "
        "(default: a picture of up to a megapixel whole, larger ones in tiles that fit into the free memory)",
    )


def add_preset(parser: argparse._ActionsContainer) -> None:
    """Add the preset and the steps that change it."""
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default=PRESETS.default,
        help=f"how a round is restored, {PRESETS.describe()}; the other options of this group change it "
        "(default: %(default)s)",
    )
    parser.add_argument("--steps", type=at_least(1), help="network evaluations per round (default: the preset's)")


def add_crops(parser: argparse._ActionsContainer, name: str = "--crops") -> None:
    """Add the option of the part of a picture that is assessed, under `name`."""
    add_renamed(
        parser,
        name,
        "--view",
        type=lambda text: CROPS.former.get(text, text),
        choices=list(CROPS),
        default=CROPS.default,
        help=f"what is assessed, at native resolution, 224 pixels a side officially; {CROPS.describe()} "
        "(default: %(default)s)",
    )


def add_min_confidence(parser: argparse._ActionsContainer) -> None:
    """Add the option of how probable a degradation must be to be restored."""
    add_renamed(
        parser,
        "--min-confidence",
        "--threshold",
        type=between(0, 1),
        default=0.0,
        help="how probable a degradation must be to be restored, 0..1; else the rounds end (default: %(default)g). The "
        "gate asks for more, by label, where the weights file says so and --labels does not leave out no",
    )


def add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors (default: lines and bars)")


def finite(text: str) -> float:
    """Parse a number that is not inf or nan."""
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def between(low: float, high: float) -> Callable[[str], float]:
    """Return the type of numbers from `low` to `high`."""

    def parse(text: str) -> float:
        value = finite(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not in {low:g}..{high:g}")
        return value

    return parse


def at_least(low: int) -> Callable[[str], int]:
    """Return the type of whole numbers from `low` on."""

    def parse(text: str) -> int:
        if not text.strip().isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {low}")
        return int(text)

    return parse


def seed(text: str) -> int:
    """Parse a seed, a whole number of 64 bits."""
    value = at_least(0)(text)
    if value > MAX_SEED:
        raise argparse.ArgumentTypeError(f"{text} is above {MAX_SEED}, the largest seed")
    return value


def names(text: str) -> tuple[str, ...]:
    """Parse names between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def check_names(given: Sequence[str], known: Sequence[str], option: str) -> tuple[str, ...]:
    """Return the names, each once; InputError when there are none, or one outside `known`."""
    found = dict.fromkeys(known_name(name, known) for name in given)
    unknown = [name for name in found if name not in known]
    if unknown or not found:
        got = f"got {unknown[0]!r}" if unknown else "got none"
        raise InputError(f"{option} takes names between commas out of: {', '.join(known)}; {got}")
    return tuple(found)
