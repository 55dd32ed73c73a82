"""Fetch freely licensed photographs and prepare them for training.

    python scripts/photos.py FOLDER [--split train ...] [--from SOURCES]

photos.tsv names each photograph: SHA-256 of its file, split, scene, source and path, author, licence, the file of the
source that states the licence, and for real damage a guess at its label. photo_sources.tsv names the version of each
source: a package of Debian (needs apt-get and dpkg-deb) or a repository on GitHub (needs git). What is fetched goes
to FOLDER/sources, about 1.3 GB, and can be deleted afterwards. `--from` takes a folder that was filled so before, and
fetches nothing.

A photograph becomes FOLDER/SPLIT/HASH.jpg, named by the first 16 digits of its SHA-256, its longest side at most
1600 pixels. Those that exist are kept, so that an interrupted run continues. A file whose hash is not the table's is
not used. Splits: train; calibrate and test, which share no scene with train or each other; look-alike-no, pictures that
are no photographs but whose label is "no" too; real, photographs with damage of their own.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from PIL import Image, ImageOps
from PIL.ExifTags import Base

HERE = Path(__file__).resolve().parent
LONGEST = 1600
QUALITY = 95
SPLITS = ("train", "calibrate", "test", "look-alike-no", "real")

Row = TypeVar("Row")


@dataclass(frozen=True)
class Photo:
    """One line of photos.tsv."""

    sha256: str
    split: str
    scene: str
    source: str
    path: str
    author: str
    licence: str
    evidence: str
    label: str


@dataclass(frozen=True)
class Source:
    """One line of photo_sources.tsv: "debian:PACKAGE" or "github:OWNER/NAME", and its version or commit."""

    source: str
    version: str

    @property
    def kind(self) -> str:
        return self.source.partition(":")[0]

    @property
    def name(self) -> str:
        return self.source.partition(":")[2]


class SourceError(Exception):
    """A source that cannot be had, with the reason in one line."""


def read_table(path: Path, row: type[Row]) -> list[Row]:
    """Read a table of tab-separated values with a header into dataclasses; ValueError where its columns differ."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    expected = [field.name for field in fields(row)]  # pyright: ignore[reportArgumentType]
    if header != expected:
        raise ValueError(f"{path} has the columns {', '.join(header)}; expected {', '.join(expected)}")
    return [row(*line) for line in lines]


def run_tool(*command: str | Path, cwd: Path | None = None, stdin: str = "") -> bytes:
    """Return what a program prints; SourceError with its last line where it fails or is not installed."""
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}  # a repository that is gone is an error, not a question
    try:
        done = subprocess.run(command, cwd=cwd, input=stdin.encode(), capture_output=True, env=quiet, check=False)
    except FileNotFoundError:
        raise SourceError(f"{command[0]} is not installed") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise SourceError(f"{command[0]}: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout


class DebianPackage:
    """The files of a package, unpacked into a folder and not installed."""

    def __init__(self, source: Source, folder: Path, address: str = "") -> None:
        self.source, self.folder = source, folder / source.name

    def fetch(self, paths: Sequence[str]) -> None:
        """Download and unpack the package; of another version, too, since every file's hash is checked."""
        if self.folder.exists():
            return
        partial = self.folder.with_name(f".{self.folder.name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            run_tool("apt-get", "download", f"{self.source.name}={self.source.version}", cwd=partial)
        except SourceError:
            run_tool("apt-get", "download", self.source.name, cwd=partial)
        archive = next(partial.glob("*.deb"))
        run_tool("dpkg-deb", "--extract", archive, partial)
        archive.unlink()
        partial.rename(self.folder)

    def read(self, path: str) -> bytes:
        """Return one file; SourceError where the package has none of that name."""
        try:
            return (self.folder / path).read_bytes()
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error


class Repository:
    """The files of one commit of a repository, without a work tree."""

    def __init__(self, source: Source, folder: Path, address: str = "https://github.com/") -> None:
        self.source, self.folder, self.address = source, folder / source.name, address

    def fetch(self, paths: Sequence[str]) -> None:
        """Fetch the commit without its files, then the files of `paths` at once."""
        commit = self.source.version
        if not (self.folder / "HEAD").exists():
            run_tool("git", "init", "--quiet", "--bare", self.folder)
            self.git("remote", "add", "origin", f"{self.address}{self.source.name}")
        self.git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", commit)
        listing = self.git("ls-tree", "-r", "-z", commit).decode(errors="replace").split("\0")
        blobs = {path: entry.split()[2] for entry, _, path in (line.partition("\t") for line in listing) if path}
        wanted = sorted({blobs[path] for path in paths if path in blobs})
        self.git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "--stdin", "origin", stdin="\n".join(wanted))

    def read(self, path: str) -> bytes:
        """Return one file of the commit; SourceError where it has none of that name."""
        return self.git("cat-file", "blob", f"{self.source.version}:{path}")

    def git(self, *arguments: str, stdin: str = "") -> bytes:
        return run_tool("git", "-C", self.folder, *arguments, stdin=stdin)


FETCHERS = {"debian": DebianPackage, "github": Repository}


def prepare(data: bytes) -> bytes:
    """Return a picture as an upright JPEG with no side above `LONGEST` pixels: unchanged where it is that already."""
    with Image.open(io.BytesIO(data)) as image:
        upright = image.getexif().get(Base.Orientation, 1) == 1
        if image.format == "JPEG" and image.mode == "RGB" and upright and max(image.size) <= LONGEST:
            return data
        profile = image.info.get("icc_profile")
        picture = ImageOps.exif_transpose(image).convert("RGB")
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY, subsampling=0, icc_profile=profile)
    return file.getvalue()


