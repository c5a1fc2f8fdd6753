"""Predictions from any file: our own, or the logits of somebody else's model."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from calibrant.errors import InputError
from calibrant.predictions.named_fields import from_fields
from calibrant.predictions.predictions import Predictions
from calibrant.predictions.safetensors_file import read as read_safetensors
from calibrant.predictions.tables import read_csv, read_parquet


def read_npz(path: str | Path) -> Predictions:
    """Read predictions from a NumPy archive.

    Args:
        path: the ``.npz`` file: ``logits`` (or ``probabilities``) [N, C], ``labels`` [N] as class indices
            or as names out of ``classes``, any other field of `Predictions`, and columns [N] under names of
            their own.

    Returns:
        The predictions.

    Raises:
        InputError: naming the file and the field. Arrays of Python objects are refused: they would need
            pickle.
    """
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path} is a single array, not an .npz archive with a field 'logits'")
            arrays = {}
            for name in archive.files:
                try:
                    arrays[name] = archive[name]
                except ValueError as error:
                    raise InputError(
                        f"{path}: field '{name}' holds Python objects or is damaged; "
                        f"save it as numbers or strings ({error})"
                    ) from error
    except InputError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return from_fields(arrays, path)


READERS: dict[str, Callable[[str | Path], Predictions]] = {
    ".safetensors": read_safetensors,
    ".npz": read_npz,
    ".parquet": read_parquet,
    ".csv": read_csv,
}


def read_predictions(path: str | Path) -> Predictions:
    """Read predictions from a file of any supported kind, told by its ending.

    Args:
        path: ``.safetensors`` (written by `Predictions.save`), ``.npz``, ``.parquet`` or ``.csv``. Tables
            have a column ``logit:NAME`` per class (see `calibrant.predictions.tables`).

    Returns:
        The predictions.

    Raises:
        InputError: naming the file, if it is missing, and the field or column at fault.
        MissingExtra: if a Parquet file is given and pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "model.npz"
        >>> np.savez(file, logits=np.eye(3), labels=[0, 1, 1])
        >>> read_predictions(file).labels
        array([0, 1, 1])
    """
    if not Path(path).suffix and not Path(path).exists():
        raise InputError(f"there is no run and no file of predictions at {path}")
    ending = Path(path).suffix.lower()
    if ending not in READERS:
        raise InputError(f"cannot tell what {path} holds; predictions are read from {', '.join(READERS)} files")
    return READERS[ending](path)
