"""A list of words with the operations that outlier classes need."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from calibrant.data.vocabulary.synonyms import equal_or_synonymous
from calibrant.data.vocabulary.wordnet import is_common, read_synsets
from calibrant.errors import InputError

WORDNET = "WordNet nouns"


@dataclass(frozen=True)
class Vocabulary:
    """Different words in a fixed order.

    Args:
        name: what errors call it.
        words: V words, single or several in one, such as ``"hot dog"``.

    Example:
        >>> Vocabulary("things", ("cat", "automobile", "tree")).without(["cars"]).words
        ('cat', 'tree')
    """

    name: str
    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    def of(self, names: Iterable[str]) -> tuple[str, ...]:
        """Find the words that equal a name or a WordNet synonym of one.

        Args:
            names: such as class names; see `equal_or_synonymous` for when two are equal.

        Returns:
            The words, in the order of the vocabulary.
        """
        found = equal_or_synonymous(self.words, names)
        return tuple(word for word in self.words if word in found)

    def without(self, names: Iterable[str]) -> Vocabulary:
        """Leave out the words that equal a name or a WordNet synonym of one.

        Args:
            names: such as class names.

        Returns:
            The rest, in the same order.

        Raises:
            InputError: if no word is left.
        """
        found = equal_or_synonymous(self.words, names)
        rest = tuple(word for word in self.words if word not in found)
        if not rest:
            raise InputError(
                f"{self.name}: all {len(self)} words equal a class name or a synonym of one, so no outlier is left; "
                "give a larger vocabulary"
            )
        return replace(self, words=rest)


def load_vocabulary(path: str | Path | None = None) -> Vocabulary:
    r"""Load the packaged nouns or a user's own words.

    Args:
        path: a UTF-8 file with one word (or several in one) per line; empty lines do not count, underscores become
            spaces. Without it: the common nouns of WordNet 3.1, those that it spells in lower case.

    Returns:
        The words; WordNet's in alphabetical order, those of a file in its order, repeated ones once.

    Raises:
        InputError: naming the file, if it cannot be read, is not UTF-8 or holds no word.

    Example:
        >>> nouns = load_vocabulary()
        >>> "hot dog" in nouns.words, "Paris" in nouns.words
        (True, False)
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "words.txt"
        >>> _ = file.write_text("oak\nelm\n\noak\n")
        >>> load_vocabulary(file).words
        ('oak', 'elm')
    """
    if path is None:
        return _wordnet()
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8; save it as UTF-8") from error
    lines = (" ".join(unicodedata.normalize("NFC", line).replace("_", " ").split()) for line in text.splitlines())
    words = tuple(dict.fromkeys(filter(None, lines)))
    if not words:
        raise InputError(f"{path} holds no words; give one per line")
    return Vocabulary(str(path), words)


@cache
def _wordnet() -> Vocabulary:
    lemmas = {lemma for synset in read_synsets() for lemma in synset}
    return Vocabulary(WORDNET, tuple(sorted(filter(is_common, lemmas))))
