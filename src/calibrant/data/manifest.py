"""CSV manifests: one line per image, with its label and whatever else is known about it."""

from __future__ import annotations

from pathlib import Path

from calibrant.data.csv_table import Table, read_table
from calibrant.data.listing import LICENCE, LIMITS, SPLITS, Listing, as_split
from calibrant.errors import InputError, unknown

_RESERVED = ("content", "part")


def list_manifest(file: str | Path, name: str | None = None) -> Listing:
    r"""List the images of a CSV manifest.

    Columns: ``path`` (relative to the manifest's folder, or absolute) and ``label``; optional ``split``
        (train, val, valid,
    validation or test) and ``group`` (patient, lot, camera, day), which no split divides. All other columns
    are kept beside the predictions, as text.

    Args:
        file: the manifest, comma-separated UTF-8 with a header line.
        name: the data set's name; ``csv:`` and the path if None.

    Returns:
        The images, sorted by id; ids are the paths as the manifest gives them, with forward slashes.

    Raises:
        InputError: naming the file and the line or the column at fault.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "pets.csv"
        >>> _ = path.write_text("path,label,group\nb.png,cat,Anna\na.png,dog,Ben\n")
        >>> listing = list_manifest(path)
        >>> listing.ids, listing.labels, listing.columns
        (['a.png', 'b.png'], ['dog', 'cat'], {'group': ['Ben', 'Anna']})
    """
    file = Path(file)
    table = read_table(file, ["path", "label"], ["split", "group"])
    for reserved in _RESERVED:
        if reserved in table.columns:
            raise InputError(f"{file}: Calibrant fills a column '{reserved}' itself; give yours another name")
    if "group" in table.columns:
        table.require_values("group")
    columns = dict(table.columns)
    ids = [Path(text).as_posix() for text in columns.pop("path")]
    _refuse_repeats(table, ids)
    labels = columns.pop("label")
    splits = _splits(table, columns.pop("split")) if "split" in columns else None
    listing = Listing(
        name=name or f"csv:{file}",
        paths=[file.parent / text for text in ids],
        ids=ids,
        labels=labels,
        splits=splits,
        columns=columns,
        about={"source": str(file), "licence": LICENCE, "limits": LIMITS},
    )
    return listing.subset(sorted(range(len(ids)), key=ids.__getitem__))


def _splits(table: Table, texts: list[str]) -> list[str]:
    table.require_values("split")
    splits = []
    for text, line in zip(texts, table.lines, strict=True):
        split = as_split(text)
        if split is None:
            raise InputError(f"{table.file}, line {line}: {unknown('split', text, SPLITS)}")
        splits.append(split)
    return splits


def _refuse_repeats(table: Table, ids: list[str]) -> None:
    first: dict[str, int] = {}
    for name, line in zip(ids, table.lines, strict=True):
        other = first.setdefault(name, line)
        if other != line:
            raise InputError(f"{table.file}: '{name}' is listed twice, on lines {other} and {line}")
