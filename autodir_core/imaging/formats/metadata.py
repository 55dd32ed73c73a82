"""What a picture file holds besides its pixels: EXIF, XMP, IPTC, resolution, color profile, texts.

Whatever it holds, it keeps no one from the pixels: what cannot be read or written is left out, with a warning.
"""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, PngImagePlugin

from ...serialization.atomic import one_line
from .errors import FORMAT_ERRORS
from .exif import (
    EXIF_START,
    ORIENTATION,
    bare_exif,
    describe_photo,
    exif_tags,
    has_maker_note,
    make_upright,
    read_exif,
    with_resolution,
)
from .png import PNG_START, PNG_XMP, RAW_PROFILE, png_chunks, raw_profiles, read_texts
from .samples import Samples
from .tags import BYTE, UNDEFINED, Directory, Value, describe_resolution, find_resolution, read_file
from .tags import STARTS as TIFF_STARTS
from .tiff import ICC_PROFILE, strip_tags

logger = logging.getLogger(__name__)

T = TypeVar("T")

EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
"""Of the segments of a JPEG with what of its XMP has no room in one of 64 KB."""

XMP_START, PHOTOSHOP_START, IPTC_RESOURCE = b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0", b"8BIM\4\4"
JPEG_START, JPEG_PIXELS, JPEG_PROFILE = b"\xff\xd8", 0xDA, b"ICC_PROFILE\0"
JPEG_METADATA = (*range(0xE0, 0xEE), 0xEF, 0xFE)
PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
PHOTOSHOP_IPTC, TIFF_IPTC, TIFF_XMP = 0x0404, 33723, 700
IPTC_START = b"\x1c"
XMP_ORIENTATION = re.compile(rb'(tiff:Orientation(?:="|>))(\d)')
MAX_DPI, MAX_SEGMENT = 65535, 65533


@dataclass(frozen=True)
class Metadata:
    """What is kept of a picture file that is written again.

    Attributes:
        exif: the EXIF block, its orientation 1, without the thumbnail, which shows the picture as it was.
        xmp: the XMP packet.
        iptc: the IPTC records of news agencies: caption, credit, copyright.
        icc_profile: of the pixels as they are returned, sRGB; empty where the file has none.
        dpi: pixels per inch, horizontal and vertical.
        comment: of a JPEG.
        texts: the text chunks of a PNG, such as the workflow of ComfyUI: kind and content.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    icc_profile: bytes = b""
    dpi: tuple[float, float] | None = None
    comment: bytes = b""
    texts: tuple[tuple[bytes, bytes], ...] = ()

    def save_options(self, picture_format: str) -> dict[str, Any]:
        """Return what Pillow's `save` takes of it in one of the formats PNG, JPEG, WEBP and TIFF."""
        if picture_format == "TIFF":  # where Pillow loses EXIF, see `tiff_tags`
            return {}
        options: dict[str, Any] = {"icc_profile": self.icc_profile, "dpi": self.dpi}
        if picture_format == "PNG":
            options |= {"exif": self.exif, "pnginfo": self._png_chunks()}
        elif picture_format == "JPEG":
            exif = self.exif if len(self.exif) <= MAX_SEGMENT else b""
            options |= {"exif": exif, "extra": self._jpeg_segments(), "comment": self.comment[:MAX_SEGMENT]}
        else:
            exif = with_resolution(self.exif, self.dpi) if self.dpi else self.exif
            options |= {"exif": exif, "xmp": self.xmp}
        return {name: value for name, value in options.items() if value}

    def homeless(self, picture_format: str) -> list[str]:
        """Return the names of what a file of this format has no place for."""
        lost = {
            "the texts": self.texts and picture_format != "PNG",
            "IPTC records": self.iptc and picture_format == "WEBP",
            "so many IPTC records": len(self._iptc_segment()) > MAX_SEGMENT and picture_format == "JPEG",
            "the comment": self.comment and picture_format != "JPEG",
            "the camera maker's notes": picture_format == "TIFF" and has_maker_note(self.exif),
            "so long an EXIF block": len(self.exif) > MAX_SEGMENT and picture_format == "JPEG",
            "so long an XMP packet": len(XMP_START + self.xmp) > MAX_SEGMENT and picture_format == "JPEG",
        }
        return [name for name, is_lost in lost.items() if is_lost]

    def tiff_tags(self) -> Directory:
        """Return the tags of all of it in a TIFF file, as `tags.add_tags` takes them."""
        known = {TIFF_XMP: Value(BYTE, self.xmp)}
        known |= {TIFF_IPTC: Value(UNDEFINED, self.iptc), ICC_PROFILE: Value(UNDEFINED, self.icc_profile)}
        tags: Directory = {tag: value for tag, value in known.items() if value.content}
        return tags | (describe_resolution(self.dpi) if self.dpi else {}) | describe_photo(exif_tags(self.exif))

    def _png_chunks(self) -> PngImagePlugin.PngInfo:
        chunks = PngImagePlugin.PngInfo()
        for kind, content in self.texts:
            chunks.add(kind, content)
        if self.xmp:
            chunks.add(b"iTXt", PNG_XMP + bytes(5) + self.xmp)
        if self.iptc:
            resource = photoshop_resource(self.iptc)
            chunks.add_text(
                RAW_PROFILE + "iptc", f"\niptc\n{len(resource):8}\n{resource.hex(chr(10), -36)}\n", zip=True
            )
        return chunks

    def _iptc_segment(self) -> bytes:
        return PHOTOSHOP_START + photoshop_resource(self.iptc)

    def _jpeg_segments(self) -> bytes:
        """Return XMP and IPTC as segments; Pillow has an option for XMP since version 11, none for IPTC."""
        bodies = [(0xE1, XMP_START + self.xmp)] if self.xmp and len(XMP_START + self.xmp) <= MAX_SEGMENT else []
        if self.iptc and len(self._iptc_segment()) <= MAX_SEGMENT:
            bodies.append((0xED, self._iptc_segment()))
        return b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in bodies)


