"""What calibration costs: DAC for 1,000 classes, every calibrator beside a prediction, and CAC's second image tower.

1. DAC's weights for a list of classes, computed and remembered, against SciPy's table of all distances.
2. Every calibrator on one batch, beside predicting that batch from its pixels with a tuned model whose image tower was
   left alone.
3. Where the image tower was tuned, whoever reads zero-shot logits (CAC, ZS-norm) needs a second one: the same batch
   without and with it, and the peak memory of each in a process of its own.

Run it with ``python benchmarks/open_vocabulary.py``; weights are random, since speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from _measuring import MEGABYTE, in_own_process, in_turn, machine, peak_memory, report

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.predictions import Predictions
    from calibrant.tuning.tuned_model import TunedModel

TEXT_ONLY, IMAGE = "coop", "flyp"  # a method that tunes the text side alone, and one that tunes the image tower too
WORK = {"text": "text side tuned", "alone": "image tower tuned", "both": "image tower tuned, and the zero-shot one"}
CHAINS = ("dac+temperature", "cac+temperature", "dac+cac")
DAC_AIM, SHARE_AIM = 0.05, 0.01  # seconds; part of a prediction
TOLERANCE = 1e-6


def unit(rows: Any) -> Any:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def text_side(classes: int, base: int, width: int) -> dict[str, Any]:
    """Features of `classes` names and of `base` tuned ones, which are among the names if there are fewer."""
    draw = np.random.default_rng(0)
    count = classes if base < classes else classes + base
    before = unit(draw.normal(size=(count, width)))
    after = unit(before + 0.02 * draw.normal(size=before.shape))
    return {
        "text_features": after[:classes],
        "zero_shot_text_features": before[:classes],
        "base_text_features": after[count - base :],
        "zero_shot_base_text_features": before[count - base :],
    }


def plain_weights(features: dict[str, Any], k: int) -> Any:
    """DAC's weights from the full table of distances."""
    from scipy.spatial.distance import cdist

    tuned, zero_shot, base, zero_shot_base = (features[name].astype(np.float64) for name in features)
    after, before = cdist(tuned, base), cdist(zero_shot, zero_shot_base)
    change = np.sort(before)[:, :k].mean(axis=1) - np.sort(after)[:, :k].mean(axis=1)
    return np.where(after.min(axis=1) < 0.05, 1.0, np.exp(change))


def dac(args: argparse.Namespace) -> dict[str, Any]:
    from calibrant.calibration import DistanceAware
    from calibrant.predictions import Predictions

    found = {}
    for what, base in (("half of them tuned", args.names // 2), ("all new, beside as many tuned", args.names)):
        features = text_side(args.names, base, args.width)
        given = Predictions(logits=np.zeros((args.batch, args.names), np.float32), **features)
        remembering = DistanceAware()
        difference = np.abs(remembering.class_weights(given) - plain_weights(features, 5)).max()
        if not difference <= TOLERANCE:
            sys.exit(f"DAC differs from the plain way by {difference:.1e}, more than {TOLERANCE:.0e}")
        ways: dict[str, Callable[[], object]] = {
            "SciPy's table": lambda features=features: plain_weights(features, 5),  # type: ignore[misc]
            "computed": lambda given=given: DistanceAware().class_weights(given),  # type: ignore[misc]
            "remembered": lambda given=given, known=remembering: known.class_weights(given),  # type: ignore[misc]
        }
        found[what] = {"seconds": in_turn(ways, args.repeats), "difference": float(difference)}
    return found


def tuned_model(method: str, args: argparse.Namespace) -> TunedModel:
    import open_clip
    import torch

    from calibrant.models.open_clip import OpenClipEncoder
    from calibrant.models.open_clip_loading import build_network
    from calibrant.models.preprocessing import Preprocessing
    from calibrant.tuning.recipe import load_recipe
    from calibrant.tuning.task import Task
    from calibrant.tuning.tuned_model import build

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    config = open_clip.get_model_config(args.architecture)
    tokenizer = open_clip.get_tokenizer(args.architecture)
    about = {"architecture": config}
    encoder = OpenClipEncoder(build_network(config), tokenizer, Preprocessing(), args.architecture, about)
    names = [f"thing number {i}" for i in range(args.classes)]
    return build(encoder, Task(names, ["a photo of a {}."], {}), load_recipe(method), stage=0, seed=0)


def pictures(count: int) -> list[Any]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (256, 320, 3), np.uint8) for _ in range(count)]


def held_out(batch: Predictions, samples: int) -> Predictions:
    """Make something to fit on: logits as spread as those of the batch, and labels that mostly agree with them."""
    draw = np.random.default_rng(1)
    classes = batch.logits.shape[1]
    labels = np.arange(samples) % classes
    logits = draw.normal(size=(samples, classes)).astype(np.float32)
    logits[np.arange(samples), labels] += 3
    images = batch.image_features
    width = images.shape[1] if images is not None else 8
    return replace(
        batch,
        logits=logits,
        zero_shot_logits=logits + 0.3 * draw.normal(size=logits.shape).astype(np.float32),
        labels=labels,
        image_features=unit(draw.normal(size=(samples, width))),
        proximity=draw.random(samples),
    )


