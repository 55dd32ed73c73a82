"""Measure recognition and restoration on clean photos damaged here, on pairs, or on photos without a truth."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from autodir_core.choices import CROPS
from autodir_core.cli.console import progress_off, say
from autodir_core.cli.options import (
    add_model_options,
    add_quiet,
    add_threshold,
    add_view,
    at_least,
    between,
    load_model,
)
from autodir_core.errors import InputError

if TYPE_CHECKING:
    from autodir_core.imaging.metrics import Distance
    from autodir_core.model import AutoDIR

    from ..evaluation import Case, Protocol
    from ..evaluation.measure import Pictures
    from ..evaluation.provenance import Provenance
    from ..evaluation.result_store import Ledger
    from ..evaluation.sources import Folders, Sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_sources(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        help="gets evaluation.md, .csv and .json, report.html, worst.png and every case as it is measured: run the "
        "same command again and it goes on where it was (default: print the tables)",
    )
    add_model_options(parser)
    group = parser.add_argument_group("protocol")
    group.add_argument("--crops", type=at_least(1), default=3, help="per clean photo (default: %(default)s)")
    group.add_argument(
        "--size",
        type=at_least(32),
        help="side of a crop in pixels (default: 256 of clean photos; pairs and photos without truth whole)",
    )
    group.add_argument(
        "--severity",
        type=severities,
        metavar="S",
        help="0 barely visible to 1 severe; LOW:HIGH draws one for every case (default: 0.5)",
    )
    group.add_argument("--mixtures", action="store_true", help="every pair of degradations too (default: single ones)")
    group.add_argument("--steps", type=at_least(1), default=20, help="of the sampler (default: %(default)s)")
    group.add_argument("--max-rounds", type=at_least(1), default=7, help="of the loop (default: %(default)s)")
    add_view(group)
    add_threshold(group)
    group.add_argument("--seed", type=at_least(0), default=2024, help="of everything random (default: %(default)s)")
    group.add_argument("--assess-only", action="store_true", help="recognition without restoration (default: both)")
    add_metrics(parser)
    add_quiet(parser)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Which pictures are measured."""
    parser.add_argument(
        "photos",
        nargs="?",
        metavar="FOLDER",
        help="clean photos, which are damaged here (default: eight that come with Python packages)",
    )
    parser.add_argument(
        "--pairs",
        nargs=2,
        action="append",
        default=[],
        metavar=("DEGRADED", "CLEAN"),
        help="instead: folders of pictures and truths of the same names; sub-folders named like labels are sets of "
        "their own; may be repeated",
    )
    parser.add_argument(
        "--label", action="append", default=[], help="what the pairs show, once for each --pairs (default: not known)"
    )
    parser.add_argument("--no-truth", metavar="FOLDER", help="instead: photos without truths (default: none)")


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """What is measured beside the usual."""
    group = parser.add_argument_group("comparison")
    group.add_argument(
        "--baselines", action="store_true", help="classical methods that are told the label (default: the model alone)"
    )
    group.add_argument(
        "--lpips",
        action=argparse.BooleanOptionalAction,
        help="the perceptual distance (default: where the package lpips is installed)",
    )
    group.add_argument("--luma", action="store_true", help="PSNR and SSIM of the luminance (default: of all colours)")


def severities(text: str) -> float | tuple[float, float]:
    """A severity, or two between a colon."""
    low, colon, high = text.partition(":")
    if not colon:
        return between(0, 1)(low)
    bounds = between(0, 1)(low), between(0, 1)(high)
    if bounds[0] > bounds[1]:
        raise argparse.ArgumentTypeError(f"{text!r} runs downwards; write LOW:HIGH")
    return bounds


def run(arguments: argparse.Namespace) -> int:
    from ..evaluation import tables
    from ..evaluation.result_store import Ledger
    from ..evaluation.results import Results

    check(arguments)
    model = load_model(arguments)
    source, lpips = find_source(arguments, model), find_lpips(arguments, model)
    provenance = provenance_of(arguments, model, source, lpips)
    ledger = Ledger(Path(arguments.output)) if arguments.output else None
    done = ledger.open(provenance) if ledger else []
    cases = measured(arguments, model, source.samples, lpips=lpips, done=done, ledger=ledger)
    results = Results(headline(provenance, source), tables(cases, model.labels), cases, provenance)
    say(results.markdown(), quiet=arguments.quiet)
    if ledger:
        results.write(ledger)
    return 0


def check(arguments: argparse.Namespace) -> None:
    """What can be refused before a model is loaded."""
    if sum(map(bool, (arguments.photos, arguments.pairs, arguments.no_truth))) > 1:
        raise InputError("give one of: a FOLDER of clean photos, --pairs, --no-truth")
    if len(arguments.label) not in (0, len(arguments.pairs)):
        raise InputError(f"--label goes with --pairs, once for each; got {len(arguments.label)} labels")
    if (arguments.mixtures or arguments.severity is not None) and (arguments.pairs or arguments.no_truth):
        raise InputError("--mixtures and --severity are for clean photos, which are damaged here; leave them out")
    if arguments.baselines and (arguments.no_truth or arguments.assess_only):
        raise InputError("--baselines compares restorations with a truth; leave --no-truth and --assess-only out")
    for folder in (arguments.photos, arguments.no_truth, *chain(*arguments.pairs)):
        if folder and not Path(folder).exists():
            raise InputError(f"{folder} does not exist; give folders of pictures")
    if arguments.baselines:
        from ..evaluation import baselines  # noqa: F401 -- says at once where OpenCV is missing


@dataclass(frozen=True)
class Source:
    """The pictures of one run: what to call them, where they are, and each of them."""

    text: str
    place: str
    samples: Sequence[Sample]


