"""The node types of a server (`/object_info`), as far as the client needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Definitions = Mapping[str, Any]
"""The answer of `/object_info`: node type -> its definition."""

Prompt = dict[str, dict[str, Any]]
"""A workflow in API format: node id -> "class_type", "inputs" and "_meta" with the title."""

NUMBERS = {"INT": int, "FLOAT": float}
WIDGETS = frozenset(
    [*NUMBERS, "STRING", "BOOLEAN", "COMBO", "MARKDOWN", "COLOR", "IMAGECOMPARE", "CHART", "TEXTAREA", "TREESELECT"]
    + ["MULTISELECT", "GALLERIA", "SELECTBUTTON"]
)
UPLOADS = ("image_upload", "video_upload", "audio_upload", "file_upload")
SEEDS = ("seed", "noise_seed")  # the page gives these a control without being asked
DYNAMIC = "COMFY_"  # the types of inputs that appear and vanish on the page


@dataclass(frozen=True)
class Input:
    """One input of a node type.

    Attributes:
        name: as the prompt spells it.
        kind: the type of what it takes, such as "IMAGE", "INT" or "COMBO".
        options: what the node says about it: default, min, max, tooltip and others.
        choices: the values of a COMBO; None where the server does not list them.
        required: whether a prompt without it is refused.
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    choices: tuple[Any, ...] | None
    required: bool

    @property
    def default(self) -> Any:
        """What the page fills in; None where it has nothing."""
        return self.options.get("default", self.choices[0] if self.choices else None)

    @property
    def old_names(self) -> Sequence[str]:
        """The names that workflows of earlier releases of the node's pack call it by."""
        return self.options.get("old_names", ())

    def update_value(self, value: Any) -> Any:
        """Return a value of an earlier release as the pack names it today; any other as it is."""
        return self.options.get("old_values", {}).get(value, value) if isinstance(value, str) else value

    @property
    def takes_file(self) -> bool:
        """Whether the page offers to upload a file for it."""
        return any(self.options.get(upload) for upload in UPLOADS)

    @property
    def has_control(self) -> bool:
        """Whether the page shows "control after generate" below it."""
        return bool(self.options.get("control_after_generate", self.kind == "INT" and self.name in SEEDS))


def parse_inputs(definition: Mapping[str, Any]) -> list[Input]:
    """Return the inputs of a node type in the order of the page."""
    sections = definition["input"]
    return [
        parse_input(name, spec, required=section == "required")
        for section in ("required", "optional")
        for name, spec in (sections.get(section) or {}).items()
    ]


def parse_input(name: str, spec: list[Any], *, required: bool) -> Input:
    """Parse an input of `/object_info`: [type, options] with the choices as the type or among the options."""
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    if isinstance(kind, list):
        return Input(name, "COMBO", options, tuple(kind), required)
    listed = kind == "COMBO" and "options" in options and "remote" not in options
    return Input(name, kind, options, tuple(options["options"]) if listed else None, required)


def is_link(value: Any) -> bool:
    """Whether an input of a prompt comes from another node."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)
