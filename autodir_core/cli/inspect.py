"""Say what a weights file is, and whether all its values are finite."""

from __future__ import annotations

import argparse

from .console import bytes_text, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a .safetensors or .ckpt file")


def run(arguments: argparse.Namespace) -> int:
    from ..checkpoint.inspection import inspect

    seen = inspect(arguments.file, values=True)
    metadata = seen.metadata
    facts = {
        "it is": f"{seen.guess} ({seen.kind}, {bytes_text(seen.path.stat().st_size)})",
        "name": metadata.name,
        "license": metadata.licence,
        "made from": metadata.provenance,
        "labels": ", ".join(metadata.labels) if seen.problem is None else "",
        "tensors": ", ".join(f"{count} {dtype}" for dtype, count in seen.dtypes.items()),
        **{name: f"{count:,} parameters" for name, count in seen.parameters.items() if count},
        "problem": seen.problem,
    }
    say(str(seen.path))
    for name, fact in facts.items():
        if fact:
            say(f"  {name:<10} {fact}")
    return 0 if seen.problem is None else 1
