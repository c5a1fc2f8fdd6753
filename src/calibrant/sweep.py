"""Points between the zero-shot and the tuned weights (WiSE-FT), from one run and without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from calibrant.errors import InputError
from calibrant.predict import BATCH, predict
from calibrant.runs.predicting import load_tuned_model, refuse_tuned_as_new

if TYPE_CHECKING:
    from torch import Tensor

    from calibrant.predictions import Predictions
    from calibrant.runs import Run
    from calibrant.tuning.tuned_model import TunedModel

ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def sweep(
    run: Run,
    data: str | None = None,
    split: str = "validation",
    alphas: Sequence[float] = ALPHAS,
    *,
    data_options: Mapping[str, Any] | None = None,
    batch_size: int = BATCH,
    offline: bool = False,
    progress: bool = False,
) -> Iterator[tuple[float, Predictions]]:
    """Predict with (1 - alpha) zero-shot + alpha tuned weights, one alpha after another; nothing is stored in the run.

    A run that was interpolated already (`wise-ft`) is taken apart first, so that 1 is always the tuned end.

    Args:
        run: a finished run of a method that starts from the zero-shot model.
        data: a name that `load_data` knows; by default the data it was tuned on.
        split: of the data; the alpha to use should be chosen on "validation".
        alphas: from 0 (zero-shot) to 1 (tuned).
        data_options: for `load_data`; what is left out is as in tuning.
        batch_size: images at a time.
        offline: never open a socket.
        progress: show a progress bar.

    Yields:
        Alpha and the predictions, which have it as ``about["wise_ft_alpha"]``.

    Raises:
        InputError: if an alpha lies outside 0 to 1, the run cannot be interpolated with the zero-shot model, or the
            data has no such split or holds classes as new that were tuned on.

    Source: Wortsman et al. (2022). Robust fine-tuning of zero-shot models. CVPR.
    """
    from calibrant.tuning.averaging import interpolate

    outside = [alpha for alpha in alphas if not 0 <= alpha <= 1]
    if outside or not alphas:
        raise InputError(f"alphas lie from 0 to 1, and there must be one; got {outside or 'none'}")
    chosen = run.open_data(data or run.record["data"]["name"], data_options or {}).split(split)
    refuse_tuned_as_new(run, chosen)
    model = load_tuned_model(run, offline=offline)
    start, end = _ends(model)
    about = {"run": run.name, "method": run.method, "tuned_on": run.record["data"]["name"]}
    for alpha in alphas:
        model.load_tensors(interpolate(start, end, alpha))
        yield (
            alpha,
            predict(
                model,
                chosen,
                templates=(data_options or {}).get("templates") or run.templates,
                batch_size=batch_size,
                progress=progress,
                about={**about, "wise_ft_alpha": alpha},
            ),
        )


def _ends(model: TunedModel) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The zero-shot and the tuned weights of a model that may be stored as a point between them."""
    try:
        start = model.parameterization.zero_shot_tensors()
    except InputError as reason:
        raise InputError(f"a run of method '{model.recipe.name}' has no points to sweep: {reason}") from None
    stored, averagings = model.tensors(), list(model.recipe.averaging)
    if "wise_ft" not in averagings:
        return start, stored
    alpha = float(str(model.recipe.averaging["wise_ft"]["alpha"]))
    if averagings[-1] != "wise_ft" or alpha == 0:
        raise InputError(
            f"'{model.recipe.name}' did not keep its tuned weights: "
            f"wise_ft has alpha {alpha:g} or is not the last averaging"
        )
    return start, {name: start[name] + (tensor - start[name]) / alpha for name, tensor in stored.items()}
