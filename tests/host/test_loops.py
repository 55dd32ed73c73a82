"""Loop Open and Loop Close on a real ComfyUI; most loops halve a picture, so that their results are known."""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.host.conftest import ROUNDS, SEED, STEPS, StartServer, pixels
from tests.host.server import ROOT, Server, Websocket, environment, error_of

pytestmark = pytest.mark.host

ENDS = ("execution_success", "execution_error", "execution_interrupted")
THREE = "noise, blur, rain"
"""Without "no" among them every label wins once: as many rounds as labels, whatever the model thinks."""

ORDER = ("photo", "white", "inverted")
"""The pictures of `batch`."""

NUMBERS = count()


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def halving(labels: str = THREE, max_rounds: int = 7) -> dict[str, Any]:
    """A loop whose body halves the picture; everything that it writes has a name of its own."""
    name = f"loop{next(NUMBERS)}"
    return {
        "photo": node("LoadImage", image="small.png"),
        "model": node("AutoDIRLoadModel", file="tiny.safetensors", precision="auto"),
        "open": node("AutoDIRLoopOpen", model=["model", 0], image=["photo", 0], labels=labels),
        "halve": node("FixtureHalve", image=["open", 1], diary=name),
        "close": node("AutoDIRLoopClose", loop=["open", 0], image=["halve", 0], max_rounds=max_rounds),
        "keep": node("FixtureKeep", image=["close", 0], name=name),
        "report": node("PreviewAny", source=["close", 2]),
    }


def restoring(image: list[Any], labels: str = "", max_rounds: int = ROUNDS) -> dict[str, Any]:
    """A loop whose body is the pack's own nodes, step by step."""
    prompt = halving(labels, max_rounds)
    prompt["open"]["inputs"]["image"] = image
    del prompt["halve"]
    settings = {"steps": STEPS, "sampler": "euler_ancestral", "text_guidance": 1.0, "image_guidance": 1.0, "seed": SEED}
    return prompt | {
        "blend": node("AutoDIRBlend", assessment=["open", 2], temperature=1.0, top_k=0, exclude_labels=""),
        "sample": node("AutoDIRSample", model=["model", 0], image=["open", 1], conditioning=["blend", 0], **settings),
        "decode": node("AutoDIRDecode", model=["model", 0], latent=["sample", 0]),
        "correct": node(
            "AutoDIRCorrect",
            model=["model", 0],
            degraded=["open", 1],
            generated=["decode", 0],
            weight=["open", 4],
        ),
        "close": node("AutoDIRLoopClose", loop=["open", 0], image=["correct", 0], max_rounds=max_rounds),
    }


