"""Films: their frames as pictures, and a film of other frames with sound, subtitles, times and colors of the first.

Imported on use: it needs PyAV.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..imaging.layout import from_uint8, to_uint8
from ..imaging.paths import warn_once
from ..optional_imports import optional_import
from ..serialization.atomic import atomic_path, one_line
from .plan import CONTAINERS

with optional_import("av", "leave films out"):
    import av
    import av.error
    import av.logging
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Disposition, Stream
    from av.video.frame import VideoFrame
    from av.video.reformatter import Colorspace
    from av.video.stream import VideoStream

av.logging.set_libav_level(av.logging.FATAL)  # the words of encoders; errors come as exceptions

PART_FORMAT = "nut"
"""Keeps the times of frames as they are, as Matroska does not."""

CODEC, QUALITY = "libx264", {"crf": "16", "preset": "medium", "x264-params": "mbtree=0"}
"""Macroblock trees read memory that is never written: the same frames then give other bytes in another process."""

COPIED = "audio", "subtitle"
TAGS = frozenset({"title", "language", "handler_name"})
"""Of the pictures of a film, kept; others tell how its file was made."""

DEEP = 65535
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

THUMBNAIL = 32, 18
"""Width and height to which frames are reduced to find cuts: noise averages out."""


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
    try:
        with av.open(str(path)) as container:
            video_of(container)
            yield container
    except av.error.FFmpegError as error:
        raise InputError(f"{path} cannot be read as a film: {one_line(error)}") from error


def video_of(film: InputContainer) -> VideoStream:
    """Return the stream with the pictures of a film, which a cover is not."""
    for stream in film.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise InputError(f"{film.name} has sound but no pictures")


def decode(film: InputContainer, *, whole: bool = True) -> Iterator[VideoFrame]:
    """Yield the frames of a film, or of the rest after a seek; what of a whole one cannot be decoded is told.

    MP4 alone knows how many there should be. Threads of a frame each, no default, lose those before a broken one.
    """
    stream, packets, frames, broken = video_of(film), 0, 0, False
    for packet in film.demux(stream):
        packets += packet.size > 0
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError:
            broken, decoded = True, []
        frames += len(decoded)
        yield from decoded
    if whole and frames and (broken or ("mp4" in film.format.name and packets < stream.frames)):
        warn_once(f"{film.name} is cut off or broken: only the {frames} frames of it are taken that can be decoded")


def read_format(path: Path) -> VideoFormat:
    with opened(path) as film:
        stream = video_of(film)
        first = next(decode(film), None)
        codec = stream.codec_context  # after a frame: its stream knows the colors better than the container
        names = ("color_range", "color_primaries", "color_trc", "colorspace")
        colors = {name: int(getattr(codec, name) or 0) for name in names}
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        deep = any(component.bits > 8 for component in codec.format.components) if codec.format else False
        base, aspect = stream.time_base or 1 / rate, stream.sample_aspect_ratio or Fraction(0)
        if first and first.interlaced_frame:
            warn_once(
                f"{path} is interlaced: that a picture shows two moments is taken for damage; deinterlace it first"
            )
        turned = bool(first and first.rotation % 180)
        return VideoFormat(rate, base, deep, colors, 1 / aspect if turned and aspect else aspect)


def read_frames(path: Path) -> Iterator[tuple[int, Tensor]]:
    """Yield the time of each frame, in units of the film, and its picture [1, H, W, 3] in 0..1, upright."""
    with opened(path) as film:
        for number, frame in enumerate(decode(film)):
            yield number if frame.pts is None else frame.pts, to_picture(frame)


def read_thumbnails(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames reduced to `THUMBNAIL` by area, [H, W, 3] of 8 bits; InputError where none can be decoded."""
    frame = None
    with opened(path) as film:
        for frame in decode(film):
            yield frame.reformat(*THUMBNAIL, "rgb24", interpolation="AREA").to_ndarray()
    if frame is None:
        raise InputError(f"{path} holds no picture that can be decoded; get a complete copy")


