"""Servers that answer rubbish, nothing, too slowly or in circles: one line, an exit code, and an end of the wait."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autodir_client import server, worker
from tests.client.helpers.fake import WORKFLOW
from tests.core.cli.helpers import call, saved

Answer = Callable[[bytes, random.Random], bytes]


def http(body: bytes, kind: str = "application/json", status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


ANSWERS: dict[str, Answer] = {
    "nothing": lambda request, rng: b"",
    "random bytes": lambda request, rng: rng.randbytes(500),
    "a status alone": lambda request, rng: b"HTTP/1.1 200 OK\r\n\r\n",
    "half of an answer": lambda request, rng: http(b"{" * 100)[:90],
    "a login page": lambda request, rng: http(b"<html>Log in</html>", "text/html"),
    "no JSON": lambda request, rng: http(b"{{{"),
    "no UTF-8": lambda request, rng: http(rng.randbytes(64)),
    "null": lambda request, rng: http(b"null"),
    "a number": lambda request, rng: http(b"5"),
    "a list": lambda request, rng: http(b"[1]"),
    "an empty object": lambda request, rng: http(b"{}"),
    "an object of others": lambda request, rng: http(b'{"a": [1], "system": 5, "queue_running": {}, "prompt_id": []}'),
    "deep JSON": lambda request, rng: http(b"[" * 100_000 + b"]" * 100_000),
    "a huge header": lambda request, rng: http(b"{}", more=f"X-A: {'a' * 100_000}\r\n"),
    "a circle": lambda request, rng: http(b"", status="302 Found", more=f"Location: {request.split()[1].decode()}\r\n"),
    "another host": lambda request, rng: http(b"", status="301 Moved", more="Location: http://127.0.0.1:1/\r\n"),
    "no place": lambda request, rng: http(b"", status="302 Found", more="Location: http://\r\n"),
    "trouble": lambda request, rng: http(b"oops", "text/plain", "500 Internal Server Error"),
    "a status of 999": lambda request, rng: http(b"{}", status="999 What"),
    "too many requests": lambda request, rng: http(b"{}", status="429 Too Many Requests"),
}


class BadServer:
    """Answers every request in one way, and hangs up."""

    def __init__(self, answer: Answer, rng: random.Random, pause: float = 0.0) -> None:
        self.answer, self.rng, self.pause = answer, rng, pause
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection: socket.socket) -> None:
        with connection:
            try:
                request = connection.recv(65536)
                time.sleep(self.pause)
                connection.sendall(self.answer(request or b"GET /", self.rng))
            except OSError:
                return


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """A workflow and a photo; pauses and limits of the client are those of a test."""
    monkeypatch.setattr(worker, "INITIAL_BACKOFF", 0.01)
    monkeypatch.setattr(server, "READ_SECONDS", 0.5)
    (tmp_path / "flow.json").write_text(json.dumps(WORKFLOW))
    yield tmp_path / "flow.json", saved(tmp_path / "in" / "a.png")


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_bad_answer(
    flow: tuple[Path, Path], tmp_path: Path, kind: str, rng: random.Random, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(flow, tmp_path, BadServer(ANSWERS[kind], rng), capsys)


def test_a_slow_server(flow: tuple[Path, Path], tmp_path: Path, rng: random.Random, capsys) -> None:
    check_refusal(flow, tmp_path, BadServer(ANSWERS["an empty object"], rng, pause=3.0), capsys)


def test_no_server(flow: tuple[Path, Path], tmp_path: Path, rng: random.Random, capsys) -> None:
    gone = BadServer(ANSWERS["nothing"], rng)
    gone.listener.close()
    check_refusal(flow, tmp_path, gone, capsys)


def check_refusal(flow: tuple[Path, Path], tmp_path: Path, bad: BadServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Both commands end soon, with an exit code and lines of ours."""
    workflow, photo = flow
    start = time.monotonic()
    common = workflow, "--server", bad.url
    run = ("comfy", "run", *common, "--input", f"image={photo}", "-o", tmp_path / "out", "--retry-timeout", 1)
    for command in (run, ("comfy", "check", *common)):
        assert call(*command) in (1, 2)
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err and shown.err.startswith("autodir: "), shown.err
        assert max(map(len, shown.err.splitlines())) < 600
    bad.listener.close()
    assert time.monotonic() - start < 60
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.suffix in (".png", ".txt")]
    assert left == []
