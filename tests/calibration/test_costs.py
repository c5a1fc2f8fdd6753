"""Decisions by expected cost: loops from the definition, thresholds by search, files, bad input."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant.calibration import Costs, class_thresholds, cost_summary, read_costs
from calibrant.errors import CalibrantWarning, InputError


def some_costs(seed: int, classes: int = 3, asking: bool = True) -> Costs:
    generator = np.random.default_rng(seed)
    table = generator.uniform(1, 10, (classes, classes)).round(1)
    np.fill_diagonal(table, 0)
    return Costs([f"c{i}" for i in range(classes)], table, generator.uniform(0.2, 3, classes) if asking else None)


@pytest.mark.parametrize("asking", [True, False])
def test_decisions_are_the_cheapest_by_hand(asking: bool) -> None:
    costs = some_costs(0, asking=asking)
    table = np.random.default_rng(1).dirichlet(np.ones(3), size=200)
    for p, decision in zip(table, costs.decide(table), strict=True):
        price = {c: math.fsum(p[y] * costs.of_answers[y, c] for y in range(3)) for c in range(3)}
        if asking:
            price[-1] = math.fsum(p[y] * costs.of_asking[y] for y in range(3))
        assert price[int(decision)] == pytest.approx(min(price.values()))


def test_equal_costs_give_the_likeliest_class() -> None:
    costs = Costs(["a", "b", "c"], 1 - np.eye(3))
    table = np.random.default_rng(1).dirichlet(np.ones(3), size=200)
    assert (costs.decide(table) == table.argmax(axis=1)).all()
    assert costs.decide([[0.5, 0.5, 0.0]])[0] == 0  # ties go to the lowest index


def test_chow_rule() -> None:
    """With cost 1 for a mistake and d for asking, one answers from confidence 1 - d on."""
    costs = Costs(["a", "b", "c"], 1 - np.eye(3), np.full(3, 0.3))
    table = np.random.default_rng(1).dirichlet(np.full(3, 0.5), size=500)
    assert ((costs.decide(table) >= 0) == (table.max(axis=1) >= 0.7)).all()
    for one in class_thresholds(costs):
        assert one.always_from == pytest.approx(0.7)
        assert one.never_below == pytest.approx(0.7)


@given(st.integers(0, 10**6), st.integers(2, 4), st.booleans())
def test_thresholds_hold_for_all_probabilities(seed: int, classes: int, asking: bool) -> None:
    costs = some_costs(seed, classes, asking)
    table = np.random.default_rng(seed).dirichlet(np.full(classes, 0.4), size=400)
    expected = costs.expected(table)
    for index, one in enumerate(class_thresholds(costs)):
        best = expected[:, index] <= expected.min(axis=1) + 1e-12
        assert best[table[:, index] >= one.always_from + 1e-9].all()
        assert not best[table[:, index] < one.never_below - 1e-9].any()
        assert one.never_below <= one.always_from + 1e-12


@given(st.integers(0, 10**6), st.booleans())
def test_two_classes_have_one_threshold_each(seed: int, asking: bool) -> None:
    for one in class_thresholds(some_costs(seed, 2, asking)):
        assert one.never_below == pytest.approx(one.always_from)


def test_ends_of_thresholds() -> None:
    never = Costs(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [-1.0, -1.0])  # who asks is paid for it
    assert [one.never_below for one in class_thresholds(never)] == [math.inf, math.inf]
    with pytest.warns(CalibrantWarning, match="rows are true classes"):
        always = Costs(["a", "b"], [[0.0, 5.0], [-1.0, 0.0]])
    assert class_thresholds(always)[0].always_from == 0.0
    free = Costs(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], [0.0, 0.0])
    assert [one.always_from for one in class_thresholds(free)] == [1.0, 1.0]


def test_what_was_paid_by_hand() -> None:
    costs = some_costs(3)
    generator = np.random.default_rng(4)
    table, labels = generator.dirichlet(np.full(3, 0.3), size=300), generator.integers(0, 3, 300)
    found = cost_summary(costs, table, labels, units=np.arange(300) // 3)
    decisions = costs.decide(table)
    paid = [costs.of_asking[y] if d < 0 else costs.of_answers[y, d] for d, y in zip(decisions, labels, strict=True)]
    likeliest = [costs.of_answers[y, d] for d, y in zip(table.argmax(1), labels, strict=True)]
    assert found.cost.value == pytest.approx(np.mean(paid))
    assert found.likeliest.value == pytest.approx(np.mean(likeliest))
    assert found.saved.value == pytest.approx(np.mean(likeliest) - np.mean(paid))
    assert found.asked == np.mean(decisions < 0)
    assert found.cost.low < found.cost.value < found.cost.high
    assert "300 validation images" in found.sentence()
    assert found.record()["n"] == 300


def test_of_calibrated_probabilities_the_expected_cost_is_what_is_paid() -> None:
    costs, generator = some_costs(5), np.random.default_rng(6)
    table = generator.dirichlet(np.full(3, 0.5), size=20_000)
    labels = (table.cumsum(1) < generator.random((20_000, 1))).sum(1)
    found = cost_summary(costs, table, labels)
    assert found.cost.low < costs.expected(table).min(axis=1).mean() < found.cost.high
    assert found.saved.low > 0


def test_classes_may_come_in_any_order() -> None:
    costs = some_costs(7)
    for order in itertools.permutations(range(3)):
        names = [costs.classes[i] for i in order]
        table = np.random.default_rng(8).dirichlet(np.ones(3), size=50)
        ours = costs.for_classes(names).expected(table[:, order])
        assert ours[:, [*np.argsort(order), 3]] == pytest.approx(costs.expected(table))


def test_a_file_is_read_whatever_the_order_of_its_columns(tmp_path: Path) -> None:
    file = tmp_path / "costs ü.csv"
    file.write_text("\ufefftrue,dog,ask,Käfer\nKäfer, 9,0.5 ,0\n\ndog,0,0.5,1\n", encoding="utf-8")
    costs = read_costs(file)
    assert list(costs.classes) == ["Käfer", "dog"]
    assert costs.of_answers.tolist() == [[0, 9], [1, 0]]
    assert costs.of_asking.tolist() == [0.5, 0.5]
    file.write_text("true,a,b\na,0,1\nb,1,0\n")
    assert read_costs(file).of_asking is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("class,a,b\na,0,1\nb,1,0\n", "first line must be"),
        ("true,a\na,0\n", "first line must be"),
        ("true,a,b\na,0,1\n", "class 'b' has no row"),
        ("true,a,b\na,0,1\nb,1,0\nc,1,1\n", "class 'c' has no column"),
        ("true,a,a\na,0,1\na,1,0\n", "'a' is in the first line twice"),
        ("true,a,b\na,0,1\na,1,0\n", "'a' is in the first column twice"),
        ("true,a,b\na,0\nb,1,0\n", "row of 'a' has 1 costs"),
        ("true,a,b\na,0,dear\nb,1,0\n", "no number"),
        ("true,a,b\na,0,nan\nb,1,0\n", "not finite"),
        ("true,a,ask\na,0,1\n", "at least two classes"),
        (b"\xff\xfe\x00", "cannot read"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, text: str | bytes, message: str) -> None:
    file = tmp_path / "costs.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as raised:
        read_costs(file)
    assert "\n" not in str(raised.value)
    if "two classes" not in message:
        assert "costs.csv" in str(raised.value)


def test_bad_input_is_one_line() -> None:
    costs = some_costs(0)
    for call, message in [
        (lambda: Costs(["a"], [[0.0]]), "at least two classes"),
        (lambda: Costs(["a", "a"], np.zeros((2, 2))), "unique"),
        (lambda: Costs(["a", "b"], np.zeros((2, 3))), "shape"),
        (lambda: Costs(["a", "b"], [[0, np.inf], [0, 0]]), "infinite"),
        (lambda: Costs(["a", "b"], np.zeros((2, 2)), [1.0]), "costs of asking"),
        (lambda: costs.for_classes(["c0", "c1"]), "class 'c2' is only in the costs"),
        (lambda: costs.for_classes(["c0", "c1", "fox"]), "same classes"),
        (lambda: costs.decide([[0.5, 0.5]]), "3 classes but probabilities of 2"),
        (lambda: costs.decide([[0.5, 0.6, 0.1]]), "sum to 1"),
        (lambda: some_costs(0, asking=False).paid([-1], [0]), "what asking a human costs"),
        (lambda: costs.paid([0], [3]), "outside the class list"),
    ]:
        with pytest.raises(InputError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
