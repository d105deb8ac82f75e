"""A program with Ray up and an MLflow run open, as a notebook has, that searches twice."""

import json
import os
import sys

import tests.stores  # noqa: F401 (imports MLflow without its warnings)

import mlflow  # isort: skip
import ray

import tsad

SPACE = {
    "data": {"kind": "synthetic", "rows": 900, "features": 4, "events": 8, "seed": 3},
    "split": {"gap": 20},
    "window": {"length": 8},
    "model": {"kind": "window_linear", "components": {"choice": [3, 5]}},
    "search": {
        "trials": 2,
        "parallel": 1,
        "algorithm": {"kind": "random"},
        "asha": None,
        "ensemble": None,
        "anchors": [],
        "champion": "best",
        "register": None,
    },
}

if __name__ == "__main__":
    mlflow.set_tracking_uri(os.environ["TSAD_TRACKING_URI"])
    mlflow.set_experiment("mine")
    if "ray" in sys.argv:
        ray.init(address="local", num_cpus=2, include_dashboard=False)  # not one that a killed program left behind
    with mlflow.start_run(run_name="outer") as outer:
        searches = [tsad.search(SPACE, {"search.seed": seed}).run_id for seed in (0, 1)]
        active = mlflow.active_run()
        mlflow.log_metric("after", 1.0)
    result = {
        "outer": outer.info.run_id,
        "active": active.info.run_id if active else None,
        "searches": searches,
        "ray": ray.is_initialized(),
    }
    sys.stdout.write(json.dumps(result) + "\n")
