"""Photos through a workflow: outputs, progress, what is skipped and what is repeated."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace

import pytest
from aiohttp import web

from autodir_client import Update
from autodir_core import AutoDIRError, InputError
from tests.client.helpers.fake import WORKFLOW, Fake
from tests.client.helpers.session import Client, assert_done


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
            await client([fake], photos[:1], settings={"2.steps": 4}, overwrite=True)
            (done,) = await client([fake], photos[:1], settings={"2.steps": 4})
            return len(fake.executed), done.skipped

    assert asyncio.run(story()) == (2, True)


def test_force_repeats_what_the_server_remembers(client, photos):
    async def story():
        async with Fake() as fake:
            await client([fake], photos[:1])
            await client([fake], photos[:1], overwrite=True)
            return len(fake.executed)

    assert asyncio.run(story()) == 2


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


def test_names_that_are_no_utf_8_or_as_long_as_can_be(client, photos):
    odd, long = (photos[0].with_name(name + ".png") for name in (os.fsdecode(b"caf\xe9"), "l" * 251))
    photos[0].rename(odd), photos[1].rename(long)

    async def story():
        async with Fake() as fake:
            first = await client([fake], [odd, long, photos[2]])
            return first, await client([fake], [odd, long, photos[2]])

    first, second = asyncio.run(story())
    assert not any(result.error for result in first) and all(result.skipped for result in second)
    assert [result.files for result in first] == [result.files for result in second]
    assert (client.out / f"{odd.stem}_save_image.png").read_bytes() == b"restored photo0"
    assert first[1].files[1].read_bytes() == b"restored photo1" and len(first[1].files[1].name) == 255


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
