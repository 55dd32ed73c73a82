"""Run a ComfyUI workflow on one or several servers, or check whether a server can run it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from autodir_core.cli.console import complain, progress_off, say
from autodir_core.cli.options import add_quiet, add_renamed, between
from autodir_core.cli.pictures import find_pictures
from autodir_core.errors import AutoDIRError, InputError

if TYPE_CHECKING:
    from tqdm import tqdm

    from . import Server, Update
    from .jobs import JobResult

LAYOUT = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed}"
DEFAULT_SERVER = "http://127.0.0.1:8188"
MAX_RETRY_TIMEOUT = 7 * 24 * 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add_run(actions.add_parser("run", help="upload photos, run the workflow on each, download every output"))
    add_check(actions.add_parser("check", help="say what a server lacks to run the workflow"))


def add_run(parser: argparse.ArgumentParser) -> None:
    add_workflow(parser)
    several = f"may be given several times, they share the photos (default: {DEFAULT_SERVER})"
    parser.add_argument("--server", action="append", metavar="URL", help=several)
    photos = "photos or folders for the node whose input, title or id is NAME; several such options go in step"
    names = ("NAME=PHOTO", "PHOTO")
    parser.add_argument("--input", action="append", nargs="+", default=[], metavar=names, help=photos)
    output = "folder for the outputs, created if missing"
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help=output)
    add_access(parser)
    again = "repeat finished work and replace its outputs (default: skip it)"
    add_renamed(parser, "--overwrite", "--force", "--again", action="store_true", help=again)
    seconds = {"type": between(0, MAX_RETRY_TIMEOUT), "default": 300.0, "metavar": "SECONDS"}
    patience = "how long a server may be unavailable before it is given up (default: %(default)g)"
    add_renamed(parser, "--retry-timeout", "--patience", **seconds, help=patience)
    add_quiet(parser)
    parser.set_defaults(action=run_photos)


def add_check(parser: argparse.ArgumentParser) -> None:
    add_workflow(parser)
    parser.add_argument("--server", default=DEFAULT_SERVER, metavar="URL", help="(default: %(default)s)")
    add_access(parser)
    parser.set_defaults(action=check)


def add_workflow(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workflow", metavar="WORKFLOW.json", help="as ComfyUI saves it or exports it for the API")
    change = "change a value; NODE is an id, a title or a node type (default: the workflow's own)"
    parser.add_argument("--set", action="append", default=[], metavar="NODE.input=value", help=change)


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add what servers behind a login or with a certificate of their own need."""
    bearer = "sent as the header Authorization: Bearer TOKEN (default: none; an address may also end in ?token=TOKEN)"
    parser.add_argument("--token", help=bearer)
    header = "sent with every request; may be given several times (default: none)"
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help=header)
    insecure = "take any certificate of an https server, such as a self-signed one (default: trusted ones)"
    parser.add_argument("--insecure", action="store_true", help=insecure)


def open_server(address: str, arguments: argparse.Namespace) -> Server:
    """Return a server with what the options of `add_access` say."""
    from . import Server

    headers = dict(parse_header(text) for text in arguments.header)
    if arguments.token:
        headers["Authorization"] = f"Bearer {arguments.token}"
    return Server(address, headers=headers, insecure=arguments.insecure)


def parse_header(text: str) -> tuple[str, str]:
    """Split a header; InputError for anything else."""
    name, colon, value = text.partition(":")
    if not (colon and re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) and value.isprintable()):
        raise InputError(f"write --header NAME:VALUE, such as 'X-Api-Key: secret', got {text!r}")
    return name, value.strip()


def run(arguments: argparse.Namespace) -> int:
    return arguments.action(arguments)


def run_photos(arguments: argparse.Namespace) -> int:
    """Return 0 when every photo is done, 1 when some failed."""
    from . import run_workflow

    with ProgressBoard(quiet=arguments.quiet) as board:
        results = run_workflow(
            arguments.workflow,
            [open_server(address, arguments) for address in dict.fromkeys(arguments.server or [DEFAULT_SERVER])],
            arguments.output,
            inputs=photo_inputs(arguments.input),
            settings=parse_pairs(arguments.set, "--set NODE.input=value"),
            overwrite=arguments.overwrite,
            retry_timeout=arguments.retry_timeout,
            on_update=board.show,
        )
    return tell_failures(results)


