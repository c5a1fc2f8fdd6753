"""The run folder: one tuned model with everything that was measured on it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.errors import InputError, unknown
from calibrant.runs.files import RunFiles
from calibrant.runs.naming import family, file_name
from calibrant.runs.replacing import forget, put_aside, put_back
from calibrant.storage import read_json, write_json

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.data.registry import Data
    from calibrant.predictions import Predictions
    from calibrant.tuning.tuned_model import TunedModel

FORMAT = 1
TUNING, COMPLETE = "tuning", "complete"


class Run(RunFiles):
    """The folder of one tuned model.

    Args:
        path: the folder.
        record: what ``run.json`` says: status, model, data, method, seeds, versions, classes, templates, words.
    """

    def __init__(self, path: str | Path, record: Mapping[str, Any]) -> None:
        super().__init__(path)
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
            overwrite: replace a run that is already there; it stays beside the new one until that is safe, see `settle`
                and `discard`.

        Returns:
            The run, with status "tuning".

        Raises:
            InputError: if the folder is in use, or cannot be written.
        """
        path = Path(path)
        run = cls(path, {"format": FORMAT, "status": TUNING, **record})
        if refuse_occupied(path, overwrite=overwrite):
            run.record["replaces"] = _make_room(path)
        try:
            write_json(run.recipe_file, recipe)
            run.write_record()
        except InputError:
            run.discard()
            raise
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
        file = RunFiles(path).record_file
        if not file.is_file():
            raise InputError(f"{path} is not the folder of a run: it holds no {file.name}")
        record = read_json(file)
        if not isinstance(record, dict) or not {"status", "model", "data", "method"} <= set(record):
            raise InputError(f"{file} does not describe a run; was it edited?")
        if record.get("format") != FORMAT:
            raise InputError(f"{path} has format {record.get('format')}, this version of Calibrant reads {FORMAT}")
        run = cls(path, record)
        if not run.complete and not unfinished:
            raise InputError(f"the run in {path} is half-written; finish it with: {run.cure}")
        return run

    @property
    def cure(self) -> str:
        """The command that finishes a half-written run."""
        command = self.record.get("command")
        return f"{command} --resume" if command else f"tune(..., output='{self.path}', resume=True)"

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

    # ---- state -------------------------------------------------------------------------------------------------

    def write_record(self, **changes: Any) -> None:
        """Write ``run.json`` with some entries changed."""
        self.record.update(changes)
        write_json(self.record_file, self.record)

    def read_recipe(self) -> dict[str, Any]:
        """Read the resolved recipe."""
        recipe: dict[str, Any] = read_json(self.recipe_file)
        return recipe

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
        self.settle()
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
        from calibrant.runs.predicting import load_tuned_model

        if self._tuned is None:
            self._tuned = load_tuned_model(self, offline=offline)
        return self._tuned

    def settle(self) -> None:
        """Remove the run that this one replaces, now that there is something to go on from."""
        if (aside := self.record.get("replaces")) is not None:
            forget(self.path, aside)
            del self.record["replaces"]
            self.write_record()

    def discard(self) -> None:
        """Remove a run that failed before there was anything to go on from; what it was to replace comes back."""
        if self.complete or self.checkpoint_folder.exists():
            return
        if (aside := self.record.get("replaces")) is not None:
            put_back(self.path, aside)
        else:
            shutil.rmtree(self.path, ignore_errors=True)

    def open_data(self, name: str, options: Mapping[str, Any] | None = None) -> Data:
        """Open a data set, and the one that was tuned on (or another of its family) just as it was opened then.

        Images of another folder or manifest are read as those were that it was tuned on. Unless it says itself which
        images are for training, validation and test, all of them are test images. A manifest without any label lists
        images of none of the run's classes.

        Args:
            name: a name that `load_data` knows.
            options: for `load_data`, in place of those of the tuned data set; None values are left out.

        Returns:
            The data set.

        Raises:
            InputError: if it is unknown, or was tuned on as an object whose options are not known.
        """
        from calibrant.data.registry import load_data, load_for_testing

        own, given = self.record["data"], {key: one for key, one in (options or {}).items() if one is not None}
        if family(name) == family(own["name"]):
            if own["options"] is None:
                raise InputError(
                    f"the run in {self.path} was tuned on {name} as a loaded data set; give that data set again"
                )
            return load_data(name, **{**own["options"], **given})
        if not name.startswith(("folder:", "csv:")):
            return load_data(name, **given)
        bad = {key: one for key, one in (own["options"] or {}).items() if key == "on_bad_image"}
        return load_for_testing(name, self.classes, **{**self.image_options, **bad, **given})

    @property
    def image_options(self) -> dict[str, Any]:
        """How images are to be read, as those were that it was tuned on."""
        from calibrant.runs.opening import IMAGE_OPTIONS

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
        from calibrant.runs.predicting import predict_for_run

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

    def calibrators(self) -> dict[str, Calibrator]:
        """Read the stored calibrators, by name."""
        from calibrant import calibration

        files = sorted((self.path / "calibrators").glob("*"))
        return {file.stem: calibration.load(file) for file in files if file.suffix in (".json", ".safetensors")}

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
            One entry for every evaluation set, split and calibrator, as `calibrant.measuring.measure` gives them.
        """
        from calibrant.calibrate import NONE, usable
        from calibrant.measuring import measure

        known = self.calibrators()
        labelled = (stored for stored in self.predictions() if stored.labels is not None and stored.labels.max() >= 0)
        return [result for stored in labelled for result in measure(stored, {NONE: None, **usable(known, stored)})]


def refuse_occupied(path: Path, *, overwrite: bool = False) -> bool:
    """Refuse a place where no run can be started.

    Args:
        path: the folder that is to hold the run.
        overwrite: whether a run that is there may be replaced.

    Returns:
        Whether there is a run to replace.

    Raises:
        InputError: if it is a file, holds something else, or holds a run that must not be replaced.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; choose a folder for the run")
    if not path.is_dir() or not any(path.iterdir()):
        return False
    file = RunFiles(path).record_file
    if not file.is_file():
        raise InputError(f"{path} is not empty and is not the folder of a run; choose another output folder")
    if not overwrite:
        state = "a half-written run" if read_json(file).get("status") == TUNING else "a finished run"
        raise InputError(f"{path} already holds {state}; add --resume to continue it or --overwrite to replace it")
    return True


def _make_room(path: Path) -> str:
    """Put the run in a folder aside, or, if it has nothing to lose, the run that it was to replace itself."""
    files = RunFiles(path)
    record = read_json(files.record_file)
    if record.get("status") == TUNING and not files.checkpoint_folder.exists() and "replaces" in record:
        put_back(path, record["replaces"])
    return put_aside(path)
