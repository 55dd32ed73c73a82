"""HTML pages of reports: one file without scripts or outside files, readable in any browser and screen reader."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from .language import phrase, setting_name

JPEG_QUALITY = 88
"""Of the pictures on a page."""


def render_page(title: str, headline: str, sections: Iterable[str], language: str = "en") -> str:
    """Return the whole page: its title, a headline, and rendered sections."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(headline)}</p>", *sections]
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def render_settings(settings: Iterable[tuple[str, str]], language: str = "en") -> str:
    """Return a section with what a report was made with."""
    rows = "\n".join(
        f'<tr><th scope="row">{escape(setting_name(name, language))}</th><td>{escape(value)}</td></tr>'
        for name, value in settings
    )
    title = phrase(language, "Settings")
    return (
        f'<section>\n<h2>{title}</h2>\n<table class="settings">\n<caption>{title}</caption>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</section>"
    )


def setting_text(value: Any) -> str:
    """Return the value of a setting as readers write it."""
    if value is None or isinstance(value, bool):
        return {None: "-", True: "on", False: "off"}[value]
    if isinstance(value, (list, tuple)):
        return ", ".join(map(setting_text, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value) or "-"


def render_picture(picture: Image.Image, alternative: str, caption: str, max_height: int) -> str:
    """Return a figure of a picture, reduced to at most `max_height` pixels."""
    source, width, height = embed_picture(picture, max_height)
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" alt="{escape(alternative)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def embed_picture(picture: Image.Image, max_height: int) -> tuple[str, int, int]:
    """Return a picture as the data URL of a JPEG of at most `max_height` pixels, and its width and height."""
    small = picture.convert("RGB")
    small.thumbnail((small.width, max_height), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    small.save(data, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}", small.width, small.height
