"""The language of ComfyUI's page."""
# pyright: reportMissingImports=false

from __future__ import annotations

import json
from pathlib import Path

import folder_paths

SETTINGS = "default/comfy.settings.json"
"""The settings of a server's only user, in ComfyUI's user folder."""


def report_language() -> str:
    """Return the language of reports: "zh" where the page was set to Chinese, else "en".

    A workflow that is queued does not say what its page speaks; the setting "Comfy.Locale" does, once it was chosen.
    """
    try:
        settings = json.loads(Path(folder_paths.get_user_directory(), SETTINGS).read_text(encoding="utf-8"))
        locale = settings.get("Comfy.Locale")
    except (OSError, ValueError, AttributeError):  # no settings yet, several users, or a file that is not ComfyUI's
        return "en"
    return "zh" if isinstance(locale, str) and locale.startswith("zh") else "en"
