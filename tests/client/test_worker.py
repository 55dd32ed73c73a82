"""Servers that restart, vanish, lose answers and files: nothing is lost or done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import pytest

from autodir_client import worker
from autodir_core import AutoDIRError
from tests.client.helpers.fake import DEFINITIONS, Fake
from tests.client.helpers.session import Client, assert_done


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

    def test_a_photo_over_the_limit_of_uploads_costs_no_other(self, client, photos):
        photos[1].write_bytes(b"x" * 5000)

        async def story():
            async with Fake() as fake:
                fake.upload_limit = 3000
                return [await client([fake], photos[:3]) for _ in range(2)], fake

        (first, second), fake = asyncio.run(story())
        assert first[1].error == (
            f"127.0.0.1:{fake.port} refuses the upload of photo1.png (0.0 MB, status 413); "
            "scale the photo down or raise the limit"
        )
        assert [bool(result.error) for result in first] == [bool(result.error) for result in second] == [0, 1, 0]
        assert fake.executed == [b"photo0", b"photo2"]
        assert_done(client, [photos[0], photos[2]])

    def test_an_upload_that_always_breaks_off_is_given_up(self, client, photos):
        async def story():
            async with Fake() as fake:
                fake.breaks_uploads = {b"photo1"}
                return await client([fake], photos[:3]), fake

        results, fake = asyncio.run(story())
        assert "broke off its upload 4 times; does a proxy limit the size?" in results[1].error
        assert fake.requests.count("POST /upload/image") == 2 + worker.MAX_ATTEMPTS
        assert_done(client, [photos[0], photos[2]])

    @pytest.mark.parametrize(("allowed", "again"), [(0, False), (1, False), (0, True)])
    def test_a_photo_that_cannot_be_read_costs_no_other(self, client, photos, allowed, again):
        read, calls, patch = Path.read_bytes, [], pytest.MonkeyPatch()

        def denied(path):
            calls.append(path)
            if path == photos[1] and calls.count(path) > allowed:
                raise PermissionError(13, "Permission denied")
            return read(path)

        patch.setattr(Path, "read_bytes", denied)

        async def story():
            async with Fake() as fake:
                if again:
                    patch.undo()
                    await client([fake], photos[:3])
                    patch.setattr(Path, "read_bytes", denied)
                return await client([fake], photos[:3])

        results = asyncio.run(story())
        assert [result.error for result in results] == ["", f"{photos[1]} cannot be read (Permission denied)", ""]
        patch.undo()
        assert_done(client, photos[:3] if again else [photos[0], photos[2]])

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
