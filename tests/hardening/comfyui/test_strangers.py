"""Workflows of strangers on a live server: every input of every node with values that do not belong there.

Each is refused before it runs, runs because the value is fine after all, or ends in one line of ours that names the
node and the input; and no file outside ComfyUI's folders is touched.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host.conftest import StartServer
from tests.host.server import Server

pytestmark = pytest.mark.host

TYPED: tuple[Any, ...] = (
    *(None, True, 0, -1, 10**30, -(10**30), 1e308, -1e308, 0.5, float("nan"), float("inf"), "", "text", "nan", "1e999"),
    *([], {}, [1, 2, 3], {"a": 1}, "../../../etc/passwd", "/etc/passwd", "..\\..\\secret", "C:\\Windows\\win.ini"),
    *(
        "a\0b",
        "x" * 1_000_000,
        "%year%/../..",
        "\ud800",
        "models/../../secret.safetensors",
        "https://example.org/a.ckpt",
    ),
)
"""Values as a program may send them."""

BAD_LINKS: tuple[Any, ...] = (["gone", 0], ["model", 99], ["model", -1], ["model", "0"], ["image", 0], ["prompt", 0])

LINKS = {
    "IMAGE": ["image", 0],
    "AUTODIR_MODEL": ["model", 0],
    "CONDITIONING": ["prompt", 0],
    "AUTODIR_ASSESSMENT": ["assess", 0],
    "LATENT": ["sample", 0],
    "MASK": ["image", 1],
    "AUTODIR_SAMPLER_SETTINGS": ["sampler_settings", 0],
    "AUTODIR_LOOP_SETTINGS": ["loop_settings", 0],
    "AUTODIR_LOOP": ["open", 0],
    "MASK,IMAGE": ["image", 1],
    "*": ["image", 0],
}
"""A good link for every type."""

GOOD = {"steps": 1, "max_rounds": 1, "file": "tiny.safetensors", "precision": "float32", "preset": "custom"}
NAMES = {
    **{"AutoDIRLoadModel": "model", "AutoDIRAssess": "assess", "AutoDIRPrompt": "prompt", "AutoDIRSample": "sample"},
    **{"AutoDIRSamplerSettings": "sampler_settings", "AutoDIRLoopSettings": "loop_settings", "AutoDIRLoopOpen": "open"},
}


def good_prompt(definitions: dict[str, Any]) -> dict[str, Any]:
    """Every node of ours once, with a good value for every input."""
    prompt: dict[str, Any] = {
        "image": {"class_type": "LoadImage", "inputs": {"image": "small.png"}},
        "body": {"class_type": "ImageInvert", "inputs": {"image": ["open", 1]}},
    }
    for kind in (kind for kind in definitions if kind.startswith("AutoDIR")):
        sockets = {**definitions[kind]["input"].get("required", {}), **definitions[kind]["input"].get("optional", {})}
        inputs = {name: good_value(kind, name, socket) for name, socket in sockets.items()}
        prompt[NAMES.get(kind, kind)] = {"class_type": kind, "inputs": inputs}
    return prompt


def good_value(kind: str, name: str, socket: list[Any]) -> Any:
    if name in GOOD:
        return GOOD[name]
    if name == "report":
        return ["assess", 2]
    if (kind, name) == ("AutoDIRLoopClose", "image"):
        return ["body", 0]
    options = socket[1] if len(socket) > 1 else {}
    first = socket[0][0] if isinstance(socket[0], list) and socket[0] else ""
    return LINKS[socket[0]] if str(socket[0]) in LINKS else options.get("default", first)


def ancestors(prompt: dict[str, Any], number: str) -> set[str]:
    found, waiting = set(), [number]
    while waiting:
        found.add(now := waiting.pop())
        links = (value[0] for value in prompt[now]["inputs"].values() if isinstance(value, list) and value)
        waiting += [link for link in links if isinstance(link, str) and link in prompt and link not in found]
    return found


def hostile_prompt(good: dict[str, Any], number: str, name: str, value: Any) -> dict[str, Any]:
    """A node with one bad input, those that it needs, and an end that makes it run."""
    prompt = json.loads(json.dumps(good))
    if isinstance(value, str) and value.startswith("given: "):
        prompt["hostile"] = {"class_type": "HostileValue", "inputs": {"name": value.removeprefix("given: ")}}
        value = ["hostile", 0]
    prompt[number]["inputs"][name] = value
    prompt["end"] = {"class_type": "HostileEnd", "inputs": {"value": [number, 0]}}
    needed = ancestors(prompt, number) | {"end"}
    return {key: node for key, node in prompt.items() if key in needed}


def cases(definitions: dict[str, Any], good: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Node, input and value, typed or given by another node."""
    (values, *_) = definitions["HostileValue"]["input"]["required"]["name"]
    for number, node in good.items():
        if number in ("image", "body"):
            continue
        groups = definitions[node["class_type"]]["input"]
        hidden = [name for name in groups.get("hidden", {}) if name not in ("node_id", "graph")]
        for name in (*node["inputs"], *hidden):
            # an undeclared input that is a bad link ends ComfyUI's own worker, with its own nodes too
            typed = TYPED if name in hidden else (*TYPED, *BAD_LINKS)
            yield from ((number, name, value) for value in typed)
            yield from ((number, name, f"given: {value}") for value in values)


