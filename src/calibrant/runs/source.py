"""Where stored predictions and their calibrators are taken from: a run, or a file from anywhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.calibrate import NONE, usable
from calibrant.errors import CalibrantWarning, InputError
from calibrant.measuring import about
from calibrant.runs.seen import seen

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.predictions import Predictions
    from calibrant.runs import Run


@dataclass(frozen=True)
class Source:
    """A run or a file of predictions.

    Args:
        name: its path.
        run: the run, or None for a file.
    """

    name: str
    run: Run | None

    @classmethod
    def of(cls, given: str | Path | Run) -> Source:
        """Open a run, its folder, or a file of predictions, which is not read yet."""
        from calibrant.runs import Run

        if isinstance(given, Run):
            return cls(str(given.path), given)
        return cls(str(given), Run.load(given) if Path(given).is_dir() else None)

    def predictions(
        self, data: str | None, split: str, data_options: Mapping[str, Any] | None, offline: bool
    ) -> Iterator[Predictions]:
        """Give the predictions of a data set, or all there are of a split.

        Args:
            data: for a run, the data set to predict; None for all that is stored.
            split: for a run, the split.
            data_options: for `load_data`.
            offline: never open a socket.

        Yields:
            Predictions.

        Raises:
            InputError: if there are none.
        """
        from calibrant.predictions import read_predictions

        if self.run is None:
            if data is not None:
                raise InputError(f"--data needs a run to predict with, and {self.name} is a file of predictions")
            yield read_predictions(self.name)
        elif data is not None:
            yield self.run.predict(data, split, data_options=data_options, offline=offline)
        else:
            stored = [one for one in self.run.predictions() if about(one, "split") == split and one.labels is not None]
            if not stored:
                raise InputError(f"{self.name} holds no predictions of a {split} split; name one with --data")
            yield from stored

    def same_set(
        self, stored: Predictions, data: str | None, data_options: Mapping[str, Any] | None, offline: bool
    ) -> Predictions | None:
        """Find the predictions of the set that others were made of.

        Args:
            stored: the others.
            data: for a run, the data set to predict; None to take what is stored.
            data_options: for `load_data`.
            offline: never open a socket.

        Returns:
            The predictions, or None if a run has none.
        """
        from calibrant.predictions import read_predictions

        if self.run is None:
            return read_predictions(self.name)
        name, split = about(stored, "data"), about(stored, "split")
        if data is not None:
            return self.run.predict(data, split, data_options=data_options, offline=offline)
        return self.run.stored(name, split) if name and self.run.predictions_file(name, split).is_file() else None

    def calibrators(self, chosen: str | None, stored: Predictions) -> dict[str, Calibrator | None]:
        """Give calibrators by name.

        Args:
            chosen: a file, one of the run's by name, ``"none"``, or None for none and all that the run has.
            stored: the predictions that they are for.

        Returns:
            Name to calibrator, or to None for probabilities as they are.

        Raises:
            InputError: if there is no such calibrator.
        """
        if chosen is None:
            return {NONE: None, **(usable(self.run.calibrators(), stored) if self.run is not None else {})}
        if chosen == NONE:
            return {NONE: None}
        from calibrant import calibration

        if Path(chosen).is_file():
            return {Path(chosen).stem: calibration.load(chosen)}
        if self.run is None:
            raise InputError(f"there is no calibrator file {chosen}")
        return {chosen: self.run.calibrator(chosen)}

    def count_seen(self, stored: Predictions, allowed: bool) -> int:
        """Count the images that were tuned on.

        Args:
            stored: the predictions.
            allowed: whether there may be any; there is a warning then.

        Returns:
            How many.

        Raises:
            InputError: if there are any, and they are not allowed.
        """
        found = None if self.run is None else seen(self.run, stored)
        if found is None or found.count == 0:
            return 0
        if not allowed:
            raise InputError(f"{found}, which would flatter the model; leave them out, or add --allow-seen")
        warnings.warn(f"{found}: these numbers flatter the model", CalibrantWarning, stacklevel=3)
        return found.count
