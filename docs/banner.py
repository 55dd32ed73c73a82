"""Make `assets/banner.jpg`, the picture 21:9 of ComfyUI's registry: `python docs/banner.py`.

Four test photos, the left half of each as it was degraded, the right half as it was restored.
"""

from __future__ import annotations

from pathlib import Path

from before_after import crop_and_resize, degrade_and_restore

import autodir_core as ad
from autodir_core.imaging.layout import to_pil
from autodir_core.reporting.before_after import split_picture
from autodir_core.reporting.drawing import stack_horizontally
from autodir_lab.evaluation.sources import load_photos

SIZE = (540, 315)
"""Height and width of a photo: four of them are 21:9."""

PHOTOS = (("cat", "noise"), ("astronaut", "rain"), ("coffee", "underexposure"), ("palace", "haze"))


def main() -> None:
    model, photos, columns = ad.load_autodir(), load_photos(), []
    for name, label in PHOTOS:
        before, after = degrade_and_restore(model, crop_and_resize(photos[name], SIZE), label)
        columns.append(split_picture(to_pil(before[0]), to_pil(after[0]), SIZE[1] // 2))
    stack_horizontally(columns, 0).save(Path(__file__).parents[1] / "assets/banner.jpg", quality=85)


if __name__ == "__main__":
    main()