def tell_failures(results: Sequence[JobResult]) -> int:
    """Return the exit code; the error of a single photo is raised."""
    failed = [result for result in results if result.error]
    if failed and len(results) == 1:
        raise AutoDIRError(failed[0].error)
    if failed:
        complain(f"{len(failed)} of {len(results)} failed")
    return 1 if failed else 0


def check(arguments: argparse.Namespace) -> int:
    """Return 0 when the server can run the workflow, 1 when it lacks something."""
    from . import check_workflow

    settings = parse_pairs(arguments.set, "--set NODE.input=value")
    result = check_workflow(arguments.workflow, open_server(arguments.server, arguments), settings=settings)
    missing = result.missing_requirements
    for line in missing:
        say(line)
    verdict = f"lacks {len(missing)} of what" if missing else "has all that"
    say(f"{result.server} (ComfyUI {result.version}) {verdict} {Path(arguments.workflow).name} needs")
    if result.file_inputs:
        say(f"photos can be given to: {', '.join(result.file_inputs)}")
    return 1 if missing else 0


def parse_pairs(given: Sequence[str], usage: str) -> dict[str, str]:
    """Split each text at its first "="; InputError where there is none."""
    for text in given:
        if "=" not in text:
            raise InputError(f"write {usage}, got {text!r}")
    return {before: after for before, _, after in (text.partition("=") for text in given)}


def photo_inputs(given: Sequence[Sequence[str]]) -> dict[str, list[Path]]:
    """Return input name -> photos, from options such as `image=a.png b.png`."""
    inputs: dict[str, list[Path]] = {}
    for first, *others in given:
        [(name, photo)] = parse_pairs([first], "--input NAME=PHOTO").items()
        inputs.setdefault(name, []).extend(path for one in (photo, *others) for path in find_pictures([one]))
    return inputs


class ProgressBoard:
    """A bar for every server at work, and lines for what ended or went wrong."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.bars: dict[str, tqdm[NoReturn]] = {}
        self.unavailable: set[str] = set()  # servers that were reported as such

    def __enter__(self) -> ProgressBoard:
        return self

    def __exit__(self, *error: object) -> None:
        for bar in self.bars.values():
            bar.close()

    def show(self, update: Update) -> None:
        """Show an update: on the server's bar while the work goes on, as a line when it ends."""
        if update.stage == "done":
            where = f"{update.server}: " if update.server else ""
            say(f"{update.job}: {where}{update.message}", quiet=self.quiet)
        elif update.stage in ("failed", "dropped") or self.is_first_failure(update):
            complain(": ".join(filter(None, [update.job, update.message])))
        (self.unavailable.add if update.stage == "unavailable" else self.unavailable.discard)(update.server)
        if update.server:
            self.refresh(update)

    def is_first_failure(self, update: Update) -> bool:
        """Whether a server has become unavailable; its further failures are not repeated."""
        return update.stage == "unavailable" and update.server not in self.unavailable

    def refresh(self, update: Update) -> None:
        from tqdm import tqdm

        if update.server not in self.bars:
            off, row = progress_off(self.quiet), len(self.bars)
            self.bars[update.server] = tqdm(disable=off, leave=False, position=row, bar_format=LAYOUT)
        bar, (done, steps) = self.bars[update.server], update.step
        bar.total, bar.n = steps or None, done
        bar.bar_format = LAYOUT if steps else "{desc} {elapsed}"
        bar.set_description_str(f"{update.server} {update.job}: {status(update)}", refresh=False)
        bar.refresh()


def status(update: Update) -> str:
    """Return what a bar says about a job, such as "AutoDIR Restore, node 4 of 7"."""
    if update.stage == "queued":
        return f"in the queue, {update.queue_position} before it"
    if update.stage == "running":
        return f"{update.node}, node {update.nodes[0]} of {update.nodes[1]}"
    return update.stage
