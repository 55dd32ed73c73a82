"""One ComfyUI server: upload, queue, follow, download. Each call is a single attempt; retrying is up to the caller."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from autodir_core.errors import AutoDIRError, InputError
from autodir_core.optional_imports import optional_import
from autodir_core.serialization.atomic import atomic_path, one_line

from .definitions import Definitions, Prompt, parse_inputs
from .errors import JobFailedError, OutputNotFoundError, ServerError, ServerUnavailableError, connection_error
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
OK, REDIRECTION, BAD_REQUEST, NOT_FOUND, TOO_LARGE, SERVER_TROUBLE = 200, 300, 400, 404, 413, 500
LATER = (408, 425, 429)
LOGIN = (401, 403)
FAULTS_OF_FILES = (BAD_REQUEST, TOO_LARGE, 415, 422)
UNLIKE_COMFYUI = (LookupError, TypeError, AttributeError, ValueError)
"""What reading JSON of another shape raises."""

LOG_IN = "log in with --token or --header"


class Server:
    """A ComfyUI server, to be used as `async with Server("http://127.0.0.1:8188") as server:`.

    Its methods raise ServerUnavailableError where it does not answer, other ServerErrors where a retry would not help.

    Attributes:
        url: where it listens, without a slash at the end.
        parameters: of its address, such as a token; every request has them.
        name: the address without user, password and parameters, for messages.
        last_answer: `time.monotonic()` of its last sign of life.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None, insecure: bool = False) -> None:
        """Take what every request is sent with; InputError for anything but an http or https address.

        Args:
            url: such as "http://127.0.0.1:8188" or "https://me:secret@host/comfy?token=...".
            headers: such as {"Authorization": "Bearer ..."}.
            insecure: whether to take any certificate, such as a self-signed one.
        """
        self.url, self.parameters, self.name = parse_address(url)
        self.headers, self.insecure = dict(headers or {}), insecure
        if "@" in urlsplit(self.url).netloc and "authorization" in map(str.lower, self.headers):
            raise InputError(f"{self.name} has a user in its address and an Authorization header; give one of them")
        self.client = uuid.uuid4().hex
        self.last_answer = monotonic()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Server:
        http = import_aiohttp()
        timeout = http.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        connector = http.TCPConnector(ssl=not self.insecure)
        self._session = http.ClientSession(timeout=timeout, headers=self.headers, connector=connector)
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
        stats = await self.get_json("/system_stats")
        with self.explain_answer("/system_stats"):
            return str(stats["system"].get("comfyui_version", ""))

    async def definitions(self) -> Definitions:
        """Return the definition of every node type that the server has."""
        found = await self.get_json("/object_info")
        with self.explain_answer("/object_info"):
            for definition in found.values():
                parse_inputs(definition)
                list(definition["output"])
        return found

    async def prompt_ids(self) -> set[str]:
        """Return the ids of the prompts that wait, run or have ended since the server was started."""
        queue, history = await self.get_json("/queue"), await self.get_json("/history")
        with self.explain_answer("/queue"):
            return {item[1] for item in queue["queue_running"] + queue["queue_pending"]} | set(history)

    async def upload(self, path: Path, name: str) -> str:
        """Send a file and return its name for a LoadImage node; one of that name and content stays as it is.

        Raises JobFailedError for a file that cannot be read or that the server refuses, such as one that is too large.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise JobFailedError(f"{path} cannot be read ({one_line(error)})") from error
        form = import_aiohttp().FormData()
        form.add_field("subfolder", FOLDER)
        form.add_field("image", content, filename=name)
        async with self.request("POST", "/upload/image", data=form, accept=FAULTS_OF_FILES) as response:
            if response.status in FAULTS_OF_FILES:
                large = "; scale the photo down or raise the limit" if response.status == TOO_LARGE else ""
                size = f"{len(content) / 1e6:.1f} MB, status {response.status}"
                raise JobFailedError(f"{self.name} refuses the upload of {path.name} ({size}){large}")
            stored = await self.read_json(response)
        with self.explain_answer("/upload/image"):
            return "/".join(filter(None, [stored["subfolder"], stored["name"]]))

    async def queue_prompt(self, prompt: Prompt, prompt_id: str) -> None:
        """Put a prompt into the queue under an id of the caller's, a UUID; JobFailedError where it is refused."""
        body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": self.client}
        async with self.request("POST", "/prompt", body, accept=(BAD_REQUEST, TOO_LARGE)) as response:
            if response.status == TOO_LARGE:
                raise JobFailedError(f"{self.name} refuses the workflow: it is too large (status {TOO_LARGE})")
            if response.status == BAD_REQUEST:
                answer = await self.read_json(response)
                with self.explain_answer("/prompt"):
                    message = refusal_message(answer, prompt)
                raise JobFailedError(f"{self.name} refuses the workflow: {message}")

    async def queue_position(self, prompt_id: str) -> int | None:
        """Return how many prompts come before one: 0 while it runs, None when it is not in the queue."""
        queue = await self.get_json("/queue")
        with self.explain_answer("/queue"):
            running, waiting = queue["queue_running"], sorted(queue["queue_pending"], key=lambda item: item[0])
            if any(item[1] == prompt_id for item in running):
                return 0
            ahead = [number for number, item in enumerate(waiting) if item[1] == prompt_id]
        return len(running) + ahead[0] if ahead else None

    async def result(self, prompt_id: str) -> PromptResult | None:
        """Return the result of a prompt that has ended; None where the server does not know it."""
        history = await self.get_json(f"/history/{prompt_id}")
        with self.explain_answer("/history"):
            return read_history(history[prompt_id]) if prompt_id in history else None

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        """Open the stream of the server's messages to this client, for the length of the block."""
        http = import_aiohttp()
        try:
            opened = await self.session.ws_connect(
                f"{self.url}/ws",
                params=[*self.parameters, ("clientId", self.client)],
                heartbeat=HEARTBEAT_SECONDS,
                max_msg_size=0,
            )
        except http.WSServerHandshakeError as error:
            kind = ServerUnavailableError if error.status >= SERVER_TROUBLE else ServerError
            raise kind(f"{self.name} refuses the websocket /ws (status {error.status})") from error
        except (http.ClientError, asyncio.TimeoutError, ConnectionError) as error:
            raise connection_error(self.name, error) from error
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
                with self.explain_answer("/ws"):
                    event = json.loads(message.data)
                    update, changed = progress.update(event), progress.changes_queue(event)
                if update is not None:
                    on_update(update)
                if changed:
                    return

    async def download(self, file: Mapping[str, str], path: Path) -> None:
        """Write an output to `path`, whole or not at all; OutputNotFoundError where the server no longer has it."""
        params = {key: file.get(key, "") for key in ("filename", "subfolder", "type")}
        async with self.request("GET", "/view", params=params, accept=(NOT_FOUND,)) as response:
            if response.status == NOT_FOUND:
                raise OutputNotFoundError(f"{self.name} no longer has the output {file['filename']}")
            with atomic_path(path) as temporary, temporary.open("wb") as target:
                async for chunk in response.content.iter_chunked(CHUNK):
                    target.write(chunk)
                    self.last_answer = monotonic()

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
        accept: Collection[int] = (),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and yield the response; errors, also those while it is read, become ServerErrors.

        `accept` are the statuses of refusal that the caller explains itself.
        """
        http, parameters = import_aiohttp(), [*self.parameters, *(params or {}).items()]
        options = {"json": body, "data": data, "params": parameters, "allow_redirects": method == "GET"}
        try:
            async with self.session.request(method, self.url + path, **options) as response:
                self.check_status(response, path, accept)
                yield response
                self.last_answer = monotonic()  # of an answer that came whole: one that breaks off is no sign of life
        except (http.ClientError, asyncio.TimeoutError, ConnectionError) as error:
            raise connection_error(self.name, error) from error

    def check_status(self, response: aiohttp.ClientResponse, path: str, accept: Collection[int]) -> None:
        """ServerError for a status that is not of success."""
        status = response.status
        if status >= SERVER_TROUBLE or status in LATER:
            raise ServerUnavailableError(f"{self.name} is in trouble (status {status} for {path})")
        if OK <= status < REDIRECTION or status in accept:
            return
        if status in LOGIN:
            raise ServerError(f"{self.name} refuses {path} (status {status}); {LOG_IN}")
        if status < BAD_REQUEST:
            place = response.headers.get("Location", "")
            raise ServerError(f"{self.name} sends {path} on to {place}; give that address as the server, or {LOG_IN}")
        raise ServerError(f"{self.name} refuses {path} (status {status}); check the address")

    @contextmanager
    def explain_answer(self, path: str) -> Iterator[None]:
        """Turn what reading an answer of another shape raises into one line: ServerError."""
        try:
            yield
        except AutoDIRError:
            raise
        except UNLIKE_COMFYUI as error:
            what = f"{type(error).__name__}: {str(error)[:80]}"
            raise ServerError(f"{self.name} answers {path} as no ComfyUI does ({what}); check the address") from error

    async def read_json(self, response: aiohttp.ClientResponse) -> Any:
        """Return the JSON of a response; ServerError for anything else, such as the page of another program."""
        try:
            return json.loads(await response.text())
        except (ValueError, LookupError, RecursionError) as error:
            hint = f"it was sent on to {response.url.path}; {LOG_IN}" if response.history else "check the address"
            raise ServerError(f"{self.name} is no ComfyUI: {response.url.path} gave no JSON; {hint}") from error


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


def parse_address(text: str) -> tuple[str, list[tuple[str, str]], str]:
    """Return an address without a slash at the end, its parameters, and its name; the default is http.

    The name is the address without user, password and parameters, where secrets are.
    """
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise InputError(f"a server is an address such as http://127.0.0.1:8188, got {text!r}")
    path, parameters = parts.path.rstrip("/"), parse_qsl(parts.query, keep_blank_values=True)
    url = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
    return url, parameters, parts.netloc.rpartition("@")[2] + path
