"""What the websocket's events say about one prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .definitions import Prompt
from .workflow import title_of

ENDS = ("execution_success", "execution_error", "execution_interrupted")


@dataclass(frozen=True)
class Update:
    """Where one job stands.

    Attributes:
        stage: "sending", "waiting", "running", "fetching", "away", "done", "failed" or "left out" (the server).
        job: what it is called, empty for news about a server.
        server: the server's name.
        place: prompts before this one, while it waits.
        node: title of the node that runs.
        nodes: how many nodes have run or were cached, this one included, and how many there are.
        step: steps of the node that are done, and how many it has; 0 of 0 where it tells none.
        message: one line about what went wrong or what came out.
    """

    stage: str
    job: str = ""
    server: str = ""
    place: int = 0
    node: str = ""
    nodes: tuple[int, int] = (0, 0)
    step: tuple[int, int] = (0, 0)
    message: str = ""


class Progress:
    """Turns the events of one prompt into updates."""

    def __init__(self, prompt_id: str, prompt: Prompt) -> None:
        self.prompt_id, self.prompt = prompt_id, prompt
        self.seen: set[str] = set()
        self.node = ""

    def update(self, event: Mapping[str, Any]) -> Update | None:
        """What an event changes; None for events of other prompts and those that tell nothing new."""
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
