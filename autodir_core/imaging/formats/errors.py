"""What reading and writing picture files may raise where their content is bad; formats that are not read at all."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from PIL import Image, ImageCms

from ..paths import HEIF_PACKAGE, has_heif

FORMAT_ERRORS = (
    OSError,  # UnidentifiedImageError among them
    EOFError,
    SyntaxError,  # Pillow's word for a broken PNG, TIFF or JPEG
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RuntimeError,  # NotImplementedError among them
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
)
"""Pillow documents no list: these are what mutated files and metadata raised, in it and in our own readers.

Whatever else comes, such as a failed assertion or a package that cannot be imported, is a fault of the program.
"""

AS_FLOAT_TIFF = "convert it to a float TIFF file (32 bits), whose values outside 0..1 restore --keep-range keeps"
AS_PICTURE = "convert it to PNG or TIFF"

STARTS = {
    b"\x76\x2f\x31\x01": ("an OpenEXR file", AS_FLOAT_TIFF),
    b"#?RADIANCE": ("a Radiance HDR file", AS_FLOAT_TIFF),
    b"#?RGBE": ("a Radiance HDR file", AS_FLOAT_TIFF),
    b"\xff\x0a": ("a JPEG XL file", AS_PICTURE),
    b"\0\0\0\x0cJXL \r\n\x87\n": ("a JPEG XL file", AS_PICTURE),
    b"%PDF-": ("a PDF document", AS_PICTURE),
}
"""First bytes -> what such a file is, and what to do."""


HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""What follows the length and the word "ftyp" of a HEIC file."""

HEAD, AVIF_BRAND = 64, b"avif"
"""Bytes of a file that are looked at, and what is in them of an AVIF file whatever its first brand."""


def describe_unread(path: Path) -> str:
    """Return why a picture of a format that is known here is refused; nothing for any other file."""
    with path.open("rb") as file:
        start = file.read(HEAD)
    for begins, (name, advice) in STARTS.items():
        if start.startswith(begins):
            return f"{path} is {name}, which is not read; {advice}"
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS and AVIF_BRAND not in start and not has_heif():
        return describe_heif(path)
    return ""


def describe_heif(path: Path) -> str:
    """Return what to do with a HEIC picture, whatever its suffix, where the package that reads it is missing."""
    return f"{path} is a HEIC picture, which needs the package {HEIF_PACKAGE}; install it, or convert it to JPEG"