def read_frame(path: Path, number: int) -> tuple[float, Tensor]:
    """Return about the frame of a number as a picture [1, H, W, 3], and its seconds from the first; found by a seek."""
    with opened(path) as film:
        stream = video_of(film)
        base = stream.time_base or Fraction(1, av.time_base)
        start = (stream.start_time or 0) * base
        wanted = start + number / (stream.average_rate or stream.guessed_rate or 25)
        film.seek(int(wanted / base), stream=stream)
        frame = None
        for following in decode(film, whole=False):
            if frame is not None and (following.pts is None or following.time > wanted):
                break
            frame = following
        if frame is None:
            raise InputError(f"{path} holds no frame {number}; it was longer when it was restored")
        return float((frame.time or wanted) - start), to_picture(frame)


def to_picture(frame: VideoFrame) -> Tensor:
    """Return a frame as a picture [1, H, W, 3] in 0..1, turned as its film says."""
    deep = any(component.bits > 8 for component in frame.format.components)
    matrix = MATRICES.get(int(frame.colorspace), UNKNOWN_MATRIX)
    levels = frame.reformat(format="rgb48le" if deep else "rgb24", src_colorspace=matrix).to_ndarray()
    levels = np.ascontiguousarray(np.rot90(levels, frame.rotation // 90))
    if deep:
        return torch.from_numpy(levels.astype(np.float32) / DEEP)[None]
    return from_uint8(levels)[None]


def from_picture(image: Tensor, pts: int, like: VideoFormat) -> VideoFrame:
    """Return a picture [1, H, W, 3] as a frame in the samples of a film."""
    values = image[0].clamp(0, 1).numpy()
    if like.deep:
        frame = VideoFrame.from_ndarray(np.rint(values * DEEP).astype(np.uint16), format="rgb48le")
    else:
        frame = VideoFrame.from_ndarray(to_uint8(image[0]).numpy(), format="rgb24")
    even = all(side % 2 == 0 for side in values.shape[:2])
    samples = ("yuv420p" if even else "yuv444p") + ("10le" if like.deep else "")
    levels = FULL_RANGE if like.colors["color_range"] == FULL_RANGE else LIMITED_RANGE
    matrix = MATRICES.get(like.colors["colorspace"], UNKNOWN_MATRIX)
    frame = frame.reformat(format=samples, dst_colorspace=matrix, dst_color_range=levels)
    frame.pts, frame.time_base = pts, like.time_base
    return frame


def write_part(path: Path, frames: Iterable[tuple[int, Tensor]], like: VideoFormat) -> None:
    """Write frames, each with its time, as a part of a film; whole or not at all."""
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format=PART_FORMAT) as part:
        stream: VideoStream | None = None
        for pts, image in frames:
            frame = from_picture(image, pts, like)
            stream = stream or add_video(part, frame, like)
            part.mux(stream.encode(frame))
        if stream is not None:
            part.mux(stream.encode(None))


def add_video(part: OutputContainer, first: VideoFrame, like: VideoFormat) -> VideoStream:
    stream = part.add_stream(CODEC, rate=like.rate, options=dict(QUALITY))
    stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
    stream.time_base = stream.codec_context.time_base = like.time_base
    if like.aspect:
        stream.codec_context.sample_aspect_ratio = like.aspect
    stream.codec_context.max_b_frames = 0  # packets of parts then follow each other in the order of their times
    for name, number in like.colors.items():
        if number:
            setattr(stream.codec_context, name, number)
    return stream


def join_parts(parts: Sequence[Path], source: Path, target: Path, frames: int) -> None:
    """Write the parts of a film as one, with the sound, the subtitles and the tags of its source.

    InputError where they do not hold `frames` pictures: one was damaged since it was written.
    """
    with atomic_path(target) as temporary:
        with written_as(target, source, temporary) as new, opened(source) as old:
            joined = join_streams(parts, source, old, new)
        if joined != frames:
            folder = parts[0].parent
            raise InputError(f"{folder} holds {joined} pictures of {frames}; remove it, and run the command again")


@contextmanager
def written_as(target: Path, source: Path, file: Path | io.BytesIO) -> Iterator[OutputContainer]:
    """Open a file for what becomes a film; InputError where FFmpeg refuses what is written, its end too."""
    place = str(file) if isinstance(file, Path) else file
    try:
        with av.open(place, "w", format=CONTAINERS[target.suffix.lower()]) as container:
            yield container
    except (av.error.FFmpegError, InputError, ValueError) as error:
        raise InputError(
            f"{target} cannot be written: {one_line(error)}; is there a place for the sound and the subtitles of "
            f"{source} in a {target.suffix} file? (a .mkv has one for most: put the film into one first)"
        ) from error


def join_streams(parts: Sequence[Path], source: Path, old: InputContainer, new: OutputContainer) -> int:
    """Write all packets of a film; return how many pictures there are."""
    new.metadata.update(old.metadata)
    new.set_chapters(old.chapters())
    with opened(parts[0]) as first:
        video = copy_stream(video_of(first), new, video_of(old))
    copied, (last, duration) = copy_streams(old, new), last_picture(old)
    pictures, joined = (pair for part in parts for pair in read_pictures(part, video)), 0
    for packet, stream in heapq.merge(pictures, read_packets(source, copied), key=lambda pair: seconds_of(pair[0])):
        if stream is video and packet.time_base and seconds_of(packet) >= last and duration:
            packet.duration = round(duration / packet.time_base)
        joined += stream is video
        packet.stream = stream
        new.mux(packet)
    return joined


def read_pictures(part: Path, stream: Stream) -> Iterator[tuple[Packet[Any], Stream]]:
    """Yield the packets of a part, each with the stream that it goes into.

    They are stored in the order of their times; FFmpeg says so of none where it cannot be sure, as of seven frames.
    """
    with opened(part) as film:
        for packet in film.demux():
            if packet.size:
                packet.dts = packet.pts
                yield packet, stream


def last_picture(film: InputContainer) -> tuple[float, Fraction]:
    """Return the second at which the last picture is shown, and for how many it is; 0 where that is not said."""
    stream = video_of(film)
    base = stream.time_base or Fraction(0)
    pts, duration = max((one.pts, one.duration or 0) for one in film.demux(stream) if one.pts is not None)
    if stream.duration:  # packets say how long what is stored next lasts, which may be another picture
        duration = max((stream.start_time or 0) + stream.duration - pts, 0)
    return float(pts * base), duration * base


def copy_streams(old: InputContainer, new: OutputContainer) -> dict[int, Stream]:
    """Add to a film the streams of another that are copied; return them by their number there."""
    kinds = {*COPIED, {"matroska": "attachment", "mp4": "cover"}.get(new.format.name)}
    return {one.index: copy_stream(one, new, one) for one in old.streams if kind_of(one) in kinds}


def kind_of(stream: Stream) -> str:
    """Return "cover", "chapters" (their titles, in MP4), or the type of a stream."""
    if stream.type == "data" and "timecode" not in stream.metadata and stream.container.chapters():
        return "chapters"
    return "cover" if stream.disposition & Disposition.attached_pic else stream.type


def copy_stream(stream: Stream, new: OutputContainer, source: Stream) -> Stream:
    """Return a stream of a new film for the packets of another, with the flags and the tags of that of its source."""
    copied = new.add_stream_from_template(stream)
    copied.metadata.update({key: one for key, one in source.metadata.items() if stream is source or key in TAGS})
    copied.disposition = source.disposition
    return copied


def read_packets(path: Path, streams: Mapping[int, Stream]) -> Iterator[tuple[Packet[Any], Stream]]:
    """Yield the packets of some streams, by their number in a film, each with the stream that it goes into."""
    with opened(path) as film:
        for packet in film.demux():
            timeless = packet.size > 0 and kind_of(packet.stream) == "cover"
            if packet.stream.index in streams and (packet.dts is not None or timeless):
                yield packet, streams[packet.stream.index]


def seconds_of(packet: Packet[Any]) -> float:
    return float((packet.dts or 0) * (packet.time_base or 0))
