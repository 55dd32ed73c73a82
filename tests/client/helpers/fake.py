"""A ComfyUI without nodes: the same routes and events, a queue that runs, and accidents on demand."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

DEFINITIONS: dict[str, Any] = {
    "LoadImage": {
        "input": {"required": {"image": [["example.png"], {"image_upload": True}]}},
        "output": ["IMAGE", "MASK"],
        "display_name": "Load Image",
    },
    "Restore": {
        "input": {
            "required": {"image": ["IMAGE"], "steps": ["INT", {"default": 9, "min": 1, "max": 100}]},
            "optional": {
                "file": [["small.ckpt", "large.ckpt"], {}],
                "strength": ["FLOAT", {"default": 1.0}],
                "sharp": ["BOOLEAN", {}],
                "words": ["STRING", {}],
            },
        },
        "output": ["IMAGE", "STRING"],
        "display_name": "Restore",
    },
    "SaveImage": {
        "input": {"required": {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "C"}]}},
        "output": [],
        "display_name": "Save Image",
    },
}
WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}, "_meta": {"title": "Photo"}},
    "2": {"class_type": "Restore", "inputs": {"image": ["1", 0], "steps": 3}},
    "3": {
        "class_type": "SaveImage",
        "inputs": {"images": ["2", 0], "filename_prefix": "C"},
        "_meta": {"title": "Save Image"},
    },
}

PAGE = json.loads((Path(__file__).parent / "page.json").read_text(encoding="utf-8"))
"""A graph with every kind of node that vanishes, as the page of ComfyUI 0.3.64 saved it, and the prompt it made."""


def graph(*nodes: dict, links: tuple = ()) -> dict:
    """A saved graph; what a node does not tell is empty."""
    empty = {"mode": 0, "inputs": [], "outputs": [], "properties": {}}
    return {"nodes": [{**empty, "id": number, **node} for number, node in enumerate(nodes, 1)], "links": list(links)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Fake:
    """One server in the loop of the test.

    Attributes:
        login: a token that every request must have, in its address or its header; "" for none.
        upload_limit: bytes of an upload at most; what is larger is refused with status 413.
        breaks_uploads: content of photos during whose upload the connection breaks.
        moved_to: where every request is sent on to; "" for nowhere.
        executed: per run that began, the content of its photo; what a restart does not forget.
        accidents: names of what goes wrong next, each once: "prompt" (accepted, but the answer is lost), "run" (the
            process ends in the middle), "view" (half of a file), "socket" (the websocket closes), "gone" (an output
            is lost), "interrupt", "error".
    """

    def __init__(self, *accidents: str, definitions: dict[str, Any] = DEFINITIONS, version: str = "0.3.64") -> None:
        self.port, self.definitions, self.version = free_port(), definitions, version
        self.accidents = list(accidents)
        self.executed: list[bytes] = []
        self.requests: list[str] = []
        self.files: dict[str, bytes] = {}
        self.login, self.upload_limit, self.moved_to = "", 10**9, ""
        self.breaks_uploads: set[bytes] = set()
        self.step_seconds = 0.0
        self.always_crashes = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Fake:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """A fresh process: it knows of no prompt; uploaded files are still there."""
        self.history: dict[str, Any] = {}
        self.running: list[list[Any]] = []
        self.pending: list[list[Any]] = []
        self.followed: set[str] = set()  # prompts start when they are, so that no client misses their events
        self.sockets: dict[str, web.WebSocketResponse] = {}
        app = web.Application(middlewares=[self.note])
        app.add_routes(
            [
                web.get("/ws", self.socket),
                web.get("/object_info", self.object_info),
                web.get("/system_stats", self.system_stats),
                web.get("/queue", self.queue),
                web.get("/history", self.all_history),
                web.get("/history/{number}", self.one_history),
                web.post("/upload/image", self.upload),
                web.post("/prompt", self.prompt),
                web.get("/view", self.view),
            ]
        )
        self.runner = web.AppRunner(app, shutdown_timeout=0)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=tls).start()
        self.worker = asyncio.create_task(self.work())

    async def stop(self) -> None:
        self.worker.cancel()
        for one in self.sockets.values():
            await one.close()
        await self.runner.cleanup()

    async def restart(self) -> None:
        await self.stop()
        await asyncio.sleep(0.05)
        if not self.always_crashes or len(self.executed) < 20:
            await self.start()

    def happens(self, accident: str) -> bool:
        if accident in self.accidents:
            self.accidents.remove(accident)
            return True
        return False

    @web.middleware
    async def note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        if self.moved_to and not request.path.startswith("/login"):
            raise web.HTTPFound(self.moved_to)
        keys = request.query.get("token"), request.headers.get("X-Key"), request.headers.get("Authorization", "")[7:]
        if self.login and self.login not in keys:
            return web.json_response({"error": "Authentication required."}, status=401)
        if request.path.startswith("/login"):
            return web.Response(text="<html>")
        return await handler(request)

    async def object_info(self, request: web.Request) -> web.Response:
        return web.json_response(self.definitions)

    async def system_stats(self, request: web.Request) -> web.Response:
        return web.json_response({"system": {"comfyui_version": self.version}})

    async def all_history(self, request: web.Request) -> web.Response:
        return web.json_response(self.history)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        one = web.WebSocketResponse()
        await one.prepare(request)
        self.sockets[request.query["clientId"]] = one
        async for message in one:
            assert message.type == WSMsgType.TEXT
        return one

    async def queue(self, request: web.Request) -> web.Response:
        self.followed.update(item[1] for item in self.pending)
        return web.json_response({"queue_running": self.running, "queue_pending": self.pending})

    async def one_history(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        return web.json_response({number: self.history[number]} if number in self.history else {})

    async def upload(self, request: web.Request) -> web.Response:
        if (request.content_length or 0) > self.upload_limit:
            return web.Response(status=413, text="<html>413 Request Entity Too Large</html>")
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        name = f"{form['subfolder']}/{image.filename}"
        self.files[name] = image.file.read()
        if self.files[name] in self.breaks_uploads:
            assert request.transport
            request.transport.close()
        return web.json_response({"name": image.filename, "subfolder": form["subfolder"], "type": "input"})

    async def prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        steps = body["prompt"]["2"]["inputs"]["steps"]
        if steps == 99:
            error = {"message": "Value not in list", "details": "steps: 99"}
            told = {"error": {"message": "invalid"}, "node_errors": {"2": {"errors": [error]}}}
            return web.json_response(told, status=400)
        item = [len(self.requests), body["prompt_id"], body["prompt"], {"client_id": body["client_id"]}, ["3"]]
        self.pending.append(item)
        if self.happens("prompt"):
            assert request.transport
            request.transport.close()
        return web.json_response({"prompt_id": item[1], "number": item[0], "node_errors": {}})

    async def view(self, request: web.Request) -> web.StreamResponse:
        content = self.files.get(request.query["filename"])
        if content is None or self.happens("gone"):
            return web.Response(status=404)
        answer = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await answer.prepare(request)
        if self.happens("view"):
            await answer.write(content[: len(content) // 2])
            assert request.transport
            request.transport.close()
            return answer
        await answer.write(content)
        return answer

    async def work(self) -> None:
        while True:
            if self.pending and self.pending[0][1] in self.followed:
                self.running = [self.pending.pop(0)]
                await self.execute(*self.running[0][1:4])
                self.running = []
                await self.send(None, {"type": "status", "data": {}})
            await asyncio.sleep(0.002)

    async def execute(self, number: str, prompt: dict[str, Any], extra: dict[str, str]) -> None:
        photo = self.files[prompt["1"]["inputs"]["image"]]
        self.executed.append(photo)
        client = extra["client_id"]
        await self.send(client, event("execution_cached", number, nodes=["1"]))
        await self.send(client, event("executing", number, node="2", display_node="2"))
        for step in range(3):
            await self.send(client, event("progress", number, value=step + 1, max=3, node="2"))
            await asyncio.sleep(self.step_seconds)
        if self.always_crashes or self.happens("run"):
            self.restarting = asyncio.create_task(self.restart())
            await asyncio.sleep(60)
        if self.happens("socket"):
            await self.sockets[client].close()
        self.history[number] = self.entry(photo)
        await self.send(client, event("execution_success", number))

    def entry(self, photo: bytes) -> dict[str, Any]:
        name = f"C_{len(self.executed):05}_.png"
        if self.happens("error"):
            told = {"node_id": "2", "node_type": "Restore", "exception_message": "out of\n memory"}
            return {"outputs": {}, "status": {"status_str": "error", "messages": [["execution_error", told]]}}
        self.files[name] = b"restored " + photo
        return {
            "outputs": {
                "3": {"images": [{"filename": name, "subfolder": "", "type": "output"}]},
                "2.0.0.1": {"text": ["noise 62 %"], "animated": [False]},
            },
            "status": {"status_str": "success", "messages": []},
            "meta": {"3": {"display_node": "3"}, "2.0.0.1": {"display_node": "2"}},
        }

    async def send(self, client: str | None, message: dict[str, Any]) -> None:
        for name, one in list(self.sockets.items()):
            if client in (None, name) and not one.closed:
                await one.send_str(json.dumps(message))


def event(kind: str, number: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": {**data, "prompt_id": number}}
