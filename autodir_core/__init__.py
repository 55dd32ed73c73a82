"""AutoDIR: automatic all-in-one image restoration with latent diffusion (Jiang et al., ECCV 2024), without ComfyUI too.

>>> import autodir_core as ad
>>> model = ad.load_autodir()
>>> result = ad.restore(model, ad.read_picture("photo.jpg").image)
>>> ad.write_picture("restored.png", result.image)

Importing this package imports nothing heavy; a name is imported from its module when it is first used. Synthetic
degradations have a package of their own: `from autodir_core.degrade import degrade`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint.inspection import Inspection, inspect
    from .checkpoint.save import convert
    from .diffusion.schedule import sigmas
    from .errors import AutoDIRError, CheckpointError, InputError
    from .imaging.color import match_color
    from .imaging.files import read_picture, write_picture
    from .labels import LABELS
    from .model import AutoDIR, load_autodir
    from .outputs import Assessment, Progress, Restoration, Round
    from .pipeline import restore
    from .settings import LoopSettings, SamplerSettings, preset

__version__ = "0.1.0"
__all__ = [
    "LABELS",
    "Assessment",
    "AutoDIR",
    "AutoDIRError",
    "CheckpointError",
    "InputError",
    "Inspection",
    "LoopSettings",
    "Progress",
    "Restoration",
    "Round",
    "SamplerSettings",
    "convert",
    "inspect",
    "load_autodir",
    "match_color",
    "preset",
    "read_picture",
    "restore",
    "sigmas",
    "write_picture",
]

MODULES = {
    "LABELS": "labels",
    **dict.fromkeys(("Assessment", "Progress", "Restoration", "Round"), "outputs"),
    **dict.fromkeys(("AutoDIR", "load_autodir"), "model"),
    **dict.fromkeys(("AutoDIRError", "CheckpointError", "InputError"), "errors"),
    **dict.fromkeys(("Inspection", "inspect"), "checkpoint.inspection"),
    "convert": "checkpoint.save",
    **dict.fromkeys(("LoopSettings", "SamplerSettings", "preset"), "settings"),
    "restore": "pipeline",
    "match_color": "imaging.color",
    **dict.fromkeys(("read_picture", "write_picture"), "imaging.files"),
    "sigmas": "diffusion.schedule",
}
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> Any:
    """Import a public name from its module (PEP 562); PackageError where a package that it needs is not installed."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .optional_imports import installed_packages

    with installed_packages():
        return getattr(import_module(f".{MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
