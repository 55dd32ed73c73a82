"""One ComfyUI server: upload, queue, follow, fetch. Each call asks once; whoever calls decides about trying again."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from autodir_core.errors import AutoDIRError, InputError
from autodir_core.imaging.paths import atomic_path
from autodir_core.optional_imports import optional_import

from .definitions import Definitions, Prompt
from .errors import FileGone, JobFailed, ServerAway, ServerError
from .progress import Progress, Update
from .workflow import label_of

if TYPE_CHECKING:
    import aiohttp

    Events = aiohttp.ClientWebSocketResponse[Any]

CONNECT_SECONDS, READ_SECONDS, HEARTBEAT_SECONDS = 10, 60, 30
POLL_SECONDS = 5.0  # how often the queue is asked when no event comes, such as for prompts of an earlier client
CHUNK = 1 << 18
FOLDER = "autodir"  # of the server's input folder
NOT_FOUND, BAD_REQUEST, SERVER_TROUBLE = 404, 400, 500


@dataclass(frozen=True)
class Entry:
    """One output of a prompt.

    Attributes:
        node: id of the node that gave it, as in the workflow.
        file: "filename", "subfolder" and "type" for `Server.fetch`; None for a text.
        text: the text, where the node showed one.
    """

    node: str
    file: Mapping[str, str] | None = None
    text: str = ""


@dataclass(frozen=True)
class Outcome:
    """A prompt that has ended: its outputs, or in `error` one line that says what went wrong."""

    entries: tuple[Entry, ...] = ()
    error: str = ""


class Server:
    """A ComfyUI server, used as `async with Server("http://127.0.0.1:8188") as server:`.

    Its methods raise ServerAway where it does not answer, and other ServerErrors where trying again would not help.

    Attributes:
        url: where it listens, without a slash at the end.
        name: the same without user and password, for messages.
        last_answer: `time.monotonic()` of its last sign of life.
    """

    def __init__(self, url: str) -> None:
        """InputError for anything but an http or https address."""
        self.url, self.name = base_url(url)
        self.client = uuid.uuid4().hex
        self.last_answer = monotonic()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Server:
        http = library()
        timeout = http.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        self._session = http.ClientSession(timeout=timeout)
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()
        self._session = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise AutoDIRError("the server is not open; write `async with Server(url) as server:`")
        return self._session

    async def version(self) -> str:
        """The version of ComfyUI, such as "0.3.64"."""
        return (await self.ask("/system_stats"))["system"].get("comfyui_version", "")

    async def definitions(self) -> Definitions:
        """Every node type that the server has."""
        return await self.ask("/object_info")

    async def prompt_ids(self) -> set[str]:
        """The prompts that wait, run or have ended since the server was started."""
        queue, history = await self.ask("/queue"), await self.ask("/history")
        return {item[1] for item in queue["queue_running"] + queue["queue_pending"]} | set(history)

    async def upload(self, path: Path, name: str) -> str:
        """Send a file; what a LoadImage node calls it. A file of that name with the same content stays as it is."""
        form = library().FormData()
        form.add_field("subfolder", FOLDER)
        form.add_field("image", path.read_bytes(), filename=name)
        async with self.answer("POST", "/upload/image", data=form) as answer:
            told = await self.read_json(answer)
        return "/".join(filter(None, [told["subfolder"], told["name"]]))

    async def queue(self, prompt: Prompt, prompt_id: str) -> None:
        """Put a prompt into the queue under an id of the caller's (a UUID); JobFailed where the server refuses it."""
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": self.client}
        async with self.answer("POST", "/prompt", body, accept=BAD_REQUEST) as answer:
            if answer.status == BAD_REQUEST:
                raise JobFailed(f"{self.name} refuses the workflow: {refusal(await self.read_json(answer), prompt)}")

    async def place(self, prompt_id: str) -> int | None:
        """How many prompts come before one: 0 while it runs, None when it is not in the queue."""
        queue = await self.ask("/queue")
        running, waiting = queue["queue_running"], sorted(queue["queue_pending"], key=lambda item: item[0])
        if any(item[1] == prompt_id for item in running):
            return 0
        ahead = [number for number, item in enumerate(waiting) if item[1] == prompt_id]
        return len(running) + ahead[0] if ahead else None

    async def outcome(self, prompt_id: str) -> Outcome | None:
        """What a prompt that has ended gave; None where the server does not know of it."""
        history = await self.ask(f"/history/{prompt_id}")
        return read_outcome(history[prompt_id]) if prompt_id in history else None

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        """The server's messages to this client, while the block lasts."""
        http = library()
        try:
            opened = await self.session.ws_connect(
                f"{self.url}/ws", params={"clientId": self.client}, heartbeat=HEARTBEAT_SECONDS, max_msg_size=0
            )
        except http.WSServerHandshakeError as error:
            kind = ServerAway if error.status >= SERVER_TROUBLE else ServerError
            raise kind(f"{self.name} refuses the websocket /ws (status {error.status})") from error
        except (http.ClientError, asyncio.TimeoutError, ConnectionError) as error:
            raise ServerAway(f"{self.name} does not answer ({reason(error)})") from error
        async with opened:
            yield opened

    async def follow(
        self,
        prompt_id: str,
        events: Events,
        on_update: Callable[[Update], None],
        prompt: Prompt,
    ) -> Outcome | None:
        """Wait until a prompt has ended; None where the server does not know it, as after a restart.

        Args:
            prompt_id: as it was queued.
            events: of `events`, opened before the prompt was queued.
            on_update: called with the place in the queue, then with the node that runs and its steps.
            prompt: for the titles of the nodes.
        """
        progress, shown = Progress(prompt_id, prompt), None
        while (place := await self.place(prompt_id)) is not None:
            if place != shown and place:
                on_update(Update("waiting", place=place))
            shown = place
            await self.listen(events, progress, on_update)
        return await self.outcome(prompt_id)

    async def listen(self, events: Events, progress: Progress, on_update: Callable[[Update], None]) -> None:
        """Report events until one says that the queue has changed, or for `POLL_SECONDS`."""
        kinds, end = library().WSMsgType, monotonic() + POLL_SECONDS
        while (left := end - monotonic()) > 0:
            try:
                message = await events.receive(timeout=left)
            except asyncio.TimeoutError:
                return
            if message.type in (kinds.CLOSE, kinds.CLOSING, kinds.CLOSED, kinds.ERROR):
                raise ServerAway(f"{self.name} closed the connection")
            self.last_answer = monotonic()
            if message.type == kinds.TEXT:
                event = json.loads(message.data)
                if (update := progress.update(event)) is not None:
                    on_update(update)
                if progress.changes_queue(event):
                    return

    async def fetch(self, file: Mapping[str, str], path: Path) -> None:
        """Write an output to `path`, whole or not at all; FileGone where the server no longer has it."""
        params = {key: file.get(key, "") for key in ("filename", "subfolder", "type")}
        async with self.answer("GET", "/view", params=params, accept=NOT_FOUND) as answer:
            if answer.status == NOT_FOUND:
                raise FileGone(f"{self.name} no longer has the output {file['filename']}")
            with atomic_path(path) as temporary, temporary.open("wb") as target:
                async for chunk in answer.content.iter_chunked(CHUNK):
                    target.write(chunk)

    async def ask(self, path: str) -> Any:
        """The JSON that the server gives for a path."""
        async with self.answer("GET", path) as answer:
            return await self.read_json(answer)

    @asynccontextmanager
    async def answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: aiohttp.FormData | None = None,
        params: Mapping[str, str] | None = None,
        accept: int | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one request; its errors, also those while it is read, become ServerErrors.

        `accept` is a status of refusal that the caller explains itself.
        """
        http = library()
        try:
            async with self.session.request(method, self.url + path, json=body, data=data, params=params) as answer:
                if answer.status >= SERVER_TROUBLE:
                    raise ServerAway(f"{self.name} is in trouble (status {answer.status} for {path})")
                self.last_answer = monotonic()
                if not answer.ok and answer.status != accept:
                    raise ServerError(f"{self.name} refuses {path} (status {answer.status}); check the address")
                yield answer
        except (http.ClientError, asyncio.TimeoutError, ConnectionError) as error:
            raise ServerAway(f"{self.name} does not answer ({reason(error)})") from error

    async def read_json(self, answer: aiohttp.ClientResponse) -> Any:
        """The JSON of an answer; ServerError for anything else, as another program's page."""
        try:
            return json.loads(await answer.text())
        except ValueError as error:
            raise ServerError(
                f"{self.name} is no ComfyUI: {answer.url.path} gave no JSON; check the address"
            ) from error


