"""Entry point for ComfyUI: the nodes of the AutoDIR pack."""

from __future__ import annotations

if __package__:  # not when a test runner meets this file on its own
    from .nodes import assess, conditioning, correct, load, loop, native, restore, sample, settings
    from .nodes.comfy import folders, prompt_hooks
    from .nodes.shared import input_checks
    from .nodes.tools import color_match, compare, damage_map, degrade, save_report

    WEB_DIRECTORY = "./web"  # the help pages, docs/<node id>/<language>.md, and an extension of the page

    NODE_CLASS_MAPPINGS = {  # a literal: ComfyUI's registry and Manager read the ids from the source text
        "AutoDIRLoadModel": load.AutoDIRLoadModel,
        "AutoDIRAssess": assess.AutoDIRAssess,
        "AutoDIRBlend": conditioning.AutoDIRBlend,
        "AutoDIRPrompt": conditioning.AutoDIRPrompt,
        "AutoDIRMix": conditioning.AutoDIRMix,
        "AutoDIRSample": sample.AutoDIRSample,
        "AutoDIRDecode": sample.AutoDIRDecode,
        "AutoDIRCorrect": correct.AutoDIRCorrect,
        "AutoDIRRestore": restore.AutoDIRRestore,
        "AutoDIRSamplerSettings": settings.AutoDIRSamplerSettings,
        "AutoDIRLoopSettings": settings.AutoDIRLoopSettings,
        "AutoDIRLoopOpen": loop.AutoDIRLoopOpen,
        "AutoDIRLoopClose": loop.AutoDIRLoopClose,
        "AutoDIRToComfyUIModel": native.AutoDIRToComfyUIModel,
        "AutoDIRDamageMap": damage_map.AutoDIRDamageMap,
        "AutoDIRColorMatch": color_match.AutoDIRColorMatch,
        "AutoDIRDegrade": degrade.AutoDIRDegrade,
        "AutoDIRCompare": compare.AutoDIRCompare,
        "AutoDIRSaveReport": save_report.AutoDIRSaveReport,
    }
    NODE_DISPLAY_NAME_MAPPINGS = {name: node.DISPLAY_NAME for name, node in NODE_CLASS_MAPPINGS.items()}

    input_checks.guard(NODE_CLASS_MAPPINGS.values())
    folders.register_model_folder()
    prompt_hooks.register(NODE_CLASS_MAPPINGS)
