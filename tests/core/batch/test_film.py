"""Films: shots with one decision each, frames at their times, and everything else of the source bit for bit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import autodir_core as ad
from autodir_core.cli import main
from autodir_core.degrade import degrade
from autodir_core.imaging.metrics import psnr
from autodir_core.outputs import Decision, PlannedRound
from autodir_core.pipeline import repeat_rounds
from autodir_core.serialization.temporary import temporary_name

av = pytest.importorskip("av", reason="PyAV is not installed")

from av.stream import Disposition  # noqa: E402

from autodir_core.batch.films import film, shots  # noqa: E402
from autodir_core.batch.films import parts as film_parts  # noqa: E402
from autodir_core.batch.report import describe  # noqa: E402
from autodir_core.batch.work import FilmProgress, film_outcome  # noqa: E402
from autodir_core.imaging.temporal import RADIUS  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
SIZE, FRAMES, CUT = (64, 48), 40, 20
INTERLACED = 0x20000000 | 0x40000
"""FFmpeg's flags of interlaced motion and transforms."""

LOOP, SAMPLER = ad.LoopSettings(1, labels=["noise"]), ad.SamplerSettings(steps=1)


def draw_frame(number: int, size: tuple[int, int]) -> np.ndarray:
    """A picture that moves, another one from `CUT` on."""
    width, height = size
    x, y = np.meshgrid(np.arange(width) + number, np.arange(height))
    wave = 0.5 + 0.5 * np.sin((x + 2 * y) / 9 if number < CUT else (x - y) / 3)
    return np.stack([wave, wave**2, 1 - wave], axis=-1) if number < CUT else np.stack([1 - wave, wave, wave], axis=-1)


def write_film(path: Path, *, frames: int = FRAMES, size: tuple[int, int] = SIZE, samples: str = "yuv420p") -> Path:
    """Uneven times, colors of BT.709, and a tone."""
    with av.open(str(path), "w") as target:
        video = target.add_stream("libx264", rate=24, options={"crf": "4"})
        video.width, video.height, video.pix_fmt = *size, samples
        video.codec_context.time_base = Fraction(1, 240)
        for name in ("color_primaries", "color_trc", "colorspace", "color_range"):
            setattr(video.codec_context, name, 1)
        sound = target.add_stream("aac", rate=48000)
        for number in range(frames):
            levels = np.rint(draw_frame(number, size) * 65535).astype(np.uint16)
            frame = av.VideoFrame.from_ndarray(levels, format="rgb48le").reformat(
                format=samples, dst_colorspace="ITU709"
            )
            frame.pts, frame.time_base = 10 * number + number % 3, Fraction(1, 240)
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        for start in range(0, 2000 * frames, 1024):
            tone = np.sin((np.arange(1024) + start) / 20).astype(np.float32)[None]
            part = av.AudioFrame.from_ndarray(np.repeat(tone, 2, axis=0), format="fltp", layout="stereo")
            part.sample_rate, part.pts = 48000, start
            target.mux(sound.encode(part))
        target.mux(sound.encode(None))
    return path


