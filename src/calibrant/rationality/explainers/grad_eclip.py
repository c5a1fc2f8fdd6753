"""Grad-ECLIP: the values that the class token takes up, weighed by their gradient and by how near their keys are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import scorer
from calibrant.rationality.explainers.inside import gradients
from calibrant.rationality.explainers.readers import reading, side_by_side
from calibrant.rationality.explainers.scores import Score
from calibrant.rationality.explainers.towers import tower_of
from calibrant.tuning.tuned_model import Answers

_LEAST = 1e-12  # keys that are all alike are all equally near


class GradEclip(Explainer):
    """r_i = relu(lambda_i sum_d g_d v_id) in the last block, where g = ds/do at the class token; or in the pooler.

    o are the outputs of all heads side by side, before they are projected, v the values, and lambda_i the cosine of the
    class token's query to the key of patch i, scaled to 0 and 1 within the image. The heads are those of the model; the
    released code computes the block again with a single one.

    Source: Zhao et al. (2024). Gradient-based visual explanation for transformer-based CLIP. ICML.

    Example:
        >>> GradEclip().name
        'grad-eclip'
    """

    name: ClassVar[str] = "grad-eclip"
    paper: ClassVar[str] = "Zhao et al. 2024"
    explains: ClassVar[bool] = True
    layers_read: ClassVar[str] = "last"

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        tower = tower_of(model.encoder, self.name)
        with reading(tower.reader) as done:
            scored = scorer(model, classes, score)(pixels, targets)
        (read,) = done
        (slopes,) = gradients(scored, [read.taken])
        near = F.cosine_similarity(side_by_side(read.query), side_by_side(read.keys), dim=-1)
        near = tower.patches.laid_out(near, pixels)
        low, high = near.amin(dim=(1, 2), keepdim=True), near.amax(dim=(1, 2), keepdim=True)
        taken = tower.patches.laid_out((slopes * side_by_side(read.values)).sum(dim=-1), pixels)
        return ((near - low) / (high - low).clamp_min(_LEAST) * taken).relu()
