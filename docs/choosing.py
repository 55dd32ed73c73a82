"""Make `docs/choosing.jpg`, a small noisy photo, enlarged as it is and restored before, and print its PSNR."""

from __future__ import annotations

from pathlib import Path

from before_after import crop_and_resize

import autodir_core as ad
from autodir_core.degrade import degrade
from autodir_core.imaging.filters import resize
from autodir_core.imaging.layout import to_pil
from autodir_core.imaging.metrics import psnr
from autodir_core.reporting.drawing import add_caption, stack_horizontally
from autodir_lab.evaluation.sources import load_photos

SIZE, FACTOR = (96, 112), 4


def main() -> None:
    clean = crop_and_resize(load_photos()["cat"], SIZE)
    degraded = degrade(clean, "noise", severity=0.5, seed=1, kind="standard")
    loop, sampler = ad.preset("best")
    restored = ad.restore(ad.load_autodir(), degraded, loop, sampler, seed=0).image
    cells = {"4x, bicubic": degraded, "AutoDIR, then 4x": restored, "the undamaged photo, 4x": clean}
    pictures = []
    for title, small in cells.items():
        score = "" if small is clean else f"{float(psnr(small, clean)):.1f} dB before enlarging"
        large = resize(small, SIZE[0] * FACTOR, SIZE[1] * FACTOR).clamp(0, 1)
        pictures.append(add_caption(to_pil(large[0]), title, score))
        print(title, score)
    stack_horizontally(pictures, 6).save(Path(__file__).with_suffix(".jpg"), quality=88)


if __name__ == "__main__":
    main()
