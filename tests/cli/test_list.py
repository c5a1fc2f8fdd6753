"""`calibrant list methods`: everything a method is, at any width."""

from __future__ import annotations

import json
from typing import Any

import pytest

from calibrant.tuning.recipe import list_recipes


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_the_table_of_methods_fits_and_cuts_no_name(
    calibrant: Any, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = calibrant("list", "methods").stdout
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    words = set(text.split())
    for row in list_recipes():
        assert row["name"] in words
        assert words.issuperset(f"@{version}" for version in row["versions"])
        assert words.issuperset([*row["regularizers"], *row["averaging"]])
    assert "CUDA, MPS, FSDP, fp16: written, not run." in text
    assert "promptkd: not built." in text


def test_remarks_and_papers_come_with_all_or_a_name(calibrant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    short, text = calibrant("list", "methods").stdout, calibrant("list", "methods", "--all").stdout
    assert text.startswith(short.rpartition("Papers and remarks: ")[0])
    assert all(row["paper"]["url"] in text for row in list_recipes() if row["paper"])
    assert not any(remark in short for row in list_recipes() for remark in row["remarks"])
    one = calibrant("list", "methods", "promptsrc").stdout
    (row,) = [row for row in list_recipes() if row["name"] == "promptsrc"]
    assert all(part in one for part in (row["about"], row["paper"]["url"], *row["remarks"]))
    assert json.loads(calibrant("list", "calibrators", "vector", "--json").stdout)[0]["kind"] == "logits"
    wrong = calibrant("list", "methods", "promtsrc")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)
    assert "did you mean 'promptsrc'" in wrong.stderr
    remarks = [remark for row in list_recipes() for remark in row["remarks"]]
    assert remarks
    assert all(remark in text for remark in remarks)
    # what no code was seen to do is said once for all methods, and marked where the paper reports it
    assert "+dor: published code has it on coop, cocoop and maple; elsewhere its attachment is inferred" in text
    marked = {row["name"] for row in list_recipes() if any("+dor is a reconstruction" in one for one in row["remarks"])}
    assert marked == {"kgcoop", "dept", "tcp", "promptsrc", "coprompt"}


def test_methods_as_json(calibrant: Any) -> None:
    rows = {row["name"]: row for row in json.loads(calibrant("list", "methods", "--json").stdout)}
    assert not rows["promptkd"]["built"]
    carot = rows["carot"]
    assert carot["built"]
    assert "squared" in carot["versions"]
    assert (carot["objective"], carot["paper"]["year"]) == ("contrastive", 2024)
    assert carot["regularizers"] == ["orthogonality", "cross_projection_norm", "self_distillation"]
    assert {"trains", "averaging", "works_for_new_classes", "verified", "ran_on", "remarks", "profiles"} <= set(carot)
    assert carot["not_run"] == ["CUDA", "MPS", "FSDP", "fp16"]
