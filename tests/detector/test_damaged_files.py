"""Saved detectors that were damaged or made up: each is refused in one line, before it takes memory or gives a score."""

import json
import resource

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.examples import detector_of, sensors
from tsad.detector.detector import DESCRIPTION, WEIGHTS, Detector
from tsad.detector.scoring import ScoringSpec
from tsad.errors import DetectorError
from tsad.models.baselines.nearest import NearestNeighborSpec
from tsad.models.baselines.principal import PcaErrorSpec
from tsad.models.lstm_ae import LstmAutoencoderSpec

NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture
def folder(tmp_path):
    """A detector that was saved."""
    detector_of(PcaErrorSpec(kind="pca_error", components=2), sensors(300), 4, ScoringSpec()).save(tmp_path)
    return tmp_path


def described(folder, change):
    values = json.loads((folder / DESCRIPTION).read_text())
    change(values)
    (folder / DESCRIPTION).write_text(json.dumps(values))


def refused(folder, match):
    with pytest.raises(DetectorError, match=match) as caught:
        Detector.load(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


DAMAGES = {
    "zero scale": (lambda values: values["scale"].__setitem__(2, 0.0), "scale.2: .*greater than 0"),
    "negative scale": (lambda values: values["scale"].__setitem__(0, -1.0), "scale.0: .*greater than 0"),
    "infinite scale": (lambda values: values["scale"].__setitem__(0, INFINITY), "scale.0"),
    "scale that is no number": (lambda values: values["scale"].__setitem__(0, NAN), "scale.0"),
    "infinite center": (lambda values: values["center"].__setitem__(0, -INFINITY), "center.0"),
    "zero error scale": (lambda values: values["error_scale"].__setitem__(1, 0), "error_scale.1"),
    "clip of nothing": (lambda values: values.update(clip=0.0), "clip"),
    "a feature twice": (lambda values: values.update(features=["a"] * 6), "features must have names of their own"),
    "no features": (lambda values: values.update(features=[], center=[], scale=[], error_scale=[]), "features"),
    "one feature less": (lambda values: values.update(features=["a"]), "must be equally many"),
    "endless window": (lambda values: values.update(window_length=10**12), "window_length"),
    "window of nothing": (lambda values: values.update(window_length=0), "window_length"),
    "huge model": (lambda values: values["model"].update(components=10**9), "weights must fit|must fit each other"),
    "another model": (
        lambda values: values.update(model={"kind": "lstm_ae", "hidden": 10**9}),
        "weights must fit|must fit each",
    ),
    "many layers": (lambda values: values.update(model={"kind": "lstm_ae", "layers": 10**9}), "layers"),
    "huge forest": (lambda values: values.update(model={"kind": "isolation_forest", "trees": 10**9}), "must fit"),
    "huge memory": (lambda values: values.update(model={"kind": "nearest_neighbor", "rows": 10**15}), "must fit"),
    "a number beyond 64 bits": (lambda values: values["model"].update(components=2**70), "components|must fit"),
    "another threshold": (lambda values: values.update(threshold={"kind": "x"}), "threshold"),
    "threshold that is no number": (lambda values: values["threshold"].update(value=NAN), "threshold"),
    "another format": (lambda values: values.update(format="tsad-detector-9"), "format"),
    "a text": (lambda values: values.update(scale="1"), "scale"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_description_that_no_detector_has_is_refused_and_takes_no_memory(folder, damage):
    change, says = damage
    described(folder, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(folder, says)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("text", ["", "[", "[]", "null", '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "9" * 5000])
def test_a_description_that_is_none_is_refused(folder, text):
    (folder / DESCRIPTION).write_text(text)
    refused(folder, "must be JSON|must hold a mapping|must not nest")


def test_a_description_is_not_read_without_end(folder):
    with (folder / DESCRIPTION).open("wb") as file:
        file.truncate(60_000_000)
    refused(folder, "must have at most 50000000 bytes, but has 60000000")


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize("kind", ["pca_error", "lstm_ae", "nearest_neighbor"])
def test_weights_that_are_no_finite_numbers_are_refused(tmp_path, kind, value):
    spec = {
        "pca_error": PcaErrorSpec(kind="pca_error", components=2),
        "lstm_ae": LstmAutoencoderSpec(kind="lstm_ae", hidden=4, latent=2),
        "nearest_neighbor": NearestNeighborSpec(kind="nearest_neighbor", rows=50),
    }[kind]
    detector_of(spec, sensors(300), 4, ScoringSpec()).save(tmp_path)
    weights = load_file(tmp_path / WEIGHTS)
    for name, tensor in weights.items():
        damaged = tensor.clone()
        damaged.view(-1)[0] = value
        save_file({**weights, name: damaged}, tmp_path / WEIGHTS)
        assert WEIGHTS in refused(
            tmp_path, f"weights must be finite, but {name} has NaN or infinity; train the detector again"
        )
    save_file({name: torch.full_like(tensor, INFINITY) for name, tensor in weights.items()}, tmp_path / WEIGHTS)
    refused(tmp_path, "weights must be finite")


def test_numbers_that_become_infinite_in_the_type_of_the_model_are_refused(folder):
    weights = load_file(folder / WEIGHTS)
    save_file({name: tensor.double() * 0 + 1e300 for name, tensor in weights.items()}, folder / WEIGHTS)
    refused(folder, "weights must be finite")


@pytest.mark.parametrize("change", ["shape", "missing", "more", "empty", "text", "huge"])
def test_weights_of_another_shape_are_refused(folder, change):
    weights = load_file(folder / WEIGHTS)
    name = next(name for name, tensor in weights.items() if tensor.ndim)
    if change == "shape":
        weights[name] = weights[name].flatten()[:1]
    elif change == "missing":
        del weights[name]
    elif change == "more":
        weights["more"] = torch.zeros(3)
    if change in {"empty", "text", "huge"}:
        header = json.dumps({name: {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 4]}}).encode()
        content = {"empty": b"", "text": b"weights", "huge": len(header).to_bytes(8, "little") + header + b"0000"}
        (folder / WEIGHTS).write_bytes(content[change])
        refused(folder, "must be a safetensors file")
    else:
        save_file(weights, folder / WEIGHTS)
        refused(folder, "weights must fit")


def test_bytes_that_were_changed_end_in_a_detector_or_a_refusal(folder):
    generator = np.random.default_rng(3)
    for name in (DESCRIPTION, WEIGHTS):
        content = np.frombuffer((folder / name).read_bytes(), np.uint8)
        for _ in range(100):
            damaged = content.copy()
            damaged[generator.integers(0, len(content), 3)] = generator.integers(0, 256, 3)
            (folder / name).write_bytes(damaged.tobytes())
            try:
                Detector.load(folder)
            except DetectorError as error:
                assert str(folder) in str(error)  # noqa: PT017 (either is right)
        (folder / name).write_bytes(content.tobytes())
