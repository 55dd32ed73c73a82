"""What changes while a network is trained: weights, their moving average, optimizer, step; and its checkpoints."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.optim.swa_utils import get_ema_multi_avg_fn

from autodir_core.errors import InputError
from autodir_core.serialization.atomic import atomic_path, explain_write

from .config import TrainConfig

Schedule = Callable[[Optimizer, TrainConfig, int], LRScheduler]
"""(optimizer, config, number of the last step or -1) -> scheduler, whose learning rate follows from the step alone."""


@dataclass
class TrainState:
    """The state of a training.

    Attributes:
        module: the network.
        trainable: its trained parameters by name.
        ema: their exponential moving average by name.
        optimizer: AdamW over `trainable`.
        scaler: of the loss, for float16.
        initial: the weights by name that the training began with, where they count in its result.
        step: optimizer steps taken.
    """

    module: nn.Module
    trainable: Mapping[str, nn.Parameter]
    ema: dict[str, Tensor]
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    initial: Mapping[str, Tensor]
    step: int = 0

    def update_ema(self, decay: float) -> None:
        """Move the average toward the present weights."""
        get_ema_multi_avg_fn(decay)(list(self.ema.values()), list(self.trainable.values()), None)

    def final_weights(self, init_weight_alpha: float) -> dict[str, Tensor]:
        """Return the result by name: the average, interpolated with the initial weights (WiSE-FT)."""
        mixed = {name: self.ema[name].lerp(weights, init_weight_alpha) for name, weights in self.initial.items()}
        return {**self.ema, **mixed}

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Copy weights by name into the trained parameters."""
        for name, parameter in self.trainable.items():
            parameter.copy_(weights[name])

    @contextmanager
    def ema_weights(self) -> Iterator[None]:
        """Put the module into evaluation mode with its averaged weights, for the length of the context."""
        current = {name: parameter.detach().clone() for name, parameter in self.trainable.items()}
        self.load_weights(self.ema)
        self.module.eval()
        try:
            yield
        finally:
            self.load_weights(current)
            self.module.train()


def init_state(module: nn.Module, config: TrainConfig, device: torch.device) -> TrainState:
    """Return the state before the first step; parameters outside `config.trainable_prefixes` are frozen."""
    unfreeze(module, config.trainable_prefixes)
    trainable = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    ema = {name: parameter.detach().clone() for name, parameter in trainable.items()}
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
    initial = {name: weights.clone() for name, weights in ema.items()} if config.init_weight_alpha else {}
    return TrainState(module, trainable, ema, adamw(trainable.values(), config), scaler, initial)


def unfreeze(module: nn.Module, prefixes: tuple[str, ...]) -> None:
    """Require gradients of the parameters with these prefixes alone, or of all; InputError for a prefix of none."""
    names = [name for name, _ in module.named_parameters()]
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in names):
            parts = ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
            raise InputError(f"no parameter begins with {prefix!r}; this network has: {parts}")
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name.startswith(prefixes or ""))


def save_checkpoint(path: Path, state: TrainState) -> None:
    """Write everything that a later process needs to go on to the same numbers."""
    content = {
        "step": state.step,
        "weights": {name: parameter.detach() for name, parameter in state.trainable.items()},
        "ema": state.ema,
        "optimizer": state.optimizer.state_dict()["state"],
        "scaler": state.scaler.state_dict(),
    }
    with atomic_path(path) as temporary, explain_write(path, RuntimeError):
        torch.save(content, temporary)


def load_checkpoint(path: Path, state: TrainState) -> None:
    """Continue from a checkpoint where there is one; hyperparameters stay those of the configuration.

    InputError where it belongs to another network, or to a training of other parameters.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    content = torch.load(path, map_location="cpu", weights_only=True)
    shapes = {name: parameter.shape for name, parameter in state.trainable.items()}
    if {name: tensor.shape for name, tensor in content.get("weights", {}).items()} != shapes:
        raise InputError(f"{path} is from the training of other weights; choose another folder or remove it")
    state.load_weights(content["weights"])
    state.ema.update({name: tensor.to(state.ema[name]) for name, tensor in content["ema"].items()})
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": content["optimizer"], "param_groups": groups})
    if state.scaler.is_enabled():
        state.scaler.load_state_dict(content["scaler"])
    state.step = content["step"]


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
    """Return the fraction of the peak at a step: linear warm-up, constant, then a cosine to `final_lr_fraction`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    start = max(config.warmup_steps, round(config.steps * (1 - config.decay_fraction)))
    progress = max(step - start, 0) / max(config.steps - start, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.final_lr_fraction + (1 - config.final_lr_fraction) * cosine


def step_schedule(scheduler: LRScheduler) -> None:
    """Set the learning rate of the next step."""
    with warnings.catch_warnings():
        # float16 skips optimizer steps whose gradients overflow, usually the very first; the schedule goes on
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
        scheduler.step()
