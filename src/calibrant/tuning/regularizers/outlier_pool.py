"""Which words stand for the classes that nobody has tuned for: vocabulary in, outlier pool out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from calibrant.data.names import check_templates
from calibrant.data.vocabulary import Vocabulary, load_vocabulary
from calibrant.errors import CalibrantWarning, InputError
from calibrant.models.text_cache import TextFeatureCache

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
Kind = Literal["near", "far", "random", "oracle"]


@dataclass(frozen=True)
class OutlierPool:
    """Words and their zero-shot text features.

    Args:
        words: P words.
        rows: int64 [P], where each word stands in `features`.
        features: float32 [V, D] of a whole vocabulary, perhaps memory-mapped.
    """

    words: tuple[str, ...]
    rows: Indices
    features: Floats

    def __len__(self) -> int:
        return len(self.words)

    def drawn(self, indices: Sequence[int]) -> tuple[list[str], torch.Tensor]:
        """Give some words and their zero-shot features.

        Args:
            indices: O positions in the pool.

        Returns:
            O words, and float32 [O, D] with rows of unit norm.
        """
        features = np.array(self.features[self.rows[list(indices)]], np.float32)
        return [self.words[i] for i in indices], torch.from_numpy(features)


def by_similarity(features: Floats, class_features: Floats) -> Indices:
    """Rank words by their mean cosine with the classes, the most similar first.

    Args:
        features: [V, D] of the words, rows of unit norm.
        class_features: [C, D] of the classes, rows of unit norm.

    Returns:
        int64 [V], positions of the words; equal ones stay in their order.

    Example:
        >>> by_similarity(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([[0.6, 0.8], [1.0, 0.0]])).tolist()
        [1, 0]
    """
    # the mean of cosines is the cosine product with the mean of the unit vectors
    scores = np.asarray(features @ class_features.mean(axis=0))
    return np.argsort(-scores, kind="stable")


def make_pool(
    model: TunedModel,
    kind: Kind,
    size: int,
    template: str,
    vocabulary: Vocabulary | None = None,
    new_names: Sequence[str] = (),
    leave_out: bool = False,
) -> OutlierPool:
    """Choose outliers for the class list of a model.

    Args:
        model: what is tuned; its zero-shot model does the ranking.
        kind: ``"near"`` for the words most similar to the classes, ``"far"`` for the least similar ones,
            ``"random"`` for all words, ``"oracle"`` for the new class names themselves.
        size: K, how many words a near or far pool has, at most.
        template: the prompt of outliers and classes, with ``{}`` for the word.
        vocabulary: where the words are from; by default `load_vocabulary`. Those that equal a class name or a synonym
            of one are dropped.
        new_names: names of classes that come later, where they are known; it is warned how many of them, or synonyms
            of them, the pool holds.
        leave_out: drop these, too.

    Returns:
        The pool.

    Raises:
        InputError: if no word is left, or the template is not one.
    """
    (template,) = check_templates(template)
    if kind == "oracle":
        names = tuple(dict.fromkeys(new_names))
        features = _features(model, names, template)
        return OutlierPool(names, np.arange(len(names)), features)
    whole = vocabulary or load_vocabulary()
    known = [word for name in model.classes for word in (name, *model.words.get(name, ()))]
    rest = whole.without([*known, *(new_names if leave_out else ())])
    features = _features(model, whole.words, template)
    place = {word: row for row, word in enumerate(whole.words)}
    rows = np.array([place[word] for word in rest.words])
    if kind != "random":
        classes = model.zero_shot.text_features(model.classes, [template]).cpu().numpy()
        order = by_similarity(features[rows], classes)
        rows = rows[order[:size] if kind == "near" else order[::-1][:size]]
    pool = OutlierPool(tuple(whole.words[row] for row in rows), rows, features)
    if new_names:
        _say_what_it_knows(pool, new_names)
    return pool


def new_class_names(given: str | Sequence[str] | None) -> list[str]:
    """Give the names of the classes that come later.

    Args:
        given: names, the name of a data set whose classes they are (such as ``"emoji/new"``), or None.

    Returns:
        Names; none where they are not known.

    Raises:
        InputError: if there is no such data set, or the list is empty.

    Example:
        >>> new_class_names("emoji/animals/new")[:2]
        ['ladybug', 'leopard']
    """
    if given is None:
        return []
    if isinstance(given, str):
        from calibrant.data.registry import load_data

        return list(load_data(given).classes)
    if not given:
        raise InputError("dor: new_names is empty; name the new classes, or leave it out")
    return list(given)


def _features(model: TunedModel, words: Sequence[str], template: str) -> Floats:
    prompts = [template.replace("{}", word) for word in words]
    return TextFeatureCache().features(model.zero_shot.encoder, prompts)


def _say_what_it_knows(pool: OutlierPool, new_names: Sequence[str]) -> None:
    found = Vocabulary("pool", pool.words).of(new_names)
    shown = f" ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''})" if found else ""
    warnings.warn(
        f"the outlier pool of {len(pool)} words holds {len(found)} names or WordNet synonyms{shown} of the "
        f"{len(new_names)} new classes",
        CalibrantWarning,
        stacklevel=2,
    )