def read_orientation(image: Image.Image, path: Path) -> int:
    """Return the orientation 1..8 of an opened picture, from EXIF or else XMP; 1 where it has none that can be read."""
    orientation = None
    try:
        exif = Image.Exif()
        if (block := bare_exif(image.info.get("exif"))) and image.format != "TIFF":
            exif.load(EXIF_START + block)
        else:
            exif = image.getexif()
        orientation = exif.get(ORIENTATION)
        if image.format != "TIFF":  # whose values are not of EXIF alone
            exif.tobytes()  # which fails where a value is not of its tag's type
    except FORMAT_ERRORS as error:
        logger.warning("%s: its EXIF block is odd (%s); the pixels are used all the same", path, one_line(error))
    if image.format == "TIFF":  # which Pillow has turned already
        return orientation or 1
    if orientation is None and (found := XMP_ORIENTATION.search(find_xmp(image))):
        orientation = int(found[2])
    return orientation or 1


def read_metadata(image: Image.Image, size: tuple[int, int], icc_profile: bytes, path: Path) -> Metadata:
    """Return what is kept of an opened picture.

    Args:
        image: opened by Pillow and loaded.
        size: width and height of its pixels upright.
        icc_profile: of its pixels as they are returned.
        path: of the file, for the texts of a PNG, the IPTC records of a TIFF file, and for warnings.
    """
    info = image.info

    def attempt(what: str, read: Callable[[], T], default: T) -> T:
        try:
            return read()
        except FORMAT_ERRORS as error:
            logger.warning("%s: its %s cannot be read (%s) and is left out", path, what, one_line(error))
            return default

    if any(body.startswith(EXTENDED_XMP) for _, body in getattr(image, "applist", ())):
        logger.warning("%s: what its XMP has beyond 64 KB does not reach what is made of it", path)
    exif = attempt("EXIF block", lambda: make_upright(read_exif(image, path), *size), b"")
    return Metadata(
        exif=exif,
        xmp=attempt("XMP packet", lambda: XMP_ORIENTATION.sub(rb"\g<1>1", find_xmp(image)), b""),
        iptc=attempt("IPTC block", lambda: read_iptc(image, path), b""),
        icc_profile=icc_profile,
        dpi=attempt("resolution", lambda: read_dpi(info, exif), None),
        comment=info["comment"] if image.format in ("JPEG", "MPO") and "comment" in info else b"",
        texts=tuple(read_texts(path, raw_profiles(info))) if image.format == "PNG" else (),
    )


def samples_metadata(samples: Samples, icc_profile: bytes, path: Path) -> Metadata:
    """Return what is kept of a file whose samples were read without Pillow; arguments as of `read_metadata`."""
    holder = Image.new("L", (1, 1))
    holder.info, holder.format = samples.info, samples.format
    height, width = samples.color.shape[:2]
    return read_metadata(holder, (width, height), icc_profile, path)


