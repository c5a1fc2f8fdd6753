"""What each number means, to be written beside it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from calibrant.errors import InputError, unknown

# whether more is better; what is neither has no worst
BETTER = {
    "accuracy": "high",
    "balanced_accuracy": "high",
    "macro_f1": "high",
    "ece": "low",
    "ece_debiased": "low",
    "ace": "low",
    "mce": "low",
    "classwise_ece": "low",
    "overconfidence": "low",
    "underconfidence": "low",
    "nll": "low",
    "brier": "low",
    "auroc": "high",
    "fpr95": "low",
    "aurc": "low",
    "e_aurc": "low",
    "piece": "low",
    "sensitivity": "high",
    "specificity": "high",
    "ppv": "high",
    "npv": "high",
    "class_auroc": "high",
    "class_auprc": "high",
}
PIECE_BINS = 10


def definitions(bins: int = 15) -> dict[str, str]:
    """Describe every measure of `summary` in one line.

    Args:
        bins: how many bins the calibration errors have.

    Returns:
        Measure to definition.

    Example:
        >>> definitions()["accuracy"]
        'share of samples whose most probable class is the label (ties: lowest index)'
    """
    binned = f"top-label, {bins} right-closed bins of equal width, whole set"
    by_mass = f"top-label, {bins} right-closed bins of equally many samples, equal confidences together, whole set"
    by_class = f"each class by its own probability, {bins} right-closed bins of equal width, whole set"
    return {
        "accuracy": "share of samples whose most probable class is the label (ties: lowest index)",
        "balanced_accuracy": "mean recall of the classes that have a sample",
        "macro_f1": "mean F1 of the classes that are labelled or answered",
        "ece": f"expected calibration error, L1 ({binned}); the interval is that of the true error; p_value: chance "
        "that a perfectly calibrated model shows this error or more (consistency resampling)",
        "ece_debiased": f"expected calibration error, L1, without the part that chance adds ({binned}; "
        "normal debiasing of Kumar et al. 2019)",
        "ace": f"adaptive calibration error, L1 ({by_mass}); the interval is that of the true error",
        "mce": f"maximum calibration error: the largest gap of a bin ({binned}), however few samples it holds; the "
        "interval comes from exact ones of every bin (Clopper-Pearson, Bonferroni)",
        "classwise_ece": f"class-wise calibration error: L1 errors of the classes, averaged ({by_class})",
        "overconfidence": f"the part of ece from bins whose mean confidence is above their accuracy ({binned})",
        "underconfidence": f"the part of ece from bins whose mean confidence is below their accuracy ({binned})",
        "signed_gap": "mean confidence minus accuracy: above 0 too sure on average, below 0 not sure enough",
        "nll": "mean negative log-likelihood of the label, in nats",
        "brier": "mean squared error of the probabilities, summed over classes",
        "auroc": "chance that a right answer has a higher confidence than a wrong one, ties counting half",
        "fpr95": "share of the wrong answers that remain at the highest threshold that keeps 95 % of the right ones",
        "aurc": "area under the risk-coverage curve: share of wrong answers among the k surest, averaged over k (ties "
        "in random order, expected value)",
        "e_aurc": "aurc minus the least possible with as many wrong answers",
        "mean_confidence": "mean probability of the most probable class",
        "ece_noise_floor": "expected ECE of a perfectly calibrated model with these confidences and as "
        f"many independent samples ({binned})",
    }


def more_definitions(bins: int = 15) -> dict[str, str]:
    """Describe the measures that only some predictions have: two classes, or a proximity of each sample.

    Args:
        bins: how many bins the calibration errors have.

    Returns:
        Measure to definition; ``{positive}`` stands for the name of the positive class.

    Example:
        >>> more_definitions()["ppv"]
        'share of right answers among those that say {positive}; it depends on how frequent that is'
    """
    return {
        "sensitivity": "share of the samples of {positive} that are answered so",
        "specificity": "share of the samples of the other class that are answered so",
        "ppv": "share of right answers among those that say {positive}; it depends on how frequent that is",
        "npv": "share of right answers among those that say the other class; it depends on how frequent that is",
        "class_auroc": "chance that a sample of {positive} has a higher probability of it than one of the other class, "
        "ties counting half",
        "class_auprc": "average precision: precision at every sample of {positive}, averaged",
        "piece": f"proximity-informed calibration error, L1 (top-label, {PIECE_BINS} bins of equally many samples by "
        f"proximity x {bins} right-closed bins of equal width by confidence, whole set)",
    }


def chosen(measures: Sequence[str] | None, known: Collection[str]) -> list[str]:
    """Check a choice of measures.

    Args:
        measures: names, or None for all.
        known: what there is.

    Returns:
        The names in the order of `known`, each once.

    Raises:
        InputError: if there is no measure of a name, or none is chosen.

    Example:
        >>> chosen(["ece", "accuracy"], definitions())
        ['accuracy', 'ece']
    """
    if measures is None:
        return list(known)
    for name in measures:
        if name not in known:
            raise unknown("measure", name, known)
    if not measures:
        raise InputError("choose at least one measure")
    return [name for name in known if name in measures]
