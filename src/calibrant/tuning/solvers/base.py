"""What a solver gets, and what it does with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.errors import InputError
from calibrant.models.feature_cache import FeatureCache
from calibrant.tuning.averaging.base import Averaging
from calibrant.tuning.components import Component
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.regularizers.base import Regularizer
from calibrant.tuning.settings import Settings
from calibrant.tuning.tuned_model import TunedModel

if TYPE_CHECKING:
    from calibrant.tuning.checkpoint import Checkpoint


@dataclass(frozen=True)
class Callbacks:
    """What the caller of `fit` hears while it trains.

    Args:
        save: gets a checkpoint every `save_every` steps and after the last step of a stage.
        save_every: N; an interrupted run loses at most N steps.
        watch: gets (step, total, model) every tenth of the steps; what it returns goes into the log.
        log: gets a dictionary of JSON values for every step.
        progress: whether to show a progress bar where there is a terminal.
    """

    save: Callable[[Checkpoint], None] | None = None
    save_every: int = 100
    watch: Callable[[int, int, TunedModel], Mapping[str, Any] | None] | None = None
    log: Callable[[dict[str, Any]], None] | None = None
    progress: bool = True


@dataclass(frozen=True)
class Work:
    """One stage, ready to be solved.

    Args:
        model: what is tuned, at its starting point.
        train: the training samples.
        objective: the main loss; None only where nothing is trained.
        regularizers: extra terms by name.
        averagings: by name; empty but for the last stage.
        seed: the training seed.
        stage: number of the stage, from 0.
        cache: keeps image features.
        identity: names recipe, data, model and seed; a checkpoint of another identity is refused.
        carried: tensors that the stage before handed over.
        callbacks: what the caller hears.
        resume: where to go on, or None.
        validation: labelled images of the same classes; None where no solver reads them.
    """

    model: TunedModel
    train: EvaluationSet
    objective: Objective | None
    regularizers: Mapping[str, Regularizer]
    averagings: Mapping[str, Averaging]
    seed: int
    stage: int
    cache: FeatureCache
    identity: Mapping[str, Any]
    carried: Mapping[str, Tensor]
    callbacks: Callbacks = field(default_factory=Callbacks)
    resume: Checkpoint | None = None
    validation: EvaluationSet | None = None


class Solver(Component, ABC):
    """Changes the trainable tensors of a model in place.

    Args:
        settings: checked settings.

    Attributes:
        reads_validation: whether it needs validation images.
    """

    reads_validation: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def solve(self, work: Work) -> None:
        """Train one stage."""

    def refuse_losses(self, work: Work) -> None:
        """Refuse what acts on losses and steps, for a solver that has none.

        Args:
            work: the stage.

        Raises:
            InputError: if it has an objective, a regularizer or an averaging.
        """
        beside = next(iter([*work.regularizers, *work.averagings]), None)
        if beside is not None or work.objective is not None:
            what = beside or (work.objective.name if work.objective else "")
            raise InputError(f"solver '{self.name}' takes no steps and has no loss, so '{what}' has nothing to act on")
