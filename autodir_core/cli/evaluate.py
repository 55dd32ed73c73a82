"""Measure recognition and restoration on photos that training never saw."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files import atomic_path
from .console import progress_off, say
from .options import add_model_options, add_quiet, at_least, between, load_model

if TYPE_CHECKING:
    from ..evaluation import Case, Protocol
    from ..model import AutoDIR


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "photos", nargs="?", metavar="FOLDER", help="clean photos (default: eight that come with Python packages)"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", help="gets the table (Markdown) and all cases (JSON)")
    add_model_options(parser)
    group = parser.add_argument_group("protocol")
    group.add_argument("--crops", type=at_least(1), default=3, help="crops per photo (default: %(default)s)")
    group.add_argument("--size", type=at_least(32), default=256, help="side of a crop, pixels (default: %(default)s)")
    group.add_argument("--severity", type=between(0, 1), default=0.5, help="0.5 is medium (default: %(default)s)")
    group.add_argument("--steps", type=at_least(1), default=20, help="of the sampler (default: %(default)s)")
    group.add_argument("--max-rounds", type=at_least(1), default=7, help="of the loop (default: %(default)s)")
    group.add_argument("--seed", type=at_least(0), default=2024, help="of everything random (default: %(default)s)")
    group.add_argument("--assess-only", action="store_true", help="recognition without restoration (default: both)")
    add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ..evaluation import Protocol, evaluate, markdown
    from ..evaluation.photos import folder_photos, natural_photos

    photos = natural_photos() if arguments.photos is None else folder_photos(Path(arguments.photos))
    model = load_model(arguments)
    protocol = Protocol(
        crops=arguments.crops,
        size=arguments.size,
        severity=arguments.severity,
        steps=arguments.steps,
        max_rounds=arguments.max_rounds,
        seed=arguments.seed,
        restore=not arguments.assess_only,
    )
    total = len(photos) * protocol.crops * len(model.labels)
    with tqdm(total=total, unit="case", disable=progress_off(arguments.quiet)) as bar:
        cases = evaluate(model, photos, protocol, on_case=lambda *case: bar.update())
    text = f"{headline(model, protocol, len(photos))}\n\n{markdown(cases, model.labels)}\n"
    say(text, quiet=arguments.quiet)
    if arguments.output:
        write(Path(arguments.output), text, protocol, cases)
    return 0


def headline(model: AutoDIR, protocol: Protocol, photos: int) -> str:
    """What the table was measured with."""
    return (
        f"{model.traits.name or 'model'}, {date.today().isoformat()}: {photos} photos, {protocol.crops} crops of "
        f"{protocol.size} pixels each, severity {protocol.severity:g}, {protocol.steps} steps, seed {protocol.seed}, "
        f"{str(model.dtype).removeprefix('torch.')} on {model.device.type}"
    )


def write(folder: Path, text: str, protocol: Protocol, cases: Sequence[Case]) -> None:
    """The table and everything it was made of."""
    if folder.is_file():
        raise InputError(f"--output must be a folder, {folder} is a file")
    content = {"protocol": asdict(protocol), "cases": [asdict(case) for case in cases]}
    for name, body in (("evaluation.md", text), ("evaluation.json", json.dumps(content, indent=1))):
        with atomic_path(folder / name) as temporary:
            temporary.write_text(body, encoding="utf-8")
