"""Films: their frames as pictures, when these are shown, and what else a result takes from them.

Imported on use: it needs PyAV.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...imaging.layout import from_uint8
from ...imaging.paths import warn_once
from ...optional_imports import optional_import
from ...serialization.atomic import one_line

with optional_import("av", "leave films out"):
    import av
    import av.error
    import av.logging
    from av.container import InputContainer
    from av.stream import Disposition
    from av.video.format import VideoFormat as Samples
    from av.video.frame import VideoFrame
    from av.video.reformatter import Colorspace
    from av.video.stream import VideoStream

av.logging.set_libav_level(av.logging.FATAL)  # the words of encoders; errors come as exceptions

DEEP, DEEP_RGB = 65535, "rgb48le"
LIMITED_RANGE, FULL_RANGE = 1, 2
"""Of the levels of a film: 16..235, as where it says nothing, or 0..255; as FFmpeg numbers them."""

MATRICES = {
    tag: matrix
    for tag, matrix in {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}.items()
    if matrix in {known.value for known in Colorspace}  # before version 18 without 9, BT.2020
}
"""Between RGB and YCbCr, by the number of a frame's color space (ITU-T H.273) in the numbers of FFmpeg's scaler."""

UNKNOWN_MATRIX = 5
"""That of BT.601: what is not said, or not known here, has to be the same there and back."""

RGB, UNSAID = 0, 2
"""Of the color spaces that need no matrix, or may have any."""

THUMBNAIL = 32, 18
"""Width and height to which frames are reduced to find cuts: noise averages out."""

REORDERED = 16
"""Frames by which one is stored away from where it is shown, at most."""

CUT_OFF = "prematurely", "partial file", "Read error", "exceeds containing"
"""What FFmpeg says of a film that is so short that its end is read when it is opened; headers have other faults."""

Stamp = tuple[int | None, int]
"""When a frame is shown, and for how long, in units of its film, as that says it."""


@dataclass(frozen=True)
class VideoFormat:
    """What a restored film takes from its source.

    Attributes:
        rate: frames per second on average.
        time_base: seconds of one unit of a frame's time.
        deep: whether samples have more than 8 bits.
        colors: range, primaries, transfer and matrix as numbers of ITU-T H.273.
        aspect: width of a pixel by its height, upright; 0 where the film does not say.
    """

    rate: Fraction
    time_base: Fraction
    deep: bool
    colors: dict[str, int]
    aspect: Fraction


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a film; InputError for what FFmpeg cannot read, or that has no pictures."""
    with explain_read(path):
        film = av.open(str(path))
    with film:
        video_of(film)
        yield film


@contextmanager
def explain_read(path: Path) -> Iterator[None]:
    """Turn what FFmpeg says of a film that it reads into one line: InputError."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise InputError(f"{path} cannot be read as a film: {in_words(error)}") from error


def in_words(error: Exception) -> str:
    """Return what went wrong in one line, without FFmpeg's numbers."""
    return getattr(error, "strerror", None) or one_line(error)


def video_of(film: InputContainer) -> VideoStream:
    """Return the stream with the pictures of a film, which a cover is not."""
    for stream in film.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise InputError(f"{film.name} has sound but no pictures")


def decode(film: InputContainer, faults: list[Any] | None = None) -> Iterator[VideoFrame]:
    """Yield the frames of a film, or of the rest after a seek, that can be decoded; add to `faults` what cannot.

    MP4 alone knows how many there should be. Threads of a frame each, no default, lose those before a broken one.
    """
    stream, packets, broken = video_of(film), 0, list[Any]() if faults is None else faults
    for packet in film.demux(stream):
        packets += packet.size > 0
        decoded: list[VideoFrame] = []
        try:
            decoded = packet.decode()
        except av.error.FFmpegError as error:
            broken.append(error)
        broken.extend(frame.pts for frame in decoded if frame.is_corrupt)
        yield from decoded
    if "mp4" in film.format.name and packets < len(stream.index_entries):
        broken.append(packets)


@contextmanager
def heard_errors() -> Iterator[list[Any]]:
    """Collect the errors that FFmpeg tells of in its log only: some containers just end where they are cut off."""
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # else what was said of the film before is not said again
    try:
        with av.logging.Capture(local=False) as heard:
            yield heard
    finally:
        av.logging.set_level(None)


def read_format(path: Path) -> VideoFormat:
    with opened(path) as film, explain_read(path):
        stream = video_of(film)
        first = next(decode(film), None)
        codec = stream.codec_context  # after a frame: its stream knows the colors better than the container
        names = ("color_range", "color_primaries", "color_trc", "colorspace")
        colors = {name: int(getattr(codec, name) or 0) for name in names}
        rate, base, aspect = rate_of(stream), base_of(stream), stream.sample_aspect_ratio or Fraction(0)
        deep = codec.format is not None and is_deep(codec.format)
        turned = first is not None and orientation(first)[0] == 0
        return VideoFormat(rate, base, deep, colors, 1 / aspect if turned and aspect else aspect)


def rate_of(stream: VideoStream) -> Fraction:
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def base_of(stream: VideoStream) -> Fraction:
    return stream.time_base or 1 / rate_of(stream)


def is_deep(samples: Samples) -> bool:
    return any(component.bits > 8 for component in samples.components)


def read_frames(path: Path) -> Iterator[tuple[int, Tensor]]:
    """Yield the time of each frame, in units of the film, and its picture [1, H, W, 3] in 0..1, upright."""
    with opened(path) as film, explain_read(path):
        for number, frame in enumerate(decode(film)):
            yield number if frame.pts is None else frame.pts, to_picture(frame)