def protocol_of(arguments: argparse.Namespace) -> Protocol:
    from ..evaluation.protocol import SIZE, Protocol

    clean = not (arguments.pairs or arguments.no_truth)
    return Protocol(
        crops=arguments.crops,
        size=arguments.size or (SIZE if clean else None),
        severity=0.5 if arguments.severity is None else arguments.severity,
        steps=arguments.steps,
        max_rounds=arguments.max_rounds,
        view=arguments.view,
        threshold=arguments.threshold,
        seed=arguments.seed,
        restore=not arguments.assess_only,
        mixtures=arguments.mixtures,
        baselines=arguments.baselines,
        luma=arguments.luma,
    )


def find_source(arguments: argparse.Namespace, model: AutoDIR) -> Source:
    """The pictures that the arguments name."""
    from ..evaluation.sources import pair_samples, plain_samples

    protocol = protocol_of(arguments)
    if arguments.pairs:
        sets = pair_folders(arguments, model)
        samples = pair_samples(sets, protocol)
        place = "; ".join(f"{one.degraded} {one.clean}" for one in sets)
        return Source(f"{counted(len(samples), 'pair')}{squares(protocol)}", place, samples)
    if arguments.no_truth:
        samples = plain_samples(Path(arguments.no_truth), protocol)
        text = f"{counted(len(samples), 'photo')} without truth{squares(protocol)}"
        return Source(text, arguments.no_truth, samples)
    return photo_source(arguments, model, protocol)


def photo_source(arguments: argparse.Namespace, model: AutoDIR, protocol: Protocol) -> Source:
    """Clean photos, of a folder or of Python packages."""
    from ..evaluation.photos import folder_photos, natural_photos
    from ..evaluation.sources import photo_samples

    photos = folder_photos(Path(arguments.photos)) if arguments.photos else natural_photos()
    severity = " to ".join(f"{bound:g}" for bound in dict.fromkeys(protocol.severities))
    cut = f"{counted(protocol.crops, 'crop')} of {protocol.size} pixels each"
    text = f"{counted(len(photos), 'photo')}, {cut}, severity {severity}"
    return Source(text, arguments.photos or "photos of Python packages", photo_samples(photos, model.labels, protocol))


def pair_folders(arguments: argparse.Namespace, model: AutoDIR) -> list[Folders]:
    """The sets of `--pairs`; InputError for a label that the model does not know."""
    from ..evaluation.sources import Folders, label_folders

    unknown = [label for label in arguments.label if label not in model.labels]
    if unknown:
        raise InputError(f"unknown label {unknown[0]!r}; this model knows: {', '.join(model.labels)}")
    given = [(Path(degraded), Path(clean)) for degraded, clean in arguments.pairs]
    if arguments.label:
        return [Folders(*pair, label) for pair, label in zip(given, arguments.label, strict=True)]
    return [one for pair in given for one in label_folders(*pair, model.labels)]


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def squares(protocol: Protocol) -> str:
    return f", their central {protocol.size} pixels" if protocol.size else ""


def find_lpips(arguments: argparse.Namespace, model: AutoDIR) -> Distance | None:
    """LPIPS where it is asked for or, without a word about it, installed; None where it is not measured."""
    from autodir_core.imaging.metrics import load_lpips
    from autodir_core.optional_imports import is_installed

    wanted = is_installed("lpips") if arguments.lpips is None else arguments.lpips
    return load_lpips(model.device) if wanted and not arguments.no_truth else None


def provenance_of(arguments: argparse.Namespace, model: AutoDIR, source: Source, lpips: Distance | None) -> Provenance:
    """What this run is measured with."""
    from autodir_core.cli.restorer import versions
    from autodir_core.model import MINI
    from autodir_core.optional_imports import is_installed

    from ..evaluation.provenance import Provenance, sha256

    missing = "" if is_installed("lpips") else ": the package lpips is not installed"
    weights = Path(arguments.model or MINI)
    return Provenance(
        model=model.metadata.name or weights.stem,
        sha256=sha256(weights),
        device=str(model.device),
        precision=str(model.dtype).removeprefix("torch."),
        versions=versions(),
        source=source.place,
        protocol=protocol_of(arguments),
        lpips="AlexNet" if lpips else f"not measured{missing}",
    )


def measured(
    arguments: argparse.Namespace,
    model: AutoDIR,
    samples: Sequence[Sample],
    *,
    lpips: Distance | None,
    done: Sequence[Case],
    ledger: Ledger | None,
) -> list[Case]:
    """Every case, those in `done` as they are; the others go into the ledger as soon as they are measured."""
    from tqdm import tqdm

    from ..evaluation import evaluate

    known = len({case.key for case in done} & {sample.key for sample in samples})

    def keep(case: Case, pictures: Pictures) -> None:
        if ledger:
            ledger.add(case, pictures)
        bar.update()

    with tqdm(total=len(samples), initial=known, unit="case", disable=progress_off(arguments.quiet)) as bar:
        return evaluate(model, samples, protocol_of(arguments), lpips=lpips, done=done, on_case=keep)


def headline(provenance: Provenance, source: Source) -> str:
    """What the tables were measured with."""
    protocol = provenance.protocol
    return (
        f"{provenance.model}, {date.today().isoformat()}: {source.text}, {counted(protocol.steps, 'step')}, "
        f"{beyond_the_paper(protocol)}seed {protocol.seed}, {provenance.precision} on "
        f"{provenance.device.partition(':')[0]}"
    )


def beyond_the_paper(protocol: Protocol) -> str:
    """The settings of the loop that are not the paper's, for a headline."""
    view = "" if protocol.view == CROPS.default else f"view {protocol.view}, "
    return view + (f"threshold {protocol.threshold:g}, " if protocol.threshold else "")
