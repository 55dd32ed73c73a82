"""A real ComfyUI in a process of its own, and the little HTTP and websocket that the tests need to talk to it."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.archive import ROOT, unpack_archive

START_SECONDS = RUN_SECONDS = int(os.environ.get("HOST_TEST_SECONDS", "180"))
"""How long a start or a run may take; a busy machine needs more."""

TEXT, BINARY, CLOSE = 1, 2, 8
READY = "To see the GUI go to"
FIXTURE_NODES = Path(__file__).parent / "custom_nodes/fixture_nodes.py"


def find_comfyuis() -> list[Path]:
    """The folders of ComfyUI: all that COMFYUI_PATH names, else the one this pack is installed in, or comfy-cli's."""
    named = [Path(place) for place in os.environ.get("COMFYUI_PATH", "").split(os.pathsep) if place]
    for place in named:
        assert (place / "main.py").is_file(), f"COMFYUI_PATH names {place}, which holds no ComfyUI (main.py)"
    installed = [ROOT.parent.parent] if ROOT.parent.name == "custom_nodes" else []
    found = [place for place in [*installed, Path.home() / "comfy" / "ComfyUI"] if (place / "main.py").is_file()]
    return named or found[:1]


def version_of(comfyui: Path) -> str:
    """The version that a checkout says it is."""
    found = re.search(r'__version__ = "([^"]+)"', (comfyui / "comfyui_version.py").read_text(encoding="utf-8"))
    return found[1] if found else comfyui.name


def python_of(comfyui: Path) -> str:
    """ComfyUI's own Python, else the current one."""
    own = comfyui / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    return str(own) if own.is_file() else sys.executable


def environment() -> dict[str, str]:
    """One thread, so that sums have one order, and no cache files in the pack's folder."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def page_options() -> list[str]:
    """Another page than ComfyUI's own: COMFYUI_FRONTEND names the folder `static` of a comfyui-frontend-package."""
    folder = os.environ.get("COMFYUI_FRONTEND")
    return ["--front-end-root", folder] if folder else []


class Server:
    """A running ComfyUI whose base directory holds this pack, the given node files, and the fixture nodes as well."""

    def __init__(
        self,
        comfyui: Path,
        base: Path,
        *node_files: Path,
        options: tuple[str, ...] = (),
        nodes: tuple[Path, ...] = (FIXTURE_NODES,),
    ) -> None:
        self.comfyui, self.python, self.base, self.port = comfyui, python_of(comfyui), base, free_port()
        (base / "custom_nodes").mkdir(parents=True)
        install_pack(base / "custom_nodes" / "autodir")
        for path in (*nodes, *node_files):
            shutil.copy(path, base / "custom_nodes")
        command = [self.python, "main.py", "--cpu", "--port", str(self.port), "--base-directory", str(base)]
        command += ["--database-url", f"sqlite:///{base / 'comfyui.db'}", "--preview-method", "latent2rgb"]
        command += ["--disable-api-nodes", "--disable-auto-launch", *page_options(), *options]
        self.log_path = base / "server.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=comfyui, stdout=log, stderr=log, env=environment())
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while READY not in self.log():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise AssertionError(f"ComfyUI did not start:\n{self.log()[-4000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def call(self, path: str, body: Any = None) -> Any:
        """GET, or POST with a body; the JSON of the answer, None where it is empty."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.read().decode()}") from error
        return json.loads(text) if text else None

    def queue(self, prompt: dict[str, Any], client: str = "") -> str:
        """Queue an API prompt; its number."""
        return self.call("/prompt", {"prompt": prompt, "client_id": client})["prompt_id"]

    def result(self, number: str) -> dict[str, Any]:
        """The history of a prompt once it has ended."""
        end = time.monotonic() + RUN_SECONDS
        while time.monotonic() < end:
            history = self.call(f"/history/{number}")
            if history:
                return history[number]
            assert self.process.poll() is None, f"ComfyUI ended:\n{self.log()[-4000:]}"
            time.sleep(0.1)
        raise AssertionError(f"the prompt did not end in {RUN_SECONDS} s:\n{self.log()[-4000:]}")

    def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """The outputs of a prompt that ends well."""
        done = self.result(self.queue(prompt))
        assert done["status"]["status_str"] == "success", error_of(done)
        return done["outputs"]

    def file(self, entry: dict[str, str]) -> Path:
        """Where an output of a Save or Preview node lies."""
        return self.base / entry["type"] / entry["subfolder"] / entry["filename"]


def error_of(done: dict[str, Any]) -> str:
    """The message of the node that failed."""
    return next(
        content["exception_message"] for kind, content in done["status"]["messages"] if kind == "execution_error"
    )


def install_pack(target: Path) -> None:
    """The pack as the registry publishes it; all of it where that cannot be known."""
    if (ROOT / ".git").exists():
        unpack_archive(target)
    else:
        shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Websocket:
    """What the page listens to: JSON events as dictionaries, everything else as bytes."""

    def __init__(self, server: Server, client: str) -> None:
        self.stream = socket.create_connection(("127.0.0.1", server.port), timeout=RUN_SECONDS)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        request = (
            f"GET /ws?clientId={client} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.stream.sendall(request.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.exactly(1)
        assert re.match(rb"HTTP/1.1 101", head), head.decode()

    def __enter__(self) -> Websocket:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.stream.recv(count - len(data))
            assert part, "the server closed the connection"
            data += part
        return data

    def events(self) -> Iterator[dict[str, Any] | bytes]:
        """Events as they come; a server's frames are never masked."""
        while True:
            first, second = self.exactly(2)
            length = second & 127
            if length >= 126:
                length = struct.unpack(">H" if length == 126 else ">Q", self.exactly(2 if length == 126 else 8))[0]
            content, kind = self.exactly(length), first & 15
            if kind == TEXT:
                yield json.loads(content)
            elif kind == BINARY:
                yield content
            assert kind != CLOSE, "the server closed the connection"