def read_thumbnails(path: Path, stamps: list[Stamp] | None = None) -> Iterator[np.ndarray]:
    """Yield the frames reduced to `THUMBNAIL` by area, [H, W, 3] of 8 bits; tell what cannot be decoded.

    `stamps` gets when they are shown. InputError where none can be decoded, and where their size changes.
    """
    seen = list[Stamp]() if stamps is None else stamps
    with heard_errors() as faults, opened(path) as film, explain_read(path):
        faults[:] = [fault for fault in faults if any(words in fault[2] for words in CUT_OFF)]
        size, usual = None, 1 / rate_of(video_of(film)) / base_of(video_of(film))
        for frame in decode(film, faults):
            size = size or (frame.width, frame.height)
            if size != (frame.width, frame.height):
                raise InputError(f"{path} has pictures of another size from number {len(seen) + 1} on; cut it there")
            seen.append((frame.pts, frame.duration or round(usual) or 1))
            matrix = MATRICES.get(int(frame.colorspace), UNKNOWN_MATRIX)
            yield frame.reformat(*THUMBNAIL, "rgb24", matrix, interpolation="AREA").to_ndarray()
    if not seen:
        raise InputError(f"{path} holds no picture that can be decoded; get a complete copy")
    if faults:
        warn_once(f"{path} is cut off or broken: only the {len(seen)} frames of it are taken that can be decoded")


def rising_times(path: Path, stamps: Sequence[Stamp]) -> list[int]:
    """Return when the frames of a film are shown, each after the one before.

    Some containers mix up the times of frames that are stored in another order. Where there are none, or they jump
    back as where two recordings were put together, they go on by the duration of a frame, which is told.
    """
    order = sorted(pts for pts, _ in stamps if pts is not None)
    if len(order) == len(stamps) and all(one < other for one, other in pairwise(order)):
        pairs = zip(stamps, order, strict=True)
        if all(pts is not None and abs(pts - time) <= REORDERED * duration for (pts, duration), time in pairs):
            return order
    times, next_one, made = list[int](), 0, 0
    for pts, duration in stamps:
        rises = pts is not None and (not times or pts > times[-1])
        times.append(pts if pts is not None and rises else next_one)
        next_one, made = times[-1] + duration, made + (not rises)
    warn_once(
        f"{path}: {made} of {len(stamps)} frames have no time, or one that is past; they follow at the usual rate"
    )
    return times


def read_frame(path: Path, number: int) -> tuple[float, Tensor]:
    """Return about the frame of a number as a picture [1, H, W, 3], and its seconds from the first; found by a seek."""
    with opened(path) as film, explain_read(path):
        stream = video_of(film)
        base = base_of(stream)
        start = (stream.start_time or 0) * base
        wanted = start + number / rate_of(stream)
        if stream.start_time is not None:  # else frames are counted
            film.seek(int(wanted / base), stream=stream)
        frame = None
        for count, following in enumerate(decode(film)):
            if frame is not None and (count > number if following.pts is None else following.time > wanted):
                break
            frame = following
        if frame is None:
            raise InputError(f"{path} holds no frame {number}; it was longer when it was restored")
        return float((frame.time or wanted) - start), to_picture(frame)


def to_picture(frame: VideoFrame) -> Tensor:
    """Return a frame as a picture [1, H, W, 3] in 0..1, turned and mirrored as its film says."""
    levels = turn(to_rgb(frame).to_ndarray(), orientation(frame))
    if levels.dtype == np.uint16:
        return torch.from_numpy(levels.astype(np.float32) / DEEP)[None]
    return from_uint8(levels)[None]


def to_rgb(frame: VideoFrame) -> VideoFrame:
    """Return a frame in RGB of 8 or 16 bits.

    First the colors get their full resolution: FFmpeg's scaler rounds down where it does both at once.
    """
    samples, deep = frame.format, is_deep(frame.format)
    rgb, full = (DEEP_RGB, "yuv444p16le") if deep else ("rgb24", "yuv444p")
    matrix = MATRICES.get(int(frame.colorspace), UNKNOWN_MATRIX)
    if samples.chroma_width() == frame.width and samples.chroma_height() == frame.height:
        return frame.reformat(format=rgb, src_colorspace=matrix)
    levels = FULL_RANGE if frame.color_range == FULL_RANGE else LIMITED_RANGE
    frame = frame.reformat(None, None, full, matrix, matrix, "BICUBIC", dst_color_range=levels)
    return frame.reformat(format=rgb, src_colorspace=matrix, src_color_range=levels)


Orientation = tuple[int, int, int, int]
"""The way on the screen, to the right and down, of a step to the right in a stored picture, and of one down."""


def orientation(frame: VideoFrame) -> Orientation:
    """Return how a frame is to be shown; zeros where its axes are not those of the screen."""
    if "DISPLAYMATRIX" not in frame.side_data:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(frame.side_data["DISPLAYMATRIX"]), np.int32)[:5].astype(float)
    small = 0.01 * max(abs(value) for value in (a, b, c, d))
    a, b, c, d = (int(np.sign(value)) if abs(value) > small else 0 for value in (a, b, c, d))
    is_upright, is_turned = bool(a and d and not (b or c)), bool(b and c and not (a or d))
    return (a, b, c, d) if is_upright or is_turned else (0, 0, 0, 0)


def turn(levels: np.ndarray, way: Orientation) -> np.ndarray:
    """Return a picture [H, W, 3] as it is to be shown; as it is stored where that cannot be done."""
    a, b, c, d = way
    if b:
        levels = levels.swapaxes(0, 1)
    if a + c < 0:
        levels = levels[:, ::-1]
    if b + d < 0:
        levels = levels[::-1]
    return np.ascontiguousarray(levels)
