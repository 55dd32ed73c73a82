"""The training loop: seeded, resumable to the same numbers, with a moving average, a progress bar and a loss log."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import AutoDIRError
from ..files import atomic_path

Losses = dict[str, Tensor]
Objective = Callable[[int, np.random.Generator], Losses]


@dataclass(frozen=True)
class LoopPlan:
    """How one network is trained.

    Args:
        steps: optimiser steps.
        learning_rate: peak of the cosine schedule, which ends at 1 % of it.
        warmup: steps of linear rise.
        weight_decay: of AdamW, on matrices only.
        clip: largest gradient norm.
        ema: decay of the moving average of the weights.
        save_every: steps between checkpoints.
        seed: of every random draw.
        bfloat16: whether the forward pass runs in bfloat16 where that is safe (torch.autocast).
    """

    steps: int
    learning_rate: float
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    save_every: int = 500
    seed: int = 0
    bfloat16: bool = False


def train(name: str, module: nn.Module, objective: Objective, plan: LoopPlan, folder: Path) -> nn.Module:
    """Minimise the sum of the losses that `objective(step, rng)` returns; the module with its averaged weights.

    Args:
        name: of the progress bar, the checkpoint and the log in `folder`.
        module: what is trained, in place.
        objective: draws its own batch from the step's generator; torch's global generator is seeded for it too.
        plan: length and learning rate.
        folder: holds `<name>.pt`, from which an interrupted run goes on, and `<name>.jsonl`, the log.

    Raises AutoDIRError when a loss is not finite.
    """
    optimizer = adamw(module, plan)
    average = deepcopy(module).requires_grad_(False)
    start = resume(folder / f"{name}.pt", module, average, optimizer)
    module.train()
    bar = tqdm(range(start, plan.steps), initial=start, total=plan.steps, desc=name, unit="step")
    for step in bar:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, plan)
        losses = take_step(step, module, objective, optimizer, plan)
        update_average(average, module, min(plan.ema, (step + 1) / (step + 10)))
        if step % 50 == 0:
            log(folder / f"{name}.jsonl", step, losses)
            bar.set_postfix({key: f"{value:.4g}" for key, value in losses.items()})
        if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
            save(folder / f"{name}.pt", step + 1, module, average, optimizer)
    module.load_state_dict(average.state_dict())
    return module.eval()


def adamw(module: nn.Module, plan: LoopPlan) -> torch.optim.AdamW:
    """AdamW that decays matrices and convolutions, not biases, norms and gains."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": plan.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=(0.9, 0.99))


def learning_rate(step: int, plan: LoopPlan) -> float:
    """Linear warm-up, then a cosine down to 1 % of the peak."""
    if step < plan.warmup:
        return plan.learning_rate * (step + 1) / plan.warmup
    progress = (step - plan.warmup) / max(plan.steps - plan.warmup, 1)
    return plan.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def take_step(
    step: int, module: nn.Module, objective: Objective, optimizer: torch.optim.Optimizer, plan: LoopPlan
) -> dict[str, float]:
    """One optimiser step; the losses as numbers."""
    with seeded(plan.seed, step) as rng:
        device = next(module.parameters()).device.type
        with torch.autocast(device, torch.bfloat16, enabled=plan.bfloat16):
            losses = objective(step, rng)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise AutoDIRError(f"the loss is not finite at step {step}: lower the learning rate and resume")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(module.parameters(), plan.clip)
        optimizer.step()
    return {key: value.item() for key, value in losses.items()}


@contextmanager
def seeded(seed: int, step: int) -> Iterator[np.random.Generator]:
    """A generator for one step, and torch's own set to match: a resumed run draws what it would have drawn."""
    rng = np.random.default_rng([seed, step])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**63)))
        yield rng


@torch.no_grad()
def update_average(average: nn.Module, module: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the trained ones; buffers are copied."""
    for mean, value in zip(average.parameters(), module.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for kept, value in zip(average.buffers(), module.buffers(), strict=True):
        kept.copy_(value)


def save(path: Path, step: int, module: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    state = {
        "step": step,
        "module": module.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def resume(path: Path, module: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Load a checkpoint where there is one; the number of steps already taken."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(state["module"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def log(path: Path, step: int, losses: dict[str, float]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **losses}) + "\n")
