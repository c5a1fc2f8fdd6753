"""Training batches: samples, views and captions, each a pure function of the seed and the step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.feature_cache import FeatureCache
from calibrant.models.preprocessing import Augmentation, draws
from calibrant.tuning.outputs import Batch
from calibrant.tuning.task import Task

Indices = npt.NDArray[np.int64]


def samples_of_step(seed: int, stage: int, step: int, size: int, count: int) -> Indices:
    """Give the samples of a step: the next `size` of an endless row of shuffled epochs.

    Within an epoch no sample comes twice, none is left out, and every batch is full; a batch may end one
    epoch and begin the next.

    Args:
        seed: the training seed.
        stage: number of the stage.
        step: from 0.
        size: samples per step, at most `count`.
        count: size of the training set.

    Returns:
        int64 [size], positions in the training set.

    Example:
        >>> rows = [samples_of_step(1, 0, step, 2, 6) for step in range(3)]
        >>> sorted(np.concatenate(rows).tolist())
        [0, 1, 2, 3, 4, 5]
    """
    first, last = step * size, (step + 1) * size
    epochs = range(first // count, (last - 1) // count + 1)
    row = np.concatenate([draws(seed, "order", stage, epoch).permutation(count) for epoch in epochs])
    start = first - epochs[0] * count
    return row[start : start + size].astype(np.int64)


@dataclass(frozen=True)
class LiveImages:
    """Images that are read and augmented at every step.

    Args:
        train: the training samples.
        encoder: has the transform.
        augmentation: of the images.
        seed: the training seed.
        stage: number of the stage.
    """

    train: EvaluationSet
    encoder: DualEncoder
    augmentation: Augmentation
    seed: int
    stage: int

    def __call__(self, step: int, indices: Indices) -> Batch:
        """Give ``pixels``, float32 [N, 3, S, S]."""
        pixels = [
            self.encoder.train_transform(
                np.asarray(self.train.images[int(index)]),
                draws(self.seed, "augmentation", self.stage, step, place),
                self.augmentation,
            )
            for place, index in enumerate(indices)
        ]
        return {"pixels": torch.stack(pixels)}


def views_of_step(seed: int, stage: int, step: int, size: int, views: int) -> Indices:
    """Draw which view of each sample of a step is seen.

    Args:
        seed: the training seed.
        stage: number of the stage.
        step: from 0.
        size: samples per step.
        views: how many views there are.

    Returns:
        int64 [size].
    """
    return draws(seed, "view", stage, step).integers(views, size=size)


@dataclass(frozen=True)
class CachedViews:
    """Image features that were computed once, one of several views drawn at every step.

    Args:
        features: float [P, D].
        place: position in `features` of each view of each image, int64 [V, N]; -1 for views that are never drawn.
        seed: the training seed.
        stage: number of the stage.
    """

    features: npt.NDArray[Any]
    place: Indices
    seed: int
    stage: int

    @classmethod
    def of_all(cls, features: npt.NDArray[Any], seed: int, stage: int) -> CachedViews:
        """Use the features of all views, [N, D] of one view or [V, N, D]."""
        views, count = (1, *features.shape[:-1])[-2:]
        rows = features.reshape(views * count, features.shape[-1])
        return cls(rows, np.arange(views * count).reshape(views, count), seed, stage)

    def __call__(self, step: int, indices: Indices) -> Batch:
        """Give ``features``, float32 [N, D]."""
        views = views_of_step(self.seed, self.stage, step, len(indices), len(self.place))
        chosen = self.features[self.place[views, indices]]
        return {"features": torch.from_numpy(np.array(chosen, dtype=np.float32))}


def cached_views(
    cache: FeatureCache,
    encoder: DualEncoder,
    train: EvaluationSet,
    augmentation: Augmentation,
    *,
    views: int,
    size: int,
    steps: int,
    seed: int,
    stage: int,
) -> CachedViews:
    """Compute the features of views, or find them in the cache.

    What a step draws depends on seed and step alone, so where fewer samples are drawn than there are views, only the
    views that will be drawn are computed.

    Args:
        cache: keeps the features.
        encoder: the dual encoder, whose image tower is not trained.
        train: N training samples.
        augmentation: of the images.
        views: V, how many there are of each image; one is the plain image.
        size: samples per step.
        steps: in all.
        seed: the training seed.
        stage: number of the stage.

    Returns:
        The views.
    """
    count = len(train)
    if views == 1 or size * steps >= views * count:
        return CachedViews.of_all(cache.features(encoder, train, views, seed, augmentation=augmentation), seed, stage)
    place = np.full((views, count), -1)
    for step in range(steps):
        place[views_of_step(seed, stage, step, size, views), samples_of_step(seed, stage, step, size, count)] = 0
    # image by image, so that each is read from the disk once
    image, view = np.nonzero(place.T == 0)
    place[view, image] = np.arange(len(image))
    pairs = np.stack([view, image], axis=1)
    return CachedViews(cache.drawn(encoder, train, pairs, seed, augmentation=augmentation), place, seed, stage)


@dataclass(frozen=True)
class Captions:
    """One caption for each image: a random template and a random synonym of its class.

    Args:
        task: class list, templates, synonyms.
        encoder: has the tokenizer.
        seed: the training seed.
        stage: number of the stage.
    """

    task: Task
    encoder: DualEncoder
    seed: int
    stage: int

    def __call__(self, step: int, labels: Indices) -> Tensor:
        """Give token ids, int64 [N, L]."""
        draw = draws(self.seed, "caption", self.stage, step)
        texts = []
        for label, (u_template, u_word) in zip(labels, draw.random((len(labels), 2)), strict=True):
            words = self.task.synonyms(self.task.classes[int(label)])
            template = self.task.templates[int(u_template * len(self.task.templates))]
            texts.append(template.replace("{}", words[int(u_word * len(words))]))
        return self.encoder.tokenize(texts)


@dataclass(frozen=True)
class Batches:
    """The batches of a stage; `batches[step]` depends on nothing but the step.

    Args:
        train: the training samples.
        size: samples per step.
        seed: the training seed.
        stage: number of the stage.
        images: gives pixels or features.
        captions: gives captions, or None.
        workers: threads that prepare batches ahead.
    """

    train: EvaluationSet
    size: int
    seed: int
    stage: int
    images: LiveImages | CachedViews
    captions: Captions | None = None
    workers: int = field(default=2)

    def __getitem__(self, step: int) -> Batch:
        indices = samples_of_step(self.seed, self.stage, step, self.size, len(self.train))
        labels = self.train.labels[indices]
        batch = {"labels": torch.from_numpy(np.array(labels, dtype=np.int64)), **self.images(step, indices)}
        if self.captions is not None:
            batch["captions"] = self.captions(step, labels)
        return batch

    def ahead(self, start: int, stop: int) -> Iterator[Batch]:
        """Give the batches of steps `start` to `stop` in order, prepared in threads ahead of their use."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="batches") as pool:
            waiting: deque[Future[Batch]] = deque()
            try:
                for step in range(start, stop):
                    waiting.append(pool.submit(self.__getitem__, step))
                    if len(waiting) > self.workers + 1:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
