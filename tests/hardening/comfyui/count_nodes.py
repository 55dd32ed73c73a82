"""A node that counts what of our models is alive in a server; ComfyUI loads this file as a pack of its own."""

from __future__ import annotations

import gc
import weakref


class HardeningCount:
    """Tells how many models of ours are alive, and how many objects Python is to finalize."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "count", "fixture", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"run": ("INT", {"default": 0})}}

    def count(self, run):
        gc.collect()
        alive = [type(one).__name__ for one in gc.get_objects()]
        counts = {name: alive.count(name) for name in ("HostedModel", "Networks")}
        return {"ui": {"alive": [counts], "finalizers": [len(weakref.finalize._registry)]}}


NODE_CLASS_MAPPINGS = {"HardeningCount": HardeningCount}
