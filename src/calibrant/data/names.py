"""From folder names to the words that a text tower should read, and the templates around them."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibrant.data.csv_table import read_table
from calibrant.errors import CalibrantWarning, InputError

DEFAULT_TEMPLATE = "a photo of a {}."
_CODE = re.compile(
    r"n\d{8}|[a-z]|(class|cls|label|category|cat|type|group|cluster|folder|id|no|c|k)[\s_.-]*\d+|(?=.*\d)[0-9a-f-]{8,}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ClassNames:
    """The class list of a data set.

    Args:
        labels: C labels as folders or manifests spell them, sorted; a class's position is its index.
        classes: C display names.
        words: display name to synonyms, for the classes that have several.
    """

    labels: list[str]
    classes: list[str]
    words: dict[str, tuple[str, ...]]


def name_classes(labels: Iterable[str], file: str | Path | None = None) -> ClassNames:
    """Turn labels into class names: underscores become spaces, and a table of names has the last word.

    Args:
        labels: labels as folders or manifests spell them; repeats are fine.
        file: a CSV file with the columns ``folder,words``; see `read_names`.

    Returns:
        The class list, sorted by label.

    Raises:
        InputError: if there are fewer than two classes, or a name is empty or occurs twice.

    Warns:
        CalibrantWarning: if names look like codes or numbers, or entries of the table fit no label.

    Example:
        >>> name_classes(["red_fox", "bee", "bee"]).classes
        ['bee', 'red fox']
    """
    distinct = sorted(set(labels))
    table = {} if file is None else read_names(file)
    if file is not None:
        _compare(table, distinct, Path(file))
    synonyms = [table.get(label) or (_spoken(label),) for label in distinct]
    classes = [words[0] for words in synonyms]
    _refuse_bad_names(distinct, classes)
    codes = [name for name in classes if looks_like_code(name)]
    if codes:
        shown = ", ".join(f"'{name}'" for name in codes[:3]) + (", ..." if len(codes) > 3 else "")
        warnings.warn(
            f"{len(codes)} of {len(classes)} class names look like codes or numbers ({shown}), which "
            "mean nothing to a text tower; give their words in a CSV file folder,words (--names names.csv)",
            CalibrantWarning,
            stacklevel=3,
        )
    return ClassNames(distinct, classes, {words[0]: words for words in synonyms if len(words) > 1})


def read_names(file: str | Path) -> dict[str, tuple[str, ...]]:
    r"""Read a table that gives the words for each folder.

    Args:
        file: a CSV file with the columns ``folder,words``; synonyms are separated by ``|``, the first one is
            displayed.

    Returns:
        Folder to words.

    Raises:
        InputError: naming the file and the line at fault.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "names.csv"
        >>> _ = path.write_text("folder,words\nn02084071,dog|domestic dog\n")
        >>> read_names(path)
        {'n02084071': ('dog', 'domestic dog')}
    """
    table = read_table(file, ["folder", "words"])
    names: dict[str, tuple[str, ...]] = {}
    for folder, words, line in zip(table.columns["folder"], table.columns["words"], table.lines, strict=True):
        split = tuple(_tidy(word) for word in words.split("|"))
        if not all(split):
            raise InputError(f"{file}, line {line}: a word between '|' is empty")
        if folder in names:
            raise InputError(f"{file}, line {line}: folder '{folder}' is listed twice")
        names[folder] = tuple(dict.fromkeys(split))
    return names


def looks_like_code(name: str) -> bool:
    """Say whether a class name is a code or a number rather than words.

    Args:
        name: a class name.

    Returns:
        True for names such as ``"n02084071"``, ``"class 3"``, ``"0017"`` and ``"B"``.

    Example:
        >>> [looks_like_code(name) for name in ("n02084071", "0017", "red fox", "Boeing 747")]
        [True, True, False, False]
    """
    return not any(map(str.isalpha, name)) or _CODE.fullmatch(name) is not None


def check_templates(templates: str | Sequence[str]) -> list[str]:
    """Check class prompts: each must have exactly one ``{}`` where the class name goes.

    Args:
        templates: one or several prompts.

    Returns:
        The templates as a list.

    Raises:
        InputError: naming the template at fault.

    Example:
        >>> check_templates("an X-ray showing {}.")
        ['an X-ray showing {}.']
    """
    listed = [templates] if isinstance(templates, str) else list(templates)
    if not listed:
        raise InputError(f"at least one template is needed, such as '{DEFAULT_TEMPLATE}'")
    for template in listed:
        rest = template.replace("{}", "", 1)
        if rest == template or "{" in rest or "}" in rest:
            raise InputError(f"template '{template}' must contain {{}} exactly once and no other braces")
    return listed


def _tidy(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def _spoken(label: str) -> str:
    return _tidy(label.replace("_", " "))


def _refuse_bad_names(labels: Sequence[str], classes: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for label, name in zip(labels, classes, strict=True):
        if not name:
            raise InputError(f"the class name of '{label}' is empty; rename it")
        other = seen.setdefault(name.casefold(), label)
        if other != label:
            raise InputError(f"'{other}' and '{label}' have the same class name, '{name}'; merge or rename one of them")
    if len(classes) < 2:
        found = f"there is a single class, '{classes[0]}'" if classes else "there is no class"
        raise InputError(f"{found}; at least two are needed")


def _compare(table: Mapping[str, tuple[str, ...]], labels: Sequence[str], file: Path) -> None:
    strange = [folder for folder in table if folder not in labels]
    if not strange:
        return
    shown = ", ".join(f"'{folder}'" for folder in strange[:3]) + (", ..." if len(strange) > 3 else "")
    if len(strange) == len(table):
        raise InputError(f"{file}: none of its folders ({shown}) is a class of the data ({', '.join(labels[:5])}, ...)")
    warnings.warn(f"{file}: {len(strange)} folders are no class of the data: {shown}", CalibrantWarning, stacklevel=4)
