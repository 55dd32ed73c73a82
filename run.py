"""Run AutoDIR on a fresh machine, with all set-up.

    python run.py restore PHOTO -o OUT     restore a photo with the embedded model
    python run.py test [pytest arguments]  run the tests
    python run.py check                    check style, format and types
    python run.py COMMAND [arguments]      any other command of `python -m autodir_core`; COMMAND --help explains it

Where this Python already has every package, nothing is installed; otherwise they go into `.venv` next to this file.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "autodir-setup.txt"  # the requirements that are installed; written last, so it proves a finished set-up
OLDEST_PYTHON = (3, 10)
EXTRAS = {
    "dev": ("test", "check"),
    "eval": ("evaluate", "calibrate", "study"),
    "train": ("train", "teach"),
    "comfy": ("comfy",),
    "batch": ("batch",),
}
TORCH_PACKAGES = ("torch", "torchvision")  # one pip call, so that pip chooses builds that match
MODULES = {
    "open_clip_torch": "open_clip",
    "opencv-python-headless": "cv2",
    "Pillow": "PIL",
    "pytest-xdist": "xdist",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
TOOLS = ("test", "check")
HELP = {"-h", "--help"}
WRONG_USE, INTERRUPTED = 2, 130
WORKERS = 2
"""Processes that share the tests, each with its own models and servers; `run.py test -n 0` takes none."""


class SetupError(Exception):
    """Set-up cannot go on; the message is one line that says what to do."""


def main(arguments: list[str]) -> int:
    """Run the command in `arguments` and return its exit code."""
    if sys.version_info < OLDEST_PYTHON:
        return fail(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed, this is {sys.version.split()[0]}")
    if not arguments or HELP & set(arguments if arguments[0] in TOOLS else arguments[:1]):
        print(f"{(__doc__ or '').strip()}\n\nCommands:\n{list_commands()}")
        return 0 if arguments else WRONG_USE
    try:
        if arguments[0] not in TOOLS and not is_valid(arguments):
            return WRONG_USE
        return run(prepare(requirements(arguments[0])), arguments)
    except SetupError as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def list_commands() -> str:
    """Return the commands of the command line, a line each, with their summaries."""
    sys.path.insert(0, str(ROOT))
    from autodir_core.cli import COMMANDS

    return "\n".join(f"    {name:<9} {summary}" for name, (_, summary) in COMMANDS.items())


def is_valid(arguments: list[str]) -> bool:
    """Whether the command line accepts `arguments`, which needs no package; its help ends the program here."""
    sys.path.insert(0, str(ROOT))
    from autodir_core.cli import parse
    from autodir_core.errors import InputError

    try:
        parse(arguments, "python run.py")
    except InputError as error:
        fail(str(error))
        return False
    return True


def requirements(command: str) -> list[str]:
    """Return what `command` needs with this Python, as pyproject.toml lists it."""
    lists = ["dependencies", *(extra for extra, commands in EXTRAS.items() if command in commands)]
    return [requirement for name in lists for requirement in requirement_list(name) if applies(requirement)]


def applies(requirement: str) -> bool:
    """Whether a requirement is for this Python; of the markers only "python_version < 'X.Y'" is understood."""
    _, _, marker = requirement.partition(";")
    found = re.fullmatch(r" *python_version < '(\d+)\.(\d+)' *", marker)
    if marker and not found:
        raise SetupError(f"run.py does not understand the marker of {requirement!r} in pyproject.toml")
    return not found or sys.version_info[:2] < (int(found[1]), int(found[2]))


def requirement_list(name: str) -> list[str]:
    """Read one list of pyproject.toml, as a Python literal because Python 3.10 has no TOML reader."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf"^{name} = (\[.*?^\])", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SetupError(f"pyproject.toml has no list {name!r}; restore the file from the repository")
    return ast.literal_eval(found[1])


def module_of(requirement: str) -> str:
    """Return the name under which a requirement such as "Pillow>=10" is imported."""
    name = re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]
    return MODULES.get(name, name.replace("-", "_"))


def prepare(needed: list[str]) -> str:
    """Return a Python that has everything in `needed`: this one, the finished environment, or one set up now."""
    modules = [module_of(requirement) for requirement in needed]
    if all(importlib.util.find_spec(module) for module in modules):
        return sys.executable
    if not (installed_requirements() >= set(needed) and venv_has(modules)):
        set_up(needed, modules)
    return str(VENV_PYTHON)


