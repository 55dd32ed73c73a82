"""Restoration from file to file, with everything that is written beside the result."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ..errors import AutoDIRError
from ..imaging.color import match_color
from ..imaging.files import Picture, read_picture, write_picture
from ..imaging.paths import atomic_path
from ..model import MINI, AutoDIR
from ..outputs import Restoration, Round
from ..pipeline import Progress, restore
from ..reporting.montage import round_montage
from ..reporting.summary import as_json, round_line, stop_line
from ..settings import LoopSettings, SamplerSettings
from .console import progress_off, say
from .options import chosen_labels
from .pictures import REPORT_ENDING, SHEET_ENDING, Job, round_ending


def loop_settings(arguments: argparse.Namespace) -> LoopSettings:
    return LoopSettings(
        max_rounds=arguments.max_rounds,
        labels=arguments.labels,
        prompt=arguments.prompt,
        scm_weight=arguments.scm_weight,
        crops=arguments.crops,
        min_confidence=arguments.min_confidence,
    )


def sampler_settings(arguments: argparse.Namespace) -> SamplerSettings:
    return SamplerSettings(arguments.steps, arguments.sampler, arguments.text_guidance, arguments.image_guidance)


class Restorer:
    """The model and the settings of one run."""

    def __init__(self, model: AutoDIR, arguments: argparse.Namespace) -> None:
        """InputError for labels that the model does not know."""
        self.model = model.tiled(arguments.tile)
        self.arguments = arguments
        self.loop, self.sampler = loop_settings(arguments), sampler_settings(arguments)
        self.labels = chosen_labels(arguments, model)

    def restore(self, job: Job) -> None:
        """One picture from file to file; the result is written last, so that its being there means done."""
        picture = read_picture(job.source)
        watch = Watch(job.source.name, self.labels, self.sampler.steps, quiet=self.arguments.quiet)
        with watch.bar:
            restoration = self.restored(job, picture, watch)
        self.write_extras(job, picture, restoration, watch.seconds)
        write_picture(job.target, restoration.image, alpha=picture.alpha)
        watch.finish(restoration, job.target)

    def restored(self, job: Job, picture: Picture, watch: Watch) -> Restoration:
        """The outcome with matched colours; AutoDIRError where it does not fit into the GPU's memory."""
        try:
            restoration = restore(
                self.model,
                picture.image,
                self.loop,
                self.sampler,
                seed=self.arguments.seed,
                on_step=watch.step,
                on_round=watch.round,
            )
        except torch.cuda.OutOfMemoryError as error:
            size = f"{picture.image.shape[2]} x {picture.image.shape[1]}"
            raise AutoDIRError(
                f"{job.source} ({size}) does not fit into the memory of {self.model.device}; "
                "scale it down, close other programs or take --device cpu"
            ) from error
        return self.color_matched(restoration, picture.image)

    def color_matched(self, restoration: Restoration, reference: Tensor) -> Restoration:
        if self.arguments.match_color == "none" or not restoration.rounds:
            return restoration
        return replace(restoration, image=match_color(restoration.image, reference, self.arguments.match_color))

    def write_extras(self, job: Job, picture: Picture, restoration: Restoration, seconds: Sequence[float]) -> None:
        """What `--save-rounds`, `--sheet` and `--report` ask for."""
        if self.arguments.save_rounds:
            for number, done in enumerate(restoration.rounds, start=1):
                write_picture(job.beside(round_ending(number)), done.image, alpha=picture.alpha)
        if self.arguments.sheet:
            write_picture(job.beside(SHEET_ENDING), round_montage(picture.image, restoration))
        if self.arguments.report:
            with atomic_path(job.beside(REPORT_ENDING)) as temporary:
                text = json.dumps(self.report(job, restoration, seconds), indent=2, ensure_ascii=False)
                temporary.write_text(text + "\n", encoding="utf-8")

    def report(self, job: Job, restoration: Restoration, seconds: Sequence[float]) -> dict[str, Any]:
        """What was done to a picture, with everything it takes to do it again."""
        told = as_json(restoration)
        told["rounds"] = [done | {"seconds": round(s, 3)} for done, s in zip(told["rounds"], seconds, strict=True)]
        return {
            "input": job.source.name,
            "output": job.target.name,
            "model": {"file": Path(self.arguments.model or MINI).name, "name": self.model.metadata.name},
            "device": str(self.model.device),
            "precision": str(self.model.dtype).removeprefix("torch."),
            "settings": asdict(self.sampler)
            | asdict(self.loop)
            | {"match_color": self.arguments.match_color, "tile": self.arguments.tile},
            "seed": self.arguments.seed,
            "versions": versions(),
            **told,
        }


def versions() -> dict[str, str]:
    """Of everything whose change may change the numbers."""
    import diffusers
    import open_clip
    import torch

    from .. import __version__

    modules = {"torch": torch, "diffusers": diffusers, "open_clip": open_clip}
    return {"autodir": __version__, "python": platform.python_version()} | {
        name: module.__version__ for name, module in modules.items()
    }


class Watch:
    """The progress bar of one picture, the line of each round, and the seconds it took."""

    def __init__(self, name: str, labels: Sequence[str], steps: int, *, quiet: bool) -> None:
        self.name, self.labels, self.quiet = name, labels, quiet
        self.bar = tqdm(total=steps, desc=name, unit="step", disable=progress_off(quiet), leave=False)
        self.seconds: list[float] = []
        self.since = perf_counter()

    def step(self, progress: Progress, estimate: Tensor) -> None:
        if progress.step == 1:
            self.bar.reset(progress.steps)
            self.bar.set_description(f"{self.name}, round {progress.round + 1}")
        self.bar.update()

    def round(self, picture: int, done: Round) -> None:
        now = perf_counter()
        self.seconds.append(now - self.since)
        self.since = now
        line = round_line(len(self.seconds), done, self.labels)
        say(f"{self.name}: {line}, {self.seconds[-1]:.1f} s", quiet=self.quiet)

    def finish(self, restoration: Restoration, target: Path) -> None:
        say(f"{self.name}: {stop_line(restoration)} -> {target}", quiet=self.quiet)
