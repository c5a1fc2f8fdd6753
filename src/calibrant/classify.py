"""Name what is in a user's images: stream, continue, go on past bad files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from calibrant.deciding.answer_table import TOP, AnswerTable, Row, open_table
from calibrant.deciding.decisions import Decider, decider_of
from calibrant.deciding.illustrated import illustrator_of, refuse_pictures
from calibrant.errors import InputError
from calibrant.storage import digest

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator, Costs, Prior
    from calibrant.deciding.prevalence import AssumedPrior
    from calibrant.predictions import Predictions
    from calibrant.rationality.illustrating import Illustrator
    from calibrant.rationality.way import Way
    from calibrant.runs import Run
    from calibrant.tuning.tuned_model import TunedModel

ESTIMATE_ON = 10_000  # images at most; more hardly change class frequencies


def classify(
    run: str | Path | Run,
    images: Sequence[str | Path],
    to: str | Path,
    *,
    classes: str | Sequence[str] | None = None,
    add_classes: str | Sequence[str] | None = None,
    calibrator: str | None = None,
    abstain: float | None = None,
    costs: str | Path | Costs | None = None,
    prior: AssumedPrior | None = None,
    none_of_these: str | None = None,
    keep_known: float = 0.95,
    explain: str | Path | None = None,
    way: Way | None = None,
    batch_size: int = 64,
    offline: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Classify images into a table, with calibrated confidence.

    Images that are already in the table are not done again; a file that cannot be read gets a row with the reason.
    To have such a file tried again, remove its row.

    Args:
        run: the run or its folder.
        images: folders (searched for image files, sub-folders included) and files.
        to: the table to write or to continue: ``.csv``, ``.jsonl`` or ``.parquet``.
        classes: names to choose from instead of the tuned ones; a list, or one text with commas.
        add_classes: names to choose from besides.
        calibrator: a calibrator file, one of the run's by name, or ``"none"``; by default the run's, fitted on its
            validation predictions if there is none yet.
        abstain: the share of answers that may be wrong, such as 0.05. The column ``verdict`` then says ``answer``, or
            ``unsure`` below the confidence that keeps this promise with 95 % certainty on the validation images.
        costs: what answers and asking a human cost, or a file of it (see `calibrant.calibration.read_costs`). The
            column ``verdict`` then says ``answer`` or ``ask``, ``decision`` the cheapest class and ``expected_cost``
            what it is expected to cost.
        prior: frequencies of some classes among these images, as text ``"defect=0.02"`` or class name to frequency (the
            others share the rest), or ``"estimate"`` to estimate all of them on the images first, which are then read
            twice. Confidence is corrected for it, before any threshold.
        none_of_these: a score of `calibrant.calibration.familiarity.SCORES`. The column ``verdict`` then says ``none of
            these`` of images that look like none of the classes.
        keep_known: the share of images of the classes that is not to be called so; the threshold of the score is fitted
            for it on the validation images.
        explain: a folder, outside those of the images, in which a picture of every image is written, with a heat map of
            what speaks for the answer. The columns ``overlay`` and ``evidence`` name it and say whether the map points
            anywhere; a run that has learnt it (see `calibrant.explain.explain`) adds ``right_reason``, how sure it is
            that the answer is right and rests on the object.
        way: how to explain, by default the attention gradient of the last block.
        batch_size: images at a time.
        offline: never open a socket.
        progress: show a progress bar.

    Returns:
        How many images were ``classified``, ``already_there`` and ``unreadable``, and what is wrong with the
        ``first_unreadable``; with `abstain` or `costs` also how many ``unsure`` or to ``ask`` about, and under
        ``evidence`` what is known of these decisions; with `none_of_these` how many are ``none of these``, with `prior`
        the class frequencies under ``prior``; with `explain` the folder under ``overlays``.

    Raises:
        InputError: if run, images, table, classes, calibrator, costs, prior, score or explainer cannot be used, or no
            confidence keeps the promise of `abstain`.
    """
    from calibrant.calibrate import calibrator_digest, calibrator_of
    from calibrant.calibration import PriorCorrection
    from calibrant.deciding.prevalence import prior_record, prior_sentence
    from calibrant.deciding.unknown_images import known_images
    from calibrant.runs import Run

    refuse_pictures(explain, way, images)
    run = run if isinstance(run, Run) else Run.load(run)
    names = class_list(run.classes, classes, add_classes)
    chosen = calibrator_of(run, calibrator, names, offline=offline)
    files = list(find_images(images))
    streaming: dict[str, Any] = {"size": batch_size, "progress": progress}
    assumed = None if prior is None else _prior(run, prior, names, chosen, files, offline, **streaming)
    known = None if none_of_these is None else known_images(run, none_of_these, keep_known, offline=offline)
    decider = decider_of(run, chosen, names, abstain=abstain, costs=costs, prior=assumed, known=known, offline=offline)
    if assumed is not None:
        chosen = PriorCorrection(chosen, assumed)
    illustrator = illustrator_of(run, explain, way, chosen, names, offline=offline)
    beside = [one for one in (decider, illustrator) if one is not None]
    table = open_table(to, [column for one in beside for column in one.columns])
    made_of = [one.identity() for one in beside]
    made_by = digest(run.record["weights"], names, run.templates, calibrator_digest(chosen), *made_of)[:12]
    done = _done_before(table, made_by, to)
    waiting = [file for file in files if str(file) not in done]
    result: dict[str, Any] = {"classified": 0, "already_there": len(files) - len(waiting), "unreadable": 0}
    result |= dict.fromkeys(() if decider is None else decider.handed_on, 0)
    if waiting:
        answerer = _Answerer(run.tuned_model(offline=offline), names, chosen, run.image_options, decider, illustrator)
        for rows in map(answerer.rows, _batches(waiting, **streaming)):
            table.append([{**row, "made_by": made_by} for row in rows])
            _count(rows, result)
    table.finish()
    if explain is not None:
        result["overlays"] = str(explain)
    if assumed is not None:
        result["prior"] = {"says": prior_sentence(assumed), **prior_record(run, assumed)}
    return result if decider is None else {**result, "evidence": decider.says()}


