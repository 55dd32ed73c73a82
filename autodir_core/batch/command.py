"""Restore or assess many pictures: folders with their sub-folders, resumable at any moment, by several processes.

OUT gets the results under the names and in the sub-folders of their pictures, a journal (batch.sqlite), a table
(batch.csv) and a page with what changed most (batch.html). Run the same command again to go on where it ended, however
it ended; run it several times at once to share the work. INPUT and OUT may be URLs such as s3://bucket/folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..cli.console import complain, prepare_streams, prepare_warnings, progress, say
from ..cli.options import check_weights, load_model
from ..cli.pictures import check_folder
from ..cli.restore import check_options
from ..errors import AutoDIRError, FullDiskError, InputError
from ..optional_imports import installed_packages
from ..serialization.temporary import remove_left
from .options import NOT_SETTINGS, OF_RESULTS, add_arguments
from .planning.item import Item, check_source
from .planning.names import JOURNAL, PAGE, keep_names, refuse_folders, refuse_others
from .planning.plan import Selection, count_sources, plan_items, refuse_foreign, with_masks
from .planning.sources import TABLE
from .planning.storage import join, present

if TYPE_CHECKING:
    from .journal import Journal, Outcome

WRONG_USE, INTERRUPTED = 2, 130
"""Exit codes of a process of several."""


def run(arguments: argparse.Namespace) -> int:
    selection = Selection(arguments.every, arguments.shard, arguments.limit)
    check_settings(arguments)
    check_places(arguments)
    suffix = f".{arguments.format}" if arguments.format else None
    planned = plan_items(arguments.pictures, arguments.output, suffix)
    if arguments.assess_only:  # of which no result is made
        planned = [replace(item, name=item.copy or item.name) for item in planned]
    items = selection.choose(planned)
    if arguments.mask:
        items = with_masks(items, arguments.mask, planned)
    if not items:
        say(f"part {arguments.shard[0]} of {arguments.shard[1]} is empty: of {count_sources(planned)} none is in it")
        return 0
    return rehearse(items, arguments) if arguments.dry_run else work_off(items, arguments)


def rehearse(items: list[Item], arguments: argparse.Namespace) -> int:
    """List pictures and results; InputError for what the run would refuse, found with a copy of the journal."""
    from .journal import Journal

    folder = arguments.journal or arguments.output
    with TemporaryDirectory(prefix="autodir-") as place:
        for file in (folder / JOURNAL, folder / f"{JOURNAL}-wal"):
            if file.is_file():
                shutil.copy(file, place)
        try:
            with closing(Journal(Path(place))) as journal:
                items = keep_names(items, journal.names())
                code = 0 if all([tell_plan(item, arguments) for item in items]) else 1
                say(count_sources(items))
                begin(items, journal, arguments)
        except InputError as error:
            raise InputError(str(error).replace(place, str(folder))) from error
    return code


def tell_plan(item: Item, arguments: argparse.Namespace) -> bool:
    """Tell what would be done to a picture; return whether it is there."""
    try:
        if isinstance(item.source, Path):
            check_source(item.source)
    except InputError as error:
        complain(f"error: {error}")
        return False
    say(str(item.source) if arguments.assess_only else f"{item.source} -> {join(arguments.output, item.name)}")
    return True


def check_settings(arguments: argparse.Namespace) -> None:
    """InputError or CheckpointError for what no picture can be restored with, before it is noted in the journal."""
    check_options(arguments)
    add_arguments(usual := argparse.ArgumentParser())
    idle = [name for name in OF_RESULTS if getattr(arguments, name) not in (usual.get_default(name), "")]
    if arguments.assess_only and idle:
        raise InputError(f"--assess-only writes no pictures, which --{idle[0].replace('_', '-')} is for; leave it out")
    if arguments.keep_range and arguments.format not in (None, "tif", "tiff"):
        raise InputError(f"--keep-range writes float TIFF files, not {arguments.format}; leave --format out")
    check_weights(arguments)


def check_places(arguments: argparse.Namespace) -> None:
    """InputError for devices that do not work here, and an output that no journal can be kept for."""
    from ..devices import parse_device

    if arguments.devices and arguments.device:
        raise InputError("--devices names all devices, --device the only one; leave one of them out")
    if arguments.ray and arguments.devices:
        raise InputError("--devices is for this machine, --ray for a cluster; leave one of them out")
    if arguments.workers and not arguments.ray:
        raise InputError("--workers counts those of a cluster, and --ray is not given; leave it out, or see --devices")
    if isinstance(arguments.output, str) and arguments.journal is None:
        raise InputError(f"{arguments.output} is a URL, and the journal is a local file; give --journal FOLDER for it")
    check_folders(arguments)
    for device in arguments.devices or [arguments.device] * (not arguments.ray):
        parse_device(device)


def check_folders(arguments: argparse.Namespace) -> None:
    """InputError for folders of results and journal that cannot be used."""
    for folder in (arguments.output, arguments.journal):
        if isinstance(folder, Path):
            check_folder(folder)
    journal = join(arguments.journal or arguments.output, JOURNAL)
    if os.path.isdir(journal):
        raise InputError(f"the journal {journal} is a folder; move it, or choose another output folder")


def work_off(items: list[Item], arguments: argparse.Namespace) -> int:
    """Do what is left of a batch, and write its table and its page."""
    from .report import write_reports

    with closing(open_journal(arguments)) as journal:
        items = keep_names(items, journal.names())
        agreed = begin(items, journal, arguments)
        for folder in {arguments.journal, arguments.output}:
            if isinstance(folder, Path):
                remove_left(folder)
        states = journal.states()
        left = [item for item in items if states[item.name] in ("waiting", "working")]
        if not left:
            failed = any(states[item.name] == "failed" for item in items)
            rest = "--retry-failed tries again what failed" if failed else "all of it was done before"
            say(f"nothing is left to do: {rest}", quiet=arguments.quiet)
        try:
            with BatchBar(len(items), len(items) - len(left), quiet=arguments.quiet) as bar:
                if left:
                    do_work(left, journal, arguments, bar)
        except (KeyboardInterrupt, FullDiskError):
            complain("run the same command again to go on; batch.csv is written at the end")
            raise
        rows = journal.rows()
        write_reports(arguments.output, rows, assess_only=arguments.assess_only, settings=agreed)
    return summarize(items, {row["name"]: row for row in rows}, arguments)


def begin(items: list[Item], journal: Journal, arguments: argparse.Namespace) -> dict[str, Any]:
    """Note the pictures, and return the settings that they are done with.

    Those whose result is gone or another's wait again, with --retry-failed what failed too.

    InputError where a file would be replaced that is no result of this batch, or that of another picture, and where the
    journal is that of results elsewhere.
    """
    folder = arguments.journal or arguments.output
    journal.check_place(arguments.output, folder)
    again = check_files(items, journal, arguments)
    journal.agree(agreed := settings(arguments))
    journal.keep_to(arguments.output, folder)
    journal.add(items)
    journal.redo(again)
    if arguments.retry_failed:
        journal.retry_failed(items)
    return agreed


def check_files(items: list[Item], journal: Journal, arguments: argparse.Namespace) -> set[str]:
    """Return the names whose result is gone or another picture's; InputError where a file would be replaced."""
    done, own = journal.results(), {TABLE} if arguments.assess_only else {TABLE, PAGE}
    finished = {item.name: done[item.name] for item in items if item.name in done}
    reports = set[str]() if journal.states() else own
    targets = set[str]() if arguments.assess_only else {name for item in items for name in item.files}
    there = present(arguments.output, targets | reports | set(finished.values()))
    gone = {name for name, result in finished.items() if result not in there}
    files, others = journal.files(), journal.others(items)
    refuse_folders(files, targets)
    if not arguments.overwrite:
        settled = journal.settled(items, retry_failed=arguments.retry_failed) - gone
        left = [item for item in items if item.name not in settled]
        refuse_foreign(left, there - files, arguments.output, reports)
        refuse_others(items, others)
    return gone | others.keys()


