"""CoOp's context: how it starts, whom it serves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_prompts import double, plain_features

from calibrant.errors import InputError
from calibrant.models.preprocessing import draws
from calibrant.tuning import list_recipes, load_recipe
from calibrant.tuning.parameterizations.text_context import TextContext, TextContextSettings
from calibrant.tuning.task import Task

TASK = Task(["cat", "red car", "tree"], ["a photo of a {}."], {"tree": ("tree", "oak")})


def make(encoder, task=TASK, **settings):
    return TextContext(TextContextSettings(**settings), encoder, task, draws(1, "test"))


def embedded(encoder, text):
    return encoder.network.token_embedding.weight[encoder._tokenizer.encode(text)]


def test_a_template_starts_next_to_the_name_behind_zeros(encoder):
    context = make(encoder, tokens=6, initial="template").context
    assert torch.equal(context[2:], embedded(encoder, "a photo of a"))
    assert torch.equal(context[:2], torch.zeros(2, 16))
    cut = make(encoder, tokens=2, initial="template").context
    assert torch.equal(cut, embedded(encoder, "of a"))
    behind = Task(TASK.classes, ["a photo of a {}, a type of pet.", "a drawing of a {}."])
    assert torch.equal(make(encoder, behind, tokens=4, initial="template").context, context[2:])


def test_a_template_that_fills_the_context_is_the_zero_shot_prompt(encoder):
    from calibrant.models.text import text_classifier

    model = make(encoder, tokens=4, initial="template")
    expected = text_classifier(encoder, ["cat", "dog"], TASK.templates)
    torch.testing.assert_close(model.text_features(["cat", "dog"]), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "task", "words"),
    [
        ({"tokens": 4, "initial": "template"}, Task(["a", "b"], ["{} texture."]), "no words before the name"),
        ({"phrase": " "}, TASK, "phrase of the context is empty"),
    ],
)
def test_a_start_without_words_is_refused(settings, task, words, encoder):
    with pytest.raises(InputError, match=words):
        make(encoder, task, **settings)


def test_a_phrase_and_a_template_exclude_each_other():
    with pytest.raises(InputError, match="a 'phrase' is a start of its own"):
        load_recipe("coop", {"parameterization.tokens": None, "parameterization.phrase": "a b",
                             "parameterization.initial": "template"})  # fmt: skip


def test_class_specific_contexts_start_apart_and_have_the_published_spread(encoder):
    context = make(encoder, tokens=12, shared=False).context.detach().numpy()
    assert context.shape == (3, 12, 16)
    assert len({row.tobytes() for row in context}) == 3
    assert np.std(context) == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_synonyms_are_averaged_and_new_names_get_the_mean_context(position, encoder):
    model, network = make(encoder, tokens=3, shared=False, class_position=position), double(encoder)
    with torch.no_grad():
        model.context.normal_(generator=torch.Generator().manual_seed(0))
    context = model.context.detach().double()

    def plain(name, rows):
        return plain_features(network, encoder._tokenizer, name, rows, position)

    tree = plain("tree", context[2]) + plain("oak", context[2])
    expected = torch.stack([plain("zebra", context.mean(dim=0)), tree / tree.norm(), plain("cat", context[0])])
    got = model.text_features(["zebra", "tree", "cat"]).double()
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_the_versions_are_those_of_the_papers():
    ijcv, base_to_new = (load_recipe(f"coop@{name}").stages[0].parameterization for name in ("ijcv", "base-to-new"))
    assert (ijcv["tokens"], ijcv["phrase"]) == (16, None)
    assert (base_to_new["tokens"], base_to_new["phrase"]) == (None, "a photo of a")


def test_dor_weighs_more_on_coop():
    methods = [row["name"] for row in list_recipes()]
    weights = {method: load_recipe(f"{method}+dor").stages[-1].regularizers["dor"]["weight"] for method in methods}
    assert weights == {method: 8 if method == "coop" else 2 for method in methods}
    assert load_recipe("coop@base-to-new+dor").stages[0].regularizers["dor"]["weight"] == 8


# a context that starts near 0 has long gradients
@pytest.mark.parametrize(("method", "rate"), [("kgcoop", 0.01), ("prograd", 1e-4)])
def test_methods_made_of_a_context_and_a_regularizer_train(method, rate, encoder, train, cache):
    from calibrant.tuning import fit

    rows = []
    recipe = load_recipe(method, {"solver.steps": 20, "solver.batch_size": 20, "solver.learning_rate": rate}, "tiny")
    fit(encoder, train, recipe, cache=cache, progress=False, log=rows.append)
    assert rows[-1]["terms"]["cross_entropy"] < rows[0]["terms"]["cross_entropy"]
    assert len(rows[0]["terms"]) == 2
