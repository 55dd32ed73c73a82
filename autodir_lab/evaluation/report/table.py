"""A table of text cells, and its Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean


@dataclass(frozen=True)
class Table:
    """A title, a note, the header, and rows whose first cell names them; the last row may be a total."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False


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
