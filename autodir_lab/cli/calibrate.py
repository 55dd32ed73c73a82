"""Calibrate an assessment or the quality gate on degraded photographs, and write the model with what was fitted.

With a temperature a probability of 0.8 means that 8 of 10 such labels are right. Top labels stay what they were.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from autodir_core.choices import DEGRADERS, PRECISIONS
from autodir_core.cli import options

FITS = ("temperature", "gate", "both")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", type=Path, metavar="PHOTOS", help="clean photographs that nothing was trained on")
    output = "the .safetensors file to write"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", required=True, help=output)
    parser.add_argument("--model", metavar="FILE", help="to calibrate (default: the embedded model)")
    parser.add_argument("--device", help="such as cuda, cuda:1, mps or cpu (default: the best there is)")
    degrader = f"of the photographs; {DEGRADERS.describe()} (default: %(default)s)"
    parser.add_argument("--degrader", choices=list(DEGRADERS), default="families", help=degrader)
    crops = "of each photograph, under every label (default: %(default)s)"
    parser.add_argument("--crops-per-photo", type=options.at_least(1), default=3, metavar="N", help=crops)
    fit = (
        "temperature: of the probabilities; gate: the thresholds of the quality gate, to one round of each crop, of "
        "as many mixtures and clean ones; both (default: %(default)s)"
    )
    parser.add_argument("--fit", choices=FITS, default=FITS[0], help=fit)
    precision = "of the written weights (default: %(default)s)"
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="float16", help=precision)
    parser.add_argument("--seed", type=options.seed, default=7, help="of everything random (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing FILE (default: refuse it)")
    options.add_quiet(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..evaluation.run import run_calibration

    return run_calibration(arguments)
