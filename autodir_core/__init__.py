"""AutoDIR: automatic all-in-one image restoration with latent diffusion (Jiang et al., ECCV 2024), without ComfyUI too.

>>> import autodir_core as ad
>>> model = ad.load_autodir()
>>> result = ad.restore(model, images).image

diffusers and open_clip are imported when a model is built, not before.
"""

from __future__ import annotations

from .checkpoint.load import Inspection, convert, inspect
from .diffusion.schedule import sigmas
from .errors import AutoDIRError, CheckpointError, InputError
from .imaging.color import match_color
from .labels import LABELS
from .model import AutoDIR, load_autodir
from .pipeline import Progress, restore
from .settings import Assessment, LoopSettings, Restoration, Round, SamplerSettings

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
    "restore",
    "sigmas",
]
