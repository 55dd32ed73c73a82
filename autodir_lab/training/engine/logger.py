"""What a training leaves behind to look at: a log, a plot of the losses, sample sheets, TensorBoard on request."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from autodir_core.imaging.files import write_picture
from autodir_core.imaging.paths import atomic_path
from autodir_core.optional_imports import is_installed, optional_import

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

SMOOTH = 20
"""Lines of the log that the bold curve of the plot is the mean of."""


class Diary:
    """The files `<name>.jsonl`, `<name>.png` and `<name>-<step>.png` of one training.

    Args:
        folder: where they go.
        name: of the training.
        start: step that it goes on from; later lines of a log that was interrupted are cut off.
        tensorboard: whether everything goes to `tensorboard/<name>` too; PackageError where the package is missing.
        silent: whether nothing is written, for all processes but the first.
    """

    def __init__(self, folder: Path, name: str, *, start: int, tensorboard: bool, silent: bool) -> None:
        self.folder, self.name, self.silent = folder, name, silent
        self.log = folder / f"{name}.jsonl"
        self.board = None if silent or not tensorboard else open_board(folder / "tensorboard" / name)
        if not silent:
            self.cut_off(start)

    def __enter__(self) -> Diary:
        return self

    def __exit__(self, *error: object) -> None:
        if self.board:
            self.board.close()

    def cut_off(self, start: int) -> None:
        """Forget what was logged after the checkpoint that the training goes on from."""
        if self.log.exists():
            kept = [row for row in read_log(self.log) if row["step"] < start]
            with atomic_path(self.log) as temporary:
                temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")

    def write(self, step: int, losses: Mapping[str, float]) -> None:
        """One line of the log."""
        if self.silent:
            return
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **losses}) + "\n")
        if self.board:
            for key, value in losses.items():
                self.board.add_scalar(key, value, step)

    def add_sheet(self, step: int, sheet: Tensor) -> None:
        """A sample sheet [1, H, W, 3], 0..1."""
        write_picture(self.folder / f"{self.name}-{step}.png", sheet)
        if self.board:
            self.board.add_image("sheet", sheet[0].clamp(0, 1), step, dataformats="HWC")

    def plot(self) -> None:
        """Draw the losses so far."""
        if not self.log.exists():
            return
        if not is_installed("matplotlib"):
            logger.warning("%s.png is not drawn: pip install matplotlib", self.name)
            return
        plot_losses(self.log, self.folder / f"{self.name}.png")


def open_board(folder: Path) -> SummaryWriter:
    with optional_import("tensorboard"):
        from torch.utils.tensorboard import SummaryWriter
    return SummaryWriter(str(folder))


def read_log(path: Path) -> list[dict[str, float]]:
    """The complete lines of a log; a kill may have cut off the last one."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def plot_losses(log: Path, target: Path) -> None:
    """One small diagram per loss: every line of the log, and a running mean."""
    from matplotlib.figure import Figure

    rows = read_log(log)
    names = [key for key in rows[0] if key != "step"]
    steps = [row["step"] for row in rows]
    figure = Figure(figsize=(8, 2.4 * len(names)), layout="constrained")
    for axis, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        values = [row[name] for row in rows]
        axis.plot(steps, values, color="0.75", linewidth=0.8)
        axis.plot(steps, running_mean(values), color="C0")
        axis.set(title=name, xlabel="step")
    with atomic_path(target) as temporary:
        figure.savefig(temporary, dpi=100)


def running_mean(values: list[float]) -> list[float]:
    """The mean of each value and up to `SMOOTH` - 1 before it."""
    starts = [max(0, i + 1 - SMOOTH) for i in range(len(values))]
    return [sum(values[start : i + 1]) / (i + 1 - start) for i, start in enumerate(starts)]
