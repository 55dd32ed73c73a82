"""Entry point for ComfyUI: the nodes of the AutoDIR pack."""

from __future__ import annotations

if __package__:  # not when a test runner meets this file on its own
    from .nodes import assess, correct, load, loop, native, restore, sample
    from .nodes import conditioning as condition
    from .nodes.comfy import services
    from .nodes.tools import color_match, compare, degrade, save_report

    services.register_model_folder()
    services.offer_examples()

    WEB_DIRECTORY = "./web"  # the help pages, docs/<node id>/<language>.md

    NODE_CLASS_MAPPINGS = {
        **load.NODES,
        **assess.NODES,
        **condition.NODES,
        **sample.NODES,
        **correct.NODES,
        **restore.NODES,
        **loop.NODES,
        **native.NODES,
        **color_match.NODES,
        **degrade.NODES,
        **compare.NODES,
        **save_report.NODES,
    }
    NODE_DISPLAY_NAME_MAPPINGS = {
        "AutoDIRLoadModel": "AutoDIR Load Model",
        "AutoDIRAssess": "AutoDIR Assess",
        "AutoDIRBlend": "AutoDIR Blend",
        "AutoDIRPrompt": "AutoDIR Prompt",
        "AutoDIRMix": "AutoDIR Mix",
        "AutoDIRSample": "AutoDIR Sample",
        "AutoDIRDecode": "AutoDIR Decode",
        "AutoDIRCorrect": "AutoDIR Correct",
        "AutoDIRRestore": "AutoDIR Restore",
        "AutoDIRLoopOpen": "AutoDIR Loop Open",
        "AutoDIRLoopClose": "AutoDIR Loop Close",
        "AutoDIRToComfyUIModel": "AutoDIR To ComfyUI Model",
        "AutoDIRColorMatch": "AutoDIR Color Match",
        "AutoDIRDegrade": "AutoDIR Degrade",
        "AutoDIRCompare": "AutoDIR Compare",
        "AutoDIRSaveReport": "AutoDIR Save Report",
    }