def library() -> ModuleType:
    """Import aiohttp when a server is first used; PackageError where it is missing."""
    with optional_import("aiohttp"):
        import aiohttp
    return aiohttp


def base_url(text: str) -> tuple[str, str]:
    """An address without a slash at the end, and the same without user and password; http where none is given."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise InputError(f"a server is an address such as http://127.0.0.1:8188, got {text!r}")
    path = parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path, "", "")), parts.netloc.rpartition("@")[2] + path


def reason(error: BaseException) -> str:
    """Why a connection failed, in a few words."""
    cause = getattr(error, "os_error", error)
    if isinstance(error, asyncio.TimeoutError):
        return "timeout"
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, socket.gaierror):
        return os.strerror(cause.errno)  # asyncio's own text repeats the address
    return " ".join(str(getattr(cause, "strerror", None) or cause).split()) or type(error).__name__


def refusal(told: Mapping[str, Any], prompt: Prompt) -> str:
    """Why `/prompt` refused, in one line."""
    lines = [
        f"node {label_of(prompt, number) if number in prompt else number}: {error['message']}: {error['details']}"
        for number, node in (told.get("node_errors") or {}).items()
        for error in node["errors"]
    ]
    error = told.get("error") or {}
    return "; ".join(lines) or (error.get("message", "unknown reason") if isinstance(error, Mapping) else str(error))


def read_outcome(history: Mapping[str, Any]) -> Outcome:
    """The outcome of a prompt from its entry in `/history`."""
    status = history.get("status") or {}
    if status.get("status_str", "success") != "success":
        return Outcome(error=failure(status.get("messages") or []))
    shown_as = {number: meta["display_node"] for number, meta in (history.get("meta") or {}).items()}
    return Outcome(
        tuple(
            entry
            for number, shown in history["outputs"].items()
            for items in shown.values()
            if isinstance(items, list)
            for entry in entries(shown_as.get(number, number), items)
        )
    )


def entries(node: str, items: list[Any]) -> list[Entry]:
    """What is a file or a text among the things that a node showed."""
    files = [Entry(node, file=item) for item in items if isinstance(item, dict) and "filename" in item]
    return files + [Entry(node, text=item) for item in items if isinstance(item, str) and item]


def failure(messages: list[Any]) -> str:
    """One line that says why a prompt ended without success."""
    for kind, content in messages:
        if kind == "execution_error":
            told = " ".join(str(content["exception_message"]).split())
            return f"node {content['node_id']} ({content['node_type']}) failed: {told}"
        if kind == "execution_interrupted":
            return "it was interrupted on the server"
    return "it failed on the server, which does not tell why"
