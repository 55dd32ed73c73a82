"""What `batch` costs for each picture, in processor seconds: against single runs, with two workers, and in memory.

    python benchmarks/batch.py [--pictures 24] [--many 240] [--large 12]

Each figure is the processor time of all threads and processes that took part, without imports and without the load of
the model, so that a busy machine changes it little; the clock's throughput is at most the cores divided by it.
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from autodir_core.batch.journal import Journal  # noqa: E402
from autodir_core.batch.plan import Item, plan_items  # noqa: E402
from autodir_core.batch.run import Staging, run_batch  # noqa: E402
from autodir_core.batch.work import chosen_work  # noqa: E402
from autodir_core.cli import parse  # noqa: E402
from autodir_core.cli.measurement import draw_picture  # noqa: E402
from autodir_core.cli.pictures import Job  # noqa: E402
from autodir_core.cli.restorer import Restorer  # noqa: E402
from autodir_core.imaging.files import write_picture  # noqa: E402
from autodir_core.model import AutoDIR, load_autodir  # noqa: E402

SMALL, LARGE = (96, 128), (1728, 2304)
WARM = 0.25
"""Part of the pictures after which memory is measured first."""


def make_pictures(folder: Path, count: int, size: tuple[int, int], suffix: str) -> list[Item]:
    """Noisy pictures, half of them dark."""
    generator = torch.Generator().manual_seed(0)
    clean = draw_picture(*size)
    for number in range(count):
        noisy = clean * (0.3 if number % 2 else 1) + 0.1 * torch.randn(clean.shape, generator=generator)
        write_picture(folder / f"{number}{suffix}", noisy.clamp(0, 1))
    return plan_items([str(folder)], folder / "out")


def work_off(model: AutoDIR, items: list[Item], output: Path, options: list[str], tell: Callable[[], None]) -> None:
    """What the command does once its model is loaded."""
    arguments = parse(["batch", str(items[0].source), "-o", str(output), "--quiet", "--device", "cpu", *options])
    with closing(Journal(output)) as journal, Staging.below(output, output) as staging:
        journal.add(items)
        run_batch(items, journal, chosen_work(model, arguments, staging), lambda item, outcome: tell())


def time_single(model: AutoDIR, items: list[Item], output: Path, options: list[str]) -> float:
    """Processor seconds of `restore` picture by picture, the model loaded once."""
    arguments = parse(["restore", str(items[0].source), "-o", str(output), "--quiet", "--device", "cpu", *options])
    restorer, start = Restorer(model, arguments), time.process_time()
    for item in items:
        restorer.restore(Job(item.source_path, output / item.name))
    return time.process_time() - start


def time_workers(model: AutoDIR, items: list[Item], output: Path, options: list[str], count: int) -> float:
    """Processor seconds of processes that share the work."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    children = []
    for _ in range(count):
        child = os.fork()
        if not child:
            work_off(model, items, output, options, lambda: None)
            os._exit(0)
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    if any(codes):
        sys.exit(f"a run of the batch ended with {codes}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    for name, default in (("--pictures", 24), ("--many", 240), ("--large", 12)):
        parser.add_argument(name, type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_autodir(device="cpu")
    with tempfile.TemporaryDirectory() as name:
        measure(model, Path(name), given)


def measure_assessment(model: AutoDIR, folder: Path, count: int) -> None:
    large = make_pictures(folder / "large", count, LARGE, ".jpg")
    seconds = time_workers(model, large, folder / "e", ["--assess-only"], 1) / len(large)
    print(
        f"assess-only, 4 megapixels: {1000 * seconds:.0f} ms a picture, {1 / seconds:.0f} a second and core", flush=True
    )


def measure(model: AutoDIR, folder: Path, given: argparse.Namespace) -> None:
    fast = ["--preset", "fast", "--max-rounds", "1"]
    measure_assessment(model, folder, given.large)
    many = make_pictures(folder / "many", given.many, SMALL, ".jpg")
    first, last = measure_growth(model, many, folder / "d", ["--assess-only"])
    print(
        f"memory over {len(many)} pictures: {first / 1e6:.1f} to {last / 1e6:.1f} MB, {last / first - 1:+.2%}",
        flush=True,
    )
    small = make_pictures(folder / "small", given.pictures, SMALL, ".png")
    time_single(model, small[:1], folder / "warm", fast)
    for label, seconds in (
        ("restore one by one", time_single(model, small, folder / "a", fast)),
        ("batch, one worker", time_workers(model, small, folder / "b", fast, 1)),
        ("batch, two workers", time_workers(model, small, folder / "c", fast, 2)),
    ):
        print(f"{label}: {seconds / len(small):.3f} processor s a picture", flush=True)


if __name__ == "__main__":
    main()
