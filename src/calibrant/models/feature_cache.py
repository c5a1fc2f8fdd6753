"""Image features that are computed once and kept on disk under the name of everything they depend on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.preprocessing import Augmentation, draws
from calibrant.storage import cache_folder, digest, write_once

Progress = Callable[[int, int], None]


class ImageSet(Protocol):
    """What the cache needs of an evaluation set."""

    @property
    def images(self) -> Any: ...

    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...


class FeatureCache:
    """Image features on disk, memory-mapped.

    A file is named by the content it was made of (image tower, preprocessing, augmentation, images, views,
    seed, dtype), is written once and never replaced, so a mapped file stays valid and processes can share the
    folder.

    Args:
        root: the folder; by default `cache_folder`.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = (cache_folder() if root is None else Path(root)) / "features"

    def features(
        self,
        encoder: DualEncoder,
        images: ImageSet,
        views: int = 1,
        seed: int = 0,
        *,
        augmentation: Augmentation | None = None,
        dtype: Literal["float16", "float32"] = "float32",
        batch: int = 64,
        progress: Progress | None = None,
    ) -> np.memmap[Any, np.dtype[Any]]:
        """Give the features of a set of images; compute them only if nobody has before.

        Args:
            encoder: the model; only its image tower and preprocessing matter.
            images: N images, such as an `EvaluationSet`.
            views: 1 for the test transform; V > 1 for V augmented views of every image.
            seed: of the augmented views; without effect for one view.
            augmentation: of the augmented views.
            dtype: of the stored features; they are computed in float32.
            batch: how many images are encoded at once.
            progress: called with the number of images done and N.

        Returns:
            [N, D] for one view, otherwise [V, N, D]; read-only, of unit norm up to the rounding of `dtype`.

        Raises:
            InputError: if `views` is below 1, an image cannot be read, or the disk is full.
        """
        if views < 1:
            raise InputError(f"views is {views}, but there is at least one")
        augmentation = augmentation or Augmentation()
        path = self.path(encoder, images, views, seed, augmentation=augmentation, dtype=dtype)
        if not path.exists():
            computation = _Computation(encoder, images, views, seed, augmentation, np.dtype(dtype))
            with write_once(path) as temporary, open(temporary, "rb+") as file:
                computation.write(file, batch, progress)
        stored = mapped(path)
        return stored[0] if views == 1 else stored

    def drawn(
        self,
        encoder: DualEncoder,
        images: ImageSet,
        pairs: npt.NDArray[np.int64],
        seed: int = 0,
        *,
        augmentation: Augmentation | None = None,
        batch: int = 64,
        progress: Progress | None = None,
    ) -> np.memmap[Any, np.dtype[Any]]:
        """Give the features of single views, for a training that is too short to see every view of every image.

        Args:
            encoder: as for `features`.
            images: N images.
            pairs: view and image of each of P features, int64 [P, 2].
            seed: of the augmented views.
            augmentation: of the augmented views.
            batch: how many views are encoded at once.
            progress: called with the number of views done and P.

        Returns:
            float32 [P, D], read-only: what `features` gives at these places, up to the last bits.

        Raises:
            InputError: if an image cannot be read, or the disk is full.
        """
        crop = augmentation or Augmentation()
        policy = {"seed": seed, "scale": crop.scale, "ratio": crop.ratio, "flip": crop.flip}
        content = _content(images)
        path = self.root / f"{digest(encoder.image_fingerprint(), content, len(images), pairs, policy)}.npy"
        if not path.exists():
            computation = _DrawnViews(encoder, _Repeated(images, pairs), 1, seed, crop, np.dtype("float32"))
            with write_once(path) as temporary, open(temporary, "rb+") as file:
                computation.write(file, batch, progress)
        return mapped(path)[0]  # type: ignore[no-any-return]

    def path(
        self,
        encoder: DualEncoder,
        images: ImageSet,
        views: int = 1,
        seed: int = 0,
        *,
        augmentation: Augmentation | None = None,
        dtype: Literal["float16", "float32"] = "float32",
    ) -> Path:
        """Name the file of a set of features.

        Args:
            encoder: as for `features`.
            images: as for `features`.
            views: as for `features`.
            seed: as for `features`.
            augmentation: as for `features`.
            dtype: as for `features`.

        Returns:
            The file, whether it exists or not.
        """
        policy: dict[str, Any] = {"views": views, "dtype": dtype}
        if views > 1:
            crop = augmentation or Augmentation()
            policy |= {"seed": seed, "scale": crop.scale, "ratio": crop.ratio, "flip": crop.flip}
        return self.root / f"{digest(encoder.image_fingerprint(), _content(images), len(images), policy)}.npy"


