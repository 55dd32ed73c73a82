"""Which photos become jobs, and the names of their outputs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autodir_client import Workflow
from autodir_client.jobs import Job, JobResult, output_names, plan_jobs, read_claims, write_record
from autodir_client.messages import Output
from autodir_core import InputError
from tests.client.helpers.fake import WORKFLOW

PROMPT = {"3": {"class_type": "AutoDIRRestore", "_meta": {"title": "AutoDIR Restore"}}}


def picture(name: str) -> Output:
    return Output("3", {"filename": name, "subfolder": "", "type": "temp"})


def test_outputs_of_a_kind_are_numbered_and_others_are_not():
    job = Job("beach", {}, "key", Path("out"))
    both = [picture("a.png"), Output("3", text="round 1")]
    assert output_names(job, both, PROMPT) == ["beach_autodir_restore.png", "beach_autodir_restore.txt"]
    several = output_names(job, [picture("a.png"), *both], PROMPT)
    assert several == ["beach_autodir_restore_1.png", "beach_autodir_restore_2.png", "beach_autodir_restore.txt"]


class TestNames:
    PROMPT = {
        "1": {"class_type": "A", "_meta": {"title": "Save Image"}},
        "2": {"class_type": "B", "_meta": {"title": "Save Image 2"}},
    }

    def outputs(self, *nodes: str) -> list[Output]:
        return [Output(node, {"filename": "x.png", "subfolder": "", "type": "temp"}) for node in nodes]

    def test_a_number_and_a_title_with_a_number(self):
        names = output_names(Job("p", {}, "key", Path("out")), self.outputs("1", "1", "2"), self.PROMPT)
        assert names == ["p_save_image_1.png", "p_save_image_2.png", "p_save_image_2_2.png"]

    def test_suffixes_that_differ_in_case(self):
        outputs = [picture("a.png"), picture("b.PNG")]
        names = output_names(Job("p", {}, "key", Path("out")), outputs, PROMPT)
        assert names == ["p_autodir_restore.png", "p_autodir_restore_2.PNG"]

    def test_what_other_jobs_have(self, tmp_path):
        title = {"1": {"class_type": "A", "_meta": {"title": "B Save"}}}
        other, job = Job("a_b", {}, "key", tmp_path), Job("a", {}, "key", tmp_path)
        write_record(other, JobResult("a_b", {}, (tmp_path / "a_b_save.png",)), "id")
        (tmp_path / "damaged_comfy.json").write_text("{")
        claimed = read_claims(tmp_path)
        assert output_names(job, self.outputs("1"), title, claimed) == ["a_b_save_2.png"]
        assert output_names(other, self.outputs("1"), {"1": {"class_type": "Save"}}, claimed) == ["a_b_save.png"]

    @pytest.mark.parametrize("name", ["l" * 251, "caf\udce9" * 60])
    def test_long_ones_fit(self, name):
        job = Job(name, {}, "key", Path("out"))
        names = [*output_names(job, self.outputs("1", "1", "2"), self.PROMPT), job.record.name]
        assert len(set(names)) == 4 and all(len(os.fsencode(one)) <= 255 for one in names)


class TestPlan:
    @pytest.fixture
    def files(self, tmp_path):
        for name in ("a.png", "b.png", "b.jpg", "mask.png", "more/c.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(name.encode())
        return tmp_path

    def jobs(self, files, settings=None, out="out", **inputs):
        given = {name: [files / one for one in some] for name, some in inputs.items()}
        return plan_jobs(Workflow("flow", WORKFLOW), given, settings or {}, files / out)

    def test_one_photo_serves_all(self, files):
        made = self.jobs(files, mask=["mask.png"], image=["a.png", "more"])
        assert [job.name for job in made] == ["a", "c"]
        assert [job.photos["mask"].path.name for job in made] == ["mask.png"] * 2
        assert [job.photos["image"].path.name for job in made] == ["a.png", "c.png"]

    def test_without_photos_there_is_one_job(self, files):
        assert [(job.name, job.label) for job in self.jobs(files)] == [("flow", "flow")]

    def test_the_key_tells_works_apart(self, files):
        def key(**options) -> str:
            return self.jobs(files, image=["a.png"], **options)[0].prompt_id(0)

        first = key()
        assert first == key(out="elsewhere") != key(settings={"2.steps": 4})
        (files / "a.png").write_bytes(b"changed")
        assert first != key()

    @pytest.mark.parametrize(
        ("inputs", "out", "message"),
        [
            (
                {"image": ["a.png", "b.png"], "mask": ["a.png", "b.png", "mask.png"]},
                "out",
                "has 2 photos, another has 3",
            ),
            ({"image": ["b.png", "b.jpg"]}, "out", r"b.png and b.jpg would both write b_\*; rename one"),
            ({"image": ["a.png"]}, "", "holds photos to be done; choose another folder"),
            ({"image": ["none.png"]}, "out", "does not exist"),
        ],
    )
    def test_mistakes(self, files, inputs, out, message):
        with pytest.raises(InputError, match=message):
            self.jobs(files, out=out, **inputs)

    def test_upload_names_are_plain_and_follow_the_content(self, files):
        odd = files / "Ünïcode (1) photo.PNG"
        odd.write_bytes(b"x")
        (job,) = self.jobs(files, image=[odd.name])
        assert job.photos["image"].upload_name == "-n-code-1-photo-2d711642b726.png"
