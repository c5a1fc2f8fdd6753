"""`calibrant study`: many runs from one file, done once, resumed, refused all at once."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from calibrant.runs import Run

PLAN = """\
model: {model}
data: "folder:{pictures}"
methods:
  - zero-shot
  - method: coop
    name: CoOp, short
    set: {{solver.steps: {steps}, solver.epochs: null, solver.batch_size: 8, solver.views: 1}}
shots: [5]
seeds: [1, 2]
calibrators: [temperature]
"""


@pytest.fixture
def write_plan(model: Path, pictures: Path, tmp_path: Path) -> Any:
    def write(text: str = PLAN, steps: int = 3) -> Path:
        file = tmp_path / "ein plan.yaml"
        file.write_text(text.format(model=model, pictures=pictures, steps=steps), encoding="utf-8")
        return file

    return write


def run(calibrant: Any, plan: Path, code: int = 0) -> dict[str, Any]:
    result = calibrant("study", plan, "--json", "--workers", "2")
    assert result.exit_code == code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_cells_are_run_once_and_measured_as_by_hand(calibrant: Any, write_plan: Any) -> None:
    found = run(calibrant, write_plan())
    assert (found["run"], found["already_there"], found["failed"]) == (4, 0, {})
    assert found["folder"] == "studies/ein plan"
    rows = json.loads(calibrant("study", "show", found["folder"], "--json").stdout)
    assert len(rows) == 4 * 2
    for folder in Path(found["folder"], "runs").iterdir():
        for one in Run.load(folder).summary():
            if one["split"] != "test":
                continue
            (row,) = [
                row
                for row in rows
                if f"seed-{row['seed']}" in folder.name
                and row["method"][:4] == folder.name[:4]
                and row["calibrator"] == one["calibrator"]
            ]
            for name in ("accuracy", "ece", "nll"):
                assert row[name] == pytest.approx(one["measures"][name]["value"], abs=1e-12)
    again = run(calibrant, write_plan())
    assert (again["run"], again["already_there"]) == (0, 4)

    # only what has changed is done again, and a cell whose result was lost goes on from its run
    changed = run(calibrant, write_plan(steps=4))
    assert (changed["run"], changed["already_there"]) == (2, 2)
    lost = next(Path(found["folder"], "cells").glob("zero-shot*"))
    before = lost.read_text(encoding="utf-8")
    lost.unlink()
    assert run(calibrant, write_plan(steps=4))["run"] == 1
    rows_of = [json.loads(text)["rows"] for text in (before, lost.read_text(encoding="utf-8"))]
    assert rows_of[0] == rows_of[1]

    rows = json.loads(calibrant("study", "show", found["folder"], "--json").stdout)
    table = calibrant("study", "show", found["folder"], "--metrics", "ece", "--format", "csv").stdout
    (line, *_) = csv.DictReader(io.StringIO(table))
    of_line = [row["ece"] for row in rows if (row["method"], row["calibrator"]) == (line["method"], line["calibrator"])]
    assert float(line["ece least"]) == pytest.approx(min(of_line))
    assert int(line["seeds"]) == 2
    assert calibrant("study", "show", found["folder"]).stdout.startswith("| data | method |")
    assert r"\toprule" in calibrant("study", "show", found["folder"], "--format", "latex").stdout


def test_a_cell_that_fails_is_named_and_stops_no_other(calibrant: Any, write_plan: Any) -> None:
    many = PLAN.replace("shots: [5]", "shots: [5, 500]").replace("seeds: [1, 2]", "seeds: [1]")
    found = run(calibrant, write_plan(many), code=1)
    assert found["run"] == 2
    assert len(found["failed"]) == 2
    assert all("500-shots" in name and "500" in reason for name, reason in found["failed"].items())


def test_everything_wrong_is_said_at_once_with_its_line(calibrant: Any, write_plan: Any) -> None:
    wrong = PLAN.replace("- zero-shot", "- zero-shoot").replace("[temperature]", "[temperatur]")
    wrong = wrong.replace("solver.views: 1", "solver.vews: 1")
    result = calibrant("study", write_plan(wrong))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    said = result.stderr.split("ein plan.yaml ")[1:]
    assert [one.partition(":")[0] for one in said] == ["line 4", "line 5", "line 10"]
    assert "did you mean 'zero-shot'" in said[0]
    assert "vews" in said[1]
    assert "did you mean 'temperature'" in said[2]
    assert not Path("studies").exists()
    unknown = calibrant("study", write_plan(PLAN + "sedes: [1]\n"))
    assert (unknown.exit_code, unknown.stderr.count("\n")) == (2, 1)
    assert "line 11: unknown setting 'sedes'; did you mean 'seeds'?" in unknown.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [(["show"], "name the folder"), (["show", "nowhere"], "there is no table"), (["no.yaml"], "cannot read no.yaml")],
)
def test_bad_input_gets_one_line(calibrant: Any, words: list[str], said: str) -> None:
    result = calibrant("study", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr


def test_the_example_of_the_page_can_be_run(tmp_path: Path) -> None:
    from calibrant.studies.cells import cells_of
    from calibrant.studies.plan import read_plan

    page = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
    file = tmp_path / "shifts.yaml"
    file.write_text(re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)[0], encoding="utf-8")
    cells = cells_of(read_plan(file))
    assert len(cells) == len({cell.name for cell in cells}) == 4 * 3
