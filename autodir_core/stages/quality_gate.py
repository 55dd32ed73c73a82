"""The quality gate: a round is accepted only where the damage went and the content stayed.

The measures are the assessment's own probabilities and the structure of the picture; what they must reach is fitted
per label on photographs of its own (`calibrate --fit gate`) and stands in the weights file's metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..checkpoint.metadata import GateThresholds, ModelMetadata
from ..imaging.filters import resize
from ..imaging.structure import edge_correlation, light_shift, reduce_pair
from ..labels import CLEAN
from ..outputs import Assessment, Verdict
from .correction import lerp_correction

Assess = Callable[[Tensor], Tensor]
"""Picture [1, H, W, 3] -> probabilities [1, L] over the loop's labels."""


class Assessor(Protocol):
    """What the gate needs of an AutoDIR model."""

    @property
    def metadata(self) -> ModelMetadata: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def assess(self, images: Tensor, labels: Sequence[str] | None = None, crops: str = "center") -> Assessment: ...


LIGHT_LABELS = ("underexposure", "haze")
"""Damage of the light itself, whose brightness and contrast a round may change."""

ROUNDING = 1e-6
"""Differences of probabilities below it are none."""

VANISHED = 0.95
"""Part of its probability from which on a damage counts as gone; what it covered is seen now, and did not grow."""

STRENGTHS = (1.0, 0.5, 0.25)
"""Parts of a label's `max_strength` that are tried, until one is accepted."""


def judge(
    before: Tensor,
    after: Tensor,
    probabilities: tuple[Mapping[str, float], Mapping[str, float]],
    label: str,
    thresholds: GateThresholds,
    *,
    strength: float = 1.0,
) -> Verdict:
    """Return whether `after` is better than `before`.

    Args:
        before, after: [1, H, W, 3]; another size after a round, such as an upscaler's, is compared in that size.
        probabilities: of every label the loop looks for, before and after.
        label: of the round.
        thresholds: of this label.
        strength: part of the change, for the verdict.
    """
    first, second = probabilities
    fall = first[label] - second[label]
    removed = fall / max(first[label], ROUNDING)
    pair = reduce_pair(before, after)
    edges, shift = edge_correlation(*pair), light_shift(*pair, affine=label in LIGHT_LABELS)
    others = [second[o] - first[o] for o in first if o not in (label, CLEAN) and grew(o, first, second)]
    checks = {
        "the damage stayed": removed >= thresholds.min_removed and fall > ROUNDING,
        "another damage rose": removed >= VANISHED or max(others, default=-1.0) < fall - ROUNDING,
        "edges moved": edges >= thresholds.min_edges,
        "light and colors shifted": shift <= thresholds.max_shift,
    }
    refusal = next((reason for reason, passed in checks.items() if not passed), "")
    return Verdict(refusal, strength, removed, edges, shift)


def grew(label: str, first: Mapping[str, float], second: Mapping[str, float]) -> bool:
    """Whether a damage is likelier than before, compared with none at all.

    Probabilities sum to 1: what was there beside a damage that is removed now gets its share, and did not grow.
    """
    return second[label] * first.get(CLEAN, 1.0) > first[label] * second.get(CLEAN, 1.0)


@dataclass(frozen=True)
class QualityGate:
    """The gate of a loop.

    Attributes:
        thresholds: by label; the defaults of `GateThresholds` hold for those that are not named.
        labels: that it asks about, "no" among them.
        assess: gives their probabilities in a picture.
    """

    thresholds: Mapping[str, GateThresholds]
    labels: tuple[str, ...]
    assess: Assess

    @classmethod
    def of(cls, model: Assessor, labels: tuple[str, ...], crops: str) -> QualityGate:
        """Return the gate of a loop over `labels`, with a model's own thresholds and assessment.

        Who leaves "no" out says what is there; how much of it goes can be seen among all labels only.
        """
        asked = labels if CLEAN in labels else model.labels
        return cls(model.metadata.gate, asked, lambda image: model.assess(image, asked, crops).probabilities)

    def thresholds_of(self, label: str) -> GateThresholds:
        return self.thresholds.get(label, GateThresholds())

    def probabilities(self, image: Tensor) -> dict[str, float]:
        """Return the probability of every label in a picture [1, H, W, 3]."""
        return dict(zip(self.labels, self.assess(image)[0].tolist(), strict=True))

    def overall(self, image: Tensor, assessed: tuple[str, ...]) -> dict[str, float] | None:
        """Return the probabilities that a round on `image` is judged by; None where those over `assessed` are they."""
        return None if assessed == self.labels else self.probabilities(image)

    def judge(
        self, before: Tensor, after: Tensor, label: str, overall: Mapping[str, float], strength: float = 1.0
    ) -> Verdict:
        """Assess `after` and judge it by the label's thresholds; `overall` are the probabilities in `before`."""
        probabilities = overall, self.probabilities(after)
        return judge(before, after, probabilities, label, self.thresholds_of(label), strength=strength)

    def choose(self, before: Tensor, after: Tensor, label: str, overall: Mapping[str, float]) -> tuple[Verdict, Tensor]:
        """Return the strongest part of a round's change that is accepted, and the picture.

        Args:
            before: [1, H, W, 3], as it entered the round.
            after: [1, h, w, 3].
            label: of the round.
            overall: the probability of every label in `before`.

        Where none is accepted, the picture is `before` itself and the verdict that on the first part that was tried.
        """
        start = resize(before, *after.shape[1:3])
        verdicts: list[Verdict] = []
        for part in STRENGTHS:
            strength = part * self.thresholds_of(label).max_strength
            image = lerp_correction(start, after, strength)
            found = self.judge(start, image, label, overall, strength)
            if found.accepted:
                return found, image
            verdicts.append(found)
        return verdicts[0], before
