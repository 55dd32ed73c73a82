"""What a batch works on, and where its results go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import autodir_core as ad
from autodir_core.batch.planning.item import Item, check_source
from autodir_core.batch.planning.names import keep_names
from autodir_core.batch.planning.plan import Selection, plan_items
from autodir_core.batch.planning.sources import TABLE_START


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sub-folders with a picture of the same name, and what is no picture."""
    for name in ("a/1.png", "a/10.jpg", "a/2.bmp", "b/1.png", "b/notes.doc"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def names(items: list[Item]) -> list[str]:
    return [item.name for item in items]


def test_sub_folders_names_and_formats_are_kept(folder: Path, tmp_path: Path) -> None:
    items = plan_items([str(folder)], tmp_path / "out")
    assert names(items) == ["a/1.png", "a/2.png", "a/10.jpg", "b/1.png"], "what cannot be written becomes PNG"
    assert names(plan_items([str(folder / "a")], tmp_path / "out", ".webp")) == ["1.webp", "2.webp", "10.webp"]


def test_results_below_the_input_are_no_pictures_of_the_next_run(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out/old.png").touch()
    assert "out/old.png" not in names(plan_items([str(folder)], folder / "out"))


def test_results_of_others_are_no_pictures(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Unless someone wants them: as an INPUT, or by a line of a list."""
    (folder / "done/a").mkdir(parents=True)
    (folder / "done/batch.csv").write_bytes(TABLE_START)
    (folder / "done/a/1.png").touch()
    assert "done/a/1.png" not in names(plan_items([str(folder)], tmp_path / "out"))
    assert f"{folder / 'done'} holds the results of a batch" in caplog.text
    caplog.clear()
    (tmp_path / "list.txt").write_text("in/a/1.png\nin/done/a/1.png\n")
    assert names(plan_items([str(tmp_path / "list.txt")], tmp_path / "out")) == ["in/a/1.png", "in/done/a/1.png"]
    assert names(plan_items([str(folder / "done")], tmp_path / "out")) == ["a/1.png"]
    assert "done/a/1.png" not in names(plan_items([str(folder)], folder / "done"))
    assert "holds the results" not in caplog.text, "whose OUT it is knows"


def test_names_once_given_stay() -> None:
    """Whoever joins or leaves: within a folder and a format, and but for a folder that has that name now."""
    bmp, gif = Item(Path("/in/a.bmp"), "a.bmp.png", copy="a.bmp"), Item(Path("/in/a.gif"), "a.gif.png", copy="a.gif")
    known = {str(Path("/in/a.bmp").absolute()): "a.png"}
    assert names(keep_names([bmp, gif], known)) == ["a.png", "a.gif.png"]
    for name in ("b/a.png", "a.tif"):
        assert names(keep_names([Item(bmp.source, name)], known)) == [name]
    assert names(keep_names([bmp, Item(Path("/in/a.png/1.png"), "a.png/1.png")], known))[0] == "a.bmp.png"
    twins = [Item(Path("/in/A.bmp"), "a.png", copy="a.png"), Item(bmp.source, "a_2.png", copy="a_2.png")]
    kept = keep_names(twins, known)
    assert names(kept) == ["a_3.png", "a.png"] and [item.copy for item in kept] == ["a_3.png", "a.png"]


def test_wildcards_and_lists(folder: Path, tmp_path: Path) -> None:
    assert names(plan_items([str(folder / "a" / "*.png")], tmp_path / "out")) == ["1.png"]
    listed = folder / "some.txt"
    listed.write_text(f"a/10.jpg\n\n{folder / 'b' / '1.png'}\n", encoding="utf-8")
    assert names(plan_items([str(listed)], tmp_path / "out")) == ["a/10.jpg", "1.png"]
    listed.write_text("b\na/2.*\na/gone.jpg\n", encoding="utf-8")
    assert names(plan_items([str(listed)], tmp_path / "out")) == ["b/1.png", "a/2.png", "a/gone.jpg"]


def test_each_folder_that_a_wildcard_matches_is_taken_like_one_that_is_given(folder: Path, tmp_path: Path) -> None:
    for name in ("a/deep/3.png", "b/film.mp4", "4.png", ".thumbs/5.png", "none/notes.doc"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "b/1.png").unlink()
    found = names(plan_items([str(folder / "*")], tmp_path / "out"))
    assert found == ["4.png", "1.png", "2.png", "10.jpg", "deep/3.png", "film.mp4"]
    given = [str(folder / name) for name in ("4.png", "a", "b")]
    assert found == names(plan_items(given, tmp_path / "out")), "as a shell gives them"
    whole = names(plan_items([str(folder / "**")], tmp_path / "out"))
    assert sorted(whole) == sorted(names(plan_items([str(folder)], tmp_path / "out"))), "the outermost one counts"


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_may_be_of_any_editor(folder: Path, tmp_path: Path, code: str) -> None:
    odd = "a/\u2028é.png"  # a line separator to Unicode, part of a name to a file system
    (folder / odd).touch()
    (folder / "some.txt").write_text(f"{odd}\r\nb/1.png\r\n", encoding=code)
    assert names(plan_items([str(folder / "some.txt")], tmp_path / "out")) == [odd, "b/1.png"]


@pytest.mark.parametrize("content", [b"a/1.png\0b/1.png\0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"])
def test_what_is_no_list_is_one_line(folder: Path, tmp_path: Path, content: bytes) -> None:
    (folder / "some.txt").write_bytes(content)
    with pytest.raises(
        ad.InputError, match=r"some.txt holds zero bytes, so it is no list of paths; give .* a path a line"
    ):
        plan_items([str(folder / "some.txt")], tmp_path / "out")


def bad_lines(folder: Path) -> list[str]:
    """What is in a list by mistake, and has no picture."""
    (folder / "link.png").symlink_to("nowhere")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "locked").mkdir(mode=0)
    return ["link.png", "empty", "pipe.png", f"{'x' * 300}.png", "locked/1.png", f"a/{'y' * 2000}/1.png", "gone/1.png"]


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are POSIX")
def test_a_bad_line_of_a_list_is_a_picture_that_fails(folder: Path, tmp_path: Path) -> None:
    bad = bad_lines(folder)
    (folder / "some.txt").write_text("\n".join(["a/1.png", *bad, "b"]), encoding="utf-8")
    items = plan_items([str(folder / "some.txt")], tmp_path / "out")
    assert [item.source for item in items] == [folder / name for name in ["a/1.png", *bad, "b/1.png"]]
    assert names(items)[:3] == ["a/1.png", "link.png", "empty.png"]
    for item in items[1:-1]:
        with pytest.raises(ad.InputError, match=r"^[^\n]*/(link|empty|pipe|xxx|locked|a|gone)[^\n]*$"):
            check_source(item.source_path)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are POSIX")
def test_what_a_wildcard_finds_and_is_no_file_is_a_picture_that_fails(folder: Path, tmp_path: Path) -> None:
    bad_lines(folder)
    (folder / "1.png").touch()
    found = names(plan_items([str(folder / "*.png")], tmp_path / "out"))
    assert found == ["link.png", "pipe.png", "1.png"]
    assert names(plan_items([str(folder / "link.png")], tmp_path / "out")) == ["link.png"], "as where a shell found it"


def test_an_output_that_leads_in_a_circle_is_no_reason_to_fail(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert len(plan_items([str(folder / "a")], tmp_path / "circle")) == 3


def test_two_pictures_never_write_one_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ad.InputError, match=r"would both write 1\.png"):
        plan_items([str(folder / "a/1.png"), str(folder / "b/1.png")], tmp_path / "out")
    given = [str(folder / "b"), str(folder / "b/1.png"), str(folder)]
    assert names(plan_items(given, tmp_path / "out")) == ["1.png", "a/1.png", "a/2.png", "a/10.jpg"], "each file once"


def test_names_that_become_alike_keep_their_suffixes(folder: Path, tmp_path: Path) -> None:
    for name in ("a/2.gif", "a/10.png"):
        (folder / name).touch()
    items = plan_items([str(folder / "a")], tmp_path / "out")
    assert names(items) == ["1.png", "2.bmp.png", "2.gif.png", "10.jpg", "10.png"]
    assert [item.copy for item in items] == ["1.png", "2.bmp", "2.gif", "10.jpg", "10.png"]
    (folder / "a/2.png").touch()
    assert "2.png" in names(plan_items([str(folder / "a")], tmp_path / "out")), "one that need not change does not"
    forced = plan_items([str(folder / "a")], tmp_path / "out", ".jpg")
    assert names(forced)[-2:] == ["10.jpg", "10.png.jpg"] and not any(item.copy for item in forced)


@pytest.mark.parametrize("name", ["batch.csv", "Batch.HTML", "batch.sqlite-wal"])
def test_a_folder_named_like_a_file_of_the_batch_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    """Else the run ends when that is written, after all the work."""
    for place in (folder / "a" / name, folder / name):
        place.mkdir()
        (place / "1.png").touch()
    with pytest.raises(ad.InputError, match=rf"/{name}/1\.png would write .*; rename the folder"):
        plan_items([str(folder)], tmp_path / "out")
    (folder / name / "1.png").unlink()
    assert f"a/{name}/1.png" in names(plan_items([str(folder)], tmp_path / "out")), "deeper it is in nobody's way"


def test_a_result_never_has_the_name_of_a_folder(folder: Path, tmp_path: Path) -> None:
    for name in ("in/a/2.png/x/1.jpg", "more/1.png/a.png", "more/2.bmp/a.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    items = {item.name: item.copy for item in plan_items([str(folder)], tmp_path / "out")}
    assert items["a/2.bmp.png"] == "a/2.bmp" and items["a/2.png/x/1.jpg"]
    assert "a/2.jpg" in names(plan_items([str(folder)], tmp_path / "out", ".jpg")), "nothing is in its way"
    given = [str(folder / "b/1.png"), str(folder / "a/2.bmp"), str(tmp_path / "more")]
    items = {item.name: item.copy for item in plan_items(given, tmp_path / "out")}
    assert items == {"1_2.png": "1_2.png", "2.png": "", "1.png/a.png": "1.png/a.png", "2.bmp/a.png": "2.bmp/a.png"}


def test_names_that_differ_by_case_alone(folder: Path, tmp_path: Path) -> None:
    try:
        (folder / "b/1.PNG").touch(exist_ok=False)
    except FileExistsError:
        pytest.skip("the disk does not tell them apart")
    assert sorted(names(plan_items([str(folder / "b")], tmp_path / "out"))) in (
        ["1.PNG", "1_2.png"],
        ["1.png", "1_2.PNG"],
    )


def test_a_number_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    for name in ("A.jpg", "a.jpg", "a_2.jpg"):
        (tmp_path / name).touch()
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("the disk does not tell them apart")
    assert sorted(names(plan_items([str(tmp_path)], tmp_path / "out"))) in (
        [["A.jpg", "a_2.jpg", "a_3.jpg"], ["a.jpg", "a_2.jpg", "A_3.jpg"]]
    )


def test_missing_files_of_one_name_are_a_row_each(tmp_path: Path) -> None:
    listed = tmp_path / "some.txt"
    listed.write_text(f"{tmp_path}/one/x.png\n{tmp_path}/two/x.png\n", encoding="utf-8")
    found = names(plan_items([str(listed)], tmp_path / "out"))
    assert [name[-9:] for name in found] == ["one/x.png", "two/x.png"] and not found[0].startswith("/")


def test_a_list_names_folders_with_brackets(folder: Path, tmp_path: Path) -> None:
    (folder / "f[x]").mkdir()
    (folder / "f[x]/1.png").touch()
    (folder / "some.txt").write_text("b/1.png\nf[x]/1.png\n", encoding="utf-8")
    assert names(plan_items([str(folder / "some.txt")], tmp_path / "out")) == ["b/1.png", "f[x]/1.png"]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ad.InputError, match="an INPUT is empty"):
        plan_items([""], tmp_path / "out")
    with pytest.raises(ad.InputError, match="does not exist"):
        plan_items([str(tmp_path / "nowhere")], tmp_path / "out")


def test_an_input_is_no_place_for_results(folder: Path) -> None:
    with pytest.raises(ad.InputError, match="whose files are results; choose another output folder"):
        plan_items([str(folder)], folder)


def test_shards_share_everything_once() -> None:
    items = [Item(Path(str(i)), str(i)) for i in range(11)]
    shares = [Selection(every=2, shard=(i, 3)).choose(items) for i in (1, 2, 3)]
    assert sorted(int(name) for share in shares for name in names(share)) == [0, 2, 4, 6, 8, 10]
    assert names(Selection(limit=2).choose(items)) == ["0", "1"]
    with pytest.raises(ad.InputError, match=r"i in 1\.\.n"):
        Selection(shard=(4, 3))
