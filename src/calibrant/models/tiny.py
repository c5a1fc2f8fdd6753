"""The small CLIP that comes with Calibrant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibrant.errors import InputError
from calibrant.models.checkpoints import load_weights
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.preprocessing import Preprocessing
from calibrant.storage import read_json

FOLDER = Path(__file__).parent / "weights"
ABOUT = {
    "source": "trained by Calibrant (scripts/pretrain_tiny.py) on drawn scenes and WordNet nouns",
    "licence": "Apache-2.0",
    "limits": "64 x 64 pixels, drawings of things; not for photographs",
}


def load_tiny(random_initialisation: bool = False) -> OpenClipEncoder:
    """Load the small CLIP that comes with Calibrant.

    Args:
        random_initialisation: leave the weights untrained (always the same ones), for tests of all but the
            answers.

    Returns:
        The model, in eval mode, in float32.

    Raises:
        InputError: if the packaged weights are missing.

    Example:
        >>> load_tiny(random_initialisation=True).embed_dim
        256
    """
    from open_clip import SimpleTokenizer

    from calibrant.models.open_clip_loading import build_network

    config: dict[str, Any] = read_json(FOLDER / "tiny.json")
    weights = FOLDER / "tiny.safetensors"
    if not random_initialisation and not weights.is_file():
        raise InputError(f"the packaged weights {weights.name} are missing; install Calibrant again")
    network = build_network(config["model_cfg"])
    if not random_initialisation:
        load_weights(network, weights)
    about = {**ABOUT, "architecture": config["model_cfg"], "quick_gelu": config["model_cfg"]["quick_gelu"]}
    about["pretrained"] = None if random_initialisation else "tiny"
    tokenizer = SimpleTokenizer(context_length=config["model_cfg"]["text_cfg"]["context_length"])
    preprocessing = Preprocessing.from_config(config["preprocess_cfg"])
    return OpenClipEncoder(network, tokenizer, preprocessing, "tiny", about)
