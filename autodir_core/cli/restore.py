"""Restore pictures: find what degrades them and remove it, round by round."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..choices import COLOR_METHODS, SAMPLERS
from ..errors import InputError
from ..settings import LoopSettings, SamplerSettings
from .console import say
from .options import (
    add_crops,
    add_min_confidence,
    add_model_options,
    add_output_options,
    add_quiet,
    add_tile,
    at_least,
    finite,
    load_model,
    names,
)
from .pictures import REPORT_ENDING, SHEET_ENDING, for_each, plan_jobs, round_ending

SAMPLE = Path(__file__).parents[1] / "assets" / "sample.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="PICTURES",
        help="files or folders (default: the sample that ships with the pack)",
    )
    add_output_options(parser, "restored")
    add_model_options(parser)
    add_tile(parser)
    add_crops(parser)
    add_sampler_options(parser)
    add_loop_options(parser)
    extras = parser.add_argument_group("what is written beside the result (default: nothing)")
    extras.add_argument("--save-rounds", action="store_true", help="the picture after each round, NAME_round1.png")
    extras.add_argument("--report", action="store_true", help="settings, versions, rounds and seconds, NAME.json")
    extras.add_argument("--sheet", action="store_true", help="input, rounds and result side by side, NAME_sheet.png")
    add_quiet(parser)


def add_sampler_options(parser: argparse.ArgumentParser) -> None:
    paper, group = SamplerSettings(), parser.add_argument_group("diffusion")
    group.add_argument(
        "--steps", type=at_least(1), default=paper.steps, help="network evaluations per round (default: %(default)s)"
    )
    group.add_argument("--sampler", choices=SAMPLERS, default=paper.sampler, help="(default: %(default)s)")
    group.add_argument(
        "--text-guidance", type=finite, default=paper.text_guidance, help="1 is no extrapolation (default: %(default)s)"
    )
    group.add_argument(
        "--image-guidance",
        type=finite,
        default=paper.image_guidance,
        help="1 is no extrapolation (default: %(default)s)",
    )
    group.add_argument(
        "--seed", type=at_least(0), default=0, help="of the noise, for every picture (default: %(default)s)"
    )


def add_loop_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rounds")
    group.add_argument(
        "--max-rounds", type=at_least(1), default=LoopSettings().max_rounds, help="at most (default: %(default)s)"
    )
    group.add_argument(
        "--labels", type=names, help='to look for, between commas, such as "haze,low resolution,no" (default: all)'
    )
    add_min_confidence(group)
    group.add_argument("--prompt", help="your own words instead of the assessment, one round (default: assess)")
    group.add_argument(
        "--scm-weight", type=finite, help="strength of the structure correction (default: the model's own table)"
    )
    group.add_argument(
        "--match-color",
        choices=("none", *COLOR_METHODS),
        default="none",
        help=f"give the result the colors of the input; {COLOR_METHODS.describe()} (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    from ..imaging.files import read_picture
    from .restorer import Restorer

    jobs = plan_jobs(inputs(arguments), arguments, "restored", endings(arguments))
    if len(jobs) == 1:
        read_picture(jobs[0].source)  # an only picture that is broken is told before the model is loaded
    if not jobs:
        return 0
    restorer = Restorer(load_model(arguments), arguments)
    return for_each(jobs, restorer.restore, quiet=arguments.quiet)


def inputs(arguments: argparse.Namespace) -> list[str]:
    """The given paths, or the sample that ships with the pack."""
    if arguments.pictures:
        return arguments.pictures
    if not SAMPLE.is_file():
        raise InputError(f"give a picture to restore: the sample {SAMPLE} is not part of this installation")
    say("no picture given: restoring the sample that ships with the pack", quiet=arguments.quiet)
    return [str(SAMPLE)]


def endings(arguments: argparse.Namespace) -> list[str]:
    """Of the files that are asked for beside a result."""
    rounds = [round_ending(number) for number in range(1, arguments.max_rounds + 1)]
    return rounds * arguments.save_rounds + [REPORT_ENDING] * arguments.report + [SHEET_ENDING] * arguments.sheet
