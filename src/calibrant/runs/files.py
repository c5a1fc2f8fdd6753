"""The files of a run folder; this and `explained_files` are the places that know their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from calibrant.runs import tables
from calibrant.runs.explained_files import ExplainedFiles
from calibrant.runs.naming import file_name
from calibrant.runs.tables import Listed


class RunFiles:
    """Where the files of a run are, and its tables.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def record_file(self) -> Path:
        return self.path / "run.json"

    @property
    def recipe_file(self) -> Path:
        return self.path / "recipe.json"

    @property
    def weights_file(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def log_file(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def checkpoint_folder(self) -> Path:
        return self.path / "checkpoint"

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.csv"

    @property
    def near_duplicates_file(self) -> Path:
        return self.path / "near_duplicates.csv"

    @property
    def report_file(self) -> Path:
        return self.path / "report.html"

    def predictions_file(self, data: str, split: str) -> Path:
        return self.path / "predictions" / f"{file_name(data)}.{split}.safetensors"

    def metrics_file(self, data: str, split: str) -> Path:
        return self.path / "metrics" / f"{file_name(data)}.{split}.json"

    def calibrator_file(self, name: str, ending: str = ".json") -> Path:
        # names of calibrators, and the plus signs of a chain, are parts of file names everywhere
        return self.path / "calibrators" / f"{name}{ending}"

    def threshold_file(self, calibrator: str, risk: float) -> Path:
        return self.path / "thresholds" / f"{calibrator}.{risk:g}.json"

    def prior_file(self, name: str) -> Path:
        return self.path / "priors" / f"{name}.json"

    @property
    def right_reason_file(self) -> Path:
        return self.path / "right_reason.json"

    def explained_files(self, data: str, split: str, way: str) -> ExplainedFiles:
        return ExplainedFiles(self.path / "explained" / f"{file_name(data)}.{split}.{way}")

    def explained(self) -> Iterator[ExplainedFiles]:
        """Find what was explained, one evaluation set and explainer after another."""
        for folder in sorted((self.path / "explained").glob("*")):
            if (files := ExplainedFiles(folder)).measures_file.is_file():
                yield files

    # ---- tables -----------------------------------------------------------------------------------------------

    def write_manifest(self, rows: Sequence[Listed]) -> None:
        """Write all images of the data set, and which of them the run uses."""
        tables.write_manifest(self.manifest_file, rows)

    def read_manifest(self) -> list[Listed]:
        """Read all images of the data set, and which of them the run was tuned (train) and tried (validation) on."""
        return tables.read_manifest(self.manifest_file)

    def seen(self) -> dict[str, str]:
        """Tell which images the run has used, whatever they are called: content to "train" or "validation"."""
        return {row.content: row.split for row in self.read_manifest() if row.used and row.content}

    def write_near_duplicates(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Write the pairs of images that are nearly the same."""
        tables.write_near_duplicates(self.near_duplicates_file, rows)

    def near_duplicates(self) -> list[dict[str, str]]:
        """Read the pairs of images that are nearly the same.

        Returns:
            Rows with the keys ``first``, ``second`` (ids), ``first_split``, ``second_split``; none for a data set that
            was not searched for them.
        """
        file = self.near_duplicates_file
        return tables.read_near_duplicates(file) if file.is_file() else []

    def read_log(self) -> list[dict[str, Any]]:
        """Read what was logged in tuning; a line that a crash cut in half is left out."""
        return tables.read_rows(self.log_file)

    @contextmanager
    def open_log(self, after: tuple[int, int] | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """Open the log for writing.

        Args:
            after: stage and step from which tuning goes on; later lines are dropped. None starts anew.

        Yields:
            A function that writes one row.

        Raises:
            InputError: if the log cannot be written.
        """
        with tables.open_rows(self.log_file, after) as write:
            yield write
