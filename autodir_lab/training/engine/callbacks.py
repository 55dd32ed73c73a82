"""Callbacks of the training loop: progress bar, log and plot of the losses, sample grids, TensorBoard on request."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor
from tqdm import tqdm

from autodir_core.imaging.files import write_picture
from autodir_core.optional_imports import is_installed, optional_import
from autodir_core.serialization.atomic import atomic_path, explain_write

from .state import TrainState

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

SMOOTHING_WINDOW = 20
"""Lines of the log over which the bold curve of the plot averages."""


class Callback:
    """Hooks of the training loop, called in process 0 alone; subclasses override those they need.

    The state is the loop's own: read it, do not change it.
    """

    def on_start(self, state: TrainState) -> None:
        """Run before the first step, after a checkpoint was loaded."""

    def on_step(self, state: TrainState, losses: Mapping[str, float]) -> None:
        """Run after a step, which `state.step` counts already; `losses` are those of its batch."""

    def on_checkpoint(self, state: TrainState) -> None:
        """Run after a checkpoint was written."""

    def close(self) -> None:
        """Run at the end, also after an error."""


class ProgressBar(Callback):
    """A bar on stderr: steps taken, speed, and the losses every `log_every` steps."""

    def __init__(self, name: str, steps: int, log_every: int) -> None:
        self.log_every = log_every
        self.bar: tqdm[NoReturn] = tqdm(total=steps, desc=name, unit="step")

    def on_start(self, state: TrainState) -> None:
        self.bar.initial = self.bar.n = state.step
        self.bar.refresh()

    def on_step(self, state: TrainState, losses: Mapping[str, float]) -> None:
        self.bar.update()
        if (state.step - 1) % self.log_every == 0:
            self.bar.set_postfix({key: f"{value:.4g}" for key, value in losses.items()})

    def close(self) -> None:
        self.bar.close()


class TrainingLogger(Callback):
    """Write `<name>.jsonl` and `<name>.png`, the losses, and `<name>-<step>.png`, the sample grids.

    Args:
        folder: of the files.
        name: of the training.
        log_every: steps between the lines of the log.
        tensorboard: whether everything goes to `tensorboard/<name>` too; PackageError where the package is missing.
    """

    def __init__(self, folder: Path, name: str, log_every: int = 1, *, tensorboard: bool = False) -> None:
        self.folder, self.name, self.log_every, self.tensorboard = folder, name, log_every, tensorboard
        self.log = folder / f"{name}.jsonl"
        self.writer: SummaryWriter | None = None

    def on_start(self, state: TrainState) -> None:
        self.truncate(state.step)
        if self.tensorboard:
            with optional_import("tensorboard"):
                from torch.utils.tensorboard import SummaryWriter
            self.writer = SummaryWriter(str(self.folder / "tensorboard" / self.name))
        if state.step:  # an earlier run may have been killed between its checkpoint and the drawing
            self.plot()

    def on_step(self, state: TrainState, losses: Mapping[str, float]) -> None:
        if (state.step - 1) % self.log_every == 0:
            self.write(state.step - 1, losses)

    def on_checkpoint(self, state: TrainState) -> None:
        self.plot()

    def close(self) -> None:
        if self.writer:
            self.writer.close()

    def truncate(self, step: int) -> None:
        """Remove the lines from `step` on: they were logged after the checkpoint from which the training continues."""
        if self.log.exists():
            rows = [row for row in read_log(self.log) if row["step"] < step]
            with atomic_path(self.log) as temporary:
                temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def write(self, step: int, losses: Mapping[str, float]) -> None:
        """Append a line to the log; steps count from 0."""
        with explain_write(self.log), self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **losses}) + "\n")
        if self.writer:
            for key, value in losses.items():
                self.writer.add_scalar(key, value, step)

    def add_sample_grid(self, step: int, grid: Tensor) -> None:
        """Write a picture [1, H, W, 3] in 0..1 of what the network does after `step` steps."""
        write_picture(self.grid_path(step), grid)
        if self.writer:
            self.writer.add_image("samples", grid[0].clamp(0, 1), step, dataformats="HWC")

    def grid_path(self, step: int) -> Path:
        """Return where the sample grid after `step` steps is written."""
        return self.folder / f"{self.name}-{step}.png"

    def plot(self) -> None:
        """Draw the losses so far."""
        if not self.log.exists() or not read_log(self.log):
            return
        if not is_installed("matplotlib"):
            logger.warning("%s.png is not drawn: pip install matplotlib", self.name)
            return
        plot_losses(self.log, self.folder / f"{self.name}.png")


class SampleGrids(Callback):
    """Draw what the averaged weights do, for a logger.

    Args:
        draw: returns the grid [1, H, W, 3], 0..1.
        logger: writes it.
        every: steps between two grids; 0 draws the last one alone.
        steps: of the whole training.
    """

    def __init__(self, draw: Callable[[], Tensor], logger: TrainingLogger, *, every: int, steps: int) -> None:
        self.draw, self.logger, self.every, self.steps = draw, logger, every, steps

    def on_start(self, state: TrainState) -> None:
        if self.is_due(state.step) and not self.logger.grid_path(state.step).exists():
            self.add(state)  # an earlier run was killed between its checkpoint and the grid

    def on_step(self, state: TrainState, losses: Mapping[str, float]) -> None:
        if self.is_due(state.step):
            self.add(state)

    def is_due(self, step: int) -> bool:
        """Whether a grid belongs after so many steps."""
        return step > 0 and (step == self.steps or (self.every > 0 and step % self.every == 0))

    def add(self, state: TrainState) -> None:
        """Draw a grid with the averaged weights."""
        with state.ema_weights(), torch.no_grad():
            self.logger.add_sample_grid(state.step, self.draw())


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the complete lines of a log; a killed process may have left half a line."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def plot_losses(log: Path, target: Path) -> None:
    """Draw one small diagram per loss: every line of the log, and the running mean."""
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
    """Return the mean of each value and up to `SMOOTHING_WINDOW` - 1 before it."""
    starts = [max(0, i + 1 - SMOOTHING_WINDOW) for i in range(len(values))]
    return [sum(values[start : i + 1]) / (i + 1 - start) for i, start in enumerate(starts)]
