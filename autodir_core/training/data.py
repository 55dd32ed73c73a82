"""Training data: scenes drawn once into a cache, crops of them, and the degraded versions made on the fly."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ..degrade import DEGRADATIONS, degrade
from ..files import atomic_path
from ..labels import CLEAN, LABELS
from .scenes import draw_scene

logger = logging.getLogger(__name__)

SCENE_SIZE = 512


@dataclass(frozen=True)
class Batch:
    """Pairs for training.

    Attributes:
        clean: [B, S, S, 3], 0..1.
        degraded: [B, S, S, 3], equal to `clean` where the label is "no".
        labels: [B] indices into `LABELS`.
    """

    clean: Tensor
    degraded: Tensor
    labels: Tensor


def scene_bytes(seed: int) -> np.ndarray:
    """One scene as uint8 [512, 512, 4]: colour and depth."""
    scene = draw_scene(seed, SCENE_SIZE)
    return np.concatenate([scene.image, scene.depth[..., None]], axis=-1)


def cached_scenes(folder: Path, count: int, *, seed: int = 0, workers: int = 2) -> np.ndarray:
    """`count` scenes, uint8 [count, 512, 512, 4], memory-mapped from a file in `folder` that is drawn when missing."""
    path = folder / f"scenes-{seed}-{count}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, ProcessPoolExecutor(workers) as pool:
            shape = (count, SCENE_SIZE, SCENE_SIZE, 4)
            scenes = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            drawn = pool.map(scene_bytes, range(seed, seed + count), chunksize=8)
            for i, scene in enumerate(tqdm(drawn, total=count, desc="scenes", unit="scene")):
                scenes[i] = scene
            scenes.flush()
            del scenes
    return np.load(path, mmap_mode="r")


def random_crop(scenes: np.ndarray, size: int, rng: np.random.Generator) -> Tensor:
    """A crop float32 [size, size, 4] of a random scene: scaled 1 to 1/2, flipped, turned, its colours jittered."""
    scene = scenes[rng.integers(len(scenes))]
    window = min(int(size * rng.choice([1.0, 1.0, rng.uniform(1, 2)])), SCENE_SIZE)
    top, left = rng.integers(0, SCENE_SIZE - window + 1, 2)
    crop = torch.from_numpy(scene[top : top + window, left : left + window].astype(np.float32) / 255)
    if window != size:
        crop = torch.nn.functional.interpolate(
            crop.permute(2, 0, 1)[None], size=(size, size), mode="bicubic", antialias=True, align_corners=False
        )[0].permute(1, 2, 0)
    if rng.random() < 0.5:
        crop = crop.flip(1)
    if rng.random() < 0.25:
        crop = crop.transpose(0, 1)
    return jittered(crop.clamp(0, 1), rng)


def jittered(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop with another white balance, contrast and brightness; the depth in the last channel stays."""
    balance = torch.from_numpy(rng.uniform(0.9, 1.1, 3).astype(np.float32))
    gamma = float(np.exp(rng.normal(0, 0.15)))
    colour = (crop[..., :3] * balance).clamp(0, 1) ** gamma
    return torch.cat([colour, crop[..., 3:]], dim=-1)


