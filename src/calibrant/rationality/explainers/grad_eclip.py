"""Grad-ECLIP: the values that the class token takes up, weighed by their gradient and by how near their keys are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import scorer
from calibrant.rationality.explainers.inside import blocks_of, class_token_only, gradients, on_patches, seen_by
from calibrant.rationality.explainers.scores import Score
from calibrant.tuning.tuned_model import Answers


class GradEclip(Explainer):
    """r_i = relu(lambda_i sum_d g_d v_id) in the last block, where g = ds/do at the class token.

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

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        last = blocks_of(model.encoder, self.name)[-1]
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []

        def normalised(x: Tensor) -> Tensor:
            inputs.append(x)
            return x

        def of_heads(o: Tensor) -> Tensor:
            outputs.append(o.detach().requires_grad_())
            return outputs[-1]

        with (
            class_token_only(last),
            seen_by(last.ln_1, normalised, at="output"),
            seen_by(last.attn.out_proj, of_heads, at="input"),
        ):
            scored = scorer(model, classes, score)(pixels, targets)
        (slopes,) = gradients(scored, outputs)
        # heads side by side again: [B, L, W]
        query, keys, values = (part.transpose(1, 2).flatten(2) for part in last.attn.projections(inputs[0]))
        near = on_patches(F.cosine_similarity(query[:, :1], keys, dim=-1), model.encoder, pixels)
        low, high = near.amin(dim=(1, 2), keepdim=True), near.amax(dim=(1, 2), keepdim=True)
        taken = on_patches((slopes[:, :1] * values).sum(dim=-1), model.encoder, pixels)
        return ((near - low) / (high - low).clamp_min(1e-12) * taken).relu()
