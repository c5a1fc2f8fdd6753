"""The cells of a study: a method with its settings, at so many shots, with one seed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.storage import digest, read_json
from calibrant.studies.plan import Plan, Variant

FORMAT = 1


@dataclass(frozen=True)
class Cell:
    """One run of a study.

    Args:
        plan: the study.
        variant: the method with its settings.
        shots: training images per class; None for all.
        seed: of shots and training.
    """

    plan: Plan
    variant: Variant
    shots: int | None
    seed: int

    @property
    def name(self) -> str:
        """What its run and its file are called.

        Names that are not plain carry a digest, so that two cells never share a file.
        """
        title = self.variant.title
        plain = re.sub(r"[^\w+@.-]+", "-", title).strip("-.") or "method"
        stem = plain if plain == title else f"{plain}-{digest(title)[:6]}"
        return f"{stem}.{'all' if self.shots is None else self.shots}-shots.seed-{self.seed}"

    @property
    def key(self) -> str:
        """What decides its result besides the data: a cell whose key has changed is run again."""
        from calibrant import __version__
        from calibrant.tune import profile_for
        from calibrant.tuning.recipe import load_recipe

        plan, one = self.plan, self.variant
        recipe = load_recipe(one.method, one.set, profile=one.profile or profile_for(one.method, plan.model))
        resolved = recipe.model_dump(mode="json", include={"stages", "averaging"})
        measured = [plan.model, plan.data, plan.test, plan.data_options, plan.calibrators, plan.threads]
        return digest(FORMAT, __version__, resolved, self.shots, self.seed, *measured)[:16]


def cells_of(plan: Plan) -> list[Cell]:
    """List the cells, the first seed of every method first: a study that is stopped early has seen all methods."""
    return [Cell(plan, variant, shots, seed) for seed in plan.seeds for shots in plan.shots for variant in plan.methods]


class StudyFolder:
    """Where the runs and the results of a study are.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def run_folder(self, cell: Cell) -> Path:
        return self.path / "runs" / cell.name

    def result_file(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.name}.json"

    @property
    def table_file(self) -> Path:
        return self.path / "table.parquet"

    def done(self, cell: Cell, data: str) -> bool:
        """Tell whether a cell is done, and would come out the same.

        Args:
            cell: the cell.
            data: names the content of the data sets.
        """
        file = self.result_file(cell)
        if not file.is_file():
            return False
        kept = read_json(file)
        return bool(kept.get("key") == cell.key and kept.get("data") == data and "failed" not in kept)

    def results(self) -> Iterator[dict[str, Any]]:
        """Read what every cell came to, in the order of their names."""
        for file in sorted((self.path / "cells").glob("*.json")):
            yield read_json(file)
