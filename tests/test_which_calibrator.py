"""The page "Which calibrator when": its tables are those of its log, and what they count is right."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from calibrant.metrics import calibration_error, ece_difference, noise_floor
from calibrant.metrics.scores import sample_scores

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(str(ROOT / "scripts"))
    yield importlib.import_module("compare_calibrators"), importlib.import_module("calibrator_tables")
    patch.undo()


def predictions(seed, classes=4, samples=300):
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=samples)
    logits = draw.normal(size=(samples, classes)) + 2 * np.eye(classes)[labels]
    return labels, [np.exp(t * logits) / np.exp(t * logits).sum(axis=1, keepdims=True) for t in (1.0, 2.0)]


def test_tables_are_those_of_the_log(scripts):
    measuring, tables = scripts
    page = (ROOT / "docs" / "which-calibrator.md").read_text(encoding="utf-8")
    log = (ROOT / "docs" / "which-calibrator.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in log.splitlines()]
    methods = [*measuring.recipes(), *measuring.ADDED]
    for mark, rows in tables.all_tables(lines, measuring.calibrators(), methods).items():
        shown = re.search(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", page, re.DOTALL)
        assert shown is not None, mark
        assert shown[1].split("\n")[1:-2] == rows, mark


def test_the_change_on_one_set_is_that_of_the_library(scripts):
    measuring, _ = scripts
    labels, (before, after) = predictions(0)
    drawings = np.arange(len(labels)) // 3
    scores = [sample_scores(table, labels) for table in (before, after)]
    found = measuring.ece_change(*(measuring.Measured((one,), drawings) for one in scores))
    one = ece_difference(*scores, units=drawings)
    np.testing.assert_allclose([found.value, found.low, found.high], [one.value, one.low, one.high], atol=1e-12)


def test_several_sets_count_the_same_and_keep_their_own_bins(scripts):
    measuring, _ = scripts
    pairs = [predictions(seed) for seed in (1, 2, 3)]
    scores = tuple(sample_scores(tables[1], labels) for labels, tables in pairs)
    whole = measuring.Measured(scores, np.tile(np.arange(100), 9))
    errors = [calibration_error(tables[1], labels) for labels, tables in pairs]
    assert whole.ece() == pytest.approx(np.mean(errors), abs=1e-12)
    assert whole.floor == pytest.approx(np.mean([noise_floor(tables[1]) for _, tables in pairs]), abs=1e-12)
    # every drawing is in every set: redrawn sets stay together, so that drawing each of them once changes nothing
    assert whole.redrawn_ece.shape == (measuring.RESAMPLES,)
    assert abs(whole.redrawn_ece.mean() - whole.ece()) < 0.03


def line(method, calibrator, change, **row):
    nll = {} if row.get("nll", 1.0) is None else {"nll_change": change}
    measured = {"ece": 0.1, "floor": 0.03, "gap": 0.0, "nll": 1.0, "ece_change": change, **nll, **row}
    return {"protocol": "base-to-new", "method": method, "calibrator": calibrator, "sets": {"new": measured}}


def test_counts_leave_out_the_zero_shot_model_and_what_the_interval_does_not_show(scripts):
    _, tables = scripts
    still, down, up, open_ = [0.0, 0.0, 0.0], [-0.2, -0.3, -0.1], [0.2, 0.1, 0.3], [-0.1, -0.3, 0.1]
    lines = [line(method, "none", still) for method in ("zero-shot", "coop", "kgcoop", "maple")]
    lines += [line(*one) for one in (("zero-shot", "cac", up), ("coop", "cac", down), ("kgcoop", "cac", open_))]
    lines += [line("coop", "beta", up, nll=None), line("kgcoop", "beta", up), line("maple", "beta", up)]
    lines += [{**line("coop", "vector", still), "sets": {"new": {"refused": "knows only the tuned classes"}}}]
    made = tables.all_tables(lines, ["none", "cac", "vector", "beta"], ["zero-shot", "coop", "kgcoop", "maple"])
    assert made["ece"][3] == "| `cac` (reconstruction) |  | 0.100 (1 / 0) of 2 |  |  |  |"
    assert made["ece"][4] == "| `vector` |  | refuses |  |  |  |"
    assert made["nll"][5] == "| `beta` |  | infinite in 1 (0 / 2) |  |  |  |"
    assert made["verdict"][2] == "| new | – | `beta` | – | `beta` |"
