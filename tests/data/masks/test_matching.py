"""Annotations find their images by name, and never a wrong one."""

from __future__ import annotations

import pytest

from calibrant.data.masks.matching import match
from calibrant.data.masks.objects import Objects, of_their_class
from calibrant.data.masks.shapes import Box
from calibrant.errors import InputError


@pytest.mark.parametrize(
    ("names", "ids", "expected"),
    [
        (["a.jpg"], ["train/cat/a.png"], [0]),
        (["deep/down/a.xml"], ["train/cat/a.png"], [0]),
        (["cat/1.png", "dog/1.png"], ["test/dog/1.jpg", "test/cat/1.jpg"], [1, 0]),
        (["cat/1.png"], ["dog/1.jpg", "cat/1.jpg"], [None, 0]),
        (["test/cat/1.xml", "cat/1.xml"], ["test/cat/1.jpg"], [0]),
        (["b.jpg"], ["a.jpg"], [None]),
        (["cat\\1.jpg", "dog\\1.jpg"], ["cat/1.jpg", "dog/1.jpg"], [0, 1]),
    ],
)
def test_names_meet(names, ids, expected) -> None:
    assert match(names, ids, "boxes") == expected


@pytest.mark.parametrize(
    ("names", "ids", "message"),
    [
        (["1.xml"], ["cat/1.jpg", "dog/1.jpg"], r"boxes: '1.xml' may be about cat/1.jpg and about dog/1.jpg"),
        (["a/1.xml", "a/1.json"], ["a/1.jpg"], r"both 'a/1.xml' and 'a/1.json' may be about a/1.jpg"),
        (["cat/1.jpg"], ["cat/1.jpg", "cat/1.png"], r"may be about cat/1.jpg and about cat/1.png"),
    ],
)
def test_what_names_do_not_tell_is_refused(names, ids, message) -> None:
    with pytest.raises(InputError, match=message):
        match(names, ids, "boxes")


def test_objects_of_other_classes_do_not_count_unless_the_source_knows_no_class() -> None:
    cat, dog, thing = Box(0, 0, 1, 1), Box(1, 1, 2, 2), Box(2, 2, 3, 3)
    words = {"n01": ["dog", "hound"], "Wild_cat": ["Wild cat"]}
    both = Objects("a.xml", (cat, dog), ("wild  CAT", "Hound"))
    only = Objects("b.xml", (thing,), ("thing",))
    found = of_their_class([both, both, both, None, only], ["n01", "Wild_cat", "", "n01", "n01"], words)
    assert [one and one.shapes for one in found[:4]] == [(dog,), (cat,), (cat, dog), None]
    assert found[4].fault == "no object is called 'n01', only 'thing'"
    assert of_their_class([only, None], ["n01", "n01"], words) == [only, None]
