"""Model Stock: how far to go from the start towards the mean of several tuned models, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from calibrant.errors import InputError
from calibrant.storage import digest
from calibrant.tuning.averaging.base import Averaging
from calibrant.tuning.components import AVERAGINGS
from calibrant.tuning.settings import Settings
from calibrant.tuning.tensors import read_tensors

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


@torch.no_grad()
def model_stock(start: Mapping[str, Tensor], tuned: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Give t mean(w_i) + (1 - t) w_0 with t = k c / ((k - 1) c + 1), for every tensor by itself.

    c is the cosine between two differences w_i - w_0; of more than two models it is the mean over all pairs. The
    formula holds for differences that agree: where c is negative it counts as 0, and the tensor stays at the start.

    Args:
        start: w_0, tensors by name.
        tuned: k sets of tensors of the same names and shapes, at least 2.

    Returns:
        New tensors by name.

    Raises:
        InputError: if there are fewer than two models.

    Source: Jang, Yun, Han (2024). Model Stock: all we need is just a few fine-tuned models. ECCV.

    Example:
        >>> start, one, other = torch.zeros(2), torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])
        >>> model_stock({"w": start}, [{"w": one}, {"w": other}])["w"]  # the cosine is 1 / sqrt(2), t = 0.83
        tensor([0.8284, 0.4142])
    """
    if len(tuned) < 2:
        raise InputError(f"Model Stock averages at least two tuned models, not {len(tuned)}")
    return {name: _one_tensor(begin, [model[name] for model in tuned]) for name, begin in start.items()}


def _one_tensor(start: Tensor, tuned: Sequence[Tensor]) -> Tensor:
    count = len(tuned)
    moves = [(one - start).double().flatten() for one in tuned]
    cosine = sum(_cosine(left, right) for left, right in combinations(moves, 2)) / (count * (count - 1) / 2)
    cosine = max(cosine, 0.0)
    share = count * cosine / ((count - 1) * cosine + 1)
    mean: Tensor = torch.stack(moves).mean(dim=0).reshape(start.shape)
    return (start.double() + share * mean).to(start.dtype)


def _cosine(left: Tensor, right: Tensor) -> float:
    lengths = float(left.norm() * right.norm())
    return float(left @ right) / lengths if lengths else 0.0


class ModelStockSettings(Settings):
    """Settings of `ModelStock`.

    Attributes:
        runs: run folders (or weights files) of the same method on the same model and classes, tuned with other
            seeds; the run that is tuned now is one more.
    """

    runs: list[str] = Field(default_factory=list)

    def contents(self) -> dict[str, str]:
        return {"runs": digest(*(_weights_file(run).read_bytes() for run in self.runs))}


@AVERAGINGS.register("model_stock")
class ModelStock(Averaging):
    """Averages the tuned model with those of other runs, once, at the end; the start is the zero-shot model.

    The paper also merges every epoch, and all models go on from the merged weights. That takes several models and
    optimizers at once; a run has one of each, and sees those of other runs only when these are over.
    """

    Settings: ClassVar[type[Settings]] = ModelStockSettings
    settings: ModelStockSettings

    def __init__(self, settings: ModelStockSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        if not settings.runs:
            raise InputError(
                "model_stock needs the run folders of the other models: --set averaging.model_stock.runs=[FOLDER]"
            )
        self.zero_shot = model.parameterization.zero_shot_tensors()
        # read now, so that what does not fit is said before training
        self.others = [_weights(run, model) for run in settings.runs]

    def finish(self) -> None:
        own = {name: tensor.detach() for name, tensor in self.model.parameterization.trainables().items()}
        self.model.load_tensors(model_stock(self.zero_shot, [own, *self.others]))


def _weights_file(run: str) -> Path:
    path = Path(run)
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if len(files) != 1:
        raise InputError(f"model_stock: {run} is not the folder of a finished run")
    if not files[0].is_file():
        raise InputError(f"model_stock: there is no run {run}")
    return files[0]


def _weights(run: str, model: TunedModel) -> dict[str, Tensor]:
    """The trained tensors of another run of the same method."""
    tensors, about = read_tensors(_weights_file(run))
    _refuse_another(run, about, model)
    trained = model.parameterization.trainables()
    for name, tensor in trained.items():
        if name not in tensors or tensors[name].shape != tensor.shape:
            raise InputError(f"model_stock: {run} has no tensor '{name}' of shape {list(tensor.shape)}: another method")
    device = model.encoder.log_logit_scale.device
    return {name: tensors[name].to(device) for name in trained}


def _refuse_another(run: str, about: Mapping[str, Any], model: TunedModel) -> None:
    if about.get("fingerprint") != model.zero_shot.encoder.fingerprint():
        raise InputError(f"model_stock: {run} was tuned from '{about.get('model')}' with other weights than here")
    if about.get("classes") != model.classes:
        raise InputError(f"model_stock: {run} was tuned on another class list")