def _prior(
    run: Run,
    given: AssumedPrior,
    names: list[str],
    calibrator: Calibrator,
    files: Sequence[Path],
    offline: bool,
    **streaming: Any,
) -> Prior:
    """Take the class frequencies that are given, or estimate them on the images."""
    from calibrant.deciding.prevalence import stored_prior

    sample = evenly(files, ESTIMATE_ON)

    def estimate_on() -> npt.NDArray[np.float64]:
        asked = _Answerer(run.tuned_model(offline=offline), names, calibrator, run.image_options)
        return asked.all_probabilities(_batches(sample, **streaming))

    made_of = [names, [_stamp(file) for file in sample]]
    return stored_prior(run, given, names, calibrator, estimate_on, made_of=made_of, offline=offline)


def _count(rows: Sequence[Row], counts: dict[str, Any]) -> None:
    """Add a batch to the counts of answers, unreadable files and verdicts."""
    for row in rows:
        if row.get("error") and not counts["unreadable"]:
            counts["first_unreadable"] = row["error"]
        counts["unreadable" if row.get("error") else "classified"] += 1
        if row.get("verdict") in counts:
            counts[row["verdict"]] += 1


def class_list(tuned: Sequence[str], classes: str | Sequence[str] | None, add: str | Sequence[str] | None) -> list[str]:
    """Build the class list to choose from.

    Args:
        tuned: the class names of the run.
        classes: names that replace them, or None.
        add: names that are added, or None.

    Returns:
        At least two names, each once.

    Raises:
        InputError: if a name is empty or there twice, or there are fewer than two.

    Example:
        >>> class_list(["cat", "dog"], None, "fox, 'wolf, grey'")
        ['cat', 'dog', 'fox', 'wolf, grey']
    """
    names = [*(tuned if classes is None else split_names(classes)), *split_names(add or [])]
    for position, name in enumerate(names):
        if not name:
            raise InputError("a class name is empty; write --classes 'cat, dog'")
        if name in names[:position]:
            raise InputError(f"class '{name}' is there twice")
    if len(names) < 2:
        raise InputError(f"there must be at least two classes to choose from, not only '{', '.join(names)}'")
    return names


def split_names(names: str | Sequence[str]) -> list[str]:
    """Split names at commas; a name with a comma stands in quotes.

    Example:
        >>> split_names("a, b")
        ['a', 'b']
    """
    if not isinstance(names, str):
        return [name.strip() for name in names]
    quote = '"' if '"' in names else "'"
    row = next(csv.reader([names], skipinitialspace=True, quotechar=quote), [])
    return [name.strip() for name in row]


def find_images(places: Sequence[str | Path]) -> Iterator[Path]:
    """Find image files, folder by folder in alphabetical order.

    Args:
        places: files, which are taken whatever their name, and folders; hidden files in folders are ignored.

    Yields:
        Paths that begin as the places were written, each once.

    Raises:
        InputError: if a place does not exist, or a folder holds no image or cannot be read.
    """
    from calibrant.data.folder import find_images as images_in

    seen: set[Path] = set()
    for place in map(Path, places):
        if place.is_dir():
            found, _ = images_in(place)
            if not found:
                raise InputError(f"there is no image in {place}")
        elif place.exists():
            found = [place]
        else:
            raise InputError(f"there is no file or folder {place}")
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


