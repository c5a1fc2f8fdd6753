"""The nouns: what is packaged, which words count as a class name, and a user's own lists."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.data.vocabulary import Vocabulary, equal_or_synonymous, load_vocabulary, spellings
from calibrant.data.vocabulary.wordnet import NOUNS, read_data_noun, read_synsets, write_synsets
from calibrant.errors import InputError

SYNSETS = read_synsets()


def test_the_packaged_nouns_are_common_ones_single_and_of_several_words():
    words = load_vocabulary().words
    assert len(words) > 75_000
    assert list(words) == sorted(set(words))
    assert all(word == word.lower() and "_" not in word and word == word.strip() for word in words)
    assert sum(" " in word for word in words) > 30_000
    assert {"dog", "hot dog", "fire engine", "giant panda", "mother-in-law"} <= set(words)
    assert not {"Paris", "Canis familiaris", "Einstein"} & set(words)


def test_they_are_read_the_same_every_time_and_from_a_small_file():
    assert load_vocabulary() == load_vocabulary()
    assert NOUNS.stat().st_size < 1e6
    licence = NOUNS.with_name("WORDNET-LICENSE.txt").read_text(encoding="utf-8")
    assert "WordNet 3.1 Copyright 2011 by Princeton University" in licence


def test_the_same_synsets_give_the_same_bytes(tmp_path):
    for name in ("a.gz", "b.gz"):
        write_synsets(tmp_path / name, SYNSETS)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == gzip.decompress(NOUNS.read_bytes())


DATA_NOUN = """\
  1 a line of the licence
02961779 06 n 05 car 0 auto 0 automobile 0 machine 6 motorcar 0 001 @ 03796768 n 0000 | a motor vehicle
02086723 05 n 02 Canis_familiaris 0 domestic_dog 0 000 | a member of the genus Canis
09316454 15 n 02 Everest 0 Mount_Everest 0 000 | a mountain peak
"""


def test_synsets_are_read_from_wordnets_own_file():
    assert read_data_noun(DATA_NOUN) == [
        ("Canis familiaris", "domestic dog"),
        ("car", "auto", "automobile", "machine", "motorcar"),
    ]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Hot_Dog", "hot dog"),
        ("t-shirt", "T shirt"),
        ("cats", "cat"),
        ("bus", "buses"),
        ("house", "houses"),
        ("cherries", "cherry"),
        ("knife", "knives"),
        ("red foxes", "red fox"),
        ("automobile", "car"),
        ("CARS", "motorcar"),
        ("fire engine", "fire truck"),
        ("German shepherd", "alsatian"),
    ],
)
def test_what_is_the_same(name, word):
    assert equal_or_synonymous([word], [name]) == {word}


@pytest.mark.parametrize(("name", "word"), [("car", "carpet"), ("glass", "glasshouse"), ("gas", "gallium")])
def test_what_is_not(name, word):
    assert not equal_or_synonymous([word], [name])


@given(st.lists(st.sampled_from(load_vocabulary().words), min_size=1, max_size=4, unique=True))
@settings(max_examples=6)
def test_dropped_words_are_those_of_the_classes_synsets(names):
    """Against a search through all synsets that knows no plural; that may only drop more."""
    vocabulary = load_vocabulary()
    rest = set(vocabulary.without(names).words)
    plain = {name.lower().replace("-", " ") for name in names}
    meant = {lemma.lower() for synset in SYNSETS for lemma in synset
             if plain & {other.lower().replace("-", " ") for other in synset}}  # fmt: skip
    assert not rest & (meant | set(names))
    dropped = set(vocabulary.words) - rest
    further = dropped - meant
    wider = frozenset().union(*map(spellings, names))
    nearby = {s for synset in SYNSETS for lemma in synset if lemma.lower().replace("-", " ") in wider
              for one in synset for s in spellings(one)} | wider  # fmt: skip
    assert all(spellings(word) & nearby for word in further)
    assert vocabulary.of(names) == tuple(word for word in vocabulary.words if word in dropped)


def test_no_word_is_left():
    with pytest.raises(InputError, match=r"mine: all 2 words equal a class name or a synonym"):
        Vocabulary("mine", ("car", "autos")).without(["automobile"])


def test_a_users_words(tmp_path):
    file = tmp_path / "words.txt"
    file.write_bytes("\ufefffire_engine\r\n\r\n  oak \r\nÖlbaum\r\noak\r\n".encode())
    assert load_vocabulary(file).words == ("fire engine", "oak", "Ölbaum")


@pytest.mark.parametrize(("content", "said"), [(b"\n \n", "holds no words"), (b"\xff\xfe\x00", "not UTF-8")])
def test_a_file_that_is_none(tmp_path, content, said):
    file = tmp_path / "words.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        load_vocabulary(file)
    assert "words.txt" in str(caught.value)
    with pytest.raises(InputError, match=r"cannot read .*absent"):
        load_vocabulary(tmp_path / "absent")
