"""What `batch` costs for each picture: against single runs, with two workers, and in memory.

    python benchmarks/batch.py [--pictures 24] [--many 240] [--large 12] [--huge 6]

Figures are the processor time of all threads and processes that took part, without imports and without the load of
the model, so that a busy machine changes them little; the clock's throughput is at most the cores divided by them. How
decoding overlaps with the networks only the clock tells: those at 12 megapixels need a machine that is not busy.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from autodir_core.batch.journal import Journal  # noqa: E402
from autodir_core.batch.planning.item import Item  # noqa: E402
from autodir_core.batch.planning.plan import plan_items  # noqa: E402
from autodir_core.batch.run import run_batch  # noqa: E402
from autodir_core.batch.staging import Staging  # noqa: E402
from autodir_core.batch.work import chosen_work  # noqa: E402
from autodir_core.cli import parse  # noqa: E402
from autodir_core.cli.measurement import draw_picture  # noqa: E402
from autodir_core.cli.pictures import Job  # noqa: E402
from autodir_core.cli.restorer import Restorer  # noqa: E402
from autodir_core.imaging.files import write_picture  # noqa: E402
from autodir_core.model import AutoDIR, load_autodir  # noqa: E402

SMALL, LARGE, HUGE = (96, 128), (1728, 2304), (3000, 4000)
WARM = 0.25
"""Part of the pictures after which memory is measured first."""


def make_pictures(folder: Path, count: int, size: tuple[int, int], suffix: str, noise: float = 0.1) -> list[Item]:
    """Noisy pictures, half of them dark."""
    generator = torch.Generator().manual_seed(0)
    clean = draw_picture(*size)
    for number in range(count):
        noisy = clean * (0.3 if number % 2 else 1) + noise * torch.randn(clean.shape, generator=generator)
        write_picture(folder / f"{number}{suffix}", noisy.clamp(0, 1))
    return plan_items([str(folder)], folder / "out")


def work_off(model: AutoDIR, items: list[Item], output: Path, options: list[str], tell: Callable[[], None]) -> None:
    """What the command does once its model is loaded."""
    arguments = parse(["batch", str(items[0].source), "-o", str(output), "--quiet", "--device", "cpu", *options])
    with closing(Journal(output)) as journal, Staging.below(output, output) as staging:
        journal.add(items)
        run_batch(items, journal, chosen_work(model, arguments, staging), lambda item, outcome: tell())


def restore_each(model: AutoDIR, items: list[Item], output: Path, options: list[str]) -> None:
    """What `restore` does picture by picture once its model is loaded."""
    arguments = parse(["restore", str(items[0].source), "-o", str(output), "--quiet", "--device", "cpu", *options])
    restorer = Restorer(model, arguments)
    for item in items:
        restorer.restore(Job(item.source_path, output / item.name))


def time_workers(
    work: Callable[[list[Item], Path], None],
    items: list[Item],
    output: Path,
    count: int,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Seconds, of the processor by default, of processes that share the work, each after a picture to warm up."""
    reading, writing = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            work(items[:1], output.with_name(f"{output.name}-warm{number}"))
            start = clock()
            work(items, output)
            os.write(writing, f"{clock() - start}\n".encode())
            os._exit(0)
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    if any(codes):
        sys.exit(f"a run of the batch ended with {codes}")
    return sum(float(line) for line in os.read(reading, 4096).split())


def resident() -> int:
    """Resident memory in bytes (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure_growth(model: AutoDIR, items: list[Item], output: Path, options: list[str]) -> tuple[int, int]:
    """Resident memory once some pictures are done, and at the end."""
    sizes: list[int] = []
    work_off(model, items, output, options, lambda: sizes.append(resident()))
    return sizes[int(len(sizes) * WARM)], sizes[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--pictures", 24), ("--many", 240), ("--large", 12), ("--huge", 6)):
        parser.add_argument(name, type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_autodir(device="cpu")
    with tempfile.TemporaryDirectory() as name:
        measure(model, Path(name), given)


def measure_assessment(model: AutoDIR, folder: Path, count: int) -> None:
    large = make_pictures(folder / "large", count, LARGE, ".jpg")
    work = partial(run_work, model, ["--assess-only"])
    seconds = time_workers(work, large, folder / "e", 1) / len(large)
    print(
        f"assess-only, 4 megapixels: {1000 * seconds:.0f} ms a picture, {1 / seconds:.0f} a second and core", flush=True
    )


def measure_overlap(model: AutoDIR, folder: Path, count: int) -> None:
    """By the clock: pictures that are found clean, so that files take as long as networks."""
    huge, clean = make_pictures(folder / "huge", count, HUGE, ".jpg", noise=0.02), ["--min-confidence", "1"]
    each = partial(restore_each, model, options=clean)
    for turn in range(3):
        alone = time_workers(each, huge, folder / f"f{turn}", 1, time.perf_counter)
        batch = time_workers(partial(run_work, model, clean), huge, folder / f"g{turn}", 1, time.perf_counter)
        print(
            f"12 megapixels, found clean: {alone / count:.2f} s one by one, {batch / count:.2f} in a batch,"
            f" {alone / batch:.2f} times",
            flush=True,
        )


def measure(model: AutoDIR, folder: Path, given: argparse.Namespace) -> None:
    fast = ["--preset", "fast", "--max-rounds", "1"]
    measure_assessment(model, folder, given.large)
    measure_overlap(model, folder, given.huge)
    small = make_pictures(folder / "small", given.pictures, SMALL, ".png")
    batch, each = partial(run_work, model, fast), lambda items, output: restore_each(model, items, output, fast)
    for label, work, count in (("restore one by one", each, 1), ("batch", batch, 1), ("batch, two workers", batch, 2)):
        seconds = time_workers(work, small, folder / label, count) / len(small)
        print(f"{label}: {seconds:.3f} processor s a picture", flush=True)
    many = make_pictures(folder / "many", given.many, SMALL, ".jpg")
    for label, options in (("assessed", ["--assess-only"]), ("restored", fast)):
        first, last = measure_growth(model, many, folder / label, options)
        print(
            f"memory over {len(many)} {label} pictures: {first / 1e6:.1f} to {last / 1e6:.1f} MB, "
            f"{last / first - 1:+.2%}",
            flush=True,
        )


def run_work(model: AutoDIR, options: list[str], items: list[Item], output: Path) -> None:
    work_off(model, items, output, options, lambda: None)


if __name__ == "__main__":
    main()