def restore(image: list[Any], prompt: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Restore in one node, with the settings of a step-by-step loop."""
    sampling = {k: prompt["sample"]["inputs"][k] for k in ("steps", "text_guidance", "image_guidance", "sampler")}
    return node("AutoDIRRestore", model=["model", 0], image=image, scm_weight=-1.0, prompt="", **sampling, **settings)


def renamed(nodes: dict[str, Any], prefix: str) -> dict[str, Any]:
    """A part of a prompt under other ids; links to what is not part of it stay."""
    moved = {prefix + name: copy.deepcopy(one) for name, one in nodes.items()}
    for one in moved.values():
        links = {name: value for name, value in one["inputs"].items() if isinstance(value, list) and value[0] in nodes}
        one["inputs"] |= {name: [prefix + number, output] for name, (number, output) in links.items()}
    return moved


def inner_loop() -> dict[str, Any]:
    """A loop of three rounds that begins with what the outer loop's round begins with."""
    prompt = halving()
    inner = renamed({name: prompt[name] for name in ("open", "halve", "close")}, "inner ")
    inner["inner open"]["inputs"]["image"] = ["open", 1]
    return inner


def kept(server: Server, prompt: dict[str, Any], name: str = "keep") -> torch.Tensor:
    return torch.load(server.base / "output" / f"{prompt[name]['inputs']['name']}.pt")


def runs(server: Server, prompt: dict[str, Any], name: str = "halve") -> int:
    """How often a halving node really ran."""
    path = server.base / "output" / f"{prompt[name]['inputs']['diary']}.txt"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def report(outputs: dict[str, Any]) -> list[str]:
    return outputs["report"]["text"][0].splitlines()


def found(lines: str) -> list[float]:
    """How probable the degradations of a picture's rounds were, from its part of a report, to 1 %."""
    return [int(percent) / 100 for percent in re.findall(r"^round .+? (\d+) %", lines, re.M)]


def heard(server: Server, prompt: dict[str, Any]) -> list[dict[str, Any]]:
    """What the page hears about a prompt until it has ended."""
    events = []
    with Websocket(server, "loops") as page:
        number = server.queue(prompt, "loops")
        for event in page.events():
            if isinstance(event, dict) and event["data"].get("prompt_id") == number:
                events.append(event)
                if event["type"] in ENDS:
                    return events
    raise AssertionError("the server closed the connection")


def executing(events: list[dict[str, Any]]) -> list[str]:
    """The drawn nodes that ran, in order."""
    return [e["data"]["display_node"] for e in events if e["type"] == "executing" and e["data"]["node"]]


@pytest.fixture(scope="module")
def photo(photo_path) -> torch.Tensor:
    return torch.from_numpy(np.asarray(Image.open(photo_path), dtype=np.float32) / 255)[None]


@pytest.fixture(scope="module")
def batch(server, photo_path) -> dict[str, Any]:
    """Nodes of a batch of three that the tiny model does not assess alike."""
    picture = pixels(photo_path)
    Image.fromarray(np.full_like(picture, 255)).save(server.base / "input/white.png")
    Image.fromarray(255 - picture).save(server.base / "input/inverted.png")
    return {
        "white": node("LoadImage", image="white.png"),
        "inverted": node("LoadImage", image="inverted.png"),
        "two": node("ImageBatch", image1=["photo", 0], image2=["white", 0]),
        "three": node("ImageBatch", image1=["two", 0], image2=["inverted", 0]),
    }


class TestRounds:
    def test_none(self, server, photo):
        """Not even a preview inside makes the body of a clean picture run."""
        prompt = halving("no") | {"look": node("PreviewImage", images=["halve", 0])}
        prompt["pictures"] = node("PreviewImage", images=["close", 3])
        outputs = server.run(prompt)
        assert torch.equal(kept(server, prompt), photo)
        assert runs(server, prompt) == 0 and "look" not in outputs
        assert report(outputs) == ["done: clean (no 100 %)"]
        assert len(outputs["pictures"]["images"]) == 1

    def test_several_with_a_node_that_changes_the_result(self, server, photo):
        prompt = halving() | {"pictures": node("FixtureKeep", image=["close", 3], name=f"all{next(NUMBERS)}")}
        outputs = server.run(prompt)
        assert torch.equal(kept(server, prompt), photo / 8)
        assert runs(server, prompt) == 3
        assert torch.equal(kept(server, prompt, "pictures"), torch.cat([photo, photo / 2, photo / 4, photo / 8]))
        lines = report(outputs)
        assert sorted(line.split()[2] for line in lines[:3]) == ["blur", "noise", "rain"]
        assert lines[3:] == ["done: no label left"]

    def test_as_many_as_allowed(self, server, photo):
        prompt = halving(max_rounds=2)
        assert report(server.run(prompt))[2:] == ["stopped: limit of 2 rounds reached"]
        assert torch.equal(kept(server, prompt), photo / 4)

    def test_seven_of_the_default_labels(self, server, photo):
        """Ids and messages must not grow out of bounds."""
        prompt = halving("noise, blur, rain, underexposure, haze, low resolution, raindrop", max_rounds=16)
        ids = [e["data"]["node"] for e in heard(server, prompt) if e["type"] == "executing" and e["data"]["node"]]
        assert torch.equal(kept(server, prompt), photo / 2**7)
        assert max(map(len, ids)) < 7 * len("close.0.0.") + 10

    def test_values_of_the_user_s_go_from_round_to_round(self, server):
        prompt = halving()
        prompt["open"]["inputs"]["value_a"] = ["first", 0]
        prompt["close"]["inputs"]["value_a"] = ["join", 0]
        prompt |= {
            "first": node("StringConcatenate", string_a="found", string_b="", delimiter=""),
            "join": node("StringConcatenate", string_a=["open", 6], string_b=["open", 3], delimiter=" "),
            "value": node("PreviewAny", source=["close", 4]),
        }
        outputs = server.run(prompt)
        order = [line.split()[2] for line in report(outputs)[:3]]
        assert outputs["value"]["text"] == [" ".join(["found", *order])]

    def test_an_upscaler_inside(self, server):
        prompt = halving(max_rounds=2) | {"pictures": node("PreviewImage", images=["close", 3])}
        prompt["scale"] = node("ImageScaleBy", image=["halve", 0], upscale_method="bilinear", scale_by=1.5)
        prompt["close"]["inputs"]["image"] = ["scale", 0]
        outputs = server.run(prompt)
        shapes = [pixels(server.file(image)).shape for image in outputs["pictures"]["images"]]
        assert shapes == [(112, 162, 3)] * 3
        assert kept(server, prompt).shape == (1, 112, 162, 3)


class TestBits:
    """Graph loop, Restore node, Python and command line: the same photo, seed and settings, the same bits."""

    def test_one_picture(self, server, photo_path, alone, tmp_path):
        prompt = restoring(["photo", 0])
        prompt["whole"] = restore(["photo", 0], prompt, seed=SEED, max_rounds=ROUNDS)
        prompt["keep whole"] = node("FixtureKeep", image=["whole", 0], name=f"whole{next(NUMBERS)}")
        prompt["report whole"] = node("PreviewAny", source=["whole", 1])
        outputs = server.run(prompt)
        image = kept(server, prompt)
        assert torch.equal(image, kept(server, prompt, "keep whole"))
        assert torch.equal(image, alone["image"])
        assert outputs["report"] == outputs["report whole"]
        self.check_command_line(server, image, photo_path, tmp_path / "out.png")

    @staticmethod
    def check_command_line(server, image, photo_path, target):
        """It writes 8 bits, rounded."""
        model = server.base / "models/autodir/tiny.safetensors"
        command = [server.python, "-m", "autodir_core", "restore", photo_path, "-o", target, "--model", model]
        command += ["--device", "cpu", "--steps", STEPS, "--seed", SEED, "--max-rounds", ROUNDS, "--no-gate"]
        subprocess.run(list(map(str, command)), cwd=ROOT, env=environment(), check=True)
        assert np.array_equal(pixels(target), (image[0].clamp(0, 1) * 255).round().to(torch.uint8).numpy())

    def test_a_batch_whose_pictures_finish_in_different_rounds(self, server, batch):
        """Each gives what Restore gives it alone with its own seed; a finished one stays as it is."""
        labels = "noise, underexposure, no"
        prompt = restoring(["three", 0], labels, 7) | batch
        for i, name in enumerate(ORDER):
            prompt[f"alone {name}"] = restore([name, 0], prompt, seed=SEED + i, max_rounds=7, labels=labels)
            prompt[f"keep {name}"] = node("FixtureKeep", image=[f"alone {name}", 0], name=f"{name}{next(NUMBERS)}")
            prompt[f"report {name}"] = node("PreviewAny", source=[f"alone {name}", 1])
        outputs = server.run(prompt)
        together, parts = kept(server, prompt), "\n".join(report(outputs)).split("\n\n")
        assert [part.count("round ") for part in parts] == [1, 2, 2]
        for i, name in enumerate(ORDER):
            assert torch.equal(together[i : i + 1], kept(server, prompt, f"keep {name}"))
            assert parts[i] == f"picture {i + 1}\n{outputs[f'report {name}']['text'][0]}"

    def test_a_picture_of_a_batch_that_is_clean_at_once(self, server, batch, photo):
        prompt = halving("underexposure, no") | batch
        prompt["open"]["inputs"]["image"] = ["two", 0]
        server.run(prompt)
        assert torch.equal(kept(server, prompt), torch.cat([photo / 2, torch.ones_like(photo)]))


class TestGraphs:
    def test_a_preview_inside_appears_for_every_round(self, server, photo_path):
        prompt = halving() | {"look": node("PreviewImage", images=["halve", 0])}
        shown = [e["data"] for e in heard(server, prompt) if e["type"] == "executed"]
        files = [server.file(data["output"]["images"][0]) for data in shown if data["display_node"] == "look"]
        means = [pixels(path).mean() for path in files]
        assert np.allclose(means, [pixels(photo_path).mean() / 2**i for i in (1, 2, 3)], atol=1)

    def test_no_preview_of_the_round_that_finds_the_picture_clean(self, server, photo):
        """It hangs on the body, and would make it run once too often."""
        prompt = halving("underexposure, no") | {"look": node("PreviewImage", images=["halve", 0])}
        shown = [e["data"]["display_node"] for e in heard(server, prompt) if e["type"] == "executed"]
        assert torch.equal(kept(server, prompt), photo / 2)
        assert (shown.count("look"), runs(server, prompt)) == (1, 1)

    def test_two_loops_in_sequence(self, server, photo):
        prompt = halving("noise, blur")
        second = halving("rain, haze, raindrop")
        prompt |= renamed({name: second[name] for name in ("open", "halve", "close", "keep")}, "second ")
        prompt["second open"]["inputs"]["image"] = ["close", 0]
        server.run(prompt)
        assert torch.equal(kept(server, prompt), photo / 4)
        assert torch.equal(kept(server, prompt, "second keep"), photo / 32)
        assert (runs(server, prompt), runs(server, prompt, "second halve")) == (2, 3)

    def test_a_loop_in_a_loop(self, server, photo):
        """Two rounds, each of which runs a loop of three and halves once more."""
        prompt = halving("noise, blur")
        prompt |= inner_loop()
        prompt["inner look"] = node("PreviewImage", images=["inner halve", 0])
        prompt["halve"]["inputs"]["image"] = ["inner close", 0]
        events = heard(server, prompt)
        assert torch.equal(kept(server, prompt), photo / 2**8)
        shown = [e["data"]["display_node"] for e in events if e["type"] == "executed" and e["data"]["output"]]
        assert shown.count("inner look") == 6


class TestCache:
    def test_a_repeated_run_executes_nothing(self, server):
        prompt = halving() | {"look": node("PreviewImage", images=["halve", 0])}
        server.run(prompt)
        assert executing(heard(server, prompt)) == []
        assert runs(server, prompt) == 3

    def test_more_rounds_use_those_that_were_run(self, server, photo):
        prompt = halving(max_rounds=2)
        server.run(prompt)
        prompt["close"]["inputs"]["max_rounds"] = 3
        ran = executing(heard(server, prompt))
        assert torch.equal(kept(server, prompt), photo / 8)
        assert runs(server, prompt) == 3
        # the Open of round three, which only took up round two before, and the one that takes up round three
        assert (ran.count("open"), ran.count("halve")) == (2, 1)

    def test_fewer_rounds_run_no_body(self, server, photo):
        prompt = halving(max_rounds=3)
        server.run(prompt)
        prompt["close"]["inputs"]["max_rounds"] = 1
        ran = executing(heard(server, prompt))
        assert torch.equal(kept(server, prompt), photo / 2)
        assert "halve" not in ran


@pytest.fixture(scope="module")
def classic(server: Server, start_server: StartServer) -> Iterator[Server]:
    """A server that keeps what its last run did not use, as all did by default before 0.33."""
    main = (server.comfyui / "main.py").read_text(encoding="utf-8")
    if "\n    cache_type = execution.CacheType.CLASSIC\n" in main:
        yield server
        return
    with start_server(options=("--cache-classic",)) as running:
        yield running


def test_without_a_cache_each_round_runs_all_before_it_or_is_refused(start_server, comfyui, photo):
    prompt = halving()
    with start_server(options=("--cache-none",)) as server:
        done = server.result(server.queue(prompt))
        if "def cache_update" in (comfyui / "comfy_execution/graph.py").read_text(encoding="utf-8"):
            assert torch.equal(kept(server, prompt), photo / 8) and runs(server, prompt) == 1 + 2 + 3
        else:
            assert error_of(done).startswith("this ComfyUI runs no loops with --cache-none; ")


class TestMinConfidence:
    def test_above_everything_nothing_runs(self, server, photo):
        prompt = halving()
        prompt["close"]["inputs"]["min_confidence"] = 1.0
        prompt["pictures"] = node("FixtureKeep", image=["close", 3], name=f"all{next(NUMBERS)}")
        outputs = server.run(prompt)
        assert torch.equal(kept(server, prompt), photo)
        assert torch.equal(kept(server, prompt, "pictures"), photo)
        assert runs(server, prompt) == 0
        (line,) = report(outputs)
        assert re.match(r"done: low confidence \((noise|blur|rain) \d+ %\); if you see it", line)

    def test_a_preview_inside_runs_for_the_round_that_is_given_up(self, server, photo):
        """It does not wait for Loop Close; what it shows does not count."""
        prompt = halving() | {"look": node("PreviewImage", images=["halve", 0])}
        prompt["close"]["inputs"]["min_confidence"] = 1.0
        assert "look" in server.run(prompt)
        assert torch.equal(kept(server, prompt), photo) and runs(server, prompt) == 1

    def test_another_one_uses_the_rounds_that_were_run(self, classic, photo):
        server, prompt = classic, halving()
        first, second, _ = found("\n".join(report(server.run(prompt))))
        assert first - second > 0.03, "the tiny model is less sure of the second"
        for min_confidence, rounds in (((first + second) / 2, 1), (0.0, 3), (second / 2, 3), (1.0, 0), (0.0, 3)):
            prompt["close"]["inputs"]["min_confidence"] = min_confidence
            ran = executing(heard(server, prompt))
            assert torch.equal(kept(server, prompt), photo / 2**rounds)
            assert "halve" not in ran and runs(server, prompt) == 3

    def test_each_picture_of_a_batch_has_its_own_end(self, server, batch, photo):
        """The tiny model is surest of the photo; the last one is given up at once."""
        prompt = halving("noise, blur, rain, underexposure") | batch
        prompt["open"]["inputs"]["image"] = ["three", 0]
        parts = "\n".join(report(server.run(prompt))).split("\n\n")
        assert [[p >= 0.53 for p in found(part)].index(False) for part in parts] == [2, 1, 0]
        prompt["close"]["inputs"]["min_confidence"] = 0.53
        parts = "\n".join(report(server.run(prompt))).split("\n\n")
        white = torch.ones_like(photo)
        assert torch.equal(kept(server, prompt)[:2], torch.cat([photo / 4, white / 2]))
        torch.testing.assert_close(kept(server, prompt)[2:], white - photo)
        assert [len(found(part)) for part in parts] == [2, 1, 0]
        assert all(part.splitlines()[-1].startswith("done: low confidence (") for part in parts)

    def test_a_batch_gives_what_restore_gives_each_alone(self, server, batch):
        """One picture is given up at once, another is restored."""
        prompt = restoring(["three", 0], max_rounds=3) | batch
        firsts = sorted(found(part)[0] for part in "\n".join(report(server.run(prompt))).split("\n\n"))
        assert firsts[1] - firsts[0] > 0.03
        prompt["close"]["inputs"]["min_confidence"] = min_confidence = (firsts[0] + firsts[1]) / 2
        for i, name in enumerate(ORDER):
            settings = {"seed": SEED + i, "max_rounds": 3, "min_confidence": min_confidence}
            prompt[f"alone {name}"] = restore([name, 0], prompt, **settings)
            prompt[f"keep {name}"] = node("FixtureKeep", image=[f"alone {name}", 0], name=f"{name}{next(NUMBERS)}")
            prompt[f"report {name}"] = node("PreviewAny", source=[f"alone {name}", 1])
        outputs = server.run(prompt)
        together, parts = kept(server, prompt), "\n".join(report(outputs)).split("\n\n")
        assert {bool(found(part)) for part in parts} == {True, False}
        for i, name in enumerate(ORDER):
            assert torch.equal(together[i : i + 1], kept(server, prompt, f"keep {name}"))
            assert parts[i] == f"picture {i + 1}\n{outputs[f'report {name}']['text'][0]}"

    def test_a_loop_in_a_loop_has_its_own(self, server, photo):
        """Two rounds of the outer; the inner gives up before each of its own."""
        prompt = halving("noise, blur") | inner_loop()
        prompt["halve"]["inputs"]["image"] = ["inner close", 0]
        prompt["inner close"]["inputs"]["min_confidence"] = 1.0
        server.run(prompt)
        assert torch.equal(kept(server, prompt), photo / 4)
        assert (runs(server, prompt), runs(server, prompt, "inner halve")) == (2, 0)

    def test_what_lies_outside_is_refused(self, server):
        prompt = halving()
        prompt["close"]["inputs"]["min_confidence"] = 1.5
        with pytest.raises(AssertionError, match=r"bigger than max of 1\.0"):
            server.queue(prompt)


class TestCrops:
    def test_the_loop_and_restore_look_alike(self, server):
        """At a picture larger than the crop that the paper looks at."""
        large = np.random.default_rng(4).integers(0, 256, (230, 300, 3), dtype=np.uint8)
        Image.fromarray(large).save(server.base / "input/large.png")
        prompt = restoring(["large", 0], max_rounds=1) | {"large": node("LoadImage", image="large.png")}
        prompt["open"]["inputs"]["crops"] = "grid"
        prompt["assess"] = node("AutoDIRAssess", model=["model", 0], image=["large", 0], labels="", crops="grid")
        prompt["whole"] = restore(["large", 0], prompt, seed=SEED, max_rounds=1, crops="grid")
        prompt["keep whole"] = node("FixtureKeep", image=["whole", 0], name=f"whole{next(NUMBERS)}")
        prompt["report whole"] = node("PreviewAny", source=["whole", 1])
        outputs = server.run(prompt)
        assert torch.equal(kept(server, prompt), kept(server, prompt, "keep whole"))
        assert outputs["report"] == outputs["report whole"]
        assert f"round 1: {outputs['assess']['text'][0].splitlines()[0]}" in report(outputs)[0]


def test_a_loop_in_a_subgraph_runs_every_round_there(server, photo):
    """As the page queues it, "<subgraph>:<node>"; an older page cannot read such names of nodes that nobody drew."""
    prompt, names = halving(), ("open", "halve", "close")
    inside = {name: f"16:{number}" for number, name in enumerate(names)}
    text = json.dumps(prompt)
    for name, number in inside.items():
        text = text.replace(f'"{name}"', f'"{number}"')
    prompt = json.loads(text)
    events = heard(server, prompt)
    assert torch.equal(kept(server, prompt), photo / 8)
    named = {event["data"].get("node") for event in events} | {
        node for event in events if event["type"] == "progress_state" for node in event["data"]["nodes"]
    }
    assert {name for name in named if name and ":" in name} <= set(prompt)
    assert executing(events).count(inside["halve"]) == 3


def test_core_s_image_compare_inside_shows_every_round(server):
    if "ImageCompare" not in server.call("/object_info"):
        pytest.skip("this ComfyUI has no Image Compare")
    prompt = halving()
    prompt["compare"] = node("ImageCompare", image_a=["open", 1], image_b=["halve", 0], compare_view={})
    shown = [e["data"]["output"] for e in heard(server, prompt) if e["type"] == "executed"]
    pairs = [one for one in shown if one and one.get("a_images")]
    assert len(pairs) == 3 and all(len(pair["b_images"]) == 1 for pair in pairs)


def test_a_muted_node_before_the_end_is_refused_by_the_server(server):
    """The page leaves a muted node and the links to it out."""
    prompt = halving()
    del prompt["halve"], prompt["close"]["inputs"]["image"]
    with pytest.raises(AssertionError, match="Required input is missing"):
        server.queue(prompt)


class TestTrouble:
    def test_an_error_in_the_third_round_names_the_node(self, server):
        prompt = halving()
        prompt["fail"] = node("FixtureFail", image=["halve", 0], index=["open", 5], at=2)
        prompt["close"]["inputs"]["image"] = ["fail", 0]
        (error,) = (e["data"] for e in heard(server, prompt) if e["type"] == "execution_error")
        assert (error["node_id"], error["node_type"]) == ("fail", "FixtureFail")
        assert error["exception_message"].strip() == "this node cannot do number 2"
        assert runs(server, prompt) == 3

    def test_an_error_in_a_loop_in_a_loop_names_the_node(self, server):
        prompt = halving("noise, blur")
        prompt |= inner_loop()
        prompt["fail"] = node("FixtureFail", image=["inner halve", 0], index=["inner open", 5], at=1)
        prompt["inner close"]["inputs"]["image"] = ["fail", 0]
        prompt["halve"]["inputs"]["image"] = ["inner close", 0]
        (error,) = (e["data"] for e in heard(server, prompt) if e["type"] == "execution_error")
        assert error["node_id"] == "fail"

    @pytest.mark.parametrize("at", ["open", "close"])
    def test_a_list_is_refused(self, server, batch, at):
        prompt = halving() | batch
        prompt["two halves"] = node("RepeatImageBatch", image=["halve", 0], amount=2)
        whole = {"open": "three", "close": "two halves"}[at]
        prompt["list"] = node("RebatchImages", images=[whole, 0], batch_size=1)
        prompt[at]["inputs"]["image"] = ["list", 0]
        message = error_of(server.result(server.queue(prompt))).strip()
        assert message.startswith("the loop was given a list") and "\n" not in message

    def test_another_number_of_pictures_is_refused(self, server):
        prompt = halving()
        prompt["more"] = node("RepeatImageBatch", image=["halve", 0], amount=2)
        prompt["close"]["inputs"]["image"] = ["more", 0]
        message = error_of(server.result(server.queue(prompt)))
        assert "one picture for each of the 1 that went in, got [2, 50, 72, 3]" in message

    @pytest.mark.parametrize(
        ("source", "message"), [("open", "the loop has no nodes"), ("photo", "gets its image from outside the loop")]
    )
    def test_what_no_node_of_the_loop_made_is_refused(self, server, source, message):
        prompt = halving()
        prompt["close"]["inputs"]["image"] = [source, 1 if source == "open" else 0]
        done = server.result(server.queue(prompt))
        assert message in error_of(done) and "\n" not in error_of(done).strip()
        assert "report" not in done["outputs"]

    def test_two_ends_for_one_beginning_are_refused(self, server):
        prompt = halving()
        prompt["close again"] = node("AutoDIRLoopClose", loop=["open", 0], image=["halve", 0], max_rounds=7)
        prompt["look"] = node("PreviewImage", images=["close again", 0])
        assert "feeds 2 AutoDIR Loop Close" in error_of(server.result(server.queue(prompt)))

    def test_cancel_in_the_second_round(self, server):
        prompt = restoring(["photo", 0], THREE, 3)
        prompt["sample"]["inputs"]["steps"] = 40
        samples, steps = [], 0
        with Websocket(server, "loops") as page:
            number = server.queue(prompt, "loops")
            for event in page.events():
                if not isinstance(event, dict):
                    continue
                if event["type"] == "executing" and event["data"].get("display_node") == "sample":
                    samples.append(event["data"]["node"])
                elif event["type"] == "progress" and len(samples) == 2:
                    steps = event["data"]["value"]
                    if steps > 0:
                        server.call("/interrupt", {})
                elif event["type"] in ENDS:
                    break
        assert len(samples) == 2 and 0 < steps < 1000
        assert any(kind == "execution_interrupted" for kind, _ in server.result(number)["status"]["messages"])
        prompt["sample"]["inputs"]["steps"] = 1
        server.run(prompt)
