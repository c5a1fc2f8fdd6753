"""What every calibrator is and can do."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_matrix
from calibrant.errors import InputError, unknown
from calibrant.predictions import Predictions
from calibrant.storage import write_json

FORMAT = 1


class Calibrator(ABC):
    """A map from logits to probabilities that is fitted on held-out predictions.

    A calibrator stores its parameters in the constructor and what it has learned under names that end in an
    underscore, as scikit-learn's estimators do, so `sklearn.clone` works on it. A new one sets the class
    attributes and writes `_fit` and `_probabilities`; `calibrant.calibration.registry` lists it by its name.

    Attributes:
        name: what the registry, recipes and files call it.
        source: where it was published.
        keeps_argmax: whether the answers stay the same, and with them the accuracy.
        transfers: whether it can be used on classes that it was not fitted on.
        needs_labels: whether `fit` reads labels.
        fitted: the names of what it learns.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    keeps_argmax: ClassVar[bool]
    transfers: ClassVar[bool]
    needs_labels: ClassVar[bool]
    fitted: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def _fit(self, predictions: Predictions) -> None:
        """Learn from predictions, which have been checked, and set what `fitted` names."""

    @abstractmethod
    def _probabilities(self, logits: Array) -> Float64:
        """Map finite logits [N, C] to probabilities, float64 [N, C]."""

    def fit(self, predictions: Any, labels: Any = None) -> Self:
        """Learn from held-out samples.

        Args:
            predictions: `Predictions`, or bare logits [N, C].
            labels: class indices [N], only beside bare logits.

        Returns:
            The calibrator itself.

        Raises:
            InputError: if labels are needed and missing, outside the class list, or given twice.
        """
        if isinstance(predictions, Predictions):
            if labels is not None:
                raise InputError("labels were given twice: inside the predictions and beside them")
        else:
            predictions = Predictions(logits=predictions, labels=labels)
        if self.needs_labels:
            given_labels(predictions, self.name)
        self._fit(predictions)
        return self

    def __call__(self, predictions: Predictions) -> Float64:
        """Calibrate predictions.

        Args:
            predictions: N samples, C classes.

        Returns:
            Probabilities, float64 [N, C]; rows sum to 1.

        Raises:
            InputError: if the calibrator is not fitted.
        """
        self._check_fitted()
        return self._probabilities(predictions.logits)

    def predict_proba(self, logits: Any) -> Float64:
        """Calibrate bare logits.

        Args:
            logits: finite numbers [N, C].

        Returns:
            Probabilities, float64 [N, C]; rows sum to 1.

        Raises:
            InputError: if a logit is not finite or the calibrator is not fitted.
        """
        self._check_fitted()
        return self._probabilities(as_matrix(logits, "logits"))

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # scikit-learn's signature
        """Give the parameters of the constructor.

        Args:
            deep: without effect, there are no nested calibrators here.

        Returns:
            Name to value.
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters of the constructor.

        Args:
            parameters: name to value.

        Returns:
            The calibrator itself.

        Raises:
            InputError: if there is no such parameter.
        """
        for name, value in parameters.items():
            if name not in self.get_params():
                raise unknown(f"parameter of {type(self).__name__}", name, self.get_params())
            setattr(self, name, value)
        return self

    def save(self, path: str | Path) -> None:
        """Write the fitted calibrator to a JSON file, which `calibrant.calibration.load` reads.

        Args:
            path: the file.

        Raises:
            InputError: if the calibrator is not fitted or the file cannot be written.
        """
        self._check_fitted()
        learned = {name: getattr(self, name) for name in self.fitted}
        write_json(
            path,
            {"calibrator": self.name, "format": FORMAT, "parameters": self.get_params(), "fitted": learned},
        )

    def restore(self, learned: Mapping[str, Any]) -> None:
        """Take over what another calibrator of this kind has learned.

        Args:
            learned: value of every name in `fitted`, as `save` wrote it.

        Raises:
            InputError: if a value is missing, unknown or impossible.
        """
        if set(learned) != set(self.fitted):
            raise InputError(f"calibrator '{self.name}' stores {list(self.fitted)}, not {list(learned)}")
        for name, value in learned.items():
            setattr(self, name, value)
        self._check_restored()

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({given})"

    def _check_restored(self) -> None:  # noqa: B027  # most have nothing to check
        """Refuse learned values that cannot be; a calibrator that learns something writes its own."""

    def _check_fitted(self) -> None:
        if not all(hasattr(self, name) for name in self.fitted):
            raise InputError(f"{type(self).__name__} is not fitted; call fit(predictions) first")


def given_labels(predictions: Predictions, name: str) -> Int64:
    """Give the labels of predictions that must have them, every one a class.

    Args:
        predictions: what to fit on.
        name: the calibrator, for the error.

    Returns:
        int64 [N], from 0 to C - 1.

    Raises:
        InputError: if there are none, or a sample belongs to none of the classes.
    """
    labels = predictions.labels
    if labels is None:
        raise InputError(f"calibrator '{name}' is fitted on labelled predictions, and these have no labels")
    outside = np.flatnonzero(labels < 0)
    if len(outside):
        raise InputError(
            f"calibrator '{name}' needs a class for every sample, "
            f"but {len(outside)} belong to none, first row {outside[0]}"
        )
    return labels
