"""What run.py decides: nothing to install, set up, finished, interrupted, damaged. No test touches the network."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autodir_core.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ["torch>=2.2", "Pillow>=10.1", "tqdm"]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """run.py as a module whose environment lies in an empty folder."""
    spec = importlib.util.spec_from_file_location("run_under_test", ROOT / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    python = tmp_path / "venv" / "bin" / "python"
    monkeypatch.setattr(module, "VENV", tmp_path / "venv")
    monkeypatch.setattr(module, "VENV_PYTHON", python)
    monkeypatch.setattr(module, "STAMP", tmp_path / "venv" / "stamp.txt")
    return module


class Machine:
    """Records the commands that would make the environment and install; can be told to fail."""

    def __init__(self, run, monkeypatch, *, here: tuple[str, ...] = (), environment: str = "none"):
        self.run, self.environment, self.commands = run, environment, []
        self.fails_on = "nothing"
        found = {"venv", "ensurepip", *here}
        monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: name if name in found else None)
        monkeypatch.setattr(run, "run_silently", self.run_silently)
        monkeypatch.setattr(run, "venv_runs", self.venv_runs)
        if environment != "none":
            run.VENV.mkdir()

    def run_silently(self, command: list[str], message: str) -> None:
        self.commands.append(command)
        if self.fails_on in command:
            raise self.run.SetupError(message)
        if "venv" in command:
            self.run.VENV.mkdir(exist_ok=True)
            self.run.STAMP.unlink(missing_ok=True)
            self.environment = "good"

    def venv_runs(self, *arguments: str) -> bool:
        return self.environment == "good" or (self.environment == "damaged" and "pip" in arguments)

    def did(self) -> list[str]:
        """The kinds of commands: the environment was made, the names pip was given, the final check."""
        return [
            "venv" if "venv" in command else " ".join(command[6:]) if "pip" in command else "check"
            for command in self.commands
        ]


INSTALLS = ["torch>=2.2 torchvision", "Pillow>=10.1 tqdm"]


def test_a_python_that_has_everything_is_used_as_it_is(run, monkeypatch):
    machine = Machine(run, monkeypatch, here=("torch", "PIL", "tqdm"))
    assert run.prepare(NEEDED) == sys.executable
    assert machine.did() == [] and not run.VENV.exists()


def test_one_missing_package_makes_an_environment(run, monkeypatch):
    machine = Machine(run, monkeypatch, here=("torch", "tqdm"))
    assert run.prepare(NEEDED) == str(run.VENV_PYTHON)
    assert machine.did() == ["venv", *INSTALLS, "check"]
    assert run.installed_requirements() == set(NEEDED)


def test_a_finished_environment_is_used_again(run, monkeypatch):
    machine = Machine(run, monkeypatch, environment="good")
    run.STAMP.write_text("\n".join([*NEEDED, "pytest"]))
    assert run.prepare(NEEDED) == str(run.VENV_PYTHON)
    assert machine.did() == []


def test_new_requirements_are_added_and_the_old_ones_remembered(run, monkeypatch):
    machine = Machine(run, monkeypatch, environment="good")
    run.STAMP.write_text("pytest\ntorch>=2.0")
    run.prepare(NEEDED)
    assert machine.did() == INSTALLS
    assert run.installed_requirements() == {*NEEDED, "pytest", "torch>=2.0"}


def test_an_interrupted_set_up_is_continued(run, monkeypatch):
    machine = Machine(run, monkeypatch, environment="good")
    run.prepare(NEEDED)
    assert machine.did() == INSTALLS and run.installed_requirements() == set(NEEDED)


@pytest.mark.parametrize(("environment", "expected"), [("broken", []), ("damaged", INSTALLS)])
def test_a_bad_environment_is_made_anew(run, monkeypatch, environment, expected):
    machine = Machine(run, monkeypatch, environment=environment)
    run.STAMP.write_text("\n".join(NEEDED))
    run.prepare(NEEDED)
    assert machine.did() == [*expected, "venv", *INSTALLS, "check"]
    assert run.installed_requirements() == set(NEEDED)


def test_a_failed_install_leaves_no_stamp(run, monkeypatch, capsys):
    machine = Machine(run, monkeypatch, environment="good")
    machine.fails_on = "tqdm"
    run.STAMP.write_text("torch>=2.2")
    monkeypatch.setattr(run, "requirements", lambda command: NEEDED)
    assert run.main(["restore", "-o", "out"]) == 1
    assert not run.STAMP.exists()
    assert "error: pip could not install" in capsys.readouterr().err


def test_a_python_without_venv_is_told_what_to_install(run, monkeypatch, capsys):
    Machine(run, monkeypatch)
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    assert run.main(["restore", "-o", "out"]) == 1
    message = capsys.readouterr().err.strip()
    assert "apt install python3-venv" in message and "\n" not in message


def test_an_old_python_is_refused_in_one_line(run, monkeypatch, capsys):
    monkeypatch.setattr(run.sys, "version_info", (3, 9, 18))
    assert run.main(["restore"]) == 1
    assert "Python 3.10 or newer is needed" in capsys.readouterr().err


def test_a_failing_command_shows_what_it_wrote(run, capsys):
    with pytest.raises(run.SetupError, match="says what to do"):
        run.run_silently([sys.executable, "-c", "print('why'); raise SystemExit(3)"], "says what to do")
    assert capsys.readouterr().err.strip() == "why"


def test_a_missing_interpreter_does_not_work(run):
    assert run.venv_runs("-c", "") is False


def test_modules_are_looked_for_in_the_environment(run, monkeypatch):
    monkeypatch.setattr(run, "VENV_PYTHON", Path(sys.executable))
    assert run.venv_has(["json", "ast"]) is True
    assert run.venv_has(["json", "no_such_module"]) is False


class TestRequirements:
    def test_pip_and_comfyui_get_the_same_list(self, run):
        lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
        assert lines == run.requirements("restore")

    def test_extras_come_on_top(self, run):
        assert "pytest-timeout" in "".join(run.requirements("test"))
        assert set(run.requirements("restore")) < set(run.requirements("evaluate")) < set(run.requirements("test"))

    @pytest.mark.parametrize(("version", "applies"), [((3, 10, 9), True), ((3, 11, 0), False), ((4, 0, 0), False)])
    def test_a_requirement_for_older_pythons(self, run, monkeypatch, version, applies):
        monkeypatch.setattr(run.sys, "version_info", version)
        assert run.applies("tomli>=2.0; python_version < '3.11'") is applies
        assert run.applies("tqdm>=4.60")

    def test_a_marker_that_is_not_understood_is_told(self, run):
        with pytest.raises(run.SetupError, match="does not understand the marker"):
            run.applies("colorama; sys_platform == 'win32'")

    @pytest.mark.parametrize(
        ("requirement", "module"),
        [
            ("Pillow>=10", "PIL"),
            ("open_clip_torch", "open_clip"),
            ("pytest-timeout~=2.2", "pytest_timeout"),
            ("scikit-learn >=1", "sklearn"),
            ("scikit-image!=1", "skimage"),
            ("torch[extra]; python_version<'4'", "torch"),
        ],
    )
    def test_import_names(self, run, requirement, module):
        assert run.module_of(requirement) == module


class TestHandingOver:
    def called(self, run, monkeypatch, *arguments: str) -> dict:
        calls = []
        monkeypatch.setattr(run, "prepare", lambda needed: "PYTHON")
        monkeypatch.setattr(run, "wait", lambda command, **options: calls.append({"command": command, **options}) or 7)
        monkeypatch.setattr(run, "hand_over", lambda command, env: run.wait(command, env=env))
        assert run.main(list(arguments)) == 7
        return calls[0]

    def test_a_command_keeps_the_users_folder_and_arguments(self, run, monkeypatch):
        monkeypatch.setenv("PYTHONPATH", "mine")
        call = self.called(run, monkeypatch, "restore", "a photo.png", "-o", "out")
        assert call["command"] == ["PYTHON", "-m", "autodir_core", "restore", "a photo.png", "-o", "out"]
        assert call["env"]["PYTHONPATH"] == os.pathsep.join([str(ROOT), "mine"])
        assert "cwd" not in call

    def test_tests_run_in_the_repository(self, run, monkeypatch):
        monkeypatch.setattr(os, "cpu_count", lambda: 64)
        call = self.called(run, monkeypatch, "test", "-k", "files")
        assert call["command"] == ["PYTHON", "-m", "pytest", "-n", "2", "-k", "files"] and call["cwd"] == ROOT
        assert call["env"]["OMP_NUM_THREADS"] == os.environ.get("OMP_NUM_THREADS", "1")

    def test_a_check_goes_through_every_tool(self, run, monkeypatch, capsys):
        calls = []
        monkeypatch.setattr(run, "prepare", lambda needed: "PYTHON")
        monkeypatch.setattr(
            run, "wait", lambda command, **options: calls.append(command[2:]) or 3 * ("format" in command)
        )
        assert run.main(["check"]) == 3
        assert calls == [["ruff", "check", "."], ["ruff", "format", "--check", "."]]
        monkeypatch.setattr(run, "wait", lambda command, **options: calls.append(command[2:]) or 0)
        assert run.main(["check"]) == 0
        assert calls[-1] == ["pyright", "--pythonpath", "PYTHON"]
        assert run.main(["check", "files"]) == 1
        assert "check takes no arguments, got 'files'" in capsys.readouterr().err

    def test_exit_codes_are_forwarded(self, run):
        assert run.wait([sys.executable, "-c", "raise SystemExit(5)"]) == 5

    @pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
    def test_a_killed_command_has_the_shells_exit_code(self, run):
        assert run.wait([sys.executable, "-c", "import os; os.kill(os.getpid(), 15)"]) == 128 + 15

    @pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
    def test_ctrl_c_lets_the_command_clean_up(self, tmp_path):
        child = (
            "import time\n"
            f"open(r'{tmp_path / 'started'}', 'w').close()\n"
            "try: time.sleep(30)\n"
            f"except KeyboardInterrupt: time.sleep(0.4); open(r'{tmp_path / 'cleaned'}', 'w').close()\n"
        )
        heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # a suite in the background ignores it
        code = f"import signal, sys, run; {heard}; sys.exit(run.wait([sys.executable, '-c', {child!r}]))"
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True) as process:
            while not (tmp_path / "started").exists():
                time.sleep(0.01)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(10) == 130
        assert (tmp_path / "cleaned").exists()

    def test_on_windows_the_command_is_a_child(self, run, monkeypatch):
        calls = []
        monkeypatch.setattr(run, "wait", lambda command, env: calls.append((command, env)) or 7)
        monkeypatch.setattr(run.os, "name", "nt")
        assert run.hand_over(["PYTHON", "-m", "autodir_core"], {"A": "b"}) == 7
        assert calls == [(["PYTHON", "-m", "autodir_core"], {"A": "b"})]

    @pytest.mark.skipif(os.name == "nt", reason="exec of POSIX")
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM] if os.name != "nt" else [])
    def test_who_ends_run_ends_the_work(self, tmp_path, number):
        """They are one process, and what was printed before is not lost."""
        work = f"import os, time; open(r'{tmp_path / 'pid'}', 'w').write(str(os.getpid()) + '.'); time.sleep(60)"
        code = (
            f"import os, sys, run; print('before'); run.hand_over([sys.executable, '-c', {work!r}], dict(os.environ))"
        )
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().endswith("."):
                time.sleep(0.01)
            assert (tmp_path / "pid").read_text() == f"{process.pid}."
            process.send_signal(number)
            assert process.wait(10) == -number
            assert process.stdout.read() == "before\n"

    @pytest.mark.parametrize("code", [0, 5])
    def test_exit_codes_of_commands_are_kept(self, code):
        work = f"raise SystemExit({code})"
        started = f"import os, sys, run; sys.exit(run.hand_over([sys.executable, '-c', {work!r}], dict(os.environ)))"
        assert subprocess.run([sys.executable, "-c", started], cwd=ROOT).returncode == code

    def test_ctrl_c_during_set_up(self, run, monkeypatch):
        def interrupted(needed: list[str]) -> str:
            raise KeyboardInterrupt

        monkeypatch.setattr(run, "prepare", interrupted)
        assert run.main(["test"]) == 130


class TestWithoutPackages:
    """What Python's standard library is enough for; -S hides the installed packages, -I the folder of the script."""

    def start(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", ROOT / "run.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    @pytest.mark.parametrize("arguments", [["--help"], ["test", "--help"], ["check", "-h"], []])
    def test_its_own_help(self, arguments):
        done = self.start(*arguments)
        assert done.returncode == (0 if arguments else 2)
        assert "python run.py restore PHOTO -o OUT" in done.stdout and "python run.py test" in done.stdout
        assert all(summary in done.stdout for _, summary in COMMANDS.values())

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_of_every_command(self, command):
        done = self.start(command, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"usage: python run.py {command}")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["restor"], "invalid choice: 'restor'"),
            (["restore", "photo.png"], "-o/--output"),
            (["restore", "-o", "out", "--steps", "0"], "'0' is not a whole number of at least 1"),
        ],
    )
    def test_wrong_use_is_told_before_anything_is_installed(self, arguments, message):
        done = self.start(*arguments)
        assert done.returncode == 2 and message in done.stderr
        assert len(done.stderr.splitlines()) == 1 and "see python run.py" in done.stderr
