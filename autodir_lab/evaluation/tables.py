"""Tables of an evaluation: built once, written as Markdown here and as a page in `page`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from autodir_core.labels import CLEAN

from .sample_result import Case, Quality

THIRDS = ("mild", "medium", "severe")
"""Names of the thirds of the severity range 0..1."""


@dataclass(frozen=True)
class Table:
    """A title, a sentence about it, the head, and rows that begin with what they are about; the last may be a total."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False


def tables(cases: Sequence[Case], labels: Sequence[str]) -> list[Table]:
    """Every table that these cases can fill; `labels` are the model's."""
    builders: tuple[Callable[[Sequence[Case], Sequence[str]], Table | None], ...] = (
        restoration_table,
        confusion_table,
        severity_table,
        mixture_table,
        rounds_table,
        baseline_table,
        unnamed_table,
    )
    return [table for build in builders if (table := build(cases, labels))]


def markdown(found: Iterable[Table]) -> str:
    """The tables below each other, each under its title."""
    return "\n\n".join(f"### {table.title}\n\n{table.note}\n\n{grid(table.head, table.rows)}" for table in found)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Head and rows as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def restoration_table(cases: Sequence[Case], labels: Sequence[str]) -> Table | None:
    """Recognition and, where the cases were restored, quality before and after, for each label on its own."""
    known = [case for case in cases if len(case.labels) == 1]
    if not known:
        return None
    head = quality_head(known)
    rows = [label_row(label, some, len(head)) for label in labels if (some := of_label(known, label))]
    damaged = [case for case in known if case.single]
    if damaged:
        recognised = percent(case.seen == case.label for case in known) + " (all labels)"
        rows.append(("**mean of the degradations**", str(len(damaged)), recognised, *quality_cells(damaged, len(head))))
    note = "Means over the cases; recognised: the top label is what was done. PSNR in dB."
    return Table("Single degradations", note, ("degradation", "cases", "recognised", *head), tuple(rows), bool(damaged))


def quality_head(cases: Sequence[Case]) -> tuple[str, ...]:
    """The columns that the cases have numbers for."""
    if not any(case.stopped and case.before for case in cases):
        return ()
    lpips = ("LPIPS before", "after") if all(case.before and case.before.lpips is not None for case in cases) else ()
    return ("PSNR before", "after", "gain", "SSIM before", "after", *lpips)


def label_row(label: str, cases: Sequence[Case], width: int) -> tuple[str, ...]:
    """One label's row with `width` columns of quality."""
    recognised = percent(case.seen == label for case in cases)
    if label != CLEAN:
        return (label, str(len(cases)), recognised, *quality_cells(cases, width))
    untouched = percent(case.stopped == "clean" and not case.rounds for case in cases)
    cells = (f"left untouched: {untouched}", *[""] * (width - 1)) if width else ()
    return ("no (clean photo)", str(len(cases)), recognised, *cells)


def quality_cells(cases: Sequence[Case], width: int) -> tuple[str, ...]:
    """Mean PSNR before, after and gained in dB, mean SSIM and LPIPS before and after: the first `width` of them."""
    if not width:
        return ()
    before, after = [mean_quality(some) for some in (befores(cases), afters(cases))]
    cells = [f"{before.psnr:.2f}", f"{after.psnr:.2f}", f"{after.psnr - before.psnr:+.2f}"]
    cells += [f"{before.ssim:.3f}", f"{after.ssim:.3f}"]
    if before.lpips is not None and after.lpips is not None:
        cells += [f"{before.lpips:.3f}", f"{after.lpips:.3f}"]
    return tuple(cells[:width])


def mean_quality(some: Sequence[Quality]) -> Quality:
    """The mean of each number; no LPIPS where one has none."""
    lpips = [one.lpips for one in some if one.lpips is not None]
    return Quality(
        mean(one.psnr for one in some),
        mean(one.ssim for one in some),
        mean(lpips) if len(lpips) == len(some) else None,
    )


def befores(cases: Sequence[Case]) -> list[Quality]:
    return [case.before for case in cases if case.before]


def afters(cases: Sequence[Case]) -> list[Quality]:
    return [case.after for case in cases if case.after]


def confusion_table(cases: Sequence[Case], labels: Sequence[str]) -> Table | None:
    """Rows are what was done, columns what was seen."""
    done = [label for label in labels if of_label(cases, label)]
    if not done:
        return None
    rows = tuple((f"**{label}**", *seen_cells(of_label(cases, label), labels)) for label in done)
    return Table("Confusion", "Rows: what was done. Columns: the top label.", ("done \\ seen", *labels), rows)


def seen_cells(cases: Sequence[Case], labels: Sequence[str]) -> tuple[str, ...]:
    """How often each label was on top; empty for never."""
    count = Counter(case.seen for case in cases)
    return tuple(str(count[label] or "") for label in labels)


def severity_table(cases: Sequence[Case], labels: Sequence[str]) -> Table | None:
    """Recognition and gain by thirds of the severity, where it was drawn from a range."""
    known = [case for case in cases if case.single and case.severity is not None]
    if len({case.severity for case in known if case.label == known[0].label}) < 2:
        return None
    rows = []
    for label in labels:
        thirds = [[case for case in of_label(known, label) if third(case) == name] for name in THIRDS]
        if any(thirds):
            rows.append((label, *(cell for some in thirds for cell in third_cells(some))))
    head = ("degradation", *(f"{name}: {what}" for name in THIRDS for what in ("cases", "recognised", "gain")))
    note = "Thirds of the severity range 0..1; gain in dB of PSNR."
    return Table("By severity", note, head, tuple(rows))


