"""Clean crops made to look like photographs, whose ways are easily taken for a degradation: bodies, focus, cameras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from autodir_core.degrade.compression import compress_jpeg
from autodir_core.imaging.filters import binomial_blur, box_blur, gaussian_blur, resize


@dataclass(frozen=True)
class Variety:
    """Shares of crops that are made to look like photographs, whose ways are easily taken for a degradation.

    Args:
        relief: bent, unevenly lit and with shaded bodies (`modelled`).
        focus: sharp and textured in one part, soft in another (`focused`).
        camera: with the uneven grain and sharpness of a camera's processing (`developed`).
        patches: with patches that look like drops and are none (`overlaid`).
        dusk: dark with bright lights, as evenings are (`darkened`).
        jpeg: compressed before they are degraded (`compressed`).
    """

    relief: float = 0.0
    focus: float = 0.0
    camera: float = 0.0
    patches: float = 0.0
    dusk: float = 0.0
    jpeg: float = 0.0


PLAIN = Variety()


def varied(crop: Tensor, another: Callable[[], Tensor], rng: np.random.Generator, variety: Variety) -> Tensor:
    """The crop [S, S, 4], perhaps changed in each of the ways of `variety`.

    Args:
        crop: colour and depth, 0..1; the depth stays.
        another: draws a second crop, for the patches.
        rng: of this crop alone.
        variety: how probable each way is.
    """
    if rng.random() < variety.relief:
        crop = modelled(crop, rng)
    if rng.random() < variety.focus:
        crop = focused(crop, rng)
    if rng.random() < variety.camera:
        crop = developed(crop, rng)
    if rng.random() < variety.patches:
        crop = overlaid(crop, another(), rng)
    if rng.random() < variety.dusk:
        crop = darkened(crop, rng)
    return compressed(crop, rng) if rng.random() < variety.jpeg else crop


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


def darkened(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop at dusk or night: dark in its middle tones, of a cold or warm tint, with lamps as bright as they are.

    An underexposed picture is dark too, but its lights are, and it is noisy.
    """
    side = crop.shape[0]
    tint = torch.from_numpy(rng.uniform(0.6, 1.0, 3).astype(np.float32))
    colour = crop[..., :3] ** float(rng.uniform(1.5, 6.0)) * tint
    axis = torch.arange(side, dtype=torch.float32)
    for _ in range(int(rng.integers(0, 7))):
        y, x = rng.uniform(0, side, 2)
        square = (axis[:, None] - y) ** 2 + (axis[None] - x) ** 2
        glow = torch.exp(-square / float(rng.uniform(1, 12)) ** 2) + 0.3 * torch.exp(-square / rng.uniform(10, 50) ** 2)
        lamp = torch.from_numpy(rng.uniform(0.5, 1.0, 3).astype(np.float32))
        colour = colour + glow[..., None] * lamp
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
    soft = gaussian_blur(colour, float(rng.uniform(1, 6)))
    mixed = sharp * colour + (1 - sharp) * soft
    return torch.cat([mixed.clamp(0, 1), crop[..., 3:]], dim=-1)


def developed(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop as a camera would have processed it: flat parts denoised, edges sharpened, grain that varies.

    Generated pictures have the same fine grain everywhere; photographs do not, and so would look wet in places.
    """
    colour = crop[..., :3].permute(2, 0, 1)[None]
    side = colour.shape[-1]
    blur = binomial_blur(colour)
    detail = colour - blur
    activity = box_blur(detail.abs().mean(dim=1, keepdim=True), 5, count_include_pad=True)
    flatness = torch.exp(-activity / float(rng.uniform(0.003, 0.02)))
    kept = 1 - flatness * float(rng.uniform(0, 1)) * (0.5 + 0.5 * field(side, rng))
    grain = torch.from_numpy(rng.standard_normal((1, 1, side, side)).astype(np.float32)) * field(side, rng)
    colour = blur + detail * kept * float(rng.uniform(0.6, 1.8)) + grain * float(rng.choice([0, rng.uniform(0, 0.02)]))
    return torch.cat([colour[0].permute(1, 2, 0).clamp(0, 1), crop[..., 3:]], dim=-1)


def overlaid(crop: Tensor, other: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop with round patches of another one, blurred and brightened: what looks like drops and is none.

    Photographs have lamps, bokeh, pebbles and faces; without them a raindrop is whatever is round and soft.
    """
    side = crop.shape[0]
    coarse = max(2, int(side / rng.uniform(1, 10)))
    small = resize(other[None, ..., :3], coarse, coarse, mode="bilinear")
    soft = resize(small, side, side, mode="bilinear", antialias=False)[0]
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


def compressed(crop: Tensor, rng: np.random.Generator) -> Tensor:
    """The crop through JPEG at a quality of 60 to 97, as most photographs have been: its traces are no degradation."""
    subsampling, quality = int(rng.integers(0, 3)), int(rng.integers(60, 98))
    return torch.cat([compress_jpeg(crop[..., :3], quality, subsampling), crop[..., 3:]], dim=-1)


def grown_texture(side: int, rng: np.random.Generator) -> Tensor:
    """Band-limited noise [side, side, 1] of 2 to 15 % contrast, a little longer than wide: fur, grass, cloth."""
    noise = torch.from_numpy(rng.standard_normal((side, side, 1)).astype(np.float32))
    fine = gaussian_blur(noise, float(rng.uniform(0.4, 1.5)), sigma_x=float(rng.uniform(0.4, 2.5)))
    band = fine - gaussian_blur(fine, 4.0)
    return band / band.std() * float(rng.uniform(0.02, 0.15))


def field(side: int, rng: np.random.Generator, most: int = 11) -> Tensor:
    """A smooth random field [1, 1, side, side] in 0..1."""
    cells = int(rng.integers(2, most + 1))
    coarse = torch.from_numpy(rng.uniform(0, 1, (1, cells, cells, 1)).astype(np.float32))
    return resize(coarse, side, side, antialias=False).movedim(-1, 1).clamp(0, 1)
