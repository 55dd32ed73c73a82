"""The training loop: seeded, resumable to the same numbers, with hooks for everything else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from autodir_core.errors import AutoDIRError, InputError

from ..data.dataset import Batch, MicroBatch, load_batches, split_batch
from ..objectives.losses import Objective
from .callbacks import Callback, ProgressBar, TrainingLogger
from .config import TrainConfig
from .distributed import ProcessGroup, broadcast_weights
from .state import Schedule, TrainState, init_state, load_checkpoint, save_checkpoint, step_schedule, warmup_cosine

Batches = Iterator[tuple[MicroBatch, Batch]]
"""The micro-batches of this process in the order of the training, with their pictures."""


def train(
    name: str,
    module: nn.Module,
    objective: Objective,
    config: TrainConfig,
    folder: Path,
    *,
    group: ProcessGroup | None = None,
    schedule: Schedule = warmup_cosine,
    callbacks: Sequence[Callback] | None = None,
    num_workers: int = 0,
) -> nn.Module:
    """Minimize the sum of the losses of an objective; return the module with its averaged weights, frozen.

    Args:
        name: of the progress bar and of the files in `folder`.
        module: the network, trained in place; `config.trainable_prefixes` says which parts of it.
        objective: dataset and losses; they take every random number from their micro-batch.
        config: length, learning rate and so on.
        folder: gets `<name>.pt`, the checkpoint from which an interrupted training continues to the same numbers.
        group: the processes that share each batch; None is this one alone.
        schedule: of the learning rate.
        callbacks: in the order of their calls; None is a `TrainingLogger` alone.
        num_workers: processes that draw pictures ahead, see `load_batches`.

    Raises AutoDIRError when a loss is not finite, InputError for a configuration that does not fit the module or group.
    """
    group = group or ProcessGroup(next(module.parameters()).device)
    state = init_state(module, config, group.device)
    checkpoint = folder / f"{name}.pt"
    load_checkpoint(checkpoint, state)
    broadcast_weights([*state.trainable.values(), *state.ema.values()], group)
    if callbacks is None:
        callbacks = [TrainingLogger(folder, name, config.log_every)]
    callbacks = [ProgressBar(name, config.steps, config.log_every), *callbacks] if group.rank == 0 else []
    ahead = local_micro_batches(range(state.step, config.steps), config, group)
    batches = load_batches(objective.dataset, ahead, num_workers=num_workers)
    with ExitStack() as stack:
        for resource in (batches, *callbacks):
            stack.enter_context(closing(resource))
        run_steps(state, objective, batches, config, group, schedule, callbacks, checkpoint)
    if group.rank == 0 and not checkpoint.exists():
        save_checkpoint(checkpoint, state)
    group.barrier()
    state.load_weights(state.final_weights(config.init_weight_alpha))
    return module.requires_grad_(False).eval()


def run_steps(
    state: TrainState,
    objective: Objective,
    batches: Batches,
    config: TrainConfig,
    group: ProcessGroup,
    schedule: Schedule,
    callbacks: Sequence[Callback],
    checkpoint: Path,
) -> None:
    """Take the steps that are left, save checkpoints, and call the callbacks."""
    scheduler = schedule(state.optimizer, config, state.step - 1)
    for callback in callbacks:
        callback.on_start(state)
    state.module.train()
    while state.step < config.steps:
        losses = train_step(state, objective, batches, config, group)
        step_schedule(scheduler)
        due = state.step % config.save_every == 0 or state.step == config.steps
        if due and group.rank == 0:
            save_checkpoint(checkpoint, state)
        for callback in callbacks:  # after saving: a sample grid that fails costs no step
            callback.on_step(state, losses)
        for callback in callbacks if due else ():
            callback.on_checkpoint(state)


def train_step(
    state: TrainState, objective: Objective, batches: Batches, config: TrainConfig, group: ProcessGroup
) -> dict[str, float]:
    """Take one optimizer step over all micro-batches of a batch; return the losses of the batch."""
    state.optimizer.zero_grad(set_to_none=True)
    losses = accumulate_gradients(state, objective, batches, config, group)
    if not all(map(math.isfinite, losses.values())):
        raise AutoDIRError(f"the loss is not finite at step {state.step}: lower the learning rate and resume")
    state.scaler.unscale_(state.optimizer)
    nn.utils.clip_grad_norm_(state.trainable.values(), config.max_grad_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.step += 1
    state.update_ema(min(config.ema_decay, state.step / (state.step + 9)))
    return losses


def accumulate_gradients(
    state: TrainState, objective: Objective, batches: Batches, config: TrainConfig, group: ProcessGroup
) -> dict[str, float]:
    """Add up gradients and losses over this process's micro-batches, then over all processes."""
    names: list[str] = []
    totals = torch.zeros((), device=group.device)
    for micro, batch in islice(batches, config.gradient_accumulation_steps):
        with config.autocast(group.device):
            losses = objective.losses(micro, batch)
        names, values = list(losses), torch.stack(list(losses.values()))
        state.scaler.scale(values.sum()).backward()
        totals = totals + values.detach()
    gradients = [
        torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for parameter in state.trainable.values()
    ]
    group.all_reduce_sum([*gradients, totals])
    for parameter, gradient in zip(state.trainable.values(), gradients, strict=True):
        parameter.grad = gradient
    return dict(zip(names, totals.tolist(), strict=True))


def local_micro_batches(steps: Iterable[int], config: TrainConfig, group: ProcessGroup) -> Iterator[MicroBatch]:
    """Yield this process's part of every batch; InputError where there is not a picture for each micro-batch."""
    count = group.world_size * config.gradient_accumulation_steps
    if config.batch_size < count:
        raise InputError(
            f"a batch of {config.batch_size} cannot be split into {count} micro-batches ({group.world_size} processes, "
            f"{config.gradient_accumulation_steps} each); raise batch_size or lower gradient_accumulation_steps"
        )
    for step in steps:
        parts = split_batch(config.seed, step, config.batch_size, count, repeats=config.batch_repeats)
        yield from parts[group.rank :: group.world_size]
