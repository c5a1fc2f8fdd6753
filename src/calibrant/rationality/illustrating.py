"""Pictures of what an explainer says about answers to a user's images, as these are classified."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.arrays import Float64, Int64
from calibrant.errors import CalibrantWarning, InputError
from calibrant.rationality.heat_maps import HeatMaps
from calibrant.rationality.overlays import Picture, jpeg, side_by_side
from calibrant.rationality.right_reason import RightReason
from calibrant.rationality.way import Way
from calibrant.storage import atomic_write, digest
from calibrant.tuning.tuned_model import TunedModel

COLUMNS = ("overlay", "evidence")
RIGHT_REASON = "right_reason"
STEM = 40  # letters of a file's name that its picture keeps; with more, its name might be too long to be written
LEARNT_WITH = {
    "confidence": "calibrator or prior",
    "asked": "explainer",
    "weights": "model",
    "prompts": "set of class prompts",
}


class Illustrator:
    """Explains answers batch by batch: a picture for each image, and what the map says.

    Args:
        folder: in which the pictures are written.
        way: how to explain; the target is the prediction.
        model: the tuned model.
        depends: what its answers depend on besides the image, see `calibrant.predict.depends_on`.
        confidence: names the calibrator of the confidences, see `calibrant.calibrate.calibrator_digest`.
        right_reason: a fitted confidence for "right for the right reason"; left out, with a warning, if it was fitted
            on maps or confidences made differently.

    Raises:
        InputError: if the way explains the label.
    """

    def __init__(
        self,
        folder: Path,
        way: Way,
        model: TunedModel,
        depends: Mapping[str, Any],
        confidence: str,
        right_reason: RightReason | None = None,
    ) -> None:
        if way.target != "prediction":
            raise InputError("the label of images that are classified is unknown: their maps explain the prediction")
        self.folder, self.way, self.model, self.depends = folder, way, model, {**depends, "of": "tuned"}
        self.confidence = confidence
        self.right_reason = self._usable(right_reason)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it adds."""
        return COLUMNS if self.right_reason is None else (*COLUMNS, RIGHT_REASON)

    def rows(
        self,
        files: Sequence[Path],
        images: Sequence[Picture],
        answers: Int64,
        confidence: Float64,
        names: Sequence[str],
    ) -> list[dict[str, Any]]:
        """Explain a batch of answers and write a picture of each.

        Args:
            files: N paths.
            images: their N images, uint8 [H, W, 3] each.
            answers: int64 [N], index into the names.
            confidence: float64 [N].
            names: C class names.

        Returns:
            For each image ``overlay`` (path of its picture: image and map side by side), ``evidence`` (``"yes"`` or
            ``"no"``: a map may point nowhere) and perhaps ``right_reason``, None without evidence.

        Raises:
            InputError: as the explainer, or if a picture cannot be written.
        """
        ids = [str(file) for file in files]
        maps = self.way.explain(self.model, images, answers, self.depends, classes=names, ids=ids)
        rows: list[dict[str, Any]] = []
        for file, image, heat_map, shows in zip(files, images, maps.maps, maps.evidence, strict=True):
            seen = self.model.encoder.preprocessing.seen(image)
            place = self.folder / picture_name(file)
            with atomic_write(place) as temporary:
                temporary.write_bytes(jpeg(side_by_side(seen, heat_map, name=str(file))))
            rows.append({"overlay": str(place), "evidence": "yes" if shows else "no"})
        if self.right_reason is not None:
            for row, chance in zip(rows, self.right_reason.predict(confidence, self._comparable(maps)), strict=True):
                row[RIGHT_REASON] = None if np.isnan(chance) else round(float(chance), 6)
        return rows

    def identity(self) -> Any:
        """Give what the columns depend on, as JSON can hold it."""
        learnt = None if self.right_reason is None else [self.right_reason.weights_.tolist(), self.right_reason.bias_]
        return [self.way.settings(self.depends), learnt]

    def _comparable(self, maps: HeatMaps) -> HeatMaps:
        return HeatMaps(maps.maps, maps.ids, {**maps.settings, "confidence": self.confidence})

    def _usable(self, fitted: RightReason | None) -> RightReason | None:
        if fitted is None:
            return None
        wanted = {**self.way.settings(self.depends), "confidence": self.confidence}
        # as JSON, which makes lists of tuples: the fit was read from a file
        differing = [key for key in wanted if json.dumps(fitted.settings_.get(key)) != json.dumps(wanted[key])]
        if not differing:
            return fitted
        others = " and another ".join(LEARNT_WITH.get(key, key) for key in differing)
        warnings.warn(
            f"the column {RIGHT_REASON} is left out: it was learnt with another {others}; classify as it was learnt, "
            "or learn it anew with `calibrant explain --target prediction --right-reason`",
            CalibrantWarning,
            stacklevel=3,
        )
        return None


def picture_name(file: Path) -> str:
    """Name the picture of an image so that no two images share one, whatever folders they are in.

    Args:
        file: the image.

    Returns:
        The beginning of its name, and what tells its path from others.

    Example:
        >>> picture_name(Path("cats/1.png")), picture_name(Path("dogs/1.png"))
        ('1-6f234161f529.jpg', '1-d99c916d542e.jpg')
    """
    return f"{file.stem[:STEM]}-{digest(os.fsencode(file))[:12]}.jpg"  # bytes: a path need not be Unicode
