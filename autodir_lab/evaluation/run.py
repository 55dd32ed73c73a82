"""An evaluation from the options of `evaluate` to its report."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

from torch import Tensor

from autodir_core.checkpoint.save import official_state, save_model
from autodir_core.choices import CROPS, ORDERS, PRESETS, STANDARD
from autodir_core.cli.console import complain, progress, say
from autodir_core.cli.convert import check_target
from autodir_core.cli.options import load_model
from autodir_core.cli.restorer import versions
from autodir_core.devices import parse_dtype
from autodir_core.errors import AutoDIRError, InputError
from autodir_core.imaging.metrics import Distance, load_lpips
from autodir_core.labels import CLEAN, check_labels
from autodir_core.model import MINI, AutoDIR, load_autodir
from autodir_core.optional_imports import is_installed
from autodir_core.serialization.hashing import sha256
from autodir_core.settings import preset

from .calibration import calibrate
from .evaluator import SampleImages, evaluate
from .gate_thresholds import describe, fit_thresholds, judge_rounds
from .protocol import CROP_SIZE, Protocol
from .report.tables import build_tables
from .report.writer import EvaluationReport
from .result_store import Provenance, ResultStore
from .sample_result import SampleResult
from .sources import (
    OnError,
    PairFolders,
    Sample,
    find_pair_folders,
    load_photos,
    pair_samples,
    photo_samples,
    some_mixtures,
    unpaired_samples,
)


@dataclass(frozen=True)
class Source:
    """The samples of one run.

    Attributes:
        noun: what they are made of, such as "pair".
        details: for the headline.
        place: their folders.
        samples: each of them.
        number: how many of `noun` there are; None where each is a sample.
    """

    noun: str
    details: str
    place: str
    samples: Sequence[Sample]
    number: int | None = None


class Problems:
    """What cannot be measured: each is told at once, and costs no other."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, error: AutoDIRError) -> None:
        complain(f"error: {error}")
        self.count += 1

    def exit_code(self) -> int:
        """Return 1, with a line, where there was one."""
        if self.count:
            complain(f"{self.count} left out, see above; the numbers are of the others")
        return 1 if self.count else 0


def run_evaluation(arguments: argparse.Namespace) -> int:
    """Measure what the options name, print the tables, and write the report into the output folder."""
    if arguments.baselines:
        from . import baselines  # noqa: F401 -- reports a missing OpenCV at once
    if arguments.degrader == "albumentations":
        from . import albumentations_kinds  # noqa: F401 -- reports a missing library at once

    model, protocol = load_model(arguments), make_protocol(arguments)
    problems = Problems()
    source, lpips = find_source(arguments, model, protocol, problems), find_lpips(arguments, model)
    provenance = describe_run(arguments, model, protocol, source, lpips)
    store = ResultStore(Path(arguments.output)) if arguments.output else None
    results = measure(model, source, provenance, problems, lpips=lpips, store=store, quiet=arguments.quiet)
    tables = build_tables(results, model.labels)
    title = headline(provenance, source, measured=len(results), left_out=problems.count)
    report = EvaluationReport(title, tables, results, provenance)
    say(report.markdown(), quiet=arguments.quiet)
    if store:
        report.write(store)
    return problems.exit_code()


def run_calibration(arguments: argparse.Namespace) -> int:
    """Fit a temperature, the quality gate or both to photographs of all severities, and write the model with them."""
    check_target(Path(arguments.model or MINI), arguments.output, arguments.overwrite)
    model = load_autodir(arguments.model, arguments.device, "float32", offload=False)
    protocol = Protocol(
        crops=arguments.crops_per_photo, degrader=arguments.degrader, severity=(0.0, 1.0), seed=arguments.seed
    )
    problems, lines = Problems(), list[str]()
    photos = load_photos(arguments.photos, CROP_SIZE, problems)
    if arguments.fit != "gate":
        samples = photo_samples(photos, model.labels, protocol)
        model, line = calibrate(model, progress(samples, desc="samples", unit="sample", quiet=arguments.quiet))
        lines.append(line)
    if arguments.fit != "temperature":
        model, more = fit_gate(model, photos, arguments, protocol)
        lines += more
    state = official_state(model.networks, model.config)
    save_model(arguments.output, state, model.metadata, parse_dtype(arguments.precision))
    for line in (f"{arguments.output} is written", *lines):
        say(line, quiet=arguments.quiet)
    return problems.exit_code()


def fit_gate(
    model: AutoDIR, photos: Mapping[str, Tensor], arguments: argparse.Namespace, protocol: Protocol
) -> tuple[AutoDIR, list[str]]:
    """Fit the thresholds of the quality gate; return the model with them, and a line about each."""
    damage = [label for label in model.labels if label != CLEAN]
    samples = photo_samples(photos, damage, protocol)
    samples += some_mixtures(photo_samples(photos, damage, replace(protocol, mixtures=True)), len(damage))
    samples += photo_samples(photos, [CLEAN], replace(protocol, crops=protocol.crops * len(damage)))
    watched = progress(samples, desc="rounds", unit="round", quiet=arguments.quiet)
    rounds = judge_rounds(model, watched, preset(PRESETS.default)[1], arguments.seed)
    gate = fit_thresholds(rounds, model.labels)
    return AutoDIR(model.networks, model.config, replace(model.metadata, gate=gate)), describe(rounds, gate)


