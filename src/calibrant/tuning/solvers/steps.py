"""Stochastic gradient steps: the training loop as a solver."""

from __future__ import annotations

from typing import ClassVar

from calibrant.tuning.components import SOLVERS
from calibrant.tuning.loop import run
from calibrant.tuning.settings import Settings
from calibrant.tuning.solvers.base import Solver, Work
from calibrant.tuning.solvers.steps_settings import StepsSettings


@SOLVERS.register("steps")
class Steps(Solver):
    """Runs the training loop."""

    Settings: ClassVar[type[Settings]] = StepsSettings
    settings: StepsSettings

    def solve(self, work: Work) -> None:
        run(work, self.settings)
