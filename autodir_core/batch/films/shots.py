"""Restore a film shot by shot: each is looked at in a few frames, and what was decided is done to all of its frames."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, groupby, islice, pairwise
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import InputError
from ...imaging.color import match_color
from ...imaging.layout import from_uint8, to_uint8
from ...imaging.mask import apply_mask
from ...imaging.paths import fit_name
from ...imaging.temporal import RADIUS, blend_in_time, find_cuts, measure_changes
from ...loop_policy import mean_assessment, sample_numbers
from ...model import AutoDIR
from ...outputs import Assessment, Decision
from ...pipeline import decide, repeat_rounds
from ...serialization.atomic import write_text
from ...serialization.temporary import is_temporary
from ...settings import LoopSettings, SamplerSettings
from .film import Stamp, VideoFormat, read_format, read_frames, read_thumbnails, rising_times
from .parts import QUALITY, check_result, join_parts, write_part

PART_FRAMES = 120
"""Frames that are lost at most when a process ends."""

PARTS_ENDING, MARK = ".parts", "made_of"
"""Of the folder of a film's parts, and in it the file with their `fingerprint`."""

Part = tuple[int, int, Decision]
"""The first frame of a shot or of a part of it, the one after its last, and what is done to them."""

Frame = tuple[int, Tensor]
"""The time of a frame, in units of its film, and its picture [1, H, W, 3] in 0..1."""

Change = Callable[[Iterator[Frame], Decision], Iterator[Frame]]
"""Restores the frames of a shot, or of its end."""

Tell = Callable[[int, int], None]
"""Called with the number of finished frames and of all."""


@dataclass(frozen=True)
class FrameOptions:
    """What is done to the frames of a film beside their rounds.

    Attributes:
        match_color: a name of `choices.COLOR_METHODS`, or none.
        blend: whether each is averaged with its neighbors where the film flickers (`imaging.temporal`).
        mask: where they are restored, as `apply_mask` takes it.
    """

    match_color: str | None = None
    blend: bool = True
    mask: Tensor | None = None

    def facts(self) -> tuple[object, ...]:
        """Return what tells these from others."""
        if self.mask is None:
            return self.match_color, self.blend
        return self.match_color, self.blend, self.mask.shape, hashlib.sha256(self.mask.numpy().tobytes()).hexdigest()

    def change(self, frames: Iterator[Frame], restore: Callable[[Tensor], Tensor]) -> Iterator[Frame]:
        """Yield the frames of a shot, or of its end, restored."""
        waiting: deque[Frame] = deque()

        def pairs() -> Iterator[tuple[Tensor, Tensor]]:
            for pts, image in frames:
                waiting.append((pts, image))
                restored = restore(image)
                if self.match_color:
                    restored = match_color(restored, image, self.match_color)
                yield image, restored.clamp(0, 1)

        for restored in blend_in_time(pairs()) if self.blend else (restored for _, restored in pairs()):
            pts, image = waiting.popleft()
            yield pts, apply_mask(image, restored, self.mask)


def find_shots(path: Path, stamps: list[Stamp] | None = None) -> list[tuple[int, int]]:
    """Return the first frame of each shot and the one after its last, cut where the content changes at once.

    `stamps` gets when the frames are shown.
    """
    changes = measure_changes(read_thumbnails(path, stamps))
    return list(pairwise([0, *find_cuts(changes), len(changes)]))


def sample_shots(path: Path, shots: Sequence[tuple[int, int]]) -> Iterator[list[Tensor]]:
    """Yield the frames that each shot is judged by."""
    frames = enumerate(image for _, image in read_frames(path))
    for first, end in shots:
        wanted = set(sample_numbers(first, end))
        kept = [to_uint8(image) for number, image in islice(frames, end - first) if number in wanted]
        yield [from_uint8(levels) for levels in kept]


def assess_film(model: AutoDIR, path: Path, labels: Sequence[str], crops: str) -> Assessment:
    """Return the mean assessment of frames from all over a film."""
    [frames] = sample_shots(path, [(0, sum(1 for _ in read_thumbnails(path)))])
    return mean_assessment([model.assess(frame, labels, crops) for frame in frames])


def restore_film(
    model: AutoDIR,
    source: Path,
    target: Path,
    loop: LoopSettings,
    sampler: SamplerSettings,
    *,
    seed: int = 0,
    frames: FrameOptions | None = None,
    tell: Tell = lambda done, total: None,
) -> list[Part]:
    """Restore a film; return its shots.

    Parts of `PART_FRAMES` frames are kept in a folder beside `target` until all are there: a film that was interrupted
    goes on at the part where it was. Of one in which nothing is to be restored nothing is written, and no part stays.

    Args:
        model: from `load_autodir`.
        source, target: files; the suffix of `target` is one of `names.CONTAINERS`.
        loop, sampler, seed: as in `restore`, for the frames that shots are judged by; the same noise for all frames.
        frames: what else is done to them.
        tell: see `Tell`.
    """
    options, folder, stamps = frames or FrameOptions(), parts_folder(target), list[Stamp]()
    shots = find_shots(source, stamps)
    decisions = [decide(model, looked_at, loop, sampler, seed) for looked_at in sample_shots(source, shots)]
    decided = [(*frames, decision) for frames, decision in zip(shots, decisions, strict=True)]
    if not any(decision.rounds for decision in decisions):
        remove_parts(target)
        return decided
    check_result(source, target)

    def change(frames: Iterator[Frame], decision: Decision) -> Iterator[Frame]:
        if not decision.rounds:
            return frames
        return options.change(
            frames, lambda image: repeat_rounds(model, image, decision.rounds, loop, sampler, seed=seed)
        )

    keep_parts(folder, fingerprint(source, decided, (QUALITY, loop, sampler, seed, options.facts())))
    times = rising_times(source, stamps)
    writer = ShotWriter(folder, read_format(source), len(times), change, tell)
    write_film(source, target, times, writer, cut_parts(decided))
    return decided


