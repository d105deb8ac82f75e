"""Roles and tokens: who may ask for what, and the ways around that were tried."""

import json
import os
import stat

import pytest

from tests.serving.services import csv, service
from tsad.errors import TsadError
from tsad.serving.access import Access, Bearer, role_needed
from tsad.serving.errors import RequestError
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.routes.webhooks import WEBHOOK
from tsad.serving.tokens import ROLES, Tokens, check_token, create_token, read_tokens, revoke_token

ADMIN = "the operator's own"


@pytest.fixture(scope="module")
def tokens(folder):
    """A token of each role, by role."""
    return {role: create_token(folder / "tokens.json", f"{role}er", role) for role in ROLES}


@pytest.fixture(scope="module")
def client(folder, rows, tokens):
    with service(folder / "detector", folder / "state", SecurityPolicy((), ADMIN, folder / "tokens.json")) as client:
        yield client


def bearing(token):
    return {} if token is None else {"Authorization": f"Bearer {token}"}


# --- endpoints ---

NEEDED = {
    ("GET", "/version"): "read",
    ("GET", "/metrics"): "read",
    ("GET", "/openapi.json"): "read",
    ("GET", "/api/model"): "read",
    ("GET", "/api/versions"): "read",
    ("GET", "/api/series"): "read",
    ("GET", "/api/series/sample"): "read",
    ("GET", "/api/drift"): "read",
    ("GET", "/api/jobs"): "read",
    ("GET", "/api/jobs/x"): "read",
    ("GET", "/api/streams/x"): "read",
    ("POST", "/invocations"): "score",
    ("POST", "/train_predict"): "score",
    ("POST", "/api/score"): "score",
    ("POST", "/api/searches"): "score",
    ("POST", "/api/streams"): "score",
    ("POST", "/api/streams/x/rows"): "score",
    ("DELETE", "/api/streams/x"): "score",
    ("DELETE", "/api/jobs/x"): "score",
    ("POST", "/api/recalibrate"): "admin",
    ("DELETE", "/api/recalibrate"): "admin",
    ("POST", "/api/promotions"): "admin",
    ("GET", "/api/models"): "read",
}
SHARED = ("/version", "/metrics", "/openapi.json", "/train_predict", "/api/jobs", "/api/models")
"""Beginnings of the paths that are of no model."""
NEEDED |= {
    (method, f"/api/models/detector/{path.removeprefix('/api').removeprefix('/')}"): role
    for (method, path), role in NEEDED.items()
    if not path.startswith(SHARED)
}


@pytest.mark.parametrize(("method", "path"), NEEDED)
def test_each_endpoint_refuses_the_roles_below_its_own_before_it_reads_the_body(client, tokens, method, path):
    needed = NEEDED[method, path]
    for role in (None, *ROLES):
        answer = client.ask(method, path, b"\xff" if method == "POST" else None, **bearing(role and tokens[role]))
        if role is None:
            assert answer.status == 401
        elif ROLES.index(role) < ROLES.index(needed):
            assert answer.status == 403, (role, answer.content)
            assert f"needs a token of the role {needed}" in answer.json["message"]
        else:
            assert answer.status not in {401, 403, 500}, (role, answer.content)


def test_every_endpoint_is_in_the_table_of_roles(client, tokens):
    described = client.get("/openapi.json", **bearing(tokens["read"])).json["paths"]
    paths = {
        (method.upper(), path.replace("{number}", "x").replace("{name}", "sample").replace("{model}", "detector"))
        for path, methods in described.items()
        for method in methods
    }
    assert paths - {("GET", "/ping"), ("GET", "/health"), ("GET", "/ready"), ("POST", WEBHOOK)} <= NEEDED.keys()


@pytest.mark.parametrize(
    "path",
    [
        "/api/recalibrate/",
        "//api/recalibrate",
        "/api//recalibrate",
        "/api/recalibrate%2f",
        "/api/score/../recalibrate",
        "/api/score/%2e%2e/recalibrate",
        "/API/recalibrate",
        "/api/recalibrate;x",
        "/api/recalibrate%00",
        "/api/promotions/",
        "/page/../api/recalibrate",
        "/page/%2e%2e/api/recalibrate",
        "/ping/../api/recalibrate",
        "/api/streams/x/rows/../../recalibrate",
        "/api/jobs/x/../../promotions",
        "/api/jobs/\u2028x",
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "TRACE"])
def test_no_way_of_writing_a_path_gives_a_role_that_the_token_lacks(client, tokens, method, path):
    path = path.encode().decode("latin-1") if path.isascii() else "/api/jobs/%E2%80%A8x"
    answer = client.ask(method, path, **bearing(tokens["score"]))
    assert answer.status in {400, 401, 403, 404, 405}
    assert b"threshold" not in answer.content


@pytest.mark.parametrize(
    "headers",
    [
        {"X_HTTP_Method_Override": "GET"},
        {"X_Original_URL": "/ping"},
        {"X_Rewrite_URL": "/ping"},
        {"X_Forwarded_For": "127.0.0.1"},
        {"Cookie": f"token={ADMIN}"},
        {"Proxy_Authorization": f"Bearer {ADMIN}"},
    ],
)
def test_no_other_header_speaks_for_the_token(client, tokens, headers):
    assert client.post("/api/recalibrate", **headers).status == 401
    assert client.post("/api/recalibrate", **bearing(tokens["read"]), **headers).status == 403


def test_two_tokens_in_one_request_are_none():
    access = Access(Tokens(ADMIN))
    with pytest.raises(RequestError, match="a token is needed") as caught:
        access.bearer("GET", "/api/model", [f"Bearer {ADMIN}", f"Bearer {ADMIN}"])
    assert caught.value.status == 401


