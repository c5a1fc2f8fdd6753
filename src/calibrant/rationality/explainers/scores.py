"""What is explained: the number whose cause in the image is looked for."""

from __future__ import annotations

from typing import Literal, get_args

from calibrant.errors import unknown

Score = Literal["cosine", "margin", "head"]
"""``"cosine"``: of the image to the text features of the class. ``"head"``: the logit with which the model itself
answers. ``"margin"``: that logit minus the log-sum-exp of all others, which asks why this class and no other."""


def checked_score(score: str) -> Score:
    """Refuse a name that is no score, with the nearest one that is.

    Example:
        >>> checked_score("margin")
        'margin'
    """
    if score not in get_args(Score):
        raise unknown("score", score, get_args(Score))
    return score  # type: ignore[return-value]  # just checked