def unpack_raw_profiles(info: dict[Any, Any]) -> dict[str, bytes]:
    """Return what `Image.info` of a PNG file lacks and its texts hold, as ImageMagick and older programs write it."""
    raw = raw_profiles(info)
    app1 = raw.get("APP1", b"")
    found = {"exif": raw.get("exif", app1 if app1.startswith(EXIF_START) else b"")}
    found["xmp"] = raw.get("xmp", app1[len(XMP_START) :] if app1.startswith(XMP_START) else b"")
    found["icc_profile"] = raw.get("icc", raw.get("icm", b""))
    return {name: content for name, content in found.items() if content and not info.get(name)}


def find_xmp(image: Image.Image) -> bytes:
    """Return the XMP packet of an opened picture; each version of Pillow has it in other places."""
    of_jpeg = (body[len(XMP_START) :] for _, body in getattr(image, "applist", []) if body.startswith(XMP_START))
    of_tiff = getattr(image, "tag_v2", {}).get(TIFF_XMP)
    packet = image.info.get("xmp") or image.info.get(PNG_XMP.decode()) or of_tiff or next(of_jpeg, b"")
    return packet.encode() if isinstance(packet, str) else bytes(packet)


def read_iptc(image: Image.Image, path: Path) -> bytes:
    """Return the IPTC records; TIFF files often store them as numbers, of which Pillow gives the first."""
    if image.format == "TIFF":
        value = read_file(path).get(TIFF_IPTC)
        return in_stored_order(value.content).rstrip(b"\0") if isinstance(value, Value) else b""
    raw = raw_profiles(image.info) if image.format == "PNG" else {}
    if resources := raw.get("iptc") or raw.get("8bim"):
        return photoshop_iptc(resources)
    return bytes(image.info.get("photoshop", {}).get(PHOTOSHOP_IPTC, b""))


def in_stored_order(iptc: bytes) -> bytes:
    """Return the IPTC records of a TIFF file whose bytes may have been taken for numbers of four."""
    is_whole = iptc.startswith(IPTC_START) or len(iptc) % 4
    return iptc if is_whole else np.frombuffer(iptc, ">u4").astype("<u4").tobytes()


def photoshop_resource(iptc: bytes) -> bytes:
    """Return IPTC records as Photoshop keeps them: an image resource without a name, of even length."""
    return IPTC_RESOURCE + bytes(2) + struct.pack(">I", len(iptc)) + iptc + bytes(len(iptc) % 2)


def photoshop_iptc(resources: bytes) -> bytes:
    """Return the IPTC records out of image resources, or those that are there without."""
    if (start := resources.find(IPTC_RESOURCE)) < 0:
        return resources
    start += len(IPTC_RESOURCE)
    start += 1 + (resources[start] | 1)  # a name, its length before it, of even length with that
    (length,) = struct.unpack_from(">I", resources, start)
    return resources[start + 4 : start + 4 + length]


def read_dpi(info: dict[Any, Any], exif: bytes) -> tuple[float, float] | None:
    """Return the resolution, in EXIF where it stands there alone; None where it makes no sense: Pillow calls none 1."""
    x, y = (float(value) for value in info.get("dpi") or find_resolution(exif_tags(exif)) or (1, 1))
    return (x, y) if 1 < x <= MAX_DPI and 1 < y <= MAX_DPI else None


def jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the segments of a JPEG file before its pixels, marker and all of it, and the rest as the last one."""
    at = len(JPEG_START)
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] != JPEG_PIXELS:
        end = at + 2 + struct.unpack_from(">H", content, at + 2)[0]
        yield content[at + 1], content[at:end]
        at = end
    yield JPEG_PIXELS, content[at:]


def strip_metadata(path: Path) -> bytes:
    """Return the content of a PNG, JPEG or TIFF file without metadata; nothing of another file."""
    with path.open("rb") as file:
        start = file.read(len(PNG_START))
        if not start.startswith((PNG_START, JPEG_START, *TIFF_STARTS)):
            return b""
        content = start + file.read()
    if content.startswith(TIFF_STARTS):
        return strip_tags(content)
    if content.startswith(PNG_START):
        return PNG_START + b"".join(whole for kind, whole in png_chunks(content) if kind in PNG_PIXELS)
    segments = jpeg_segments(content)
    whole = len(JPEG_PROFILE) + 6  # with marker, length and number
    kept = (
        one
        for marker, one in segments
        if marker not in JPEG_METADATA or (one[4:].startswith(JPEG_PROFILE) and len(one) > whole)
    )
    return JPEG_START + b"".join(kept)
