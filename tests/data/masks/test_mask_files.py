"""Mask pictures, and the turns that EXIF asks for."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image

from calibrant.data.images import read_image
from calibrant.data.masks.grid import grid_of
from calibrant.data.masks.mask_files import AnnotatorMean, MaskFile
from calibrant.errors import InputError

LETTER = np.zeros((16, 24), dtype=bool)  # unlike all its turns and mirror images
LETTER[2:14, 3:6] = LETTER[2:5, 3:15] = LETTER[7:10, 3:11] = True


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))
def test_masks_turn_as_their_images_do(tmp_path, kind, orientation) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = tmp_path / f"image.{kind.lower()}"
    Image.fromarray(np.repeat(LETTER[:, :, None] * np.uint8(255), 3, axis=2)).save(file, exif=exif, quality=100)
    grid = grid_of(file)
    assert (grid.height, grid.width) == LETTER.shape
    upright = read_image(file)[:, :, 1] > 127
    assert np.array_equal(grid.upright(LETTER), upright)
    other = grid_of(file, "upright")
    assert (other.height, other.width) == upright.shape
    assert np.array_equal(other.upright(upright), upright)


def _save(path, values, mode=None):
    picture = Image.fromarray(np.asarray(values, dtype=np.uint8))
    (picture if mode is None else picture.convert(mode)).save(path)
    return path


@pytest.mark.parametrize("scale", [1, 12, 255])
def test_two_values_are_an_object_and_the_rest(tmp_path, scale) -> None:
    assert np.array_equal(MaskFile(_save(tmp_path / "a.png", LETTER * scale)).draw(16, 24), LETTER)


def test_other_kinds_of_mask_pictures(tmp_path) -> None:
    one_bit = _save(tmp_path / "bits.png", LETTER * 255, "1")
    palette = Image.fromarray(LETTER.astype(np.uint8) * 3)
    palette.putpalette([0, 0, 0, 9, 9, 9, 0, 128, 0, 1, 2, 3])
    palette.save(tmp_path / "palette.png")
    deep = Image.fromarray(LETTER.astype(np.uint16) * 40000)
    deep.save(tmp_path / "deep.png")
    red = _save(tmp_path / "red.png", np.stack([LETTER * 255, LETTER * 0, LETTER * 0], axis=2))
    opaque = _save(tmp_path / "opaque.png", LETTER * 255, "RGBA")
    lossy = tmp_path / "lossy.jpg"
    Image.fromarray(LETTER * np.uint8(255)).save(lossy, quality=60)
    assert len(np.unique(Image.open(lossy))) > 2
    for file in (one_bit, tmp_path / "palette.png", tmp_path / "deep.png", red, opaque, lossy):
        assert np.array_equal(MaskFile(file).draw(16, 24), LETTER), file


def test_masks_that_nobody_can_read(tmp_path) -> None:
    numbered = LETTER * np.uint8(1) + (np.arange(24) > 8) * np.uint8(1)
    palette = Image.fromarray(numbered * np.uint8(100))
    palette.putpalette(list(range(256)) * 3)
    palette.save(tmp_path / "palette.png")
    cut_out = np.concatenate([np.full((16, 24, 3), 9), LETTER[:, :, None] * 255], axis=2)
    for name, values, message in [
        ("missing", None, "there is no mask .*missing.png"),
        ("numbered", numbered, r"values other than 0 and one more \(0 to 2\); save it as white on black"),
        ("bright", 255 - numbered, "values other than 0 and one more"),
        ("palette", None, "values other than 0 and one more"),
        ("cut", cut_out, "partly transparent"),
        ("small", LETTER[:-1], "has 24 x 15 pixels, but the image has 24 x 16"),
    ]:
        if values is not None:
            _save(tmp_path / f"{name}.png", values)
        with pytest.raises(InputError, match=message):
            MaskFile(tmp_path / f"{name}.png").draw(16, 24)
    (tmp_path / "broken.png").write_bytes((tmp_path / "bright.png").read_bytes()[:-30])
    for reader in (MaskFile, AnnotatorMean):
        with pytest.raises(InputError, match=r"broken.png cannot be read"):
            reader(tmp_path / "broken.png").draw(16, 24)


def test_half_of_the_annotators_make_an_object(tmp_path) -> None:
    votes = np.arange(6)[None] * 51
    for mode in (None, "LA", "RGB"):
        mask = AnnotatorMean(_save(tmp_path / "votes.png", votes, mode)).draw(1, 6)
        assert mask.tolist() == [[False, False, False, True, True, True]]
    tie = AnnotatorMean(_save(tmp_path / "tie.png", [[127, 128]])).draw(1, 2)
    assert tie.tolist() == [[False, True]]