def installed_requirements() -> set[str]:
    """Return the requirements of the last finished set-up; none after an interrupted one."""
    return set(STAMP.read_text(encoding="utf-8").splitlines()) if STAMP.is_file() else set()


def set_up(needed: list[str], modules: list[str]) -> None:
    """Install `needed` into the environment; one that is broken is created again."""
    if venv_runs("-m", "pip", "--version"):
        complete = sorted(installed_requirements() | set(needed))
        STAMP.unlink(missing_ok=True)
        install(needed)
        if venv_runs("-c", f"import {', '.join(modules)}"):
            return finish(complete)
        say("the environment is damaged")
    create_environment()
    install(needed)
    run_silently([str(VENV_PYTHON), "-c", f"import {', '.join(modules)}"], "a package was installed but does not load")
    finish(needed)


def finish(complete: list[str]) -> None:
    STAMP.write_text("\n".join(complete), encoding="utf-8")
    say("the set-up is complete")


def create_environment() -> None:
    """Create an empty `.venv` with pip in place of any earlier one."""
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        raise SetupError(
            "this Python cannot make environments; on Debian or Ubuntu run `sudo apt install python3-venv`, "
            "elsewhere use the Python of python.org, then run the command again"
        )
    say(f"creating the environment {VENV}")
    run_silently([sys.executable, "-m", "venv", "--clear", str(VENV)], "the environment could not be created")


def install(needed: list[str]) -> None:
    """Install every requirement, torch first and together with its torchvision."""
    first = [requirement for requirement in needed if module_of(requirement) in TORCH_PACKAGES]
    rest = [requirement for requirement in needed if requirement not in first]
    say("installing torch (done once; up to a few GB, so this can take several minutes)")
    pip_install([*first, *(name for name in TORCH_PACKAGES if name not in map(module_of, first))])
    say(f"installing {', '.join(rest)}")
    pip_install(rest)


def pip_install(packages: list[str]) -> None:
    """Call pip; its output is shown where it fails."""
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    run_silently(command, "pip could not install the packages; check the network, free disk space and the lines above")


def run_silently(command: list[str], message: str) -> None:
    """Run `command` silently; where it fails, show what it wrote and raise SetupError with `message`."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        print(done.stdout.strip(), file=sys.stderr)
        raise SetupError(message)


def venv_has(modules: list[str]) -> bool:
    """Whether the environment's Python runs and has `modules`, without loading them."""
    return venv_runs("-c", f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {modules})))")


def venv_runs(*arguments: str) -> bool:
    """Whether the environment's Python exists and runs `arguments` without an error."""
    try:
        return subprocess.run([str(VENV_PYTHON), *arguments], capture_output=True).returncode == 0
    except OSError:
        return False


def run(python: str, arguments: list[str]) -> int:
    """Hand over to the tools or to the command line; return the first exit code that is not 0."""
    command, *rest = arguments
    if command in TOOLS:
        env = {"OMP_NUM_THREADS": "1", **os.environ}  # threads that share busy cores make small networks slower
        codes = (wait([python, "-m", *tool], cwd=ROOT, env=env) for tool in tools(command, python, rest))
        return next(filter(None, codes), 0)
    search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return hand_over([python, "-m", "autodir_core", *arguments], {**os.environ, "PYTHONPATH": search_path})


def hand_over(command: list[str], env: dict[str, str]) -> int:
    """Become `command`, so that what ends this process, kill -9 too, ends the work; wait where that cannot be."""
    if os.name == "nt":  # there exec ends this process at once, and the shell does not wait for the new one
        return wait(command, env=env)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvpe(command[0], command, env)  # noqa: S606 -- no shell is needed


def tools(command: str, python: str, rest: list[str]) -> list[list[str]]:
    """Return the modules, with their arguments, that a command for developers runs one after the other."""
    if command == "test":
        return [["pytest", "-n", str(min(os.cpu_count() or 1, WORKERS)), *rest]]
    if rest:
        raise SetupError(f"check takes no arguments, got {rest[0]!r}")
    return [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["pyright", "--pythonpath", python]]


def wait(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> int:
    """Return the exit code of `command`; Ctrl-C reaches it too, and it may finish its cleaning up."""
    with subprocess.Popen(command, cwd=cwd, env=env) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.wait()
            return INTERRUPTED
    return code if code >= 0 else 128 - code


def say(text: str) -> None:
    print(f"run.py: {text}", file=sys.stderr, flush=True)


def fail(text: str) -> int:
    print(f"run.py: error: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