def place(folder: Path, photo: Photo) -> Path:
    """Return where a prepared photograph is written."""
    return folder / photo.split / f"{photo.sha256[:16]}.jpg"


def write_photo(folder: Path, photo: Photo, data: bytes) -> None:
    """Check the hash of a photograph's file, prepare it and write it whole; SourceError where the hash differs."""
    if hashlib.sha256(data).hexdigest() != photo.sha256:
        raise SourceError(f"{photo.path} is another file than the table's (its SHA-256 differs)")
    target = place(folder, photo)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")
    partial.write_bytes(prepare(data))
    partial.replace(target)


def write_all(folder: Path, opened: DebianPackage | Repository, photos: Iterable[Photo]) -> Iterator[str]:
    """Write the photographs of one source; yield a line for each that cannot be had."""
    for photo in photos:
        try:
            write_photo(folder, photo, opened.read(photo.path))
        except (SourceError, OSError) as error:
            yield f"{photo.source}: {error}"


def obtain(photos: Iterable[Photo], versions: dict[str, Source], folder: Path, fetched: Path | None) -> Iterator[str]:
    """Fetch and prepare what `folder` lacks, source by source; yield a line for all that cannot be had."""
    missing: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        if not place(folder, photo).exists():
            missing[photo.source].append(photo)
    for number, (name, wanted) in enumerate(sorted(missing.items()), 1):
        print(f"[{number}/{len(missing)}] {name}: {len(wanted)} photographs", file=sys.stderr)
        source = versions[name]
        opened = FETCHERS[source.kind](source, (fetched or folder / "sources") / source.kind)
        try:
            if fetched is None:
                opened.fetch([photo.path for photo in wanted])
        except SourceError as error:
            yield f"{name}: {len(wanted)} photographs: {error}"
        else:
            yield from write_all(folder, opened, wanted)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 1 where photographs are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the prepared photographs go")
    parser.add_argument("--split", nargs="+", choices=SPLITS, default=SPLITS, help="only these (all of them)")
    parser.add_argument(
        "--from", dest="fetched", type=Path, metavar="SOURCES", help="sources fetched before; fetch none"
    )
    options = parser.parse_args(arguments)
    photos = [photo for photo in read_table(HERE / "photos.tsv", Photo) if photo.split in options.split]
    versions = {source.source: source for source in read_table(HERE / "photo_sources.tsv", Source)}
    problems = list(obtain(photos, versions, options.folder, options.fetched))
    ready = Counter(photo.split for photo in photos if place(options.folder, photo).exists())
    print("\n".join(problems), *(f"{split}: {ready[split]}" for split in options.split), sep="\n")
    lacking = len(photos) - ready.total()
    if lacking:
        print(f"{lacking} of {len(photos)} photographs are missing; run the same command again to try once more")
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