@dataclass(frozen=True)
class _Computation:
    """Which features to compute, and how."""

    encoder: DualEncoder
    images: ImageSet
    views: int
    seed: int
    augmentation: Augmentation
    dtype: np.dtype[Any]

    def write(self, file: BinaryIO, batch: int, progress: Progress | None) -> None:
        """Write header and rows, with ordinary writes: a full disk behind a memory map kills the process."""
        count, width = len(self.images), self.encoder.embed_dim
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.views, count, width)}
        np.lib.format.write_array_header_1_0(file, header)
        start, row = file.tell(), width * self.dtype.itemsize
        for first, block in self.blocks(max(1, batch // self.views)):
            for view, rows in enumerate(block):
                file.seek(start + (view * count + first) * row)
                file.write(np.ascontiguousarray(rows, self.dtype).tobytes())
            if progress is not None:
                progress(first + block.shape[1], count)

    def blocks(self, images_at_once: int) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Encode a few images at a time, in all their views, so that each image is read once."""
        device = self.encoder.log_logit_scale.device
        for first in range(0, len(self.images), images_at_once):
            indices = range(first, min(first + images_at_once, len(self.images)))
            pixels = torch.stack([view for index in indices for view in self.prepared(index)])
            with eval_mode(self.encoder), torch.inference_mode(), torch.autocast(device.type, enabled=False):
                encoded = self.encoder.encode_image(pixels.to(device)).cpu().numpy()
            yield first, encoded.reshape(len(indices), self.views, -1).transpose(1, 0, 2)

    def prepared(self, index: int) -> list[torch.Tensor]:
        """Transform one image, once for every view."""
        image = np.asarray(self.images.images[index])
        if self.views == 1:
            return [self.encoder.test_transform(image)]
        return [
            self.encoder.train_transform(image, draws(self.seed, "cached views", view, index), self.augmentation)
            for view in range(self.views)
        ]


@dataclass(frozen=True)
class _Repeated:
    """Images in the order of some of their views."""

    whole: ImageSet
    pairs: npt.NDArray[np.int64]

    @property
    def images(self) -> Any:
        return self.whole.images

    @property
    def fingerprint(self) -> str:
        return self.whole.fingerprint

    def __len__(self) -> int:
        return len(self.pairs)


@dataclass(frozen=True)
class _DrawnViews(_Computation):
    """Single views, each as it would be among all of them."""

    images: _Repeated

    def prepared(self, index: int) -> list[torch.Tensor]:
        view, image = map(int, self.images.pairs[index])
        pixels = np.asarray(self.images.images[image])
        draw = draws(self.seed, "cached views", view, image)
        return [self.encoder.train_transform(pixels, draw, self.augmentation)]


def _content(images: ImageSet) -> str:
    return images.fingerprint or digest(*(np.asarray(images.images[i]) for i in range(len(images))))


def mapped(path: Path) -> np.memmap[Any, np.dtype[Any]]:
    """Map a stored array into memory.

    Args:
        path: the ``.npy`` file.

    Returns:
        The array, read-only.

    Raises:
        InputError: if the file is damaged.
    """
    try:
        stored: np.memmap[Any, np.dtype[Any]] = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged; delete it to have it computed again") from error
    return stored


@contextlib.contextmanager
def eval_mode(encoder: DualEncoder) -> Iterator[None]:
    """Put a model into eval mode for a while.

    Args:
        encoder: the model; afterwards every module is in the mode that it was in.
    """
    modes = {module: module.training for module in encoder.modules()}
    encoder.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
