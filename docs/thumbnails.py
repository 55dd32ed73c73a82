"""The pictures on the cards of ComfyUI's template browser: before on the left, after on the right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from tests.host.server import Server

SIDE = 480
"""Pixels; the cards are square, and show the picture at half of that."""
LINE = 4
"""Width of the white line between before and after."""

BEFORE = {"batch": "6", "degrade_and_compare": "4"}
"""Id of the node with the picture to restore, where that is not Load Image with id 1."""
AFTER = {"custom_prompt": "13", "low_light": "12"}
"""Id of the Save Image node with the result, where a workflow has several."""


def thumbnail(server: Server, prompt: dict[str, Any], name: str) -> Image.Image:
    """Return before and after of a workflow that has run, in a row for each picture of a batch."""
    after = AFTER.get(name) or next(key for key, node in prompt.items() if node["class_type"] == "SaveImage")
    links = {"before": [BEFORE.get(name, "1"), 0], "after": prompt[after]["inputs"]["images"]}
    previews = {key: {"class_type": "PreviewImage", "inputs": {"images": link}} for key, link in links.items()}
    outputs = server.run({**prompt, **previews})
    sides = [[server.file(image) for image in outputs[key]["images"]] for key in links]
    return stack([halves(*paths, SIDE // len(sides[0])) for paths in zip(*sides, strict=True)])


def halves(before: Path, after: Path, height: int) -> Image.Image:
    """Return the left half of one picture and the right half of the other, with a line between them."""
    row, other = (ImageOps.fit(Image.open(path).convert("RGB"), (SIDE, height)) for path in (before, after))
    row.paste(other.crop((SIDE // 2, 0, SIDE, height)), (SIDE // 2, 0))
    row.paste("white", ((SIDE - LINE) // 2, 0, (SIDE + LINE) // 2, height))
    return row


def stack(rows: list[Image.Image]) -> Image.Image:
    """Return the rows one below the other."""
    picture = Image.new("RGB", (SIDE, sum(row.height for row in rows)))
    for number, row in enumerate(rows):
        picture.paste(row, (0, number * row.height))
    return picture