def make_protocol(arguments: argparse.Namespace) -> Protocol:
    """Return the protocol that the options describe, which are named like its fields."""
    chosen = {field.name: getattr(arguments, field.name) for field in fields(Protocol)}
    if chosen["severity"] is None:
        chosen["severity"] = Protocol.severity
    if not (arguments.pairs or arguments.unpaired):
        chosen["size"] = arguments.size or CROP_SIZE
    return Protocol(**chosen)


def find_source(arguments: argparse.Namespace, model: AutoDIR, protocol: Protocol, on_error: OnError) -> Source:
    """Return the samples that the arguments name; `on_error` is called for what cannot be used."""
    cropped = f", their central {protocol.size} pixels" if protocol.size else ""
    if arguments.pairs:
        folders = find_folders(arguments, model)
        place = "; ".join(f"{pair.degraded} {pair.reference}" for pair in folders)
        return Source("pair", cropped, place, pair_samples(folders, protocol, on_error))
    if arguments.unpaired:
        samples = unpaired_samples(arguments.unpaired, protocol)
        return Source("unpaired photo", cropped, str(arguments.unpaired), samples)
    return synthetic_source(arguments.photos, model, protocol, on_error)


def synthetic_source(folder: Path | None, model: AutoDIR, protocol: Protocol, on_error: OnError) -> Source:
    """Return the samples of clean photos, of a folder or of Python packages."""
    photos = load_photos(folder, protocol.size or CROP_SIZE, on_error)
    severity = " to ".join(f"{bound:g}" for bound in dict.fromkeys(protocol.severity_range))
    details = f", {count(protocol.crops, 'crop')} of {protocol.size} pixels each, severity {severity}"
    place = str(folder) if folder else "photos of Python packages"
    return Source("photo", details, place, photo_samples(photos, model.labels, protocol), len(photos))


def find_folders(arguments: argparse.Namespace, model: AutoDIR) -> list[PairFolders]:
    """Return the folders of `--pairs`; InputError for a label that the model does not have."""
    if arguments.label:
        labels = [check_labels([label], model.labels)[0] for label in arguments.label]
        labeled = zip(arguments.pairs, labels, strict=True)
        return [PairFolders(degraded, reference, label) for (degraded, reference), label in labeled]
    return [one for pair in arguments.pairs for one in find_pair_folders(pair[0], pair[1], model.labels)]


def find_lpips(arguments: argparse.Namespace, model: AutoDIR) -> Distance | None:
    """Load LPIPS where it is asked for or, by default, installed; None where it is not measured."""
    wanted = is_installed("lpips") if arguments.lpips is None else arguments.lpips
    return load_lpips(model.device) if wanted and not arguments.unpaired else None


def describe_run(
    arguments: argparse.Namespace, model: AutoDIR, protocol: Protocol, source: Source, lpips: Distance | None
) -> Provenance:
    """Return the provenance of this run."""
    foreign = protocol.degrader == "albumentations"
    missing = "" if is_installed("lpips") else ": the package lpips is not installed"
    weights = Path(arguments.model or MINI)
    return Provenance(
        model=model.metadata.name or weights.stem,
        sha256=sha256(weights),
        device=str(model.device),
        precision=str(model.dtype).removeprefix("torch."),
        versions=versions() | ({"albumentations": version("albumentations")} if foreign else {}),
        source=source.place,
        protocol=protocol,
        lpips="AlexNet" if lpips else f"not measured{missing}",
    )


def measure(
    model: AutoDIR,
    source: Source,
    provenance: Provenance,
    on_error: OnError,
    *,
    lpips: Distance | None,
    store: ResultStore | None,
    quiet: bool,
) -> list[SampleResult]:
    """Return a result per sample that can be measured; InputError where none can.

    New ones are written to the store at once, those already in it are not repeated.
    """
    samples = source.samples
    finished = store.open(provenance) if store else []
    if store and not finished and store.has_report():
        complain(f"{store.folder} holds a report without {store.path.name}: every sample is measured again")
    initial = len({result.key for result in finished} & {sample.key for sample in samples})

    def on_result(result: SampleResult, images: SampleImages) -> None:
        if store:
            store.append(result, images)
        bar.update()

    with progress(total=len(samples), initial=initial, desc="samples", unit="sample", quiet=quiet) as bar:
        results = evaluate(
            *(model, samples, provenance.protocol),
            lpips=lpips,
            finished=finished,
            on_result=on_result,
            on_error=on_error,
        )
    if not results:
        raise InputError(f"no {source.noun} of {source.place} can be measured")
    return results


def headline(provenance: Provenance, source: Source, *, measured: int, left_out: int) -> str:
    """Return model, date, samples and settings in one line."""
    protocol = provenance.protocol
    samples = count(measured if source.number is None else source.number, source.noun) + source.details
    parts = {
        f"{samples}, {left_out} left out" if left_out else samples: True,
        f"degraded by {protocol.degrader}": protocol.degrader != STANDARD,
        count(protocol.steps, "step"): True,
        f"assessed crops {protocol.assess_crops}": protocol.assess_crops != CROPS.default,
        f"min confidence {protocol.min_confidence:g}": protocol.min_confidence > 0,
        "quality gate": protocol.gate,
        f"{protocol.order} order": protocol.order != ORDERS.default,
        f"seed {protocol.seed}": True,
        f"{provenance.precision} on {provenance.device.partition(':')[0]}": True,
    }
    told = ", ".join(part for part, tell in parts.items() if tell)
    return f"{provenance.model}, {date.today().isoformat()}: {told}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 pair" and "2 pairs"."""
    return f"{number} {noun}{'s' * (number != 1)}"
