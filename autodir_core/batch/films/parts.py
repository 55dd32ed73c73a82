"""The result of a film: its restored pictures in parts, and these as one, with the sound and all else of the source.

Imported on use: it needs PyAV.
"""

from __future__ import annotations

import heapq
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from ...errors import InputError
from ...imaging.layout import to_uint8
from ...imaging.paths import warn_once
from ...optional_imports import optional_import
from ...serialization.atomic import FULL, atomic_path
from ..planning.names import CONTAINERS
from .film import (
    DEEP,
    DEEP_RGB,
    FULL_RANGE,
    LIMITED_RANGE,
    MATRICES,
    RGB,
    UNKNOWN_MATRIX,
    UNSAID,
    VideoFormat,
    decode,
    explain_read,
    in_words,
    opened,
    orientation,
    rate_of,
    video_of,
)

with optional_import("av", "leave films out"):
    import av
    import av.error
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Disposition, Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

StreamKind = TypeVar("StreamKind", bound="Stream")

PART_FORMAT = "nut"
"""Keeps the times of frames as they are, as Matroska does not."""

CODEC, QUALITY = "libx264", {"crf": "16", "preset": "medium", "x264-params": "mbtree=0"}
"""Macroblock trees read memory that is never written: the same frames then give other bytes in another process."""

COPIED = "audio", "subtitle"
TAGS = frozenset({"title", "language", "handler_name"})
"""Of the pictures of a film, kept; others tell how its file was made."""

DEPTH = 10
"""Bits of a sample in a result, at most."""

HDR = {
    "MASTERING_DISPLAY_METADATA": "the mastering display",
    "CONTENT_LIGHT_LEVEL": "the light level",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
}
"""What a frame may tell of how bright it is, and the words for it."""

TRIED_PACKETS = 100
"""Packets of sound and subtitles that show whether a container takes them."""


def from_picture(image: Tensor, pts: int, like: VideoFormat) -> VideoFrame:
    """Return a picture [1, H, W, 3] as a frame in the samples of a film."""
    values = image[0].clamp(0, 1).numpy()
    if like.deep:
        frame = VideoFrame.from_ndarray(np.rint(values * DEEP).astype(np.uint16), format=DEEP_RGB)
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
    with atomic_path(path) as temporary, explain_write(path), av.open(str(temporary), "w", format=PART_FORMAT) as part:
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


def tell_differences(path: Path) -> None:
    """Tell what of a film its result lacks, and what of it is taken for something else."""
    with opened(path) as film, explain_read(path):
        first = next(decode(film), None)
        if first is None:
            return
        lost = list(lost_with(first))
        if lost:
            warn_once(f"{path}: the result lacks {', '.join(lost)}")
        if int(first.colorspace) not in {*MATRICES, RGB, UNSAID}:
            warn_once(f"{path}: number {first.colorspace} of its color space is not known here; BT.601 is taken for it")
        if not any(orientation(first)):
            warn_once(f"{path} is to be shown turned by an angle that is not a right one; the result is not turned")
        if first.interlaced_frame:
            warn_once(
                f"{path} is interlaced: that a picture shows two moments is taken for damage; deinterlace it first"
            )


def lost_with(frame: VideoFrame) -> Iterator[str]:
    """Yield what of a frame a result has no place for."""
    samples = frame.format
    if any(component.is_alpha for component in samples.components):
        yield "the transparency"
    if any(component.bits > DEPTH for component in samples.components):
        yield f"more than {DEPTH} bits a sample"
    halved = samples.chroma_width() < frame.width and samples.chroma_height() < frame.height
    is_colored, is_even = len(samples.components) > 2 or samples.has_palette, not (frame.width % 2 or frame.height % 2)
    if is_colored and is_even and not halved:
        yield "the full resolution of the colors (it has 4:2:0)"
    yield from (words for kind, words in HDR.items() if kind in frame.side_data)


def join_parts(parts: Sequence[Path], source: Path, target: Path, frames: int) -> None:
    """Write the parts of a film as one, with the sound, the subtitles and the tags of its source.

    InputError where they do not hold `frames` pictures: one was damaged since it was written.
    """
    with atomic_path(target) as temporary:
        with opened(source) as old, explain_write(target), new_film(target, temporary) as new:
            joined = join_streams(parts, source, old, new, frames)
        if joined != frames:
            folder = parts[0].parent
            raise InputError(f"{folder} holds {joined} pictures of {frames}; remove it, and run the command again")


@contextmanager
def explain_write(path: Path, advice: str = "") -> Iterator[None]:
    """Turn what FFmpeg refuses to write into one line: InputError; what a full disk says goes on as it is."""
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise InputError(f"{path} cannot be written: {in_words(error)}{advice}") from error


def new_film(target: Path, file: Path | io.BytesIO) -> OutputContainer:
    """Open a file for what becomes a film."""
    return av.open(str(file) if isinstance(file, Path) else file, "w", format=CONTAINERS[target.suffix.lower()])


def check_result(source: Path, target: Path) -> None:
    """Tell what of a film its result lacks; InputError where it has no place for the sound or the subtitles."""
    check_copied(source, target)
    tell_differences(source)


