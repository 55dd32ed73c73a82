"""Restore pictures: find what degrades them and remove it, round by round."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ..errors import AutoDIRError, InputError
from ..imaging.files import Picture, atomic_path, read_picture, write_picture
from ..settings import SAMPLERS, LoopSettings, Restoration, Round, SamplerSettings
from .console import progress_off, say
from .options import (
    add_model_options,
    add_output_options,
    add_quiet,
    add_threshold,
    add_tile,
    add_view,
    at_least,
    chosen_labels,
    finite,
    load_model,
    names,
)
from .pictures import Job, for_each, plan_jobs

if TYPE_CHECKING:
    from torch import Tensor

    from ..model import AutoDIR
    from ..pipeline import Progress

SAMPLE = Path(__file__).parents[1] / "assets" / "sample.png"
REPORT_ENDING, SHEET_ENDING = ".json", "_sheet.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pictures",
        nargs="*",
        metavar="PICTURES",
        help="files or folders (default: the sample that ships with the pack)",
    )
    add_output_options(parser, "restored")
    add_model_options(parser)
    add_tile(parser)
    add_view(parser)
    add_sampler_options(parser)
    add_loop_options(parser)
    extras = parser.add_argument_group("what is written beside the result (default: nothing)")
    extras.add_argument("--save-rounds", action="store_true", help="the picture after each round, NAME_round1.png")
    extras.add_argument("--report", action="store_true", help="settings, versions, rounds and seconds, NAME.json")
    extras.add_argument("--sheet", action="store_true", help="input, rounds and result side by side, NAME_sheet.png")
    add_quiet(parser)


def add_sampler_options(parser: argparse.ArgumentParser) -> None:
    paper, group = SamplerSettings(), parser.add_argument_group("diffusion")
    group.add_argument(
        "--steps", type=at_least(1), default=paper.steps, help="network evaluations per round (default: %(default)s)"
    )
    group.add_argument("--sampler", choices=SAMPLERS, default=paper.sampler, help="(default: %(default)s)")
    group.add_argument(
        "--text-guidance", type=finite, default=paper.text_guidance, help="1 is no extrapolation (default: %(default)s)"
    )
    group.add_argument(
        "--image-guidance",
        type=finite,
        default=paper.image_guidance,
        help="1 is no extrapolation (default: %(default)s)",
    )
    group.add_argument(
        "--seed", type=at_least(0), default=0, help="of the noise, for every picture (default: %(default)s)"
    )


def add_loop_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("rounds")
    group.add_argument(
        "--max-rounds", type=at_least(1), default=LoopSettings().max_rounds, help="at most (default: %(default)s)"
    )
    group.add_argument(
        "--labels", type=names, help='to look for, between commas, such as "haze,low resolution,no" (default: all)'
    )
    add_threshold(group)
    group.add_argument("--prompt", help="your own words instead of the assessment, one round (default: assess)")
    group.add_argument(
        "--scm-weight", type=finite, help="strength of the structure correction (default: the model's own table)"
    )
    group.add_argument(
        "--match-color",
        choices=("none", "adain", "wavelet"),
        default="none",
        help="give the result the colours of the input (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    jobs = plan_jobs(inputs(arguments), arguments, "restored", endings(arguments))
    if len(jobs) == 1:
        read_picture(jobs[0].source)  # an only picture that is broken is told before the model is loaded
    if not jobs:
        return 0
    restorer = Restorer(load_model(arguments), arguments)
    return for_each(jobs, restorer.restore, quiet=arguments.quiet)


def inputs(arguments: argparse.Namespace) -> list[str]:
    """The given paths, or the sample that ships with the pack."""
    if arguments.pictures:
        return arguments.pictures
    if not SAMPLE.is_file():
        raise InputError(f"give a picture to restore: the sample {SAMPLE} is not part of this installation")
    say("no picture given: restoring the sample that ships with the pack", quiet=arguments.quiet)
    return [str(SAMPLE)]


def endings(arguments: argparse.Namespace) -> list[str]:
    """Of the files that are asked for beside a result."""
    rounds = [round_ending(number) for number in range(1, arguments.max_rounds + 1)]
    return rounds * arguments.save_rounds + [REPORT_ENDING] * arguments.report + [SHEET_ENDING] * arguments.sheet


def round_ending(number: int) -> str:
    return f"_round{number}.png"


def loop_settings(arguments: argparse.Namespace) -> LoopSettings:
    return LoopSettings(
        max_rounds=arguments.max_rounds,
        labels=arguments.labels,
        prompt=arguments.prompt,
        scm_weight=arguments.scm_weight,
        view=arguments.view,
        threshold=arguments.threshold,
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
        import torch

        from ..pipeline import restore

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
        from ..imaging.color import match_color

        if self.arguments.match_color == "none" or not restoration.rounds:
            return restoration
        return replace(restoration, image=match_color(restoration.image, reference, self.arguments.match_color))

    def write_extras(self, job: Job, picture: Picture, restoration: Restoration, seconds: Sequence[float]) -> None:
        """What `--save-rounds`, `--sheet` and `--report` ask for."""
        from ..reporting.montage import strip

        if self.arguments.save_rounds:
            for number, done in enumerate(restoration.rounds, start=1):
                write_picture(job.beside(round_ending(number)), self.after(done), alpha=picture.alpha)
        if self.arguments.sheet:
            write_picture(job.beside(SHEET_ENDING), strip(picture.image, restoration))
        if self.arguments.report:
            with atomic_path(job.beside(REPORT_ENDING)) as temporary:
                text = json.dumps(self.report(job, restoration, seconds), indent=2, ensure_ascii=False)
                temporary.write_text(text + "\n", encoding="utf-8")

    def after(self, done: Round) -> Tensor:
        """The picture that a round leaves: what the next one starts from."""
        from ..stages.correction import scm_weight, weigh

        weight = scm_weight(done.label, self.model.metadata.scm_weight, self.loop.scm_weight)
        return weigh(done.generated, done.corrected, weight)

    def report(self, job: Job, restoration: Restoration, seconds: Sequence[float]) -> dict[str, Any]:
        """What was done to a picture, with everything it takes to do it again."""
        from ..model import MINI
        from ..reporting.summary import as_json

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
        from tqdm import tqdm

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
        from ..reporting.summary import round_line

        now = perf_counter()
        self.seconds.append(now - self.since)
        self.since = now
        line = round_line(len(self.seconds), done, self.labels)
        say(f"{self.name}: {line}, {self.seconds[-1]:.1f} s", quiet=self.quiet)

    def finish(self, restoration: Restoration, target: Path) -> None:
        from ..reporting.summary import stop_line

        say(f"{self.name}: {stop_line(restoration)} -> {target}", quiet=self.quiet)
