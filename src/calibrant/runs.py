"""The run folder: one tuned model with everything that was measured on it.

This is the one place that knows the names of the files in it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.errors import InputError, unknown
from calibrant.naming import family, file_name
from calibrant.run_tables import Seen, open_rows, read_rows, read_seen, write_seen
from calibrant.storage import read_json, write_json

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.data.registry import Data
    from calibrant.predictions import Predictions
    from calibrant.tuning.tuned_model import TunedModel

FORMAT = 1
TUNING, COMPLETE = "tuning", "complete"


class Run:
    """The folder of one tuned model.

    Args:
        path: the folder.
        record: what ``run.json`` says: status, model, data, method, seeds, versions, classes, templates, words.
    """

    def __init__(self, path: str | Path, record: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.record = dict(record)
        self._tuned: TunedModel | None = None

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {self.method} on {self.record['data']['name']}, {self.status})"

    # ---- making and finding ------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: str | Path,
        record: Mapping[str, Any],
        recipe: Mapping[str, Any],
        *,
        overwrite: bool = False,
    ) -> Run:
        """Start a run in a new folder.

        Args:
            path: the folder; it must be absent or empty.
            record: what ``run.json`` is to say besides format and status.
            recipe: the resolved recipe, as JSON.
            overwrite: remove a run that is already there.

        Returns:
            The run, with status "tuning".

        Raises:
            InputError: if the folder is in use, or cannot be written.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; choose a folder for the run")
        if path.is_dir() and any(path.iterdir()):
            _refuse_unless_replaceable(path, overwrite)
            shutil.rmtree(path)
        run = cls(path, {"format": FORMAT, "status": TUNING, **record})
        write_json(path / "recipe.json", recipe)
        run.write_record()
        return run

    @classmethod
    def load(cls, path: str | Path, *, unfinished: bool = False) -> Run:
        """Open the folder of a run.

        Args:
            path: the folder.
            unfinished: accept a run whose tuning has not finished.

        Returns:
            The run.

        Raises:
            InputError: if it is not the folder of a run, or its tuning has not finished.
        """
        path = Path(path)
        if not path.exists():
            raise InputError(f"there is no run at {path}")
        if not (path / "run.json").is_file():
            raise InputError(f"{path} is not the folder of a run: it holds no run.json")
        record = read_json(path / "run.json")
        if not isinstance(record, dict) or not {"status", "model", "data", "method"} <= set(record):
            raise InputError(f"{path / 'run.json'} does not describe a run; was it edited?")
        if record.get("format") != FORMAT:
            raise InputError(f"{path} has format {record.get('format')}, this version of Calibrant reads {FORMAT}")
        run = cls(path, record)
        if not run.complete and not unfinished:
            raise InputError(f"the run in {path} is half-written; finish it with: {run.cure}")
        return run

    @property
    def cure(self) -> str:
        """The command that finishes a half-written run."""
        return str(self.record.get("command") or f"calibrant tune ... --output '{self.path}'") + " --resume"

    @property
    def status(self) -> str:
        return str(self.record["status"])

    @property
    def complete(self) -> bool:
        return self.status == COMPLETE

    @property
    def method(self) -> str:
        return str(self.record["method"])

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def classes(self) -> list[str]:
        return list(self.record["classes"])

    @property
    def templates(self) -> list[str]:
        return list(self.record["templates"])

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(words) for name, words in self.record["words"].items()}

    # ---- files -------------------------------------------------------------------------------------------------

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
    def report_file(self) -> Path:
        return self.path / "report.html"

    def predictions_file(self, data: str, split: str) -> Path:
        return self.path / "predictions" / f"{file_name(data)}.{split}.safetensors"

    def metrics_file(self, data: str, split: str) -> Path:
        return self.path / "metrics" / f"{file_name(data)}.{split}.json"

    def calibrator_file(self, name: str) -> Path:
        return self.path / "calibrators" / f"{file_name(name)}.json"

    def write_record(self, **changes: Any) -> None:
        """Write ``run.json`` with some entries changed."""
        self.record.update(changes)
        write_json(self.path / "run.json", self.record)

    def read_recipe(self) -> dict[str, Any]:
        """Read the resolved recipe."""
        recipe: dict[str, Any] = read_json(self.path / "recipe.json")
        return recipe

    def write_manifest(self, rows: Sequence[Seen]) -> None:
        """Write which images the run was tuned ("train") and tried ("validation") on."""
        write_seen(self.manifest_file, rows)

    def read_manifest(self) -> list[Seen]:
        """Read which images the run was tuned and tried on."""
        return read_seen(self.manifest_file)

    def read_log(self) -> list[dict[str, Any]]:
        """Read what was logged in tuning; a line that a crash cut in half is left out."""
        return read_rows(self.log_file)

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
        with open_rows(self.log_file, after) as write:
            yield write

    def finish(self, tuned: TunedModel, seconds: float) -> None:
        """Store the tuned model, then mark the run as complete and drop its checkpoint.

        Args:
            tuned: the tuned model.
            seconds: how long tuning took.

        Raises:
            InputError: if the disk is full; the run can be resumed then.
        """
        tuned.save(self.weights_file)
        self._tuned = tuned
        with open(self.weights_file, "rb") as file:
            weights = hashlib.file_digest(file, "sha256").hexdigest()
        self.write_record(status=COMPLETE, weights=weights, seconds={"tuning": round(seconds, 1)})
        shutil.rmtree(self.checkpoint_folder, ignore_errors=True)

    # ---- model and predictions ---------------------------------------------------------------------------------

    def tuned_model(self, *, offline: bool = False) -> TunedModel:
        """Load the tuned model.

        Args:
            offline: never open a socket for the weights of the zero-shot model.

        Returns:
            The tuned model, with the zero-shot model in it.

        Raises:
            InputError: if the zero-shot model is not the one that was tuned.
        """
        from calibrant.predict import load_tuned_model

        if self._tuned is None:
            self._tuned = load_tuned_model(self, offline=offline)
        return self._tuned

    def discard(self) -> None:
        """Remove a run that failed before there was anything to continue."""
        if not self.complete and not self.checkpoint_folder.exists():
            shutil.rmtree(self.path)

    def open_data(self, name: str) -> Data:
        """Open a data set, and the one that was tuned on (or another of its family) just as it was opened then.

        Args:
            name: a name that `load_data` knows.

        Returns:
            The data set.

        Raises:
            InputError: if it is unknown, or was tuned on as an object whose options are not known.
        """
        from calibrant.data.registry import load_data

        own = self.record["data"]
        if family(name) != family(own["name"]):
            return load_data(name)
        if own["options"] is None:
            raise InputError(
                f"the run in {self.path} was tuned on {name} as a loaded data set; give that data set again"
            )
        return load_data(name, **own["options"])

    @property
    def image_options(self) -> dict[str, Any]:
        """How images are to be read, as those were that it was tuned on."""
        from calibrant.opening import IMAGE_OPTIONS

        options = self.record["data"]["options"] or {}
        return {key: options[key] for key in IMAGE_OPTIONS if key in options}

    def predict(self, data: str | Data | EvaluationSet, split: str = "test", **options: Any) -> Predictions:
        """Predict a split of a data set, or give what is stored if nothing has changed since.

        Args:
            data: a name that `load_data` knows, a loaded data set, or an evaluation set.
            split: "train", "validation" or "test".
            options: as for `calibrant.predict.predict`.

        Returns:
            The predictions, which are also stored in the run.

        Raises:
            InputError: if the data set is unknown or has no such split, or holds classes as new that were tuned on.
        """
        from calibrant.predict import predict_for_run

        return predict_for_run(self, data, split, **options)

    def predictions(self) -> Iterator[Predictions]:
        """Read the stored predictions, one evaluation set after another."""
        from calibrant.predictions import Predictions

        for file in sorted((self.path / "predictions").glob("*.safetensors")):
            yield Predictions.load(file)

    def stored(self, data: str, split: str) -> Predictions:
        """Read the stored predictions of one split.

        Raises:
            InputError: if there are none.
        """
        from calibrant.predictions import Predictions

        file = self.predictions_file(data, split)
        if not file.is_file():
            known = sorted(path.name.removesuffix(".safetensors") for path in file.parent.glob("*.safetensors"))
            raise unknown("stored predictions", f"{file_name(data)}.{split}", known)
        return Predictions.load(file)

    # ---- calibrators -------------------------------------------------------------------------------------------

    def save_calibrator(self, name: str, calibrator: Calibrator) -> Path:
        """Store a fitted calibrator in the run."""
        file = self.calibrator_file(name)
        calibrator.save(file)
        return file

    def calibrators(self) -> dict[str, Calibrator]:
        """Read the stored calibrators, by name."""
        from calibrant import calibration

        return {file.stem: calibration.load(file) for file in sorted((self.path / "calibrators").glob("*.json"))}

    def calibrator(self, name: str) -> Calibrator:
        """Read one stored calibrator.

        Raises:
            InputError: if the run has none of that name.
        """
        known = self.calibrators()
        if name not in known:
            raise unknown("calibrator in this run", name, known)
        return known[name]

    # ---- numbers -----------------------------------------------------------------------------------------------

    def summary(self) -> list[dict[str, Any]]:
        """Measure all stored predictions that have labels, without and with every stored calibrator.

        Returns:
            One entry for every evaluation set, split and calibrator, as `calibrant.evaluate.measure` gives them.
        """
        from calibrant.evaluate import NONE, measure

        calibrators = {NONE: None, **self.calibrators()}
        labelled = (stored for stored in self.predictions() if stored.labels is not None and stored.labels.max() >= 0)
        return [result for stored in labelled for result in measure(stored, calibrators)]


def _refuse_unless_replaceable(path: Path, overwrite: bool) -> None:
    if not (path / "run.json").is_file():
        raise InputError(f"{path} is not empty and is not the folder of a run; choose another output folder")
    if not overwrite:
        status = read_json(path / "run.json").get("status")
        state = "a half-written run" if status == TUNING else "a finished run"
        raise InputError(f"{path} already holds {state}; add --resume to continue it or --overwrite to replace it")
