"""Measure recognition and restoration on clean photos degraded here, on pairs, or on unpaired photos."""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path

from autodir_core.choices import DEGRADERS, ORDERS
from autodir_core.cli import options
from autodir_core.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sources(parser)
    output = (
        "gets evaluation.md, .csv and .json, report.html, worst.png and every result as it is measured: run the "
        "same command again to resume (default: print the tables)"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", help=output)
    options.add_model_options(parser)
    add_protocol(parser.add_argument_group("protocol"))
    add_metrics(parser.add_argument_group("comparison"))
    options.add_quiet(parser)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the pictures."""
    photos = "clean photos, to be degraded (default: eight that come with Python packages)"
    parser.add_argument("photos", nargs="?", type=Path, metavar="FOLDER", help=photos)
    pairs = (
        "instead: folders of degraded pictures and references of the same names; sub-folders named like labels "
        "are evaluated by label; may be repeated"
    )
    names = ("DEGRADED", "REFERENCE")
    parser.add_argument("--pairs", nargs=2, type=Path, action="append", default=[], metavar=names, help=pairs)
    label = "of the pairs, once for each --pairs (default: unknown)"
    parser.add_argument("--label", action="append", default=[], help=label)
    unpaired = "instead: photos without references (default: none)"
    options.add_renamed(parser, "--unpaired", "--no-truth", type=Path, metavar="FOLDER", help=unpaired)


def add_protocol(group: argparse._ArgumentGroup) -> None:
    """Add the options of the protocol, named like its fields."""
    crops = {"dest": "crops", "type": options.at_least(1), "default": 3, "metavar": "N"}
    photos = "of clean photos (default: %(default)s)"
    options.add_renamed(group, "--crops-per-photo", "--crops", help=photos, **crops)
    size = "side of a crop in pixels (default: 256 of clean photos; pairs and unpaired photos whole)"
    group.add_argument("--size", type=options.at_least(32), help=size)
    degrader = f"of clean photos; {DEGRADERS.describe()} (default: %(default)s)"
    group.add_argument("--degrader", choices=list(DEGRADERS), default=DEGRADERS.default, help=degrader)
    severity = "0 barely visible to 1 severe; LOW:HIGH draws it (default: 0.5)"
    group.add_argument("--severity", type=severities, metavar="S", help=severity)
    group.add_argument("--mixtures", action="store_true", help="every pair of degradations too (default: single ones)")
    group.add_argument("--steps", type=options.at_least(1), default=20, help="of the sampler (default: %(default)s)")
    group.add_argument("--max-rounds", type=options.at_least(1), default=7, help="of the loop (default: %(default)s)")
    options.add_crops(group, "--assess-crops")
    options.add_min_confidence(group)
    gate = "judge each round by the quality gate (default: the paper's way, every round counts)"
    group.add_argument("--gate", action="store_true", help=gate)
    order = f"of probable degradations; {ORDERS.describe()} (default: %(default)s)"
    group.add_argument("--order", choices=list(ORDERS), default=ORDERS.default, help=order)
    group.add_argument("--seed", type=options.seed, default=2024, help="of everything random (default: %(default)s)")
    only = "recognition without restoration (default: both)"
    group.add_argument("--assess-only", dest="restore", action="store_false", help=only)


def add_metrics(group: argparse._ArgumentGroup) -> None:
    """Add the options of baselines and metrics."""
    baselines = "classical methods, which are given the label (default: the model alone)"
    group.add_argument("--baselines", action="store_true", help=baselines)
    lpips = "the perceptual distance (default: where the package lpips is installed)"
    group.add_argument("--lpips", action=argparse.BooleanOptionalAction, help=lpips)
    luma = "PSNR and SSIM of the luminance (default: of all color channels)"
    group.add_argument("--luma", action="store_true", help=luma)


def severities(text: str) -> float | tuple[float, float]:
    """Parse a severity, or two with a colon between them."""
    low, colon, high = text.partition(":")
    if not colon:
        return options.between(0, 1)(low)
    bounds = options.between(0, 1)(low), options.between(0, 1)(high)
    if bounds[0] > bounds[1]:
        raise argparse.ArgumentTypeError(f"{text!r} has its lower bound last; write LOW:HIGH")
    return bounds


def run(arguments: argparse.Namespace) -> int:
    from ..evaluation.run import run_evaluation

    check_arguments(arguments)
    return run_evaluation(arguments)


def check_arguments(arguments: argparse.Namespace) -> None:
    """Raise InputError for what can be refused before a model is loaded."""
    if sum(map(bool, (arguments.photos, arguments.pairs, arguments.unpaired))) > 1:
        raise InputError("give one of: a FOLDER of clean photos, --pairs, --unpaired")
    if len(arguments.label) not in (0, len(arguments.pairs)):
        raise InputError(f"--label goes with --pairs, once for each; got {len(arguments.label)} labels")
    synthetic = arguments.mixtures or arguments.severity is not None or arguments.degrader != DEGRADERS.default
    if synthetic and (arguments.pairs or arguments.unpaired):
        raise InputError(
            "--mixtures, --severity and --degrader are for clean photos, which are degraded here; leave them out"
        )
    if arguments.baselines and (arguments.unpaired or not arguments.restore):
        raise InputError("--baselines compares restorations with references; leave --unpaired and --assess-only out")
    for folder in (arguments.photos, arguments.unpaired, *chain(*arguments.pairs)):
        if folder and not folder.exists():
            raise InputError(f"{folder} does not exist; give folders of pictures")
