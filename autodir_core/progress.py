"""Where a restoration is, and who watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .diffusion import samplers
from .imaging.tiling import OnTile
from .outputs import Round


@dataclass(frozen=True)
class Progress:
    """Where a restoration is: picture and round count from 0, the finished steps of this round from 1."""

    picture: int
    round: int
    step: int
    steps: int


@dataclass(frozen=True)
class StageProgress:
    """What a restoration is doing: tiles of a stage, of all steps where it is "sample".

    Attributes:
        picture, round: count from 0.
        stage: "assess", "encode", "sample", "decode", "correct", and "transfer" of the change of a reduced copy.
        done: finished tiles; 0 when the stage begins.
        total: tiles of the stage.
    """

    picture: int
    round: int
    stage: str
    done: int
    total: int

    @property
    def fraction(self) -> float:
        """About which part of the round is finished, 0..1."""
        stages = list(STAGE_SHARES)
        before = sum(STAGE_SHARES[stage] for stage in stages[: stages.index(self.stage)])
        return (before + STAGE_SHARES[self.stage] * self.done / self.total) / sum(STAGE_SHARES.values())


STAGE_SHARES = {"assess": 1, "encode": 4, "sample": 75, "decode": 8, "correct": 12, "transfer": 0}
"""The stages of a round in their order, and about how long they take."""

OnStep = Callable[[Progress, Tensor], None]
OnStage = Callable[[StageProgress], None]
OnRound = Callable[[int, Round], None]


@dataclass(frozen=True)
class Callbacks:
    """Who watches a restoration; what a callback raises ends it.

    Attributes:
        on_step: called with the progress and the estimate [1, C, h, w] after each network evaluation.
        on_round: called with the picture's number and the round's outcome when a round is done.
        on_stage: called when a stage of a round begins and after each of its tiles.
    """

    on_step: OnStep | None = None
    on_round: OnRound | None = None
    on_stage: OnStage | None = None


class StepCounter:
    """Reports the steps of a run, and the tiles of all steps."""

    def __init__(self, steps: int, on_step: samplers.OnStep | None, on_tile: OnTile | None) -> None:
        self.steps, self.step_callback, self.tile_callback = steps, on_step, on_tile
        self.finished = 0

    def on_step(self, step: int, estimate: Tensor) -> None:
        self.finished = step + 1
        if self.step_callback:
            self.step_callback(step, estimate)

    def on_tile(self, done: int, total: int) -> None:
        if self.tile_callback:
            self.tile_callback(self.finished * total + done, self.steps * total)
