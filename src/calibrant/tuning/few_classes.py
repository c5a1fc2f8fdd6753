"""Which version of a contrastive method a training set calls for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibrant.tuning.recipe import Recipe

VERSION = "few-classes"


def version_for(recipe: Recipe, method: str, classes: int, images: int, changed: Iterable[str] = ()) -> str:
    """Name the version of a method that a training set calls for.

    Where a batch has more images than there are classes, several of them share a class, and the contrastive loss of
    pre-training would push them apart. Methods that have a version for this are tuned in it.

    Args:
        recipe: the method as it was asked for.
        method: how it was asked for.
        classes: how many the training set has.
        images: how many it has.
        changed: places of settings that the caller chose; a chosen objective stays.

    Returns:
        `method`, or ``"<method>@few-classes"``.

    Raises:
        InputError: if there is no such method.

    Example:
        >>> from calibrant.tuning.recipe import load_recipe
        >>> [version_for(load_recipe("flyp"), "flyp+ema", classes, images=10_000) for classes in (37, 1000)]
        ['flyp@few-classes+ema', 'flyp+ema']
    """
    from calibrant.tuning.recipe import versions_of

    left, plus, added = method.partition("+")
    chosen = "@" in left or any("objective" in place.split(".") for place in changed)
    if chosen or classes >= batch_size(recipe, images) or VERSION not in versions_of(method):
        return method
    return f"{left}@{VERSION}{plus}{added}"


def batch_size(recipe: Recipe, images: int) -> int:
    """Give the images of a batch in the last stage.

    Args:
        recipe: the method.
        images: how many there are to tune on.

    Returns:
        The batch size, or 0 where there are no batches.
    """
    size = recipe.stages[-1].solver.get("batch_size", 0)
    return min(size, images) if isinstance(size, int) else 0
