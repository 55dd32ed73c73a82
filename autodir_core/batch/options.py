"""The options of `batch`, and what they are for: which decide the results, which only how the work is done."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..cli.options import add_crops, add_model_options, add_quiet, add_tile_size, at_least, names
from ..cli.restore import add_depth, add_loop_options, add_sampler_options
from ..imaging.paths import FORMATS
from .planning.storage import location

NOT_SETTINGS = frozenset(
    {"pictures", "output", "quiet", "every", "shard", "limit", "dry_run", "retry_failed", "overwrite", "run"}
    | {"device", "devices", "offload", "cuda_graph", "ray", "workers", "journal"}
)
"""Options that do not change any result; with the others a batch is agreed on."""


OF_RESULTS = (
    *("format", "depth", "keep_range", "skip_clean", "mask", "prompt", "negative_prompt"),
    *("strength", "match_color", "blend", "local", "candidates", "scm_weight"),
)
"""Options of restored pictures that say nothing where none is restored; others may be those of a run to come."""


def shard(text: str) -> tuple[int, int]:
    """Parse i/n."""
    parts = text.split("/")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not written i/n, such as 1/4")
    return int(parts[0]), int(parts[1])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_places(parser)
    add_selection(parser)
    add_depth(parser)
    add_work(parser)
    add_model_options(parser)
    add_cluster(parser)
    add_tile_size(parser)
    add_crops(parser)
    add_sampler_options(parser)
    add_loop_options(parser)
    add_quiet(parser)
    parser.set_defaults(save_rounds=False, montage=None, report=False)


def add_work(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("what is done")
    skip = "write no file for a picture that needs nothing (default: a copy, bit for bit)"
    how.add_argument("--skip-clean", action="store_true", help=skip)
    only = "restore nothing: write what each picture has to batch.csv"
    how.add_argument("--assess-only", action="store_true", help=only)
    blend = "average the frames of films with their neighbors along the motion, where the film flickers (default: on)"
    how.add_argument("--blend", action=argparse.BooleanOptionalAction, default=True, help=blend)
    several = "between commas, such as cuda:0,cuda:1: a process for each; they share the work (default: one, --device)"
    how.add_argument("--devices", type=names, help=several)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add what is read, and where results and journal go."""
    given = "files, folders with their sub-folders, wildcards, URLs (s3://...), lists of these (.txt, one a line)"
    parser.add_argument("pictures", nargs="+", metavar="INPUT", help=given)
    target = "a folder, created if missing, or the URL of one"
    parser.add_argument("-o", "--output", metavar="OUT", type=location, required=True, help=target)
    journal = "a local folder for the journal, batch.sqlite; needed where OUT is a URL (default: OUT)"
    parser.add_argument("--journal", metavar="FOLDER", type=Path, help=journal)
    formats = sorted(suffix.removeprefix(".") for suffix in FORMATS)
    suffix = "of all results (default: each picture's own where it can be written, else PNG)"
    parser.add_argument("--format", choices=formats, help=suffix)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options of which pictures are taken."""
    what = parser.add_argument_group("which pictures")
    what.add_argument("--every", type=at_least(1), default=1, metavar="N", help="every N-th only (default: all)")
    what.add_argument("--shard", type=shard, default=(1, 1), metavar="I/N", help="the I-th of N parts (default: 1/1)")
    what.add_argument("--limit", type=at_least(1), metavar="N", help="the first N only (default: all)")
    what.add_argument("--retry-failed", action="store_true", help="try again what failed (default: leave it)")
    others = "replace files in OUT that are no results of this batch (default: refuse them)"
    what.add_argument("--overwrite", action="store_true", help=others)
    what.add_argument(
        "--dry-run", action="store_true", help="list pictures and results, tell what is refused, do nothing"
    )


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add the options of a Ray cluster."""
    cluster = parser.add_argument_group("cluster (package ray)")
    address = 'share the work on a Ray cluster: its address, "auto" for the one of this machine, "local" for a new one'
    cluster.add_argument("--ray", metavar="ADDRESS", help=f"{address} (default: none)")
    most = (
        "at most so many at once, each with a GPU, or a core where --device is cpu (default: as many as there is room)"
    )
    cluster.add_argument("--workers", type=at_least(1), metavar="N", help=most)
