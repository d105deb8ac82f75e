"""Who is champion, who was before, and the way back."""

from contextlib import contextmanager

import pytest
from mlflow import MlflowClient

from tests.stores import clear_environment, opened
from tsad.errors import DetectorError
from tsad.registry.aliases import (
    champion,
    champion_to_beat,
    promote,
    read_decision,
    set_challenger,
    undo,
    write_decision,
)

NAME = "tsad-promoted"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        clear_environment(patch)
        yield opened(tmp_path_factory.getbasetemp() / "store")


@pytest.fixture
def client(store, tmp_path):
    """A registry in which the model has four versions and no champion."""
    store.client.create_registered_model(NAME)
    for _ in range(4):
        store.client.create_model_version(NAME, tmp_path.as_uri())
    yield store.client
    store.client.delete_registered_model(NAME)


def champions(*versions):
    for version in versions:
        promote(NAME, version)


def walked_back():
    """Returns the champions that `undo` brings back until there is none before."""
    return list(iter(undone, None))


def undone():
    """Returns the champion that `undo` brings back, None if there is none before."""
    try:
        return undo(NAME)[1]
    except DetectorError as error:
        assert "needs a champion before it to go back to" in str(error)  # noqa: PT017 (an end, not what is tested)
        return None


def test_without_a_champion_there_is_nobody_to_beat(client):
    assert champion(NAME) is None
    assert champion_to_beat(NAME, "1") is None


def test_the_present_champion_is_who_must_be_beaten_and_of_the_champion_itself_the_one_before(client):
    champions("1", "2")
    assert champion(NAME) == "2"
    assert champion_to_beat(NAME, "3") == "2"
    assert champion_to_beat(NAME, "2") == "1"


def test_each_undo_goes_one_champion_further_back(client):
    champions("1", "3", "2", "4")
    assert undo(NAME) == ("4", "2")
    assert champion(NAME) == "2"
    assert walked_back() == ["3", "1"]
    assert champion(NAME) == "1"


def test_what_was_undone_is_marked_and_can_be_promoted_again(client):
    champions("1", "2")
    undo(NAME)
    assert client.get_model_version(NAME, "2").tags["tsad.undone"].startswith("20")
    champions("2")
    assert champion(NAME) == "2"
    assert walked_back() == ["1"]


def test_a_version_can_be_champion_more_than_once(client):
    champions("1", "2", "1", "3")
    assert walked_back() == ["1", "2", "1"]


def test_the_champion_is_promoted_once(client):
    champions("1", "2", "2", "2")
    assert walked_back() == ["1"]


def test_versions_that_were_deleted_are_passed_over_on_the_way_back(client):
    champions("1", "2", "3")
    client.delete_model_version(NAME, "2")
    assert walked_back() == ["1"]


def test_a_champion_that_somebody_made_in_the_ui_is_in_the_history(client):
    champions("1")
    client.set_registered_model_alias(NAME, "champion", "2")
    champions("3")
    assert walked_back() == ["2", "1"]


def test_where_somebody_took_the_alias_away_there_is_no_champion_to_undo(client):
    champions("1", "2")
    client.delete_registered_model_alias(NAME, "champion")
    assert champion_to_beat(NAME, "3") is None
    with pytest.raises(
        DetectorError, match=r"has none \(present: none, before: 1 2\); promote another version instead"
    ):
        undo(NAME)
    champions("3")
    assert walked_back() == ["2", "1"]


def test_a_challenger_that_is_promoted_is_no_challenger_any_more(client):
    champions("1")
    set_challenger(NAME, "2")
    champions("3")
    aliases = client.get_registered_model(NAME).aliases
    assert {name: str(version) for name, version in aliases.items()} == {"champion": "3", "challenger": "2"}
    champions("2")
    assert client.get_registered_model(NAME).aliases.keys() == {"champion"}


@pytest.mark.parametrize("last", ["set_registered_model_alias", "set_registered_model_tag"])
def test_an_undo_that_was_killed_half_way_can_be_done_again(client, monkeypatch, last):
    champions("1", "2", "3")
    with killed_at(last, monkeypatch):
        undo(NAME)
    assert champion(NAME) == "3"
    assert walked_back() == ["2", "1"]


@contextmanager
def killed_at(call, monkeypatch):
    """The first such call of MLflow's client inside is the last."""

    def killed(*values):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, killed)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_nothing_is_decided_until_everything_is_written(client, monkeypatch):
    assert read_decision(NAME, "1") is None
    with killed_at("set_model_version_tag", monkeypatch):
        write_decision(NAME, "1", "rejected", {"tsad.gate_margin": "0.02"}, "Because.")
    assert read_decision(NAME, "1") is None
    write_decision(NAME, "1", "rejected", {"tsad.gate_margin": "0.02"}, "Because.")
    assert read_decision(NAME, "1") == ("rejected", "Because.")
    assert client.get_model_version(NAME, "1").tags == {"tsad.gate": "rejected", "tsad.gate_margin": "0.02"}


def test_a_model_that_is_not_there_is_named(store):
    with pytest.raises(DetectorError, match=r"models:/tsad-absent: cannot be found \(.*tsad-absent"):
        undo("tsad-absent")
