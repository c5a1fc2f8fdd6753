"""Recipe files: YAML 1.2 scalars, the line of every key, and one-line errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from calibrant.errors import InputError
from calibrant.tuning.settings import Place


class _Loader(yaml.SafeLoader):
    """YAML with the scalars of version 1.2: ``1e-5`` is a number, ``no`` and ``on`` are words."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not used in recipes", problem_mark=mark)
        return super().compose_node(parent, index)


# without YAML 1.1's own, which the base class has
_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"),
    list("-+0123456789."),
)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def read_yaml(path: str | Path) -> tuple[dict[str, Any], dict[Place, int]]:
    """Read a recipe file.

    Args:
        path: the file.

    Returns:
        Its nested values, and the line of every key and list item by its place.

    Raises:
        InputError: if it cannot be read, is not YAML, or has a key twice; the file and the line are named.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    lines: dict[Place, int] = {}
    value = _parse(text, str(path), lines)
    if not isinstance(value, dict):
        raise InputError(f"{path}: a recipe is a list of 'key: value' lines")
    return value, lines


def read_value(text: str) -> Any:
    """Read one value as it would stand in a recipe, for ``--set KEY=VALUE``.

    Args:
        text: the value.

    Returns:
        A number, true or false, None, a list, a mapping or the words themselves.

    Example:
        >>> read_value("1e-5"), read_value("no"), read_value("[1, 2]"), read_value("null")
        (1e-05, 'no', [1, 2], None)
    """
    return _parse(text, "value", {})


def _parse(text: str, name: str, lines: dict[Place, int]) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return None if node is None else _value(loader, node, (), lines, name)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{name} line {line}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: not valid YAML: {str(error).splitlines()[0]}") from None
    finally:
        loader.dispose()


def _value(loader: _Loader, node: yaml.Node, place: Place, lines: dict[Place, int], name: str) -> Any:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*place, index)] = item.start_mark.line + 1
        return [_value(loader, item, (*place, index), lines, name) for index, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return loader.construct_object(node)
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, line = str(key_node.value), key_node.start_mark.line + 1
        if key in values:
            raise InputError(f"{name} line {line}: '{key}' is there twice")
        lines[(*place, key)] = line
        values[key] = _value(loader, value_node, (*place, key), lines, name)
    return values
