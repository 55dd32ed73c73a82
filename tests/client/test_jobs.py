"""What the files of a job are called."""

from __future__ import annotations

from pathlib import Path

from autodir_client.jobs import Job, output_names
from autodir_client.messages import Output

PROMPT = {"3": {"class_type": "AutoDIRRestore", "_meta": {"title": "AutoDIR Restore"}}}


def picture(name: str) -> Output:
    return Output("3", {"filename": name, "subfolder": "", "type": "temp"})


def test_outputs_of_a_kind_are_numbered_and_others_are_not():
    job = Job("beach", {}, "key", Path("out"))
    both = [picture("a.png"), Output("3", text="round 1")]
    assert output_names(job, both, PROMPT) == ["beach_autodir_restore.png", "beach_autodir_restore.txt"]
    several = output_names(job, [picture("a.png"), *both], PROMPT)
    assert several == ["beach_autodir_restore_1.png", "beach_autodir_restore_2.png", "beach_autodir_restore.txt"]
