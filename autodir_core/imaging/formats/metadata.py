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
from PIL import Image, PngImagePlugin, TiffTags

from ...serialization.atomic import one_line
from .containers import is_lossless_webp, read_gif_xmp
from .errors import FORMAT_ERRORS
from .exif import (
    EXIF_START,
    ORIENTATION,
    PRIVATE,
    bare_exif,
    describe_photo,
    describe_place,
    exif_tags,
    has_maker_note,
    make_upright,
    read_exif,
    with_resolution,
)
from .png import PNG_XMP, RAW_PROFILE, raw_profiles, read_texts
from .samples import Samples
from .tags import BYTE, UNDEFINED, Directory, Value, count_pages, describe_resolution, find_resolution, read_file
from .tiff import ICC_PROFILE

logger = logging.getLogger(__name__)

T = TypeVar("T")

EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
"""Of the segments of a JPEG with what of its XMP has no room in one of 64 KB."""

XMP_START, PHOTOSHOP_START, IPTC_RESOURCE = b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0", b"8BIM\4\4"
PHOTOSHOP_IPTC, TIFF_IPTC, TIFF_XMP = 0x0404, 33723, 700
IPTC_START = b"\x1c"
XMP_ORIENTATION = re.compile(rb'(tiff:Orientation(?:="|>))(\d)')
MAX_DPI, MAX_SEGMENT = 65535, 65533
UNSET_DPI = 72.0, 72.0
"""What cameras have in the head of a JPEG whose resolution is in its EXIF block."""


@dataclass(frozen=True)
class Metadata:
    """What is kept of a picture file that is written again.

    Attributes:
        exif: the EXIF block, its orientation 1, without the thumbnail, which shows the picture as it was.
        xmp: the XMP packet.
        iptc: the IPTC records of news agencies: caption, credit, copyright.
        icc_profile: of the pixels as they are returned, sRGB; empty where the file has none.
        dpi: pixels per inch, horizontal and vertical.
        comment: of a JPEG or GIF.
        texts: the text chunks of a PNG, such as the workflow of ComfyUI: kind and content.
        place: the tags of a TIFF file that say where on earth its pixels lie.
        lossless: whether a WebP has its pixels as they were given to it.
        lost: what else the file holds, which is not kept.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    icc_profile: bytes = b""
    dpi: tuple[float, float] | None = None
    comment: bytes = b""
    texts: tuple[tuple[bytes, bytes], ...] = ()
    place: tuple[tuple[int, Value], ...] = ()
    lossless: bool = False
    lost: tuple[str, ...] = ()

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
            "the texts of the PNG": self.texts and picture_format != "PNG",
            "IPTC records": self.iptc and picture_format == "WEBP",
            "so many IPTC records": len(self._iptc_segment()) > MAX_SEGMENT and picture_format == "JPEG",
            "the comment": self.comment and picture_format not in ("JPEG", "PNG"),
            "the tags of GeoTIFF and GDAL": self.place and picture_format != "TIFF",
            "the camera maker's notes": picture_format == "TIFF" and has_maker_note(self.exif),
            "so long an EXIF block": len(self.exif) > MAX_SEGMENT and picture_format == "JPEG",
            "so long an XMP packet": len(XMP_START + self.xmp) > MAX_SEGMENT and picture_format == "JPEG",
        }
        return [name for name, is_lost in lost.items() if is_lost]

    def warn_of_losses(self, picture_format: str, path: Path) -> None:
        """Warn of what is not in a file of this format that was made with it."""
        if lost := self.homeless(picture_format):
            logger.warning("%s: a %s file has no place for %s; left out", path, picture_format, " and ".join(lost))
        if self.lost:
            logger.warning("%s: %s of its source left out", path, " and ".join(self.lost))

    def tiff_tags(self) -> Directory:
        """Return the tags of all of it in a TIFF file, as `tags.add_tags` takes them."""
        known = {TIFF_XMP: Value(BYTE, self.xmp)}
        known |= {TIFF_IPTC: Value(UNDEFINED, self.iptc), ICC_PROFILE: Value(UNDEFINED, self.icc_profile)}
        tags: Directory = {tag: value for tag, value in known.items() if value.content}
        dpi = self.dpi if self.dpi not in (None, UNSET_DPI) else read_dpi({}, self.exif) or self.dpi
        tags |= describe_resolution(dpi) if dpi else {}
        return tags | dict(self.place) | describe_photo(exif_tags(self.exif))

    def _png_chunks(self) -> PngImagePlugin.PngInfo:
        chunks = PngImagePlugin.PngInfo()
        for kind, content in self.texts:
            chunks.add(kind, content)
        if self.comment:
            chunks.add_text("Comment", decode_comment(self.comment))
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

    directory = attempt("list of tags", lambda: read_file(path), {}) if image.format == "TIFF" else {}
    exif = attempt("EXIF block", lambda: make_upright(read_exif(image, path), *size), b"")
    packet = attempt("XMP packet", lambda: read_gif_xmp(path) if image.format == "GIF" else find_xmp(image), b"")
    return Metadata(
        exif=exif,
        xmp=XMP_ORIENTATION.sub(rb"\g<1>1", packet),
        iptc=attempt("IPTC block", lambda: read_iptc(image, path), b""),
        icc_profile=icc_profile,
        dpi=attempt("resolution", lambda: read_dpi(info, exif), None),
        comment=info["comment"] if image.format in ("JPEG", "MPO", "GIF") and "comment" in info else b"",
        texts=tuple(read_texts(path, raw_profiles(info))) if image.format == "PNG" else (),
        place=describe_place(directory),
        lossless=image.format == "WEBP" and is_lossless_webp(path),
        lost=tuple(find_losses(image, directory, path)),
    )


def find_losses(image: Image.Image, directory: Directory, path: Path) -> Iterator[str]:
    """Yield what a file holds that nothing made of it will; `directory`: of a TIFF file."""
    count = count_pages(path) if image.format == "TIFF" else image.info.get("pictures", 1)
    if count > 1:
        yield f"{count - 1} further picture{'s' * (count > 2)}"
    if any(body.startswith(EXTENDED_XMP) for _, body in getattr(image, "applist", ())):
        yield "what XMP has beyond 64 KB"
    kept = {ICC_PROFILE, TIFF_IPTC, *dict(describe_place(directory)), *describe_photo(directory)}
    if private := sorted(tag for tag in directory if tag >= PRIVATE and tag not in kept):
        yield f"the tags {', '.join(f'{tag} ({TiffTags.lookup(tag).name})' for tag in private)}"


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


def decode_comment(comment: bytes) -> str:
    """Return a comment, whose letters no format names; what is no UTF-8 is Latin-1."""
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")


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
