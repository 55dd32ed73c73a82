"""Restore a film shot by shot: each is looked at in a few frames, and what was decided is done to all of its frames."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

from torch import Tensor

from ..imaging.layout import from_uint8, to_uint8
from ..loop_policy import mean_assessment, sample_numbers
from ..model import AutoDIR
from ..optional_imports import optional_import
from ..outputs import Assessment, Decision
from ..pipeline import decide, repeat_rounds
from ..serialization.atomic import write_text
from ..settings import LoopSettings, SamplerSettings
from .film import count_frames, join_parts, read_format, read_frames, write_part

PART_FRAMES = 120
"""Frames that are lost at most when a process ends."""

PARTS_ENDING, MARK = ".parts", "made_of"
"""Of the folder of a film's parts, and in it the file with their `fingerprint`."""


Part = tuple[int, int, Decision]
"""The first frame of a part of a film, the one after its last, and what is done to them."""

Tell = Callable[[int, int], None]
"""Called with the number of finished frames and of all."""


def find_shots(path: Path) -> list[tuple[int, int]]:
    """Return the first frame of each shot and the one after its last, cut where the content changes at once."""
    with optional_import("scenedetect", "leave films out"):
        from scenedetect import ContentDetector, SceneManager
        from scenedetect.backends.pyav import VideoStreamAv

    logging.getLogger("pyscenedetect").setLevel(logging.WARNING)  # it tells of each film that it begins
    count = count_frames(path)
    manager = SceneManager()
    manager.add_detector(ContentDetector())
    manager.detect_scenes(VideoStreamAv(str(path)))
    starts = [start.frame_num for start, _ in manager.get_scene_list()]
    edges = sorted({0, *(start for start in starts if start < count), count})
    return list(pairwise(edges))


def sample_shots(path: Path, shots: Sequence[tuple[int, int]]) -> Iterator[list[Tensor]]:
    """Yield the frames that each shot is judged by."""
    frames = enumerate(image for _, image in read_frames(path))
    for first, end in shots:
        wanted = set(sample_numbers(first, end))
        kept = [to_uint8(image) for number, image in islice(frames, end - first) if number in wanted]
        yield [from_uint8(levels) for levels in kept]


def assess_film(model: AutoDIR, path: Path, labels: Sequence[str], crops: str) -> Assessment:
    """Return the mean assessment of frames from all over a film."""
    [frames] = sample_shots(path, [(0, count_frames(path))])
    return mean_assessment([model.assess(frame, labels, crops) for frame in frames])


def restore_film(
    model: AutoDIR,
    source: Path,
    target: Path,
    loop: LoopSettings,
    sampler: SamplerSettings,
    *,
    seed: int = 0,
    tell: Tell = lambda done, total: None,
) -> list[Decision]:
    """Restore a film; return what was decided on each shot.

    Parts of `PART_FRAMES` frames are kept in a folder beside `target` until all are there: a film that was interrupted
    goes on at the part where it was. Of one in which nothing is to be restored nothing is written.

    Args:
        model: from `load_autodir`.
        source, target: files; the suffix of `target` is one of `film.CONTAINERS`.
        loop, sampler, seed: as in `restore`, for the frames that shots are judged by; the same noise for all frames.
        tell: see `Tell`.
    """
    shots = find_shots(source)
    decisions = [decide(model, frames, loop, sampler, seed) for frames in sample_shots(source, shots)]
    if not any(decision.rounds for decision in decisions):
        return decisions

    def change(image: Tensor, decision: Decision) -> Tensor:
        return repeat_rounds(model, image, decision.rounds, loop, sampler, seed=seed)

    folder = parts_folder(target, fingerprint(source, decisions, loop, sampler, seed))
    join_parts(write_parts(source, folder, cut_parts(shots, decisions), change, tell), source, target)
    shutil.rmtree(folder)
    return decisions


def fingerprint(
    source: Path, decisions: Sequence[Decision], loop: LoopSettings, sampler: SamplerSettings, seed: int
) -> str:
    """Return what tells whether parts that are there are those that would be made."""
    facts = source.stat()
    digest = hashlib.sha256(repr((facts.st_size, facts.st_mtime_ns, loop, sampler, seed)).encode())
    for decision in decisions:
        digest.update(repr([(planned.label, planned.strength) for planned in decision.rounds]).encode())
        for planned in decision.rounds:
            digest.update(planned.embedding.cpu().float().numpy().tobytes())
    return digest.hexdigest()


def parts_folder(target: Path, mark: str) -> Path:
    """Return the folder of a film's parts; those of another `fingerprint` are removed."""
    folder = target.with_name(target.name + PARTS_ENDING)
    note = folder / MARK
    if not note.is_file() or note.read_text(encoding="utf-8") != mark:
        shutil.rmtree(folder, ignore_errors=True)
        write_text(note, mark)
    return folder


def write_parts(
    source: Path, folder: Path, parts: Sequence[Part], change: Callable[[Tensor, Decision], Tensor], tell: Tell
) -> list[Path]:
    """Write the parts of a film that are not there yet; return the files of all."""
    like, frames, total = read_format(source), read_frames(source), parts[-1][1]
    paths = [folder / f"{first:08}.part" for first, _, _ in parts]
    for path, (first, end, decision) in zip(paths, parts, strict=True):
        own = islice(frames, end - first)
        if path.exists():
            for _ in own:
                pass
            tell(end, total)
        else:
            changed = ((pts, change(image, decision)) for pts, image in own)
            write_part(path, told(changed, first, total, tell), like)
    return paths


def cut_parts(shots: Sequence[tuple[int, int]], decisions: Sequence[Decision]) -> list[Part]:
    """Return parts of no more than `PART_FRAMES` frames of one shot each."""
    return [
        (start, min(start + PART_FRAMES, end), decision)
        for (first, end), decision in zip(shots, decisions, strict=True)
        for start in range(first, end, PART_FRAMES)
    ]


def told(frames: Iterator[tuple[int, Tensor]], first: int, total: int, tell: Tell) -> Iterator[tuple[int, Tensor]]:
    """Yield frames, and tell of each before the next one is made."""
    for number, frame in enumerate(frames, first + 1):
        yield frame
        tell(number, total)
