"""A run that was interrupted ends in the same bits as one that was not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tuning_toy import QUICK, TRAINED, make_encoder, make_train

from calibrant.errors import CalibrantWarning, InputError
from calibrant.tuning import Checkpoint, fit, load_recipe


class Stopped(Exception):
    pass


def stop_at(step, stage):
    def log(row):
        if row["step"] == step and row["stage"] == stage:
            raise Stopped

    return log


def equal(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("method", [*TRAINED, "flyp+ema+l2_sp"])
def test_resumed_bit_for_bit(method, encoder, train, cache, tmp_path):
    recipe = load_recipe(method, QUICK, "tiny")
    stage = len(recipe.stages) - 1
    whole = fit(encoder, train, recipe, cache=cache, progress=False)
    # a step that differs from method to method
    step = 3 + sum(method.encode()) % 4
    keep = {"cache": cache, "progress": False, "save": lambda c: c.write(tmp_path), "save_every": 2}
    with pytest.raises(Stopped):
        fit(encoder, train, recipe, **keep, log=stop_at(step, stage))
    rows = []
    resumed = fit(encoder, train, recipe, **keep, resume_from=tmp_path, log=rows.append)
    assert step - rows[0]["step"] < 2, "more than two steps were lost"
    assert len(rows) < 6, "it did not resume"
    assert equal(resumed.tensors(), whole.tensors())


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
from tuning_toy import QUICK, make_encoder, make_train
from calibrant.models.feature_cache import FeatureCache
from calibrant.tuning import fit, load_recipe
def log(row):
    if row["step"] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
fit(make_encoder(), make_train(), load_recipe("coop+ema", QUICK, "tiny"), cache=FeatureCache(sys.argv[1]),
    save=lambda c: c.write(sys.argv[1]), save_every=3, log=log, progress=False)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_killed_and_resumed_bit_for_bit(encoder, train, cache, tmp_path):
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1] / "src")}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(here)], env=environment)
    assert done.returncode == -signal.SIGKILL
    recipe = load_recipe("coop+ema", QUICK, "tiny")
    checkpoint = Checkpoint.read(tmp_path)
    assert checkpoint is not None
    assert checkpoint.step == 3
    resumed = fit(encoder, train, recipe, cache=cache, progress=False, resume_from=tmp_path)
    whole = fit(encoder, train, recipe, cache=cache, progress=False)
    assert equal(resumed.tensors(), whole.tensors())


@pytest.fixture
def saved(encoder, train, cache, tmp_path):
    recipe = load_recipe("coop", QUICK, "tiny")
    fit(encoder, train, recipe, cache=cache, progress=False, save=lambda c: c.write(tmp_path))
    return recipe, tmp_path


def test_a_finished_run_resumes_to_itself(saved, encoder, train, cache):
    recipe, folder = saved
    rows = []
    resumed = fit(encoder, train, recipe, cache=cache, progress=False, resume_from=folder, log=rows.append)
    assert rows == []
    assert equal(resumed.tensors(), fit(encoder, train, recipe, cache=cache, progress=False).tensors())


def test_an_empty_folder_starts_anew(encoder, train, cache, tmp_path):
    recipe = load_recipe("coop", QUICK, "tiny")
    rows = []
    fit(encoder, train, recipe, cache=cache, progress=False, resume_from=tmp_path / "none", log=rows.append)
    assert len(rows) == 6


def test_a_checkpoint_of_another_run_is_refused(saved, encoder, train, cache):
    recipe, folder = saved
    other = load_recipe("coop", {**QUICK, "solver.steps": 7}, "tiny")
    for changed, words in (((other, 1), "other settings"), ((recipe, 2), "another seed")):
        with pytest.raises(InputError, match=words):
            fit(encoder, train, changed[0], seed=changed[1], cache=cache, progress=False, resume_from=folder)


def test_a_reworded_recipe_goes_on(saved, encoder, train, cache):
    recipe, folder = saved
    reworded = recipe.model_copy(update={"about": "The same in other words.", "remarks": ["found later"]})
    resumed = fit(encoder, train, reworded, cache=cache, progress=False, resume_from=folder)
    assert equal(resumed.tensors(), fit(encoder, train, recipe, cache=cache, progress=False).tensors())


def outlier_words(folder):
    (folder / "words.txt").write_text("lamp\nriver\nviolin\nsock", encoding="utf-8")
    yield {"regularizers.dor.vocabulary": str(folder / "words.txt")}
    (folder / "words.txt").write_text("lamp\nriver\nviolin\nhill", encoding="utf-8")


def outlier_pictures(folder):
    Image.new("RGB", (20, 20), "red").save(folder / "a.png")
    yield {"regularizers.dor_visual.images": str(folder)}
    Image.new("RGB", (20, 20), "blue").save(folder / "a.png")


def other_runs(folder):
    for seed in (2, 3):
        other = fit(make_encoder(), make_train(), load_recipe("flyp", QUICK, "tiny"), seed=seed, progress=False)
        other.save(folder / "weights.safetensors")
        yield {"averaging.model_stock.runs": [str(folder)]}


@pytest.mark.parametrize(
    ("method", "content", "setting"),
    [
        ("flyp+dor", outlier_words, "dor.vocabulary"),
        ("flyp+dor_visual", outlier_pictures, "dor_visual.images"),
        ("flyp+model_stock", other_runs, "model_stock.runs"),
    ],
)
def test_what_a_setting_names_must_be_as_it_was(method, content, setting, encoder, train, tmp_path, monkeypatch):
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path / "user-cache"))
    named = tmp_path / "named"
    named.mkdir()
    changing = content(named)
    recipe = load_recipe(method, {**QUICK, **next(changing)}, "tiny")
    fit(encoder, train, recipe, progress=False, save=lambda c: c.write(tmp_path))
    fit(encoder, train, recipe, progress=False, resume_from=tmp_path)
    next(changing, None)
    with pytest.raises(InputError, match=f"cannot resume: the checkpoint is of another content of {setting}"):
        fit(encoder, train, recipe, progress=False, resume_from=tmp_path)


def test_other_surroundings_are_named(saved, encoder, train, cache):
    recipe, folder = saved
    torch.set_num_threads(2)
    with pytest.warns(CalibrantWarning, match="threads 1 -> 2"):
        fit(encoder, train, recipe, cache=cache, progress=False, resume_from=folder)


def test_a_damaged_checkpoint_is_named(saved, encoder, train, cache):
    recipe, folder = saved
    file = folder / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=r"checkpoint\.safetensors is damaged"):
        fit(encoder, train, recipe, cache=cache, progress=False, resume_from=folder)
