"""Which photos are to be done, under which names, and the record that says that one is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autodir_core.errors import InputError
from autodir_core.imaging.paths import atomic_path, list_pictures

from .server import Entry
from .workflow import Workflow, title_of

PathLike = str | os.PathLike[str]
RECORD_ENDING = "_comfy.json"
PROMPTS = uuid.UUID("6f6f6b0e-6c43-5c1b-9a3f-4a7d3d1f2e10")  # any fixed one: it only keeps our ids apart from others'
NAME_LENGTH = 40


@dataclass(frozen=True)
class Photo:
    """A file to upload and the SHA-256 of its content."""

    path: Path
    digest: str

    @property
    def upload_name(self) -> str:
        """A name that differs whenever the content does, so that uploading twice changes nothing."""
        stem = re.sub(r"[^A-Za-z0-9_-]+", "-", self.path.stem)[:NAME_LENGTH]
        return f"{stem}-{self.digest[:12]}{self.path.suffix.lower()}"


@dataclass(frozen=True)
class Job:
    """One run of the workflow.

    Attributes:
        name: what the names of its outputs begin with.
        photos: input name -> the photo for it.
        key: differs whenever the workflow, a setting or a photo does.
        folder: where its outputs go.
        salt: differs from run to run where done work is to be done again.
    """

    name: str
    photos: Mapping[str, Photo]
    key: str
    folder: Path
    salt: str = ""

    def prompt_id(self, number: int) -> str:
        """The same for the same work, so that a server can be asked whether it was given it before."""
        return str(uuid.uuid5(PROMPTS, f"{self.key}{self.salt}/{number}"))

    @property
    def record(self) -> Path:
        """The file that is written last, so that its being there means done."""
        return self.folder / f"{self.name}{RECORD_ENDING}"

    @property
    def label(self) -> str:
        """How messages name it: the photo, or the workflow where there is none."""
        return next((photo.path.name for photo in self.photos.values()), self.name)


@dataclass(frozen=True)
class Result:
    """What came of one job.

    Attributes:
        name: what the names of its outputs begin with.
        photos: input name -> file.
        files: the outputs, pictures and texts.
        server: which server did it; "" where it did not come to that.
        error: one line, empty where all went well.
        skipped: whether the outputs were there before.
    """

    name: str
    photos: Mapping[str, Path]
    files: tuple[Path, ...] = ()
    server: str = ""
    error: str = ""
    skipped: bool = False


def plan_jobs(
    workflow: Workflow,
    inputs: Mapping[str, PathLike | Sequence[PathLike]],
    settings: Mapping[str, Any],
    out: Path,
    *,
    again: bool = False,
) -> list[Job]:
    """One job per photo, or one of all where there is none.

    Args:
        workflow: to run.
        inputs: input name -> photos or folders; one photo serves every job, otherwise all have as many.
        settings: "NODE.input" -> value.
        out: the folder of the outputs.
        again: whether to run what servers and `out` have done already.

    Raises InputError where the numbers differ, a file is missing or two jobs would write the same file.
    """
    photos = {name: photos_of(given, out) for name, given in inputs.items()}
    count = max(map(len, photos.values()), default=1)
    for name, some in photos.items():
        if len(some) not in (1, count):
            raise InputError(f"the input {name!r} has {len(some)} photos, another has {count}; give as many, or one")
    salt = secrets.token_hex(8) if again else ""
    jobs = []
    for number in range(count):
        chosen = {name: some[number if len(some) > 1 else 0] for name, some in photos.items()}
        key = job_key(workflow, settings, chosen)
        jobs.append(Job(job_name(workflow, chosen, photos), chosen, key, out, salt))
    check_distinct(jobs)
    return jobs


def photos_of(given: PathLike | Sequence[PathLike], out: Path) -> list[Photo]:
    """The photos of files and folders, in the given order; InputError where outputs would lie among them."""
    some = [given] if isinstance(given, (str, os.PathLike)) else given
    paths = [path for one in some for path in list_pictures(one)]
    if not paths:
        raise InputError("an input needs at least one photo")
    if any(path.resolve().parent == out.resolve() for path in paths):
        raise InputError(f"{out} holds photos to be done; choose another folder for the outputs")
    return [Photo(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


def job_name(workflow: Workflow, chosen: Mapping[str, Photo], photos: Mapping[str, Sequence[Photo]]) -> str:
    """The stem of the photo that differs from job to job, else of the first, else the workflow's name."""
    telling = max(chosen, key=lambda name: len(photos[name]), default=None)
    return workflow.name if telling is None else chosen[telling].path.stem


def job_key(workflow: Workflow, settings: Mapping[str, Any], photos: Mapping[str, Photo]) -> str:
    digests = {name: photo.digest for name, photo in photos.items()}
    text = json.dumps([workflow.content, settings, digests], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def check_distinct(jobs: Sequence[Job]) -> None:
    """InputError where the outputs of two jobs would have the same names."""
    taken: dict[str, Job] = {}
    for job in jobs:
        other = taken.setdefault(os.path.normcase(job.name), job)
        if other is not job:
            raise InputError(
                f"{other.label} and {job.label} would both write {job.name}_*; rename one, or run it apart"
            )


def done_before(job: Job) -> Result | None:
    """The result of an earlier run whose files are all there; InputError where it was another work."""
    if not job.record.is_file():
        return None
    try:
        told = json.loads(job.record.read_text(encoding="utf-8"))
        key, files, server = told["key"], [job.folder / name for name in told["files"]], told["server"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{job.record} is damaged; remove it, or give --again") from error
    if key != job.key:
        raise InputError(
            f"{job.record} is of another workflow, settings or photo; choose another folder, or replace it with --again"
        )
    present = all(path.is_file() for path in files)
    return Result(job.name, paths_of(job), tuple(files), server, skipped=True) if present else None


def write_record(job: Job, result: Result, prompt_id: str) -> None:
    """Say that a job is done, and with what."""
    told = {
        "photos": {name: str(photo.path) for name, photo in job.photos.items()},
        "files": [path.name for path in result.files],
        "server": result.server,
        "prompt_id": prompt_id,
        "key": job.key,
    }
    with atomic_path(job.record) as temporary:
        temporary.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def paths_of(job: Job) -> dict[str, Path]:
    return {name: photo.path for name, photo in job.photos.items()}


def output_names(job: Job, entries: Sequence[Entry], prompt: Mapping[str, Any]) -> list[str]:
    """A file name for every output: photo, title of the node, a number where it gives several of a kind, suffix."""
    kinds = [(f"{job.name}_{slug(entry.node, prompt)}", suffix_of(entry)) for entry in entries]
    names = []
    for number, (base, suffix) in enumerate(kinds):
        count = f"_{kinds[: number + 1].count((base, suffix))}" if kinds.count((base, suffix)) > 1 else ""
        names.append(f"{base}{count}{suffix}")
    return names


def suffix_of(entry: Entry) -> str:
    return Path(entry.file["filename"]).suffix if entry.file else ".txt"


def slug(number: str, prompt: Mapping[str, Any]) -> str:
    """The title of a node as part of a file name; its id where that leaves nothing."""
    title = title_of(dict(prompt), number) if number in prompt else number
    return re.sub(r"[^\w]+", "_", title.lower()).strip("_") or number