class _Answerer:
    """A tuned model, a class list, a calibrator, what decides on its answers and draws them: paths in, rows out."""

    def __init__(
        self,
        model: TunedModel,
        names: list[str],
        calibrator: Calibrator,
        image_options: dict[str, Any],
        decider: Decider | None = None,
        illustrator: Illustrator | None = None,
    ) -> None:
        self.model, self.names, self.calibrator = model, names, calibrator
        self.image_options, self.decider, self.illustrator = image_options, decider, illustrator

    def rows(self, files: Sequence[Path]) -> list[Row]:
        """Classify a batch; a file that cannot be read becomes a row with the reason."""
        pixels, readable, reasons = [], [], {}
        for file in files:
            read = self._read(file)
            if isinstance(read, str):
                reasons[file] = read
            else:
                pixels.append(read)
                readable.append(file)
        answered = iter(self._answered(readable, pixels)) if pixels else iter(())
        return [
            {"file": str(file), "error": reasons[file]} if file in reasons else {"file": str(file), **next(answered)}
            for file in files
        ]

    def all_probabilities(self, batches: Iterable[Sequence[Path]]) -> npt.NDArray[np.float64]:
        """Give calibrated probabilities [N, C] for all images that can be read."""
        tables = []
        for files in batches:
            pixels = [read for read in map(self._read, files) if not isinstance(read, str)]
            if pixels:
                tables.append(self.calibrator(self._predict(pixels)))
        if not tables:
            raise InputError("none of the images can be read, so no class frequencies can be estimated on them")
        return np.concatenate(tables)

    def _read(self, file: Path) -> npt.NDArray[np.uint8] | str:
        """Read an image, or say why not."""
        from calibrant.data.images import read_image

        try:
            return read_image(file, **self.image_options)
        except (InputError, OSError) as error:
            return " ".join(str(error).split())

    def _predict(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> Predictions:
        from calibrant.predict import answer

        compared = "zero_shot_logits" in self.calibrator.reads
        return answer(self.model, pixels, self.names, zero_shot=compared)

    def _answered(self, files: Sequence[Path], pixels: Sequence[npt.NDArray[np.uint8]]) -> list[Row]:
        predictions = self._predict(pixels)
        tables = self.calibrator(predictions)
        rows = [self._likeliest(table) for table in tables]
        if self.decider is not None:
            rows = [{**row, **more} for row, more in zip(rows, self.decider.rows(predictions, tables), strict=True)]
        if self.illustrator is not None:
            drawn = self.illustrator.rows(files, pixels, tables.argmax(axis=1), tables.max(axis=1), self.names)
            rows = [{**row, **more} for row, more in zip(rows, drawn, strict=True)]
        return rows

    def _likeliest(self, probabilities: npt.NDArray[np.float64]) -> Row:
        row: Row = {}
        for rank, index in enumerate(np.argsort(-probabilities, kind="stable")[:TOP], start=1):
            ending = "" if rank == 1 else f"_{rank}"
            row[f"answer{ending}"] = self.names[index]
            row[f"confidence{ending}"] = round(float(probabilities[index]), 6)
        return row


def evenly(files: Sequence[Path], most: int) -> list[Path]:
    """Choose files evenly from a list, all of them if there are no more than `most`.

    Example:
        >>> [str(file) for file in evenly([Path("a"), Path("b"), Path("c"), Path("d"), Path("e")], 3)]
        ['a', 'c', 'e']
    """
    if len(files) <= most:
        return list(files)
    return [files[i] for i in np.linspace(0, len(files) - 1, most).round().astype(np.int64)]


def _stamp(file: Path) -> list[Any]:
    known = file.stat()
    return [str(file), known.st_size, known.st_mtime_ns]


def _done_before(table: AnswerTable, made_by: str, to: str | Path) -> set[str]:
    done = set()
    for row in table.read():
        if row["made_by"] != made_by:
            raise InputError(
                f"{to} holds answers of another run, class list, calibrator or threshold; "
                "choose another file or remove it"
            )
        done.add(row["file"])
    return done


def _batches(files: Sequence[Path], size: int, progress: bool) -> Iterator[list[Path]]:
    from calibrant.progress import progress_bar

    with progress_bar("classify", len(files), progress) as advance:
        waiting: Iterable[Path] = iter(files)
        while batch := list(islice(waiting, size)):
            yield batch
            advance(len(batch))
