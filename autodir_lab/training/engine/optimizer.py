"""AdamW without decay of biases and norms, and the learning-rate schedule."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from functools import partial

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from .config import TrainConfig

Schedule = Callable[[Optimizer, TrainConfig, int], LRScheduler]
"""(optimizer, config, number of the last step or -1) -> scheduler, whose learning rate follows from the step alone."""


def adamw(parameters: Iterable[nn.Parameter], config: TrainConfig) -> AdamW:
    """Return AdamW that decays matrices and convolutions, not biases, norms and gains."""
    parameters, rate = list(parameters), config.learning_rate
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay, "initial_lr": rate},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0, "initial_lr": rate},
    ]  # schedulers read initial_lr when a training continues
    return AdamW(groups, lr=rate, betas=config.betas)


def warmup_cosine(optimizer: Optimizer, config: TrainConfig, last_step: int = -1) -> LambdaLR:
    """Return the schedule of `lr_factor`."""
    return LambdaLR(optimizer, partial(lr_factor, config=config), last_step)


def lr_factor(step: int, config: TrainConfig) -> float:
    """Return the fraction of the peak at a step: linear warm-up, then a cosine down to `final_lr_fraction`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine


def step_schedule(scheduler: LRScheduler) -> None:
    """Set the learning rate of the next step."""
    with warnings.catch_warnings():
        # float16 skips optimiser steps whose gradients overflow, usually the very first; the schedule goes on
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        scheduler.step()
