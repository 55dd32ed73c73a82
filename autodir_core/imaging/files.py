"""Read and write picture files."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import InputError
from ..serialization.atomic import atomic_path, explain_write, one_line
from .color import deep_to_srgb, to_srgb
from .formats.containers import count_pictures, strip_metadata, warn_of_avif_depth
from .formats.encoding import DEEP_FORMATS, encode_picture, picture_pixels, quiet_pillow, writable_alpha
from .formats.errors import FORMAT_ERRORS, describe_heif, describe_unread
from .formats.jpeg2000 import read_deep_color, read_info
from .formats.metadata import (
    Metadata,
    read_metadata,
    read_orientation,
    samples_metadata,
    unpack_raw_profiles,
)
from .formats.png import read_deep_png
from .formats.samples import Samples, is_deep_tiff, read_levels, reduces_color
from .formats.tiff import is_tiff, read_samples
from .layout import center_box, from_pil, scale_samples
from .paths import FORMATS, HEIF_PACKAGE, HEIF_SUFFIXES, RAW_SUFFIXES, PathLike, advise, has_heif
from .profiles import apply_gamma

logger = logging.getLogger(__name__)

_RUN_BY_PILLOW = frozenset({"EPS"})
"""Formats that Pillow hands to another program; no picture is worth running one."""

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its EXIF orientation."""


@dataclass(frozen=True)
class Picture:
    """A picture file's content in sRGB.

    Attributes:
        image: float32 [1, H, W, 3] in 0..1.
        alpha: float32 [1, H, W] in 0..1 (1 = opaque); None where the file has no transparency.
        metadata: what `write_picture` can give to another file.
        format: Pillow's name of the file's format, such as "JPEG".
        depth: bits of a channel in the file: 8, 16, or 32 of what has more, floats too.
        excess: float32 [1, H, W, 3], what float values have beyond 0..1; None where it is not kept.
        gray: whether the file has no colors.
    """

    image: Tensor
    alpha: Tensor | None = None
    metadata: Metadata = field(default_factory=Metadata)
    format: str = ""
    depth: int = 8
    excess: Tensor | None = None
    gray: bool = False


def read_picture(path: PathLike, *, center: int | None = None) -> Picture:
    """Read the first frame of a picture file, turned upright (EXIF) and converted to sRGB (its profile, or gamma).

    Any mode Pillow reads: 1-bit, gray, palette, RGB, CMYK, each with its transparency; at 16 bits gray, color of PNG
    and JPEG 2000 files, and of TIFF files all but CMYK, at 16 to 64, integer or float. Other deep *color* is reduced to
    8 bits, as by color profiles of tables, with a warning. A float picture has no stated range: it is taken as
    0..1 where nothing is above 4, else as 0..255 or 0..65535, whichever is the first to hold its maximum. Metadata that
    cannot be read are a warning. With `center` only the central square of so many pixels a side is kept of 8-bit
    pictures; the rest is decoded, but not converted.
    Raises InputError for a path that is no complete picture.
    """
    path = _existing_file(path)
    try:
        return _read_with_pillow(path, path, center)
    except InputError:
        raise
    except FORMAT_ERRORS as error:
        return _read_otherwise(path, error, center)