def write_clip(path: Path, pictures: Sequence[np.ndarray], codec: str = "libx264", times: Sequence[int] = ()) -> Path:
    """Pictures [H, W, 3] in 0..1 at times of a 24th of a second, without sound."""
    with av.open(str(path), "w") as target:
        video = target.add_stream(codec, rate=24)
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt, video.codec_context.max_b_frames = "yuv420p", 2
        for number, picture in enumerate(pictures):
            levels = np.rint(picture.clip(0, 1) * 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(levels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = times[number] if times else number, Fraction(1, 24)
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_film(tmp_path / "in.mp4")


def sounds(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.dts is not None]


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [round(float(frame.pts * frame.time_base), 4) for frame in container.decode(video=0)]


def test_shots_are_cut_where_the_content_changes(source: Path) -> None:
    assert shots.find_shots(source) == [(0, CUT), (CUT, FRAMES)]
    assert shots.sample_numbers(0, 20) == [2, 6, 10, 14, 18] and shots.sample_numbers(7, 9) == [7, 8]


@pytest.mark.parametrize(("ending", "codec"), [("mkv", "libx264"), ("mp4", "libx264"), ("avi", "mpeg4")])
def test_cuts_are_numbers_of_frames_whatever_their_times(tmp_path: Path, ending: str, codec: str) -> None:
    """As in films of a variable rate, and with frames that are stored in another order."""
    slow = [2 * number if number < CUT else 2 * CUT + number - CUT for number in range(FRAMES)]
    pictures = [draw_frame(number, SIZE) for number in range(FRAMES)]
    clip = write_clip(tmp_path / f"clip.{ending}", pictures, codec, slow if ending != "avi" else ())
    assert shots.find_shots(clip) == [(0, CUT), (CUT, FRAMES)]


@pytest.mark.parametrize(
    ("label", "severity"), [(None, 0), ("noise", 0.15), ("noise", 1.0), ("rain", 1.0), ("underexposure", 1.0)]
)
def test_cuts_are_found_in_damaged_films_and_only_cuts(tmp_path: Path, label: str | None, severity: float) -> None:
    """Of two scenes that move, and of one with a flash of two frames, and a broken one at each end."""
    cut, whole = ([draw_frame(number * step, (192, 144)) for number in range(FRAMES)] for step in (1, 0.4))
    whole[CUT : CUT + 2] = [0.3 * picture + 0.7 for picture in whole[CUT : CUT + 2]]
    whole[0], whole[-1] = 1 - whole[0], 1 - whole[-1]
    for name, pictures, edges in (("cut", cut, [0, CUT, FRAMES]), ("flash", whole, [0, FRAMES])):
        images = [torch.from_numpy(picture).float()[None] for picture in pictures]
        if label:
            seeds = range(FRAMES) if label in ("noise", "rain") else [0] * FRAMES
            pairs = zip(images, seeds, strict=True)
            images = [degrade(one, label, severity=severity, seed=seed) for one, seed in pairs]
        clip = write_clip(tmp_path / f"{name}.mkv", [one[0].numpy() for one in images])
        assert shots.find_shots(clip) == [*pairwise(edges)], name


def test_frames_are_restored_alike_and_all_else_is_kept(tiny: ad.AutoDIR, source: Path, tmp_path: Path) -> None:
    target, told = tmp_path / "out.mp4", []
    decided = shots.restore_film(
        *(tiny, source, target, LOOP, SAMPLER),
        frames=shots.FrameOptions(blend=False),
        tell=lambda done, total: told.append((done, total)),
    )
    assert [[one.label for one in decision.rounds] for *_, decision in decided] == [["noise"], ["noise"]]
    assert [(first, end) for first, end, _ in decided] == [(0, CUT), (CUT, FRAMES)]
    assert times(target) == times(source) and len(times(target)) == FRAMES
    assert sounds(target) == sounds(source) != []
    assert film.read_format(target).colors == film.read_format(source).colors
    assert told[-1] == (FRAMES, FRAMES) and sorted(told) == told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]
    before = [image for _, image in film.read_frames(source)]
    after = [image for _, image in film.read_frames(target)]
    for number in (0, CUT + 3):
        rounds = decided[number // CUT][2].rounds
        wanted = repeated(tiny, before[number], rounds)
        stored = film.to_picture(film_parts.from_picture(wanted, 0, film.read_format(source)))
        assert psnr(after[number], stored) > 28 > psnr(after[number], before[number])


def repeated(model: ad.AutoDIR, image: torch.Tensor, rounds: tuple) -> torch.Tensor:
    return repeat_rounds(model, image, rounds, LOOP, SAMPLER)


def test_a_still_film_does_not_flicker(tiny: ad.AutoDIR, source: Path) -> None:
    """The frames of a shot get the same noise: what stands still gives the same bits."""
    [frame] = [image for number, (_, image) in enumerate(film.read_frames(source)) if number == 3]
    decision = shots.decide(tiny, [frame], LOOP, SAMPLER)
    one, other = (repeated(tiny, image, decision.rounds) for image in (frame, frame.clone()))
    assert torch.equal(one, other) and torch.equal(one, decision.outcome.image)


def test_an_interrupted_film_goes_on_where_it_was(
    tiny: ad.AutoDIR, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shots, "PART_FRAMES", 8)
    whole, target = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    shots.restore_film(tiny, source, whole, LOOP, SAMPLER)

    def stop(done: int, total: int) -> None:
        if done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shots.restore_film(tiny, source, target, LOOP, SAMPLER, tell=stop)
    [part] = (tmp_path / "out.mp4.parts").glob("*.part")
    written = part.stat().st_mtime_ns
    made: list[int] = []
    monkeypatch.setattr(shots, "repeat_rounds", lambda *a, **k: made.append(1) or repeat_rounds(*a, **k))
    shots.restore_film(tiny, source, target, LOOP, SAMPLER, tell=lambda *at: check_unwritten(part, written))
    assert len(made) == FRAMES - 8 + RADIUS and times(target) == times(source)
    pairs = zip(film.read_frames(target), film.read_frames(whole), strict=True)
    assert all(torch.equal(one, other) for (_, one), (_, other) in pairs)


WRITE = """
import sys
from pathlib import Path
import torch
from autodir_core.batch.films import film
from autodir_core.batch.films import parts as film_parts
x, periods = torch.arange(320).float(), torch.tensor([9.0, 5, 3])
waves = [torch.sin((x + 2 * x[:240, None] + number) / periods[:, None, None]) for number in range(40)]
frames = [(number, 0.5 + 0.5 * wave.movedim(0, -1)[None].contiguous()) for number, wave in enumerate(waves)]
colors = {"color_range": 0, "colorspace": 1}
like = film.VideoFormat(film.Fraction(24), film.Fraction(1, 24), False, colors, film.Fraction(0))
film_parts.write_part(Path(sys.argv[1]), frames, like)
"""


def test_the_same_frames_give_the_same_bytes_whatever_memory_holds(tmp_path: Path) -> None:
    """Else a film that was interrupted differs from one that was not; glibc fills fresh memory with a byte."""
    for byte in ("1", "2"):
        environment = {**os.environ, "MALLOC_PERTURB_": byte}
        subprocess.run([sys.executable, "-c", WRITE, str(tmp_path / byte)], check=True, env=environment, cwd=ROOT)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_frames_are_restored_inside_a_mask_and_with_the_colors_of_the_film(tiny: ad.AutoDIR) -> None:
    frames = [(number, torch.rand(1, 24, 32, 3)) for number in range(5)]
    mask = torch.zeros(1, 24, 32)
    mask[:, :12] = 1
    options = shots.FrameOptions(match_color="adain", mask=mask)
    changed = list(options.change(iter(frames), lambda image: image / 2))
    assert [pts for pts, _ in changed] == list(range(5))
    for (_, before), (_, after) in zip(frames, changed, strict=True):
        assert torch.equal(before[:, 12:], after[:, 12:]) and not torch.equal(before[:, :12], after[:, :12])
        assert after[:, :12].mean() > 0.4, "half as bright without its colors"


def test_pixels_that_are_not_square_stay_so(tiny: ad.AutoDIR, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As on tape and DVD, whose films are interlaced as well, which is told."""
    source, target = tmp_path / "tape.mpg", tmp_path / "tape.mkv"
    with av.open(str(source), "w") as tape:
        video = tape.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 72, 56, "yuv420p"
        video.codec_context.sample_aspect_ratio = Fraction(112, 81)
        video.codec_context.flags |= INTERLACED
        for number in range(4):
            levels = (draw_frame(number, (72, 56)) * 255).astype(np.uint8)
            tape.mux(video.encode(av.VideoFrame.from_ndarray(levels, format="rgb24").reformat(format="yuv420p")))
        tape.mux(video.encode(None))
    shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    with av.open(str(target)) as restored:
        assert restored.streams.video[0].sample_aspect_ratio == Fraction(112, 81)
    assert caplog.text.count("tape.mpg is interlaced") == 1


def test_levels_of_full_range_stay_so(tmp_path: Path) -> None:
    """As of many cameras, whose black is 0 and whose white 255."""
    source, ramp = tmp_path / "full.mkv", torch.linspace(0, 1, 64).view(1, 1, 64, 1).expand(1, 48, 64, 3).contiguous()
    with av.open(str(source), "w") as camera:
        video = camera.add_stream("libx264", rate=25, options={"crf": "1"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        frame = av.VideoFrame.from_ndarray((ramp[0] * 255).byte().numpy(), format="rgb24")
        camera.mux(video.encode(frame.reformat(format="yuvj420p")))
        camera.mux(video.encode(None))
    like = film.read_format(source)
    assert like.colors["color_range"] == film.FULL_RANGE
    film_parts.write_part(tmp_path / "part", iter([(0, ramp)]), like)
    [(_, stored)] = film.read_frames(tmp_path / "part")
    assert (stored - ramp).abs().max() < 8 / 255, "16 where the range is lost"


@pytest.mark.parametrize(("matrix", "full"), [(9, True), (9, False), (8, False), (2, False), (7, True)])
def test_colors_come_back_whatever_matrix_a_film_names(tmp_path: Path, matrix: int, full: bool) -> None:
    """BT.2020 as of telephones, one that FFmpeg's scaler does not know, none."""
    source = tmp_path / "hdr.mov"
    with av.open(str(source), "w") as camera:
        video = camera.add_stream("libx264", rate=25, options={"crf": "1"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p10le"
        video.codec_context.colorspace, video.codec_context.color_range = matrix, 2 if full else 1
        levels = np.full((48, 64, 3), (0xC0, 0x40, 0x20), np.uint8)
        frame = av.VideoFrame.from_ndarray(levels, format="rgb24")
        camera.mux(
            video.encode(frame.reformat(format="yuv420p10le", dst_colorspace=matrix, dst_color_range=2 - (not full)))
        )
        camera.mux(video.encode(None))
    [(_, before)] = film.read_frames(source)
    film_parts.write_part(tmp_path / "part", iter([(0, before)]), film.read_format(source))
    [(_, after)] = film.read_frames(tmp_path / "part")
    assert (after - before).abs().max() < 2 / 255


@pytest.mark.parametrize(("kind", "codec"), [("matroska", "pcm_s16le"), ("mov", "pcm_mulaw")])
def test_a_container_without_a_place_for_the_sound_is_told_before_the_work(
    tiny: ad.AutoDIR, source: Path, tmp_path: Path, kind: str, codec: str
) -> None:
    odd = tmp_path / "odd.mp4"
    with av.open(str(source)) as old, av.open(str(odd), "w", format=kind) as new:
        video, sound = new.add_stream_from_template(old.streams.video[0]), new.add_stream(codec, rate=48000)
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                new.mux(packet)
        for number in range(20):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1024), np.int16), format="s16", layout="stereo")
            tone.sample_rate, tone.pts = 48000, 1024 * number
            new.mux(sound.encode(tone))
    with pytest.raises(ad.InputError, match=r"out\.mp4 cannot be written: .*a place for the sound"):
        shots.restore_film(tiny, odd, tmp_path / "out.mp4", LOOP, SAMPLER)
    assert not [*tmp_path.glob("out*")]


def test_chapters_are_kept(tiny: ad.AutoDIR, source: Path, tmp_path: Path) -> None:
    chaptered, target = tmp_path / "chapters.mkv", tmp_path / "out.mkv"
    with av.open(str(source)) as old, av.open(str(chaptered), "w") as new:
        new.set_chapters(
            [{"id": 1, "start": 0, "end": 900, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
        )
        video = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                new.mux(packet)
    shots.restore_film(tiny, chaptered, target, LOOP, SAMPLER)
    with av.open(str(target)) as restored:
        assert [chapter["metadata"]["title"] for chapter in restored.chapters()] == ["One"]


def copy_film(source: Path, target: Path, change: Callable[[av.container.OutputContainer], None], last: int) -> None:
    """Copy a film with other streams beside, and another duration of its last picture."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        copies = [new.add_stream_from_template(stream) for stream in old.streams]
        change(new)
        packets = [packet for packet in old.demux() if packet.dts is not None]
        end = max(packet.pts for packet in packets if packet.stream.type == "video")
        for packet in packets:
            if packet.stream.type == "video" and packet.pts == end:
                packet.duration = last
            packet.stream = copies[packet.stream.index]
            new.mux(packet)


KEPT = Disposition.comment | Disposition.forced


def test_flags_and_attachments_are_kept_and_what_is_not_is_told(
    tiny: ad.AutoDIR, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def enrich(new: av.container.OutputContainer) -> None:
        video, sound = new.streams.video[0], new.streams.audio[0]
        video.metadata.update(title="Main", language="ger")
        sound.disposition = KEPT
        new.add_attachment("letters.ttf", "font/ttf", b"font")
        new.add_stream_from_template(video)

    source, target = tmp_path / "rich.mkv", tmp_path / "out.mkv"
    copy_film(write_film(tmp_path / "plain.mp4", frames=4), source, enrich, 10)
    shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    with av.open(str(target)) as new:
        video, sound, font = new.streams
        assert (video.metadata["title"], video.metadata["language"]) == ("Main", "ger")
        assert sound.disposition == KEPT and not video.disposition
        assert (font.name, font.mimetype, font.data) == ("letters.ttf", "font/ttf", b"font")
    assert caplog.text.count("rich.mkv: left out of the result: 1 video\n") == 1


@pytest.mark.parametrize("units", [64, 1024])
def test_the_last_picture_is_shown_as_long_as_it_was(tiny: ad.AutoDIR, tmp_path: Path, units: int) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    plain = write_clip(tmp_path / "plain.mp4", [draw_frame(number, SIZE) for number in range(4)], times=[0, 1, 5, 6])
    copy_film(plain, source, lambda new: None, units)
    shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    with av.open(str(source)) as old, av.open(str(target)) as new:
        before, after = (one.streams.video[0].duration * one.streams.video[0].time_base for one in (old, new))
        assert abs(before - after) < Fraction(1, 1000)


def test_a_cover_is_no_picture_of_a_film(tiny: ad.AutoDIR, source: Path, tmp_path: Path) -> None:
    covered, target = tmp_path / "covered.mp4", tmp_path / "out.mp4"
    with av.open(str(source)) as old, av.open(str(covered), "w") as new:
        cover = new.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        video = new.add_stream_from_template(old.streams.video[0])
        levels = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        levels.pts = 0
        [picture] = [*cover.encode(levels.reformat(format="yuvj420p")), *cover.encode(None)]
        new.mux(picture)
        for packet in [one for one in old.demux(old.streams.video[0]) if one.dts is not None]:
            packet.stream = video
            new.mux(packet)
    shots.restore_film(tiny, covered, target, LOOP, SAMPLER)
    with av.open(str(target)) as new:
        assert [packet.stream.index for packet in new.demux() if packet.size].count(1) == 1


def test_a_film_with_an_empty_mask_is_left_as_it_is(
    run_batch: Callable[..., int], source: Path, tmp_path: Path
) -> None:
    ad.write_picture(tmp_path / "black.png", torch.zeros(1, 48, 64, 3))
    assert run_batch(source, "--mask", tmp_path / "black.png") == 0
    assert (tmp_path / "out/in.mp4").read_bytes() == source.read_bytes()


def test_a_film_without_a_whole_picture_is_told(tmp_path: Path) -> None:
    whole = write_film(tmp_path / "whole.mkv", frames=4).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[:1500])
    with pytest.raises(ad.InputError, match=r"cut\.mkv (holds no picture|cannot be read)"):
        shots.find_shots(tmp_path / "cut.mkv")


def test_a_film_that_was_cut_off_gives_the_frames_it_has(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its last packet cannot be decoded; the index comes first, as in films for the web."""
    flat, short = tmp_path / "flat.mp4", tmp_path / "short.mp4"
    with av.open(str(source)) as old, av.open(str(flat), "w", options={"movflags": "faststart"}) as new:
        video = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                end, packet.stream = packet.size, video
                new.mux(packet)
    short.write_bytes(flat.read_bytes()[: -3 * end + 5])
    frames = len([*film.read_frames(short)])
    assert FRAMES - 6 < frames < FRAMES and shots.find_shots(short) == [(0, CUT), (CUT, frames)]
    assert caplog.text.count(f"short.mp4 is cut off or broken: only the {frames} frames of it") == 1


def test_parts_that_were_made_otherwise_are_made_again(
    tiny: ad.AutoDIR, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shots, "PART_FRAMES", 8)
    target = tmp_path / "out.mp4"

    def stop(done: int, total: int) -> None:
        if done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shots.restore_film(tiny, source, target, LOOP, SAMPLER, seed=1, tell=stop)
    assert list((tmp_path / "out.mp4.parts").glob("*.part"))
    made: list[int] = []
    monkeypatch.setattr(shots, "repeat_rounds", lambda *a, **k: made.append(1) or repeat_rounds(*a, **k))
    shots.restore_film(tiny, source, target, LOOP, SAMPLER, seed=2)
    assert len(made) == FRAMES


@pytest.mark.parametrize("mask", [False, True], ids=["found clean", "empty mask"])
def test_the_parts_of_a_film_that_needs_nothing_now_are_removed(
    run_batch: Callable[..., int], source: Path, tmp_path: Path, mask: bool
) -> None:
    folder = tmp_path / f"out/{source.name}.parts"
    folder.mkdir(parents=True)
    for name in (shots.MARK, "00000000.part", temporary_name(".part")):
        (folder / name).touch()
    ad.write_picture(tmp_path / "black.png", torch.zeros(1, 48, 64, 3))
    assert run_batch(source, *(["--mask", tmp_path / "black.png"] if mask else ["--labels", "no"])) == 0
    assert (tmp_path / "out" / source.name).is_file() and not folder.exists()


def test_a_film_may_have_the_longest_name(
    run_batch: Callable[..., int], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the folder of its parts is cut off."""
    long, write_parts, folders = f"{'x' * 248}.mp4", shots.write_parts, list[str]()

    def note(*given: Any) -> Any:
        made = write_parts(*given)
        folders.extend(path.parent.name for path in made)
        return made

    monkeypatch.setattr(shots, "write_parts", note)
    source.rename(tmp_path / long)
    assert run_batch(tmp_path / long) == 0
    assert (tmp_path / "out" / long).is_file() and not list((tmp_path / "out").glob("*.parts"))
    assert all(len(name) == 255 and name.endswith(".parts") for name in folders) and folders


def test_a_folder_of_somebody_else_is_left_alone(tiny: ad.AutoDIR, source: Path, tmp_path: Path) -> None:
    """Though it has the name of that of the parts; what a process of ours left there is not in the way."""
    folder, target = tmp_path / "out.mp4.parts", tmp_path / "out.mp4"
    folder.mkdir()
    (folder / "00000000.part").touch()
    (folder / temporary_name(".part")).touch()
    (folder / "diary.txt").write_text("dear")
    with pytest.raises(ad.InputError, match=r"out\.mp4\.parts is needed for the parts of out\.mp4"):
        shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    assert (folder / "diary.txt").read_text() == "dear"
    (folder / "diary.txt").unlink()
    shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    assert len(times(target)) == FRAMES and not folder.exists()


def check_unwritten(part: Path, written: int) -> None:
    assert part.stat().st_mtime_ns == written


@pytest.mark.parametrize(("size", "samples"), [((64, 48), "yuv420p10le"), ((65, 49), "yuv444p")])
def test_samples_keep_their_depth_and_odd_sizes_work(
    tiny: ad.AutoDIR, tmp_path: Path, size: tuple[int, int], samples: str
) -> None:
    source, target = write_film(tmp_path / "in.mkv", frames=4, size=size, samples=samples), tmp_path / "out.mkv"
    shots.restore_film(tiny, source, target, LOOP, SAMPLER)
    with av.open(str(target)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height, video.format.name) == (*size, samples)
    levels = next(film.read_frames(source))[1] * 65535
    assert (levels % 257 != 0).any() == samples.endswith("10le")


@pytest.fixture
def run_batch(tmp_path: Path, tiny_path: Path) -> Callable[..., int]:
    common = ["-o", str(tmp_path / "out"), "--model", str(tiny_path), "--device", "cpu", "--steps", "1", "--no-gate"]
    return lambda *given: main(["batch", *common, "--max-rounds", "1", "--labels", "noise", *map(str, given)])


def test_the_command_takes_films_beside_pictures(
    run_batch: Callable[..., int], source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    source.rename(folder / "a.mp4")
    (folder / "broken.mov").write_bytes(b"no film")
    ad.write_picture(folder / "b.png", torch.rand(1, 20, 30, 3))
    assert run_batch(folder) == 1
    told = capsys.readouterr()
    assert "broken.mov cannot be read as a film" in told.err and "Detecting scenes" not in told.err
    assert "40 of 40" not in told.out, "it is done in less than half a minute"
    assert "1 picture and 2 films: 2 restored, 1 failed" in told.out
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"a.mp4", "b.png", "batch.csv"}
    rows = (tmp_path / "out/batch.csv").read_text(encoding="utf-8").splitlines()
    assert any(row.startswith("a.mp4,") and ",done,noise," in row for row in rows)
    _, films = (tmp_path / "out/batch.html").read_text(encoding="utf-8").split("<h2>Films</h2>")
    assert "a.mp4: noise, 2 of 2 shots" in films and films.count("<figure>") == 4
    assert re.findall(r"<figcaption>(.*?)<", films)[:2] == ["before, at 0.4 s", "after, at 0.4 s"]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_film_tells_how_far_it_is_by_time(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    """Frames of an earlier run say nothing of this one's rate; a short film says nothing."""
    now = [0.0]
    told = FilmProgress("a.mp4", quiet=quiet, clock=lambda: now[0])
    for done in (100, *range(101, 113)):
        now[0] += 10
        told.tell(done, 112)
    expected = [
        "a.mp4: 102 of 112, 00:20 so far, 01:40 left, 10.00s/frame",
        "a.mp4: 105 of 112, 00:50 so far, 01:10 left, 10.00s/frame",
        "a.mp4: 108 of 112, 01:20 so far, 00:40 left, 10.00s/frame",
        "a.mp4: 111 of 112, 01:50 so far, 00:10 left, 10.00s/frame",
        "a.mp4: 112 of 112, 02:00 so far, 00:00 left, 10.00s/frame",
    ]
    assert capsys.readouterr().out.splitlines() == expected * (not quiet)
    FilmProgress("short.mp4", quiet=quiet, clock=lambda: now[0]).tell(1, 1)
    assert not capsys.readouterr().out


def test_a_film_put_into_out_during_the_run_is_not_replaced(
    run_batch: Callable[..., int], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts that were made stay, so that little is lost."""
    mine, write_parts = tmp_path / "out" / source.name, shots.write_parts

    def put(*given: Any) -> Any:
        mine.write_bytes(b"mine")
        return write_parts(*given)

    monkeypatch.setattr(shots, "write_parts", put)
    assert run_batch(source) == 1
    assert mine.read_bytes() == b"mine" and len(list(mine.with_name(f"{mine.name}.parts").glob("*.part"))) > 1


def test_the_frame_of_a_number_is_found_without_those_before(source: Path) -> None:
    frames, seconds = [image for _, image in film.read_frames(source)], times(source)
    for number in (0, 7, CUT, FRAMES - 1):
        at, found = film.read_frame(source, number)
        assert torch.equal(found, frames[min(range(FRAMES), key=lambda other: abs(seconds[other] - at))])
        assert abs(at - seconds[number]) < 0.2, "times are uneven"


@pytest.mark.parametrize("skip", [False, True])
def test_a_clean_film_is_copied_bit_for_bit(
    run_batch: Callable[..., int], source: Path, tmp_path: Path, skip: bool
) -> None:
    """Under its own name, though a restored one would become Matroska."""
    film_in_avi = source.rename(tmp_path / "in.avi")
    assert run_batch(film_in_avi, "--labels", "no", *["--skip-clean"] * skip) == 0
    films = [path for path in (tmp_path / "out").iterdir() if not path.name.startswith("batch.")]
    assert [path.name for path in films] == ["in.avi"] * (not skip)
    assert skip or films[0].read_bytes() == film_in_avi.read_bytes()


def test_a_film_is_assessed_in_some_frames(run_batch: Callable[..., int], source: Path, tmp_path: Path) -> None:
    assert run_batch(source, "--assess-only") == 0
    header, row = (tmp_path / "out/batch.csv").read_text(encoding="utf-8").splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["noise"] == "1.0"


def test_shots_that_nothing_was_sure_of_are_told() -> None:
    """In the table and on the page; who sees the damage names it."""
    unsure = Decision(ad.Restoration(torch.zeros(1, 8, 8, 3), [], ("low_confidence",)), ())
    noisy = replace(unsure, rounds=(PlannedRound("noise", torch.zeros(1), 1.0),))
    outcome = film_outcome([(0, 20, unsure), (20, 40, noisy)])
    assert (outcome.state, outcome.decision) == ("done", "noise")
    assert describe({"facts": outcome.facts}) == "1 of 2 shots; 1 of low confidence, which --labels decides"
    nothing = film_outcome([(0, 40, unsure)])
    assert (nothing.state, nothing.decision) == ("clean", "low confidence")
    assert film_outcome([]).decision == "empty mask"


@pytest.mark.parametrize("frames", range(1, 13))
def test_no_picture_is_lost_however_many_a_part_holds(source: Path, tmp_path: Path, frames: int) -> None:
    """Of seven FFmpeg 8.1 does not say in which order they are decoded."""
    like, wave = film.read_format(source), torch.linspace(0, 1, 64).view(1, 1, 64, 1).expand(1, 48, 64, 3)
    parts, step = [tmp_path / "1.part", tmp_path / "2.part"], round(1 / (24 * like.time_base))
    for start, part in zip((0, frames), parts, strict=True):
        film_parts.write_part(part, ((step * number, wave) for number in range(start, start + frames)), like)
    film_parts.join_parts(parts, source, tmp_path / "out.mp4", 2 * frames)
    assert times(tmp_path / "out.mp4") == pytest.approx([number / 24 for number in range(2 * frames)], abs=1e-3)
    with pytest.raises(ad.InputError, match=f"holds {2 * frames} pictures of {2 * frames + 1}"):
        film_parts.join_parts(parts, source, tmp_path / "short.mp4", 2 * frames + 1)
    assert not (tmp_path / "short.mp4").exists()
