"""Read and write picture files."""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
import zlib
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..errors import InputError
from ..serialization.atomic import atomic_path, one_line
from .layout import check_images, from_pil, to_pil
from .paths import FORMATS, PathLike

logger = logging.getLogger(__name__)

_UNDECODABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)  # what Pillow raises on bad data
_FLOAT_RANGES = (1.0, 255.0, 65535.0)
_INTEGER_RANGES = (65535, 2**31 - 1)

SIGNAL_CHECK_SECONDS = 0.2
"""On Windows a wait without an end hears no Ctrl-C."""


@dataclass(frozen=True)
class Picture:
    """A picture file's content in sRGB.

    `image` is float32 [1, H, W, 3] in 0..1; `alpha` is float32 [1, H, W] in 0..1 (1 = opaque), None where the file
    has no transparency.
    """

    image: Tensor
    alpha: Tensor | None = None


def read_picture(path: PathLike) -> Picture:
    """Read the first frame of a picture file, turned upright (EXIF) and converted to sRGB (embedded ICC profile).

    Any mode Pillow reads: 1-bit, gray, palette, RGB, CMYK, each with its transparency, and gray at 16 or 32 bit,
    integer or float. Pillow itself reduces 16-bit *color* to 8 bits, so only gray keeps a finer depth. A float
    picture has no stated range: it is taken as 0..1, 0..255 or 0..65535, whichever is the first to hold its maximum.
    Raises InputError for a path that is no complete picture.
    """
    path = _existing_file(path)
    return _to_picture(_decode(path), path)


def write_picture(path: PathLike, image: Tensor, *, alpha: Tensor | None = None, quality: int = 95) -> None:
    """Write [1, H, W, 3] in 0..1, clamped and rounded to 8 bits, in the format its suffix names.

    `alpha` [1, H, W] in 0..1 is kept by PNG, WebP and TIFF and left out, with a warning, for JPEG. `quality` (1..100)
    is that of JPEG and WebP. Missing folders are made. Raises InputError for an unknown suffix, a wrong shape, a
    picture the format cannot hold or a place that cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"cannot write {path}: unknown suffix {suffix!r}; choose one of {', '.join(FORMATS)}")
    picture = _one_picture(image, _writable_alpha(alpha, path, FORMATS[suffix]))
    with atomic_path(path) as temporary:
        try:
            temporary.write_bytes(_encode(picture, FORMATS[suffix], _save_options(FORMATS[suffix], quality)))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot write {path}: {one_line(error)}") from error


def _encode(picture: Image.Image, picture_format: str, options: dict[str, Any]) -> bytes:
    """Return the content of a file, encoded in a thread: encoders look at no signals, for seconds where it is large."""
    buffer, done = io.BytesIO(), Future[None]()

    def work() -> None:
        try:
            done.set_result(picture.save(buffer, picture_format, **options))
        except Exception as error:  # raised again by `result`
            done.set_exception(error)

    threading.Thread(target=work, daemon=True).start()  # that of an executor would keep the program from ending
    while not done.done():
        wait([done], SIGNAL_CHECK_SECONDS)
    done.result()
    return buffer.getvalue()


def _existing_file(path: PathLike) -> Path:
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; give one picture file")
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a picture file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); get a complete copy")
    return path


def _decode(path: Path) -> Image.Image:
    """Decode the first frame, upright; whatever Pillow raises on bad data becomes an InputError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of half the pixels that are its error
            with Image.open(path) as file:
                file.load()
                return ImageOps.exif_transpose(file)
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture; give a PNG, JPEG, WebP, TIFF, BMP or GIF file") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} has too many pixels to be opened safely; scale it down first") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read ({one_line(error)}); change its permissions") from error
    except _UNDECODABLE as error:
        raise InputError(f"{path} is damaged or cut off ({one_line(error)}); get a complete copy") from error


def _to_picture(image: Image.Image, path: Path) -> Picture:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        gray = _deep_gray(image, path)
        return Picture(gray[..., None].expand(*gray.shape, 3).contiguous())
    color, alpha = _split_alpha(image)
    color = _to_srgb(color, image.info.get("icc_profile"), path)
    return Picture(from_pil(color)[None], None if alpha is None else from_pil(alpha)[None])


def _deep_gray(image: Image.Image, path: Path) -> Tensor:
    """Return gray of more than 8 bits as [1, H, W] in 0..1; mode "I" may be 16 or 32 bits, which its values tell."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds values that are not finite (nan or inf)")
    known = (65535,) if image.mode.startswith("I;16") else _INTEGER_RANGES if image.mode == "I" else _FLOAT_RANGES
    top = next((top for top in known if values.max() <= top), None)
    if top is None:
        raise InputError(f"{path} has values up to {values.max():g}; scale them to 0..1 first")
    return torch.from_numpy((values / top).clip(0, 1).astype(np.float32))[None]


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colors without transparency, not composited, and the alpha channel."""
    if not image.has_transparency_data:
        return image, None
    rgba = image.convert("RGBA")
    # Gray stays gray, because an embedded gray profile fits nothing else.
    return rgba.convert("L" if image.mode in ("1", "L", "LA") else "RGB"), rgba.getchannel("A")


def _to_srgb(image: Image.Image, icc_profile: bytes | None, path: Path) -> Image.Image:
    """Convert to 8-bit RGB; without a profile that works, the values are taken as sRGB already."""
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if not icc_profile:
        return image.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        if image.mode == "RGB" and ImageCms.getProfileDescription(profile).startswith("sRGB"):
            return image  # a conversion to itself would only add rounding errors
        converted = ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), ImageCms.Intent.PERCEPTUAL, outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError) as error:
        logger.warning("%s: the embedded color profile cannot be used (%s); colors kept as they are", path, error)
        return image.convert("RGB")
    assert converted is not None  # only an in-place conversion returns None
    return converted


def _one_picture(image: Tensor, alpha: Tensor | None) -> Image.Image:
    image = check_images(image, "image").detach()
    if len(image) != 1:
        raise InputError(f"one file holds one picture, got a batch of {len(image)}; write them one by one")
    if alpha is not None:
        if alpha.shape != image.shape[:3]:
            raise InputError(f"alpha must have the shape {list(image.shape[:3])}, got {list(alpha.shape)}")
        image = torch.cat([image, alpha.detach().to(image)[..., None]], dim=-1)
    return to_pil(image[0])


def _writable_alpha(alpha: Tensor | None, path: Path, picture_format: str) -> Tensor | None:
    if alpha is not None and picture_format == "JPEG":
        logger.warning("%s: JPEG has no transparency, it is left out; write a .png to keep it", path)
        return None
    return alpha


def _save_options(picture_format: str, quality: int) -> dict[str, Any]:
    if not 1 <= quality <= 100:
        raise InputError(f"quality must lie in 1..100, got {quality}")
    return {
        "PNG": {},
        "JPEG": {"quality": quality, "subsampling": 0},
        "WEBP": {"quality": quality, "exact": True},
        "TIFF": {"compression": "tiff_deflate"},
    }[picture_format]
