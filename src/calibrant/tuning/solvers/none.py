"""Nothing to solve."""

from __future__ import annotations

from calibrant.tuning.components import SOLVERS
from calibrant.tuning.solvers.base import Solver, Work


@SOLVERS.register("none")
class Nothing(Solver):
    """Leaves the model as it is."""

    def solve(self, work: Work) -> None:
        return None
