"""What every calibrator is and can do."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from calibrant.arrays import Float64, Int64, softmax
from calibrant.calibration import calibrator_file
from calibrant.errors import InputError, unknown
from calibrant.predictions import Predictions


class Calibrator(ABC):
    """A map from predictions to probabilities that is fitted on held-out predictions.

    There are two kinds, so that calibrators can be chained: a `LogitCalibrator` changes logits, a
    `ProbabilityCalibrator` ends in probabilities. A new one inherits from one of them, sets the class attributes and
    writes `_fit` and either `_logits` or `_probabilities`; `calibrant.calibration.registry` lists it by its name.

    A calibrator stores its parameters in the constructor and what it has learned under names that end in an
    underscore, as scikit-learn's estimators do, so `sklearn.clone` works on it.

    Attributes:
        name: what the registry, recipes and files call it.
        source: where it was published.
        keeps_argmax: whether the answers stay the same, and with them the accuracy.
        keeps_sample_order: whether samples stay in the order of their confidence.
        needs_labels: whether `fit` reads labels.
        reads: what it cannot be used without besides logits, by the names that `Predictions` gives it.
        transfers: whether it can be used on classes that it was not fitted on.
        fitted: the names of what it learns: numbers, strings, NumPy arrays, calibrators, lists and mappings of them.
        classes_: the class names that it was fitted on.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    keeps_argmax: ClassVar[bool]
    keeps_sample_order: ClassVar[bool]
    needs_labels: ClassVar[bool]
    transfers: ClassVar[bool]
    reads: ClassVar[tuple[str, ...]] = ()
    fitted: ClassVar[tuple[str, ...]] = ()

    classes_: list[str]

    @abstractmethod
    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        """Learn from predictions, which have been checked, and set what `fitted` names."""

    @abstractmethod
    def _probabilities(self, predictions: Predictions) -> Float64:
        """Give probabilities, float64 [N, C], rows of which sum to 1."""

    def fit(self, predictions: Any, labels: Any = None, *, shifted: Sequence[Predictions] = ()) -> Self:
        """Learn from held-out samples.

        Args:
            predictions: `Predictions`, or bare logits [N, C].
            labels: class indices [N], only beside bare logits.
            shifted: predictions of the same classes on shifted images; only calibrators that say so learn from them.

        Returns:
            The calibrator itself.

        Raises:
            InputError: if labels are needed and missing, outside the class list, or given twice; if shifted predictions
                have other classes; or if something else that the calibrator reads is missing.
        """
        if isinstance(predictions, Predictions):
            if labels is not None:
                raise InputError("labels were given twice: inside the predictions and beside them")
        else:
            predictions = Predictions(logits=predictions, labels=labels)
        for one in (predictions, *shifted):
            if not isinstance(one, Predictions):
                raise InputError(f"shifted takes a list of Predictions, not {type(one).__name__}")
            if not same_classes(one.classes, predictions.classes):
                raise InputError(f"calibrator '{self.name}': the shifted predictions have another class list")
            if self.needs_labels:
                given_labels(one, self.name)
        self.classes_ = list(predictions.classes)
        self._fit(predictions, shifted)
        return self

    def __call__(self, predictions: Predictions) -> Float64:
        """Calibrate predictions.

        Args:
            predictions: N samples, C classes.

        Returns:
            Probabilities, float64 [N, C]; rows sum to 1.

        Raises:
            InputError: if the calibrator is not fitted, was fitted on other classes and cannot be used for these, or
                reads something that is missing.
        """
        self._check_use(predictions)
        return self._probabilities(predictions)

    def predict_proba(self, logits: Any) -> Float64:
        """Calibrate bare logits.

        Args:
            logits: finite numbers [N, C].

        Returns:
            Probabilities, float64 [N, C]; rows sum to 1.

        Raises:
            InputError: if a logit is not finite, the calibrator is not fitted, or it reads more than logits.
        """
        return self(Predictions(logits=logits))

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # scikit-learn's signature
        """Give the parameters of the constructor.

        Args:
            deep: without effect: parameters of calibrators inside are not listed.

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
        """Write the fitted calibrator to a file that `calibrant.calibration.load` reads.

        Args:
            path: the file; if it ends in ``.safetensors``, arrays are stored as tensors, otherwise it is JSON.

        Raises:
            InputError: if the calibrator is not fitted or the file cannot be written.
        """
        self.check_fitted()
        calibrator_file.write(path, self.state())

    def state(self) -> dict[str, Any]:
        """Give all that makes up the calibrator.

        Returns:
            ``calibrator`` (its name), ``parameters``, ``classes`` (None before `fit`) and ``fitted`` (name to value);
            calibrators inside are given the same way.
        """
        return {
            "calibrator": self.name,
            "parameters": {name: _state_of(value) for name, value in self.get_params().items()},
            "classes": getattr(self, "classes_", None),
            "fitted": {name: _state_of(getattr(self, name)) for name in self.fitted if hasattr(self, name)},
        }

    def restore(self, learned: Mapping[str, Any], classes: Sequence[str]) -> None:
        """Take over what another calibrator of this kind has learned.

        Args:
            learned: value of every name in `fitted`.
            classes: the class names that it was fitted on.

        Raises:
            InputError: if a value is missing, unknown or impossible.
        """
        if set(learned) != set(self.fitted):
            raise InputError(f"calibrator '{self.name}' stores {list(self.fitted)}, not {list(learned)}")
        for name, value in learned.items():
            setattr(self, name, value)
        self.classes_ = list(classes)
        self._check_restored()

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({given})"

    def _check_restored(self) -> None:  # noqa: B027  # most have nothing to check
        """Refuse learned values that cannot be; a calibrator that learns something writes its own."""

    def check_fitted(self) -> None:
        """Refuse to go on unless the calibrator is fitted.

        Raises:
            InputError: if it is not.
        """
        if not all(hasattr(self, name) for name in ("classes_", *self.fitted)):
            raise InputError(f"{type(self).__name__} is not fitted; call fit(predictions) first")

    def _check_use(self, predictions: Predictions) -> None:
        self.check_fitted()
        if not self.transfers and not same_classes(self.classes_, predictions.classes):
            raise InputError(
                f"calibrator '{self.name}' knows only the {len(self.classes_)} classes that it was fitted on "
                f"({_begin(self.classes_)}) and cannot be used for {len(predictions.classes)} others "
                f"({_begin(predictions.classes)})"
            )


class LogitCalibrator(Calibrator):
    """A calibrator that changes logits, so that another one can follow; a new one writes `_logits`."""

    @abstractmethod
    def _logits(self, predictions: Predictions) -> Float64:
        """Give new logits, finite, float64 [N, C]."""

    def transform(self, predictions: Predictions) -> Predictions:
        """Change the logits of predictions.

        Args:
            predictions: N samples, C classes.

        Returns:
            The same samples with new logits, float64 [N, C]; everything else is kept.

        Raises:
            InputError: as for calling it.
        """
        self._check_use(predictions)
        return replace(predictions, logits=self._logits(predictions))

    def _probabilities(self, predictions: Predictions) -> Float64:
        return softmax(self._logits(predictions))


class ProbabilityCalibrator(Calibrator):
    """A calibrator that ends in probabilities, so that it can only be the last of a chain; it has `_probabilities`."""


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


def same_classes(one: Sequence[str], other: Sequence[str]) -> bool:
    """Compare two class lists; one that was only numbered, as that of bare logits, fits any of the same length.

    Example:
        >>> same_classes(["cat", "dog"], ["0", "1"]), same_classes(["cat", "dog"], ["dog", "cat"])
        (True, False)
    """
    if len(one) != len(other) or list(one) == list(other):
        return len(one) == len(other)
    return [str(i) for i in range(len(one))] in (list(one), list(other))


def _state_of(value: Any) -> Any:
    if isinstance(value, Calibrator):
        return value.state()
    if isinstance(value, list | tuple):
        return [_state_of(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _state_of(item) for name, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _begin(classes: Sequence[str]) -> str:
    return ", ".join(classes[:3]) + (", ..." if len(classes) > 3 else "")
