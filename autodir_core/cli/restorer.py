"""Restore from file to file, with everything that is written next to the result."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .. import __version__
from ..choices import COLOR_METHODS
from ..errors import InputError, explain_full_memory
from ..imaging.color import match_color
from ..imaging.files import Picture, read_picture, write_picture
from ..imaging.formats.deep_tiff import SUFFIXES, read_floats, write_floats
from ..imaging.formats.encoding import DEEP_FORMATS
from ..imaging.layout import from_uint8, to_gray, to_uint8
from ..imaging.mask import fit_map, mask_restoration
from ..imaging.paths import FORMATS, warn_once
from ..model import MINI, AutoDIR
from ..outputs import Restoration, Round, StageProgress, untouched
from ..pipeline import restore
from ..reporting.montage import MAX_HEIGHT, round_montage
from ..reporting.page import setting_text
from ..reporting.restoration_page import restoration_page
from ..reporting.summary import round_line, stop_line, to_dict
from ..serialization.atomic import copy_file, write_text
from ..serialization.hashing import sha256
from ..settings import LoopSettings, SamplerSettings, preset
from .console import progress_off, say
from .options import DEPTHS, chosen_labels
from .pictures import PAGE_ENDING, REPORT_ENDING, Job, find_mask, round_ending


def loop_settings(arguments: argparse.Namespace, labels: Sequence[str]) -> LoopSettings:
    base = preset(arguments.preset)[0]
    return replace(
        base,
        max_rounds=arguments.max_rounds,
        labels=None if arguments.labels is None else labels,
        prompt=arguments.prompt or None,
        scm_weight=arguments.scm_weight,
        crops=arguments.crops,
        min_confidence=arguments.min_confidence,
        round_height=MAX_HEIGHT,
        gate=base.gate if arguments.gate is None else arguments.gate,
        strength=arguments.strength,
        order=arguments.order,
        local=arguments.local,
        candidates=arguments.candidates,
    )


def sampler_settings(arguments: argparse.Namespace) -> SamplerSettings:
    names = ("steps", "sampler", "text_guidance", "image_guidance", "negative_prompt")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    return replace(preset(arguments.preset)[1], **given)


BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}"

LINES_FROM_TILES = 4
"""Tiles of a stage from which on it is announced where there is no progress bar: it may take a minute."""


class Restorer:
    """The model and the settings of one run of the command."""

    def __init__(self, model: AutoDIR, arguments: argparse.Namespace) -> None:
        """InputError for labels that the model does not know."""
        self.model = model.tiled(arguments.tile_size)
        self.arguments = arguments
        self.labels = chosen_labels(arguments, model.labels)
        self.loop, self.sampler = loop_settings(arguments, self.labels), sampler_settings(arguments)

    @cached_property
    def weights(self) -> dict[str, str]:
        """The weights file: its name, the model's, and the SHA-256 of its content."""
        path = Path(self.arguments.model or MINI)
        return {"file": path.name, "name": self.model.metadata.name, "sha256": sha256(path)}

    def restore(self, job: Job) -> None:
        """Restore one file; the result is written last, so that a picture whose result exists is done."""
        picture = self.read(job.source)
        check_target(job, picture)
        reporter = ProgressReporter(job.source.name, self.labels, self.sampler.steps, self.arguments)
        restoration = self.process(job, picture, reporter)
        self.write_extras(job, picture, restoration, reporter)
        self.write_result(job, picture, restoration.image)
        say(f"{job.source.name}: {stop_line(restoration)} -> {job.target}", quiet=self.arguments.quiet)

    def read(self, path: Path) -> Picture:
        """Return the picture in 0..1; with --keep-range that of a float TIFF file with its excess."""
        floats = read_floats(path) if self.arguments.keep_range else None
        if floats is None:
            return read_picture(path)
        whole = torch.from_numpy(floats.color)[None]
        image = whole.clamp(0, 1)
        return Picture(image, None, floats.metadata, "TIFF", 32, whole - image, floats.gray)

    def process(self, job: Job, picture: Picture, reporter: ProgressReporter) -> Restoration:
        """Return the outcome of one picture, with matched colors and inside its mask."""
        mask = self.read_mask(job, picture.image)
        with reporter.bar:
            wanted = mask is None or bool(mask.any())
            restoration = self.run_loop(job, picture.image, reporter) if wanted else untouched(picture.image)
        return mask_restoration(picture.image, self.match_colors(picture.image, restoration), mask)

    def write_result(self, job: Job, picture: Picture, result: Tensor) -> None:
        """Write the result with the metadata of its source, or copy the file bit for bit where nothing was changed."""
        kept = FORMATS.get(job.target.suffix.lower()) == picture.format
        if picture.format in DEEP_FORMATS:
            kept = kept and self.arguments.depth in (None, picture.depth)
        if kept and torch.equal(result, picture.image):
            copy_file(job.source, job.target)
        elif picture.excess is not None:
            whole = (result + picture.excess)[0]
            write_floats(job.target, (to_gray(whole) if picture.gray else whole).numpy(), picture.metadata)
        else:
            depth = self.arguments.depth or picture.depth
            if depth > max(DEPTHS):
                warn_once(f"{job.target}: written with {max(DEPTHS)} bits a channel; --keep-range keeps floats")
            alpha, metadata = picture.alpha, picture.metadata
            write_picture(job.target, result, alpha=alpha, metadata=metadata, depth=depth, gray=picture.gray)

    def run_loop(self, job: Job, image: Tensor, reporter: ProgressReporter) -> Restoration:
        """Return the outcome of the loop; AutoDIRError where not even the smallest tiles fit into the memory."""
        height, width = image.shape[1:3]
        with explain_full_memory(f"{job.source} ({width} x {height})", self.model.device.type):
            return restore(
                self.model,
                image,
                self.loop,
                self.sampler,
                seed=self.arguments.seed,
                on_round=reporter.on_round,
                on_stage=reporter.on_stage,
            )

    def read_mask(self, job: Job, image: Tensor) -> Tensor | None:
        """Return where a picture is to be restored, [1, H, W] in 0..1; None for everywhere."""
        path = job.mask or (find_mask(self.arguments.mask, job.source) if self.arguments.mask else None)
        if path is None:
            return None
        return fit_map(read_picture(path).image, image, name="mask").clamp(0, 1)

    def match_colors(self, image: Tensor, restoration: Restoration) -> Restoration:
        """Return the outcome with the colors of the input, where that is asked for and something was changed."""
        method = self.arguments.match_color
        if method not in COLOR_METHODS or not any(done.changed(0) for done in restoration.rounds):
            return restoration
        return replace(restoration, image=match_color(restoration.image, image, method))

    def write_extras(self, job: Job, picture: Picture, restoration: Restoration, reporter: ProgressReporter) -> None:
        """Write what `--save-rounds`, `--montage` and `--report` ask for."""
        for number, levels in enumerate(reporter.rounds, start=1):
            write_picture(job.sibling(round_ending(number)), from_uint8(levels), alpha=picture.alpha)
        if self.arguments.montage:
            write_picture(job.sibling(self.arguments.montage), round_montage(picture.image, restoration))
        if self.arguments.report:
            facts = self.report(job, restoration, reporter.seconds)
            page = restoration_page(
                *(job.source.name, picture.image, restoration),
                seconds=reporter.seconds,
                settings=settings_rows(facts),
                language=self.arguments.language,
            )
            write_text(job.sibling(REPORT_ENDING), json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
            write_text(job.sibling(PAGE_ENDING), page)

    def report(self, job: Job, restoration: Restoration, seconds: Sequence[float]) -> dict[str, Any]:
        """Return what was done to a picture, and how."""
        outcome = to_dict(restoration)
        outcome["rounds"] = [
            done | {"seconds": round(s, 3)} for done, s in zip(outcome["rounds"], seconds, strict=True)
        ]
        options = {name: getattr(self.arguments, name) for name in ("preset", "match_color", "mask", "tile_size")}
        return {
            "input": job.source.name,
            "output": job.target.name,
            "model": self.weights,
            "device": str(self.model.device),
            "precision": str(self.model.dtype).removeprefix("torch."),
            "settings": asdict(self.sampler) | asdict(replace(self.loop, round_height=None)) | options,
            "seed": self.arguments.seed,
            "versions": versions(),
            **outcome,
        }


def check_target(job: Job, picture: Picture) -> None:
    """InputError for a result that cannot hold floats."""
    if picture.excess is not None and job.target.suffix.lower() not in SUFFIXES:
        raise InputError(f"--keep-range writes float TIFF files, {job.target} is none; give .tif to .tif")


def settings_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a report was made with, name and value."""
    named = {name: report[name] for name in ("output", "device", "precision", "seed")}
    model = {f"model {name}": value for name, value in report["model"].items()}
    rows = named | model | report["settings"] | report["versions"]
    return [(name.replace("_", " "), setting_text(value)) for name, value in rows.items()]


def versions() -> dict[str, str]:
    """Return the version of everything that can change the numbers."""
    import diffusers
    import open_clip

    modules = {"torch": torch, "diffusers": diffusers, "open_clip": open_clip}
    return {"autodir": __version__, "python": platform.python_version()} | {
        name: module.__version__ for name, module in modules.items()
    }


class ProgressReporter:
    """The progress bar of one picture, the line of each round, its seconds, and its picture if it will be saved.

    Where there is no terminal to draw a bar on, each stage of a large picture is announced by a line.
    """

    def __init__(self, name: str, labels: Sequence[str], steps: int, arguments: argparse.Namespace) -> None:
        self.name, self.labels, self.steps, self.quiet = name, labels, steps, arguments.quiet
        self.bar = tqdm(total=1.0, desc=name, bar_format=BAR, disable=progress_off(self.quiet), leave=False)
        self.save_rounds = arguments.save_rounds
        self.rounds: list[Tensor] = []  # with 8 bits, a quarter of the memory
        self.seconds: list[float] = []
        self.round_start = perf_counter()

    def on_stage(self, at: StageProgress) -> None:
        tiles = at.total // self.steps if at.stage == "sample" else at.total
        if at.done == 0 and tiles >= LINES_FROM_TILES and self.bar.disable:
            say(f"{self.name}: round {at.round + 1}, {at.stage} in {tiles} tiles", quiet=self.quiet)
        self.bar.set_description(f"{self.name}, round {at.round + 1}, {at.stage}", refresh=False)
        self.bar.set_postfix_str(f"{at.done}/{at.total}", refresh=False)
        self.bar.update(at.fraction - self.bar.n)

    def on_round(self, picture: int, done: Round) -> None:
        now = perf_counter()
        self.seconds.append(now - self.round_start)
        self.round_start = now
        if self.save_rounds:
            self.rounds.append(to_uint8(done.image))
        line = round_line(len(self.seconds), done, self.labels)
        say(f"{self.name}: {line}, {self.seconds[-1]:.1f} s", quiet=self.quiet)
