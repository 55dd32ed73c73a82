"""Assess and restore each sample and compare the result with its reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter

from torch import Tensor

from autodir_core.errors import AutoDIRError, explain_full_memory
from autodir_core.imaging.metrics import Distance, luminance, psnr, ssim
from autodir_core.model import AutoDIR
from autodir_core.outputs import Restoration, Round
from autodir_core.pipeline import restore
from autodir_core.settings import LoopSettings, SamplerSettings

from .protocol import Protocol
from .sample_result import Quality, SampleResult
from .sources import ImagePair, OnError, Sample, fail


@dataclass(frozen=True)
class SampleImages:
    """The images of one sample, each [1, H, W, 3] in 0..1; the reference is None where there is none."""

    degraded: Tensor
    restored: Tensor
    reference: Tensor | None


def evaluate(
    model: AutoDIR,
    samples: Iterable[Sample],
    protocol: Protocol,
    *,
    lpips: Distance | None = None,
    finished: Sequence[SampleResult] = (),
    on_result: Callable[[SampleResult, SampleImages], object] | None = None,
    on_error: OnError = fail,
) -> list[SampleResult]:
    """Measure a model; return one result per sample that can be measured.

    Args:
        model: from `load_autodir`.
        samples: from one of `sources`.
        protocol: what to measure.
        lpips: from `load_lpips`; None leaves it out.
        finished: results of an earlier run, whose samples are not measured again.
        on_result: called with each new result and its images.
        on_error: called for a sample that cannot be measured; by default it ends the others.
    """
    known = {result.key: result for result in finished}
    evaluator, results = Evaluator(model, protocol, lpips), []
    for sample in samples:
        if sample.key not in known:
            try:
                with explain_full_memory(sample.photo, model.device.type):
                    known[sample.key], images = evaluator.measure(sample, sample.load())
            except AutoDIRError as error:
                on_error(error)
                continue
            if on_result:
                on_result(known[sample.key], images)
        results.append(known[sample.key])
    return results


@dataclass(frozen=True)
class Evaluator:
    """A model, a protocol and a perceptual metric, applied to one sample at a time."""

    model: AutoDIR
    protocol: Protocol
    lpips: Distance | None = None

    def measure(self, sample: Sample, pair: ImagePair) -> tuple[SampleResult, SampleImages]:
        """Assess and restore one sample."""
        start = perf_counter()
        assessment = self.model.assess(pair.degraded, crops=self.protocol.assess_crops)
        restoration = self.restore(pair.degraded) if self.protocol.restore else None
        seconds = perf_counter() - start
        restored = restoration.image if restoration else pair.degraded
        rounds = restoration.rounds if restoration else []
        accepted = [each for each in rounds if each.changed(0)]
        judged = [(each, verdict) for each in rounds if (verdict := each.verdict(0))]
        result = SampleResult(
            *(sample.photo, sample.crop, sample.labels, sample.severity),
            kinds=pair.kinds,
            predicted=assessment.top[0],
            probability=assessment.probabilities.max().item(),
            rounds=tuple(str(each.label) for each in accepted),
            refused=tuple(f"{each.label}: {verdict.refusal}" for each, verdict in judged if not verdict.accepted),
            stopped=restoration.stopped[0] if restoration else "",
            mean_abs_diff=255 * (restored.clamp(0, 1) - pair.degraded).abs().mean().item(),
            before=self.compare(pair.degraded, pair.reference),
            after=self.compare(restored, pair.reference),
            psnr_per_round=self.psnr_per_round(accepted, pair.reference),
            baselines=self.baselines(sample, pair),
            seconds=round(seconds, 3),
        )
        return result, SampleImages(pair.degraded, restored, pair.reference)

    def restore(self, image: Tensor) -> Restoration:
        """Run the automatic loop on [1, H, W, 3]."""
        protocol = self.protocol
        loop = LoopSettings(
            max_rounds=protocol.max_rounds,
            crops=protocol.assess_crops,
            min_confidence=protocol.min_confidence,
            gate=protocol.gate,
            order=protocol.order,
        )
        return restore(self.model, image, loop, SamplerSettings(steps=protocol.steps), seed=protocol.seed)

    def compare(self, image: Tensor, reference: Tensor | None) -> Quality | None:
        """Compare two [1, H, W, 3], by the protocol in all color channels or in luminance, LPIPS always in color."""
        if reference is None:
            return None
        channels, reference_channels = self.channels(image), self.channels(reference)
        return Quality(
            psnr(channels, reference_channels),
            ssim(channels, reference_channels),
            self.lpips(image, reference) if self.lpips else None,
        )

    def channels(self, image: Tensor) -> Tensor:
        """Return the luminance [1, H, W, 1] or, unless the protocol asks for it, the image itself."""
        return luminance(image) if self.protocol.luma else image

    def psnr_per_round(self, rounds: Sequence[Round], reference: Tensor | None) -> tuple[float, ...]:
        """PSNR in dB after each round."""
        if reference is None:
            return ()
        return tuple(psnr(self.channels(each.image), self.channels(reference)) for each in rounds)

    def baselines(self, sample: Sample, pair: ImagePair) -> dict[str, Quality]:
        """Measure the classical methods for a sample with exactly one known degradation."""
        if not self.protocol.baselines or len(sample.labels) != 1:
            return {}
        from .baselines import apply_baselines

        results = apply_baselines(pair.degraded, sample.labels[0])
        qualities = {name: self.compare(image, pair.reference) for name, image in results.items()}
        return {name: quality for name, quality in qualities.items() if quality}
