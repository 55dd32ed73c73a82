"""What reading and writing picture files may raise where their content is bad."""

from __future__ import annotations

import struct
import zlib

from PIL import Image, ImageCms

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
