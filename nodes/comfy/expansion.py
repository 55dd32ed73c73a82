"""Node expansion: how a running graph grows, and what a node can ask about its place in it."""
# pyright: reportMissingImports=false

from __future__ import annotations

from typing import Any


def list_index() -> int:
    """Return the index of the list item that ComfyUI runs the current node for; 0 without a list."""
    from comfy_execution.utils import get_executing_context

    context = get_executing_context()
    return (context and context.list_index) or 0


def blocked_output() -> Any:
    """Return an output that keeps every dependent node from running, without an error."""
    from comfy_execution.graph_utils import ExecutionBlocker

    return ExecutionBlocker(None)


def keeps_results() -> bool:
    """Return whether ComfyUI hands the results of one round to the next: with `--cache-none` older versions do not."""
    from comfy.cli_args import args
    from comfy_execution.graph import ExecutionList

    return not args.cache_none or hasattr(ExecutionList, "cache_update")


def is_output_node(class_type: str) -> bool:
    """Return whether nodes of a class run for their own sake, such as Save and Preview nodes."""
    from nodes import NODE_CLASS_MAPPINGS  # pyright: ignore[reportAttributeAccessIssue] - ComfyUI's, not this folder

    return getattr(NODE_CLASS_MAPPINGS[class_type], "OUTPUT_NODE", False) is True


def alloc_prefix() -> str:
    """Return a new prefix for the ids of the nodes that the current node expands to."""
    from comfy_execution.graph_utils import GraphBuilder

    return GraphBuilder.alloc_prefix()


def report_errors_on_drawn_nodes(running: Any, expanding: str) -> None:
    """Report errors in clones on the nodes that the user drew, not on the node that expanded.

    ComfyUI asks the running graph for the node to report; only nodes that the class `expanding` expanded to get another
    answer.
    """

    def reported_node(node_id: str) -> str:
        at = node_id
        while (parent := running.get_parent_node_id(at)) is not None:
            if running.get_node(parent)["class_type"] == expanding:
                return running.get_display_node_id(at)
            at = parent
        return at

    running.get_real_node_id = reported_node
