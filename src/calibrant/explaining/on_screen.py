"""What `calibrant explain` says on the terminal, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from calibrant.rationality.way import NO_PROOF

SHOWN = ("accuracy", "PT", "IR", "RW", "valid")
_TURNED = {"value": "value", "low": "high", "high": "low"}  # what is lost is minus what changes
COLUMNS = (
    "PT: of the right answers, the share whose evidence lies on the object. IR: of the answers with such evidence, the "
    "share that is right. RW: of all images, answered rightly on other evidence. Valid: evidence on the object."
)


def rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Arrange what was measured for `calibrant.reporting.measures_table`: a row for each model, and the difference.

    Args:
        result: what `calibrant.explain.explain` gave, with masks.

    Returns:
        Rows with ``model`` and ``measures``.
    """
    found = [{"model": one["model"], "measures": _known(one["measures"])} for one in reversed(result["models"])]
    if "differences" in result:
        found.append({"model": "tuned - zero-shot", "measures": _known(result["differences"])})
    return found


def lines(result: Mapping[str, Any]) -> Iterator[str]:
    """Say what else there is to say: what people judged, what was left out, where everything is.

    Args:
        result: what `calibrant.explain.explain` gave.

    Yields:
        One line each.
    """
    tuned = result["models"][0]
    without = tuned["no_evidence"] if not result["masks"] else tuned["measures"]["no_evidence"]
    if without:
        yield f"{without} of {result['n']} heat maps point nowhere; they count neither as valid nor as invalid."
    if result["masks"]:
        if outside := tuned["measures"]["outside"]:
            yield f"{outside} of {result['n']} images are left out: the model sees nothing of their object."
        maps = tuned["maps"]
        if maps["relevance_mass"]["value"] is not None:
            yield (
                f"{maps['relevance_mass']['value']:.1%} of the relevance lies on the objects; a map that points "
                f"nowhere would get {maps['area']['value']:.1%}, a look at the centre {maps['centre']['value']:.1%}."
            )
    else:
        yield (
            f"{result['data']} has no object masks, so nothing says whether the evidence is right: add --masks "
            "LAYOUT:PATH, or let people judge it: --review 100."
        )
    if checked := result.get("sanity"):
        yield from _checked(checked)
    if learnt := result.get("right_reason"):
        yield (
            f"Right for the right reason: ECE {learnt['ece_right_reason']:.3f} of the confidence learnt for it, "
            f"{learnt['ece_confidence_as_right_reason']:.3f} of the ordinary one (whose ECE for being right is "
            f"{learnt['ece']:.3f}); `calibrant classify --explain` uses it."
        )
    if review := result.get("review"):
        yield f"Open {review['page']} in a browser: {review['images']} maps to judge; it saves a file for --judgements."
    if judged := result.get("judged"):
        yield from _judged(judged)
    yield f"Maps, measures, images.csv and {len(result['pictures'])} pictures are in {result['folder']}."
    yield NO_PROOF


def _checked(checked: Mapping[str, Any]) -> Iterator[str]:
    yield f"Checked on {checked['images']} images; each mean with its 95 % interval:"
    others = {f"agreement with {name}": one for name, one in checked["agreement"].items()}
    told = {
        "maps of the same model with random weights correlate by": (checked["randomised"], "near 0 is good"),
        "maps of another class correlate by": (checked["another_class"], "1: it does not tell classes apart"),
        **{name: (one, "") for name, one in others.items()},
        "probability lost, against a random order, as the most relevant pixels go": (
            {key: _minus(checked["deletion"][other]) for key, other in _TURNED.items()},
            "above 0 is good",
        ),
        "probability gained, against a random order, as they come": (checked["insertion"], "above 0 is good"),
    }
    for what, (one, good) in told.items():
        known = "unknown" if one["value"] is None else f"{one['value']:.3f}"
        between = "" if one["low"] is None else f" ({one['low']:.3f} to {one['high']:.3f})"
        yield f"  {what}: {known}{between}" + (f"; {good}" if good else "")
    if unfit := checked["not_for_this_model"]:
        yield f"  not for this model: {', '.join(unfit)}"


def _judged(judged: Mapping[str, Any]) -> Iterator[str]:
    said, who = judged["measures"], ", ".join(judged["reviewers"])
    yield f"Judged by {who}: {judged['images']} images; PT {_share(said['PT'])}, IR {_share(said['IR'])}."
    for one in judged["agreement"]:
        kappa = one["kappa"]
        if kappa["value"] is None:
            known = "no kappa, since too little was judged by both"
        else:
            ends = "" if kappa["low"] is None else f" ({kappa['low']:.2f} to {kappa['high']:.2f})"
            known = f"kappa {kappa['value']:.2f}{ends}"
        yield f"{one['between'][0]} and {one['between'][1]}: {known}, {one['images']} images."


def _share(estimate: Mapping[str, float | None]) -> str:
    if estimate["value"] is None:
        return "unknown"
    return f"{estimate['value']:.1%} ({estimate['low']:.1%} to {estimate['high']:.1%})"


def _known(measures: Mapping[str, Any]) -> dict[str, Any]:
    """Take the estimates that are shown; one without a denominator is NaN again."""
    nothing = float("nan")
    found = {name: measures[name] for name in SHOWN if name in measures}
    return {name: {**one, "value": nothing if one["value"] is None else one["value"]} for name, one in found.items()}


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
