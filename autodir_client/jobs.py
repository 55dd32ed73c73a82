"""Jobs: which photos go through the workflow, the names of their outputs, and the records of finished ones."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from autodir_core.errors import InputError
from autodir_core.imaging.paths import fit_name, list_pictures
from autodir_core.serialization.atomic import write_text

from .messages import Output
from .workflow import Workflow, title_of

PathLike = str | os.PathLike[str]
RECORD_ENDING = "_comfy.json"
PROMPTS = uuid.UUID("6f6f6b0e-6c43-5c1b-9a3f-4a7d3d1f2e10")  # any fixed one: it only keeps our ids apart from others'
NAME_LENGTH = 40
NO_CLAIMS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Photo:
    """A file to upload and the SHA-256 of its content, empty where it cannot be read: its upload will say so."""

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
        nonce: differs from run to run where finished work is repeated.
    """

    name: str
    photos: Mapping[str, Photo]
    key: str
    folder: Path
    nonce: str = ""

    def prompt_id(self, number: int) -> str:
        """Return an id that is the same for the same work, so that a server can be asked whether it has it already."""
        return str(uuid.uuid5(PROMPTS, f"{self.key}{self.nonce}/{number}"))

    @property
    def record(self) -> Path:
        """The file that is written last: where it exists, the job is finished."""
        return self.folder / fit_name(self.name, RECORD_ENDING)

    @property
    def label(self) -> str:
        """The name in messages: the photo, or the workflow where there is none."""
        return next((photo.path.name for photo in self.photos.values()), self.name)


@dataclass(frozen=True)
class JobResult:
    """The result of one job.

    Attributes:
        name: what the names of its outputs begin with.
        photos: input name -> file.
        files: the outputs, pictures and texts.
        server: which server did it; "" where none did.
        error: one line, empty on success.
        skipped: whether the outputs existed before.
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
    overwrite: bool = False,
) -> list[Job]:
    """Return one job per photo, or a single one where there is none.

    Args:
        workflow: to run.
        inputs: input name -> photos or folders; one photo serves every job, otherwise all have as many.
        settings: "NODE.input" -> value.
        out: the folder of the outputs.
        overwrite: whether to repeat what servers and `out` have finished already.

    Raises InputError where the numbers differ, a file is missing or two jobs would write the same file.
    """
    photos = {name: find_photos(given, out) for name, given in inputs.items()}
    count = max(map(len, photos.values()), default=1)
    for name, some in photos.items():
        if len(some) not in (1, count):
            raise InputError(f"the input {name!r} has {len(some)} photos, another has {count}; give as many, or one")
    nonce = secrets.token_hex(8) if overwrite else ""
    jobs = []
    for number in range(count):
        chosen = {name: some[number if len(some) > 1 else 0] for name, some in photos.items()}
        key = job_key(workflow, settings, chosen)
        jobs.append(Job(job_name(workflow, chosen, photos), chosen, key, out, nonce))
    check_distinct(jobs)
    return jobs


def find_photos(given: PathLike | Sequence[PathLike], out: Path) -> list[Photo]:
    """Return the photos of files and folders, in the given order; InputError where `out` is one of the folders."""
    some = [given] if isinstance(given, (str, os.PathLike)) else given
    paths = [path for one in some for path in list_pictures(one)]
    if not paths:
        raise InputError("an input needs at least one photo")
    if any(path.resolve().parent == out.resolve() for path in paths):
        raise InputError(f"{out} holds photos to be done; choose another folder for the outputs")
    return [read_photo(path) for path in paths]


def read_photo(path: Path) -> Photo:
    """Read a file for its digest."""
    try:
        return Photo(path, hashlib.sha256(path.read_bytes()).hexdigest())
    except OSError:
        return Photo(path, "")


def job_name(workflow: Workflow, chosen: Mapping[str, Photo], photos: Mapping[str, Sequence[Photo]]) -> str:
    """Return the stem of the photo that differs from job to job, else of the first, else the workflow's name."""
    varying = max(chosen, key=lambda name: len(photos[name]), default=None)
    return workflow.name if varying is None else chosen[varying].path.stem


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


def load_finished(job: Job) -> JobResult | None:
    """Return the result of an earlier run whose files all exist; InputError where it was of another workflow."""
    if not (job.record.is_file() and all(photo.digest for photo in job.photos.values())):
        return None
    try:
        record = json.loads(job.record.read_text(encoding="utf-8"))
        key, files, server = record["key"], [job.folder / name for name in record["files"]], record["server"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{job.record} is damaged; remove it, or give --overwrite") from error
    if key != job.key:
        raise InputError(
            f"{job.record} is of another workflow, settings or photo; choose another folder or give --overwrite"
        )
    present = all(path.is_file() for path in files)
    return JobResult(job.name, photo_paths(job), tuple(files), server, skipped=True) if present else None


def write_record(job: Job, result: JobResult, prompt_id: str) -> None:
    """Record that a job is finished, and with which outputs."""
    record = {
        "photos": {name: str(photo.path) for name, photo in job.photos.items()},
        "files": [path.name for path in result.files],
        "server": result.server,
        "prompt_id": prompt_id,
        "key": job.key,
    }
    write_text(job.record, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def photo_paths(job: Job) -> dict[str, Path]:
    return {name: photo.path for name, photo in job.photos.items()}


def output_names(
    job: Job, outputs: Sequence[Output], prompt: Mapping[str, Any], claimed: Mapping[str, str] = NO_CLAIMS
) -> list[str]:
    """Return a file name per output: photo, title of the node, a number where it gives several of a kind, suffix.

    All differ, whatever the case of their letters, also from the names that other jobs have `claimed`: another number
    is added where they would not.
    """
    kinds = [(f"{job.name}_{slug(output.node, prompt)}", suffix_of(output)) for output in outputs]
    names: list[str] = []
    for number, (base, suffix) in enumerate(kinds):
        count_here = f"_{kinds[: number + 1].count((base, suffix))}" if kinds.count((base, suffix)) > 1 else ""
        endings = chain([suffix], (f"_{more}{suffix}" for more in count(2)))
        fitting = (fit_name(base, count_here + ending) for ending in endings)
        own = {name.lower() for name in names}
        names.append(next(name for name in fitting if name.lower() not in own and is_free(name, job, claimed)))
    return names


def is_free(name: str, job: Job, claimed: Mapping[str, str]) -> bool:
    """Whether no other job has a file of this name."""
    return claimed.get(os.path.normcase(name), job.record.name) == job.record.name


def read_claims(folder: Path) -> dict[str, str]:
    """Return the names of the files that finished jobs have in a folder, each with the name of the job's record."""
    claimed: dict[str, str] = {}
    for record in folder.glob(f"*{RECORD_ENDING}"):
        with suppress(OSError, ValueError, KeyError, TypeError):  # a damaged record is told where its job comes
            names = [record.name, *json.loads(record.read_text(encoding="utf-8"))["files"]]
            claimed |= {os.path.normcase(name): record.name for name in names}
    return claimed


def suffix_of(output: Output) -> str:
    return Path(output.file["filename"]).suffix if output.file else ".txt"


def slug(number: str, prompt: Mapping[str, Any]) -> str:
    """Return the title of a node as part of a file name; its id where nothing of it is left."""
    title = title_of(dict(prompt), number) if number in prompt else number
    return re.sub(r"[^\w]+", "_", title.lower()).strip("_") or number
