"""Augmentation of training crops: hard negatives and cameras before a degradation, the web after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from autodir_core.choices import DEGRADATIONS
from autodir_core.degrade import degrade
from autodir_core.degrade.camera import develop, publish
from autodir_core.degrade.compression import compress_jpeg
from autodir_core.degrade.draws import Draw
from autodir_core.imaging.filters import binomial_blur, box_blur, gaussian_blur, resize


@dataclass(frozen=True)
class AugmentationProbs:
    """How probable each augmentation of a crop is, 0..1; they are independent of each other and of the label.

    Those of clean crops come before the degradation and are part of the reference.

    Args:
        shaded_objects: warped, unevenly lit and with shaded ellipsoids (`add_shaded_objects`).
        depth_of_field: sharp and textured in one part, soft in another (`apply_depth_of_field`).
        camera_isp: with the uneven grain and sharpness of a camera's processing (`simulate_camera_isp`).
        soft_patches: with patches that look like drops and are none (`overlay_soft_patches`).
        low_key: dark with bright lights, as evenings are (`apply_low_key`).
        jpeg: compressed before the degradation (`apply_jpeg`).
        camera: with the tone curve, vignetting, grain and sharpening of a camera (`apply_camera`).
        imperceptible: degraded so weakly that nobody notices (`add_imperceptible_degradation`).
        second: of a degraded crop, has a milder second degradation, which the reference lacks.
        partial: of a degraded crop, is degraded in about half of its area only (`restrict_to_part`).
        web: resized, sharpened and compressed after the degradation (`apply_web`), the reference of "no" too.
    """

    shaded_objects: float = 0.0
    depth_of_field: float = 0.0
    camera_isp: float = 0.0
    soft_patches: float = 0.0
    low_key: float = 0.0
    jpeg: float = 0.0
    camera: float = 0.0
    imperceptible: float = 0.0
    second: float = 0.0
    partial: float = 0.0
    web: float = 0.0


NO_AUGMENTATION = AugmentationProbs()


def augment(
    crop: Tensor, draw_crop: Callable[[], Tensor], rng: np.random.Generator, probs: AugmentationProbs
) -> Tensor:
    """Apply each augmentation with its probability to a crop [S, S, 4] of color and depth, 0..1; the depth stays.

    Args:
        crop: to augment.
        draw_crop: draws a second crop, for the patches.
        rng: of this crop alone.
        probs: how probable each augmentation is.
    """
    augmentations: tuple[tuple[float, Callable[[Tensor, np.random.Generator], Tensor]], ...] = (
        (probs.shaded_objects, add_shaded_objects),
        (probs.depth_of_field, partial(apply_depth_of_field, depth=crop[..., 3])),
        (probs.camera_isp, simulate_camera_isp),
        (probs.soft_patches, lambda color, rng: overlay_soft_patches(color, draw_crop()[..., :3], rng)),
        (probs.low_key, apply_low_key),
        (probs.jpeg, apply_jpeg),
        (probs.camera, apply_camera),
        (probs.imperceptible, add_imperceptible_degradation),
    )
    for probability, apply in augmentations:
        if rng.random() < probability:
            # four channels in between: convolutions give other last bits for other memory layouts
            crop = torch.cat([apply(crop[..., :3], rng), crop[..., 3:]], dim=-1)
    return crop


def add_shaded_objects(color: Tensor, rng: np.random.Generator) -> Tensor:
    """Warp [S, S, 3], light it unevenly, and add shaded, shining ellipsoids: as drops have them, but without a lens.

    Faces, cups and eyes have dark rims, soft shading and highlights; only a drop shows the scene again, upside down.
    """
    if rng.random() < 0.5:
        color = warp(color, rng)
    if rng.random() < 0.6:
        color = color * (0.5 + smooth_field(len(color), rng, max_cells=5)[..., None])
    for _ in range(int(rng.integers(0, 9))):
        color = add_ellipsoid(color, rng)
    return color.clamp(0, 1)


def warp(color: Tensor, rng: np.random.Generator) -> Tensor:
    """Displace [S, S, 3] by a smooth random field of a few pixels."""
    side = len(color)
    reach = float(rng.uniform(4, 16))
    axis = torch.arange(side, dtype=torch.float32)
    y = axis[:, None] + (smooth_field(side, rng, max_cells=8) - 0.5) * 2 * reach
    x = axis[None] + (smooth_field(side, rng, max_cells=8) - 0.5) * 2 * reach
    grid = torch.stack([(2 * x + 1) / side - 1, (2 * y + 1) / side - 1], dim=-1)[None]
    warped = torch.nn.functional.grid_sample(
        color.permute(2, 0, 1)[None], grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return warped[0].permute(1, 2, 0)


def add_ellipsoid(color: Tensor, rng: np.random.Generator) -> Tensor:
    """Add to [S, S, 3] a shaded ellipsoid of its own color or the picture's, a dark rim and perhaps a highlight."""
    y, x = rng.uniform(0, len(color), 2)
    radius, stretch, edge = rng.uniform(4, 50), rng.uniform(0.6, 1.6), rng.uniform(0.5, 3)
    reach = radius + 7 * edge  # beyond it the mask is below a thousandth
    axis = torch.arange(len(color), dtype=torch.float32)
    rows, columns = ((axis - y).abs() < reach / stretch).nonzero()[:, 0], ((axis - x).abs() < reach).nonzero()[:, 0]
    part = color[rows][:, columns]
    down, right = (rows[:, None] - float(y)) * (stretch / radius), (columns - float(x)) / radius
    square = down**2 + right**2
    mask = torch.sigmoid((1 - square.sqrt()) * radius / edge)[..., None] * float(rng.uniform(0.4, 1))
    height = (1 - square).clamp(min=0).sqrt()
    light = torch.from_numpy(rng.normal(0, 0.6, 2).astype(np.float32))
    shading = (height + light[0] * down + light[1] * right).clamp(0, 1.5)[..., None]
    albedo = torch.from_numpy(rng.uniform(0, 1, 3).astype(np.float32)) if rng.random() < 0.6 else part
    body = albedo * (float(rng.uniform(0.2, 0.7)) + float(rng.uniform(0.2, 0.9)) * shading)
    if rng.random() < 0.5:
        offset = (down - light[0] / 2) ** 2 + (right - light[1] / 2) ** 2
        highlight = torch.exp(-offset / float(rng.uniform(0.005, 0.06)))
        body = body + float(rng.uniform(0.3, 1)) * highlight[..., None]
    return color.index_put((rows[:, None], columns), part + mask * (body - part))


