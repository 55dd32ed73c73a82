"""From pixels to the content of a file, with metadata."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...errors import InputError
from ...serialization.atomic import one_line
from ..layout import check_images, to_gray, to_pil, to_uint16
from .deep_tiff import encode_samples
from .errors import FORMAT_ERRORS
from .metadata import Metadata
from .png import replace_pixels
from .tags import add_tags

logger = logging.getLogger(__name__)

DEEP_FORMATS = frozenset({"PNG", "TIFF"})
"""Formats that hold 16 bits a channel."""

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""Pillow's, by the number of channels."""

LOSSLESS = {"lossless": True, "quality": 75}
"""Of a WebP that comes from one; the quality is the effort here."""

SIGNAL_CHECK_SECONDS = 0.2
"""On Windows a wait without an end hears no Ctrl-C."""

Encode = Callable[[dict[str, Any]], bytes]
"""Returns the content of a file, with what options of Pillow's `save` give it."""


def encode_picture(
    pixels: Tensor, picture_format: str, path: Path, *, quality: int, depth: int, metadata: Metadata | None
) -> bytes:
    """Return the content of a file of [H, W, 1 to 4] in 0..1.

    Args:
        pixels: gray or RGB, with alpha as the last of two or four channels.
        picture_format: PNG, JPEG, WEBP or TIFF.
        path: for warnings.
        quality: of JPEG, and of WebP that does not come from a lossless one, 1..100.
        depth: bits a channel; above 8 it is 16, in `DEEP_FORMATS`.
        metadata: what of it cannot be written is left out, with a warning.

    Raises InputError for a quality out of range, else what Pillow does.
    """
    options = save_options(picture_format, quality, lossless=metadata is not None and metadata.lossless)
    is_deep = depth > 8 and picture_format in DEEP_FORMATS
    encode = deep_encoder(to_uint16(pixels), options) if is_deep else encoder(to_pil(pixels), options)
    content = encode_with_metadata(encode, picture_format, metadata, path) if metadata else b""
    return content or interruptible(lambda: encode({}))


def picture_pixels(image: Tensor, alpha: Tensor | None, *, gray: bool) -> Tensor:
    """Return the pixels of one picture, [H, W, 1 or 3], with alpha one more."""
    image = check_images(image, "image").detach()
    if len(image) != 1:
        raise InputError(f"one file holds one picture, got a batch of {len(image)}; write them one by one")
    if alpha is not None:
        if alpha.shape != image.shape[:3]:
            raise InputError(f"alpha must have the shape {list(image.shape[:3])}, got {list(alpha.shape)}")
        alpha = alpha.detach().to(image)[..., None]
    color = to_gray(image) if gray else image
    return (color if alpha is None else torch.cat([color, alpha], dim=-1))[0]


def writable_alpha(alpha: Tensor | None, path: Path, picture_format: str) -> Tensor | None:
    """Return the alpha that a file of this format keeps; none, with a warning, of a JPEG."""
    if alpha is not None and picture_format == "JPEG":
        logger.warning("%s: JPEG has no transparency, it is left out; write a .png to keep it", path)
        return None
    return alpha


def encoder(picture: Image.Image, options: dict[str, Any]) -> Encode:
    return lambda more: save(picture, options | more)


def deep_encoder(levels: np.ndarray, options: dict[str, Any]) -> Encode:
    """Return what encodes uint16 [H, W, 1 to 4]; of PNG Pillow writes all but the pixels."""
    if options["format"] == "TIFF":
        return lambda _: encode_samples(levels)
    frame = Image.new(MODES[levels.shape[-1]], (1, 1))
    return lambda more: replace_pixels(save(frame, options | more), levels)


def save_options(picture_format: str, quality: int, *, lossless: bool = False) -> dict[str, Any]:
    if not 1 <= quality <= 100:
        raise InputError(f"quality must lie in 1..100, got {quality}")
    options = {
        "PNG": {},
        "JPEG": {"quality": quality, "subsampling": 0},
        "WEBP": {"exact": True} | (LOSSLESS if lossless else {"quality": quality}),
        "TIFF": {"compression": "tiff_deflate"},
    }[picture_format]
    return {"format": picture_format} | options


def save(picture: Image.Image, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, **options)
    return buffer.getvalue()


def encode_with_metadata(encode: Encode, picture_format: str, metadata: Metadata, path: Path) -> bytes:
    """Return the content of a file with its metadata; nothing, with a warning, where those cannot be written."""
    try:
        with quiet_pillow():
            content = interruptible(lambda: encode(metadata.save_options(picture_format)))
            content = add_tags(content, metadata.tiff_tags()) if picture_format == "TIFF" else content
    except FORMAT_ERRORS as error:
        logger.warning("%s: metadata cannot be written (%s) and are left out", path, one_line(error))
        return b""
    metadata.warn_of_losses(picture_format, path)
    return content


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep back Pillow's own warnings: of half the pixels that are its error, and of metadata without a file's name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield


def interruptible(encode: Callable[[], bytes]) -> bytes:
    """Return what `encode` does, in a thread: encoders look at no signals, for seconds where a picture is large."""
    with ThreadPool(1) as pool:  # whose thread, unlike an executor's, does not keep the program from ending
        done = pool.apply_async(encode)
        while not done.ready():
            done.wait(SIGNAL_CHECK_SECONDS)
        return done.get()
