"""One decision for all pictures of a batch, such as the frames of a shot: the same rounds with the same noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...autodir_core.loop_policy import sample_numbers
from ...autodir_core.model import AutoDIR
from ...autodir_core.outputs import Decision
from ...autodir_core.pipeline import decide, repeat_rounds
from ...autodir_core.settings import LoopSettings, SamplerSettings
from ..comfy.progress import NodeProgress, tell


@dataclass(frozen=True)
class SharedRestoration:
    """Restores the pictures `changing` of a batch [B, H, W, 3] as the one that stands for all of them is restored."""

    autodir: AutoDIR
    colors: Tensor
    changing: Sequence[int]
    loop: LoopSettings
    sampler: SamplerSettings
    seed: int
    bar: NodeProgress

    def decide(self) -> tuple[int, Decision]:
        """Return the number of that picture in the batch, and what the loop does to it."""
        numbers = [self.changing[i] for i in sample_numbers(0, len(self.changing))]
        labels = self.autodir.labels if self.loop.labels is None else self.loop.labels
        callbacks = self.bar.of_picture(0, self.loop.max_rounds)(labels)
        looked_at = [self.colors[i : i + 1] for i in numbers]
        decision = decide(self.autodir, looked_at, self.loop, self.sampler, self.seed, callbacks)
        return numbers[decision.example], decision

    def repeat(self, decision: Decision) -> Tensor:
        """Return the batch after the rounds of a decision."""
        images = list(self.colors.split(1))
        for done, number in enumerate(self.changing, start=1):
            tell(f"{self.bar.place(done)}as decided")
            rounds = decision.rounds, self.loop, self.sampler
            images[number] = repeat_rounds(self.autodir, images[number], *rounds, seed=self.seed)
            self.bar.move(done, 1.0)
        return torch.cat(images)
