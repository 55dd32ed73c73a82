"""One ComfyUI server: upload, queue, follow, download. Each call is a single attempt; retrying is up to the caller."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit, urlunsplit

from autodir_core.errors import AutoDIRError, InputError
from autodir_core.optional_imports import optional_import
from autodir_core.serialization.atomic import atomic_path

from .definitions import Definitions, Prompt
from .errors import JobFailedError, OutputNotFoundError, ServerError, ServerUnavailableError
from .messages import Progress, PromptResult, Update, read_history, refusal_message

if TYPE_CHECKING:
    import aiohttp

    Events = aiohttp.ClientWebSocketResponse[Any]

P = ParamSpec("P")
T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS, HEARTBEAT_SECONDS = 10, 60, 30
POLL_SECONDS = 5.0  # how often the queue is asked when no event comes, such as for prompts of an earlier client
CHUNK = 1 << 18
FOLDER = "autodir"  # of the server's input folder
NOT_FOUND, BAD_REQUEST, SERVER_TROUBLE = 404, 400, 500


class Server:
    """A ComfyUI server, to be used as `async with Server("http://127.0.0.1:8188") as server:`.

    Its methods raise ServerUnavailableError where it does not answer, other ServerErrors where a retry would not help.

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
        http = import_aiohttp()
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
        """Return the version of ComfyUI, such as "0.3.64"."""
        return (await self.get_json("/system_stats"))["system"].get("comfyui_version", "")

    async def definitions(self) -> Definitions:
        """Return the definition of every node type that the server has."""
        return await self.get_json("/object_info")

    async def prompt_ids(self) -> set[str]:
        """Return the ids of the prompts that wait, run or have ended since the server was started."""
        queue, history = await self.get_json("/queue"), await self.get_json("/history")
        return {item[1] for item in queue["queue_running"] + queue["queue_pending"]} | set(history)

    async def upload(self, path: Path, name: str) -> str:
        """Send a file and return its name for a LoadImage node; one of that name and content stays as it is."""
        form = import_aiohttp().FormData()
        form.add_field("subfolder", FOLDER)
        form.add_field("image", path.read_bytes(), filename=name)
        async with self.request("POST", "/upload/image", data=form) as response:
            stored = await self.read_json(response)
        return "/".join(filter(None, [stored["subfolder"], stored["name"]]))

    async def queue_prompt(self, prompt: Prompt, prompt_id: str) -> None:
        """Put a prompt into the queue under an id of the caller's, a UUID; JobFailedError where it is refused."""
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": self.client}
        async with self.request("POST", "/prompt", body, accept=BAD_REQUEST) as response:
            if response.status == BAD_REQUEST:
                raise JobFailedError(
                    f"{self.name} refuses the workflow: {refusal_message(await self.read_json(response), prompt)}"
                )

    async def queue_position(self, prompt_id: str) -> int | None:
        """Return how many prompts come before one: 0 while it runs, None when it is not in the queue."""
        queue = await self.get_json("/queue")
        running, waiting = queue["queue_running"], sorted(queue["queue_pending"], key=lambda item: item[0])
        if any(item[1] == prompt_id for item in running):
            return 0
        ahead = [number for number, item in enumerate(waiting) if item[1] == prompt_id]
        return len(running) + ahead[0] if ahead else None

    async def result(self, prompt_id: str) -> PromptResult | None:
        """Return the result of a prompt that has ended; None where the server does not know it."""
        history = await self.get_json(f"/history/{prompt_id}")
        return read_history(history[prompt_id]) if prompt_id in history else None

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        """Open the stream of the server's messages to this client, for the length of the block."""
        http = import_aiohttp()
        try:
            opened = await self.session.ws_connect(
                f"{self.url}/ws", params={"clientId": self.client}, heartbeat=HEARTBEAT_SECONDS, max_msg_size=0
            )
        except http.WSServerHandshakeError as error:
            kind = ServerUnavailableError if error.status >= SERVER_TROUBLE else ServerError
            raise kind(f"{self.name} refuses the websocket /ws (status {error.status})") from error
        except (http.ClientError, asyncio.TimeoutError, ConnectionError) as error:
            raise ServerUnavailableError(f"{self.name} does not answer ({reason(error)})") from error
        async with opened:
            yield opened

    async def follow(
        self, prompt_id: str, events: Events, on_update: Callable[[Update], None], prompt: Prompt
    ) -> PromptResult | None:
        """Return the result of a prompt once it has ended; None where the server does not know it, as after a restart.

        Args:
            prompt_id: as it was queued.
            events: of `events`, opened before the prompt was queued.
            on_update: called with the place in the queue, then with the node that runs and its steps.
            prompt: for the titles of the nodes.
        """
        progress, shown = Progress(prompt_id, prompt), None
        while (position := await self.queue_position(prompt_id)) is not None:
            if position != shown and position:
                on_update(Update("queued", queue_position=position))
            shown = position
            await self.listen(events, progress, on_update)
        return await self.result(prompt_id)

    async def listen(self, events: Events, progress: Progress, on_update: Callable[[Update], None]) -> None:
        """Report events until one says that the queue has changed, or for `POLL_SECONDS`."""
        kinds, end = import_aiohttp().WSMsgType, monotonic() + POLL_SECONDS
        while (left := end - monotonic()) > 0:
            try:
                message = await events.receive(timeout=left)
            except asyncio.TimeoutError:
                return
            if message.type in (kinds.CLOSE, kinds.CLOSING, kinds.CLOSED, kinds.ERROR):
                raise ServerUnavailableError(f"{self.name} closed the connection")
            self.last_answer = monotonic()
            if message.type == kinds.TEXT:
                event = json.loads(message.data)
                if (update := progress.update(event)) is not None:
                    on_update(update)
                if progress.changes_queue(event):
                    return

    async def download(self, file: Mapping[str, str], path: Path) -> None:
        """Write an output to `path`, whole or not at all; OutputNotFoundError where the server no longer has it."""
        params = {key: file.get(key, "") for key in ("filename", "subfolder", "type")}
        async with self.request("GET", "/view", params=params, accept=NOT_FOUND) as response:
            if response.status == NOT_FOUND:
                raise OutputNotFoundError(f"{self.name} no longer has the output {file['filename']}")
            with atomic_path(path) as temporary, temporary.open("wb") as target:
                async for chunk in response.content.iter_chunked(CHUNK):
                    target.write(chunk)

    async def get_json(self, path: str) -> Any:
        """Return the JSON at a path."""
        async with self.request("GET", path) as response:
            return await self.read_json(response)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: aiohttp.FormData | None = None,
        params: Mapping[str, str] | None = None,
        accept: int | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and yield the response; errors, also those while it is read, become ServerErrors.

        `accept` is a status of refusal that the caller explains itself.
        """
        http = import_aiohttp()
        try:
            async with self.session.request(method, self.url + path, json=body, data=data, params=params) as response:
                if response.status >= SERVER_TROUBLE:
                    raise ServerUnavailableError(f"{self.name} is in trouble (status {response.status} for {path})")
                self.last_answer = monotonic()
                if not response.ok and response.status != accept:
                    raise ServerError(f"{self.name} refuses {path} (status {response.status}); check the address")
                yield response
        except (http.ClientError, asyncio.TimeoutError, ConnectionError) as error:
            raise ServerUnavailableError(f"{self.name} does not answer ({reason(error)})") from error

    async def read_json(self, response: aiohttp.ClientResponse) -> Any:
        """Return the JSON of a response; ServerError for anything else, such as the page of another program."""
        try:
            return json.loads(await response.text())
        except ValueError as error:
            raise ServerError(
                f"{self.name} is no ComfyUI: {response.url.path} gave no JSON; check the address"
            ) from error


def blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return a coroutine function as a plain one with the same parameters, for where no event loop is running."""

    @wraps(function)
    def run(*args: P.args, **options: P.kwargs) -> T:
        return asyncio.run(function(*args, **options))

    return run


def import_aiohttp() -> ModuleType:
    """Import aiohttp when a server is first used; PackageError where it is missing."""
    with optional_import("aiohttp"):
        import aiohttp
    return aiohttp


def base_url(text: str) -> tuple[str, str]:
    """Return an address without a slash at the end, and the same without user and password; the default is http."""
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
    """Say in a few words why a connection failed."""
    cause = getattr(error, "os_error", error)
    if isinstance(error, asyncio.TimeoutError):
        return "timeout"
    if isinstance(cause, OSError) and cause.errno and not isinstance(cause, socket.gaierror):
        return os.strerror(cause.errno)  # asyncio's own text repeats the address
    return " ".join(str(getattr(cause, "strerror", None) or cause).split()) or type(error).__name__
