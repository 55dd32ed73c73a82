"""Nodes of a user's that the loop tests put into graphs; ComfyUI loads this file as a pack of its own."""

from __future__ import annotations

from pathlib import Path

import folder_paths
import torch


def output(name: str) -> Path:
    """A file in the output folder, which is there only after something was saved."""
    folder = Path(folder_paths.get_output_directory())
    folder.mkdir(exist_ok=True)
    return folder / name


class FixtureHalve:
    """A user's node: half as bright, and one more line in a file each time it really runs."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "halve", "fixture"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "diary": ("STRING", {"default": "diary"})}}

    def halve(self, image, diary):
        with output(f"{diary}.txt").open("a", encoding="utf-8") as lines:
            lines.write("ran\n")
        return (image / 2,)


class FixtureFail:
    """A user's node that fails when its number comes."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "fail", "fixture"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "index": ("INT",), "at": ("INT", {"default": 2})}}

    def fail(self, image, index, at):
        if index == at:
            raise RuntimeError(f"this node cannot do number {index}")
        return (image,)


class FixtureKeep:
    """Writes a picture with all its bits."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "keep", "fixture", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "name": ("STRING", {"default": "kept"})}}

    def keep(self, image, name):
        torch.save(image, output(f"{name}.pt"))
        return {"ui": {"kept": [name]}}


NODE_CLASS_MAPPINGS = {"FixtureHalve": FixtureHalve, "FixtureFail": FixtureFail, "FixtureKeep": FixtureKeep}
