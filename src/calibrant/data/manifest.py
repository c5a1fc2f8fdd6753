"""CSV manifests: one line per image, with its label and whatever else is known about it."""

from __future__ import annotations

from pathlib import Path

from calibrant.data.csv_table import Table, read_table
from calibrant.data.listing import ALL_TEST, LICENCE, LIMITS, SPLITS, Listing, as_split
from calibrant.data.masks.columns import COLUMNS, objects_of_table
from calibrant.errors import InputError, unknown

_RESERVED = ("content", "part")


def list_manifest(file: str | Path, name: str | None = None, *, all_test: bool = False) -> Listing:
    r"""List the images of a CSV manifest.

    Columns: ``path`` (relative to the manifest's folder, or absolute) and ``label``; optional ``split`` (train, val,
    valid, validation or test) and ``group`` (patient, lot, camera, day), which no split divides; ``mask``, ``polygon``
    and ``box`` say where the object is, see `calibrant.data.masks.columns`. All other columns are kept beside the
    predictions, as text. A test image without a label shows none of the classes.

    Args:
        file: the manifest, comma-separated UTF-8 with a header line.
        name: the data set's name; ``csv:`` and the path if None.
        all_test: whether all are test images where no column ``split`` says otherwise.

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
    table = read_table(file, ["path", "label"], ["split", "group", *COLUMNS], may_be_empty=["label"])
    for reserved in _RESERVED:
        if reserved in table.columns:
            raise InputError(f"{file}: Calibrant fills a column '{reserved}' itself; give yours another name")
    if "group" in table.columns:
        table.require_values("group")
    columns = {name: values for name, values in table.columns.items() if name not in COLUMNS}
    ids = [Path(text).as_posix() for text in columns.pop("path")]
    _refuse_repeats(table, ids)
    labels = columns.pop("label")
    about = {"source": str(file), "licence": LICENCE, "limits": LIMITS}
    splits = _splits(table, columns.pop("split")) if "split" in columns else None
    if splits is None and all_test:
        splits, about["split"] = ["test"] * len(ids), ALL_TEST
    _refuse_unlabelled(table, labels, splits)
    listing = Listing(
        name=name or f"csv:{file}",
        paths=[file.parent / text for text in ids],
        ids=ids,
        labels=labels,
        splits=splits,
        columns=columns,
        about=about,
        objects=objects_of_table(table),
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


def _refuse_unlabelled(table: Table, labels: list[str], splits: list[str] | None) -> None:
    """Let only test images be of none of the classes."""
    for i, line in enumerate(table.lines):
        if not labels[i] and (splits is None or splits[i] != "test"):
            raise InputError(
                f"{table.file}, line {line}: 'label' is empty; "
                "only an image whose 'split' is test may be of none of the classes"
            )


def _refuse_repeats(table: Table, ids: list[str]) -> None:
    first: dict[str, int] = {}
    for name, line in zip(ids, table.lines, strict=True):
        other = first.setdefault(name, line)
        if other != line:
            raise InputError(f"{table.file}: '{name}' is listed twice, on lines {other} and {line}")
