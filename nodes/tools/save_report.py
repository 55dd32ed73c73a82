"""AutoDIR Save Report."""

from __future__ import annotations

import json
from typing import Any

from ...autodir_core import __version__
from ...autodir_core.errors import InputError
from ...autodir_core.outputs import Assessment
from ...autodir_core.reporting.summary import assessment_dict, assessment_lines, batch_text
from ...autodir_core.serialization.atomic import atomic_path
from ..assess import AssessmentOutput
from ..comfy import folders, progress


class AutoDIRSaveReport:
    DISPLAY_NAME = "AutoDIR Save Report"
    CATEGORY = "AutoDIR"
    DESCRIPTION = (
        "Writes a report, an assessment or both into a new file in ComfyUI's output folder; nothing is overwritten."
    )
    SEARCH_ALIASES = ["save text", "write json", "export assessment"]
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    OUTPUT_TOOLTIPS = ("The whole path of the file that was written.",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "filename_prefix": (
                    "STRING",
                    {
                        "default": "autodir/report",
                        "tooltip": "Sub-folder and name inside the output folder; a number and the ending are added. "
                        "%year%, %month% and %day% stand for the date.",
                    },
                ),
                "format": (
                    ["txt", "json"],
                    {
                        "default": "txt",
                        "tooltip": "txt is for reading: the report, or the assessment where no report is connected. "
                        "json is for programs: both, with the probabilities as numbers in 0..1.",
                    },
                ),
            },
            "optional": {
                "report": (
                    "STRING",
                    {
                        "forceInput": True,
                        "tooltip": "The report of AutoDIR Restore, Assess or Compare, or any other text.",
                    },
                ),
                "assessment": ("AUTODIR_ASSESSMENT", {"tooltip": "Labels and probabilities, from AutoDIR Assess."}),
            },
        }

    def save(
        self, filename_prefix: str, format: str, report: str | None = None, assessment: AssessmentOutput | None = None
    ) -> dict[str, Any]:
        if report is None and assessment is None:
            raise InputError("there is nothing to save; connect a report, an assessment or both")
        found = None if assessment is None else assessment.assessment
        text = as_text(report, found) if format == "txt" else as_json(report, found)
        path = folders.output_path(filename_prefix, f".{format}")
        with atomic_path(path) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
        progress.tell(str(path))
        return {"ui": {"text": [str(path)]}, "result": (str(path),)}


def as_text(report: str | None, assessment: Assessment | None) -> str:
    """Return the report, or where there is none the lines of the assessment."""
    if report is None and assessment is not None:
        return batch_text(lambda i: assessment_lines(assessment, i), len(assessment.probabilities))
    return report or ""


def as_json(report: str | None, assessment: Assessment | None) -> str:
    """Return the lines of the report, and the labels and probabilities of each picture, whichever there are."""
    lines = {} if report is None else {"report": report.splitlines()}
    pictures = {} if assessment is None else assessment_dict(assessment)
    return json.dumps({"autodir": __version__} | lines | pictures, indent=2, ensure_ascii=False)
