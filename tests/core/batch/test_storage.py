"""URLs as inputs and OUT: the files of a local run, from and to a store; the journal is a local file."""

from __future__ import annotations

import csv
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import torch

import autodir_core as ad
from autodir_core.batch.planning import storage
from autodir_core.batch.planning.item import Item
from autodir_core.batch.planning.plan import plan_items
from autodir_core.batch.staging import Staging
from autodir_core.cli import main
from autodir_core.cli.restorer import Restorer
from autodir_core.imaging.files import write_picture

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")

NAMES = ("a/1.png", "a/2.jpg", "b/1.png")
OPTIONS = ["--steps", "1", "--max-rounds", "1", "--no-gate", "--device", "cpu", "--quiet"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three noisy pictures in two folders, a broken one, and what is no picture."""
    generator = torch.Generator().manual_seed(0)
    for name in NAMES:
        write_picture(tmp_path / "in" / name, torch.rand(1, 40, 56, 3, generator=generator))
    (tmp_path / "in/b/broken.png").write_bytes(b"no picture")
    (tmp_path / "in/notes.doc").write_bytes(b"no picture")
    return tmp_path / "in"


@pytest.fixture
def memory() -> Iterator[str]:
    """The URL of an empty folder in fsspec's memory."""
    url = f"memory://{uuid.uuid4().hex}"
    yield url
    files, path = fsspec.url_to_fs(url)
    if files.exists(path):
        files.rm(path, recursive=True)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket on an S3 server of this machine."""
    server_module = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset, timeout=30).close()  # all servers of a process share what they hold
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    files = fsspec.filesystem("s3", skip_instance_cache=True)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    files.mkdir("pictures")
    yield "s3://pictures"
    server.stop()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def fill(url: str, folder: Path) -> None:
    for path in folder.rglob("*.*"):
        storage.send(path, f"{url}/{path.relative_to(folder).as_posix()}")


def listed(url: str) -> list[str]:
    files, path = fsspec.url_to_fs(url)
    files.invalidate_cache()
    return [name.removeprefix(path).strip("/") for name in files.find(path)]


def content(url: str) -> bytes:
    files, path = fsspec.url_to_fs(url)
    return files.cat_file(path)


@pytest.fixture
def local(folder: Path, tmp_path: Path, tiny_path: Path) -> Path:
    """The results of a run without URLs."""
    assert main(["batch", str(folder), "-o", str(tmp_path / "local"), *OPTIONS, "--model", str(tiny_path)]) == 1
    return tmp_path / "local"


@pytest.mark.parametrize("kind", ["memory", "bucket"])
def test_a_store_gives_and_takes_what_a_folder_does(
    folder: Path, local: Path, tmp_path: Path, tiny_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url = request.getfixturevalue(kind)
    fill(f"{url}/in", folder)
    journal = tmp_path / "journal"
    command = ["batch", f"{url}/in", "-o", f"{url}/out", "--journal", str(journal), *OPTIONS, "--model", str(tiny_path)]
    assert main([*command, "--limit", "2"]) == 0
    assert sorted(listed(f"{url}/out")) == ["a/1.png", "a/2.jpg", "batch.csv", "batch.html"]
    assert main(command) == 1
    assert sorted(listed(f"{url}/out")) == [*NAMES, "batch.csv", "batch.html"]
    for name in NAMES:
        assert content(f"{url}/out/{name}") == (local / name).read_bytes()
    assert [path.name for path in journal.iterdir()] == ["batch.sqlite"], "no local copy is left"
    table = content(f"{url}/out/batch.csv").decode()
    assert f"{url.partition('://')[0]}://" in table and "in/b/broken.png is not a picture" in table
    assert content(f"{url}/out/batch.html").decode().count("<figure>") == 6
    write_picture(tmp_path / "new.png", torch.rand(1, 40, 56, 3))
    storage.send(tmp_path / "new.png", f"{url}/in/b/broken.png")
    assert main(command) == 0, "it has changed, so it is done again"


def test_what_a_url_lists(memory: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    fill(f"{memory}/in", folder)
    fill(f"{memory}/in/out", folder)
    storage.send(folder / "a/1.png", f"{memory}/in/.thumbs/1.png")
    items = plan_items([f"{memory}/in"], f"{memory}/in/out")
    assert [item.name for item in items] == [*NAMES, "b/broken.png"], "what lies in OUT are results"
    assert "passed over 3 files that are no pictures" in caplog.text
    assert [item.name for item in plan_items([f"{memory}/in/a/*.png"], folder)] == ["1.png"]
    assert [item.name for item in plan_items([f"{memory}/in/a/2.jpg"], folder)] == ["2.jpg"]
    (folder / "list.txt").write_text(f"{memory}/in/a/2.jpg\n{memory}/gone.png\nb/1.png\n", encoding="utf-8")
    listed = plan_items([str(folder / "list.txt")], folder / "out")
    assert [item.name for item in listed] == ["2.jpg", "gone.png", "b/1.png"]
    (folder / "list.txt").write_text(f"{memory}/../../gone.png\n../gone.png\n", encoding="utf-8")
    for item in plan_items([str(folder / "list.txt")], folder / "out"):
        assert item.name.endswith("gone.png") and ".." not in item.name, "they are told apart below OUT"
    assert [item.name for item in plan_items([f"file://{folder}/a"], folder / "out")] == ["1.png", "2.jpg"]


@pytest.mark.parametrize("kind", ["memory", "bucket"])
def test_a_wildcard_of_a_store_takes_folders_and_a_file_that_is_called_like_one(
    folder: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url = request.getfixturevalue(kind)
    for name in (
        "in/photo[1].png",
        "in/a/1.png",
        "in/a/deep/2.png",
        "in/b/3.jpg",
        "in/b/notes.doc",
        "in/.thumbs/4.png",
    ):
        storage.send(folder / "a/1.png", f"{url}/{name}")
    [item] = plan_items([f"{url}/in/photo[1].png"], folder / "out")
    assert (item.name, item.source) == ("photo[1].png", f"{url}/in/photo[1].png")
    items = plan_items([f"{url}/in/*"], folder / "out")
    assert [item.name for item in items] == ["1.png", "deep/2.png", "3.jpg", "photo[1].png"]
    assert str(items[1].source).endswith(f"/{url.partition('://')[2]}/in/a/deep/2.png")
    whole = [item.name for item in plan_items([f"{url}/in/**"], folder / "out")]
    assert whole == [item.name for item in plan_items([f"{url}/in"], folder / "out")], "the outermost folder counts"
    assert [item.name for item in plan_items([f"{url}/in/[ab]"], folder / "out")] == ["1.png", "deep/2.png", "3.jpg"]


@pytest.mark.parametrize("scheme", ["file", "local"])
def test_a_url_of_a_local_path_is_that_path(folder: Path, scheme: str) -> None:
    """So that results below the input are known, whichever of them is written so."""
    url = f"{scheme}://{folder.as_posix()}"
    (folder / "a b/%20").mkdir(parents=True)
    for name in ("a b/ph[1].png", "a b/%20/1.png"):
        write_picture(folder / name, torch.zeros(1, 40, 56, 3))
    assert storage.location(f"{url}/out") == folder / "out"
    assert [item.name for item in plan_items([f"{url}/a b/ph[1].png"], folder / "out")] == ["ph[1].png"]
    for written, path in (("a%20b", "a b"), ("a b", "a b"), ("a b/%20", "a b/%20"), ("a%20b/%2520", "a b/%20")):
        assert storage.location(f"{url}/{written}") == folder / path
    (folder / "c%20d").mkdir()
    for written, path in (
        ("new%20one", "new one"),
        ("a%20b/x%20y/*.png", "a b/x y/*.png"),
        ("c%20d/e%20f", "c%20d/e%20f"),
    ):
        assert storage.location(f"{url}/{written}") == folder / path, "the folder decides that is there"
    assert all(not item.name.startswith("a/") for item in plan_items([str(folder)], storage.location(f"{url}/a")))


def test_no_key_of_a_store_leads_out_of_out(memory: str, folder: Path, tmp_path: Path, tiny_path: Path) -> None:
    """Not one that looks absolute, nor one with .. ; what becomes alike without these gets two names."""
    files, path = fsspec.url_to_fs(f"{memory}/in")
    outside = tmp_path / "outside/escaped.png"
    for number, key in enumerate(
        (f"{path}/{outside}", f"{path}{outside}", f"{path}/a/x/../2.jpg", f"{path}/a/x/2.jpg")
    ):
        write_picture(tmp_path / "one.png", torch.full((1, 40, 56, 3), number / 4))
        files.pipe_file(key, (tmp_path / "one.png").read_bytes())
    below = outside.as_posix()[1:]
    items = plan_items([f"{memory}/in"], tmp_path / "out")
    assert [item.name for item in items] == [below, "a/x/2.jpg", below.replace(".png", "_2.png")]
    items = plan_items([f"{memory}/in/a/x/2.jpg", f"{memory}/in/a/x/../2.jpg"], tmp_path / "out")
    assert [item.name for item in items] == ["2.jpg", "2_2.jpg"]
    outside.parent.mkdir()
    outside.write_bytes(b"mine")
    command = ["batch", f"{memory}/in", "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    assert main([*command, "--overwrite"]) == 0
    assert outside.read_bytes() == b"mine" and (tmp_path / "out" / below).is_file()


@pytest.mark.parametrize(
    ("key", "posix", "windows"),
    [
        ("a/b.png", "a/b.png", "a/b.png"),
        ("/tmp//x/./b.png", "tmp/x/b.png", "tmp/x/b.png"),
        ("../a/../../b.png", "a/b.png", "a/b.png"),
        ("..\\..\\b.png", "..\\..\\b.png", "b.png"),
        ("C:\\b.png", "C:\\b.png", "C_/b.png"),
        ("a/C:b.png", "a/C:b.png", "a/C_b.png"),
        ("a/.. /b.png", "a/.. /b.png", "a/b.png"),
        ("\\\\host/share/b.png", "\\\\host/share/b.png", "host/share/b.png"),
    ],
)
def test_the_name_of_a_key(key: str, posix: str, windows: str) -> None:
    assert storage.inside(PurePosixPath(key), windows=False).as_posix() == posix
    assert storage.inside(PurePosixPath(key), windows=True).as_posix() == windows


def test_what_is_not_there_and_what_nobody_serves(memory: str, bucket: str, tmp_path: Path) -> None:
    for url, words in (
        (f"{memory}/nowhere", "no pictures in"),
        ("nonsense://a/b", "nonsense"),
        ("s3://no-such-bucket/in", "no-such-bucket"),
    ):
        with pytest.raises(ad.AutoDIRError, match=words) as caught:
            plan_items([url], tmp_path)
        assert "\n" not in str(caught.value)


BAD_URLS = "http://[bad/x.png", "http://host:99999/x.png", "sftp://host/x.png", "zip://a.png::/no.zip"
"""Neither does paramiko, which sftp:// needs, come with an extra of this project."""


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_is_none_is_one_line(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", url, "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"autodir: error: {url} cannot be used") and told.count("\n") == 1


def test_each_line_of_a_list_that_leads_to_nothing_is_a_row(
    folder: Path, tmp_path: Path, tiny_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that would have one name too."""
    (folder / "broken.zip").write_bytes(b"no archive")
    lines = [*BAD_URLS, f"zip://a.png::{folder}/broken.zip", "a/1.png"]
    (folder / "list.txt").write_text("\n".join(lines), encoding="utf-8")
    command = ["batch", str(folder / "list.txt"), "-o", str(tmp_path / "out"), *OPTIONS, "--model", str(tiny_path)]
    assert main(command) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in told] == lines[:5]
    with (tmp_path / "out/batch.csv").open(encoding="utf-8", newline="") as file:
        assert [row["state"] != "failed" for row in csv.DictReader(file)] == [False] * 5 + [True]


def test_out_as_a_url_needs_a_place_for_the_journal(
    folder: Path, memory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", str(folder), "-o", memory]) == 2
    assert "give --journal FOLDER" in capsys.readouterr().err


def test_a_file_put_into_a_store_during_the_run_is_not_replaced(
    memory: str, folder: Path, tmp_path: Path, tiny_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Restorer.process
    (tmp_path / "mine").write_bytes(b"mine")

    def put(self: Restorer, *given: Any) -> Any:
        storage.send(tmp_path / "mine", f"{memory}/2.jpg")
        return process(self, *given)

    monkeypatch.setattr(Restorer, "process", put)
    command = ["batch", str(folder / "a"), "-o", memory, "--journal", str(tmp_path / "journal")]
    assert main([*command, *OPTIONS, "--model", str(tiny_path)]) == 1
    assert content(f"{memory}/2.jpg") == b"mine"
    assert sorted(listed(memory)) == ["1.png", "2.jpg", "batch.csv", "batch.html"]


def test_where_files_grow_they_are_moved_when_they_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that breaks off leaves what was there before."""
    source, target = tmp_path / "new", tmp_path / "out/result"
    source.write_bytes(b"new")
    storage.send(source, f"file://{target}")
    assert target.read_bytes() == b"new" and [path.name for path in target.parent.iterdir()] == ["result"]
    files = fsspec.filesystem("file")
    seen: list[str] = []

    def cut(local_path: str, path: str) -> None:
        Path(path).write_bytes(b"n")
        seen.append(path)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(files), "put_file", lambda self, *paths: cut(*paths))
    source.write_bytes(b"newer")
    with pytest.raises(ad.InputError, match="No space left"):
        storage.send(source, f"file://{target}")
    assert seen and target.read_bytes() == b"new"


def test_text_goes_to_a_folder_and_to_a_url(memory: str, tmp_path: Path) -> None:
    for place in (tmp_path / "a.txt", f"{memory}/a.txt"):
        storage.write_text_to(place, "é\n")
        with storage.local_file(place) as path:
            assert path.read_bytes() == "é\n".encode()


def test_a_file_below_chained_urls_is_one_of_the_first() -> None:
    assert storage.join("zip://in::s3://bucket/a.zip", "1.png") == "zip://in/1.png::s3://bucket/a.zip"
    assert storage.join("s3://bucket/in/", "a::b.png") == "s3://bucket/in/a::b.png"


def test_a_copy_that_cannot_be_fetched_leaves_nothing(memory: str, tmp_path: Path) -> None:
    staging = Staging.below(tmp_path, tmp_path)
    with pytest.raises(ad.InputError):
        staging.fetch(Item(f"{memory}/gone.png", "gone.png"))
    assert not list(staging.folder.iterdir())
    whole = staging.fetch(Item(f"{memory}/a.png", "a.png"), b"content")
    assert whole.source_path.read_bytes() == b"content"