def write_picture(
    path: PathLike,
    image: Tensor,
    *,
    alpha: Tensor | None = None,
    quality: int = 95,
    metadata: Metadata | None = None,
    depth: int = 8,
    gray: bool = False,
) -> None:
    """Write [1, H, W, 3] in 0..1, clamped and rounded to the levels of its depth, in the format its suffix names.

    `alpha` [1, H, W] in 0..1 is kept by PNG, WebP and TIFF and left out, with a warning, for JPEG. `quality` (1..100)
    is that of JPEG and WebP; the latter is lossless where its metadata come from a lossless one. `depth`: bits a
    channel; more than 8 are 16 in PNG and TIFF, and 8, with a warning, in other formats. `metadata` is that of the
    picture it was made from; what the format has no place for, and what could not be kept of that file, is told in a
    warning. `gray` writes the luma alone (WebP knows no gray: three equal channels). Missing folders are made. Raises
    InputError for an unknown suffix, a wrong shape, a picture the format cannot hold or a place that cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"cannot write {path}: unknown suffix {suffix!r}; choose one of {', '.join(FORMATS)}")
    kind = FORMATS[suffix]
    pixels = picture_pixels(image, writable_alpha(alpha, path, kind), gray=gray)
    if gray and metadata:
        metadata = replace(metadata, icc_profile=b"")  # that of colors
    if depth > 8 and kind not in DEEP_FORMATS:
        logger.warning("%s: %s holds 8 bits a channel, of 16; write a .png or .tif to keep them", path, kind)
    with atomic_path(path) as temporary:
        try:
            content = encode_picture(pixels, kind, path, quality=quality, depth=depth, metadata=metadata)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot write {path}: {one_line(error)}") from error
        with explain_write(path):
            temporary.write_bytes(content)


def _existing_file(path: PathLike) -> Path:
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; give one picture file")
    if not path.is_file():
        raise InputError(f"{path} does not exist; give a picture file")
    if path.suffix.lower() in RAW_SUFFIXES:  # Pillow would take the small preview in it
        raise InputError(f"{path} is a camera raw file; {advise(path)}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); get a complete copy")
    return path


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Return the names of the formats that can be read, those of optional packages too."""
    Image.init()
    if has_heif():
        import_module(HEIF_PACKAGE.replace("-", "_")).register_heif_opener()
    return tuple(name for name in Image.ID if name not in _RUN_BY_PILLOW)


def _read_with_pillow(source: Path | io.BytesIO, path: Path, center: int | None) -> Picture:
    """Read a file, or its content without what could not be read; raises whatever Pillow does on bad data."""
    with quiet_pillow(), _open(source) as file:
        warn_of_avif_depth(file, path)
        if is_deep_tiff(file) and (samples := read_samples(path)) is not None:
            return _to_picture(samples, path)
        is_reduced = _load(file, path)
        orientation = read_orientation(file, path)
        if is_reduced:
            if (samples := _read_16_bits(file, path, orientation)) is not None:
                return _to_picture(samples, path)
            bits = file.info.get("bit_depth", 16)
            logger.warning("%s: its %d-bit colors are read as 8 bits; a TIFF file of RGB keeps all", path, bits)
        method = _TRANSPOSE.get(orientation)
        image = file if method is None else file.transpose(method)
        pixels, alpha, profile = _to_pixels(image, path, center)
        pixels = pixels if profile else apply_gamma(pixels, file.info)
        kind = "JPEG" if file.format == "MPO" else file.format or ""
        metadata = read_metadata(file, image.size, profile, path)
        return Picture(pixels, alpha, metadata, kind, _depth(file), gray=_is_gray(file))


def _open(source: Path | io.BytesIO) -> Image.Image:
    try:
        return Image.open(source, formats=_formats())
    except MemoryError as error:  # no pixel is read yet: a size in the file is beyond all reason
        raise OSError("a part of it claims to be larger than the memory") from error


def _load(file: Image.Image, path: Path) -> bool:
    """Load an opened picture, add to its `info` what Pillow leaves out, and return whether it reduces the colors."""
    if file.format == "JPEG2000":
        file.info |= read_info(path)
    file.info["pictures"] = count_pictures(file)
    is_reduced = reduces_color(file)
    file.load()
    if file.format == "PNG":
        file.info |= unpack_raw_profiles(file.info)
    return is_reduced


def _read_16_bits(file: Image.Image, path: Path, orientation: int) -> Samples | None:
    """Return what Pillow reduced of a picture that it has loaded; None where nothing here keeps it."""
    if file.format == "JPEG2000":
        return read_deep_color(path, file.info, orientation)
    if file.format != "PNG" or "transparency" in file.info:  # of one color, which the other decoder passes over
        return None
    return read_deep_png(path, file.info, orientation)