def check_copied(source: Path, target: Path) -> None:
    """Tell what is not copied; InputError where there is no place for the sound or the subtitles."""
    is_mkv = CONTAINERS[target.suffix.lower()] == "matroska"
    advice = f"; is there a place for the sound and the subtitles of {source} in a {target.suffix} file? " + (
        "convert them first" if is_mkv else "(a .mkv has one for most: put the film into one first)"
    )
    with opened(source) as old, explain_write(target, advice), new_film(target, io.BytesIO()) as trial:
        try:
            copied = copy_streams(old, trial)
        except ValueError as error:  # PyAV's, of a codec
            raise InputError(f"{target} cannot be written: {in_words(error)}{advice}") from error
        for packet, stream in islice(read_packets(source, copied), TRIED_PACKETS):
            packet.stream = stream
            trial.mux(packet)
        kept = {*copied, video_of(old).index}
        left = Counter(kind_of(stream) for stream in old.streams if stream.index not in kept)
        del left["chapters"]  # which are written anew
        if left:
            warn_once(f"{source}: left out of the result: {', '.join(f'{n} {kind}' for kind, n in left.items())}")


def join_streams(parts: Sequence[Path], source: Path, old: InputContainer, new: OutputContainer, frames: int) -> int:
    """Write all packets of a film; return how many pictures there are."""
    new.metadata.update(old.metadata)
    new.set_chapters(old.chapters())
    with opened(parts[0]) as first:
        video = copy_stream(video_of(first), new, video_of(old))
    video.codec_context.framerate = rate_of(video_of(old))
    copied, duration = copy_streams(old, new), last_duration(source, old)
    pictures, joined = (pair for part in parts for pair in read_pictures(part, video)), 0
    for packet, stream in heapq.merge(pictures, read_packets(source, copied), key=lambda pair: seconds_of(pair[0])):
        joined += stream is video
        if stream is video and joined == frames and packet.time_base and duration:
            packet.duration = round(duration / packet.time_base)
        packet.stream = stream
        new.mux(packet)
    return joined


def read_pictures(part: Path, stream: Stream) -> Iterator[tuple[Packet[Any], Stream]]:
    """Yield the packets of a part, each with the stream that it goes into.

    They are stored in the order of their times; FFmpeg says so of none where it cannot be sure, as of seven frames.
    """
    with opened(part) as film, explain_read(part):
        for packet in film.demux():
            if packet.size:
                packet.dts = packet.pts
                yield packet, stream


def last_duration(source: Path, film: InputContainer) -> Fraction:
    """Return for how many seconds the last picture of a film is shown; 0 where that is not said."""
    stream = video_of(film)
    with explain_read(source):
        ends = [(one.pts, one.duration or 0) for one in film.demux(stream) if one.pts is not None]
    pts, duration = max(ends, default=(0, 0))
    if stream.duration and ends:  # packets say how long what is stored next lasts, which may be another picture
        duration = max((stream.start_time or 0) + stream.duration - pts, 0)
    return duration * (stream.time_base or Fraction(0))


def copy_streams(old: InputContainer, new: OutputContainer) -> dict[int, Stream]:
    """Add to a film the streams of another that are copied; return them by their number there."""
    kinds = {*COPIED, {"matroska": "attachment", "mp4": "cover"}.get(new.format.name)}
    return {one.index: copy_stream(one, new, one) for one in old.streams if kind_of(one) in kinds}


def kind_of(stream: Stream) -> str:
    """Return "cover", "chapters" (their titles, in MP4), or the type of a stream."""
    if stream.type == "data" and "timecode" not in stream.metadata and stream.container.chapters():
        return "chapters"
    return "cover" if stream.disposition & Disposition.attached_pic else stream.type


def copy_stream(stream: StreamKind, new: OutputContainer, source: Stream) -> StreamKind:
    """Return a stream of a new film for the packets of another, with the flags and the tags of that of its source."""
    copied = new.add_stream_from_template(stream)
    copied.metadata.update({key: one for key, one in source.metadata.items() if stream is source or key in TAGS})
    copied.disposition = source.disposition
    return copied


def read_packets(path: Path, streams: Mapping[int, Stream]) -> Iterator[tuple[Packet[Any], Stream]]:
    """Yield the packets of some streams, by their number in a film, each with the stream that it goes into."""
    lasts: dict[int, int] = {}
    with opened(path) as film, explain_read(path):
        for packet in film.demux():
            timeless = packet.size > 0 and kind_of(packet.stream) == "cover"
            if packet.stream.index in streams and (packet.dts is not None or timeless):
                let_rise(packet, lasts)
                yield packet, streams[packet.stream.index]


def let_rise(packet: Packet[Any], lasts: dict[int, int]) -> None:
    """Put a packet after the one before it of its stream, whose time is in `lasts`, where its time jumps back."""
    if packet.dts is None:
        return
    last, is_sound, late = lasts.get(packet.stream.index), packet.stream.type == "audio", 0
    if last is not None and packet.dts < last + is_sound:  # subtitles may be shown at one time
        late = last - packet.dts + (packet.duration or 1) * is_sound
        packet.pts = None if packet.pts is None else packet.pts + late
    lasts[packet.stream.index] = packet.dts = packet.dts + late


def seconds_of(packet: Packet[Any]) -> float:
    return float((packet.dts or 0) * (packet.time_base or 0))
