"""The training loop; there is no other."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from calibrant.errors import CalibrantWarning, InputError, require
from calibrant.models.preprocessing import draws
from calibrant.progress import progress_bar
from calibrant.tuning.batches import Batches, CachedViews, Captions, LiveImages, cached_views
from calibrant.tuning.checkpoint import Checkpoint, surroundings
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.optimization import learning_rate, make_optimizer, optimizer_tensors, restore_optimizer
from calibrant.tuning.outputs import Batch, Outputs
from calibrant.tuning.parameterizations.base import Parameterization
from calibrant.tuning.precision import default_device, fastest_precision
from calibrant.tuning.regularizers.base import Regularizer
from calibrant.tuning.solvers.base import Work
from calibrant.tuning.solvers.steps_settings import StepsSettings
from calibrant.tuning.tuned_model import Answers

if TYPE_CHECKING:
    from accelerate import Accelerator


class Step(nn.Module):
    """One step's losses; training calls nothing but `forward`, so that DDP and autocast see it all.

    Args:
        model: what is tuned.
        objective: the main loss.
        regularizers: extra terms by name.
        zero_shot: the model before tuning.
    """

    def __init__(
        self,
        model: Parameterization,
        objective: Objective,
        regularizers: Mapping[str, Regularizer],
        zero_shot: Answers,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.regularizers = dict(regularizers)
        self.zero_shot = zero_shot

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Give the weighted loss terms by name; their sum is what is minimised."""
        outputs = Outputs(self.model, batch, self.zero_shot)
        terms = {self.objective.name: self.objective.loss(outputs)}
        for name, regularizer in self.regularizers.items():
            term = regularizer.loss(outputs)
            if term is not None:
                terms[name] = regularizer.settings.weight * term
        return terms


def run(work: Work, settings: StepsSettings) -> None:
    """Train one stage by gradient steps; the model is changed in place.

    Args:
        work: the stage.
        settings: of the solver.

    Raises:
        InputError: if the settings do not fit the model or the machine, or the loss is not finite.
    """
    if work.objective is None:
        raise InputError(f"stages.{work.stage} has no objective to train towards")
    total = settings.total(len(work.train))
    precision = fastest_precision(default_device()) if settings.precision == "auto" else settings.precision
    accelerator = _accelerator(precision)
    trainables = work.model.parameterization.trainables()
    step_module = Step(work.model.parameterization, work.objective, work.regularizers, work.model.zero_shot)
    step_module, optimizer = accelerator.prepare(step_module, make_optimizer(trainables, settings))
    batches = _batches(work, settings)
    start = _resume(work, optimizer, accelerator)
    callbacks = work.callbacks
    watched = {round(total * tenth / 10) for tenth in range(1, 11)}
    with (
        progress_bar("tuning", total, callbacks.progress, done=start) as advance,
        _fast_and_repeatable(accelerator),
    ):
        for step, batch in enumerate(batches.ahead(start, total), start=start):
            rate = learning_rate(step, total, settings)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            batch = _placed(_changed(batch, work, step), accelerator.device)
            with work.model.parameterization.at_step(draws(work.seed, "parameterization", work.stage, step)):
                terms = step_module(batch)
            _backward(accelerator, terms, trainables, work.regularizers)
            if settings.clip_gradient is not None:
                # unscales the gradients of fp16 first
                accelerator.clip_grad_norm_(list(trainables.values()), settings.clip_gradient)
            optimizer.step()
            optimizer.zero_grad()
            done = step + 1
            for regularizer in work.regularizers.values():
                regularizer.after_step(done, total)
            for averaging in work.averagings.values():
                averaging.after_step(done, total)
            row = {**_row(work.stage, done, rate, terms), "precision": precision}
            if callbacks.watch is not None and done in watched:
                row |= callbacks.watch(done, total, work.model) or {}
            if callbacks.log is not None:
                callbacks.log(row)
            advance(1, "  ".join(f"{name} {value:.3f}" for name, value in row["terms"].items()))
            if callbacks.save is not None and (done % callbacks.save_every == 0 or done == total):
                callbacks.save(_checkpoint(work, done, optimizer, accelerator))
    for averaging in work.averagings.values():
        averaging.finish()


def _accelerator(precision: str) -> Accelerator:
    require("accelerate", "clip")
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # its state is global: without this a second run at another precision would fail
    AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision="no" if precision == "fp32" else precision)
    if precision == "fp16" and accelerator.device.type == "cpu":
        raise InputError("solver.precision fp16 needs a GPU; on a CPU use bf16 or fp32")
    return accelerator


