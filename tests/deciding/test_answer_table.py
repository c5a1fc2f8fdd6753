"""Tables of answers: whole rows, continued and never doubled."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from calibrant.classify import class_list, find_images
from calibrant.deciding.answer_table import COLUMNS, Row, open_table
from calibrant.errors import InputError

ENDINGS = (".csv", ".jsonl", ".parquet")


def row(name: str, **more: object) -> Row:
    return {"file": name, "answer": "Füchsin, rot", "confidence": 0.5, "made_by": "abc", **more}


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_come_back_across_calls(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"answers ü{ending}"
    first = open_table(file)
    assert list(first.read()) == []
    first.append([row("a b.png"), row('q"uote,.png', error="bad\nreason")])
    first.finish()
    second = open_table(file)
    assert [one["file"] for one in second.read()] == ["a b.png", 'q"uote,.png']
    second.append([row("c.png")])
    second.finish()
    rows = list(open_table(file).read())
    assert [one["file"] for one in rows] == ["a b.png", 'q"uote,.png', "c.png"]
    assert float(rows[0]["confidence"]) == 0.5
    assert {one["answer"] for one in rows} == {"Füchsin, rot"}
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_a_half_row_is_repaired_wherever_the_crash_cut_it(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"answers{ending}"
    table = open_table(file)
    table.append([row("a.png"), row("b.png")])
    whole = file.read_bytes()
    end_of_first = whole.rstrip(b"\n").rindex(b"\n") + 1
    for cut in range(end_of_first, len(whole)):
        file.write_bytes(whole[:cut])
        assert [one["file"] for one in open_table(file).read()] == ["a.png"], cut
        open_table(file).append([row("b.png")])
        assert file.read_bytes() == whole


def test_a_crash_inside_the_csv_header_is_repaired(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(",".join(COLUMNS)[:20])
    assert list(open_table(file).read()) == []
    open_table(file).append([row("a.png")])
    with open(file, newline="", encoding="utf-8") as opened:
        assert [one["file"] for one in csv.DictReader(opened)] == ["a.png"]


@pytest.mark.parametrize("text", ["patient,diagnosis\n1,x\n", "remember the milk"])
def test_a_csv_of_somebody_else_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(text)
    with pytest.raises(InputError, match="not a table that classify wrote"):
        list(open_table(file).read())
    assert file.read_text() == text


def test_a_json_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="line 1"):
        list(open_table(file).read())


def test_parquet_keeps_what_a_crash_left_waiting(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    open_table(file).append([row("a.png")])
    assert not file.exists()
    again = open_table(file)
    assert [one["file"] for one in again.read()] == ["a.png"]
    again.append([row("b.png")])
    again.finish()
    assert [one["file"] for one in open_table(file).read()] == ["a.png", "b.png"]


def test_json_lines_hold_all_columns(tmp_path: Path) -> None:
    open_table(tmp_path / "a.jsonl").append([row("a.png")])
    assert tuple(json.loads((tmp_path / "a.jsonl").read_text(encoding="utf-8"))) == COLUMNS


@pytest.mark.parametrize("name", ["a.txt", "a", "folder.csv"])
def test_other_endings_and_folders_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError):
        open_table(tmp_path / name)


def test_class_lists() -> None:
    assert class_list(["cat", "dog"], None, None) == ["cat", "dog"]
    assert class_list(["cat", "dog"], "ape, Bär", None) == ["ape", "Bär"]
    assert class_list(["cat", "dog"], None, ["fox"]) == ["cat", "dog", "fox"]
    assert class_list(["cat"], '"wolf, grey", ape', None) == ["wolf, grey", "ape"]
    for classes, add, message in [
        (None, "cat", "'cat' is there twice"),
        ("cat", None, "at least two"),
        ("cat,,dog", None, "empty"),
        ("", None, "empty|at least two"),
    ]:
        with pytest.raises(InputError, match=message):
            class_list(["cat", "dog"], classes, add)


def test_finding_images(tmp_path: Path) -> None:
    for name in ("b.PNG", "ä/a.jpg", "ä/notes.txt", "z.dat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = list(find_images([tmp_path, tmp_path / "z.dat", tmp_path / "b.PNG"]))
    assert found == [tmp_path / "b.PNG", tmp_path / "ä/a.jpg", tmp_path / "z.dat"]
    (tmp_path / "empty").mkdir()
    for place, message in ((tmp_path / "empty", "no image in"), (tmp_path / "absent", "no file or folder")):
        with pytest.raises(InputError, match=message):
            list(find_images([place]))
