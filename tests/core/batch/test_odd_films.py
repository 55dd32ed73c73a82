"""Films as they are found: mirrored, without times, put together, broken, of other samples; what is lost is told."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

import autodir_core as ad

av = pytest.importorskip("av", reason="PyAV is not installed")

from autodir_core.batch.films import film, shots  # noqa: E402
from autodir_core.batch.films import parts as film_parts  # noqa: E402

SIZE, FRAMES = (64, 48), 12
LOOP, SAMPLER = ad.LoopSettings(1, labels=["noise"]), ad.SamplerSettings(steps=1)
ONE = 0x10000
"""1 in a display matrix."""


def draw(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Smooth waves [H, W, 3] in 0.1..0.9, unlike all their mirror images."""
    x, y = np.meshgrid(np.arange(size[0]) / 11, np.arange(size[1]) / 7)
    return np.stack([0.5 + 0.4 * np.sin(x * factor + y + x * y / 9 + number / 5) for factor in (1, 0.7, 0.4)], axis=-1)


def write(
    path: Path,
    *,
    size: tuple[int, int] = SIZE,
    samples: str = "yuv420p",
    container: str | None = None,
    frames: int = FRAMES,
    codec: str = "libx264",
    matrix: int = 2,
    sound: bool = False,
    between: int = 0,
) -> Path:
    with av.open(str(path), "w", format=container) as target:
        video = target.add_stream(codec, rate=25, options={"crf": "10", "g": "6"} if codec == "libx264" else {})
        video.width, video.height, video.pix_fmt = *size, samples
        video.codec_context.max_b_frames, video.codec_context.colorspace = between, matrix
        tone = target.add_stream("mp2", rate=48000) if sound else None
        for number in range(frames):
            levels = np.rint(draw(number, size) * 65535).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(levels, format="rgb48le").reformat(format=samples, dst_colorspace=5)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        for start in range(0, 1920 * frames if tone else 0, 1152):
            part = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1152), np.int16), format="s16", layout="stereo")
            part.sample_rate, part.pts = 48000, start
            target.mux(tone.encode(part))
        target.mux(tone.encode(None) if tone else [])
    return path


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def patch(path: Path, atom: bytes, offset: int, content: bytes) -> None:
    """Replace bytes of an MP4 file, so many after the name of its first atom of a kind."""
    data = bytearray(path.read_bytes())
    start = data.find(atom) + len(atom) + offset
    data[start : start + len(content)] = content
    path.write_bytes(data)


def show(path: Path, a: float, b: float, c: float, d: float) -> Path:
    """Put a display matrix into an MP4 film."""
    rows = (a, b, 0, c, d, 0, 0, 0)
    patch(path, b"tkhd", 40, struct.pack(">9i", *(int(value * ONE) for value in rows), 0x40000000))
    return path


@pytest.mark.parametrize(
    "way",
    [
        (1, 0, 0, 1),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (-1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, 1, -1, 0),
        (0, -1, 1, 0),
        (0, -1, -1, 0),
    ],
)
def test_pictures_are_turned_and_mirrored_as_their_film_says(tmp_path: Path, way: tuple[int, ...]) -> None:
    """Each pixel goes where the matrix puts it."""
    source = write(tmp_path / "in.mp4", frames=1)
    [(_, stored)] = film.read_frames(source)
    [(_, shown)] = film.read_frames(show(source, *way))
    a, b, c, d = way
    y, x = np.mgrid[:48, :64]
    right, down = a * x + c * y, b * x + d * y
    wanted = torch.empty_like(shown)
    wanted[0, down - down.min(), right - right.min()] = stored[0]
    assert torch.equal(shown, wanted)


def test_another_angle_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = show(write(tmp_path / "in.mp4", frames=1), 0.7, 0.7, -0.7, 0.7)
    [(_, shown)] = film.read_frames(source)
    assert shown.shape == (1, 48, 64, 3)
    film_parts.tell_differences(source)
    assert caplog.text.count("in.mp4 is to be shown turned by an angle that is not a right one") == 1


