"""What a server says about one prompt: the events of the websocket, the history, a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .definitions import Prompt
from .workflow import label_of, title_of

ENDS = ("execution_success", "execution_error", "execution_interrupted")


@dataclass(frozen=True)
class Update:
    """The state of one job.

    Attributes:
        stage: "uploading", "queued", "running", "downloading", "unavailable", "done", "failed" or "dropped" (the
            server).
        job: its name, empty for news about a server.
        server: the server's name.
        queue_position: prompts before this one, while it is queued.
        node: title of the node that runs.
        nodes: how many nodes have run or were cached, this one included, and how many there are.
        step: finished steps of the node, and how many it has; 0 of 0 where it reports none.
        message: one line about the error or the outputs.
    """

    stage: str
    job: str = ""
    server: str = ""
    queue_position: int = 0
    node: str = ""
    nodes: tuple[int, int] = (0, 0)
    step: tuple[int, int] = (0, 0)
    message: str = ""


@dataclass(frozen=True)
class Output:
    """One output of a prompt.

    Attributes:
        node: id of the node that gave it, as in the workflow.
        file: "filename", "subfolder" and "type" for `Server.download`; None for a text.
        text: the text, where the node showed one.
    """

    node: str
    file: Mapping[str, str] | None = None
    text: str = ""


@dataclass(frozen=True)
class PromptResult:
    """A prompt that has ended: its outputs, or in `error` one line that says what went wrong."""

    outputs: tuple[Output, ...] = ()
    error: str = ""


class Progress:
    """Turns the events of one prompt into updates."""

    def __init__(self, prompt_id: str, prompt: Prompt) -> None:
        self.prompt_id, self.prompt = prompt_id, prompt
        self.seen: set[str] = set()
        self.node = ""

    def update(self, event: Mapping[str, Any]) -> Update | None:
        """Return what an event changes; None for events of other prompts and those without news."""
        kind, data = event["type"], event.get("data") or {}
        if data.get("prompt_id") != self.prompt_id:
            return None
        if kind == "execution_cached":
            self.seen.update(data["nodes"])
        elif kind == "executing" and data.get("node") is not None:
            self.node = str(data.get("display_node") or data["node"])
            self.seen.add(self.node)
            return self.running()
        elif kind == "progress":
            return self.running((int(data["value"]), int(data["max"])))
        return None

    def running(self, step: tuple[int, int] = (0, 0)) -> Update:
        title = title_of(self.prompt, self.node) if self.node in self.prompt else self.node
        return Update("running", node=title, nodes=(len(self.seen & set(self.prompt)), len(self.prompt)), step=step)

    def changes_queue(self, event: Mapping[str, Any]) -> bool:
        """Whether the queue must be asked again: a prompt came, went or ended."""
        own = (event.get("data") or {}).get("prompt_id") == self.prompt_id
        return event["type"] == "status" or (own and event["type"] in ENDS)


def refusal_message(answer: Mapping[str, Any], prompt: Prompt) -> str:
    """Return why `/prompt` refused, in one line."""
    lines = [
        f"node {label_of(prompt, number) if number in prompt else number}: {error['message']}: {error['details']}"
        for number, node in (answer.get("node_errors") or {}).items()
        for error in node["errors"]
    ]
    error = answer.get("error") or {}
    return "; ".join(lines) or (error.get("message", "unknown reason") if isinstance(error, Mapping) else str(error))


def read_history(entry: Mapping[str, Any]) -> PromptResult:
    """Return the result of a prompt from its entry in `/history`."""
    status = entry.get("status") or {}
    if status.get("status_str", "success") != "success":
        return PromptResult(error=failure_message(status.get("messages") or []))
    shown_as = {number: meta["display_node"] for number, meta in (entry.get("meta") or {}).items()}
    nodes = entry["outputs"].items()
    shown = ((shown_as.get(number, number), items) for number, kinds in nodes for items in kinds.values())
    return PromptResult(tuple(output for node, items in shown for output in read_outputs(node, items)))


def read_outputs(node: str, items: Any) -> list[Output]:
    """Return the files and texts among the things that a node showed; none of what is no list."""
    items = items if isinstance(items, list) else []
    files = [Output(node, file=item) for item in items if isinstance(item, dict) and "filename" in item]
    return files + [Output(node, text=item) for item in items if isinstance(item, str) and item]


def failure_message(messages: list[Any]) -> str:
    """Return one line that says why a prompt ended without success."""
    for kind, content in messages:
        if kind == "execution_error":
            message = " ".join(str(content["exception_message"]).split())
            return f"node {content['node_id']} ({content['node_type']}) failed: {message}"
        if kind == "execution_interrupted":
            return "it was interrupted on the server"
    return "it failed on the server, which does not tell why"
