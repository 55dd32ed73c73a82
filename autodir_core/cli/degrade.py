"""Degrade pictures on purpose, to try a restoration against a known reference."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..choices import ANY_KIND, DEGRADATIONS, STANDARD, describe_kinds, list_kinds
from .console import say
from .options import add_output_options, add_quiet, between, check_names, names, seed
from .pictures import Job, for_each, plan_jobs

if TYPE_CHECKING:
    from torch import Tensor

SHEET_CROP = 256
"""Pixels a side at most of the pictures of a contact sheet: damage is judged at its own size."""


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
    parser.add_argument(
        "--contact-sheet",
        action="store_true",
        help="instead: every kind of the labels at three severities, on the center of each picture",
    )
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..degrade import check_kinds, compose
    from ..imaging.files import read_picture, write_picture

    labels = check_names(arguments.label, list(DEGRADATIONS), "--label")
    kind = arguments.kind[0] if len(arguments.kind) == 1 else arguments.kind
    check_kinds(labels, kind)

    def degrade(job: Job) -> None:
        picture = read_picture(job.source)
        if arguments.contact_sheet:
            write_picture(job.target, draw_contact_sheet(picture.image, labels, arguments.seed))
            say(f"{job.source.name}: every kind of {', '.join(labels)} -> {job.target}", quiet=arguments.quiet)
            return
        degraded = compose(picture.image, labels, severity=arguments.severity, seed=arguments.seed, kind=kind)
        write_picture(job.target, degraded, alpha=picture.alpha, metadata=picture.metadata)
        say(f"{job.source.name}: {', '.join(labels)} -> {job.target}", quiet=arguments.quiet)

    return for_each(plan_jobs(arguments.pictures, arguments, "degraded"), degrade, quiet=arguments.quiet)


def draw_contact_sheet(image: Tensor, labels: Sequence[str], seed: int) -> Tensor:
    """Return every kind of each label at severity 0, 0.5 and 1, of the center of [1, H, W, 3]."""
    from ..degrade import degrade
    from ..reporting.drawing import SEAM, add_caption, arrange_in_grid, stack_horizontally, thumbnail, to_tensor

    height, width = image.shape[1:3]
    top, left = max(height - SHEET_CROP, 0) // 2, max(width - SHEET_CROP, 0) // 2
    crop = image[:, top : top + SHEET_CROP, left : left + SHEET_CROP]
    cells = []
    for label in labels:
        for kind, row in list_kinds(label).items():
            three = [degrade(crop, label, severity=severity, seed=seed, kind=kind) for severity in (0.0, 0.5, 1.0)]
            pictures = stack_horizontally([thumbnail(one, SHEET_CROP) for one in three], SEAM)
            cells.append(add_caption(pictures, f"{label}: {kind}", row.summary))
    return to_tensor(arrange_in_grid(cells))
