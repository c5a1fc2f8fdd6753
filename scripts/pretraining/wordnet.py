"""The nouns of WordNet, read from its data file."""

from __future__ import annotations

import re
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z][A-Za-z' -]*[A-Za-z]")


def read_nouns(data_noun: Path) -> list[str]:
    """Read every noun lemma that is made of letters, spaces and hyphens, in alphabetical order.

    Args:
        data_noun: the file `data.noun` of a WordNet `dict` folder.

    Returns:
        About 110,000 lemmas with spaces for underscores.
    """
    lemmas = set()
    for line in data_noun.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):  # the licence
            continue
        fields = line.split(" ")
        count = int(fields[3], 16)
        lemmas.update(fields[4 + 2 * i].replace("_", " ") for i in range(count))
    return sorted(lemma for lemma in lemmas if PLAIN.fullmatch(lemma))
