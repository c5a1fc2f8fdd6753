"""The image reader: what it converts, what it refuses, and that it says so."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calibrant.data.images import BadImageError, FileImages, ImageReader, read_image
from calibrant.errors import InputError


def test_exif_orientation_is_applied(tmp_path, picture):
    pixels = picture(1)[:12]
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: show it turned by 90 degrees clockwise
    for name in ("a.png", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)
        assert np.array_equal(read_image(tmp_path / name), np.rot90(pixels, -1))


def test_sixteen_bit_needs_a_window_and_is_scaled_by_it(tmp_path):
    values = np.array([[0, 1000], [2000, 4095]], np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(values).save(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name}: .*more than 8 bits \(its values run from 0 to 4095\).*window"):
            read_image(tmp_path / name)
        pixels = read_image(tmp_path / name, window=(0, 4095))
        assert np.array_equal(pixels[:, :, 0], np.rint(values / 4095 * 255))
        assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])


def test_values_outside_the_window_are_counted_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 10], [20, 5000]], np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"2 of 4 pixels lie outside the window 5 to 4095.*0 to 5000"):
        read_image(tmp_path / "a.png", window=(5, 4095))


def test_float_greyscale(tmp_path):
    Image.fromarray(np.array([[-1.0, 0.0, 1.0]], np.float32)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif", window=(-1, 1))[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[np.nan, 0.0]], np.float32)).save(tmp_path / "b.tif")
    with pytest.raises(InputError, match="1 of 2 pixels are NaN"):
        read_image(tmp_path / "b.tif", window=(-1, 1))


def test_sixteen_bit_where_low_is_white(tmp_path):
    Image.fromarray(np.array([[0, 4095]], np.uint16)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert read_image(tmp_path / "a.tif", window=(0, 4095))[0, :, 0].tolist() == [255, 0]


def test_a_window_leaves_eight_bits_alone(tmp_path):
    Image.fromarray(np.array([[3, 250]], np.uint8)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", window=(0, 4095))[0, :, 0].tolist() == [3, 250]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_lies_on_the_declared_background(tmp_path, mode):
    image = Image.new(mode, (2, 2), (200, 128) if mode == "LA" else (200, 200, 200, 128))
    image.save(tmp_path / "a.png")
    expected = [round((200 * 128 + back * 127) / 255) for back in (255, 0, 100)]
    found = read_image(tmp_path / "a.png", background=(255, 0, 100))[0, 0].tolist()
    assert np.abs(np.subtract(found, expected)).max() <= 1


def test_palette_with_transparency_and_without(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "clear.png", transparency=1)
    assert read_image(tmp_path / "plain.png")[0].tolist() == [[255, 0, 0], [0, 255, 0]]
    assert read_image(tmp_path / "clear.png", background=(0, 0, 9))[0].tolist() == [[255, 0, 0], [0, 0, 9]]


def test_one_bit_grey_with_a_transparent_value_and_cmyk(tmp_path):
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "bit.png")
    assert read_image(tmp_path / "bit.png")[0].tolist() == [[0] * 3, [255] * 3]
    Image.fromarray(np.array([[7, 9]], np.uint8)).save(tmp_path / "grey.png", transparency=7)
    assert read_image(tmp_path / "grey.png", background=(1, 2, 3))[0].tolist() == [[1, 2, 3], [9] * 3]
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "ink.tif")
    assert read_image(tmp_path / "ink.tif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_several_frames_are_refused_by_name(tmp_path, picture, name):
    first, second = (Image.fromarray(picture(seed)) for seed in (1, 2))
    first.save(tmp_path / name, save_all=True, append_images=[second])
    with pytest.raises(InputError, match=rf"{name}: \w+ with 2 frames or pages"):
        read_image(tmp_path / name)


def test_of_a_multi_picture_jpeg_the_first_counts(tmp_path, picture):
    first, second = (Image.fromarray(picture(seed)) for seed in (1, 2))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    first.save(tmp_path / "b.jpg")
    assert np.array_equal(read_image(tmp_path / "a.jpg"), read_image(tmp_path / "b.jpg"))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"])
def test_truncated_files_are_named(tmp_path, picture, name):
    whole = tmp_path / name
    Image.fromarray(picture(1, size=64)).save(whole)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(BadImageError, match=name) as caught:
        read_image(whole)
    assert "\n" not in str(caught.value)
    assert caught.value.path == whole


def test_files_that_are_no_images(tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    (tmp_path / "empty.png").touch()
    (tmp_path / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    for name in ("a.jpg", "empty.png", "drawing.eps"):
        with pytest.raises(InputError, match=f"{name}: not an image of a known format"):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match=r"missing\.png: there is no such file"):
        read_image(tmp_path / "missing.png")


def test_too_many_pixels_are_refused_from_the_header(tmp_path, monkeypatch):
    Image.new("1", (3000, 2000)).save(tmp_path / "bomb.png")

    def decode(*_: object) -> None:
        raise AssertionError("the picture was decoded")

    monkeypatch.setattr(Image.Image, "convert", decode)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    with pytest.raises(InputError, match=r"bomb\.png: 3000 x 2000 pixels exceed the limit of 1000000"):
        read_image(tmp_path / "bomb.png", pixel_limit=1_000_000)


def test_a_bomb_beyond_pillows_own_limit(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb.png: more pixels"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (5, 5)}, "window"),
        ({"window": (0, float("inf"))}, "window"),
        ({"background": (0, 0, 256)}, "background"),
        ({"pixel_limit": 0}, "pixel_limit"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(InputError, match=message):
        ImageReader(**options)


def test_sixteen_bit_with_alpha_is_refused(tmp_path):
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 4, 0, 0, 0)
    row = b"\0" + struct.pack(">HH", 4095, 65535)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(InputError, match="16-bit greyscale with alpha"):
        read_image(tmp_path / "a.png")


def test_file_images_are_read_one_by_one_and_can_be_sent_to_workers(tmp_path, save, picture):
    paths = [save(tmp_path / "Füchse im Schnee" / f"{i}.png", i) for i in range(2)]
    images = pickle.loads(pickle.dumps(FileImages([*paths, Path("missing.png")])))
    assert len(images) == 3
    assert np.array_equal(images[1], picture(1))
    with pytest.raises(InputError, match=r"missing\.png"):
        images[2]
