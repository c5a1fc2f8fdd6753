"""The files of one evaluation set that was explained in one way."""

from __future__ import annotations

from pathlib import Path


class ExplainedFiles:
    """Where heat maps, and what was measured on them, are.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def maps_file(self, model: str) -> Path:
        return self.path / f"maps.{model}.safetensors"

    @property
    def measures_file(self) -> Path:
        return self.path / "measures.json"

    @property
    def images_file(self) -> Path:
        return self.path / "images.csv"

    @property
    def pictures_folder(self) -> Path:
        return self.path / "pictures"

    @property
    def review_file(self) -> Path:
        return self.path / "review.html"

    @property
    def judgements_file(self) -> Path:
        return self.path / "judgements.json"