@pytest.mark.parametrize(
    ("stamps", "wanted", "made"),
    [
        ([0, 3, 1, 2, 6], [0, 1, 2, 3, 6], 0),
        ([100, 101, 102, 0, 1, 2], [100, 101, 102, 103, 104, 105], 3),
        ([None, None, None], [0, 1, 2], 3),
        ([0, 2, 2, 5], [0, 2, 3, 5], 1),
        ([0, 100, 101], [0, 100, 101], 0),
    ],
)
def test_times_rise(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, stamps: Sequence[int | None], wanted: list[int], made: int
) -> None:
    path = tmp_path / "in.ts"
    assert film.rising_times(path, [(time, 1) for time in stamps]) == wanted
    assert (f"in.ts: {made} of {len(stamps)} frames have no time" in caplog.text) == bool(made)


def test_a_stream_without_times_gets_those_of_its_rate(tiny: ad.AutoDIR, tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.mpg", container="h264"), tmp_path / "out.mkv"
    shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    assert times(target) == pytest.approx([number / 25 for number in range(FRAMES)], abs=1e-3)
    assert film.read_frame(source, 3)[1].shape == (1, 48, 64, 3)


def test_frames_between_others_are_put_in_order(tiny: ad.AutoDIR, tmp_path: Path) -> None:
    """AVI keeps the times of storage only."""
    source, target = write(tmp_path / "in.avi", between=2), tmp_path / "out.mkv"
    shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    assert np.diff(times(target)) == pytest.approx([0.04] * (FRAMES - 1), abs=2e-3)


def test_two_recordings_in_one_file_follow_each_other(tiny: ad.AutoDIR, tmp_path: Path) -> None:
    """With their sound; the times of the second begin anew."""
    one = write(tmp_path / "one.ts", sound=True, codec="mpeg2video").read_bytes()
    source, target = tmp_path / "in.ts", tmp_path / "out.mkv"
    source.write_bytes(one + one)
    shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    assert np.diff(times(target)) == pytest.approx([0.04] * (2 * FRAMES - 1), abs=2e-3)
    with av.open(str(target)) as new:
        stamps = [packet.dts for packet in new.demux(audio=0) if packet.size]
    assert len(stamps) > 30 and (np.diff(stamps) > 0).all()


def test_a_change_of_size_is_told_before_the_work(tmp_path: Path) -> None:
    one, other = (write(tmp_path / f"{width}.ts", size=(width, 48), codec="mpeg2video") for width in (64, 96))
    source = tmp_path / "in.ts"
    source.write_bytes(one.read_bytes() + other.read_bytes())
    with pytest.raises(ad.InputError, match=r"in\.ts has pictures of another size from number \d+ on; cut it there"):
        shots.find_shots(source)


@pytest.mark.parametrize("ending", ["mkv", "ts", "avi"])
def test_what_is_cut_off_or_damaged_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, ending: str) -> None:
    """Whatever its container; that of a whole film is not."""
    source = write(tmp_path / f"in.{ending}", size=(192, 144), codec="mpeg4" if ending == "avi" else "libx264")
    shots.find_shots(source)
    assert not caplog.text
    data = bytearray(source.read_bytes())
    if ending == "ts":
        data[len(data) // 2 : len(data) // 2 + 900] = bytes(index * 37 % 256 for index in range(900))
    source.write_bytes(data if ending == "ts" else data[: len(data) // 2])
    shots.find_shots(source)
    assert caplog.text.count(f"in.{ending} is cut off or broken: only the ") == 1


def test_a_film_that_its_edit_list_trims_is_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write(tmp_path / "in.mp4")
    patch(source, b"elst", 8, struct.pack(">Ii", 240, 512 * 6))
    assert shots.find_shots(source) == [(0, 6)]
    assert not caplog.text


@pytest.mark.parametrize(
    ("codec", "samples", "lost"),
    [
        ("libx264", "yuv420p", None),
        ("ffv1", "gray", None),
        ("libx264", "yuv422p", "the full resolution of the colors (it has 4:2:0)"),
        ("ffv1", "yuva420p", "the transparency"),
        ("ffv1", "yuv420p12le", "more than 10 bits a sample"),
    ],
)
def test_samples_that_a_result_cannot_have_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, codec: str, samples: str, lost: str | None
) -> None:
    film_parts.tell_differences(write(tmp_path / "in.mkv", frames=1, codec=codec, samples=samples))
    assert caplog.text.count("the result lacks") == bool(lost) and (lost or "") in caplog.text


def test_a_color_space_that_is_not_known_is_told(
    tiny: ad.AutoDIR, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write(tmp_path / "in.mp4", matrix=8)
    shots.restore_film(tiny, source, tmp_path / "out.mp4", LOOP, SAMPLER)
    assert caplog.text.count("number 8 of its color space is not known here; BT.601 is taken for it") == 1
    assert film.read_format(tmp_path / "out.mp4").colors["colorspace"] == 8


@pytest.mark.parametrize("samples", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("matrix", [1, 5])
def test_a_picture_is_not_darker_than_its_frame(tmp_path: Path, samples: str, matrix: int) -> None:
    """Of 8 bits; FFmpeg's scaler takes up to 1.5 levels where it rounds down."""
    frame = next(film.decode(av.open(str(write(tmp_path / "in.mkv", frames=1, samples=samples, matrix=matrix)))))
    luma = np.frombuffer(frame.planes[0], np.uint8).reshape(frame.height, -1)[:, : frame.width].astype(float)
    weights = torch.tensor({1: (0.2126, 0.7152, 0.0722), 5: (0.299, 0.587, 0.114)}[matrix])
    seen = (film.to_picture(frame)[0] @ weights).numpy()
    exact = luma / 255 if samples == "yuvj420p" else (luma - 16) / 219
    assert abs((seen - exact).mean()) < 0.1 / 255 and abs(seen - exact).max() < 4 / 255
    back = film_parts.from_picture(film.to_picture(frame), 0, film.read_format(tmp_path / "in.mkv"))
    stored = np.frombuffer(back.planes[0], np.uint8).reshape(frame.height, -1)[:, : frame.width]
    assert abs((stored - luma).mean()) < 0.1


def test_matroska_is_told_the_rate(tiny: ad.AutoDIR, tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.mkv"), tmp_path / "out.mkv"
    shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    with av.open(str(target)) as new:
        assert new.streams.video[0].average_rate == 25


def test_only_what_is_read_is_said_to_be_unreadable(tmp_path: Path) -> None:
    """And without FFmpeg's numbers."""
    failure = av.error.InvalidDataError(1094995529, "Invalid data found")
    with pytest.raises(av.error.InvalidDataError), film.opened(write(tmp_path / "in.mkv", frames=1)):
        raise failure
    (tmp_path / "text.mov").write_text("text")
    with pytest.raises(ad.InputError, match=r"text\.mov cannot be read as a film: [A-Z][^\[]*$"):
        shots.find_shots(tmp_path / "text.mov")


def test_what_cannot_be_written_is_said_as_it_is(tmp_path: Path) -> None:
    """A full disk is explained where files are written."""
    target = tmp_path / "out.mkv"
    refused = pytest.raises(ad.InputError, match=r"out\.mkv cannot be written: Invalid argument$")
    with refused, film_parts.explain_write(target):
        raise av.error.ArgumentError(22, "Invalid argument")
    with pytest.raises(OSError, match="No space left"), film_parts.explain_write(target):
        raise av.error.OSError(28, "No space left on device")


def test_sound_that_even_matroska_has_no_place_for_is_to_be_converted(tmp_path: Path) -> None:
    """As that of Windows Media, whose films become Matroska."""
    source = tmp_path / "in.wmv"
    with av.open(str(write(tmp_path / "in.mkv"))) as old, av.open(str(source), "w", format="asf") as new:
        video, sound = new.add_stream("wmv2", rate=25), new.add_stream("wmav2", rate=44100)
        video.width, video.height, video.pix_fmt, sound.bit_rate = *SIZE, "yuv420p", 128000
        for frame in old.decode(video=0):
            frame.pts, frame.time_base = None, Fraction(1, 25)
            new.mux(video.encode(frame))
        tone = av.AudioFrame.from_ndarray(np.zeros((2, 2048), np.float32), format="fltp", layout="stereo")
        tone.sample_rate, tone.pts = 44100, 0
        for stream, last in ((sound, tone), (sound, None), (video, None)):
            new.mux(stream.encode(last))
    with pytest.raises(ad.InputError, match=r"wmav2.*in a \.mkv file\? convert them first$"):
        film_parts.check_result(source, tmp_path / "out.mkv")
