"""Calibrators in files: JSON, or safetensors, where arrays are tensors and everything else is JSON beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.arrays import Array
from calibrant.errors import InputError
from calibrant.storage import atomic_write, digest, read_json, write_json

FORMAT = 2
KEY = "calibrant.calibrator"
KEYS = frozenset({"calibrator", "format", "parameters", "fitted"})
ARRAY = "array"  # {"array": number of the tensor} or {"array": its values, "dtype": ..., "shape": ...}


def write(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write the state of a calibrator, whole or not at all.

    Args:
        path: the file; safetensors if it ends in ``.safetensors``, otherwise JSON.
        state: as `Calibrator.state` gives it.

    Raises:
        InputError: if the file cannot be written.
    """
    if Path(path).suffix != ".safetensors":
        write_json(path, {**_listed(state), "format": FORMAT})
        return
    from safetensors.numpy import save_file

    head, arrays = split(state)
    text = json.dumps({**head, "format": FORMAT}, sort_keys=True, allow_nan=False)
    with atomic_write(path) as temporary:
        save_file(arrays, temporary, {KEY: text})


def read(path: str | Path, keys: Set[str] = KEYS, what: str = "a calibrator") -> dict[str, Any]:
    """Read the state of a calibrator, or of what is made of one.

    Args:
        path: a file that `write` wrote.
        keys: what must be there.
        what: what errors call it.

    Returns:
        The state that was written.

    Raises:
        InputError: if the file is missing, truncated, of another format, or holds something else.
    """
    content, arrays = _read_tensors(path) if Path(path).suffix == ".safetensors" else (read_json(path), {})
    if not isinstance(content, dict) or not keys <= content.keys():
        raise InputError(f"{path} does not hold {what}")
    if content["format"] != FORMAT:
        raise InputError(f"{path} has format {content['format']}, this Calibrant reads {FORMAT}; upgrade or fit again")
    try:
        state = _filled(content, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not hold {what}: an array is missing or broken ({error})") from error
    assert isinstance(state, dict)
    del state["format"]
    return state


def has_arrays(state: Mapping[str, Any]) -> bool:
    """Say whether there is an array in the state of a calibrator, so that safetensors is the better file."""
    return bool(split(state)[1])


def state_digest(state: Mapping[str, Any]) -> str:
    """Name the state of a calibrator by its SHA-256: 64 hexadecimal characters."""
    head, arrays = split(state)
    return digest(head, *arrays.values())


def split(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Take the arrays out of a state.

    Args:
        state: as `Calibrator.state` gives it.

    Returns:
        The state with ``{"array": key}`` in their place, and key to array.

    Example:
        >>> split({"fitted": {"weights_": np.zeros(2)}})
        ({'fitted': {'weights_': {'array': '0'}}}, {'0': array([0., 0.])})
    """
    arrays: dict[str, Array] = {}

    def without(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays[key := str(len(arrays))] = np.ascontiguousarray(value)
            return {ARRAY: key}
        if isinstance(value, Mapping):
            return {name: without(item) for name, item in value.items()}
        return [without(item) for item in value] if isinstance(value, list) else value

    head = without(state)
    return head, arrays


def _listed(value: Any) -> Any:
    """Write arrays as flat lists with their type and shape; JSON keeps every digit of a float64."""
    if isinstance(value, np.ndarray):
        return {ARRAY: value.ravel().tolist(), "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, Mapping):
        return {name: _listed(item) for name, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list) else value


def _filled(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, list):
        return [_filled(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {ARRAY}:
        return arrays[value[ARRAY]]
    if value.keys() == {ARRAY, "dtype", "shape"}:
        return np.array(value[ARRAY], dtype=value["dtype"]).reshape(value["shape"])
    return {name: _filled(item, arrays) for name, item in value.items()}


def _read_tensors(path: str | Path) -> tuple[Any, dict[str, Array]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            head = json.loads((file.metadata() or {}).get(KEY, "null"))
            return head, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, TypeError, ValueError) as error:
        raise InputError(f"{path} is truncated or no safetensors file of plain arrays: {error}") from error
