"""The tables of an evaluation, each from the sample results, and their Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean

from autodir_core.labels import CLEAN

from ..calibration import BINS, expected_calibration_error
from ..sample_result import Quality, SampleResult

Results = Sequence[SampleResult]

CONFIDENCES = (0.0, 0.5, 0.7, 0.9, 0.97)
"""Lowest probability of each row of the calibration table."""

HARM = 0.1
"""Decibels that a picture may lose unnoticed."""

SEVERITY_THIRDS = ("mild", "medium", "severe")
"""Names of the thirds of the severity range 0..1."""


@dataclass(frozen=True)
class Table:
    """A title, a note, the header, and rows whose first cell names them; the last row may be a total."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False


def build_tables(results: Results, labels: Sequence[str]) -> list[Table]:
    """Return every table that has rows for these results; `labels` are the model's."""
    builders: tuple[Callable[[Results, Sequence[str]], Table | None], ...] = (
        single_table,
        confusion_matrix,
        calibration_table,
        severity_table,
        kind_table,
        mixture_table,
        harm_table,
        rounds_table,
        baseline_table,
        unlabeled_table,
    )
    return [table for build in builders if (table := build(results, labels))]


def single_table(results: Results, labels: Sequence[str]) -> Table | None:
    """Accuracy and, where the samples were restored, quality before and after, for each label on its own."""
    labeled = [result for result in results if len(result.labels) == 1]
    if not labeled:
        return None
    columns = quality_columns(labeled)
    rows = [label_row(label, some, columns) for label in labels if (some := with_label(labeled, label))]
    degraded = [result for result in labeled if result.single_degradation]
    if degraded:
        quality = quality_cells(degraded, columns)
        rows.append(("**mean of the degradations**", str(len(degraded)), f"{accuracy(labeled)} (all labels)", *quality))
    note = "Means over the samples; accuracy: the top label is the ground truth. PSNR in dB."
    header = ("degradation", "samples", "accuracy", *columns)
    return Table("Single degradations", note, header, tuple(rows), bool(degraded))


def quality_columns(results: Results) -> tuple[str, ...]:
    """Return the names of the quality columns that the results can fill."""
    if not any(result.stopped and result.before for result in results):
        return ()
    lpips = all(result.before and result.before.lpips is not None for result in results)
    return ("PSNR before", "after", "gain", "SSIM before", "after", *(("LPIPS before", "after") if lpips else ()))


def label_row(label: str, results: Results, columns: Sequence[str]) -> tuple[str, ...]:
    """Return one label's row."""
    if label != CLEAN:
        return (label, str(len(results)), accuracy(results), *quality_cells(results, columns))
    untouched = percentage(bool(result.stopped) and not result.rounds for result in results)
    cells = (f"left untouched: {untouched}", *[""] * (len(columns) - 1)) if columns else ()
    return ("no (clean photo)", str(len(results)), accuracy(results), *cells)


def accuracy(results: Results) -> str:
    """Return the percentage of single labels that were predicted right."""
    return percentage(result.predicted == result.ground_truth for result in results)


