"""An evaluation set that is explained: its images, what a run answered on them, and the models that answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.explaining.answers import TUNED, Answered, answers_of, only_labelled
from calibrant.explaining.evidence import Evidence, evidence_of
from calibrant.explaining.maps import kept_maps
from calibrant.predict import depends_on, evaluation_set, in_words_of
from calibrant.storage import digest

if TYPE_CHECKING:
    from calibrant.arrays import Array
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.models.preprocessing import Preprocessing
    from calibrant.predictions import Predictions
    from calibrant.rationality import HeatMaps
    from calibrant.rationality.way import Way
    from calibrant.runs import Run
    from calibrant.runs.explained_files import ExplainedFiles
    from calibrant.tuning.tuned_model import TunedModel


@dataclass(frozen=True, eq=False)
class Explained:
    """What one model answered, its heat maps, and their evidence where there are masks."""

    answered: Answered
    maps: HeatMaps
    evidence: Evidence | None


@dataclass(frozen=True, eq=False)
class Subject:
    """What is explained, and how.

    Args:
        run: the run.
        chosen: N images, all of a class.
        predictions: of the run on them.
        model: the tuned model, asking for classes as in the predictions.
        way: how to explain.
    """

    run: Run
    chosen: EvaluationSet
    predictions: Predictions
    model: TunedModel
    way: Way

    @property
    def files(self) -> ExplainedFiles:
        """Where everything about it is kept."""
        return self.run.explained_files(self.chosen.name, self.chosen.split, self.way.name)

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model sees images and masks."""
        return self.model.encoder.preprocessing

    @property
    def units(self) -> Array | None:
        """Which images depend on each other, [N]; None if none do."""
        unit = self.chosen.unit
        return self.predictions.columns.get(unit) if unit else None

    @cached_property
    def labels(self) -> list[str]:
        """The class of every image."""
        return [self.chosen.classes[int(label)] for label in self.chosen.labels]

    def explained(self, *, batch_size: int = 32, progress: bool = False) -> Iterator[Explained]:
        """Explain what the tuned model answered, then the zero-shot model where that is another.

        Args:
            batch_size: images that a model sees at a time.
            progress: show progress bars.

        Yields:
            Answers, maps and evidence of each model.

        Raises:
            InputError: as the explainer, or if a mask does not fit its image.
        """
        images = self.chosen.fingerprint or digest(list(self.chosen.ids))[:16]
        made_of = {**depends_on(self.run, self.model), "images": images}
        for answered in answers_of(self.run, self.predictions, self.way):
            maps = kept_maps(
                self.files.maps_file(answered.model),
                self.model if answered.model == TUNED else self.model.zero_shot,
                self.chosen,
                answered.targets,
                self.way,
                {**made_of, "of": answered.model},
                batch_size=batch_size,
                progress=progress,
                title=f"{self.chosen.name} {self.chosen.split}, {self.way.explainer}, {answered.model}",
            )
            masked = self.chosen.masks is not None
            yield Explained(answered, maps, evidence_of(maps, self.chosen, self.preprocessing) if masked else None)


def open_subject(
    run: Run,
    way: Way,
    data: str | None = None,
    data_options: Mapping[str, Any] | None = None,
    split: str = "test",
    images: int | None = None,
    *,
    offline: bool = False,
    progress: bool = False,
) -> Subject:
    """Open an evaluation set, what the run answers on it, and the model.

    Args:
        run: the run.
        way: how to explain.
        data: the data set; by default the one that was tuned on.
        data_options: for `load_data`; what is left out is as in tuning.
        split: the split.
        images: only so many, drawn at random, always the same; by default all that are of a class.
        offline: never open a socket.
        progress: show a progress bar while it is predicted.

    Returns:
        The subject.

    Raises:
        InputError: if run or data cannot be used, or no image is of a class.
    """
    given = {key: value for key, value in (data_options or {}).items() if value is not None}
    templates = given.get("templates") or run.templates
    chosen = evaluation_set(run.open_data(data or run.record["data"]["name"], given), split)
    stored = run.predict(chosen, split, templates=templates, offline=offline, progress=progress)
    rows = only_labelled(stored)
    if images is not None and images < len(rows):
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:images])
    if len(rows) < len(chosen):
        chosen, stored = chosen.subset(rows), stored.subset(rows)
    model = in_words_of(run.tuned_model(offline=offline), chosen.words, templates)
    return Subject(run, chosen, stored, model, way)
