"""Rewrite an AutoDIR weights file as one safetensors file in the precision you choose."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..choices import STORED_PRECISIONS
from ..errors import InputError
from .console import bytes_text, say
from .pictures import canonical, check_writable, refuse_existing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="a .safetensors or .ckpt file")
    parser.add_argument("target", metavar="TARGET", help="the .safetensors file to write")
    parser.add_argument(
        "--precision",
        choices=tuple(STORED_PRECISIONS),
        default=STORED_PRECISIONS.default,
        help=f"of the stored weights; {STORED_PRECISIONS.describe()} (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing TARGET (default: refuse it)")


def run(arguments: argparse.Namespace) -> int:
    from ..checkpoint.float8 import FLOAT8
    from ..checkpoint.save import convert
    from ..devices import parse_dtype

    source, target = Path(arguments.source), Path(arguments.target)
    check_target(source, target, arguments.overwrite)
    convert(source, target, FLOAT8 if arguments.precision == "float8" else parse_dtype(arguments.precision))
    before, after = (bytes_text(path.stat().st_size) for path in (source, target))
    say(f"{source} ({before}) -> {target} ({after}, {arguments.precision})")
    return 0


def check_target(source: Path, target: Path, overwrite: bool) -> None:
    """InputError for a target that cannot or must not be written."""
    if target.suffix.lower() != ".safetensors":
        raise InputError(f"TARGET must end in .safetensors, got {target}")
    if canonical(source) == canonical(target):
        raise InputError(f"{target} is the source itself; choose another TARGET")
    if not overwrite:
        refuse_existing([target])
    check_writable(target.parent)