def quality_cells(results: Results, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the cells of `quality_columns`."""
    if not columns:
        return ()
    before, after = mean_quality(one.before for one in results), mean_quality(one.after for one in results)
    cells = [f"{before.psnr:.2f}", f"{after.psnr:.2f}", f"{after.psnr - before.psnr:+.2f}"]
    cells += [f"{before.ssim:.3f}", f"{after.ssim:.3f}"]
    if before.lpips is not None and after.lpips is not None:
        cells += [f"{before.lpips:.3f}", f"{after.lpips:.3f}"]
    return tuple(cells[: len(columns)])


def mean_quality(qualities: Iterable[Quality | None]) -> Quality:
    """Return the mean of each metric over those that are known; no LPIPS where one lacks it."""
    known = [one for one in qualities if one]
    lpips = [one.lpips for one in known if one.lpips is not None]
    return Quality(
        mean(one.psnr for one in known),
        mean(one.ssim for one in known),
        mean(lpips) if len(lpips) == len(known) else None,
    )


def confusion_matrix(results: Results, labels: Sequence[str]) -> Table | None:
    """Rows are the ground truth, columns the top label."""
    rows = tuple(
        (f"**{label}**", *prediction_counts(some, labels)) for label in labels if (some := with_label(results, label))
    )
    note = "Rows: the ground truth. Columns: the top label."
    return Table("Confusion", note, ("ground truth \\ predicted", *labels), rows) if rows else None


def prediction_counts(results: Results, labels: Sequence[str]) -> tuple[str, ...]:
    """Return how often each label was predicted; empty for never."""
    counts = Counter(result.predicted for result in results)
    return tuple(str(counts[label] or "") for label in labels)


def calibration_table(results: Results, labels: Sequence[str]) -> Table | None:
    """Accuracy by the probability of the top label, and the expected calibration error."""
    labeled = [result for result in results if len(result.labels) == 1]
    groups = [[one for one in labeled if low <= one.probability < high] for low, high in pairwise((*CONFIDENCES, 2.0))]
    rows = [
        (f"from {low:.0%}", str(len(some)), f"{100 * mean(one.probability for one in some):.0f} %", accuracy(some))
        for low, some in zip(CONFIDENCES, groups, strict=True)
        if some
    ]
    if not rows:
        return None
    hits = [one.predicted == one.ground_truth for one in labeled]
    error = expected_calibration_error([one.probability for one in labeled], hits)
    rows.append(("**expected calibration error**", str(len(labeled)), f"{error:.3f}", ""))
    note = (
        "Where the mean probability is the accuracy, a threshold means what it says. Ranges without samples are left "
        f"out; the error is over {BINS} bins of equal width, empty ones left out (Guo et al. 2017)."
    )
    return Table("Calibration", note, ("top label's probability", "samples", "mean", "accuracy"), tuple(rows), True)


def severity_table(results: Results, labels: Sequence[str]) -> Table | None:
    """Accuracy and gain by thirds of the severity, where it was drawn from a range."""
    graded = [result for result in results if result.single_degradation and result.severity is not None]
    if len({result.severity for result in graded if result.ground_truth == graded[0].ground_truth}) < 2:
        return None
    rows = []
    for label in labels:
        thirds = [[one for one in with_label(graded, label) if severity_third(one) == name] for name in SEVERITY_THIRDS]
        if any(thirds):
            rows.append((label, *(cell for some in thirds for cell in third_cells(some))))
    columns = (f"{name}: {what}" for name in SEVERITY_THIRDS for what in ("samples", "accuracy", "gain"))
    note = "Thirds of the severity range 0..1; gain in dB of PSNR."
    return Table("By severity", note, ("degradation", *columns), tuple(rows))


def severity_third(result: SampleResult) -> str:
    """Return the third of the severity range that a result is in."""
    return SEVERITY_THIRDS[min(int(3 * (result.severity or 0)), 2)]


def third_cells(results: Results) -> tuple[str, str, str]:
    """Return number, accuracy and gain of the samples of one third."""
    if not results:
        return "0", "", ""
    gain = f"{mean(result.gain for result in results):+.2f}" if any(result.stopped for result in results) else ""
    return str(len(results)), accuracy(results), gain


def kind_table(results: Results, labels: Sequence[str]) -> Table | None:
    """Accuracy and gain of each kind, where a label has several."""
    known = [result for result in results if result.single_degradation and result.kinds]
    groups = {label: sorted({one.kinds[0] for one in with_label(known, label)}) for label in labels}
    if max(map(len, groups.values()), default=0) < 2:
        return None
    rows = tuple(
        (label, kind, *third_cells([one for one in with_label(known, label) if one.kinds[0] == kind]))
        for label, kinds in groups.items()
        for kind in kinds
    )
    note = "Kinds are drawn for each sample: rows of few samples say little. Gain in dB of PSNR."
    return Table("By kind", note, ("degradation", "kind", "samples", "accuracy", "gain"), rows)


def mixture_table(results: Results, labels: Sequence[str]) -> Table | None:
    """Recognition and gain of each pair of degradations."""
    mixed = [result for result in results if len(result.labels) > 1]
    if not mixed:
        return None
    columns = quality_columns(mixed)
    names = dict.fromkeys(result.ground_truth for result in mixed)
    rows = [mixture_row(name, with_label(mixed, name), columns) for name in names]
    rows.append(mixture_row("**mean of the mixtures**", mixed, columns))
    note = "Both degradations in the order of image formation, at one severity. PSNR in dB."
    header = ("mixture", "samples", "top label is one", "rounds hold both", *columns)
    return Table("Mixtures of two degradations", note, header, tuple(rows), True)


def mixture_row(name: str, results: Results, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the row of one mixture."""
    one = percentage(result.predicted in result.labels for result in results)
    both = percentage(set(result.labels) <= set(result.rounds) for result in results)
    return (name, str(len(results)), one, both, *quality_cells(results, columns))


def rounds_table(results: Results, labels: Sequence[str]) -> Table | None:
    """For each round, how many samples had it and their mean PSNR before and after it."""
    degraded = [result for result in results if result.ground_truth != CLEAN]  # 100 dB of a clean photo hides the rest
    curves = [(one.before.psnr, *one.psnr_per_round) for one in degraded if one.before and one.psnr_per_round]
    rows = []
    for number in range(1, max(map(len, curves), default=0)):
        steps = [curve[number - 1 : number + 1] for curve in curves if len(curve) > number]
        before, after = (mean(values) for values in zip(*steps, strict=True))
        rows.append((f"{number}", str(len(steps)), f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"))
    if not rows:
        return None
    reasons = Counter(result.stopped for result in degraded if result.stopped).most_common()
    stopped = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in reasons)
    note = f"Over the samples that had the round, mixtures too, without clean photos. Why the loops ended: {stopped}."
    return Table("Rounds", note, ("round", "samples", "PSNR before it", "after it", "gain"), tuple(rows))


def harm_table(results: Results, labels: Sequence[str]) -> Table | None:
    """How many pictures came back worse than they came, and the worst of them."""
    restored = [result for result in results if result.stopped and result.before and result.after]
    groups = {
        "single degradations": [result for result in restored if result.single_degradation],
        "mixtures": [result for result in restored if len(result.labels) > 1],
        "clean photos": [result for result in restored if result.labels == (CLEAN,)],
    }
    rows = tuple(harm_row(name, some) for name, some in groups.items() if some)
    if not rows:
        return None
    note = (
        f"Worse: PSNR fell by more than {HARM} dB. A clean photo, which is its own reference, is worse when it changed "
        "at all; its worst is the PSNR between input and result."
    )
    header = ("pictures", "samples", "mean gain", "worse", "refused rounds", "worst")
    return Table("Worse than before", note, header, rows)


def harm_row(name: str, results: Results) -> tuple[str, ...]:
    """Return one row of `harm_table`."""
    worst = min(results, key=lambda result: result.gain)
    gain = "" if name == "clean photos" else f"{mean(result.gain for result in results):+.2f}"
    refused = sum(len(result.refused) for result in results)
    change = f"{worst.gain:+.2f} dB"
    if worst.is_own_reference and worst.after:
        change = f"{worst.after.psnr:.2f} dB from the input"
    example = f"{change}: {worst.photo} {worst.ground_truth}" if worst.gain < 0 else "none"
    return name, str(len(results)), gain, percentage(result.gain < -HARM for result in results), str(refused), example


def baseline_table(results: Results, labels: Sequence[str]) -> Table | None:
    """Each classical method on its own degradation, next to the model on the same samples."""
    rows = []
    for label in labels:
        some = with_label(results, label)
        for name in some[0].baselines if some else ():
            rows.append(baseline_row(label, name, [result for result in some if name in result.baselines]))
    if not rows:
        return None
    note = "The methods are given the degradation, the model is not. PSNR in dB."
    header = ("degradation", "method", "PSNR before", "method", "model", "model ahead by", "SSIM method", "model")
    return Table("Classical methods", note, header, tuple(rows))


def baseline_row(label: str, name: str, results: Results) -> tuple[str, ...]:
    """Return the row of one method."""
    before, model = mean_quality(one.before for one in results), mean_quality(one.after for one in results)
    method = mean_quality(one.baselines[name] for one in results)
    psnr = (f"{before.psnr:.2f}", f"{method.psnr:.2f}", f"{model.psnr:.2f}", f"{model.psnr - method.psnr:+.2f}")
    return (label, name, *psnr, f"{method.ssim:.3f}", f"{model.ssim:.3f}")


def unlabeled_table(results: Results, labels: Sequence[str]) -> Table | None:
    """Predictions, rounds and change of the samples without ground-truth labels."""
    unlabeled = [result for result in results if not result.labels]
    if not unlabeled:
        return None
    columns = quality_columns(unlabeled)
    groups = [(label, [one for one in unlabeled if one.predicted == label]) for label in labels]
    rows = [unlabeled_row(label, some, columns) for label, some in groups if some]
    rows.append(unlabeled_row("**all**", unlabeled, columns))
    note = "Mean absolute difference between input and result, in levels of 255: how much changed, not how well."
    header = ("top label", "samples", "mean probability", "mean rounds", "mean abs. difference", *columns)
    return Table("Pictures of unknown degradation", note, header, tuple(rows), True)


def unlabeled_row(name: str, results: Results, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the row of one predicted label."""
    return (
        name,
        str(len(results)),
        f"{100 * mean(result.probability for result in results):.0f} %",
        f"{mean(len(result.rounds) for result in results):.1f}",
        f"{mean(result.mean_abs_diff for result in results):.1f}",
        *quality_cells(results, columns),
    )


def with_label(results: Results, label: str) -> list[SampleResult]:
    """Return the results with this ground truth."""
    return [result for result in results if result.ground_truth == label]


def to_markdown(tables: Iterable[Table]) -> str:
    """Return the tables one below the other, each under its title."""
    return "\n\n".join(
        f"### {table.title}\n\n{table.note}\n\n{markdown_table(table.header, table.rows)}" for table in tables
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return header and rows as a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def percentage(hits: Iterable[bool]) -> str:
    """Return the share of true values, such as "88 %"."""
    return f"{100 * mean(map(float, hits)):.0f} %"
