"""The features of the training images as a memory beside the text classifier (Tip-Adapter)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import TextFeatures, normalised
from calibrant.tuning.parameterizations.frozen_text import FrozenText
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task

_AT_ONCE = 512
"""Images whose logits are searched at once, for every alpha."""


def cache_keys(views: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Sort the features of training images by class; each is the mean over its views, of unit norm again.

    The class of a key is where it stands, which takes the place of the paper's one-hot values.

    Args:
        views: float [V, N, D], rows of unit norm.
        labels: int64 [N].
        classes: C.

    Returns:
        float32 [C, K, D], where K is the size of the largest class; a smaller one ends in rows of zeros.

    Example:
        >>> cache_keys(torch.eye(2)[None], torch.tensor([1, 1]), 2).tolist()
        [[[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]]
    """
    means = normalised(views.mean(dim=0))
    rows = [means[labels == label] for label in range(classes)]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def cache_logits(image_features: Tensor, keys: Tensor, beta: float) -> Tensor:
    """Give sum_k exp(-beta (1 - f'k)) over the keys k of each class.

    Args:
        image_features: f, [N, D], rows of unit norm.
        keys: [C, K, D], as `cache_keys` gives them; rows of zeros do not count.
        beta: how quickly the influence of a key falls with its distance.

    Returns:
        [N, C].

    Source: Zhang et al. (2022). Tip-Adapter: training-free adaption of CLIP for few-shot classification. ECCV.

    Example:
        >>> cache_logits(torch.eye(2), torch.eye(2)[:, None], 1.0).round(decimals=2).tolist()
        [[1.0, 0.37...], [0.37..., 1.0]]
    """
    classes, places, width = keys.shape
    affinity = torch.exp(-beta * (1 - image_features @ keys.reshape(-1, width).T))
    there = keys.detach().any(dim=-1)
    return (affinity.view(-1, classes, places) * there).sum(dim=-1)


