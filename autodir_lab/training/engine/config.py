"""The hyperparameters of one training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from autodir_core.choices import PRECISIONS
from autodir_core.devices import parse_dtype
from autodir_core.errors import InputError


@dataclass(frozen=True)
class TrainConfig:
    """How one network is trained.

    Args:
        steps: optimizer steps.
        learning_rate: peak of the schedule.
        batch_size: pictures per step, over all processes and micro-batches.
        batch_repeats: steps that one drawn batch serves, where drawing takes longer than learning (data echoing,
            Choi et al. 2019); noise and patches are drawn anew.
        gradient_accumulation_steps: micro-batches into which each process splits its part of a batch, to save memory.
        trainable_prefixes: of the names of the parameters to train, the others are frozen; empty trains all.
        precision: of the forward pass, where it is safe (torch.autocast): float32, bfloat16 or float16.
        warmup_steps: of linear rise of the learning rate.
        decay_fraction: fraction of the steps, the last ones, in which the learning rate falls by a cosine. Before them
            it is constant, so that a training may be prolonged, or ended early (warmup-stable-decay, Hu et al. 2024).
        final_lr_fraction: where the cosine ends, as a fraction of the peak.
        weight_decay: of AdamW, on matrices and convolutions only.
        betas: of AdamW.
        max_grad_norm: larger gradients are clipped to this norm.
        ema_decay: of the exponential moving average of the weights; 0 returns the last weights.
        init_weight_alpha: fraction of the initial weights in the result, 0..1, so that less is forgotten (WiSE-FT,
            Wortsman et al. 2022).
        save_every: steps between checkpoints.
        sample_every: steps between sample grids; 0 draws one at the end.
        log_every: steps between the lines of the log.
        seed: of every random draw.
    """

    steps: int
    learning_rate: float
    batch_size: int = 16
    batch_repeats: int = 1
    gradient_accumulation_steps: int = 1
    trainable_prefixes: tuple[str, ...] = ()
    precision: str = "float32"
    warmup_steps: int = 100
    decay_fraction: float = 1.0
    final_lr_fraction: float = 0.01
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    init_weight_alpha: float = 0.0
    save_every: int = 500
    sample_every: int = 0
    log_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise InputError(f"steps must be 0 or more, got {self.steps}")
        for name in ("batch_size", "batch_repeats", "gradient_accumulation_steps", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("decay_fraction", "init_weight_alpha"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be within 0..1, got {getattr(self, name)}")
        PRECISIONS.check(self.precision)

    def autocast(self, device: torch.device) -> torch.autocast:
        """Return the context of the forward pass."""
        return torch.autocast(device.type, parse_dtype(self.precision), enabled=self.precision != "float32")