@contextlib.contextmanager
def _fast_and_repeatable(accelerator: Accelerator) -> Iterator[None]:
    """Flush denormals, which stall matrix products, and avoid the slow bf16 attention of CPUs."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    flushed = torch.set_flush_denormal(True)
    try:
        # on a CPU the backward of flash attention in bf16 takes more than half of a step
        slow = accelerator.device.type == "cpu" and accelerator.mixed_precision == "bf16"
        with sdpa_kernel(SDPBackend.MATH) if slow else contextlib.nullcontext():
            yield
    finally:
        if flushed:
            torch.set_flush_denormal(False)


def _batches(work: Work, settings: StepsSettings) -> Batches:
    model, train, count = work.model.parameterization, work.train, len(work.train)
    if settings.batch_size > count:
        warnings.warn(
            f"batches have {count} images, since there are no more; the recipe says {settings.batch_size}",
            CalibrantWarning,
            stacklevel=2,
        )
    augmentation = settings.augmentation.draws()
    images: LiveImages | CachedViews
    if settings.views == "live":
        images = LiveImages(train, model.encoder, augmentation, work.seed, work.stage)
    elif model.trains_image_tower:
        raise InputError(f"solver.views is {settings.views}, but the image tower is trained here: set it to live")
    else:
        size, steps = min(settings.batch_size, count), settings.total(count)
        images = cached_views(
            work.cache, model.encoder, train, augmentation,
            views=settings.views, size=size, steps=steps, seed=work.seed, stage=work.stage
        )  # fmt: skip
    reads = work.objective is not None and work.objective.reads_captions
    captions = Captions(model.task, model.encoder, work.seed, work.stage) if reads else None
    return Batches(train, min(settings.batch_size, count), work.seed, work.stage, images, captions)


def _changed(batch: Batch, work: Work, step: int) -> Batch:
    for name, regularizer in work.regularizers.items():
        batch = regularizer.on_batch(batch, draws(work.seed, f"regularizer {name}", work.stage, step))
    objective = work.objective
    if objective is None or type(objective).on_batch is Objective.on_batch:
        return batch  # random numbers that nobody reads would cost a small step some of its time
    return objective.on_batch(batch, draws(work.seed, "objective", work.stage, step))


def _placed(batch: Batch, device: torch.device) -> Batch:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def _backward(
    accelerator: Accelerator,
    terms: Mapping[str, Tensor],
    trainables: Mapping[str, nn.Parameter],
    regularizers: Mapping[str, Regularizer],
) -> None:
    """Fill the gradients; a regularizer that combines them in its own way gets its own backward pass."""
    own = [
        name
        for name, regularizer in regularizers.items()
        if name in terms and type(regularizer).combine_gradients is not Regularizer.combine_gradients
    ]
    _finite(terms)
    accelerator.backward(
        torch.stack([term for name, term in terms.items() if name not in own]).sum(), retain_graph=bool(own)
    )
    for name in own:
        others = {key: parameter.grad for key, parameter in trainables.items()}
        for parameter in trainables.values():
            parameter.grad = None
        accelerator.backward(terms[name], retain_graph=name != own[-1])
        gradients = {key: parameter.grad for key, parameter in trainables.items()}
        combined = regularizers[name].combine_gradients(others, gradients)
        for key, parameter in trainables.items():
            parameter.grad = combined[key]


def _finite(terms: Mapping[str, Tensor]) -> None:
    for name, term in terms.items():
        if not bool(torch.isfinite(term.detach())):
            raise InputError(f"the loss term '{name}' is not finite; lower solver.learning_rate or use fp32")


def _row(stage: int, done: int, rate: float, terms: Mapping[str, Tensor]) -> dict[str, Any]:
    values = {name: float(term.detach()) for name, term in terms.items()}
    return {
        "stage": stage,
        "step": done,
        "learning_rate": rate,
        "loss": sum(values.values()),
        "terms": values,
    }


def _live_tensors(work: Work) -> dict[str, Tensor]:
    """The tensors besides the trained ones and the optimizer's that training changes."""
    found: dict[str, Tensor] = {}
    for group, parts in (("regularizer", work.regularizers), ("averaging", work.averagings)):
        for name, part in parts.items():
            found |= {f"{group}:{name}/{key}": tensor for key, tensor in part.state().items()}
    return found


def _checkpoint(work: Work, done: int, optimizer: Any, accelerator: Accelerator) -> Checkpoint:
    trainables = work.model.parameterization.trainables()
    tensors = {f"carried:{name}": tensor for name, tensor in work.carried.items()}
    tensors |= {f"trained:{name}": tensor for name, tensor in trainables.items()}
    tensors |= {f"optimizer:{name}": value for name, value in optimizer_tensors(optimizer, trainables).items()}
    tensors |= _live_tensors(work)
    # a copy, since the caller may keep it while training goes on
    copies = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    scalars = {"loss_scale": accelerator.scaler.state_dict()} if accelerator.scaler is not None else {}
    return Checkpoint(work.stage, done, copies, scalars, dict(work.identity), _surroundings(accelerator))


def _surroundings(accelerator: Accelerator) -> dict[str, Any]:
    return {**surroundings(accelerator.device), "precision": accelerator.mixed_precision}


@torch.no_grad()
def _resume(work: Work, optimizer: Any, accelerator: Accelerator) -> int:
    """Put everything back as the checkpoint has it, and give the number of steps that are done."""
    checkpoint = work.resume
    if checkpoint is None:
        return 0
    checkpoint.check(work.identity, _surroundings(accelerator))
    work.model.load_tensors(checkpoint.group("trained"))
    restore_optimizer(optimizer, work.model.parameterization.trainables(), checkpoint.group("optimizer"))
    for name, tensor in _live_tensors(work).items():
        tensor.copy_(checkpoint.tensors[name])
    if accelerator.scaler is not None and "loss_scale" in checkpoint.scalars:
        accelerator.scaler.load_state_dict(dict(checkpoint.scalars["loss_scale"]))
    return checkpoint.step
