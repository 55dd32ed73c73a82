"""Restore pictures: find what degrades them and remove it, round by round."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..choices import COLOR_METHODS, LANGUAGES, ORDERS, PRESETS, SAMPLERS
from ..errors import InputError
from ..settings import GUIDANCE_RANGE, SCM_WEIGHT_RANGE, preset
from .console import say
from .options import (
    DEPTHS,
    add_crops,
    add_min_confidence,
    add_model_options,
    add_output_options,
    add_preset,
    add_quiet,
    add_tile_size,
    at_least,
    between,
    load_model,
    names,
    seed,
)
from .pictures import PAGE_ENDING, REPORT_ENDING, find_mask, for_each, plan_jobs, round_ending

SAMPLE = Path(__file__).parents[1] / "assets" / "sample.png"

LOOP = preset(PRESETS.default)[0]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="PICTURES",
        help="files or folders (default: the sample that ships with the pack)",
    )
    add_output_options(parser, "restored")
    add_model_options(parser)
    add_tile_size(parser)
    add_crops(parser)
    add_sampler_options(parser)
    add_loop_options(parser)
    add_depth(parser)
    extras = parser.add_argument_group("additional outputs, next to the result (default: none)")
    extras.add_argument("--save-rounds", action="store_true", help="the picture after each round, NAME_round1.png")
    report = "settings, rounds, scores and seconds: NAME.html to look at, NAME.json for programs"
    extras.add_argument("--report", action="store_true", help=report)
    language = f"of the report's page; {LANGUAGES.describe()} (default: %(default)s)"
    extras.add_argument("--language", choices=list(LANGUAGES), default=LANGUAGES.default, help=language)
    extras.add_argument(
        "--montage",
        action="store_const",
        const="_montage.png",
        help="input, rounds and result side by side, NAME_montage.png",
    )
    extras.add_argument("--sheet", dest="montage", action="store_const", const="_sheet.png", help=argparse.SUPPRESS)
    add_quiet(parser)


def add_depth(parser: argparse.ArgumentParser) -> None:
    """Add the options of what a result keeps of its picture's levels."""
    bits = "bits a channel of results in PNG and TIFF (default: those of the picture, at most 16)"
    parser.add_argument("--depth", type=int, choices=DEPTHS, help=bits)
    ranged = (
        "of float TIFF files keep floats, and the values outside 0..1: what the networks see is cut off, and put back "
        "on top"
    )
    parser.add_argument("--keep-range", action="store_true", help=ranged)


def add_sampler_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("diffusion")
    add_preset(group)
    group.add_argument("--sampler", choices=SAMPLERS, help=f"{SAMPLERS.describe()} (default: the preset's)")
    low, high = GUIDANCE_RANGE
    for name in ("--text-guidance", "--image-guidance"):
        text = f"{low:g} to {high:g}, 1 is no extrapolation (default: the preset's)"
        group.add_argument(name, type=between(low, high), help=text)
    negative = "what the result is led away from; needs --text-guidance above 1 (default: nothing)"
    group.add_argument("--negative-prompt", type=str.strip, metavar="TEXT", help=negative)
    group.add_argument("--seed", type=seed, default=0, help="of the noise, for every picture (default: %(default)s)")


def add_loop_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rounds")
    group.add_argument("--max-rounds", type=at_least(1), default=LOOP.max_rounds, help="at most (default: %(default)s)")
    group.add_argument(
        "--labels", type=names, help='to look for, between commas, such as "haze,low resolution,no" (default: all)'
    )
    add_min_confidence(group)
    prompt = "custom prompt instead of the assessment, one round (default, and if empty: assess)"
    group.add_argument("--prompt", type=str.strip, help=prompt)
    low, high = SCM_WEIGHT_RANGE
    weight = f"strength of the structure correction, {low:g} to {high:g} (default: the model's own table)"
    group.add_argument("--scm-weight", type=between(low, high), help=weight)
    gate = "accept a round only where the damage went and the content stayed (default: the preset's: not for paper)"
    group.add_argument("--gate", action=argparse.BooleanOptionalAction, help=gate)
    order = f"{ORDERS.describe()} (default: %(default)s)"
    group.add_argument("--order", choices=list(ORDERS), default=LOOP.order, help=order)
    local = "keep each round to where its damage is and the rest bit for bit (default: the whole picture)"
    group.add_argument("--local", action="store_true", help=local)
    candidates = "try each round N times with other noise; the gate takes the best (default: %(default)s)"
    group.add_argument("--candidates", type=at_least(1), default=LOOP.candidates, metavar="N", help=candidates)
    strength = "part of the whole change that the result has, 0 to 1 (default: %(default)s)"
    group.add_argument("--strength", type=between(0, 1), default=LOOP.strength, help=strength)
    group.add_argument(
        "--match-color",
        choices=("none", *COLOR_METHODS),
        default="none",
        help=f"give the result the colors of the input; {COLOR_METHODS.describe()} (default: %(default)s)",
    )
    group.add_argument(
        "--mask",
        metavar="PATH",
        help="restore where this picture is white and keep the input where it is black, whatever its size; of a "
        "folder, the mask named like the picture (default: restore everywhere)",
    )


def run(arguments: argparse.Namespace) -> int:
    from ..imaging.files import read_picture
    from .restorer import Restorer

    check_options(arguments)
    jobs = plan_jobs(inputs(arguments), arguments, "restored", endings(arguments))
    if len(jobs) == 1 and not arguments.keep_range:
        read_picture(jobs[0].source)  # a single picture that is broken is reported before the model is loaded
    if arguments.mask:
        for job in jobs:
            find_mask(arguments.mask, job.source)
    if not jobs:
        return 0
    restorer = Restorer(load_model(arguments), arguments)
    return for_each(jobs, restorer.restore, quiet=arguments.quiet)


def check_options(arguments: argparse.Namespace) -> None:
    """InputError for options that exclude each other, or values that fit no picture and no model."""
    from .restorer import loop_settings, sampler_settings

    if arguments.prompt and arguments.labels is not None:
        raise InputError("--prompt replaces the assessment, for which --labels is; leave one of them out")
    if arguments.keep_range and arguments.depth:
        raise InputError("--keep-range keeps the floats of TIFF files, --depth has none; leave --depth out")
    loop_settings(arguments, arguments.labels or ())
    sampler_settings(arguments)


def inputs(arguments: argparse.Namespace) -> list[str]:
    """Return the given paths, or the sample that ships with the pack."""
    if arguments.pictures:
        return arguments.pictures
    if not SAMPLE.is_file():
        raise InputError(f"give a picture to restore: the sample {SAMPLE} is not part of this installation")
    say("no picture given: restoring the sample that ships with the pack", quiet=arguments.quiet)
    return [str(SAMPLE)]


def endings(arguments: argparse.Namespace) -> list[str]:
    """Return the endings of the files that are written next to a result."""
    rounds = [round_ending(number) for number in range(1, arguments.max_rounds + 1)]
    montage = [arguments.montage] if arguments.montage else []
    return rounds * arguments.save_rounds + [REPORT_ENDING, PAGE_ENDING] * arguments.report + montage
