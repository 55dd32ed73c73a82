"""`comfy run` and `comfy check` as their user meets them, with a fake server in a thread."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path

import pytest

from autodir_client import Update
from autodir_client.cli import ProgressBoard, status
from autodir_core.cli import main
from tests.client.helpers.fake import WORKFLOW, Fake


@pytest.fixture
def fake():
    """A running fake; its loop has a thread of its own, because the command has one too."""
    loop, one = asyncio.new_event_loop(), Fake()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(one.start(), loop).result(10)
    yield one
    asyncio.run_coroutine_threadsafe(one.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def flow(tmp_path) -> Path:
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(WORKFLOW), encoding="utf-8")
    for name in ("a", "b"):
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    return path


def call(*argv: object) -> int:
    return main(["comfy", *map(str, argv)])


def error_of(capsys) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("autodir: error: ")
    return line


def test_run_writes_every_output(fake, flow, tmp_path, capsys):
    photos = f"image={tmp_path / 'a.png'}", tmp_path / "b.png"
    arguments = ["run", flow, "--server", fake.url, "--input", *photos, "--set", "2.steps=4", "-o", tmp_path / "out"]
    assert call(*arguments) == 0
    assert (tmp_path / "out" / "b_save_image.png").read_bytes() == b"restored b"
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 and shown[0].startswith(f"a.png: 127.0.0.1:{fake.port}: {tmp_path / 'out'}")
    assert call(*arguments) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name}.png: skipped, its outputs exist" for name in "ab"]
    assert call(*arguments, "--overwrite", "--quiet") == 0
    assert capsys.readouterr().out == "" and len(fake.executed) == 4


def test_former_names_of_options(fake, flow, tmp_path, capsys):
    arguments = "run", flow, "--server", fake.url, "--input", f"image={tmp_path / 'a.png'}", "-o", tmp_path / "out"
    for _ in range(2):
        assert call(*arguments, "--again", "--patience", "20") == 0
    assert len(fake.executed) == 2
    with pytest.raises(SystemExit):
        call("run", "--help")
    shown = capsys.readouterr().out
    assert "--overwrite" in shown and "--force" not in shown and "--again" not in shown and "--patience" not in shown


def test_some_failed(fake, flow, tmp_path, capsys):
    fake.accidents.append("error")
    photos = f"image={tmp_path / 'a.png'}", tmp_path / "b.png"
    assert call("run", flow, "--server", fake.url, "--input", *photos, "-o", tmp_path / "out") == 1
    assert capsys.readouterr().err.splitlines() == [
        "autodir: a.png: node 2 (Restore) failed: out of memory",
        "autodir: 1 of 2 failed",
    ]


def test_check(fake, flow, capsys):
    assert call("check", flow, "--server", fake.url) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"127.0.0.1:{fake.port} (ComfyUI 0.3.64) has all that flow.json needs",
        "photos can be given to: 1 (Photo) image",
    ]
    assert call("check", flow, "--server", fake.url, "--set", "2.file=huge.ckpt") == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "node 2 (Restore): file = 'huge.ckpt' is not on the server; it has: small.ckpt, large.ckpt",
        f"127.0.0.1:{fake.port} (ComfyUI 0.3.64) lacks 1 of what flow.json needs",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--input", "photo.png"], "write --input NAME=PHOTO, got 'photo.png'"),
        (["--set", "steps"], "write --set NODE.input=value, got 'steps'"),
        (["--server", "ftp://x"], "a server is an address such as http://127.0.0.1:8188, got 'ftp://x'"),
        (["--server", "http://x:port"], "got 'http://x:port'"),
        (["--retry-timeout", "-1"], "is not in 0..604800"),
    ],
)
def test_mistakes(flow, tmp_path, options, message, capsys):
    assert call("run", flow, "-o", tmp_path / "out", *options) == 2
    assert message in error_of(capsys)


def test_a_server_that_is_not_there(flow, tmp_path, capsys):
    port = Fake().port
    arguments = "run", flow, "--server", f"127.0.0.1:{port}", "-o", tmp_path / "out", "--retry-timeout", "0"
    assert call(*arguments) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"autodir: error: 1 of 1 left, no server can do them: 127.0.0.1:{port} does not answer")


def test_without_aiohttp_the_command_to_install_it_is_named(flow, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert call("run", flow, "-o", tmp_path / "out") == 2
    assert "-m pip install aiohttp" in error_of(capsys)
    assert call("check", flow) == 2
    assert "-m pip install aiohttp" in error_of(capsys)


@pytest.mark.parametrize(
    ("update", "text"),
    [
        (Update("queued", queue_position=2), "in the queue, 2 before it"),
        (Update("running", node="Restore", nodes=(2, 7)), "Restore, node 2 of 7"),
        (Update("uploading"), "uploading"),
    ],
)
def test_what_a_bar_says(update, text):
    assert status(update) == text


def test_a_bar_follows_the_steps(monkeypatch):
    monkeypatch.setattr("autodir_client.cli.progress_off", lambda quiet: False)
    with ProgressBoard(quiet=False) as board:
        board.show(Update("running", "a.png", "host", node="Restore", nodes=(2, 7), step=(3, 9)))
        bar = board.bars["host"]
        assert (bar.n, bar.total) == (3, 9) and " 33%|" in str(bar)
        board.show(Update("downloading", "a.png", "host"))
        assert (bar.n, bar.total) == (0, None)