def _is_gray(file: Image.Image) -> bool:
    return file.mode in ("1", "L", "LA", "I", "F") or file.mode.startswith("I;16")


def _depth(file: Image.Image) -> int:
    """Return the bits of a channel of a loaded picture, 8 of what has fewer."""
    return 32 if file.mode == "F" else 16 if file.mode.startswith("I") else 8


def _read_otherwise(path: Path, error: Exception, center: int | None) -> Picture:
    """Read what Pillow refuses: samples it has no mode for, or pixels without their metadata; else InputError."""
    try:
        if isinstance(error, (Image.DecompressionBombError, PermissionError)):
            raise error
        if (samples := read_samples(path)) is not None:
            return _to_picture(samples, path)
        if content := strip_metadata(path):
            picture = _read_with_pillow(io.BytesIO(content), path, center)
            logger.warning("%s: its metadata cannot be read (%s); the pixels are used", path, one_line(error))
            return picture
    except InputError:
        raise
    except FORMAT_ERRORS as other:
        error = other if isinstance(error, UnidentifiedImageError) else error
    raise InputError(_describe_failure(path, error)) from error


def _describe_failure(path: Path, error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"{path} has too many pixels to be opened safely; scale it down first"
    if isinstance(error, PermissionError):
        return f"{path} may not be read ({one_line(error)}); change its permissions"
    if path.suffix.lower() in HEIF_SUFFIXES and not has_heif():
        return describe_heif(path)
    if advice := advise(path):
        return f"{path} is not a picture; {advice}"
    if not isinstance(error, UnidentifiedImageError):
        return f"{path} is damaged or cut off ({one_line(error)}); get a complete copy"
    if is_tiff(path):
        return f"{path} is a TIFF file of a kind that is not read; save it as RGB or gray, or as PNG"
    return describe_unread(path) or f"{path} is not a picture; give a format such as PNG, JPEG, WebP, TIFF or AVIF"


def _to_picture(samples: Samples, path: Path) -> Picture:
    """Convert deep samples; only through a color profile of tables they become 8 bits."""
    color = scale_samples(samples.color, path)
    alpha = None if samples.alpha is None else scale_samples(samples.alpha, path)
    if alpha is not None and samples.premultiplied:
        color = (color / alpha[..., None].clamp(min=1e-6)).clamp(0, 1)
    image, profile = deep_to_srgb(color, samples.info.get("icc_profile"), path)
    image = image if profile else apply_gamma(image, samples.info)
    metadata = samples_metadata(samples, profile, path)
    depth = min(8 * samples.color.dtype.itemsize, 32)
    gray = samples.color.shape[-1] == 1
    return Picture(image[None], None if alpha is None else alpha[None], metadata, samples.format, depth, gray=gray)


def _to_pixels(image: Image.Image, path: Path, center: int | None) -> tuple[Tensor, Tensor | None, bytes]:
    """Return the colors [1, H, W, 3], alpha [1, H, W] and the profile of the colors, where the file has one."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        gray = scale_samples(read_levels(image), path)[..., None]
        gray, profile = deep_to_srgb(gray, image.info.get("icc_profile"), path)
        return gray[None], None, profile
    color, alpha = _split_alpha(image if center is None else image.crop(center_box(image.size, center)))
    color, profile = to_srgb(color, image.info.get("icc_profile"), path)
    return from_pil(color)[None], None if alpha is None else from_pil(alpha)[None], profile


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colors without transparency, not composited, and the alpha channel."""
    if image.mode in ("P", "PA") and image.palette is None:
        raise ValueError("its palette is missing")
    if not image.has_transparency_data:
        return image, None
    rgba = image.convert("RGBA")
    # Gray stays gray, because an embedded gray profile fits nothing else.
    return rgba.convert("L" if image.mode in ("1", "L", "LA") else "RGB"), rgba.getchannel("A")
