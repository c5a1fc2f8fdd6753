"""The run folder: whole or recognisably half-written, and never lost by accident."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.errors import InputError
from calibrant.runs import COMPLETE, Run
from calibrant.runs.naming import file_name
from calibrant.runs.tables import Listed
from calibrant.storage import read_json

RECORD = {
    "command": "calibrant tune tiny folder:pets --output 'runs/ünï çode'",
    "model": {"name": "tiny", "fingerprint": "f"},
    "data": {"name": "folder:pets", "options": {}},
    "method": "coop",
    "classes": ["Straßenbahn", "red fox"],
    "templates": ["a photo of a {}."],
    "words": {"red fox": ["red fox", "fox"]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs with space" / "ünï çode"


def test_a_finished_run_comes_back_as_it_was(folder: Path) -> None:
    run = Run.create(folder, RECORD, {"name": "coop"})
    run.write_record(status=COMPLETE)
    back = Run.load(folder)
    assert back.record == run.record
    assert (back.method, back.name, back.classes) == ("coop", "ünï çode", ["Straßenbahn", "red fox"])
    assert back.words == {"red fox": ("red fox", "fox")}
    assert back.read_recipe() == {"name": "coop"}


def test_a_half_written_run_is_named_with_its_cure(folder: Path) -> None:
    Run.create(folder, RECORD, {})
    with pytest.raises(InputError, match=r"half-written; finish it with: calibrant tune tiny folder:pets .* --resume"):
        Run.load(folder)
    assert Run.load(folder, unfinished=True).status == "tuning"


def test_a_folder_in_use_is_refused_unless_it_may_be_replaced(folder: Path) -> None:
    run = Run.create(folder, RECORD, {})
    with pytest.raises(InputError, match=r"a half-written run; add --resume .* or --overwrite"):
        Run.create(folder, RECORD, {})
    run.write_record(status=COMPLETE)
    with pytest.raises(InputError, match="a finished run"):
        Run.create(folder, RECORD, {})
    (folder / "predictions").mkdir()
    replaced = Run.create(folder, {**RECORD, "method": "ft"}, {}, overwrite=True)
    assert (replaced.method, replaced.status) == ("ft", "tuning")
    assert sorted(os.listdir(folder)) == ["recipe.json", "run.json"]


@pytest.fixture
def replacing(folder: Path) -> Run:
    """A run that has just taken the place of a finished one."""
    Run.create(folder, RECORD, {}).write_record(status=COMPLETE, weights="dear")
    (folder / "weights.safetensors").write_bytes(b"dear")
    return Run.create(folder, {**RECORD, "method": "ft"}, {}, overwrite=True)


def test_what_is_replaced_stays_until_there_is_something_to_go_on_from(folder: Path, replacing: Run) -> None:
    assert len(os.listdir(folder.parent)) == 2
    assert Run.load(folder, unfinished=True).method == "ft"
    replacing.settle()
    assert os.listdir(folder.parent) == [folder.name]
    assert "replaces" not in Run.load(folder, unfinished=True).record


def test_what_is_replaced_comes_back_if_tuning_fails(folder: Path, replacing: Run) -> None:
    # as after a kill: what is known is what was written
    Run.load(folder, unfinished=True).discard()
    assert os.listdir(folder.parent) == [folder.name]
    assert Run.load(folder).record["weights"] == "dear"
    assert (folder / "weights.safetensors").read_bytes() == b"dear"


def test_what_is_replaced_outlives_a_second_attempt(folder: Path, replacing: Run) -> None:
    again = Run.create(folder, {**RECORD, "method": "flyp"}, {}, overwrite=True)
    assert len(os.listdir(folder.parent)) == 2
    again.discard()
    assert Run.load(folder).record["weights"] == "dear"


def test_a_checkpoint_is_never_discarded(folder: Path, replacing: Run) -> None:
    replacing.checkpoint_folder.mkdir()
    replacing.discard()
    assert Run.load(folder, unfinished=True).method == "ft"


def test_a_full_disk_at_the_start_brings_it_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run.create(folder, RECORD, {}).write_record(status=COMPLETE)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="No space left on device"):
            Run.create(folder, RECORD, {}, overwrite=True)
    assert os.listdir(folder.parent) == [folder.name]
    assert Run.load(folder).complete


def test_what_is_no_run_is_never_removed(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and is not the folder of a run"):
        Run.create(folder, RECORD, {}, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "mine"


def test_an_empty_folder_is_fine_and_a_file_is_not(tmp_path: Path) -> None:
    assert Run.create(tmp_path, RECORD, {}).status == "tuning"
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        Run.create(tmp_path / "file", RECORD, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no run.json"),
        ("{", "not valid JSON"),
        ("[]", "does not describe a run"),
        ('{"status": "complete"}', "does not describe a run"),
        ('{"status": "complete", "model": {}, "data": {}, "method": "", "format": 99}', "has format 99"),
    ],
)
def test_loading_says_what_is_wrong(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match=message):
        Run.load(tmp_path)


def test_loading_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run at"):
        Run.load(tmp_path / "absent")


def test_the_manifest_keeps_any_name(folder: Path) -> None:
    rows = [
        Listed('a, "b"/ü.png', "00ff", "train", "Straßenbahn", used=True),
        Listed("line\nbreak.png", "11", "validation", "x", used=True),
        Listed("spare.png", "", "train", "x", used=False),
    ]
    run = Run.create(folder, RECORD, {})
    run.write_manifest(rows)
    assert run.read_manifest() == rows
    assert run.manifest_file.read_text(encoding="utf-8").splitlines()[0] == "path,content,split,label,used"
    assert run.seen() == {"00ff": "train", "11": "validation"}


def test_near_duplicates_are_kept_with_the_run(folder: Path) -> None:
    run = Run.create(folder, RECORD, {})
    assert run.near_duplicates() == []
    rows = [{"first": 'a,"b".png', "second": "ü.png", "first_split": "train", "second_split": "test"}]
    run.write_near_duplicates(rows)
    assert Run.load(folder, unfinished=True).near_duplicates() == rows


def test_tables_of_another_kind_are_named(folder: Path) -> None:
    run = Run.create(folder, RECORD, {})
    with pytest.raises(InputError, match="No such file"):
        run.read_manifest()
    run.manifest_file.write_text("id,content\n")
    assert run.read_manifest() == []
    run.manifest_file.write_text("id,content\na,b\n")
    with pytest.raises(InputError, match=r"manifest\.csv: it has no column 'path'"):
        run.read_manifest()


def test_a_log_line_that_a_crash_cut_is_left_out(folder: Path) -> None:
    run = Run.create(folder, RECORD, {})
    assert run.read_log() == []
    run.log_file.write_text('{"step": 1}\n{"step": 2}\n{"st', encoding="utf-8")
    assert run.read_log() == [{"step": 1}, {"step": 2}]


def test_a_full_disk_leaves_the_last_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create(folder, RECORD, {})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        run.write_record(status=COMPLETE)
    assert read_json(folder / "run.json")["status"] == "tuning"
    assert sorted(os.listdir(folder)) == ["recipe.json", "run.json"]


def test_missing_predictions_and_calibrators_are_named(folder: Path) -> None:
    run = Run.create(folder, RECORD, {})
    with pytest.raises(InputError, match=r"unknown stored predictions 'emoji-new\.test'"):
        run.stored("emoji/new", "test")


@given(st.text(max_size=60), st.text(max_size=60))
def test_file_names_are_safe_and_differ_when_the_names_do(one: str, other: str) -> None:
    name = file_name(one)
    assert name
    assert not set(name) & set('/\\:*?"<>|\0')
    assert len(name) <= 50 or "/" in one or one.islower()
    assert (file_name(one) == file_name(other)) == (one == other) or "-" in one + other
