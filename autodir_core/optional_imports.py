"""The packages that the networks come from: one that does not import becomes one line that says how to mend it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import packages_distributions

from .errors import PackageError

BROKEN = (ImportError, OSError, RuntimeError, AttributeError, NameError, TypeError, ValueError)
"""What packages raise on import: names that are gone, libraries that do not load, versions that disagree."""

INNOCENT = frozenset({"torch", __name__.partition(".")[0]}) | sys.stdlib_module_names
"""Who is there when others fail: it runs the import, or loads their libraries."""


@contextmanager
def importing(package: str) -> Iterator[None]:
    """Guard the import of a package: `with importing("diffusers"): from diffusers import ...`.

    Raises PackageError, one line with the package, the root cause and the command that mends it.
    """
    try:
        yield
    except BROKEN as error:
        raise PackageError(f"{package} cannot be imported{explained(error, package)}") from error


def explained(error: BaseException, package: str) -> str:
    """Which package fails, the last line of the root cause, and what to do."""
    causes = [*chain(error)][::-1]
    cause, failing = causes[0], failing_package(causes, package)
    reason = ([line.strip() for line in str(cause).splitlines() if line.strip()] or ["no message"])[-1].rstrip(".")
    pip = f"{sys.executable} -m pip install" if " " not in sys.executable else f'"{sys.executable}" -m pip install'
    if isinstance(cause, ModuleNotFoundError) and cause.name == failing:
        return f": {reason}. Install it in this Python: {pip} {distribution(failing)}"
    blame = f" because {failing} fails" if failing != package else ""
    return (
        f"{blame}: {type(cause).__name__}: {reason}. Reinstall a version of it that fits the other packages in this "
        f"Python: {pip} --upgrade --force-reinstall --no-deps {distribution(failing)}"
    )


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on to the root cause."""
    while error is not None:
        yield error
        error = error.__cause__


def failing_package(causes: Sequence[BaseException], package: str) -> str:
    """The package that the root cause names, or else the innermost one that takes part and is not innocent."""
    modules = [causes[0].name] if isinstance(causes[0], ImportError) and causes[0].name else []
    for cause in causes:
        frames = [frame for frame, _ in traceback.walk_tb(cause.__traceback__)]
        modules += [frame.f_globals.get("__name__", __name__) for frame in reversed(frames)]
    packages = (module.partition(".")[0] for module in modules)
    return next((name for name in packages if name not in INNOCENT), package)


def distribution(package: str) -> str:
    """What pip calls a package."""
    return {"open_clip": "open_clip_torch"}.get(package) or packages_distributions().get(package, [package])[0]
