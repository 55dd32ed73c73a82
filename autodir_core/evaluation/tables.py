"""Tables of an evaluation, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import mean

from ..labels import CLEAN
from .protocol import Case


def markdown(cases: Sequence[Case], labels: Sequence[str]) -> str:
    """One row per degradation, the mean, and the confusions below."""
    return "\n\n".join([restoration_table(cases, labels), confusion_table(cases, labels)])


def restoration_table(cases: Sequence[Case], labels: Sequence[str]) -> str:
    """Recognition and, where the cases were restored, PSNR and SSIM before and after."""
    rows = [label_row(label, of_label(cases, label)) for label in labels]
    damaged = [case for case in cases if case.label != CLEAN]
    rows.append(
        [
            "**mean of the degradations**",
            f"{len(damaged)}",
            percent(case.seen == case.label for case in cases) + " (all labels)",
            *quality_cells(damaged),
        ]
    )
    return table(["degradation", "cases", "recognised", "PSNR before", "after", "gain", "SSIM before", "after"], rows)


def label_row(label: str, cases: Sequence[Case]) -> list[str]:
    recognised = percent(case.seen == label for case in cases)
    if label == CLEAN:
        untouched = percent(case.stopped == "clean" and not case.rounds for case in cases)
        return ["no (clean photo)", str(len(cases)), recognised, f"left untouched: {untouched}", "", "", "", ""]
    return [label, str(len(cases)), recognised, *quality_cells(cases)]


def quality_cells(cases: Sequence[Case]) -> list[str]:
    """Mean PSNR before, after and gained in dB, mean SSIM before and after."""
    before, after = mean(case.psnr_before for case in cases), mean(case.psnr_after for case in cases)
    similar = [mean(case.ssim_before for case in cases), mean(case.ssim_after for case in cases)]
    return [f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}", *(f"{value:.3f}" for value in similar)]


def confusion_table(cases: Sequence[Case], labels: Sequence[str]) -> str:
    """Rows are what was done, columns what was seen."""
    rows = [
        [f"**{label}**", *(str(sum(case.seen == seen for case in of_label(cases, label)) or "") for seen in labels)]
        for label in labels
    ]
    return table(["done \\ seen", *labels], rows)


def of_label(cases: Sequence[Case], label: str) -> list[Case]:
    return [case for case in cases if case.label == label]


def percent(hits: Iterable[bool]) -> str:
    return f"{100 * mean([float(hit) for hit in hits]):.0f} %"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
