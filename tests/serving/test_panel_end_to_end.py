"""A panel of 38 machines, as a user takes it from the file to the service: one detector of all by a search, and a fleet."""

import numpy as np
import pandas as pd
import pytest

from tests.fleets import panel
from tests.processes import PYTHON, free_port, ran, running
from tests.serving.services import Client

pytestmark = pytest.mark.slow

NAMES = [f"pump {number}" for number in range(38)]
SPACE = """
data: {kind: csv, path: panel.csv, entity: machine, time: time}
split: {gap: 12}
window: {length: 8}
model: {kind: window_linear, components: {choice: [2, 4]}}
search: {trials: 2, register: pumps, asha: null, algorithm: {kind: random}}
"""


def command(folder, *words):
    return ran([PYTHON, "-m", "tsad", *words], folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the panel, rows of the next day in the order of their times, and two versions of `pumps` in the registry."""
    folder = tmp_path_factory.mktemp("panel")
    panel(NAMES, 400, mixed=True).to_csv(folder / "panel.csv", index=False)
    rows = panel(NAMES, 60, mixed=True)
    rows.loc[(rows["machine"] == NAMES[30]) & (rows.index > 1800), "cpu"] += 9
    rows.to_csv(folder / "tomorrow.csv", index=False)
    (folder / "space.yaml").write_text(SPACE)
    command(folder, "search", "space.yaml", "--parallel", "2", "--cpus", "1")
    settings = ["--set", "data.entity=machine", "--set", "data.time=time"]
    trained = command(folder, "train", "panel.csv", *settings, "--each-entity", "--parallel", "2")
    uri = next(word for word in trained.split() if word.endswith("/fleet"))
    command(folder, "promote", uri, "--force", "--name", "fleet")
    return folder


@pytest.fixture(scope="module")
def client(folder):
    port = free_port()
    words = [PYTHON, "-m", "tsad", "serve", "models:/pumps@champion", "models:/fleet@champion", "--port", port]
    with running([*words, "--detectors", "10"], folder, f"http://127.0.0.1:{port}/ping"):
        yield Client(port)


@pytest.mark.parametrize(("path", "model"), [("/api", "pumps"), ("/api/models/fleet", "fleet")])
def test_the_service_says_of_38_machines_what_tsad_score_says(folder, client, path, model):
    command(folder, "score", f"models:/{model}@champion", "tomorrow.csv", "--output", f"{model}.csv")
    scored = pd.read_csv(folder / f"{model}.csv")
    assert scored["score"].notna().sum() > 38 * 30
    assert scored.loc[scored["machine"] == NAMES[30], "flag"].any()
    answer = client.post(f"{path}/score", (folder / "tomorrow.csv").read_bytes(), Content_Type="text/csv")
    assert answer.status == 200, answer.content
    np.testing.assert_allclose(np.array(answer.json["score"], float), scored["score"], rtol=1e-6)
    assert answer.json["flag"] == scored["flag"].tolist()
    assert answer.headers["X-Model-Version"] == "1"
    invoked = client.post(
        f"{path.removesuffix('/api')}/invocations", (folder / "tomorrow.csv").read_bytes(), Content_Type="text/csv"
    )
    predicted = [row["score"] for row in invoked.json["predictions"]]
    np.testing.assert_allclose(np.array(predicted, float), scored["score"], rtol=1e-6)
    parts = 0
    for name in NAMES[::9]:
        own = scored[scored["machine"] == name]
        text = own[["time", "cpu", "load", "net"]].to_csv(index=False)
        query = f"?entity={name.replace(' ', '%20')}" if model == "fleet" else ""
        answer = client.post(f"{path}/score{query}", text, Content_Type="text/csv")
        np.testing.assert_allclose(np.array(answer.json["score"], float), own["score"], rtol=1e-6)
        parts += 1
    assert parts == 5


def test_the_service_lists_both_models(client):
    listed = client.get("/api/models").json
    assert [(model["name"], model["version"], model["entities"]) for model in listed] == [
        ("pumps", "1", None),
        ("fleet", "1", 38),
    ]
    assert client.get("/api/models/fleet/model").json["entities"] == NAMES
    assert client.get("/api/model").json["entity_column"] == "machine"
