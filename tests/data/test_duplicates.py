"""Duplicates: what counts as near, and that none is missed."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from calibrant.data import duplicates
from calibrant.data.duplicates import difference_hash, groups_of, near_duplicates, thumbnail
from calibrant.errors import InputError


def _described(pictures):
    hashes = np.array([difference_hash(p) for p in pictures], np.uint64)
    return hashes, np.stack([thumbnail(p) for p in pictures])


def test_a_recompressed_and_a_resized_copy_are_near_and_others_are_not(picture):
    file = io.BytesIO()
    Image.fromarray(picture(0, size=96)).save(file, "JPEG", quality=60)
    copies = [picture(0, size=96), np.array(Image.open(file)), picture(0, size=64)]
    others = [picture(seed, size=96) for seed in range(1, 60)]
    pairs = near_duplicates(*_described([*copies, *others]))
    groups = groups_of(pairs, 62)
    assert len(set(groups[:3])) == 1
    assert len(pairs) == 2


def test_flat_pictures_of_different_colours_are_not_near():
    flat = [np.full((20, 20, 3), value, np.uint8) for value in (0, 100, 200)]
    assert len(near_duplicates(*_described(flat))) == 0


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40), st.integers(0, 30), st.integers(1, 50))
def test_groups_equal_those_of_a_loop_over_all_pairs(hashes, threshold, block):
    values = np.array(hashes, np.uint64)
    blank = np.zeros((len(values), 8, 8, 3), np.uint8)
    home = list(range(len(values)))
    for i in range(len(hashes)):
        for j in range(i):
            if bin(hashes[i] ^ hashes[j]).count("1") <= threshold:
                home = [home[j] if h == home[i] else h for h in home]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block * len(values))
        patch.setattr(duplicates, "_MANY_PAIRS", 2)
        found = groups_of(near_duplicates(values, blank, threshold), len(values))
    assert [list(found).index(g) for g in found] == [home.index(h) for h in home]


def test_thousands_of_blank_pages_give_a_chain_and_not_a_clique():
    count = 2000
    blank = np.zeros((count, 8, 8, 3), np.uint8)
    tracemalloc.start()
    pairs = near_duplicates(np.zeros(count, np.uint64), blank)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pairs) == count - 1
    assert np.all(pairs[:, 0] < pairs[:, 1])
    assert peak < 300e6


def test_exact_duplicates_name_both_files_and_count_the_rest():
    refuse = duplicates.refuse_exact_duplicates
    refuse(["x", "x"], ["a", "b"], ["cat", "cat"], ["train", "train"])
    with pytest.raises(InputError, match=r"^a and b are the same picture in two splits, train and test; remove one$"):
        refuse(["x", "x"], ["a", "b"], ["cat", "cat"], ["train", "test"])
    with pytest.raises(InputError, match=r"a and b .* 'cat' and 'dog'; remove one \(1 more such pairs\)"):
        refuse(["x", "x", "x"], ["a", "b", "c"], ["cat", "dog", "dog"], None)
