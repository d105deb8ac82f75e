"""Values of candidates that need no training."""

import math


def worth(candidate):
    """Returns a value between 0 and 1 that is best for one candidate of the space and has no plateau."""
    values = candidate.experiment_values
    rate = math.log10(values["training"]["learning_rate"])
    return 1 / (1 + abs(values["window"]["length"] - 16) + abs(values["model"]["hidden"] - 8) + abs(rate + 2))
