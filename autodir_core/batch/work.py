"""What a batch does to a picture and to a film: assess or restore; imported on use: it needs torch."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from tqdm import tqdm

from ..choices import COLOR_METHODS
from ..cli.console import LINE, LINE_SECONDS, say
from ..cli.options import chosen_labels
from ..cli.pictures import Job
from ..cli.restorer import ProgressReporter, Restorer
from ..imaging.files import Picture, read_picture
from ..imaging.formats.encoding import DEEP_FORMATS
from ..imaging.metrics import psnr
from ..imaging.paths import FORMATS
from ..model import AutoDIR
from ..outputs import Assessment, Restoration
from ..reporting.summary import AGREEMENT, assessment_dict, to_dict
from ..serialization.atomic import copy_file
from .journal import Outcome
from .planning.item import Item, is_film
from .run import Work
from .staging import Staging


def chosen_work(model: AutoDIR, arguments: argparse.Namespace, staging: Staging) -> Work[Any, Any]:
    """Return the work that the options ask for."""
    own = argparse.Namespace(**vars(arguments) | {"output": staging.results})
    work = assess_work(model, own) if arguments.assess_only else restore_work(model, own)
    return replace(work, staging=staging)


def read_source(path: Path, center: int | None = None) -> Picture | Path:
    """Decode a picture, as `read_picture` does; a film is read frame by frame later."""
    return path if is_film(path) else read_picture(path, center=center)


def assess_work(model: AutoDIR, arguments: argparse.Namespace) -> Work[Picture | Path, Assessment]:
    labels = chosen_labels(arguments, model.labels)
    seen = model.config.clip.image if arguments.crops == "center" else None

    def process(item: Item, source: Picture | Path) -> Assessment:
        if isinstance(source, Path):
            from .films.shots import assess_film

            return assess_film(model, source, labels, arguments.crops)
        return model.assess(source.image, labels, arguments.crops)

    def write(item: Item, source: Picture | Path, found: Assessment) -> Outcome:
        [entry] = assessment_dict(found)["pictures"]
        agreement = {AGREEMENT: entry[AGREEMENT]} if AGREEMENT in entry else {}
        return Outcome("done", found.top[0], facts=entry["probabilities"] | agreement)

    return Work(process, write, partial(read_source, center=seen))


def restore_work(model: AutoDIR, arguments: argparse.Namespace) -> Work[Picture | Path, Any]:
    restorer = Restorer(model, arguments)

    def read(path: Path) -> Picture | Path:
        return path if is_film(path) else restorer.read(path)

    def process(item: Item, source: Picture | Path) -> Any:
        if isinstance(source, Path):
            return restore_one_film(item, restorer)
        quiet = argparse.Namespace(**vars(arguments) | {"quiet": True})
        reporter = ProgressReporter(item.name, restorer.labels, restorer.sampler.steps, quiet)
        return restorer.process(job_of(item, arguments), source, reporter)

    def write(item: Item, source: Picture | Path, done: Any) -> Outcome:
        outcome = film_outcome(done) if isinstance(source, Path) else restoration_outcome(source, done)
        if outcome.state == "clean" and arguments.skip_clean:
            return outcome
        if outcome.state == "clean" and item.copy and keeps_depth(item, source, arguments):
            copy_file(item.source_path, arguments.output / item.copy)
            return replace(outcome, result=item.copy)
        if isinstance(source, Picture):
            restorer.write_result(job_of(item, arguments), source, done.image)
        return replace(outcome, result=item.name)

    return Work(process, write, read)


def keeps_depth(item: Item, source: Picture | Path, arguments: argparse.Namespace) -> bool:
    """Return whether a copy has the depth that is asked for, or the result would have no choice either."""
    has_choice = FORMATS.get(Path(item.name).suffix.lower()) in DEEP_FORMATS
    return isinstance(source, Path) or not has_choice or arguments.depth in (None, source.depth)


def job_of(item: Item, arguments: argparse.Namespace) -> Job:
    return Job(item.source_path, arguments.output / item.name, item.mask)


def restoration_outcome(picture: Picture, done: Restoration) -> Outcome:
    """Return what the journal notes of a restored picture."""
    clean = torch.equal(done.image, picture.image)
    facts = to_dict(done) | ({} if clean else {"changed": round(psnr(done.image, picture.image), 2)})
    kept = [str(one.label or "custom prompt") for one in done.rounds if one.changed(0)]
    return Outcome("clean" if clean else "done", ", ".join(kept) or done.stopped[0].replace("_", " "), facts=facts)


def restore_one_film(item: Item, restorer: Restorer) -> Sequence[Any]:
    """Restore a film, whose result is written as it goes on; return its shots."""
    from .films.shots import FrameOptions, remove_parts, restore_film

    arguments = restorer.arguments

    mask = read_picture(item.mask).image if item.mask else None
    if mask is not None and not mask.any():
        remove_parts(arguments.output / item.name)
        return []
    color = arguments.match_color if arguments.match_color in COLOR_METHODS else None
    return restore_film(
        *(restorer.model, item.source_path, arguments.output / item.name, restorer.loop, restorer.sampler),
        seed=arguments.seed,
        frames=FrameOptions(color, arguments.blend, mask),
        tell=FilmProgress(item.name, quiet=arguments.quiet).tell,
    )


class FilmProgress:
    """Prints how far a film is, its rate and the time left: a line every half a minute, and one at its end after those.

    Rate and time are those of the frames since it went on: the ones that an earlier run made cost this one nothing.
    """

    def __init__(self, name: str, *, quiet: bool, clock: Callable[[], float] = monotonic) -> None:
        self.name, self.quiet, self.clock = name, quiet, clock
        self.due = clock() + LINE_SECONDS
        self.spoke, self.last = False, 0
        self.begun = 0.0, 0  # when it went on, and after how many frames

    def tell(self, done: int, total: int) -> None:
        """See `films.shots.Tell`."""
        now = self.clock()
        if self.last == 0 or done != self.last + 1:
            self.begun = now, done
        self.last = done
        if now >= self.due or (done == total and self.spoke):
            self.due, self.spoke = now + LINE_SECONDS, True
            start, before = self.begun
            line = tqdm.format_meter(
                *(done, total, now - start), initial=before, prefix=self.name, unit="frame", bar_format=LINE
            )
            say(line, quiet=self.quiet)


def film_outcome(shots: Sequence[Any]) -> Outcome:
    """Return what the journal notes of a restored film: the frames of each shot, its rounds, and why they ended."""
    facts: list[dict[str, Any]] = [
        {
            "frames": (first, end),
            "rounds": [str(planned.label or "custom prompt") for planned in decision.rounds],
            "stopped": decision.outcome.stopped[0].replace("_", " "),
        }
        for first, end, decision in shots
    ]
    found = list(dict.fromkeys(label for shot in facts for label in shot["rounds"]))
    ends = dict.fromkeys(shot["stopped"] for shot in facts) or {"empty mask": None}
    return Outcome("done" if found else "clean", ", ".join(found or ends), facts={"shots": facts})