def open_journal(arguments: argparse.Namespace) -> Journal:
    from .journal import Journal

    return Journal(arguments.journal or arguments.output)


def do_work(items: list[Item], journal: Journal, arguments: argparse.Namespace, bar: BatchBar) -> None:
    """Do what is left of a batch: in this process, by one for each device, or on a cluster."""
    if arguments.ray:
        from .workers.ray_cluster import run_cluster

        run_cluster(items, journal, arguments, bar.show)
    elif arguments.devices:
        from .workers.processes import run_processes

        work = partial(work_on, items, arguments)
        names = {item.name for item in items}
        run_processes(work, arguments.devices, lambda: bar.show_left(len(names & journal.open_names())))
    else:
        work_here(items, journal, arguments, bar.show)


def work_here(
    items: list[Item], journal: Journal, arguments: argparse.Namespace, tell: Callable[[Item, Outcome], None]
) -> None:
    """Do what is left of a batch in this process."""
    from .run import run_batch
    from .staging import Staging, refuse_taken
    from .work import chosen_work

    check = partial(refuse_taken, journal, arguments.output, arguments.overwrite)
    with Staging.below(arguments.journal or arguments.output, arguments.output, check) as staging:
        run_batch(items, journal, chosen_work(load_model(arguments), arguments, staging), tell)


