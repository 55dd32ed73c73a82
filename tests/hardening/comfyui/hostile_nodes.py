"""What the tests of strangers' workflows put beside the pack: values that no node should give, and a watch on files.

ComfyUI loads this file as a pack of its own. The watch writes a line for every file that Python opens, makes, moves or
removes, for every program that is started and every connection that is made.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

TRACE = Path(os.environ["AUTODIR_TRACE"])
WATCHED = {
    "open": 0,
    "os.remove": 0,
    "os.rename": 1,
    "os.mkdir": 0,
    "os.rmdir": 0,
    "os.link": 1,
    "os.symlink": 1,
    "os.chmod": 0,
    "os.truncate": 0,
    "shutil.rmtree": 0,
    "subprocess.Popen": 0,
    "os.system": 0,
    "socket.connect": 1,
}
"""Event of the audit -> the argument that says what is changed."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


def watch(event, arguments):
    if event not in WATCHED:
        return
    target = arguments[WATCHED[event]]
    if event == "open":
        event = "write" if (arguments[2] or 0) & WRITING else "read"
    if isinstance(target, (str, bytes, os.PathLike)):
        target = os.path.abspath(os.fsdecode(target))
    if target != str(TRACE):
        os.write(FILE, f"{event}\t{target}\n".encode("utf-8", "replace"))


FILE = os.open(TRACE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(watch)

PICTURE = torch.rand(1, 16, 16, 3, generator=torch.Generator().manual_seed(0))
VALUES = {
    "none": None,
    "text": "text",
    "NUL": "a\0b",
    "long text": "x" * 1_000_000,
    "number": 5,
    "huge number": 10**400,
    "negative number": -7,
    "nan": float("nan"),
    "list": [1, "a"],
    "object": object(),
    "NaN picture": torch.full_like(PICTURE, torch.nan),
    "infinite picture": PICTURE / 0,
    "huge picture": PICTURE * 1e30,
    "picture of 0..255": PICTURE * 255,
    "whole numbers": (PICTURE * 255).byte(),
    "half precision": PICTURE.half(),
    "empty batch": PICTURE[:0],
    "no pixels": PICTURE[:, :0],
    "one channel": PICTURE[..., :1],
    "five channels": torch.cat([PICTURE, PICTURE[..., :2]], -1),
    "one picture": PICTURE[0],
    "one pixel": PICTURE[:, :1, :1],
    "mask": PICTURE[..., 0],
    "NaN mask": PICTURE[..., 0] * torch.nan,
    "empty latent": {},
    "latent of text": {"samples": "text"},
    "NaN latent": {"samples": torch.full((1, 4, 4, 4), torch.nan)},
    "latent of other channels": {"samples": torch.zeros(1, 16, 4, 4)},
    "latent of a film": {"samples": torch.zeros(1, 4, 2, 4, 4)},
    "no conditioning": [],
    "conditioning of text": [["text", {}]],
    "conditioning of another width": [[torch.zeros(1, 77, 5), {}]],
    "NaN conditioning": [[torch.full((1, 77, 64), torch.nan), {}]],
    "two conditionings": [[torch.zeros(1, 77, 64), {}]] * 2,
}


class AnyType(str):
    def __ne__(self, other):
        return False


class HostileValue:
    """Gives a value to a socket of any type."""

    RETURN_TYPES, FUNCTION, CATEGORY = (AnyType("*"),), "give", "fixture"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": (list(VALUES),)}}

    def give(self, name):
        return (VALUES[name],)


class HostileEnd:
    """Takes anything, so that whatever gives it is run."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "end", "fixture", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (AnyType("*"),)}}

    def end(self, value):
        return {"ui": {}}


NODE_CLASS_MAPPINGS = {"HostileValue": HostileValue, "HostileEnd": HostileEnd}