def every_calibrator(batch: Predictions, samples: int) -> tuple[dict[str, Calibrator], dict[str, str]]:
    """Fit what there is; a calibrator that cannot be fitted or used here is named with the reason."""
    import warnings

    from calibrant.calibration import CALIBRATORS, calibrator
    from calibrant.errors import InputError

    fitted, left_out = {}, {}
    to_fit_on = held_out(batch, samples)
    for name in (*CALIBRATORS, *CHAINS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = calibrator(name).fit(to_fit_on)
            made(batch)
        except InputError as reason:
            left_out[name] = str(reason)
        else:
            fitted[name] = made
    return fitted, left_out


def beside_a_prediction(args: argparse.Namespace) -> dict[str, Any]:
    from calibrant.predict import answer

    model, images = tuned_model(TEXT_ONLY, args), pictures(args.batch)
    names = model.classes
    batch = answer(model, images, names)
    if batch.image_features is None:
        batch = replace(batch, image_features=unit(np.random.default_rng(2).normal(size=(args.batch, args.width))))
    calibrators, left_out = every_calibrator(batch, args.samples)
    ways: dict[str, Callable[[], object]] = {"predict": lambda: answer(model, images, names)}
    ways |= {name: lambda made=made: made(batch) for name, made in calibrators.items()}  # type: ignore[misc]
    times = in_turn(ways, args.repeats)
    shares = {name: times[name]["wall"] / times["predict"]["wall"] for name in calibrators}
    return {"seconds": times, "share of a prediction": shares, "left out": left_out}


def second_tower(args: argparse.Namespace) -> dict[str, Any]:
    from calibrant.predict import answer

    model, images = tuned_model(IMAGE, args), pictures(args.batch)
    ways: dict[str, Callable[[], object]] = {
        "alone": lambda: answer(model, images, model.classes, zero_shot=False),
        "both": lambda: answer(model, images, model.classes),
    }
    times = in_turn(ways, args.repeats)
    tower = sum(tensor.nbytes for _, tensor in model.zero_shot.encoder.image_tower_parameters())
    return {
        "seconds": times,
        "times": times["both"]["wall"] / times["alone"]["wall"],
        "bytes of an image tower": tower,
    }


def peak(work: str, args: argparse.Namespace) -> dict[str, int]:
    """Predict one batch in this process and give its peak memory."""
    from calibrant.predict import answer

    model = tuned_model(TEXT_ONLY if work == "text" else IMAGE, args)
    answer(model, pictures(args.batch), model.classes, zero_shot=work != "alone")
    return {"peak": peak_memory()}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", default="ViT-B-32", help="of open_clip, with CLIP's own towers")
    parser.add_argument("--names", type=int, default=1000, help="classes of DAC")
    parser.add_argument("--width", type=int, default=512, help="dimensions of DAC's text features")
    parser.add_argument("--classes", type=int, default=100, help="classes of the predictions")
    parser.add_argument("--batch", type=int, default=64, help="images")
    parser.add_argument("--samples", type=int, default=2000, help="samples to fit calibrators on")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parsed()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CALIBRANT_CACHE"] = folder
        if args.work:
            print(json.dumps(peak(args.work, args)))
            return
        settings = {name: value for name, value in vars(args).items() if name not in ("json", "work")}
        given = [f"--{name}={value}" for name, value in settings.items()]
        result = {
            "benchmark": "open_vocabulary",
            "settings": settings,
            "dac": dac(args),
            "beside a prediction": beside_a_prediction(args),
            "second tower": second_tower(args),
            "peak memory": {work: in_own_process(__file__, f"--work={work}", *given)["peak"] for work in WORK},
            "machine": machine(args.threads),
        }
    show(result, args)
    report(result, args.json)


def show(result: dict[str, Any], args: argparse.Namespace) -> None:
    print(f"DAC's weights of {args.names} classes, medians of {args.repeats}; at most {1000 * DAC_AIM:.0f} ms wanted")
    for what, found in result["dac"].items():
        for way, seconds in found["seconds"].items():
            print(f"  {what}, {way}: {1000 * seconds['wall']:.1f} ms wall")
    measured = result["beside a prediction"]
    whole = measured["seconds"]["predict"]["wall"]
    print(
        f"{args.architecture}, {args.batch} images among {args.classes} classes, text side tuned, {args.threads} "
        f"threads: {whole:.2f} s from pixels; calibrators beside it (at most {100 * SHARE_AIM:.0f} % wanted)"
    )
    for name, share in measured["share of a prediction"].items():
        print(f"  {name}: {1000 * measured['seconds'][name]['wall']:.2f} ms, {100 * share:.3f} %")
    for name, reason in measured["left out"].items():
        print(f"  {name} left out: {reason}")
    tower = result["second tower"]
    alone, both = (tower["seconds"][way]["wall"] for way in ("alone", "both"))
    print(
        f"image tower tuned: {alone:.2f} s, with zero-shot logits (CAC, ZS-norm) {both:.2f} s, {tower['times']:.2f} x; "
        f"the second image tower weighs {tower['bytes of an image tower'] / MEGABYTE:.0f} MB"
    )
    for work, most in result["peak memory"].items():
        print(f"  peak memory, {WORK[work]}: {most / MEGABYTE:.0f} MB")


if __name__ == "__main__":
    main()
