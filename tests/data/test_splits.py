"""Splits: whole groups, right proportions, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.data.splits import base_new, few_shot, halves, stratified
from calibrant.errors import InputError

FRACTIONS = (0.6, 0.2, 0.2)
labels_of = st.lists(st.integers(0, 4), min_size=1, max_size=120)
seeds = st.integers(0, 1000)


@given(labels_of, seeds)
def test_without_groups_every_class_is_divided_in_proportion(labels, seed):
    parts = stratified(labels, FRACTIONS, seed)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    for c in set(labels):
        n = labels.count(c)
        counts = [sum(labels[i] == c for i in part) for part in parts]
        if n >= 3:
            assert min(counts) >= 1
        if n >= 5:
            assert all(abs(count - n * share) <= 1 for count, share in zip(counts, FRACTIONS, strict=True))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=80), seeds)
def test_no_group_crosses_a_split(rows, seed):
    labels, groups = zip(*rows, strict=True)
    parts = stratified(labels, FRACTIONS, seed, groups)
    assert sorted(np.concatenate(parts)) == list(range(len(labels)))
    homes = [{groups[i] for i in part} for part in parts]
    assert sum(map(len, homes)) == len(set(groups))
    if len(set(groups)) >= 3:
        assert all(homes)


@given(labels_of, seeds)
def test_single_member_groups_change_nothing(labels, seed):
    grouped = stratified(labels, FRACTIONS, seed, [f"g{i}" for i in range(len(labels))])
    for with_groups, without in zip(grouped, stratified(labels, FRACTIONS, seed), strict=True):
        assert np.array_equal(with_groups, without)


def test_small_groups_keep_the_proportions():
    labels = np.repeat([0, 1, 2], 200)
    groups = np.arange(600) // 4
    parts = stratified(labels, FRACTIONS, 3, groups)
    counts = np.array([np.bincount(labels[part], minlength=3) for part in parts])
    assert np.abs(counts - np.array([[120], [40], [40]])).max() <= 4


def test_seeds_decide_and_nothing_else():
    labels = np.arange(60) % 3
    first, again, other = (stratified(labels, FRACTIONS, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_fractions_and_lengths_are_checked():
    with pytest.raises(InputError, match="positive"):
        stratified([0, 1], (1, 0), 1)
    with pytest.raises(InputError, match="2 labels but 1 groups"):
        stratified([0, 1], (1, 1), 1, ["a"])
    with pytest.raises(InputError, match="seed"):
        stratified([0, 1], (1, 1), -1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=80))
def test_halves_keep_units_whole_and_balance(rows):
    labels, units = zip(*rows, strict=True)
    names = [f"unit {unit}" for unit in units]
    second = halves(labels, names)
    for unit in set(names):
        assert len({bool(second[i]) for i, name in enumerate(names) if name == unit}) == 1
    largest = max(names.count(unit) for unit in set(names))
    if largest == 1:
        for c in set(labels):
            inside = [bool(second[i]) for i, label in enumerate(labels) if label == c]
            assert abs(sum(inside) - len(inside) / 2) <= 0.5


def test_halves_do_not_depend_on_the_order():
    labels, names = [0, 0, 0, 1, 1, 1, 1], list("abcdefg")
    second = dict(zip(names, halves(labels, names), strict=True))
    backwards = dict(zip(names[::-1], halves(labels[::-1], names[::-1]), strict=True))
    assert second == backwards


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=5),
    seeds,
    st.integers(1, 4),
    st.integers(0, 4),
    st.randoms(),
)
def test_few_shots_are_balanced_and_nested(spare, seed, shots, more, random):
    labels = [c for c, extra in enumerate(spare) for _ in range(shots + more + extra)]
    random.shuffle(labels)
    few = few_shot(labels, shots, seed)
    many = few_shot(labels, shots + more, seed)
    assert set(few) <= set(many)
    assert all(sum(labels[i] == c for i in few) == shots for c in set(labels))
    assert np.all(np.diff(few) > 0)


def test_more_shots_than_images_names_the_class():
    with pytest.raises(InputError, match=r"class 'bee' has 1 training images, fewer than 2 shots"):
        few_shot([0, 0, 1], 2, 1, ["ant", "bee"])
    with pytest.raises(InputError, match=r"class 'cat' has 0 training images"):
        few_shot([0, 0, 1, 1], 2, 1, ["ant", "bee", "cat"])
    with pytest.raises(InputError, match=r"class 'bee' has 1 training images.* ask for at most 1 shots"):
        few_shot([0, 0, 0, 1, 2, 2], 9, 1, ["ant", "bee", "cat"])  # not one class after another
    with pytest.raises(InputError, match="at least 1"):
        few_shot([0, 1], 0, 1)


@given(st.lists(st.text(min_size=1), unique=True, max_size=9))
def test_base_is_the_larger_first_half(classes):
    base, new = base_new(classes)
    assert base + new == sorted(classes)
    assert len(base) - len(new) == len(classes) % 2
