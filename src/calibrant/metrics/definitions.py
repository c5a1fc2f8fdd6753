"""What each number means, to be written beside it."""

from __future__ import annotations

# whether more is better; what is neither has no worst
BETTER = {"accuracy": "high", "ece": "low", "ece_debiased": "low", "nll": "low", "brier": "low"}


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
    return {
        "accuracy": "share of samples whose most probable class is the label (ties: lowest index)",
        "ece": f"expected calibration error, L1 ({binned}); the interval is that of the true error",
        "ece_debiased": f"expected calibration error, L1, without the part that chance adds ({binned}; "
        "normal debiasing of Kumar et al. 2019)",
        "nll": "mean negative log-likelihood of the label, in nats",
        "brier": "mean squared error of the probabilities, summed over classes",
        "mean_confidence": "mean probability of the most probable class",
        "ece_noise_floor": "expected ECE of a perfectly calibrated model with these confidences and as "
        f"many independent samples ({binned})",
    }
