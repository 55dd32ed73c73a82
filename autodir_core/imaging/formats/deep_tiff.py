"""TIFF files of 16-bit and of float colors; float values beyond 0..1, such as highlights of a scene, stay."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ...errors import InputError
from ...serialization.atomic import atomic_path, one_line
from . import tiff
from .errors import FORMAT_ERRORS
from .metadata import Metadata, samples_metadata
from .tags import add_tags

SUFFIXES = frozenset({".tif", ".tiff"})
SAMPLE_FORMATS = {"u": 1, "f": 3}
"""The tag SampleFormat, by NumPy's kind of numbers."""

DEFLATE, LEVEL = 8, 6


@dataclass(frozen=True)
class Floats:
    """The content of a float TIFF file.

    Attributes:
        color: float32 [H, W, 3], of any range, in the file's own color space.
        metadata: of the photo; its color profile is the file's own.
        gray: whether the file has no colors.
    """

    color: np.ndarray
    metadata: Metadata
    gray: bool


def read_floats(path: Path) -> Floats | None:
    """Return the content of a float TIFF file as it is, gray in three channels; None for any other file.

    InputError for one that is damaged, with transparency, or with values that are not finite.
    """
    try:
        samples = tiff.read_samples(path)
    except FORMAT_ERRORS as error:
        raise InputError(f"{path} is damaged or cut off ({one_line(error)}); get a complete copy") from error
    if samples is None or samples.color.dtype.kind != "f":
        return None
    if samples.alpha is not None:
        raise InputError(f"{path} has transparency, which --keep-range does not keep; save it without alpha")
    color = samples.color.astype(np.float32)
    if not np.isfinite(color).all():
        raise InputError(f"{path} holds values that are not finite (nan or inf)")
    metadata = samples_metadata(samples, samples.info.get("icc_profile") or b"", path)
    return Floats(np.array(np.broadcast_to(color, (*color.shape[:2], 3))), metadata, color.shape[-1] == 1)


def write_floats(path: Path, color: np.ndarray, metadata: Metadata | None = None) -> None:
    """Write float32 [H, W, 1 or 3] as a TIFF file, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(add_tags(encode_samples(color), metadata.tiff_tags() if metadata else {}))
    if metadata:
        metadata.warn_of_losses("TIFF", path)


def encode_samples(samples: np.ndarray) -> bytes:
    """Return the content of a file of uint16 or float32 [H, W, 1 to 4], without metadata; integers are compressed."""
    integer = samples.dtype.kind == "u"
    content = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    if integer:
        content = zlib.compress(differences(samples), LEVEL)
    tags = describe_samples(samples)
    tags[tiff.COMPRESSION] = DEFLATE if integer else tiff.UNCOMPRESSED
    if integer:
        tags[tiff.PREDICTOR] = tiff.DIFFERENCES
    tags[tiff.STRIP_OFFSETS], tags[tiff.STRIP_LENGTHS] = 0, len(content)
    head = io.BytesIO()
    tags.save(head)  # which counts the offset from the end of the tags
    return head.getvalue() + content


def describe_samples(samples: np.ndarray) -> ImageFileDirectory_v2:
    """Return the tags of what [H, W, 1 to 4] in one strip is: gray or RGB, and alpha where it is even."""
    height, width, channels = samples.shape
    kind, bits = SAMPLE_FORMATS[samples.dtype.kind], 8 * samples.dtype.itemsize
    tags = ImageFileDirectory_v2()
    tags[tiff.WIDTH], tags[tiff.HEIGHT], tags[tiff.STRIP_HEIGHT] = width, height, height
    tags[tiff.BITS], tags[tiff.SAMPLE_FORMAT], tags[tiff.SAMPLES] = (bits,) * channels, (kind,) * channels, channels
    tags[tiff.PHOTOMETRIC] = tiff.RGB if channels >= len("RGB") else tiff.BLACK_IS_ZERO
    if channels % 2 == 0:
        tags[tiff.EXTRA_SAMPLES] = tiff.ALPHA
    return tags


def differences(samples: np.ndarray) -> bytes:
    """Return each sample's difference to that of the pixel before, which compress better."""
    left = samples.copy()
    left[:, 1:] -= samples[:, :-1]
    return left.astype(left.dtype.newbyteorder("<")).tobytes()
