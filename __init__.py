"""Entry point for ComfyUI: the nodes of the AutoDIR pack."""

from __future__ import annotations

if __package__:  # not when a test runner meets this file on its own
    from .nodes import assess, condition, correct, host, load, restore, sample

    host.register_model_folder()

    NODE_CLASS_MAPPINGS = {
        **load.NODES,
        **assess.NODES,
        **condition.NODES,
        **sample.NODES,
        **correct.NODES,
        **restore.NODES,
    }
    NODE_DISPLAY_NAME_MAPPINGS = {
        "AutoDIRLoadModel": "AutoDIR Load Model",
        "AutoDIRAssess": "AutoDIR Assess",
        "AutoDIRBlend": "AutoDIR Blend",
        "AutoDIRPrompt": "AutoDIR Prompt",
        "AutoDIRSample": "AutoDIR Sample",
        "AutoDIRDecode": "AutoDIR Decode",
        "AutoDIRCorrect": "AutoDIR Correct",
        "AutoDIRRestore": "AutoDIR Restore",
    }