def search_strengths(
    zero_shot_logits: Tensor,
    image_features: Tensor,
    labels: Tensor,
    keys: Tensor,
    alphas: Sequence[float],
    betas: Sequence[float],
) -> tuple[float, float]:
    """Find the alpha and the beta that are right most often, and among these the ones of the lowest cross-entropy.

    The images must be validation images: not those of the keys, and not those of the test.

    Args:
        zero_shot_logits: [N, C].
        image_features: [N, D], rows of unit norm.
        labels: int64 [N].
        keys: [C, K, D].
        alphas: weights of the memory to try.
        betas: falls of influence to try.

    Returns:
        alpha and beta.

    Raises:
        InputError: if there is nothing to try or no image.

    Example:
        >>> images, labels = torch.eye(2), torch.tensor([0, 1])
        >>> search_strengths(torch.zeros(2, 2), images, labels, torch.eye(2)[:, None], [0.0, 2.0], [1.0])
        (2.0, 1.0)
    """
    if not (len(labels) and len(alphas) and len(betas)):
        raise InputError("searching alpha and beta needs validation images and at least one value of each")
    weights = torch.tensor(list(alphas), dtype=zero_shot_logits.dtype, device=labels.device)[:, None, None]
    right = torch.zeros(len(betas), len(alphas), dtype=torch.int64, device=labels.device)
    losses = torch.zeros(len(betas), len(alphas), dtype=torch.float64, device=labels.device)
    for some in torch.split(torch.arange(len(labels), device=labels.device), _AT_ONCE):
        target = labels[some]
        for row, beta in enumerate(betas):
            logits = zero_shot_logits[some] + weights * cache_logits(image_features[some], keys, beta)  # [A, n, C]
            right[row] += (logits.argmax(dim=-1) == target).sum(dim=-1)
            likely = logits.log_softmax(dim=-1).gather(-1, target.expand(len(weights), -1)[..., None])
            losses[row] -= likely.sum(dim=(1, 2))
    scores = list(zip(right.flatten().tolist(), (-losses).flatten().tolist(), strict=True))
    best = scores.index(max(scores))
    return alphas[best % len(alphas)], betas[best // len(alphas)]


class CachedFeaturesSettings(Settings):
    """Settings of `CachedFeatures`.

    Attributes:
        alpha: the weight of the memory beside the text classifier, unless a search finds another one.
        beta: how quickly the influence of a key falls with its distance, unless a search finds another one.
    """

    alpha: float = Field(default=1.0, ge=0)
    beta: float = Field(default=1.0, ge=0)


@PARAMETERIZATIONS.register("cached_features")
class CachedFeatures(FrozenText):
    """Logits s f't + alpha sum_k exp(-beta (1 - f'k)), where the keys k are features of training images.

    Solver ``closed_form`` fills the memory; solver ``steps`` then trains the keys; solver ``search`` chooses alpha and
    beta on validation images. A tuned class has its keys in whichever list it stands; a name that was not tuned has
    none, and so the logit of the zero-shot model: beside tuned classes it is at a disadvantage that grows with alpha.

    Source: Zhang et al. (2022). Tip-Adapter: training-free adaption of CLIP for few-shot classification. ECCV.
    """

    Settings: ClassVar[type[Settings]] = CachedFeaturesSettings

    def __init__(
        self, settings: CachedFeaturesSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        self.settings = settings
        self._rows = {name: row for row, name in enumerate(task.classes)}
        empty = (len(task.classes), 0, encoder.embed_dim)
        self.keys = nn.Parameter(torch.zeros(empty, device=encoder.log_logit_scale.device))
        # alpha and beta as a search has found them
        self.strengths: nn.Parameter | None = None

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"keys": self.keys} if self.strengths is None else {"keys": self.keys, "strengths": self.strengths}

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Take as many keys for each class as there are, which training data decide, and the result of a search."""
        if "strengths" in tensors and self.strengths is None:
            found = torch.zeros(2, device=self.encoder.log_logit_scale.device)
            # no gradient, in case that keys are trained afterwards
            self.strengths = nn.Parameter(found, requires_grad=False)
        given = tensors["keys"].shape if "keys" in tensors else self.keys.shape
        if len(given) == 3 and given[1] != self.keys.shape[1]:
            shape = (self.keys.shape[0], given[1], self.keys.shape[2])
            self.keys = nn.Parameter(torch.zeros(shape, device=self.encoder.log_logit_scale.device))

    def solve(self, views: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Compute the keys; see `calibrant.tuning.solvers.closed_form.Solvable`."""
        return {"keys": cache_keys(views, labels, len(self.task.classes))}

    def search(self, image_features: Tensor, labels: Tensor, grid: Mapping[str, Sequence[float]]) -> dict[str, Tensor]:
        """Choose alpha and beta; see `search_strengths` and `calibrant.tuning.solvers.search.Searchable`."""
        if set(grid) != {"alpha", "beta"}:
            raise InputError(f"cached features have alpha and beta to search, not {', '.join(sorted(grid))}")
        self._refuse_empty()
        zero_shot = super().logits(image_features, self.task.classes)
        found = search_strengths(zero_shot, image_features, labels, self.keys, grid["alpha"], grid["beta"])
        return {"strengths": torch.tensor(found)}

    def logits(self, image_features: Tensor, names: Sequence[str], text_features: TextFeatures | None = None) -> Tensor:
        """Add the memory of the tuned classes to what the zero-shot model says."""
        zero_shot = super().logits(image_features, names, text_features)
        self._refuse_empty()
        alpha, beta = (self.settings.alpha, self.settings.beta) if self.strengths is None else self.strengths.tolist()
        with torch.autocast(image_features.device.type, enabled=False):
            memory = cache_logits(image_features.float(), self.keys, beta)
            none = torch.zeros_like(memory[:, 0])
            columns = [memory[:, self._rows[name]] if name in self._rows else none for name in names]
            return zero_shot + alpha * torch.stack(columns, dim=-1)

    def _refuse_empty(self) -> None:
        if self.keys.shape[1] == 0:
            raise InputError("the memory of cached features is empty: put a stage with solver 'closed_form' first")