def third(case: Case) -> str:
    return THIRDS[min(int(3 * (case.severity or 0)), 2)]


def third_cells(cases: Sequence[Case]) -> tuple[str, str, str]:
    if not cases:
        return "0", "", ""
    gain = f"{mean(case.gain for case in cases):+.2f}" if any(case.stopped for case in cases) else ""
    return str(len(cases)), percent(case.seen == case.label for case in cases), gain


def mixture_table(cases: Sequence[Case], labels: Sequence[str]) -> Table | None:
    """Each pair of degradations: whether they were found, and what restoring them gained."""
    mixed = [case for case in cases if len(case.labels) > 1]
    if not mixed:
        return None
    head = quality_head(mixed)
    rows = [mixture_row(label, of_label(mixed, label), len(head)) for label in dict.fromkeys(c.label for c in mixed)]
    rows.append(mixture_row("**mean of the mixtures**", mixed, len(head)))
    names = ("mixture", "cases", "top label is one", "rounds hold both")
    note = "Both degradations in the order in which a picture is formed, at one severity. PSNR in dB."
    return Table("Mixtures of two degradations", note, (*names, *head), tuple(rows), True)


def mixture_row(name: str, cases: Sequence[Case], width: int) -> tuple[str, ...]:
    one = percent(case.seen in case.labels for case in cases)
    both = percent(set(case.labels) <= set(case.rounds) for case in cases)
    return (name, str(len(cases)), one, both, *quality_cells(cases, width))


def rounds_table(cases: Sequence[Case], labels: Sequence[str]) -> Table | None:
    """For each round, how many cases had it and their mean PSNR before and after it."""
    damaged = [case for case in cases if case.label != CLEAN]  # a clean photo's 100 dB would hide all the others
    walks = [(case.before.psnr, *case.rounds_psnr) for case in damaged if case.before and case.rounds_psnr]
    rows = []
    for number in range(1, max(map(len, walks), default=0)):
        there = [walk for walk in walks if len(walk) > number]
        before, after = (mean(walk[place] for walk in there) for place in (number - 1, number))
        rows.append((f"{number}", str(len(there)), f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"))
    if not rows:
        return None
    reasons = Counter(case.stopped for case in damaged if case.stopped).most_common()
    ended = ", ".join(f"{reason} {count}" for reason, count in reasons)
    note = f"Over the cases that had the round, mixtures too, clean photos left out. Why the loops ended: {ended}."
    return Table("Rounds", note, ("round", "cases", "PSNR before it", "after it", "gain"), tuple(rows))


def baseline_table(cases: Sequence[Case], labels: Sequence[str]) -> Table | None:
    """Each classical method on its own degradation, beside the model on the same cases."""
    rows = []
    for label in labels:
        some = of_label(cases, label)
        for name in some[0].baselines if some else ():
            rows.append(baseline_row(label, name, [case for case in some if name in case.baselines]))
    if not rows:
        return None
    note = "The methods were told the degradation, the model was not. PSNR in dB."
    head = ("degradation", "method", "PSNR before", "method", "model", "model ahead by", "SSIM method", "model")
    return Table("Classical methods", note, head, tuple(rows))


def baseline_row(label: str, name: str, cases: Sequence[Case]) -> tuple[str, ...]:
    before, model = mean_quality(befores(cases)), mean_quality(afters(cases))
    method = mean_quality([case.baselines[name] for case in cases])
    return (
        label,
        name,
        f"{before.psnr:.2f}",
        f"{method.psnr:.2f}",
        f"{model.psnr:.2f}",
        f"{model.psnr - method.psnr:+.2f}",
        f"{method.ssim:.3f}",
        f"{model.ssim:.3f}",
    )


def unnamed_table(cases: Sequence[Case], labels: Sequence[str]) -> Table | None:
    """Pictures of which it is not known what was done: what was seen, the rounds and how much they changed."""
    unnamed = [case for case in cases if not case.labels]
    if not unnamed:
        return None
    head = quality_head(unnamed)
    rows = [
        unnamed_row(label, some, len(head)) for label in labels if (some := [c for c in unnamed if c.seen == label])
    ]
    rows.append(unnamed_row("**all**", unnamed, len(head)))
    names = ("top label", "pictures", "mean probability", "mean rounds", "mean change")
    note = (
        "Change: mean absolute difference between input and result, in levels of 255. It says how much, not how well."
    )
    return Table("Pictures of unknown degradation", note, (*names, *head), tuple(rows), True)


def unnamed_row(name: str, cases: Sequence[Case], width: int) -> tuple[str, ...]:
    return (
        name,
        str(len(cases)),
        f"{100 * mean(case.probability for case in cases):.0f} %",
        f"{mean(len(case.rounds) for case in cases):.1f}",
        f"{mean(case.change for case in cases):.1f}",
        *quality_cells(cases, width),
    )


def of_label(cases: Sequence[Case], label: str) -> list[Case]:
    return [case for case in cases if case.label == label]


def percent(hits: Iterable[bool]) -> str:
    return f"{100 * mean([float(hit) for hit in hits]):.0f} %"