def apply_depth_of_field(color: Tensor, rng: np.random.Generator, *, depth: Tensor) -> Tensor:
    """Make one part of [S, S, 3] sharp and textured and the other smooth, by the depth [S, S] or at random.

    Fur before a soft wall has fine detail in places and none in others: so have drops on a window, but round ones.
    """
    ground = depth if rng.random() < 0.5 else smooth_field(len(color), rng, max_cells=6)
    threshold, softness = ground.quantile(float(rng.uniform(0.15, 0.7))), float(rng.uniform(0.02, 0.25))
    sharp = torch.sigmoid((ground - threshold) / softness)[..., None]
    if rng.random() < 0.6:
        color = color + random_texture(len(color), rng) * sharp * (0.3 + color)
    soft = gaussian_blur(color, float(rng.uniform(1, 6)))
    return (sharp * color + (1 - sharp) * soft).clamp(0, 1)


def simulate_camera_isp(color: Tensor, rng: np.random.Generator) -> Tensor:
    """Process [S, S, 3] as a camera does: flat parts denoised, edges sharpened, grain that varies.

    Generated pictures have the same fine grain everywhere; photographs do not, and so would look wet in places.
    """
    side, planes = len(color), color.permute(2, 0, 1)[None]
    blur = binomial_blur(planes)
    detail = planes - blur
    activity = box_blur(detail.abs().mean(dim=1, keepdim=True), 5, count_include_pad=True)
    flatness = torch.exp(-activity / float(rng.uniform(0.003, 0.02)))
    gain = 1 - flatness * float(rng.uniform(0, 1)) * (0.5 + 0.5 * smooth_field(side, rng))
    grain = torch.from_numpy(rng.standard_normal((1, 1, side, side)).astype(np.float32)) * smooth_field(side, rng)
    planes = blur + detail * gain * float(rng.uniform(0.6, 1.8)) + grain * float(rng.choice([0, rng.uniform(0, 0.02)]))
    return planes[0].permute(1, 2, 0).clamp(0, 1)


def overlay_soft_patches(color: Tensor, other: Tensor, rng: np.random.Generator) -> Tensor:
    """Cover [S, S, 3] with round patches of another crop, blurred and brightened: they look like drops and are none.

    Photographs have lamps, bokeh, pebbles and faces; without them a raindrop is whatever is round and soft.
    """
    side = len(color)
    coarse = max(2, int(side / rng.uniform(1, 10)))
    small = resize(other[None], coarse, coarse, mode="bilinear")
    soft = resize(small, side, side, mode="bilinear", antialias=False)[0]
    patch = soft * float(rng.uniform(0.7, 1.3)) + float(rng.choice([0.0, 0.0, rng.uniform(-0.2, 0.6)]))
    mask = random_ellipses(side, rng)[..., None] * float(rng.uniform(0.3, 1))
    return color * (1 - mask) + patch.clamp(0, 1) * mask


