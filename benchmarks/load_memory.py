"""Peak memory of loading a checkpoint of the official size, as a ratio to the size of the weights in memory.

    python benchmarks/load_memory.py [--stored float32|float16] [--precision float16|float32] [--ckpt]

The file is made from the official key list and holds zeros (a sparse file: it needs no disk; a .ckpt does).
Baseline: the same process before loading. Linux and macOS.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import struct
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
MANIFEST = ROOT / "tests" / "golden" / "full" / "manifest.json"
CODES = {"float32": ("F32", 4), "float16": ("F16", 2)}


def sparse_checkpoint(folder: Path, stored: str) -> Path:
    """A safetensors file with every official key, all zeros."""
    code, size = CODES[stored]
    header, end = {}, 0
    for key, (shape, dtype) in json.loads(MANIFEST.read_text()).items():
        values = 1
        for side in shape:
            values *= side
        length = values * (8 if dtype == "int64" else size)
        header[key] = {
            "dtype": "I64" if dtype == "int64" else code,
            "shape": shape,
            "data_offsets": [end, end + length],
        }
        end += length
    text = json.dumps(header).encode()
    path = folder / "official.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    return path


def pickled_checkpoint(path: Path) -> Path:
    """The same as a .ckpt, made in another process, so that its memory is not counted."""
    target = path.with_suffix(".ckpt")
    worker = multiprocessing.get_context("spawn").Process(target=pickle_file, args=(path, target))
    worker.start()
    worker.join()
    return target


def pickle_file(path: Path, target: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save({"state_dict": load_file(path)}, target)


def peak_bytes() -> int:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", choices=CODES, default="float32")
    parser.add_argument("--precision", choices=CODES, default="float16")
    parser.add_argument("--ckpt", action="store_true", help="a pickled file instead of a safetensors one")
    arguments = parser.parse_args()

    import diffusers  # noqa: F401  imported before the baseline is taken
    import open_clip  # noqa: F401
    from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401

    import autodir_core

    with tempfile.TemporaryDirectory() as folder:
        path = sparse_checkpoint(Path(folder), arguments.stored)
        if arguments.ckpt:
            path = pickled_checkpoint(path)
        before = peak_bytes()
        model = autodir_core.load_autodir(path, device="cpu", dtype=arguments.precision)
        used = peak_bytes() - before
    weights = sum(p.numel() * p.element_size() for p in model.networks.parameters())
    print(
        f"{arguments.stored} {path.suffix}, {arguments.precision} in memory: weights {weights / 1e9:.2f} GB, ", end=""
    )
    print(f"peak {used / 1e9:.2f} GB above the baseline, ratio {used / weights:.3f}")


if __name__ == "__main__":
    main()
