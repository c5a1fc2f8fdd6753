"""What a calibrator reads besides logits, and one line that says so where it is missing."""

from __future__ import annotations

from calibrant.arrays import Array
from calibrant.errors import InputError
from calibrant.predictions import Predictions


def needed_fields(predictions: Predictions, fields: tuple[str, ...], name: str) -> list[Array]:
    """Give arrays of predictions that a calibrator cannot do without.

    Args:
        predictions: what it is to calibrate.
        fields: which arrays, by the names that `Predictions` gives them.
        name: the calibrator, for the error.

    Returns:
        The arrays, in that order.

    Raises:
        InputError: if one is missing; the line names all that are.

    Example:
        >>> bare = Predictions(logits=[[1.0, 0.0]])
        >>> needed_fields(bare, ("zero_shot_logits",), "cac")
        Traceback (most recent call last):
        calibrant.errors.InputError: calibrator 'cac' needs zero_shot_logits, which these predictions lack; ...
    """
    missing = [field for field in fields if getattr(predictions, field) is None]
    if missing:
        raise InputError(
            f"calibrator '{name}' needs {', '.join(missing)}, which these predictions lack; predict with a run, "
            "which stores them, or give them to Predictions(...)"
        )
    return [getattr(predictions, field) for field in fields]