def work_on(items: list[Item], arguments: argparse.Namespace, device: str) -> None:
    """Do what is left of a batch on one device, in a process of its own; its exit code says how it ended."""
    from .workers.processes import end_with_parent

    end_with_parent()
    prepare_streams()
    prepare_warnings()
    own = argparse.Namespace(**vars(arguments) | {"device": device})
    try:
        with installed_packages(), closing(open_journal(own)) as journal:
            work_here(items, journal, own, tell_failure)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except AutoDIRError as error:
        complain(f"error: {device}: {error}")
        sys.exit(WRONG_USE)


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what results depend on: the options, and the content of the weights file."""
    from ..model import MINI
    from ..serialization.hashing import sha256

    options = {name: value for name, value in vars(arguments).items() if name not in NOT_SETTINGS}
    if arguments.mask:  # whose content is looked at picture by picture
        options["mask"] = os.fsencode(os.path.realpath(arguments.mask)).decode("utf-8", "backslashreplace")
    return options | {"model": sha256(Path(arguments.model or MINI))}


class BatchBar:
    """A bar over all pictures with their rate and the time left, and a line for each that failed."""

    def __init__(self, total: int, finished: int, *, quiet: bool) -> None:
        self.bar = progress(quiet=quiet, desc="pictures", unit="picture", total=total, initial=finished)

    def __enter__(self) -> BatchBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def show(self, item: Item, outcome: Outcome) -> None:
        self.bar.update()
        tell_failure(item, outcome)

    def show_left(self, count: int) -> None:
        """Show how many pictures are finished, whoever finished them, where so many are left."""
        self.bar.update(max((self.bar.total or 0) - count - self.bar.n, 0))


def tell_failure(item: Item, outcome: Outcome) -> None:
    if outcome.state == "failed":
        complain(f"error: {outcome.error}")


def summarize(items: list[Item], rows: Mapping[str, Mapping[str, Any]], arguments: argparse.Namespace) -> int:
    """Print what became of the pictures; return the exit code."""
    from .report import WORDS

    states = Counter(rows[item.name]["state"] for item in items)
    words = WORDS | ({"done": "assessed"} if arguments.assess_only else {})
    counts = [f"{states[state]} {word}" for state, word in words.items() if states[state]]
    if arguments.assess_only and states["done"]:
        found = Counter(rows[item.name]["decision"] for item in items if rows[item.name]["state"] == "done")
        counts[0] += f" ({', '.join(f'{label} {count}' for label, count in found.most_common())})"
    say(f"{count_sources(items)}: {', '.join(counts)} -> {arguments.output}", quiet=arguments.quiet)
    return 1 if states["failed"] else 0
