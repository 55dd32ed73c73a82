"""Import packages that may be missing or broken: the error is one line that says which one and how to repair it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import packages_distributions
from importlib.util import find_spec

from .errors import PackageError

IMPORT_FAILURES = (ImportError, OSError, RuntimeError, AttributeError, NameError, TypeError, ValueError)
"""What packages raise on import: names that are gone, libraries that do not load, versions that disagree."""

OURS = frozenset({"autodir_core", "autodir_lab", "autodir_client", __name__.partition(".")[0]})
"""The packages of this repository, the last one under the name that ComfyUI imports it by."""

NEVER_BLAMED = OURS | {"torch"} | sys.stdlib_module_names
"""Packages that take part in every failing import without being its cause: they run it, or load libraries."""

DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "open_clip": "open_clip_torch",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
"""What pip calls packages whose import name differs; `packages_distributions` knows only those that are installed."""


@contextmanager
def optional_import(package: str, alternative: str = "") -> Iterator[None]:
    """Guard the import of a package: `with optional_import("diffusers"): from diffusers import ...`.

    Args:
        package: the name it is imported by.
        alternative: what a user can do without it, such as "leave --baselines out"; ends the message.

    Raises PackageError, one line with the package, the root cause and the command that repairs it.
    """
    try:
        yield
    except IMPORT_FAILURES as error:
        ending = f", or {alternative}" if alternative else ""
        raise PackageError(f"{package} cannot be imported{describe(error, package)}{ending}") from error


@contextmanager
def installed_packages() -> Iterator[None]:
    """Guard code that needs the packages of pyproject.toml; PackageError, one line, where one is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in OURS | sys.stdlib_module_names:
            raise
        raise PackageError(
            f"the package {package} is not installed in this Python; `python run.py`, in a checkout, sets up all that "
            f"a command needs, or install it: {pip_command()} {distribution(package)}"
        ) from error


def is_installed(package: str) -> bool:
    """Whether a package can be found; it is not imported."""
    return find_spec(package) is not None


def describe(error: BaseException, package: str) -> str:
    """Return which package fails, the last line of the root cause, and what to do."""
    causes = [*chain(error)][::-1]
    cause, failing = causes[0], failing_package(causes, package)
    reason = ([line.strip() for line in str(cause).splitlines() if line.strip()] or ["no message"])[-1].rstrip(".")
    pip = pip_command()
    if isinstance(cause, ModuleNotFoundError) and cause.name == failing:
        return f": {reason}. Install it in this Python: {pip} {distribution(failing)}"
    blame = f" because {failing} fails" if failing != package else ""
    return (
        f"{blame}: {type(cause).__name__}: {reason}. Reinstall a version of it that fits the other packages in this "
        f"Python: {pip} --upgrade --force-reinstall --no-deps {distribution(failing)}"
    )


def pip_command() -> str:
    """Return the command that installs packages into this Python."""
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f"{python} -m pip install"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, its cause, and so on down to the root cause."""
    while error is not None:
        yield error
        error = error.__cause__


def failing_package(causes: Sequence[BaseException], package: str) -> str:
    """Return the package that the root cause names, or else the innermost one in the traceback that can be to blame."""
    modules = [causes[0].name] if isinstance(causes[0], ImportError) and causes[0].name else []
    for cause in causes:
        frames = [frame for frame, _ in traceback.walk_tb(cause.__traceback__)]
        modules += [frame.f_globals.get("__name__", __name__) for frame in reversed(frames)]
    packages = (module.partition(".")[0] for module in modules)
    return next((name for name in packages if name not in NEVER_BLAMED), package)


def distribution(package: str) -> str:
    """Return what pip calls a package."""
    return DISTRIBUTIONS.get(package) or packages_distributions().get(package, [package])[0]