def developed(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop as a camera would have processed it: flat parts denoised, edges sharpened, grain that varies.

    Generated pictures have the same fine grain everywhere; photographs do not, and so would look wet in places.
    """
    colour = crop[..., :3].permute(2, 0, 1)[None]
    side = colour.shape[-1]
    kernel = torch.tensor([0.25, 0.5, 0.25])
    blur = torch.nn.functional.conv2d(
        torch.nn.functional.pad(colour, (1, 1, 1, 1), mode="reflect"),
        torch.outer(kernel, kernel).expand(3, 1, 3, 3),
        groups=3,
    )
    detail = colour - blur
    activity = torch.nn.functional.avg_pool2d(detail.abs().mean(dim=1, keepdim=True), 5, 1, 2)
    flatness = torch.exp(-activity / float(rng.uniform(0.003, 0.02)))
    kept = 1 - flatness * float(rng.uniform(0, 1)) * (0.5 + 0.5 * field(side, rng))
    grain = torch.from_numpy(rng.standard_normal((1, 1, side, side)).astype(np.float32)) * field(side, rng)
    colour = blur + detail * kept * float(rng.uniform(0.6, 1.8)) + grain * float(rng.choice([0, rng.uniform(0, 0.02)]))
    return torch.cat([colour[0].permute(1, 2, 0).clamp(0, 1), crop[..., 3:]], dim=-1)


def modelled(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop bent, lit unevenly, and with round shaded bodies that shine: what a drop has too, but no lens.

    Faces, cups and eyes have dark rims, soft shading and highlights; only a drop shows the scene again, upside down.
    """
    side = crop.shape[0]
    colour = bent(crop[..., :3], rng) if rng.random() < 0.5 else crop[..., :3]
    if rng.random() < 0.6:
        colour = colour * (0.5 + field(side, rng, most=5)[0, 0, :, :, None])
    for _ in range(int(rng.integers(0, 9))):
        colour = with_body(colour, rng)
    return torch.cat([colour.clamp(0, 1), crop[..., 3:]], dim=-1)


def bent(colour: Tensor, rng: np.random.Generator) -> Tensor:
    """[S, S, C] displaced by a smooth random field of a few pixels."""
    side = colour.shape[0]
    reach = float(rng.uniform(4, 16))
    axis = torch.arange(side, dtype=torch.float32)
    y = axis[:, None] + (field(side, rng, most=8)[0, 0] - 0.5) * 2 * reach
    x = axis[None] + (field(side, rng, most=8)[0, 0] - 0.5) * 2 * reach
    grid = torch.stack([(2 * x + 1) / side - 1, (2 * y + 1) / side - 1], dim=-1)[None]
    planes = colour.permute(2, 0, 1)[None]
    moved = torch.nn.functional.grid_sample(
        planes, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return moved[0].permute(1, 2, 0)


def with_body(colour: Tensor, rng: np.random.Generator) -> Tensor:
    """[S, S, 3] with one shaded ellipsoid of its own colour or the picture's, a dark rim and perhaps a highlight."""
    side = colour.shape[0]
    axis = torch.arange(side, dtype=torch.float32)
    y, x = rng.uniform(0, side, 2)
    radius, stretch, edge = rng.uniform(4, 50), rng.uniform(0.6, 1.6), rng.uniform(0.5, 3)
    down, right = (axis[:, None] - y) * stretch / radius, (axis[None] - x) / radius
    square = down**2 + right**2
    inside = torch.sigmoid((1 - square.sqrt()) * radius / edge)[..., None] * float(rng.uniform(0.4, 1))
    height = (1 - square).clamp(min=0).sqrt()
    toward = torch.from_numpy(rng.normal(0, 0.6, 2).astype(np.float32))
    light = (height + toward[0] * down + toward[1] * right).clamp(0, 1.5)[..., None]
    paint = torch.from_numpy(rng.uniform(0, 1, 3).astype(np.float32)) if rng.random() < 0.6 else colour
    body = paint * (float(rng.uniform(0.2, 0.7)) + float(rng.uniform(0.2, 0.9)) * light)
    if rng.random() < 0.5:
        off = torch.exp(-((down - toward[0] / 2) ** 2 + (right - toward[1] / 2) ** 2) / float(rng.uniform(0.005, 0.06)))
        body = body + float(rng.uniform(0.3, 1)) * off[..., None]
    return colour + inside * (body - colour)


def focused(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop with a sharp and textured part and a smooth one, as a lens and the world make them.

    Fur before a soft wall has fine detail in places and none in others: so have drops on a window, but round ones.
    """
    side = crop.shape[0]
    ground = crop[..., 3] if rng.random() < 0.5 else field(side, rng, most=6)[0, 0]
    place, softness = ground.quantile(float(rng.uniform(0.15, 0.7))), float(rng.uniform(0.02, 0.25))
    sharp = torch.sigmoid((ground - place) / softness)[..., None]
    colour = crop[..., :3]
    if rng.random() < 0.6:
        colour = colour + grown_texture(side, rng) * sharp * (0.3 + colour)
    soft = smoothed(colour, float(rng.uniform(1, 6)))
    mixed = sharp * colour + (1 - sharp) * soft
    return torch.cat([mixed.clamp(0, 1), crop[..., 3:]], dim=-1)


def grown_texture(side: int, rng: np.random.Generator) -> Tensor:
    """Band-limited noise [side, side, 1] of 2 to 15 % contrast, a little longer than wide: fur, grass, cloth."""
    noise = torch.from_numpy(rng.standard_normal((side, side, 1)).astype(np.float32))
    fine = smoothed(noise, float(rng.uniform(0.4, 1.5)), float(rng.uniform(0.4, 2.5)))
    band = fine - smoothed(fine, 4.0)
    return band / band.std() * float(rng.uniform(0.02, 0.15))


def smoothed(picture: Tensor, sigma: float, across: float | None = None) -> Tensor:
    """[H, W, C] blurred by a Gaussian of `sigma` pixels down and `across` (the same) pixels across."""
    planes = picture.permute(2, 0, 1)[:, None]
    for spread, shape in ((sigma, (-1, 1)), (across or sigma, (1, -1))):
        reach = math.ceil(3 * spread)
        kernel = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * spread**2))
        kernel = (kernel / kernel.sum()).view(1, 1, *shape)
        margin = (0, 0, reach, reach) if shape[0] == -1 else (reach, reach, 0, 0)
        planes = torch.nn.functional.conv2d(torch.nn.functional.pad(planes, margin, mode="reflect"), kernel)
    return planes[:, 0].permute(1, 2, 0)


def compressed(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop through JPEG at a quality of 60 to 97, as most photographs have been: its traces are no degradation."""
    pixels = (crop[..., :3] * 255).round().to(torch.uint8).numpy()
    buffer = io.BytesIO()
    subsampling = int(rng.integers(0, 3))
    Image.fromarray(pixels).save(buffer, "JPEG", quality=int(rng.integers(60, 98)), subsampling=subsampling)
    with Image.open(buffer) as file:
        decoded = torch.from_numpy(np.array(file, dtype=np.float32) / 255)
    return torch.cat([decoded, crop[..., 3:]], dim=-1)


def field(side: int, rng: np.random.Generator, most: int = 11) -> Tensor:
    """A smooth random field [1, 1, side, side] in 0..1."""
    cells = int(rng.integers(2, most + 1))
    coarse = torch.from_numpy(rng.uniform(0, 1, (1, 1, cells, cells)).astype(np.float32))
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)


def overlaid(crop: Tensor, other: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop with round patches of another one, blurred and brightened: what looks like drops and is none.

    Photographs have lamps, bokeh, pebbles and faces; without them a raindrop is whatever is round and soft.
    """
    side = crop.shape[0]
    coarse = max(2, int(side / rng.uniform(1, 10)))
    planes = other[None, ..., :3].permute(0, 3, 1, 2)
    small = torch.nn.functional.interpolate(planes, size=(coarse, coarse), mode="bilinear", antialias=True)
    soft = torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear")[0].permute(1, 2, 0)
    patch = soft * float(rng.uniform(0.7, 1.3)) + float(rng.choice([0.0, 0.0, rng.uniform(-0.2, 0.6)]))
    mask = discs(side, rng)[..., None] * float(rng.uniform(0.3, 1))
    colour = crop[..., :3] * (1 - mask) + patch.clamp(0, 1) * mask
    return torch.cat([colour, crop[..., 3:]], dim=-1)


def discs(side: int, rng: np.random.Generator) -> Tensor:
    """A mask [side, side] of 1 to 14 ellipses with hard or soft edges, 0..1."""
    axis = torch.arange(side, dtype=torch.float32)
    mask = torch.zeros(side, side)
    for _ in range(int(rng.integers(1, 15))):
        y, x = rng.uniform(0, side, 2)
        radius, stretch, edge = rng.uniform(3, 42), rng.uniform(0.6, 1.6), rng.uniform(0.5, 6)
        distance = (((axis[:, None] - y) * stretch) ** 2 + (axis[None] - x) ** 2).sqrt()
        mask = torch.maximum(mask, torch.sigmoid((radius - distance) / edge))
    return mask


def draw_labels(count: int, rng: np.random.Generator, clean_share: float) -> list[str]:
    """`count` labels: "no" with the given share, the degradations equally often otherwise."""
    return [CLEAN if rng.random() < clean_share else str(rng.choice(DEGRADATIONS)) for _ in range(count)]


@dataclass(frozen=True)
class Variety:
    """Shares of crops that are made to look like photographs, whose ways are easily taken for a degradation.

    Args:
        relief: bent, unevenly lit and with shaded bodies (`modelled`).
        focus: sharp and textured in one part, soft in another (`focused`).
        camera: with the uneven grain and sharpness of a camera's processing (`developed`).
        patches: with patches that look like drops and are none (`overlaid`).
        jpeg: compressed before they are degraded (`compressed`).
    """

    relief: float = 0.0
    focus: float = 0.0
    camera: float = 0.0
    patches: float = 0.0
    jpeg: float = 0.0


PLAIN = Variety()


def draw_batch(
    scenes: np.ndarray,
    count: int,
    rng: np.random.Generator,
    *,
    size: int,
    clean_share: float,
    mildest: float = 0.1,
    variety: Variety = PLAIN,
) -> Batch:
    """Random crops with random degradations of severity `mildest` to 1."""
    crops = varied([random_crop(scenes, size, rng) for _ in range(count)], rng, variety)
    labels = draw_labels(count, rng, clean_share)
    return degraded_batch(crops, labels, rng, mildest)


def varied(crops: list[Tensor], rng: np.random.Generator, variety: Variety) -> Tensor:
    """The crops [B, S, S, 4], shares of them changed as `variety` says."""
    crops = [modelled(crop, rng) if rng.random() < variety.relief else crop for crop in crops]
    crops = [focused(crop, rng) if rng.random() < variety.focus else crop for crop in crops]
    crops = [developed(crop, rng) if rng.random() < variety.camera else crop for crop in crops]
    crops = [
        overlaid(crop, crops[i - 1], rng) if rng.random() < variety.patches else crop for i, crop in enumerate(crops)
    ]
    return torch.stack([compressed(crop, rng) if rng.random() < variety.jpeg else crop for crop in crops])


def degraded_batch(crops: Tensor, labels: Sequence[str], rng: np.random.Generator, mildest: float) -> Batch:
    """The pairs of crops [B, S, S, 4] and labels."""
    clean = crops[..., :3]
    degraded = torch.stack(
        [
            crop[..., :3]
            if label == CLEAN
            else degrade(
                crop[None, ..., :3],
                label,
                severity=float(rng.uniform(mildest, 1)),
                seed=int(rng.integers(2**31)),
                depth=crop[None, ..., 3] if rng.random() < 0.7 else None,
            )[0]
            for crop, label in zip(crops, labels, strict=True)
        ]
    )
    return Batch(clean, degraded, torch.tensor([LABELS.index(label) for label in labels]))
