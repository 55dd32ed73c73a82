"""The training loop: seeded, resumable to the same numbers, with a moving average, a progress bar, a log and sheets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from autodir_core.choices import PRECISIONS
from autodir_core.devices import parse_dtype
from autodir_core.errors import AutoDIRError, InputError
from autodir_core.imaging.paths import atomic_path

from ..data.microbatch import MicroBatch, split_batch
from .distributed import Alone, Processes
from .logger import Diary

Losses = dict[str, Tensor]
Objective = Callable[[MicroBatch], Losses]
"""Gives a micro-batch's part of the batch's mean losses: those of all micro-batches add up to them."""

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class LoopPlan:
    """How one network is trained.

    Args:
        steps: optimiser steps.
        learning_rate: peak of the cosine schedule.
        batch: pictures per step, over all processes and micro-batches.
        accumulate: micro-batches that each process cuts its part of a batch into, which saves memory.
        trained: beginnings of the names of the parameters that are trained; empty is all, the others are frozen.
        precision: of the forward pass, where it is safe there (torch.autocast): float32, bfloat16 or float16.
        warmup: steps of linear rise.
        final_share: where the cosine ends, as a share of the peak.
        weight_decay: of AdamW, on matrices only.
        betas: of AdamW.
        clip: largest gradient norm.
        ema: decay of the moving average of the weights; 0 keeps the last weights.
        kept: share that the weights it began with have in the result, 0..1: what was learnt before is forgotten less
            (Wortsman et al. 2022).
        save_every: steps between checkpoints.
        sheet_every: steps between sample sheets; 0 is one at the end.
        log_every: steps between the lines of the log.
        seed: of every random draw.
    """

    steps: int
    learning_rate: float
    batch: int = 16
    accumulate: int = 1
    trained: tuple[str, ...] = ()
    precision: str = "float32"
    warmup: int = 100
    final_share: float = 0.01
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    ema: float = 0.999
    kept: float = 0.0
    save_every: int = 500
    sheet_every: int = 0
    log_every: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0 or min(self.batch, self.accumulate, self.save_every, self.log_every) < 1:
            raise InputError("steps must be 0 or more; batch, accumulate, save_every and log_every 1 or more")
        if not 0 <= self.kept <= 1:
            raise InputError(f"kept must lie in 0..1, got {self.kept}")
        PRECISIONS.check(self.precision)


@dataclass(frozen=True)
class Run:
    """What changes while a network is trained.

    Attributes:
        module: the network.
        trained: its trained parameters by name.
        average: their moving average.
        optimizer: AdamW over `trained`.
        scaler: of the loss, for float16.
    """

    module: nn.Module
    trained: Mapping[str, nn.Parameter]
    average: Weights
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler


def train(
    name: str,
    module: nn.Module,
    objective: Objective,
    plan: LoopPlan,
    folder: Path,
    *,
    processes: Processes | None = None,
    sheet: Callable[[], Tensor] | None = None,
    tensorboard: bool = False,
) -> nn.Module:
    """Minimise the sum of the losses that `objective` returns; the module with its averaged weights, frozen.

    Args:
        name: of the progress bar and of the files in `folder`.
        module: what is trained, in place; `plan.trained` says which parts of it.
        objective: see `Objective`; whatever is random in it comes from its micro-batch.
        plan: length, learning rate and so on.
        folder: gets `<name>.pt`, from which an interrupted run goes on, `<name>.jsonl` and `<name>.png`, the losses.
        processes: None is this one alone.
        sheet: draws a picture [1, H, W, 3] of what the averaged weights do, for `<name>-<step>.png`.
        tensorboard: whether losses and sheets go to `tensorboard/<name>` too.

    Raises AutoDIRError when a loss is not finite, InputError for a plan that does not fit the module or the processes.
    """
    processes = processes or Alone(next(module.parameters()).device)
    run = prepare(module, plan, processes.device)
    begun = {name: weights.clone() for name, weights in run.average.items()} if plan.kept else {}
    checkpoint = folder / f"{name}.pt"
    start = resume(checkpoint, run)
    agree(run, processes)
    main = processes.index == 0
    with Diary(folder, name, start=start, tensorboard=tensorboard, silent=not main) as diary:
        module.train()
        bar = tqdm(range(start, plan.steps), initial=start, total=plan.steps, desc=name, unit="step", disable=not main)
        for step in bar:
            losses = take_step(step, run, objective, plan, processes)
            update_average(run, min(plan.ema, (step + 1) / (step + 10)))
            if step % plan.log_every == 0:
                diary.write(step, losses)
                bar.set_postfix({key: f"{value:.4g}" for key, value in losses.items()})
            last = step + 1 == plan.steps
            if main and ((step + 1) % plan.save_every == 0 or last):
                save(checkpoint, step + 1, run)
                diary.plot()
            if main and sheet and (last or (plan.sheet_every and (step + 1) % plan.sheet_every == 0)):
                with averaged(run):
                    diary.add_sheet(step + 1, sheet())
    if main and not checkpoint.exists():
        save(checkpoint, start, run)
    processes.wait()
    kept = {name: run.average[name].lerp(weights, plan.kept) for name, weights in begun.items()}
    apply(run.trained, {**run.average, **kept})
    return module.requires_grad_(False).eval()


def prepare(module: nn.Module, plan: LoopPlan, device: torch.device) -> Run:
    """Freeze and unfreeze, and set up what training needs."""
    unfreeze(module, plan.trained)
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    average = {name: parameter.detach().clone() for name, parameter in trained.items()}
    scaler = torch.amp.GradScaler(device.type, enabled=plan.precision == "float16")
    return Run(module, trained, average, adamw(trained.values(), plan), scaler)


@torch.no_grad()
def agree(run: Run, processes: Processes) -> None:
    """Let all processes begin with the weights of the first: different devices may have begun a little differently."""
    if processes.count > 1:
        weights = [*run.trained.values(), *run.average.values()]
        for tensor in weights:
            tensor.mul_(processes.index == 0)
        processes.add_up(weights)


def unfreeze(module: nn.Module, beginnings: tuple[str, ...]) -> None:
    """Train the parameters whose names begin so, or all; InputError for a beginning that none has."""
    names = [name for name, _ in module.named_parameters()]
    for beginning in beginnings:
        if not any(name.startswith(beginning) for name in names):
            parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise InputError(f"no parameter begins with {beginning!r}; this network has: {parts}")
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name.startswith(beginnings or ""))


def adamw(trained: Iterable[nn.Parameter], plan: LoopPlan) -> torch.optim.AdamW:
    """AdamW that decays matrices and convolutions, not biases, norms and gains."""
    parameters = list(trained)
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": plan.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=plan.betas)


def learning_rate(step: int, plan: LoopPlan) -> float:
    """Linear warm-up, then a cosine down to a share of the peak."""
    if step < plan.warmup:
        return plan.learning_rate * (step + 1) / plan.warmup
    progress = (step - plan.warmup) / max(plan.steps - plan.warmup, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return plan.learning_rate * (plan.final_share + (1 - plan.final_share) * cosine)


def take_step(step: int, run: Run, objective: Objective, plan: LoopPlan, processes: Processes) -> dict[str, float]:
    """One optimiser step over all micro-batches of the batch; its losses as numbers."""
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate(step, plan)
    run.optimizer.zero_grad(set_to_none=True)
    losses = gather_gradients(step, run, objective, plan, processes)
    if not all(math.isfinite(value) for value in losses.values()):
        raise AutoDIRError(f"the loss is not finite at step {step}: lower the learning rate and resume")
    run.scaler.unscale_(run.optimizer)
    nn.utils.clip_grad_norm_(run.trained.values(), plan.clip)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    return losses


def gather_gradients(
    step: int, run: Run, objective: Objective, plan: LoopPlan, processes: Processes
) -> dict[str, float]:
    """Add up gradients and losses over this process's micro-batches, then over all processes."""
    sums: dict[str, Tensor] = {}
    for micro in own_micro_batches(step, plan, processes):
        with torch.autocast(processes.device.type, parse_dtype(plan.precision), enabled=plan.precision != "float32"):
            losses = objective(micro)
        run.scaler.scale(torch.stack(list(losses.values())).sum()).backward()
        sums = {key: value.detach() + sums.get(key, 0) for key, value in losses.items()}
    for parameter in run.trained.values():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    processes.add_up(parameter.grad for parameter in run.trained.values() if parameter.grad is not None)
    processes.add_up(sums.values())
    return {key: value.item() for key, value in sums.items()}


