"""Broken pictures: whatever a file holds, it is read, or refused in one line, within seconds."""

from __future__ import annotations

import io
import logging
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from autodir_core.errors import AutoDIRError, explain_full_memory
from autodir_core.imaging.files import read_picture, write_picture
from autodir_core.imaging.formats.deep_tiff import encode_samples
from autodir_core.imaging.formats.encoding import encode_picture
from autodir_core.imaging.formats.metadata import Metadata

from .mutate import mutate

PATIENCE = 5.0
"""Seconds of a single file."""

MODES = ("RGB", "L", "P", "RGBA", "CMYK", "1", "I;16")


def seeds() -> Iterator[bytes]:
    """Small intact files in all formats, modes and with all metadata that Pillow writes."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8))
    exif = Image.Exif()
    exif[274], exif[305] = 6, "software" * 4
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    formats: tuple[tuple[str, dict[str, Any]], ...] = (
        ("PNG", {"exif": exif, "icc_profile": profile}),
        ("JPEG", {"exif": exif, "icc_profile": profile, "dpi": (72, 72)}),
        ("WEBP", {"exif": exif, "icc_profile": profile}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"compression": "tiff_lzw"}),
        *((name, {}) for name in ("GIF", "BMP", "TGA", "JPEG2000", "PPM", "ICO", "PCX")),
    )
    for name, options in formats:
        for mode in MODES:
            file = io.BytesIO()
            try:
                (picture.convert("L") if mode == "I;16" else picture).convert(mode).save(file, name, **options)
            except (OSError, ValueError, KeyError):
                continue  # this format has no such mode
            yield file.getvalue()
    levels = np.random.default_rng(1).random((40, 50, 4), np.float32)
    metadata = Metadata(exif=exif.tobytes(), icc_profile=profile)
    for name, channels in (("PNG", 3), ("PNG", 4), ("TIFF", 3), ("TIFF", 4)):
        pixels = torch.from_numpy(levels[..., :channels])
        yield encode_picture(pixels, name, Path(name), quality=95, depth=16, metadata=metadata)
    yield encode_samples(levels[..., :3])


def test_every_picture_is_read_or_refused(
    tmp_path: Path, rng: random.Random, trials: int, caplog: pytest.LogCaptureFixture
) -> None:
    intact, outcomes = list(seeds()), {"read": 0, "refused": 0}
    assert len(intact) > 40
    caplog.set_level(logging.CRITICAL)
    for number in range(trials):
        path = tmp_path / "picture"
        path.write_bytes(mutate(rng.choice(intact), rng))
        start = time.process_time()
        try:
            with explain_full_memory("picture"):  # as the commands do; sizes that lie fill it
                picture = read_picture(path)
            outcomes["read"] += 1
            if picture.image.numel() < 200_000:
                write_picture(tmp_path / "again.png", picture.image, metadata=picture.metadata)
        except AutoDIRError as error:
            assert "\n" not in str(error), number
            outcomes["refused"] += 1
        assert time.process_time() - start < PATIENCE, number
    assert all(outcomes.values()) or trials < 20, outcomes
