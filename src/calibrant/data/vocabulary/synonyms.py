"""When two words name the same thing: spelt alike up to case, hyphens and the plural, or in one synset of WordNet."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from calibrant.data.vocabulary.wordnet import Synset, read_synsets

# endings of plurals, and what stands in their place in the singular
_PLURALS = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""))
_NO_PLURALS = ("ss", "us", "is")
_SHORTEST = 3


def spellings(name: str) -> frozenset[str]:
    """Give the spellings by which names are compared: its own, and those of which it may be the plural.

    Args:
        name: one word or several.

    Returns:
        In lower case, with spaces for underscores and hyphens. A spelling may be no word (``"hous"``); what matters is
        whether two names have one in common.

    Example:
        >>> sorted(spellings("Traffic_Lights"))
        ['traffic light', 'traffic lights']
        >>> sorted(spellings("glass"))
        ['glass']
    """
    plain = " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
    found = {plain}
    if plain.endswith("s") and not plain.endswith(_NO_PLURALS):
        for ending, singular in _PLURALS:
            stem = plain.removesuffix(ending)
            if stem != plain and len((stem + singular).rpartition(" ")[2]) >= _SHORTEST:
                found.add(stem + singular)
    return frozenset(found)


def synonyms(names: Iterable[str]) -> frozenset[str]:
    """Give the spellings of names and of every lemma that shares a synset of WordNet with one of them.

    All meanings count: of ``"crane"`` the bird's synonyms as well as the machine's.

    Args:
        names: such as class names.

    Returns:
        Spellings, see `spellings`.

    Example:
        >>> "automobile" in synonyms(["cars"])
        True
    """
    own: frozenset[str] = frozenset().union(*map(spellings, names))
    shared = (synset for spelling in own for synset in _synsets_of_lemmas().get(spelling, ()))
    return own.union(*(spellings(lemma) for synset in shared for lemma in synset))


def equal_or_synonymous(words: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    """Find the words that equal a name or a WordNet synonym of one.

    Args:
        words: where to look.
        names: such as class names. Lower and upper case are the same, so are underscores, hyphens and spaces, and
            singular and (regular) plural.

    Returns:
        Those of `words`.

    Example:
        >>> sorted(equal_or_synonymous(["auto", "Cars", "tree"], ["car"]))
        ['Cars', 'auto']
    """
    meant = synonyms(names)
    return frozenset(word for word in words if not meant.isdisjoint(spellings(word)))


@cache
def _synsets_of_lemmas() -> dict[str, list[Synset]]:
    found: dict[str, list[Synset]] = {}
    for synset in read_synsets():
        for lemma in synset:
            found.setdefault(lemma.casefold().replace("-", " "), []).append(synset)
    return found
