"""What should make a user think twice before tuning: names that mean nothing, and photographs for `tiny`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from calibrant.errors import CalibrantWarning

if TYPE_CHECKING:
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.models.dual_encoder import DualEncoder
    from calibrant.watch import Watch

INSTEAD_OF_TINY = "ViT-B-32/laion2b_s34b_b79k"
FEWEST = 20
SIGNIFICANCE = 0.05
SMALL = 128
FEW_COLOURS = 1024


@contextmanager
def noted_warnings() -> Iterator[list[str]]:
    """Write down Calibrant's warnings while they are shown, each once.

    Yields:
        The messages so far, each once.

    Example:
        >>> with warnings.catch_warnings(record=True), noted_warnings() as noted:
        ...     warnings.simplefilter("always")
        ...     warnings.warn("mind the gap", CalibrantWarning)
        >>> noted
        ['mind the gap']
    """
    noted: list[str] = []
    shown = warnings.showwarning

    def note(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, CalibrantWarning):
            if str(message) in noted:
                return
            noted.append(str(message))
        shown(message, category, *where, **more)

    warnings.showwarning = note
    try:
        yield noted
    finally:
        warnings.showwarning = shown


def before_tuning(encoder: DualEncoder, train: EvaluationSet, watch: Watch) -> None:
    """Warn about what can be seen before the first step.

    Args:
        encoder: the zero-shot model.
        train: the training images.
        watch: the validation images, if there are any; otherwise training images are tried.
    """
    from calibrant.watch import Watched, some, zero_shot_of

    warn_if_tiny_sees_photographs(encoder.name, train)
    tried = watch.validation or Watched(some(train, seed=0))
    share = tried.zero_shot(zero_shot_of(encoder, train))["accuracy"]
    warn_if_at_chance(round(share * len(tried.chosen)), len(tried.chosen), tried.chosen)


def warn_if_at_chance(correct: int, images: int, chosen: EvaluationSet) -> bool:
    """Warn if the zero-shot model does no better than guessing, which is almost always a matter of names.

    The test is the exact one-sided binomial test against 1/C at 5 %; below 20 images nothing is said.

    Args:
        correct: how many of the images the zero-shot model names rightly.
        images: how many there are.
        chosen: where they come from.

    Returns:
        Whether it warned.

    Example:
        >>> from calibrant.data.evaluation_set import EvaluationSet
        >>> pets = EvaluationSet("pets", "test", [], np.zeros(0, np.int64), ["cat", "dog"], ["a {}."], [])
        >>> warn_if_at_chance(40, 50, pets)
        False
    """
    from scipy.special import bdtrc

    chance = 1 / len(chosen.classes)
    if images < FEWEST or (correct > 0 and bdtrc(correct - 1, images, chance) <= SIGNIFICANCE):
        return False
    names = ", ".join(f"'{name}'" for name in chosen.classes[:3])
    warnings.warn(
        f"before tuning the model names {correct} of {images} images of {chosen.name} rightly, which is no better than "
        f"guessing among {len(chosen.classes)} classes: the class names ({names}, ...) or the template "
        f"('{chosen.templates[0]}') may mean nothing to it; give words with --names names.csv or --template",
        CalibrantWarning,
        stacklevel=2,
    )
    return True


def warn_if_tiny_sees_photographs(model: str, chosen: EvaluationSet) -> bool:
    """Warn if the packaged model, which has only seen drawings, is to be tuned on photographs.

    Args:
        model: the name of the model.
        chosen: the images; a few of them are looked at.

    Returns:
        Whether it warned.
    """
    if model != "tiny" or chosen.name.partition("/")[0] == "emoji":
        return False
    looked_at = np.linspace(0, len(chosen) - 1, num=min(9, len(chosen)), dtype=int)
    photographs = sum(looks_like_photograph(chosen.images[int(i)]) for i in looked_at)
    if 2 * photographs <= len(looked_at):
        return False
    warnings.warn(
        f"'tiny' knows drawings of 64 x 64 pixels and {chosen.name} looks like photographs; "
        f"use an open_clip model instead, such as {INSTEAD_OF_TINY}",
        CalibrantWarning,
        stacklevel=2,
    )
    return True


def looks_like_photograph(image: npt.NDArray[Any]) -> bool:
    """Guess whether an image is a photograph: larger than 128 pixels, or of more than 1024 colours.

    Args:
        image: uint8 [H, W, 3].

    Returns:
        The guess.

    Example:
        >>> looks_like_photograph(np.zeros((64, 64, 3), np.uint8))
        False
    """
    if max(image.shape[:2]) > SMALL:
        return True
    return len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > FEW_COLOURS
