"""How images of none of the classes are told apart, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calibrant.reporting.relying import USUAL
from calibrant.reporting.results import UNCALIBRATED, UnknownRow
from calibrant.reporting.words import calibrator_words, interval, percent

CONFIDENCE = "confidence, "
GUESSING = 0.5
SCORE_WORDS = {
    "mcm": "likeness to the nearest class (MCM)",
    "energy": "energy (log-sum-exp of the logits)",
    "nearness": "nearness to validation images",
    "nouns": "share of the classes against nouns",
}


def score_words(score: str) -> str:
    """Name a score of `calibrant.deciding.unknown_images` for a reader.

    Example:
        >>> score_words("confidence, temperature"), score_words("nearness")
        ('confidence after temperature scaling', 'nearness to validation images')
    """
    if score.startswith(CONFIDENCE):
        name = score.removeprefix(CONFIDENCE)
        return "confidence as it is" if name == UNCALIBRATED else f"confidence after {calibrator_words(name)}"
    return SCORE_WORDS.get(score, score)


def in_words(rows: Sequence[UnknownRow], calibrator: str = UNCALIBRATED) -> list[str]:
    """Say for each set of unknown images which score finds them best, and how many are answered all the same.

    Args:
        rows: of one run.
        calibrator: whose confidence decides what is answered.

    Returns:
        The sentences, one for each set.

    Example:
        >>> from calibrant.metrics import Estimate
        >>> measured = {"auroc": Estimate(0.81, 0.76, 0.85)}
        >>> print(*in_words([UnknownRow("emoji/unknown", "emoji", "nearness", 40, 60, measured)]))
        Of an image of a class and one of emoji/unknown, the first scores higher 81 % of the time (76–85 %) by nearness
        to validation images, the best score here.
    """
    return [
        " ".join([_best(here), *_answered(here, calibrator)])
        for name in dict.fromkeys(row.data for row in rows)
        if (here := [row for row in rows if row.data == name])
    ]


def _best(here: Sequence[UnknownRow]) -> str:
    if not any(row.measures["auroc"].low > GUESSING for row in here):
        return f"No score is shown to tell images of {here[0].data} from those of the classes better than guessing."
    best = max(here, key=lambda row: row.measures["auroc"].value)
    found = best.measures["auroc"]
    return (
        f"Of an image of a class and one of {best.data}, the first scores higher {percent(found.value)} of the time "
        f"({interval(found)}) by {score_words(best.score)}, the best score here."
    )


def _answered(here: Sequence[UnknownRow], calibrator: str) -> Iterator[str]:
    for row in here:
        share = row.measures.get("passing")
        if row.score == f"{CONFIDENCE}{calibrator}" and share is not None:
            yield (
                f"Where at most {percent(USUAL)} of answers may be wrong, going by the {score_words(row.score)}, "
                f"{percent(share.value)} of these images ({interval(share)}) would still be answered."
            )
