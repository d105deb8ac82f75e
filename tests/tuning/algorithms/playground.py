"""A space, what its candidates are worth, and a search without Ray: what the tests of all search algorithms share."""

from tsad.selection.trial import Trial
from tsad.tuning.space import Space

SPACE = Space(
    {
        "data": {"kind": "synthetic"},
        "window": {"length": {"choice": [8, 16, 32, 64]}},
        "model": {
            "choice": [
                {"kind": "lstm_ae", "hidden": {"choice": [16, 32, 64]}, "latent": {"range": [2, 32]}},
                {"kind": "tcn_ae", "channels": {"choice": [16, 32, 64]}, "latent": {"range": [2, 32]}},
                {"kind": "window_linear", "components": {"range": [4, 32]}},
            ]
        },
        "training": {
            "learning_rate": {"range": [1e-4, 1e-1], "log": True, "when": {"model.kind": ["lstm_ae", "tcn_ae"]}}
        },
        "scoring": {"over": {"choice": ["last", "window", "mean"]}, "error": {"choice": ["squared", "absolute"]}},
    }
)

SMALL = Space(
    {
        "data": {"kind": "synthetic"},
        "window": {"length": {"choice": [8, 16, 32]}},
        "model": {"choice": [{"kind": "l2"}, {"kind": "pca_error", "components": {"range": [1, 4]}}]},
        "scoring": {"over": {"choice": ["last", "mean"]}},
    }
)
SMALL_SIZE = 3 * (1 + 4) * 2


def worth(candidate):
    """Returns how near the candidate is to a tcn_ae of 64 channels on windows of 16, scored by `window`; 5 at most."""
    values = candidate.experiment_values
    model = values["model"]
    near = abs(model.get("latent", 99) - 20) / 30
    return (
        2.0 * (model["kind"] == "tcn_ae")
        + 1.0 * (values["window"]["length"] == 16)
        + 1.0 * (values["scoring"]["over"] == "window")
        + 0.5 * (model.get("channels") == 64)
        + 0.5 * max(0.0, 1 - near)
    )


def finished(candidate):
    metrics = {"cost/parameters": float(candidate.experiment.window.length), "cost/latency": 1.0}
    return Trial(candidate, "finished", worth(candidate), seconds=1.0, epochs=3, metrics=metrics)


def mixed(candidate):
    """Returns a third each of finished trials, of stopped ones with a value beyond all others, and of failed ones."""
    if candidate.number % 3 == 0:
        return finished(candidate)
    if candidate.number % 3 == 1:
        return Trial(candidate, "stopped", 1e9, seconds=0.1, epochs=1, reason="behind at a rung")
    return Trial(candidate, "failed", None, seconds=0.1, reason="ValueError: no")


def drive(algorithm, count, end=finished, parallel=1):
    """Returns the first trials to end, `parallel` running at once where the algorithm does not wait; last in, first out."""
    running, ended = [], []
    while len(ended) < count:
        while len(running) < parallel and (candidate := algorithm.suggest()) is not None:
            running.append(candidate)
        assert running, "the algorithm waits for a trial, but none is running"
        ended.append(end(running.pop()))
        algorithm.update(ended[-1])
    return ended


def candidates(trials):
    return sorted((trial.candidate for trial in trials), key=lambda candidate: candidate.number)


def proposals(spec, seed, end=finished, count=40, minimize=()):
    trials = drive(spec.build(SPACE, seed, minimize), count, end)
    return [(candidate.params, candidate.parents) for candidate in candidates(trials)]