def random_ellipses(side: int, rng: np.random.Generator) -> Tensor:
    """Return a mask [side, side], 0..1, of 1 to 14 ellipses with hard or soft edges."""
    axis = torch.arange(side, dtype=torch.float32)
    mask = torch.zeros(side, side)
    for _ in range(int(rng.integers(1, 15))):
        y, x = rng.uniform(0, side, 2)
        radius, stretch, edge = rng.uniform(3, 42), rng.uniform(0.6, 1.6), rng.uniform(0.5, 6)
        distance = (((axis[:, None] - y) * stretch) ** 2 + (axis[None] - x) ** 2).sqrt()
        mask = torch.maximum(mask, torch.sigmoid((radius - distance) / edge))
    return mask


def apply_low_key(color: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn [S, S, 3] into dusk or night: dark middle tones, a cold or warm tint, and lamps as bright as they are.

    An underexposed picture is dark too, but so are its lights, and it is noisy.
    """
    tint = torch.from_numpy(rng.uniform(0.6, 1.0, 3).astype(np.float32))
    color = color ** float(rng.uniform(1.5, 6.0)) * tint
    axis = torch.arange(len(color), dtype=torch.float32)
    for _ in range(int(rng.integers(0, 7))):
        y, x = rng.uniform(0, len(color), 2)
        square = (axis[:, None] - y) ** 2 + (axis[None] - x) ** 2
        glow = torch.exp(-square / float(rng.uniform(1, 12)) ** 2) + 0.3 * torch.exp(-square / rng.uniform(10, 50) ** 2)
        lamp = torch.from_numpy(rng.uniform(0.5, 1.0, 3).astype(np.float32))
        color = color + glow[..., None] * lamp
    return color.clamp(0, 1)


def apply_jpeg(color: Tensor, rng: np.random.Generator) -> Tensor:
    """Compress [S, S, 3] at a quality of 60 to 97, as most photographs have been: such traces are no degradation."""
    subsampling, quality = int(rng.integers(0, 3)), int(rng.integers(60, 98))
    return compress_jpeg(color, quality, subsampling)


def apply_camera(color: Tensor, rng: np.random.Generator) -> Tensor:
    """Process [S, S, 3] as every camera does: tone, vignetting, slight grain, sharpening."""
    return develop(color.movedim(-1, 0), draw_from(rng)).movedim(0, -1)


def apply_web(color: Tensor, rng: np.random.Generator) -> Tensor:
    """Process [S, S, 3] as the web does with every photograph: resized, sharpened, JPEG of quality 60 to 100."""
    return publish(color.movedim(-1, 0), draw_from(rng)).movedim(0, -1)


def add_imperceptible_degradation(color: Tensor, rng: np.random.Generator) -> Tensor:
    """Add a trace of any degradation to [S, S, 3]: 0.3 to 2 levels of 255 (RMS), ten at most anywhere."""
    label, severity, seed = rng.choice(list(DEGRADATIONS)), rng.uniform(0, 0.5), rng.integers(2**31)
    trace = degrade(color[None], str(label), severity=float(severity), seed=int(seed))[0] - color
    size = max(trace.square().mean().sqrt().item(), 0.2 * trace.abs().max().item(), 1e-6)
    return color + trace * min(float(rng.uniform(0.3, 2)) / 255 / size, 1.0)


def restrict_to_part(clean: Tensor, degraded: Tensor, rng: np.random.Generator) -> Tensor:
    """Return [S, S, 3], degraded in a half or more and clean elsewhere, with an edge anywhere from hard to soft."""
    field = smooth_field(len(clean), rng, max_cells=4)
    threshold, softness = field.quantile(float(rng.uniform(0.2, 0.5))), float(rng.uniform(0.01, 0.3))
    mask = ((field - threshold) / softness + 0.5).clamp(0, 1)[..., None]
    return clean + mask * (degraded - clean)


def draw_from(rng: np.random.Generator) -> Draw:
    """Return a stream of random numbers that follows from the state of `rng`."""
    return Draw(int(rng.integers(2**31)), "augmentation")


def random_texture(side: int, rng: np.random.Generator) -> Tensor:
    """Return band-limited noise [side, side, 1] of 2 to 15 % contrast, anisotropic: fur, grass, cloth."""
    noise = torch.from_numpy(rng.standard_normal((side, side, 1)).astype(np.float32))
    fine = gaussian_blur(noise, float(rng.uniform(0.4, 1.5)), sigma_x=float(rng.uniform(0.4, 2.5)))
    band = fine - gaussian_blur(fine, 4.0)
    return band / band.std() * float(rng.uniform(0.02, 0.15))


def smooth_field(side: int, rng: np.random.Generator, max_cells: int = 11) -> Tensor:
    """Return a smooth random field [side, side] in 0..1, of 2 to `max_cells` random values along a side."""
    cells = int(rng.integers(2, max_cells + 1))
    coarse = torch.from_numpy(rng.uniform(0, 1, (1, cells, cells, 1)).astype(np.float32))
    return resize(coarse, side, side, antialias=False)[0, :, :, 0].clamp(0, 1)
