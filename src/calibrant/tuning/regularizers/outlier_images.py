"""DOR for methods that tune the image side: the tuned features of images of no class stay where they were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.errors import InputError
from calibrant.models.feature_cache import FeatureCache
from calibrant.progress import progress_bar
from calibrant.storage import digest
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.outputs import Batch, Outputs
from calibrant.tuning.regularizers.base import Regularizer, RegularizerSettings
from calibrant.tuning.regularizers.image_consistency import refuse_untuned_images
from calibrant.tuning.regularizers.outlier import outlier
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.models.dual_encoder import DualEncoder
    from calibrant.tuning.tuned_model import TunedModel

FEATURES, PIXELS = "outlier_features", "outlier_pixels"
_SPLITS = ("train", "validation", "test")


class DORVisualSettings(RegularizerSettings):
    """Settings of `DORVisual`.

    Attributes:
        weight: not published; that of the text variant.
        images: images that show none of the classes: the name of a data set (``"emoji/unknown"``, ``"folder:PATH"``)
            or a folder of image files.
        count: how many are drawn at every step; by default as many as there are training images in the batch.
    """

    weight: float = 2.0
    images: str
    count: PositiveInt | None = None

    def contents(self) -> dict[str, str]:
        return {"images": outlier_images(self.images).fingerprint}


@REGULARIZERS.register("dor_visual")
class DORVisual(Regularizer):
    """1 - the mean cosine of outlier images' features before and after tuning.

    At every step some of the images are drawn, without repeats, and seen as in prediction. The paper says that there
    is such a variant for VPT and CLIP-Adapter; the formula, the number of images and the weight are inferred from the
    text variant.

    Source: Wang, Li, Wei (2025). Understanding and mitigating miscalibration in prompt tuning for vision-language
    models. ICML.
    """

    Settings: ClassVar[type[Settings]] = DORVisualSettings
    settings: DORVisualSettings

    def __init__(self, settings: DORVisualSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        refuse_untuned_images(model, self.name)
        self.images = outlier_images(settings.images)
        encoder = model.zero_shot.encoder
        with progress_bar("encoding outlier images", len(self.images), wanted=True) as advance:
            seen = 0

            def progress(done: int, _: int) -> None:
                nonlocal seen
                advance(done - seen)
                seen = done

            self.features = FeatureCache().features(encoder, self.images, progress=progress)

    def on_batch(self, batch: Batch, draw: np.random.Generator) -> Batch:
        """Draw the outlier images of the step; their pixels are read only where the image tower is tuned."""
        count = min(self.settings.count or len(batch["labels"]), len(self.images))
        chosen = draw.choice(len(self.images), count, replace=False)
        batch = {**batch, FEATURES: torch.from_numpy(np.array(self.features[chosen], np.float32))}
        if self.model.parameterization.trains_image_tower:
            batch[PIXELS] = _pixels(self.model.zero_shot.encoder, self.images, chosen.tolist())
        return batch

    def loss(self, outputs: Outputs) -> Tensor:
        before = outputs.batch[FEATURES]
        tuned = outputs.model
        after = tuned.image_features(outputs.batch[PIXELS]) if PIXELS in outputs.batch else tuned.adapt(before)
        return outlier(after, before)


def outlier_images(name: str) -> EvaluationSet:
    """Find images that show none of the classes.

    Args:
        name: the name of a data set, of which the training images count, or those of validation or test where it has
            no others; or a folder of image files, with or without folders inside.

    Returns:
        The images. Of a set in which some belong to no class (label -1) these alone.

    Raises:
        InputError: if there is no such data set or folder, or it holds no image.
    """
    if Path(name).is_dir():
        return _in_folder(Path(name))
    from calibrant.data.registry import load_data

    data = load_data(name)
    chosen = data.split(next(split for split in _SPLITS if split in data.splits))
    in_no_class = np.flatnonzero(np.asarray(chosen.labels) == -1)
    return chosen.subset(in_no_class) if len(in_no_class) else chosen


def _in_folder(folder: Path) -> EvaluationSet:
    from calibrant.data.folder import find_images
    from calibrant.data.images import FileImages

    paths, _ = find_images(folder)
    if not paths:
        raise InputError(f"{folder} holds no images that could be outliers")
    ids = [path.relative_to(folder).as_posix() for path in paths]
    return EvaluationSet(
        name=str(folder),
        split="test",
        images=FileImages(paths),
        labels=np.full(len(paths), -1),
        classes=[],
        templates=[],
        ids=ids,
        fingerprint=digest(ids, [digest(path.read_bytes()) for path in paths]),
    )


def _pixels(encoder: DualEncoder, images: EvaluationSet, indices: list[int]) -> Tensor:
    """float32 [O, 3, S, S], as for prediction."""
    return torch.stack([encoder.test_transform(np.asarray(images.images[i])) for i in indices])
