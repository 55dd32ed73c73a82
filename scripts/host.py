"""Set up a ComfyUI for the tests of this pack: an environment of its own in a checkout.

    python scripts/host.py CHECKOUT [CHECKOUT ...]

CHECKOUT is a folder with ComfyUI's main.py, of whatever version. It gets `.venv` with torch, its own requirements and
this pack's; what is installed already stays. Then, with the paths separated as in PATH:

    COMFYUI_PATH=CHECKOUT:CHECKOUT python run.py test tests/host
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TORCH = ("torch", "torchvision", "torchaudio")
UNNEEDED = {"comfyui-embedded-docs"}
"""Help pages of nodes that are not ours: no test needs them."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="+", type=Path, metavar="CHECKOUT")
    for checkout in parser.parse_args(arguments).checkouts:
        if not (checkout / "main.py").is_file():
            sys.exit(f"{checkout} holds no ComfyUI (main.py); clone it there first")
        set_up(checkout)
        print(f"{checkout} is ready", flush=True)


def set_up(checkout: Path) -> None:
    """Install what a checkout and this pack need into the checkout's environment."""
    python = checkout / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.is_file():
        venv.create(checkout / ".venv", with_pip=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *TORCH], check=True)  # one call, so that pip chooses builds that match
    for path in (checkout / "requirements.txt", ROOT / "requirements.txt"):
        subprocess.run([*install, *wanted(path.read_text(encoding="utf-8").splitlines())], check=True)


def wanted(lines: Iterable[str]) -> list[str]:
    """Return the requirements of a file without torch's, which are installed, and without `UNNEEDED`."""
    stripped = (line.partition("#")[0].strip() for line in lines)
    return [line for line in stripped if line and re.split(r"[<>=!~\[; ]", line)[0] not in {*TORCH, *UNNEEDED}]


if __name__ == "__main__":
    main()
