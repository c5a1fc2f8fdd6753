"""The packaged nouns of WordNet: synsets, one a line, their lemmas separated by tabs."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from functools import cache
from pathlib import Path

NOUNS = Path(__file__).with_name("wordnet-nouns.txt.gz")

Synset = tuple[str, ...]


def read_data_noun(text: str) -> list[Synset]:
    r"""Read the synsets that have a common noun: a lemma which WordNet spells in lower case.

    Args:
        text: the file ``data.noun`` of WordNet's ``dict`` folder.

    Returns:
        Sorted synsets of lemmas as WordNet spells them, with spaces for underscores. Capitalised lemmas (proper names,
        scientific names) stay in them, since they may be synonyms of a class name.

    Example:
        >>> read_data_noun("02086723 05 n 02 dog 0 Canis_familiaris 0 000 | a member of the genus Canis\n")
        [('dog', 'Canis familiaris')]
    """
    synsets = set()
    for line in text.splitlines():
        if line.startswith("  "):  # the licence
            continue
        fields = line.split(" ")
        count = int(fields[3], 16)
        lemmas = tuple(dict.fromkeys(fields[4 + 2 * i].replace("_", " ") for i in range(count)))
        if any(map(is_common, lemmas)):
            synsets.add(lemmas)
    return sorted(synsets)


def is_common(lemma: str) -> bool:
    """Say whether WordNet means a common noun: no capital in it, and at least one letter.

    Example:
        >>> [is_common(lemma) for lemma in ("hot dog", "Canis familiaris", "1000")]
        [True, False, False]
    """
    return lemma == lemma.lower() and any(map(str.isalpha, lemma))


def write_synsets(path: str | Path, synsets: Iterable[Synset]) -> None:
    """Write a file that `read_synsets` reads; the same synsets give the same bytes.

    Args:
        path: the file.
        synsets: lemmas without tabs and line ends.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "nouns.txt.gz"
        >>> write_synsets(file, [("car", "auto")])
        >>> read_synsets(file)
        (('car', 'auto'),)
    """
    text = "".join("\t".join(lemmas) + "\n" for lemmas in synsets)
    Path(path).write_bytes(gzip.compress(text.encode(), mtime=0))


@cache
def read_synsets(path: Path = NOUNS) -> tuple[Synset, ...]:
    """Read synsets.

    Args:
        path: what `write_synsets` wrote; by default the packaged nouns.

    Returns:
        The synsets in the order of the file, as spelt there.
    """
    text = gzip.decompress(path.read_bytes()).decode()
    return tuple(tuple(line.split("\t")) for line in text.splitlines())
