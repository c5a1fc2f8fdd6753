"""DOR: the term, the pool, the draw, and what it is added to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tuning_toy import QUICK, make_encoder, make_train

from calibrant.data.vocabulary import Vocabulary
from calibrant.errors import CalibrantWarning, InputError
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.tuning import fit, list_recipes, load_recipe
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers import outlier
from calibrant.tuning.regularizers.outlier import DOR, DRAWN, DORSettings
from calibrant.tuning.regularizers.outlier_pool import by_similarity, make_pool
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import build

# "cat" is a class of the toy, "oak" a word of one
WORDS = ["auto", "boat", "oak", "house", "lamp", "river", "cloud", "stone"]
WORDS += ["bread", "violin", "hammer", "cat", "pencil", "bottle", "clock", "window"]
OUTLIERS = [word for word in WORDS if word not in ("oak", "cat")]
TEMPLATE = "a photo of a {}."


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path / "user-cache"))


@pytest.fixture
def words(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("\n".join(WORDS), encoding="utf-8")
    return str(file)


def recipe_of(method, words, **more):
    return load_recipe(method, {**QUICK, "regularizers.dor.vocabulary": words, **more}, "tiny")


def model_of(method, templates=(TEMPLATE,), stage=0, **more):
    train = make_train()
    task = Task(train.classes, templates, train.words)
    return build(make_encoder(), task, load_recipe(method, more, "tiny"), stage=stage, seed=1)


def encode(encoder, word):
    with torch.no_grad():
        return encoder.encode_text(encoder.tokenize([TEMPLATE.replace("{}", word)]))[0].double().numpy()


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


@given(st.integers(1, 5), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_the_term(count, images, seed):
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(count, 4))
    after = rng.normal(size=(images, count, 4) if images else (count, 4))
    rows = after.reshape(-1, count, 4)
    cosines = [cosine(row[o], before[o]) for row in rows for o in range(count)]
    assert float(outlier(torch.from_numpy(after), torch.from_numpy(before))) == pytest.approx(
        1 - sum(cosines) / len(cosines), abs=1e-12
    )


def test_the_term_is_float32_under_autocast():
    rows = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(outlier(rows, rows.roll(1, 0)), outlier(rows, rows.roll(1, 0)).float())


@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_the_ranking(count, classes, seed):
    rng = np.random.default_rng(seed)
    words, own = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in
                  (rng.normal(size=(count, 5)), rng.normal(size=(classes, 5))))  # fmt: skip
    scores = [sum(cosine(word, one) for one in own) / classes for word in words]
    assert by_similarity(words, own).tolist() == sorted(range(count), key=lambda i: -scores[i])


def test_the_pools_against_a_search_by_hand():
    model = model_of("coop")
    encoder = model.zero_shot.encoder
    # the classes with their words averaged, as the zero-shot model answers
    tree = (encode(encoder, "tree") + encode(encoder, "oak")) / 2
    classes = [encode(encoder, "cat"), encode(encoder, "red car"), tree]
    score = {word: sum(cosine(encode(encoder, word), one) for one in classes) / 3 for word in OUTLIERS}
    ranked = sorted(OUTLIERS, key=lambda word: -score[word])
    vocabulary = Vocabulary("mine", tuple(WORDS))
    assert list(make_pool(model, "near", 5, TEMPLATE, vocabulary).words) == ranked[:5]
    assert list(make_pool(model, "far", 5, TEMPLATE, vocabulary).words) == ranked[::-1][:5]
    assert list(make_pool(model, "near", 5000, TEMPLATE, vocabulary).words) == ranked
    assert list(make_pool(model, "random", 5, TEMPLATE, vocabulary).words) == OUTLIERS
    oracle = make_pool(model, "oracle", 5, TEMPLATE, new_names=["boat", "sea lion"])
    assert oracle.words == ("boat", "sea lion")


def test_a_pool_knows_the_zero_shot_features_of_its_words():
    model = model_of("coop")
    for pool in (
        make_pool(model, "near", 6, TEMPLATE, Vocabulary("mine", tuple(WORDS))),
        make_pool(model, "oracle", 6, TEMPLATE, new_names=["boat", "sea lion", "pencil"]),
    ):
        words, features = pool.drawn([2, 0])
        assert words == [pool.words[2], pool.words[0]]
        for word, row in zip(words, features.numpy(), strict=True):
            np.testing.assert_allclose(row, encode(model.zero_shot.encoder, word), atol=1e-6)


def test_new_names_are_counted_and_left_out():
    model = model_of("coop")
    vocabulary = Vocabulary("mine", tuple(WORDS))
    new = ["timepiece", "rivers", "sailing ship"]
    with pytest.warns(CalibrantWarning, match=r"14 words holds 1 names or WordNet synonyms \(river\) of the 3 new"):
        whole = make_pool(model, "random", 9, TEMPLATE, vocabulary, new)
    assert "river" in whole.words
    with pytest.warns(CalibrantWarning, match="13 words holds 0 names"):
        rest = make_pool(model, "random", 9, TEMPLATE, vocabulary, new, leave_out=True)
    assert set(whole.words) - set(rest.words) == {"river"}
    with pytest.warns(CalibrantWarning, match=r"holds 2 names or WordNet synonyms \(lamp, auto\)"):
        make_pool(model, "random", 9, TEMPLATE, Vocabulary("mine", ("lamp", "auto", "x")), ["lamp", "motorcar"])


@pytest.fixture
def spied(monkeypatch):
    """Watches the draws of every training in a test."""
    seen = []
    original = DOR.on_batch

    def on_batch(self, batch, draw):
        batch = original(self, batch, draw)
        seen.append(tuple(batch[DRAWN].tolist()))
        return batch

    monkeypatch.setattr(DOR, "on_batch", on_batch)
    return seen


def test_every_step_draws_anew_as_many_as_there_are_classes(spied, encoder, train, cache, words):
    recipe = recipe_of("coop+dor", words, **{"solver.steps": 30})
    fit(encoder, train, recipe, cache=cache, progress=False)
    assert len(spied) == 30
    assert all(len(set(step)) == 3 for step in spied)
    assert len(set(spied)) > 25
    assert set().union(*spied) == set(range(len(OUTLIERS)))
    first = list(spied)
    spied.clear()
    fit(encoder, train, recipe, cache=cache, progress=False)
    assert spied == first
    spied.clear()
    fit(encoder, train, recipe, seed=2, cache=cache, progress=False)
    assert spied != first


class Stopped(Exception):
    pass


@pytest.mark.parametrize("method", ["coop+dor", "flyp+dor"])
def test_resumed_it_draws_and_ends_the_same(method, spied, encoder, train, cache, words, tmp_path):
    recipe = recipe_of(method, words)
    whole = fit(encoder, train, recipe, cache=cache, progress=False)
    draws = list(spied)

    def stop(row):
        if row["step"] == 4:
            raise Stopped

    keep = {"cache": cache, "progress": False, "save": lambda c: c.write(tmp_path / "run"), "save_every": 2}
    with pytest.raises(Stopped):
        fit(encoder, train, recipe, **keep, log=stop)
    spied.clear()
    resumed = fit(encoder, train, recipe, **keep, resume_from=tmp_path / "run")
    assert 0 < len(spied) < 6
    assert spied == draws[-len(spied) :]
    left, right = resumed.tensors(), whole.tensors()
    assert all(torch.equal(left[name], right[name]) for name in right)


def term(model, regularizer, indices):
    """The term for given outliers, for two images."""
    encoder = model.zero_shot.encoder
    train = make_train()
    pixels = torch.stack([encoder.test_transform(np.asarray(train.images[i])) for i in (0, 1)])
    batch = {"labels": torch.tensor([0, 1]), "pixels": pixels, DRAWN: torch.tensor(indices)}
    return regularizer.loss(Outputs(model.parameterization, batch, model.zero_shot))


def regularizer_of(model, words=None, **settings):
    given = {"vocabulary": words, **settings} if words else settings
    return DOR(DORSettings.model_validate(given), model)


@pytest.mark.parametrize("templates", [(TEMPLATE,), ("an old drawing of the {}.", "{}")])
@pytest.mark.parametrize("method", ["coop", "kgcoop", "flyp"])
def test_it_is_zero_where_nothing_is_tuned_whatever_the_templates_of_the_data(method, templates, words):
    # the context of the tiny profiles starts from the words of the template
    model = model_of(method, templates=templates)
    value = term(model, regularizer_of(model, words), [0, 5, 9]).detach()
    assert float(value) == pytest.approx(0, abs=1e-6)


def test_it_is_the_formula_on_a_tuned_context(words):
    model = model_of("coop", **{"stages.0.parameterization": {"name": "text_context", "tokens": 3}})
    regularizer = regularizer_of(model, words, size=6)
    chosen = [4, 1]
    value = term(model, regularizer, chosen)
    names = [regularizer.pool.words[i] for i in chosen]
    after = model.text_features(names).double().numpy()
    cosines = [cosine(row, encode(model.zero_shot.encoder, name)) for row, name in zip(after, names, strict=True)]
    assert value.item() == pytest.approx(1 - sum(cosines) / 2, abs=1e-6)
    value.backward()
    context = model.parameterization.trainables()["context"]
    assert float(context.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in model.zero_shot.encoder.parameters())


def test_with_one_context_per_image_it_is_the_mean_over_images(words):
    model = model_of("cocoop")
    regularizer = regularizer_of(model, words)
    value = term(model, regularizer, [2, 7, 3])
    names = [regularizer.pool.words[i] for i in (2, 7, 3)]
    train = make_train()
    pixels = torch.stack([model.encoder.test_transform(np.asarray(train.images[i])) for i in (0, 1)])
    after = model.parameterization.text_features_for(names, model.image_features(pixels)).detach().double().numpy()
    assert after.shape == (2, 3, 16)
    cosines = [cosine(row[o], encode(model.zero_shot.encoder, names[o])) for row in after for o in range(3)]
    assert value.item() == pytest.approx(1 - sum(cosines) / 6, abs=1e-6)


@pytest.mark.parametrize("method", [row["name"] for row in list_recipes()])
def test_every_method_takes_it_or_says_why_not(method, words):
    """No method has code for it: whatever answers `text_features` has the term."""
    stages = len(load_recipe(method, profile="tiny").stages)
    model = model_of(method, stage=stages - 1)
    if model.parameterization.text_side != "tuned":
        with pytest.raises(InputError, match="use dor_visual"):
            regularizer_of(model, words)
        return
    value = term(model, regularizer_of(model, words), [0, 5, 9])
    assert 0 <= value.item() + 1e-6 < 2
    value.backward()
    assert any(tensor.grad is not None for tensor in model.parameterization.trainables().values())


@pytest.mark.parametrize("method", ["coop", "cocoop", "kgcoop", "flyp"])
def test_trained_together(method, encoder, train, cache, words):
    recipe = recipe_of(f"{method}+dor", words)
    assert recipe.stages[-1].regularizers["dor"]["weight"] == (8 if method == "coop" else 2)
    rows = []
    tuned = fit(encoder, train, recipe, cache=cache, progress=False, log=rows.append)
    assert all(np.isfinite(row["terms"]["dor"]) for row in rows)
    assert rows[-1]["terms"]["dor"] > 0
    assert tuned.text_features(["never seen before"]).shape == (1, 16)


def test_outliers_stay_nearer_with_it(encoder, train, cache, words):
    def change(method, **more):
        recipe = recipe_of(method, words, **more) if "dor" in method else load_recipe(method, {**QUICK, **more}, "tiny")
        tuned = fit(encoder, train, recipe, cache=cache, progress=False)
        return float(outlier(tuned.text_features(OUTLIERS), tuned.zero_shot.text_features(OUTLIERS, [TEMPLATE])))

    fast = {"solver.steps": 40, "solver.learning_rate": 0.3}
    assert change("coop+dor", **fast, **{"regularizers.dor.weight": 100}) < change("coop", **fast) / 2


@pytest.mark.parametrize("method", ["linear-probe", "ft"])
def test_a_zero_shot_text_side_is_refused(method):
    with pytest.raises(InputError, match=r"does not tune them, so there is nothing to hold; use dor_visual"):
        regularizer_of(model_of(method))


def test_a_word_that_never_fits_is_named_before_training(tmp_path):
    file = tmp_path / "long.txt"
    file.write_text("boat\n" + "deep " * 12 + "sea\n", encoding="utf-8")
    model = model_of("coop", **{"stages.0.parameterization": {"name": "text_context", "tokens": 10}})
    with pytest.raises(InputError, match=r"with 10 context tokens: prompt '.*deep deep.*' has 26 tokens"):
        regularizer_of(model, str(file))


class PadsWithOnes:
    """A tokenizer of the make of Hugging Face's, whose padding is not 0."""

    def __init__(self):
        self.plain = make_encoder()._tokenizer

    def tokenizer(self, texts):
        return {"input_ids": [[49406, *self.plain.encode(text), 49407] for text in texts]}

    def __call__(self, texts, context_length):
        rows = self.tokenizer(texts)["input_ids"]
        return torch.tensor([[*row, *[1] * (context_length - len(row))] for row in rows])


