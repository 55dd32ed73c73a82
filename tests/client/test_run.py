"""Photos through fake servers that restart, vanish, lose answers and files: nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from autodir_client import JobResult, Update, Workflow, run_workflow_async, server, worker
from autodir_core import AutoDIRError, InputError
from tests.client.fake import DEFINITIONS, WORKFLOW, Fake


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(worker, "INITIAL_BACKOFF", 0.01)
    monkeypatch.setattr(server, "POLL_SECONDS", 0.05)


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    paths = [tmp_path / "in" / f"photo{number}.png" for number in range(4)]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(path.stem.encode())
    return paths


class Client:
    """One call of the client after another, into the same folder."""

    def __init__(self, out: Path) -> None:
        self.out, self.updates = out, []

    async def __call__(self, servers: Sequence[Fake], photos: Sequence[Path], **options: Any) -> list[JobResult]:
        urls = [fake.url for fake in servers]
        told = {"retry_timeout": 5.0, "inputs": {"image": photos}, "on_update": self.updates.append, **options}
        return await run_workflow_async(Workflow("flow", WORKFLOW), urls, self.out, **told)

    def stages(self) -> list[str]:
        """The stages in order, without repetition."""
        names = [update.stage for update in self.updates]
        return [name for number, name in enumerate(names) if not number or names[number - 1] != name]

    def names(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir()) if self.out.exists() else []


@pytest.fixture
def client(tmp_path) -> Client:
    return Client(tmp_path / "out")


def outputs_of(photo: Path) -> dict[str, bytes]:
    restored = b"restored " + photo.read_bytes()
    return {f"{photo.stem}_restore.txt": b"noise 62 %\n", f"{photo.stem}_save_image.png": restored}


def assert_done(client: Client, photos: Sequence[Path]) -> None:
    for photo in photos:
        for name, content in outputs_of(photo).items():
            assert (client.out / name).read_bytes() == content
    assert client.names() == sorted(name for p in photos for name in [*outputs_of(p), f"{p.stem}_comfy.json"])


def test_outputs_names_and_progress(client, photos):
    async def story():
        async with Fake() as fake:
            fake.step_seconds = 0.05  # a prompt that is done before anyone listens tells nothing of its steps
            (result,) = await client([fake], photos[:1], settings={"Restore.steps": "5"})
            assert (result.name, result.error, result.skipped) == ("photo0", "", False)
            assert [path.name for path in result.files] == ["photo0_restore.txt", "photo0_save_image.png"]
            assert [request for request in fake.requests if "POST" in request] == ["POST /upload/image", "POST /prompt"]
            return result

    result = asyncio.run(story())
    assert_done(client, photos[:1])
    assert client.stages() == ["uploading", "running", "downloading", "done"]
    running = [update for update in client.updates if update.stage == "running"]
    assert running[0] == Update("running", "photo0.png", result.server, node="Restore", nodes=(2, 3))
    assert [update.step for update in running[1:]] == [(1, 3), (2, 3), (3, 3)]


def test_settings_and_photo_reach_the_server(client, photos):
    async def story():
        async with Fake() as fake:
            fake.step_seconds = 0.05
            running = asyncio.create_task(client([fake], photos[:1], settings={"Restore.steps": 7}))
            while not fake.running:
                await asyncio.sleep(0.01)
            sent = fake.running[0][2]
            await running
            return sent

    sent = asyncio.run(story())
    assert sent["2"]["inputs"]["steps"] == 7
    assert sent["1"]["inputs"]["image"].startswith("autodir/photo0-")
    assert WORKFLOW["1"]["inputs"]["image"] == "example.png"


def test_what_is_done_is_skipped_without_a_server(client, photos):
    async def story():
        async with Fake() as fake:
            await client([fake], photos[:2])
        return await client([fake], photos[:2])

    results = asyncio.run(story())
    assert [result.skipped for result in results] == [True, True]
    assert client.updates[-1].message == "skipped, its outputs exist"


def test_a_missing_output_is_fetched_without_running_again(client, photos):
    async def story():
        async with Fake() as fake:
            await client([fake], photos[:2])
            (client.out / "photo1_save_image.png").unlink()
            await client([fake], photos[:2])
            return len(fake.executed)

    assert asyncio.run(story()) == 2
    assert_done(client, photos[:2])


def test_other_settings_do_not_replace_results_unless_told(client, photos):
    async def story():
        async with Fake() as fake:
            await client([fake], photos[:1])
            with pytest.raises(InputError, match=r"photo0_comfy\.json is of another workflow, settings or photo"):
                await client([fake], photos[:1], settings={"2.steps": 4})
            await client([fake], photos[:1], settings={"2.steps": 4}, force=True)
            (done,) = await client([fake], photos[:1], settings={"2.steps": 4})
            return len(fake.executed), done.skipped

    assert asyncio.run(story()) == (2, True)


def test_force_repeats_what_the_server_remembers(client, photos):
    async def story():
        async with Fake() as fake:
            await client([fake], photos[:1])
            await client([fake], photos[:1], force=True)
            return len(fake.executed)

    assert asyncio.run(story()) == 2


class TestAccidents:
    def run(self, client: Client, photos: Sequence[Path], *accidents: str) -> Fake:
        async def story():
            async with Fake(*accidents) as fake:
                assert not any(result.error for result in await client([fake], photos))
                assert not fake.accidents
                return fake

        fake = asyncio.run(story())
        assert_done(client, photos)
        return fake

    def test_a_restart_in_the_middle_sends_and_queues_again(self, client, photos):
        fake = self.run(client, photos[:3], "run")
        assert fake.executed == [b"photo0", b"photo0", b"photo1", b"photo2"]
        assert fake.requests.count("POST /upload/image") == 4
        assert client.stages()[:5] == ["uploading", "running", "unavailable", "uploading", "running"]

    @pytest.mark.parametrize("accident", ["prompt", "socket", "view"])
    def test_a_lost_connection_runs_nothing_twice(self, client, photos, accident):
        fake = self.run(client, photos[:2], accident)
        assert fake.executed == [b"photo0", b"photo1"]
        assert "unavailable" in client.stages()

    def test_several_accidents(self, client, photos):
        fake = self.run(client, photos, "prompt", "view", "socket", "run", "view")
        assert len(fake.executed) == 5

    def test_an_output_that_the_server_lost_before_is_made_again(self, client, photos):
        async def story():
            async with Fake() as fake:
                await client([fake], photos[:1])
                (client.out / "photo0_save_image.png").unlink()
                fake.accidents.append("gone")
                await client([fake], photos[:1])
                return len(fake.executed)

        assert asyncio.run(story()) == 2
        assert_done(client, photos[:1])

    def test_a_failing_node_is_told_and_the_others_go_on(self, client, photos):
        async def story():
            async with Fake("error") as fake:
                failed, done = await client([fake], photos[:2])
                retried = await client([fake], photos[:2])
                return failed, done, retried, fake.executed

        failed, done, retried, executed = asyncio.run(story())
        assert failed.error == "node 2 (Restore) failed: out of memory" and not failed.files and not done.error
        assert [result.skipped for result in retried] == [False, True] and not retried[0].error
        assert executed == [b"photo0", b"photo1", b"photo0"]
        assert_done(client, photos[:2])

    def test_a_photo_that_ends_the_server_is_given_up(self, client, photos):
        async def story():
            async with Fake() as fake:
                fake.always_crashes = True
                (result,) = await client([fake], photos[:1])
                await fake.restarting
                return result, len(fake.executed)

        result, count = asyncio.run(story())
        assert "lost it 4 times; does it end the server?" in result.error
        assert count == worker.MAX_ATTEMPTS

    def test_a_refused_prompt_is_explained_once(self, client, photos):
        async def story():
            async with Fake() as fake:
                (result,) = await client([fake], photos[:1], settings={"2.steps": 99})
                return result, fake

        result, fake = asyncio.run(story())
        assert result.error == (
            f"127.0.0.1:{fake.port} refuses the workflow: node 2 (Restore): Value not in list: steps: 99"
        )
        assert fake.requests.count("POST /prompt") == 1


class TestAnEarlierRun:
    def test_an_interrupted_client_finds_its_prompt_again(self, client, photos):
        async def story():
            async with Fake() as fake:
                fake.step_seconds = 0.05
                first = asyncio.create_task(client([fake], photos[:2]))
                while not fake.running:
                    await asyncio.sleep(0.005)
                first.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await first
                assert client.names() == []
                await client([fake], photos[:2])
                return fake.executed

        assert asyncio.run(story()) == [b"photo0", b"photo1"]
        assert_done(client, photos[:2])

    def test_it_is_looked_for_on_every_server(self, client, photos):
        async def story():
            async with Fake() as idle, Fake() as busy:
                await client([busy], photos[1:2])
                for path in client.out.iterdir():
                    path.unlink()
                await client([idle, busy], photos[:2])
                return idle.executed, busy.executed

        assert asyncio.run(story()) == ([b"photo0"], [b"photo1"])
        assert_done(client, photos[:2])


class TestSeveralServers:
    def test_they_share_the_photos(self, client, photos):
        async def story():
            async with Fake() as one, Fake() as other:
                one.step_seconds = other.step_seconds = 0.02
                await client([one, other], photos)
                return one.executed, other.executed

        one, other = asyncio.run(story())
        assert len(one) == len(other) == 2
        assert sorted([*one, *other]) == [b"photo0", b"photo1", b"photo2", b"photo3"]
        assert_done(client, photos)

    def test_a_server_that_vanishes_leaves_its_photo_to_the_other(self, client, photos):
        async def story():
            async with Fake() as one, Fake() as other:
                one.step_seconds = 10
                running = asyncio.create_task(client([one, other], photos, retry_timeout=0.1))
                while not one.running:
                    await asyncio.sleep(0.01)
                await one.stop()
                results = await running
                return results, one, other

        results, one, other = asyncio.run(story())
        assert {result.server for result in results} == {f"127.0.0.1:{other.port}"}
        assert_done(client, photos)
        left_out = [update.message for update in client.updates if update.stage == "dropped"]
        assert len(left_out) == 1 and left_out[0].startswith(f"127.0.0.1:{one.port} does not answer")

    def test_one_that_lacks_a_model_is_dropped(self, client, photos):
        definitions = deepcopy(DEFINITIONS)
        definitions["Restore"]["input"]["optional"]["file"] = [["small.ckpt"], {}]

        async def story():
            async with Fake(definitions=definitions) as poor, Fake() as rich:
                await client([poor, rich], photos, settings={"Restore.file": "large.ckpt"})
                return poor, rich

        poor, rich = asyncio.run(story())
        assert not poor.executed and len(rich.executed) == 4
        (told,) = [update.message for update in client.updates if update.stage == "dropped"]
        assert "node 2 (Restore): file = 'large.ckpt' is not on the server; it has: small.ckpt" in told

    def test_with_no_server_left_the_error_names_all_reasons_and_the_rest_stays(self, client, photos):
        async def story():
            fake = Fake()
            async with fake:
                await client([fake], photos[:1])
            poor = Fake(definitions={"LoadImage": DEFINITIONS["LoadImage"]})
            async with poor:
                with pytest.raises(AutoDIRError) as caught:
                    await client([fake, poor], photos, retry_timeout=0.05)
            return fake, poor, str(caught.value)

        fake, poor, told = asyncio.run(story())
        assert told.startswith("3 of 3 left, no server can do them: ")
        assert f"127.0.0.1:{fake.port} does not answer" in told and "start it" in told
        assert f"127.0.0.1:{poor.port} cannot run the workflow: node type Restore (node 2) is missing" in told
        assert "\n" not in told
        assert_done(client, photos[:1])

    def test_a_server_that_starts_late_is_waited_for(self, client, photos):
        async def story():
            fake = Fake()
            running = asyncio.create_task(client([fake], photos[:1]))
            await asyncio.sleep(0.1)
            async with fake:
                return await running

        assert not asyncio.run(story())[0].error
        assert_done(client, photos[:1])


def test_the_place_in_the_queue_is_told(client, photos):
    async def story():
        async with Fake() as fake:
            fake.step_seconds = 0.05
            others = [asyncio.create_task(Client(client.out / str(n))([fake], photos[n : n + 1])) for n in (1, 2)]
            while len(fake.pending) + len(fake.running) < 2:
                await asyncio.sleep(0.005)
            await client([fake], photos[:1])
            await asyncio.gather(*others)

    asyncio.run(story())
    assert [update.queue_position for update in client.updates if update.stage == "queued"] == [2, 1]


def test_a_page_that_is_no_comfyui(client, photos, monkeypatch):
    async def page(fake, request):
        return web.Response(text="<html>")

    async def story():
        monkeypatch.setattr(Fake, "object_info", page)
        async with Fake() as fake:
            await client([fake], photos[:1])

    with pytest.raises(AutoDIRError, match="is no ComfyUI: /object_info gave no JSON; check the address"):
        asyncio.run(story())


def test_the_record_tells_what_was_done(client, photos):
    async def story():
        async with Fake() as fake:
            return (await client([fake], photos[:1]))[0]

    result = asyncio.run(story())
    told = json.loads((client.out / "photo0_comfy.json").read_text(encoding="utf-8"))
    assert told["photos"] == {"image": str(photos[0])}
    assert told["files"] == ["photo0_restore.txt", "photo0_save_image.png"]
    assert told["server"] == result.server
    assert replace(result, skipped=True) == asyncio.run(client([], photos[:1]))[0]
