from __future__ import annotations

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.text import encode_prompts, pad_tokens, prompts, text_classifier

TEXTS = ["a photo of a cat.", "an oil painting of a very tall giraffe!!", "x", "naïve 'café' & co, 3 !"]


def test_padding_cut_equals_open_clip_at_77_tokens(tiny: OpenClipEncoder) -> None:
    ids = tiny.tokenize(TEXTS)
    full = open_clip.tokenize(TEXTS)
    assert ids.shape[1] == (full != 0).sum(1).max() < 77
    assert torch.equal(F.pad(ids, (0, 77 - ids.shape[1])), full)
    expected = F.normalize(tiny.network.encode_text(full), dim=-1)
    torch.testing.assert_close(tiny.encode_text(ids), expected, rtol=0, atol=1e-6)


def test_uncut_ids_give_the_same(tiny: OpenClipEncoder) -> None:
    expected = tiny.encode_text(tiny.tokenize(TEXTS))
    torch.testing.assert_close(tiny.encode_text(open_clip.tokenize(TEXTS)), expected, rtol=0, atol=1e-6)


def test_padding_cut_without_the_mask_would_differ(tiny: OpenClipEncoder) -> None:
    before = tiny.encode_text(tiny.tokenize(TEXTS))
    tiny.network.attn_mask = None
    assert (tiny.encode_text(tiny.tokenize(TEXTS)) - before).abs().max() > 1e-3


def test_embeddings_take_the_place_of_ids_and_carry_gradients(tiny: OpenClipEncoder) -> None:
    ids = tiny.tokenize(TEXTS)
    embeddings = tiny.embed_tokens(ids).detach().requires_grad_()
    features = tiny.encode_text_embeddings(embeddings, ids)
    torch.testing.assert_close(features, tiny.encode_text(ids), rtol=0, atol=1e-7)
    features[2].sum().backward()
    ends = ids.argmax(-1)
    assert embeddings.grad is not None
    assert embeddings.grad[2, : ends[2] + 1].abs().sum(-1).min() > 0
    assert embeddings.grad[2, ends[2] + 1 :].abs().sum() == 0  # nothing behind the end of the text is read


def test_a_prompt_that_is_too_long_is_named(tiny: OpenClipEncoder) -> None:
    assert tiny.tokenize(["a " * 75]).shape == (1, 77)
    with pytest.raises(InputError, match=r"prompt 'a a a .*\.\.\.' has 78 tokens, the model reads 77"):
        tiny.tokenize(["short", "a " * 76])


def test_classifier_is_the_mean_over_templates_and_synonyms(tiny: OpenClipEncoder) -> None:
    names, templates = ["car", "cat", "dog"], ["a photo of a {}.", "{} drawing, in ink"]
    words = {"car": ("car", "automobile", "motor vehicle")}
    expected = []
    for name in names:
        one_by_one = [
            tiny.encode_text(tiny.tokenize([template.replace("{}", word)]))[0]
            for template in templates
            for word in words.get(name, (name,))
        ]
        mean = torch.stack(one_by_one).double().mean(0)
        expected.append(mean / mean.norm())
    ours = text_classifier(tiny, names, templates, words, batch=2)
    torch.testing.assert_close(ours.double(), torch.stack(expected), rtol=0, atol=1e-6)


def test_chunks_keep_the_order(tiny: OpenClipEncoder) -> None:
    texts = ["c " * 9, "a", "bb bb bb", "a", "zebra"]
    expected = torch.cat([tiny.encode_text(tiny.tokenize([text])) for text in texts])
    torch.testing.assert_close(encode_prompts(tiny, texts, batch=2), expected, rtol=0, atol=1e-6)


def test_classifier_carries_gradients(tiny: OpenClipEncoder) -> None:
    text_classifier(tiny, ["cat"], ["a {}."])[0, 0].backward()
    assert dict(tiny.text_tower_parameters())["network.token_embedding.weight"].grad is not None


def test_braces_in_a_name_are_no_placeholder() -> None:
    assert prompts(["{0} {}"], ["a {}."]) == [["a {0} {}."]]


@pytest.mark.parametrize(
    ("names", "templates", "words", "message"),
    [
        ([], ["a {}."], {}, "no class names"),
        (["cat"], [], {}, "no template"),
        (["cat"], ["a photo"], {}, "'a photo' has no {}"),
        (["cat", " "], ["a {}."], {}, "class ' '"),
        (["cat"], ["a {}."], {"cat": ()}, "class 'cat'"),
    ],
)
def test_bad_prompts_are_named(names: list[str], templates: list[str], words: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        prompts(names, templates, words)


@given(st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=4))
def test_padding_keeps_every_token(rows: list[list[int]]) -> None:
    padded = pad_tokens(rows, 6).tolist()
    assert padded == [row + [0] * (6 - len(row)) for row in rows]
