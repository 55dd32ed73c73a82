"""Callbacks of the training loop: the hooks, and the progress bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from tqdm import tqdm

from .state import TrainState


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
        self.name, self.steps, self.log_every = name, steps, log_every
        self.bar: tqdm[NoReturn] | None = None

    def on_start(self, state: TrainState) -> None:
        self.bar = tqdm(initial=state.step, total=self.steps, desc=self.name, unit="step")

    def on_step(self, state: TrainState, losses: Mapping[str, float]) -> None:
        if self.bar is not None:
            self.bar.update()
            if (state.step - 1) % self.log_every == 0:
                self.bar.set_postfix({key: f"{value:.4g}" for key, value in losses.items()})

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
