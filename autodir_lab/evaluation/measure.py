"""Assesses and restores each picture and compares what came of it with the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

from torch import Tensor

from autodir_core.imaging.metrics import Distance, luminance, psnr, ssim
from autodir_core.model import AutoDIR
from autodir_core.outputs import Restoration
from autodir_core.pipeline import restore
from autodir_core.settings import LoopSettings, SamplerSettings

from .protocol import Protocol
from .sample_result import Case, Quality
from .sources import Pair, Sample


@dataclass(frozen=True)
class Pictures:
    """What was measured, each [1, H, W, 3]: the input, the result, and the truth where there is one."""

    degraded: Tensor
    restored: Tensor
    clean: Tensor | None


def evaluate(
    model: AutoDIR,
    samples: Iterable[Sample],
    protocol: Protocol,
    *,
    lpips: Distance | None = None,
    done: Sequence[Case] = (),
    on_case: Callable[[Case, Pictures], object] | None = None,
) -> list[Case]:
    """Measure a model, one case per sample.

    Args:
        model: from `load_autodir`.
        samples: of one of the sources.
        protocol: what to do with them.
        lpips: from `load_lpips`; None leaves it out.
        done: cases that need not be measured again.
        on_case: called with each case that was measured now, and its pictures.
    """
    known = {case.key: case for case in done}
    meter, results = Meter(model, protocol, lpips), []
    for sample in samples:
        if sample.key not in known:
            known[sample.key], pictures = meter.measure(sample, sample.load())
            if on_case:
                on_case(known[sample.key], pictures)
        results.append(known[sample.key])
    return results


@dataclass(frozen=True)
class Meter:
    """What stays the same from case to case."""

    model: AutoDIR
    protocol: Protocol
    lpips: Distance | None = None

    def measure(self, sample: Sample, pair: Pair) -> tuple[Case, Pictures]:
        """Assess and restore one picture."""
        since = perf_counter()
        first = self.model.assess(pair.degraded, crops=self.protocol.view)
        done = self.restored(pair.degraded) if self.protocol.restore else None
        seconds = perf_counter() - since
        restored = done.image if done else pair.degraded
        case = Case(
            photo=sample.photo,
            crop=sample.crop,
            labels=sample.labels,
            severity=sample.severity,
            seen=first.top[0],
            probability=first.probabilities.max().item(),
            rounds=tuple(str(each.label) for each in done.rounds) if done else (),
            stopped=done.stopped[0] if done else "",
            change=255 * (restored.clamp(0, 1) - pair.degraded).abs().mean().item(),
            before=self.quality(pair.degraded, pair.clean),
            after=self.quality(restored, pair.clean),
            rounds_psnr=self.after_rounds(done, pair.clean),
            baselines=self.baselines(sample, pair),
            seconds=round(seconds, 3),
        )
        return case, Pictures(pair.degraded, restored, pair.clean)

    def restored(self, image: Tensor) -> Restoration:
        """The automatic loop over [1, H, W, 3]."""
        protocol = self.protocol
        loop = LoopSettings(max_rounds=protocol.max_rounds, crops=protocol.view, min_confidence=protocol.threshold)
        return restore(self.model, image, loop, SamplerSettings(steps=protocol.steps), seed=protocol.seed)

    def quality(self, image: Tensor, truth: Tensor | None) -> Quality | None:
        return None if truth is None else self.compare(image, truth)

    def compare(self, image: Tensor, truth: Tensor) -> Quality:
        """How near [1, H, W, 3] is to the truth, in colours or, where the protocol says so, in luminance."""
        one, other = self.seen(image), self.seen(truth)
        return Quality(psnr(one, other), ssim(one, other), self.lpips(image, truth) if self.lpips else None)

    def seen(self, image: Tensor) -> Tensor:
        return luminance(image) if self.protocol.luma else image

    def after_rounds(self, done: Restoration | None, truth: Tensor | None) -> tuple[float, ...]:
        """PSNR after each round."""
        if done is None or truth is None:
            return ()
        return tuple(psnr(self.seen(each.image), self.seen(truth)) for each in done.rounds)

    def baselines(self, sample: Sample, pair: Pair) -> dict[str, Quality]:
        """Quality of the classical methods for the one degradation that the sample names."""
        if not self.protocol.baselines or pair.clean is None or len(sample.labels) != 1:
            return {}
        from .baselines import classical

        results = classical(pair.degraded, sample.labels[0])
        return {name: self.compare(image, pair.clean) for name, image in results.items()}
