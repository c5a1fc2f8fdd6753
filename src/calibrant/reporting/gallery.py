"""The answers worth looking at, as small pictures inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibrant.errors import InputError
from calibrant.reporting.measures import MeasuredSet

SHOWN = 8
SURE = 0.999  # answers above this are not called the least trusted
EDGE = 144  # pixels; twice what the page shows, for dense screens


@dataclass(frozen=True)
class Picture:
    """One image of the gallery with what the model said about it."""

    source: str
    label: str
    answer: str
    confidence: float
    correct: bool


@dataclass(frozen=True)
class Gallery:
    """The pictures of one evaluation set; there are no least trusted answers where it is sure of all of them."""

    set_name: str
    trusted_wrong: tuple[Picture, ...]
    least_trusted: tuple[Picture, ...]


def gallery(measured: MeasuredSet) -> Gallery | None:
    """Choose the most trusted wrong answers and the least trusted answers, and fetch their images.

    Args:
        measured: one evaluation set; confidences are those of its final calibrator.

    Returns:
        The pictures, or None where the set cannot give its images.

    Raises:
        InputError: if the image source returns another number of images, or something that is no picture.
    """
    source = measured.result.images
    if source is None:
        return None
    confidence, correct = measured.final.confidence, measured.final.correct
    wrong = np.flatnonzero(~correct)
    trusted_wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN]
    least_trusted = np.argsort(confidence, kind="stable")[:SHOWN]
    least_trusted = least_trusted[confidence[least_trusted] <= SURE]
    chosen = [*trusted_wrong.tolist(), *least_trusted.tolist()]
    ids = [measured.result.ids[index] for index in chosen]
    images = source(ids)
    if len(images) != len(ids):
        raise InputError(f"{measured.result.name}: asked for {len(ids)} images, got {len(images)}")
    pictures = [_picture(measured, index, image) for index, image in zip(chosen, images, strict=True)]
    split = len(trusted_wrong)
    return Gallery(measured.result.name, tuple(pictures[:split]), tuple(pictures[split:]))


def _picture(measured: MeasuredSet, index: int, image: npt.NDArray[np.uint8]) -> Picture:
    result, answers = measured.result, measured.final
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"{result.name}, image {result.ids[index]}: expected uint8 [height, width, 3]")
    return Picture(
        source=data_address(image),
        label=result.classes[int(result.labels[index])],
        answer=result.classes[int(answers.answer[index])],
        confidence=float(answers.confidence[index]),
        correct=bool(answers.correct[index]),
    )


def data_address(image: npt.NDArray[np.uint8]) -> str:
    """Write a small copy of a picture (uint8 [H, W, 3]) as an address that holds it."""
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((EDGE, EDGE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def weight(galleries: Sequence[Gallery]) -> int:
    """Characters that the pictures add to the page."""
    return sum(len(one.source) for each in galleries for one in (*each.trusted_wrong, *each.least_trusted))