def own_micro_batches(step: int, plan: LoopPlan, processes: Processes) -> list[MicroBatch]:
    """This process's micro-batches of a batch; InputError where there is not a picture for each."""
    micro_batches = processes.count * plan.accumulate
    if plan.batch < micro_batches:
        raise InputError(
            f"a batch of {plan.batch} cannot be cut into {micro_batches} micro-batches ({processes.count} processes, "
            f"{plan.accumulate} each); raise batch or lower accumulate"
        )
    return split_batch(plan.seed, step, plan.batch, micro_batches)[processes.index :: processes.count]


@torch.no_grad()
def update_average(run: Run, decay: float) -> None:
    """Move the averaged weights towards the trained ones."""
    for name, parameter in run.trained.items():
        run.average[name].lerp_(parameter, 1 - decay)


@torch.no_grad()
def apply(trained: Mapping[str, nn.Parameter], weights: Mapping[str, Tensor]) -> None:
    for name, parameter in trained.items():
        parameter.copy_(weights[name])


@contextmanager
def averaged(run: Run) -> Iterator[None]:
    """The module in evaluation mode with its averaged weights, for a while."""
    kept = {name: parameter.detach().clone() for name, parameter in run.trained.items()}
    apply(run.trained, run.average)
    run.module.eval()
    try:
        yield
    finally:
        apply(run.trained, kept)
        run.module.train()


def save(path: Path, step: int, run: Run) -> None:
    state = {
        "step": step,
        "trained": {name: parameter.detach() for name, parameter in run.trained.items()},
        "average": run.average,
        "optimizer": run.optimizer.state_dict(),
        "scaler": run.scaler.state_dict(),
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def resume(path: Path, run: Run) -> int:
    """Load a checkpoint where there is one; the number of steps already taken.

    InputError where it belongs to another network, or other parts of it were trained.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    shapes = {name: parameter.shape for name, parameter in run.trained.items()}
    if {name: tensor.shape for name, tensor in state.get("trained", {}).items()} != shapes:
        raise InputError(f"{path} is from the training of other weights; choose another folder or remove it")
    apply(run.trained, state["trained"])
    run.average.update({name: tensor.to(run.average[name]) for name, tensor in state["average"].items()})
    run.optimizer.load_state_dict(state["optimizer"])
    if run.scaler.is_enabled():
        run.scaler.load_state_dict(state["scaler"])
    return state["step"]
