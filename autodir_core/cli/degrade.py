"""Degrade pictures on purpose, to try a restoration against a known reference."""

from __future__ import annotations

import argparse

from ..choices import ANY_KIND, DEGRADATIONS, STANDARD, describe_kinds
from .console import say
from .options import add_output_options, add_quiet, between, check_names, names, seed
from .pictures import Job, for_each, plan_jobs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", nargs="+", metavar="PICTURES", help="files or folders")
    add_output_options(parser, "degraded")
    parser.add_argument(
        "--label", type=names, required=True, help=f"one or several between commas; {DEGRADATIONS.describe()}"
    )
    parser.add_argument(
        "--kind",
        type=names,
        default=[STANDARD],
        help=f"one for all labels, or one for each between commas: {STANDARD}, {ANY_KIND} (the seed draws it), or of "
        f"the label's own; {describe_kinds()} (default: {STANDARD})",
    )
    parser.add_argument(
        "--severity", type=between(0, 1), default=0.5, help="0 barely visible to 1 severe (default: %(default)s)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="for every picture (default: %(default)s)")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..degrade import check_kinds, compose
    from ..imaging.files import read_picture, write_picture

    labels = check_names(arguments.label, list(DEGRADATIONS), "--label")
    kind = arguments.kind[0] if len(arguments.kind) == 1 else arguments.kind
    check_kinds(labels, kind)

    def degrade(job: Job) -> None:
        picture = read_picture(job.source)
        degraded = compose(picture.image, labels, severity=arguments.severity, seed=arguments.seed, kind=kind)
        write_picture(job.target, degraded, alpha=picture.alpha)
        say(f"{job.source.name}: {', '.join(labels)} -> {job.target}", quiet=arguments.quiet)

    return for_each(plan_jobs(arguments.pictures, arguments, "degraded"), degrade, quiet=arguments.quiet)