def post(server: Server, prompt: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """The status and the answer to a prompt, whatever they are."""
    body = json.dumps({"prompt": prompt, "client_id": ""}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/prompt", data=body)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def judge(server: Server, number: str, name: str, prompt: dict[str, Any]) -> tuple[str, str]:
    """What became of a prompt, and what is wrong with that; "" where nothing is."""
    status, answer = post(server, prompt)
    if status != 200:
        named = number in answer.get("node_errors", {}) or "error" in answer
        return "refused", "" if status == 400 and named else f"status {status}: {answer}"
    done = server.result(answer["prompt_id"])
    if done["status"]["status_str"] == "success":
        return "fine", ""
    error = next(content for kind, content in done["status"]["messages"] if kind == "execution_error")
    message, ours = error["exception_message"].strip(), "autodir_core.errors" in error["exception_type"]
    clear = ours and "\n" not in message and len(message) < 700
    at_node = error["node_id"] == number or name in message
    return "told", "" if clear and at_node else f"{error['node_id']}: {error['exception_type']}: {message[:300]}"


@pytest.fixture(scope="module")
def watched(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server with the hostile nodes, and the file that names what it touches."""
    trace = tmp_path_factory.mktemp("trace") / "files.txt"
    os.environ["AUTODIR_TRACE"] = str(trace)
    try:
        with start_server(Path(__file__).with_name("hostile_nodes.py")) as running:
            yield running, trace
    finally:
        del os.environ["AUTODIR_TRACE"]


def test_every_input_of_every_node(watched: tuple[Server, Path], rng: random.Random, trials: int) -> None:
    server, trace = watched
    definitions = server.call("/object_info")
    good = good_prompt(definitions)
    for number in good:  # so that whatever fails below does so because of its value
        needed = ancestors(good, number)
        prompt = {key: node for key, node in good.items() if key in needed}
        done = server.result(
            server.queue({**prompt, "end": {"class_type": "HostileEnd", "inputs": {"value": [number, 0]}}})
        )
        assert done["status"]["status_str"] == "success", (number, done["status"])
    every = list(cases(definitions, good))
    assert len(every) > 3000
    outcomes, faults, start = Counter[str](), list[str](), trace.stat().st_size
    chosen = every if trials >= len(every) else rng.sample(every, max(trials // 4, 1))
    for number, name, value in chosen:
        outcome, fault = judge(server, number, name, hostile_prompt(good, number, name, value))
        outcomes[outcome] += 1
        if fault:
            faults.append(f"{good[number]['class_type']}.{name} = {str(value)[:60]!r}: {fault}")
    print(dict(outcomes), *faults, sep="\n")
    assert not faults
    assert outcomes["refused"] and outcomes["told"]
    check_places(server, trace.read_text(encoding="utf-8", errors="replace")[start:])


def libraries(python: str) -> list[str]:
    """Where a Python has its packages and its standard library: an environment with copies has the latter elsewhere."""
    code = "import sys; print(sys.prefix, sys.base_prefix, sep='\\n')"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")[:2]


def check_places(server: Server, lines: str) -> None:
    """Nothing is written outside the base directory; what is read is there too, or is code."""
    code = ("/usr/", "/lib", "/etc/ssl", "/proc/", "/sys/", "/dev/", "/etc/localtime", "/etc/mime.types")
    allowed = (str(server.base), str(server.comfyui), *libraries(server.python))
    for line in set(lines.splitlines()):
        event, _, target = line.partition("\t")
        inside = target.startswith(allowed[0]) or target == "/dev/null" or target.isdigit()
        readable = target.startswith((*allowed, *code, os.path.realpath(server.base)))
        if event == "read":
            assert inside or readable, line
        else:
            assert inside, line