def test_the_longest_word_is_found_whatever_pads(tmp_path):
    toy = make_encoder()
    encoder = OpenClipEncoder(toy.network, PadsWithOnes(), toy.preprocessing, "toy", toy.about)
    assert encoder.tokenize(["a boat"])[0, -1] == 1
    assert encoder.token_counts(["a boat", "deep " * 30]) == [4, 32]
    file = tmp_path / "long.txt"
    # the last has the most letters
    file.write_text("boat\n" + "a b c d e f g h i j k l m n\n" + "understanding understanding\n", encoding="utf-8")
    train, context = make_train(), {"stages.0.parameterization": {"name": "text_context", "tokens": 10}}
    task = Task(train.classes, train.templates, train.words)
    model = build(encoder, task, load_recipe("coop", context, "tiny"), stage=0, seed=1)
    with pytest.raises(InputError, match=r"with 10 context tokens: prompt '.*a b c.*' has 27 tokens"):
        regularizer_of(model, str(file))


def test_a_vocabulary_of_nothing_but_classes_is_refused(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_text("Cats\ntrue_cat\ntrees\noak\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"classes.txt: all \d words equal a class name or a synonym of one"):
        regularizer_of(model_of("coop"), str(file))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pool": "oracle"}, "need new_names"),
        ({"leave_out_new": True}, "need new_names"),
        ({"pool": "oracle", "new_names": ["a"], "leave_out_new": True}, "choose one"),
        ({"size": 0}, "greater than 0"),
        ({"pool": "nearest"}, "'near', 'far', 'random' or 'oracle'"),
        ({"wieght": 3}, "did you mean 'weight'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, said):
    changes = {f"regularizers.dor.{key}": value for key, value in settings.items()}
    with pytest.raises(InputError, match=said):
        load_recipe("coop+dor", changes)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"template": "a photo"}, "must contain {} exactly once"),
        ({"pool": "oracle", "new_names": []}, "new_names is empty"),
        ({"pool": "oracle", "new_names": "emoji/knew"}, "unknown data 'emoji/knew'"),
    ],
)
def test_what_only_shows_with_a_model_is_refused_too(settings, said, words):
    with pytest.raises(InputError, match=said):
        regularizer_of(model_of("coop"), words, **settings)


def test_new_names_may_be_those_of_a_data_set(words):
    pool = regularizer_of(model_of("coop"), pool="oracle", new_names="emoji/animals/new").pool
    assert "leopard" in pool.words
