"""Calls of the client into one folder, and what must be in it at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autodir_client import JobResult, Server, Workflow, run_workflow_async
from tests.client.helpers.fake import WORKFLOW, Fake


class Client:
    """One call of the client after another, into the same folder."""

    def __init__(self, out: Path) -> None:
        self.out, self.updates = out, []

    async def __call__(self, servers: Sequence[Fake], photos: Sequence[Path], **options: Any) -> list[JobResult]:
        return await self.on([fake.url for fake in servers], photos, **options)

    async def on(self, servers: Sequence[str | Server], photos: Sequence[Path], **options: Any) -> list[JobResult]:
        told = {"retry_timeout": 5.0, "inputs": {"image": photos}, "on_update": self.updates.append, **options}
        return await run_workflow_async(Workflow("flow", WORKFLOW), servers, self.out, **told)

    def stages(self) -> list[str]:
        """The stages in order, without repetition."""
        names = [update.stage for update in self.updates]
        return [name for number, name in enumerate(names) if not number or names[number - 1] != name]

    def names(self) -> list[str]:
        return sorted(path.name for path in self.out.iterdir()) if self.out.exists() else []


def outputs_of(photo: Path) -> dict[str, bytes]:
    restored = b"restored " + photo.read_bytes()
    return {f"{photo.stem}_restore.txt": b"noise 62 %\n", f"{photo.stem}_save_image.png": restored}


def assert_done(client: Client, photos: Sequence[Path]) -> None:
    for photo in photos:
        for name, content in outputs_of(photo).items():
            assert (client.out / name).read_bytes() == content
    assert client.names() == sorted(name for p in photos for name in [*outputs_of(p), f"{p.stem}_comfy.json"])
