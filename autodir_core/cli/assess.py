"""Assess pictures: how probable each degradation is, without restoring anything."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.paths import fit_name
from ..labels import CLEAN
from ..serialization.atomic import in_utf8
from .console import complain, say, text_bar
from .options import add_crops, add_model_options, chosen_labels, load_model, names
from .pictures import Job, check_distinct, check_folder, find_pictures, for_each

if TYPE_CHECKING:
    from ..outputs import Assessment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pictures", nargs="+", metavar="PICTURES", help="files or folders")
    labels = 'to compare, between commas, such as "haze,no": their probabilities add up to 100 %% (default: all)'
    parser.add_argument("--labels", type=names, help=labels)
    add_crops(parser)
    maps = "write where each degradation is, drawn over the picture, as FOLDER/NAME_map.png (default: nothing)"
    parser.add_argument("--map", metavar="FOLDER", type=Path, help=maps)
    parser.add_argument("--json", action="store_true", help="print JSON (default: bars)")
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..imaging.files import read_picture, write_picture
    from ..reporting.heat_map import heat_map

    pictures = find_pictures(arguments.pictures)
    if arguments.map:
        check_folder(arguments.map)
        check_distinct([Job(path, map_path(path, arguments.map)) for path in pictures], ())
    if len(pictures) == 1:
        read_picture(pictures[0])  # a single picture that is broken is reported before the model is loaded
    model = load_model(arguments)
    labels = chosen_labels(arguments, model.labels)
    if CLEAN not in labels:
        complain(
            f'warning: without "{CLEAN}" among --labels they are only compared with each other, up to 100 % in all'
        )
    entries: list[dict[str, Any]] = []

    def assess(path: Path) -> None:
        image = read_picture(path).image
        assessment = model.assess(image, labels, arguments.crops)
        if arguments.map:
            write_picture(map_path(path, arguments.map), heat_map(image, model.locate(image, labels), labels))
        entries.append(entry(path, assessment))
        if not arguments.json:
            say(chart(path, assessment))

    code = for_each(pictures, assess, quiet=arguments.json)
    if arguments.json:
        text = json.dumps(entries, indent=2, ensure_ascii=False)
        say(in_utf8(text))  # names that are no UTF-8 become escapes
    return code


def map_path(picture: Path, folder: Path) -> Path:
    return folder / fit_name(picture.stem, "_map.png")


def entry(path: Path, assessment: Assessment) -> dict[str, Any]:
    """Return the JSON entry of one picture."""
    from ..reporting.summary import assessment_dict

    [found] = assessment_dict(assessment)["pictures"]
    return {"picture": str(path), "top": found.pop("label"), **found}


def chart(path: Path, assessment: Assessment) -> str:
    """Return a text bar chart, the most probable label first, and last how far several crops agree."""
    from ..reporting.summary import agreement_text, rank_probabilities

    width = max(map(len, assessment.labels))
    ranked = rank_probabilities(assessment.probabilities, assessment.labels, 0)
    bars = [f"  {label:<{width}} {100 * p:3.0f} % {text_bar(p)}" for label, p in ranked]
    agreement = agreement_text(*assessment.agreeing[0]) if assessment.agreeing else ""
    return "\n".join([str(path), *bars, *([f"  {agreement}"] if agreement else [])])
