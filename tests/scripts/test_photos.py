"""The table of photographs is sound; the script fetches, checks, prepares and resumes. No test touches the network."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

from scripts import photos
from scripts.photos import Photo, Repository, Source, SourceError

HELD_OUT = ("calibrate", "test")
LICENCES = {"public domain", "public domain (US Government work)", "CC0 1.0", "CC BY (version not stated)"}
LICENCES |= {f"CC BY {version}" for version in ("1.0", "2.0", "2.1", "2.5", "3.0", "4.0")}
"""No share-alike, non-commercial or no-derivatives terms."""


@pytest.fixture(scope="module")
def table() -> list[Photo]:
    return photos.read_table(photos.HERE / "photos.tsv", Photo)


def picture(size=(96, 64), file_format="JPEG", seed=0, **options) -> bytes:
    """A picture file of smooth random colors."""
    colors = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(colors).resize(size, Image.Resampling.BICUBIC).save(file, file_format, **options)
    return file.getvalue()


def photo(data: bytes, path: str, split="train") -> Photo:
    return Photo(hashlib.sha256(data).hexdigest(), split, "0", "github:someone/pictures", path, "A", "CC0 1.0", "", "")


def test_every_photograph_is_listed_once_with_author_and_free_licence(table):
    assert max(Counter(row.sha256 for row in table).values()) == 1
    assert {row.licence for row in table} <= LICENCES
    assert all(row.author and row.evidence and row.split in photos.SPLITS for row in table)
    assert all(len(row.sha256) == 64 and ".." not in PurePosixPath(row.path).parts for row in table)
    assert all(bool(row.label) == (row.split == "real") for row in table)


def test_held_out_photographs_share_no_scene_with_others(table):
    splits = defaultdict(set)
    for row in table:
        if row.split in ("train", *HELD_OUT):
            splits[row.scene].add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert [sum(row.split == split for row in table) for split in HELD_OUT] == [60, 60]


def test_every_source_has_a_version_and_is_used(table):
    sources = photos.read_table(photos.HERE / "photo_sources.tsv", Source)
    assert sorted(source.source for source in sources) == sorted({row.source for row in table})
    assert all(source.kind in photos.FETCHERS and source.version for source in sources)


def test_other_columns_are_refused(tmp_path):
    (tmp_path / "table.tsv").write_text("source\tcommit\nx\ty\n", encoding="utf-8")
    with pytest.raises(ValueError, match="expected source, version"):
        photos.read_table(tmp_path / "table.tsv", Source)


def test_prepare_leaves_a_small_upright_jpeg_as_it_is():
    assert photos.prepare(data := picture()) == data


def test_prepare_turns_shrinks_and_converts():
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright
    for data, size in (
        (picture(exif=turned), (64, 96)),
        (picture((3200, 800)), (1600, 400)),
        (picture(file_format="PNG"), (96, 64)),
    ):
        with Image.open(io.BytesIO(photos.prepare(data))) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
            assert image.getexif().get(0x0112, 1) == 1


def test_a_file_with_another_hash_is_not_written(tmp_path):
    with pytest.raises(SourceError, match="SHA-256"):
        photos.write_photo(tmp_path, photo(picture(seed=1), "a.jpg"), picture(seed=2))
    assert not list(tmp_path.rglob("*.jpg"))


@pytest.fixture
def repository(tmp_path) -> tuple[str, str, dict[str, bytes]]:
    """A repository that serves parts of a commit, as GitHub does: its address, its commit and its files."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    files = {f"photos/{name}.jpg": picture(seed=seed) for seed, name in enumerate(("a", "b b", "c"))}
    folder = tmp_path / "server" / "someone" / "pictures"
    (folder / "photos").mkdir(parents=True)
    for path, data in files.items():
        (folder / path).write_bytes(data)
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    allowed = [f"uploadpack.{option}" for option in ("allowFilter", "allowAnySHA1InWant")]
    commands = [("init", "-q"), *(("config", option, "true") for option in allowed), ("add", ".")]
    for command in (*commands, (*who, "commit", "-q", "-m", "photos")):
        subprocess.run(["git", "-C", folder, *command], check=True)
    head = subprocess.run(["git", "-C", folder, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return f"{(tmp_path / 'server').as_uri()}/", head.stdout.strip(), files


def test_only_the_files_asked_for_are_fetched(repository, tmp_path):
    address, commit, files = repository
    fetched = Repository(Source("github:someone/pictures", commit), tmp_path / "fetched", address)
    for _ in range(2):  # the second time over what is there
        fetched.fetch(["photos/a.jpg", "photos/b b.jpg", "photos/unknown.jpg"])
    fetched.git("remote", "remove", "origin")
    assert fetched.read("photos/b b.jpg") == files["photos/b b.jpg"]
    for path in ("photos/c.jpg", "photos/unknown.jpg"):
        with pytest.raises(SourceError):
            fetched.read(path)


def run_script(folder, monkeypatch, rows, version, *options) -> int:
    """Run the command with a table of its own beside it."""
    lines = ["\t".join(vars(row).values()) for row in rows]
    (folder / "photos.tsv").write_text("\n".join(["\t".join(vars(rows[0])), *lines]) + "\n", encoding="utf-8")
    (folder / "photo_sources.tsv").write_text(f"source\tversion\n{rows[0].source}\t{version}\n", encoding="utf-8")
    monkeypatch.setattr(photos, "HERE", folder)
    return photos.main([str(folder / "out"), *options])


def test_the_script_prepares_reports_and_resumes(repository, tmp_path, monkeypatch, capsys):
    address, commit, files = repository
    sources = tmp_path / "sources"
    Repository(Source("github:someone/pictures", commit), sources / "github", address).fetch(list(files))
    rows = [photo(files["photos/a.jpg"], "photos/a.jpg"), photo(files["photos/c.jpg"], "photos/c.jpg", "test")]
    rows += [photo(picture(seed=9), "photos/gone.jpg"), photo(picture(seed=8), "photos/b b.jpg")]
    assert run_script(tmp_path, monkeypatch, rows, commit, "--from", str(sources)) == 1
    told = capsys.readouterr().out
    assert "photos/gone.jpg" in told and "photos/b b.jpg is another file" in told and "2 of 4 photographs" in told
    for row in rows[:2]:
        assert photos.place(tmp_path / "out", row).read_bytes() == files[row.path]

    shutil.rmtree(sources)  # what is ready is not read again
    assert run_script(tmp_path, monkeypatch, rows[:2], commit, "--from", str(sources)) == 0
    assert "train: 1\ncalibrate: 0\ntest: 1" in capsys.readouterr().out


def test_a_source_that_cannot_be_had_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(photos, "run_tool", lambda *_, **__: (_ for _ in ()).throw(SourceError("git is not installed")))
    rows = [photo(picture(seed=seed), f"{seed}.jpg") for seed in range(3)]
    assert run_script(tmp_path, monkeypatch, rows, "0" * 40) == 1
    assert "github:someone/pictures: 3 photographs: git is not installed" in capsys.readouterr().out