def test_what_is_not_known_needs_the_highest_role():
    assert role_needed("PUT", "/api/score") == "score"  # the path, whatever the method, which routing refuses
    assert (
        role_needed("POST", "/api/scores")
        == role_needed("BREW", "/")
        == role_needed("POST", "/api/streams/a/b")
        == "admin"
    )


def test_without_tokens_everybody_may_do_all_but_promote(folder, rows):
    with service(folder / "detector", folder / "open") as client:
        assert client.get("/api/model").status == 200
        assert client.post("/api/score", csv(rows), Content_Type="text/csv").status == 200
        assert client.post("/api/recalibrate").status == 400  # too few scores
        answer = client.post("/api/promotions", {"version": 1})
        assert answer.status == 403
        assert "a promotion needs a token of the role admin" in answer.json["message"]


def test_a_score_token_cannot_cancel_what_an_admin_began():
    with pytest.raises(RequestError, match="needs a token of the role admin, but this request has the role score"):
        Bearer("score").check("admin", "to cancel a promotion")
    Bearer("admin").check("admin", "to cancel a promotion")


# --- tokens ---


def test_the_token_of_the_start_is_an_admins(client):
    assert client.post("/api/recalibrate", **bearing(ADMIN)).status == 400


def test_the_file_has_no_token_and_is_for_its_owner_only(folder, tokens):
    content = (folder / "tokens.json").read_text()
    assert not any(token in content or token.removeprefix("tsad_") in content for token in tokens.values())
    assert stat.S_IMODE((folder / "tokens.json").stat().st_mode) == 0o600
    assert len({stored.sha256 for stored in read_tokens(folder / "tokens.json")}) == 3
    assert "sha256" not in repr(read_tokens(folder / "tokens.json")[0])


def test_a_running_service_takes_new_tokens_and_refuses_revoked_ones(client, folder):
    token = create_token(folder / "tokens.json", "guest", "read")
    assert client.get("/api/model", **bearing(token)).status == 200
    revoke_token(folder / "tokens.json", "guest")
    assert client.get("/api/model", **bearing(token)).status == 401


def test_the_first_token_protects_a_service_that_had_none_and_its_removal_opens_nothing(folder, rows, tmp_path):
    file = tmp_path / "tokens.json"
    with service(folder / "detector", tmp_path / "state", SecurityPolicy(token_file=file)) as client:
        assert client.get("/api/model").status == 200
        token = create_token(file, "first", "read")
        assert client.get("/api/model").status == 401
        assert client.get("/api/model", **bearing(token)).status == 200
        revoke_token(file, "first")
        assert client.get("/api/model").status == client.get("/api/model", **bearing(token)).status == 401
        file.unlink()
        assert client.get("/api/model").status == client.get("/api/model", **bearing(token)).status == 401


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"tokens": 1}',
        b'{"tokens": [{"name": "a"}]}',
        b'{"tokens": [], "more": 1}',
        json.dumps({"tokens": [{"name": "a", "role": "root", "sha256": "0" * 64, "created": ""}]}).encode(),
        json.dumps({"tokens": [{"name": "a", "role": "admin", "sha256": "", "created": ""}]}).encode(),
        b" " * 1_000_001,
    ],
)
def test_a_damaged_file_lets_nobody_in_but_the_token_of_the_start(tmp_path, content):
    path = tmp_path / "tokens.json"
    token = create_token(path, "one", "admin")
    access = Access(Tokens(ADMIN, path))
    assert access.bearer("POST", "/api/recalibrate", [f"Bearer {token}"]).role == "admin"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="tokens cannot be checked") as caught:
        access.bearer("GET", "/api/model", [f"Bearer {token}"])
    assert caught.value.status == 503
    assert str(tmp_path) not in caught.value.message
    assert access.bearer("GET", "/api/model", [f"Bearer {ADMIN}"]).role == "admin"
    with pytest.raises(TsadError, match="restore"):
        create_token(path, "two", "read")
    assert path.read_bytes() == content


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "tokens.json"
    create_token(path, "one", "read")
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TsadError, match=r"cannot be written .No space left on device.; the tokens are as they were"):
        create_token(path, "two", "read")
    assert (path.read_bytes(), [entry.name for entry in tmp_path.iterdir()]) == (before, ["tokens.json"])


@pytest.mark.parametrize("name", ["", " ", "a b", "../x", "a\n", "=1", "x" * 65, "\u202ex"])
def test_a_name_is_short_and_plain(tmp_path, name):
    with pytest.raises(TsadError, match="name"):
        create_token(tmp_path / "tokens.json", name, "read")
    assert not (tmp_path / "tokens.json").exists()


def test_names_are_unique_and_unknown_ones_cannot_be_revoked(tmp_path):
    path = tmp_path / "tokens.json"
    create_token(path, "one", "read")
    with pytest.raises(TsadError, match="names of tokens must be unique, but 'one' exists"):
        create_token(path, "one", "admin")
    with pytest.raises(TsadError, match="has no token 'two'; its tokens: one"):
        revoke_token(path, "two")


@pytest.mark.parametrize("token", ["", " ", "\t\n", "\u00a0", " a", "a ", "a\n", "a\x00b", "a\x7f"])
def test_a_token_that_protects_nothing_or_that_no_header_carries_is_an_error(token):
    with pytest.raises(TsadError, match="a token must have"):
        check_token(token)


@pytest.mark.parametrize("token", ["open sesame", "s3cret-é", "x"])
def test_any_other_token_is_taken(token):
    assert check_token(token) == token
    assert Tokens(token).owner(token.encode()) == ("admin", "TSAD_TOKEN")
    assert Tokens(token).owner(token.encode()[:-1]) is None


def test_no_token_is_no_error():
    assert check_token(None) is None
    assert not Tokens().needed
