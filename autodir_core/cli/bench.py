"""Measure what each stage of a restoration costs here in seconds and memory, on a picture that is drawn for it."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .. import __version__
from ..errors import is_out_of_memory
from ..labels import CLEAN, check_labels
from ..settings import LoopSettings, SamplerSettings, preset
from .console import bytes_text, say, write
from .options import add_model_options, add_preset, add_tile_size, at_least, load_model
from .pictures import check_writable, refuse_existing

if TYPE_CHECKING:
    from torch import Tensor

    from ..model import AutoDIR
    from ..outputs import Restoration
    from .measurement import Cost, Machine, Meter, Spread

Result = TypeVar("Result")
Size = tuple[int, int]

SIZES = (512, 512), (1024, 1024), (4000, 3000)
SLOW = 5
"""Seconds from which each run of a stage has a line of its own."""
FILES = "bench.json", "bench.md"
COLUMNS = "picture", "stage", "seconds", "CPU seconds", "peak memory", "megapixels / s", "note"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size",
        dest="sizes",
        nargs="+",
        type=parse_size,
        default=list(SIZES),
        metavar="WxH",
        help=f"of the pictures, width x height in pixels (default: {' '.join(map(size_text, SIZES))})",
    )
    parser.add_argument(
        "--runs", type=at_least(1), default=5, help="of each stage, after one to warm up (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", help=f"for {' and '.join(FILES)} (default: print only)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing results (default: refuse them)")
    add_model_options(parser)
    add_tile_size(parser)
    add_preset(group := parser.add_argument_group("round"))
    group.add_argument("--label", help="what it restores; some labels take another way (default: the model's first)")


def parse_size(text: str) -> Size:
    """Return width and height of a text such as "1024x768"."""
    found = re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text.strip().lower())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 1024x768, width x height in pixels")
    return int(found[1]), int(found[2])


def size_text(size: Size) -> str:
    return "{}x{}".format(*size)


def run(arguments: argparse.Namespace) -> int:
    from ..devices import parse_device
    from ..model import load_autodir
    from .measurement import Machine, Meter

    folder = prepare_folder(arguments)
    device = parse_device(arguments.device)
    load_autodir(None, "cpu")  # imports every library: their memory is not the model's
    meter = Meter(device, arguments.runs)
    loop, sampler = preset(arguments.preset)
    sampler = replace(sampler, steps=arguments.steps or sampler.steps)
    bench = Bench(meter, Report(Machine.here(device), settings(arguments, sampler, meter)), folder)
    try:
        model = bench.measure("load", lambda: load_model(arguments)).tiled(arguments.tile_size)
        loop = replace(loop, max_rounds=1, labels=[choose_label(arguments.label, model.labels)])
        bench.measure_all(model, arguments.sizes, loop, sampler)
    except KeyboardInterrupt:
        bench.report.interrupted = True
        raise
    finally:
        if bench.report.rows:
            bench.save()
            say(bench.report.markdown())
    return 1 if any(row.cost is None for row in bench.report.rows) else 0


def prepare_folder(arguments: argparse.Namespace) -> Path | None:
    """Return the folder of the results; InputError where it cannot or must not be written."""
    if arguments.output is None:
        return None
    folder = Path(arguments.output)
    check_writable(folder)
    if not arguments.overwrite:
        refuse_existing([folder / name for name in FILES])
    return folder


def choose_label(name: str | None, known: Sequence[str]) -> str:
    """Return the label of the round; InputError for one that the model cannot restore."""
    restored = [label for label in known if label != CLEAN]
    [label] = check_labels([restored[0] if name is None else name], restored)
    return label


def settings(arguments: argparse.Namespace, sampler: SamplerSettings, meter: Meter) -> dict[str, Any]:
    """Return what the figures depend on, apart from the machine."""
    return {
        "version": __version__,
        "model": arguments.model or "embedded",
        "device": str(meter.device),
        "precision": arguments.precision or "default",
        "preset": arguments.preset,
        "sampler": sampler.sampler,
        "steps": sampler.steps,
        "tiles": arguments.tile_size or "chosen by memory",
        "runs": arguments.runs,
        "memory": meter.memory.method,
    }


@dataclass(frozen=True)
class Row:
    """One stage at one size, None for what does not depend on it; without cost where memory did not hold it."""

    size: Size | None
    stage: str
    cost: Cost | None
    note: str = ""

    @property
    def megapixels_per_second(self) -> float | None:
        if self.size is None or self.cost is None:
            return None
        return self.size[0] * self.size[1] / 1e6 / self.cost.seconds.median

    def entry(self) -> dict[str, Any]:
        """Return the JSON entry."""
        width, height = self.size or (None, None)
        cost = asdict(self.cost) if self.cost else {"seconds": None, "cpu_seconds": None, "peak_bytes": None}
        speed = {"megapixels_per_second": self.megapixels_per_second}
        return {"stage": self.stage, "width": width, "height": height, **cost, **speed, "note": self.note}

    def cells(self) -> list[str]:
        """Return the texts of `COLUMNS`."""
        cost, speed = self.cost, self.megapixels_per_second
        return [
            size_text(self.size) if self.size else "",
            self.stage,
            spread_text(cost.seconds) if cost else "",
            spread_text(cost.cpu_seconds) if cost and cost.cpu_seconds else "",
            bytes_text(cost.peak_bytes) if cost and cost.peak_bytes is not None else "",
            number_text(speed) if speed is not None else "",
            self.note,
        ]


def describe_round(restoration: Restoration) -> str:
    """Return the label that was restored: some may be restored in another way than others."""
    return f"restored {restoration.rounds[0].labels[0]}"


def spread_text(spread: Spread) -> str:
    """Return such as "1.20 (1.11..1.32)"."""
    return f"{number_text(spread.median)} ({number_text(spread.min)}..{number_text(spread.max)})"


def number_text(value: float) -> str:
    """Return a number with about three digits that count."""
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"


@dataclass
class Report:
    """What was measured so far."""

    machine: Machine
    settings: dict[str, Any]
    rows: list[Row] = field(default_factory=list[Row])
    interrupted: bool = False

    def json(self) -> str:
        content = {"machine": asdict(self.machine), "settings": self.settings, "interrupted": self.interrupted}
        return json.dumps({**content, "rows": [row.entry() for row in self.rows]}, indent=2, ensure_ascii=False) + "\n"

    def markdown(self) -> str:
        """Return the machine, the settings and a table, medians with the extremes."""
        values = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        table = [COLUMNS, ("---",) * len(COLUMNS), *(row.cells() for row in self.rows)]
        lines = [str(self.machine), "", values + (" (interrupted)" if self.interrupted else ""), ""]
        return "\n".join([*lines, *("| " + " | ".join(cells) + " |" for cells in table)])


class Bench:
    """Measures stage by stage and saves each row at once, so that an interrupted run keeps what it has."""

    def __init__(self, meter: Meter, report: Report, folder: Path | None) -> None:
        self.meter, self.report, self.folder = meter, report, folder
        self.size: Size | None = None
        self.stage = ""

    def measure_all(self, model: AutoDIR, sizes: Sequence[Size], loop: LoopSettings, sampler: SamplerSettings) -> None:
        """Measure all stages of each size; a size that memory does not hold is a row that says so."""
        from .measurement import draw_picture

        for self.size in sizes:
            try:
                self.stage = "picture"
                self.measure_size(model, draw_picture(self.size[1], self.size[0]), loop, sampler)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.add(None, "not enough memory")

    def measure_size(self, model: AutoDIR, image: Tensor, loop: LoopSettings, sampler: SamplerSettings) -> None:
        """Measure the stages of a round of a picture [1, H, W, 3], then the whole round."""
        from ..pipeline import restore

        text = self.measure("assess", lambda: model.assess(image, None, loop.crops)).embedding
        latent = self.measure("encode", lambda: model.encode(image))
        self.measure("step", lambda: model.sample(latent, text, replace(sampler, steps=1)))
        generated = self.measure("decode", lambda: model.decode(latent, (image.shape[1], image.shape[2]), scale=1.0))
        self.measure("correct", lambda: model.correct(image, generated))
        self.measure("round", lambda: restore(model, image, loop, sampler), describe_round)

    def measure(
        self, stage: str, call: Callable[[], Result], describe: Callable[[Result], str] = lambda result: ""
    ) -> Result:
        """Add the row of a stage, with the note that `describe` makes of its result, and return the result."""
        self.stage = stage
        write(f"{self.name} ...", sys.stderr)
        cost, result = self.meter.measure(call, self.report_run)
        self.add(cost, describe(result))
        write(f"{self.name}: {spread_text(cost.seconds)} s", sys.stderr)
        return result

    def report_run(self, run: int, seconds: float) -> None:
        if seconds >= SLOW:
            number = f"run {run} of {self.meter.runs}" if run else "to warm up"
            write(f"{self.name}, {number}: {number_text(seconds)} s", sys.stderr)

    @property
    def name(self) -> str:
        """What is measured now."""
        return f"{size_text(self.size)} {self.stage}" if self.size else self.stage

    def add(self, cost: Cost | None, note: str = "") -> None:
        self.report.rows.append(Row(self.size, self.stage, cost, note))
        self.save()

    def save(self) -> None:
        """Write the files, where there is a folder."""
        from ..serialization.atomic import write_text

        if self.folder is not None:
            for name, text in zip(FILES, (self.report.json(), self.report.markdown() + "\n"), strict=True):
                write_text(self.folder / name, text)
