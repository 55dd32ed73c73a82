"""The output of commands: lines above the progress bars, errors in one line, bars that any terminal can draw."""

from __future__ import annotations

import argparse
import io
import logging
import sys
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

from ..errors import InputError

if TYPE_CHECKING:
    from tqdm import tqdm


T = TypeVar("T")

LINE, LINE_SECONDS = "{desc}: {n_fmt} of {total_fmt}, {elapsed} so far, {remaining} left, {rate_fmt}", 30.0


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line like all others, and whose hidden options have no abbreviations."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help")

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        """Return the options that an abbreviation may mean; former names work in full only."""
        found: list[Any] = super()._get_option_tuples(option_string)
        return [option for option in found if option[0].help != argparse.SUPPRESS]


def prepare_streams() -> None:
    """Print characters that a terminal does not have as question marks instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


class ConsoleHandler(logging.Handler):
    """Prints log records as one line each, above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        complain(f"{record.levelname.lower()}: {record.getMessage()}")


def prepare_warnings() -> None:
    """Print what modules warn of as all other lines, but nothing of Pillow's own, which reads such files."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # for good: filters that threads set and take back cross
    logging.basicConfig(handlers=[ConsoleHandler()], level=logging.WARNING)


def say(line: str, *, quiet: bool = False) -> None:
    """Print a line without disturbing the progress bars."""
    if not quiet:
        write(line, sys.stdout)


def complain(message: str) -> None:
    """Print a message as one line on the error stream."""
    write(f"autodir: {' '.join(message.split())}", sys.stderr)


def write(line: str, stream: TextIO) -> None:
    """Print above the progress bars; where tqdm has not been imported there are none, and it need not be installed."""
    tqdm = sys.modules.get("tqdm")
    if tqdm:
        tqdm.tqdm.write(line, file=stream)
    else:
        print(line, file=stream)


class LineStream(io.TextIOBase):
    """Takes what a progress bar would draw over itself as lines."""

    def write(self, text: str) -> int:
        if line := text.strip():
            print(line, file=sys.stderr, flush=True)
        return len(text)


def progress(items: Iterable[T] = (), *, quiet: bool, **options: Any) -> tqdm[T]:
    """Return a progress bar, of tqdm's options; where the error stream is no terminal, a line every half a minute."""
    from tqdm import tqdm

    if quiet or sys.stderr.isatty():
        return tqdm(items, disable=quiet, **options)
    slow = {"mininterval": LINE_SECONDS, "delay": LINE_SECONDS, "miniters": 1, "leave": False}
    return tqdm(items, file=LineStream(), bar_format=LINE, **slow, **options)


def progress_off(quiet: bool) -> bool | None:
    """Return tqdm's `disable`: always when quiet, else where the error stream is not a terminal."""
    return True if quiet else None


def text_bar(fraction: float, width: int = 30) -> str:
    """Return a horizontal bar for a fraction in 0..1."""
    block = "█"
    try:
        block.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        block = "#"
    return block * round(fraction * width)


def bytes_text(count: int) -> str:
    """Return a file size such as "23.7 MB"."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
