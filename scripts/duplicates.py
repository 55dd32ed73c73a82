"""List photographs that look like pictures which measure something, or like each other.

    python scripts/duplicates.py FOLDER MEASURED [MEASURED ...] [--distance 8]

Compares perceptual hashes (pHash: the signs of the 63 lowest frequencies of a 32 pixel thumbnail's cosine transform,
Zauner 2010) of all pictures in FOLDER, sub-folders included, with those in the MEASURED folders, mirrored or not.
Without MEASURED the splits in FOLDER are compared with each other. Two pictures of one photograph differ in few bits,
whatever their size and compression, but crops and other views of a scene are not found: look at the pictures too.
Exit status 1 where a pair is found.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm"}
SIDE, LOWEST = 32, 8


def perceptual_hash(image: Image.Image) -> np.ndarray:
    """Return the 64 bits of a picture's pHash as booleans."""
    thumbnail = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    steps = np.arange(SIDE)
    cosines = np.cos(np.pi * (steps[None] + 0.5) * steps[:LOWEST, None] / SIDE)
    lowest = (cosines @ thumbnail @ cosines.T).ravel()
    return lowest > np.median(lowest[1:])


def hash_folder(folder: Path, *, mirrored: bool = False) -> tuple[list[Path], np.ndarray]:
    """Return the pictures below a folder and their hashes [N, 64], with `mirrored` each a second time, mirrored."""
    paths, hashes = [], []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        try:
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except OSError as error:
            print(f"{path} is skipped: {error}", file=sys.stderr)
            continue
        for view in (upright, ImageOps.mirror(upright))[: 1 + mirrored]:
            paths.append(path)
            hashes.append(perceptual_hash(view))
    return paths, np.array(hashes, bool).reshape(-1, LOWEST**2)


def differing_bits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the Hamming distances [N, M] of hashes [N, 64] and [M, 64]."""
    return (first[:, None] != second[None]).sum(-1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 1 where a pair is found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("measured", type=Path, nargs="*")
    parser.add_argument("--distance", type=int, default=8, help="at most so many of the 64 bits differ (8)")
    options = parser.parse_args(arguments)
    paths, hashes = hash_folder(options.folder)
    found = 0
    for folder in options.measured or [options.folder]:
        others, other_hashes = hash_folder(folder, mirrored=bool(options.measured))
        for index, path in enumerate(paths):
            distances = differing_bits(hashes[index : index + 1], other_hashes)[0]
            for other in np.flatnonzero(distances <= options.distance):
                if options.measured or (path < others[other] and path.parent != others[other].parent):
                    print(f"{distances[other]} bits: {path} {others[other]}")
                    found += 1
    print(f"{len(paths)} pictures compared, {found} pairs found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
