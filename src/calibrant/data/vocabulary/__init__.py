"""Words that may name things: the common nouns of WordNet, or a list of the user's own."""

from __future__ import annotations

from calibrant.data.vocabulary.nouns import Vocabulary, load_vocabulary
from calibrant.data.vocabulary.synonyms import equal_or_synonymous, spellings

__all__ = ["Vocabulary", "equal_or_synonymous", "load_vocabulary", "spellings"]