def fingerprint(source: Path, shots: Sequence[Part], settings: tuple[Any, ...]) -> str:
    """Return what tells whether parts that are there are those that would be made."""
    facts = source.stat()
    digest = hashlib.sha256(repr((facts.st_size, facts.st_mtime_ns, settings)).encode())
    for first, end, decision in shots:
        rounds = [(planned.label, planned.strength) for planned in decision.rounds]
        digest.update(repr((first, end, rounds)).encode())
        for planned in decision.rounds:
            digest.update(planned.embedding.cpu().float().numpy().tobytes())
    return digest.hexdigest()


def write_film(source: Path, target: Path, times: Sequence[int], writer: ShotWriter, parts: Sequence[Part]) -> None:
    """Write the parts of a film that are not there yet, and the film of all."""
    join_parts(write_parts(source, times, writer, parts), source, target, len(times))
    shutil.rmtree(writer.folder)


def write_parts(source: Path, times: Sequence[int], writer: ShotWriter, parts: Sequence[Part]) -> list[Path]:
    """Write the parts of a film that are not there yet; return the files of all."""
    film = ((time, image) for time, (_, image) in zip(times, read_frames(source), strict=False))
    for _, own in groupby(parts, key=lambda part: id(part[2])):
        writer.write(list(own), film)
    return [writer.path(part) for part in parts]


def parts_folder(target: Path) -> Path:
    """Return the folder of a film's parts; InputError where something else has its name."""
    folder = target.with_name(fit_name(target.name, PARTS_ENDING))
    if folder.exists() and not holds_parts(folder):
        raise InputError(f"{folder} is needed for the parts of {target.name}, and holds other things; rename it")
    return folder


def remove_parts(target: Path) -> None:
    """Remove what an interruption left of a film that needs nothing now, as where its mask is another."""
    folder = target.with_name(fit_name(target.name, PARTS_ENDING))
    if holds_parts(folder):
        shutil.rmtree(folder, ignore_errors=True)


def holds_parts(folder: Path) -> bool:
    """Return whether this is a folder that holds nothing but parts."""
    return folder.is_dir() and all(is_part(path) for path in folder.iterdir())


def is_part(path: Path) -> bool:
    """Return whether a file in a folder of parts is one of them, their mark, or what a process left that ended."""
    return path.name == MARK or is_temporary(path) or re.fullmatch(r"\d{8,}\.part", path.name) is not None


def keep_parts(folder: Path, mark: str) -> None:
    """Remove the parts of another `fingerprint`."""
    note = folder / MARK
    if not note.is_file() or note.read_text(encoding="utf-8") != mark:
        shutil.rmtree(folder, ignore_errors=True)
        write_text(note, mark)


@dataclass(frozen=True)
class ShotWriter:
    """Writes parts of one shot after the other."""

    folder: Path
    like: VideoFormat
    total: int
    change: Change
    tell: Tell

    def path(self, part: Part) -> Path:
        return self.folder / f"{part[0]:08}.part"

    def write(self, parts: Sequence[Part], film: Iterator[Frame]) -> None:
        """Write the parts of a shot, from the first one on that is missing, out of the frames that are next.

        A few frames before that are restored again: its first ones are averaged with them.
        """
        first, end, decision = parts[0][0], parts[-1][1], parts[0][2]
        left = [*dropwhile(lambda part: self.path(part).exists(), parts)]
        start = left[0][0] if left else end
        begin = max(first, start - RADIUS) if left else end
        if start > first:
            self.tell(start, self.total)
        skip(film, begin - first)
        changed = islice(self.change(islice(film, end - begin), decision), start - begin, None)
        for part in left:
            write_part(self.path(part), self.told(islice(changed, part[1] - part[0]), part[0]), self.like)

    def told(self, frames: Iterator[Frame], first: int) -> Iterator[Frame]:
        """Yield frames, and tell of each before the next one is made."""
        for number, frame in enumerate(frames, first + 1):
            yield frame
            self.tell(number, self.total)


def skip(frames: Iterator[Frame], count: int) -> None:
    for _ in islice(frames, count):
        pass


def cut_parts(shots: Sequence[Part]) -> list[Part]:
    """Return parts of no more than `PART_FRAMES` frames of one shot each."""
    return [
        (start, min(start + PART_FRAMES, end), decision)
        for first, end, decision in shots
        for start in range(first, end, PART_FRAMES)
    ]
