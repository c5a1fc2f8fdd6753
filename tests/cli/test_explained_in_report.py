"""What the report reads of the folder of a run that was explained."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from calibrant.rationality.judgements import settings_digest
from calibrant.report import results
from calibrant.runs import Run

JUDGED = {"reviewers": ["Ann"], "images": 3, "measures": {}, "agreement": []}


@pytest.fixture
def run(finished: Path, tmp_path: Path, new_pictures: Path, calibrant: Any) -> Run:
    """A run of which twelve other pictures were explained, without masks."""
    folder = Path(shutil.copytree(finished, tmp_path / "mein lauf"))
    result = calibrant("explain", folder, "--data", f"folder:{new_pictures}", "--offline")
    assert result.exit_code == 0, result.stderr
    return Run.load(folder)


def measured(run: Run) -> dict[str, Any]:
    (files,) = run.explained()
    found: dict[str, Any] = json.loads(files.measures_file.read_text(encoding="utf-8"))
    return found


def change(run: Run, **changed: Any) -> None:
    (files,) = run.explained()
    files.measures_file.write_text(json.dumps(measured(run) | changed), encoding="utf-8")


def test_numbers_pictures_and_judgements_are_those_of_the_folder(run: Run) -> None:
    (files,) = run.explained()
    (one,) = results(run).explained
    kept = measured(run)
    assert (one.n, one.masks, one.judged) == (12, False, None)
    assert [model.model for model in one.models] == ["tuned", "zero-shot"]
    assert one.tuned.measures["accuracy"].value == kept["models"][0]["accuracy"]
    assert [base64.b64decode(picture.source.partition(",")[2]) for picture in one.pictures] == [
        (files.pictures_folder / picture["file"]).read_bytes() for picture in kept["pictures"]
    ]
    judged = {**JUDGED, "settings": settings_digest(kept["settings"])}
    files.judgements_file.write_text(json.dumps(judged), encoding="utf-8")
    assert results(run).explained[0].judged == judged
    # maps that were made anew since have not been judged
    change(run, settings=kept["settings"] | {"score": "margin"})
    assert results(run).explained[0].judged is None


def test_only_test_images_are_reported(run: Run) -> None:
    change(run, split="validation")
    found = results(run)
    assert (list(found.explained), [line for line in found.warnings if "explain" in line]) == ([], [])


def test_what_is_of_other_weights_is_left_out_with_a_warning(run: Run) -> None:
    change(run, settings=measured(run)["settings"] | {"weights": "of another tuning"})
    found = results(run)
    assert list(found.explained) == []
    (line,) = [line for line in found.warnings if "other weights" in line]
    assert "attention-gradient" in line
    assert "explain it again" in line


def test_what_has_masks_comes_first(run: Run) -> None:
    kept = measured(run) | {"data": "zz", "masks": True}
    (files,) = run.explained()
    later = Path(shutil.copytree(files.path, files.path.with_name("zz.test.attention-gradient")))
    (later / "measures.json").write_text(json.dumps(kept), encoding="utf-8")
    assert [one.masks for one in results(run).explained] == [True, False]
