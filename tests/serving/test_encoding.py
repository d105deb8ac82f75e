"""Answers on their way: ETags, gzip, and what proxies do to requests."""

import gzip
import json

import pytest

from tests.serving.services import service, table
from tsad.errors import TsadError
from tsad.serving.access_log import ACCESS_LOG
from tsad.serving.encoding import takes_gzip
from tsad.serving.middleware import SecurityPolicy
from tsad.serving.proxies import ProxyRules


@pytest.fixture(scope="module")
def client(folder, rows):
    with service(folder / "detector", folder / "state") as client:
        yield client


@pytest.mark.parametrize("path", ["/api/model", "/api/jobs", "/", "/page/app.js", "/openapi.json", "/ready"])
def test_what_has_not_changed_is_not_sent_again(client, path):
    first = client.get(path)
    tag = first.headers["ETag"]
    for sent in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = client.get(path, If_None_Match=sent)
        assert (again.status, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert client.get(path, If_None_Match='W/"other"').content == first.content
    assert client.ask("HEAD", path, If_None_Match=tag).status == 304


def test_what_has_changed_has_another_tag(client):
    before = client.get("/api/jobs").headers["ETag"]
    client.post("/api/searches", {"series": "synthetic"})
    after = client.get("/api/jobs", If_None_Match=before)
    assert (after.status, len(after.json)) == (200, 1)
    assert after.headers["ETag"] != before


def test_errors_and_answers_to_post_have_no_tag(client, rows):
    assert client.get("/nothing", If_None_Match="*").status == 404
    answer = client.post("/api/score", table(rows), If_None_Match="*")
    assert (answer.status, answer.headers["ETag"]) == (200, None)


def test_long_answers_are_compressed_for_who_takes_that(client, rows):
    plain = client.post("/api/score", table(rows))
    short = client.post("/api/score", table(rows), Accept_Encoding="gzip, br")
    assert plain.headers["Content-Encoding"] is None
    assert short.headers["Content-Encoding"] == "gzip"
    assert int(short.headers["Content-Length"]) == len(short.content) < len(plain.content) / 2
    assert gzip.decompress(short.content) == plain.content
    assert plain.headers["Vary"] == short.headers["Vary"] == "Accept-Encoding"
    assert client.get("/ping", Accept_Encoding="gzip").headers["Content-Encoding"] is None
    large = {**table(rows), "rows": rows.values.tolist() * 100}
    answer = client.post("/api/score", large, Accept_Encoding="gzip")
    assert json.loads(gzip.decompress(answer.content))["rows"] == 10_000
    head = client.ask("HEAD", "/openapi.json", Accept_Encoding="gzip")
    whole = client.get("/openapi.json", Accept_Encoding="gzip")
    assert head.headers["Content-Length"] == whole.headers["Content-Length"] == str(len(whole.content))


@pytest.mark.parametrize(
    ("line", "taken"),
    [("", False), ("gzip;q=0.5", True), ("gzip; q=0.0", False), ("gzip;q=x", False), ("GZIP", True), ("*;q=0", False)],
)
def test_quality_decides_about_gzip(line, taken):
    assert takes_gzip([line]) is taken


# --- proxies ---


def proxied(*proxies, root_path="", hosts=("tsad.example",)):
    return SecurityPolicy(hosts, proxies=ProxyRules.of(proxies, root_path))


def logged(state):
    import time

    time.sleep(0.2)
    return json.loads((state / ACCESS_LOG).read_text().splitlines()[-1])


FORWARDED = {"X_Forwarded_For": "6.6.6.6, 7.7.7.7, 127.0.0.9", "X_Forwarded_Host": "tsad.example"}


def test_a_stated_proxy_says_who_asks_and_by_which_name(folder, rows, tmp_path):
    with service(folder / "detector", tmp_path, proxied("127.0.0.0/8")) as client:
        assert client.get("/api/model", **FORWARDED).status == 200
        assert logged(tmp_path)["client"] == "7.7.7.7"  # not what that one says of itself
        assert client.get("/api/model", X_Forwarded_Host="evil.example").status == 403
        origin = {"Origin": "https://tsad.example", "Content_Type": "application/json"}
        assert client.post("/api/recalibrate", **FORWARDED, **origin).status == 400
        assert client.post("/api/recalibrate", **origin).status == 403


def test_nobody_else_is_believed(folder, rows, tmp_path):
    with service(folder / "detector", tmp_path, proxied("10.0.0.0/8")) as client:
        assert client.get("/api/model", **FORWARDED, Host="localhost").status == 200
        assert logged(tmp_path)["client"] == "127.0.0.1"
        assert client.get("/api/model", X_Forwarded_Host="localhost", Host="evil.example").status == 403


@pytest.mark.parametrize("below", ["/tsad", ""], ids=["path kept", "path taken away"])
def test_the_service_is_reached_below_a_path(folder, rows, tmp_path, below):
    with service(folder / "detector", tmp_path, proxied(root_path="/tsad/")) as client:
        assert client.get(f"{below}/api/model").status == 200
        page = client.get(f"{below}/").content.decode()
        assert 'src="page/app.js"' in page
        assert '"/' not in page
        job = client.post(f"{below}/api/searches", {"series": "synthetic"})
        assert job.headers["Location"] == job.json["url"]
        assert job.json["url"].startswith("/tsad/api/jobs/")
        assert client.get(job.json["url"]).json["url"] == job.json["url"]
        assert client.get(f"{below}/api/jobs").json[-1]["url"].startswith("/tsad/api/jobs/")
        assert client.get("/openapi.json").json["servers"] == [{"url": "/tsad"}]


def test_a_root_path_opens_no_way_around_the_roles(folder, rows, tmp_path):
    with service(folder / "detector", tmp_path, proxied(root_path="/tsad")) as client:
        assert client.get("/tsad").headers["Location"] == "/tsad/"
        for path in ("/tsad/tsad/api/promotions", "/tsad/tsad/api/model", "/tsadx/api/model", "/tsad//api/model"):
            assert client.get(path).status == 404
            assert client.post(path, {"version": 1}).status in {403, 404}
        assert client.post("/tsad/api/promotions", {"version": 1}).status == 403


@pytest.mark.parametrize("path", ["tsad", "/a b", "/a?b", "/a/../b", "//a", "/ä", "/a//b", '/"'])
def test_a_root_path_is_one(path):
    with pytest.raises(TsadError, match="--root-path must be a path such as /tsad, but got"):
        ProxyRules.of((), path)


@pytest.mark.parametrize("proxy", ["nginx", "", "10.0.0.0/33", "1.2.3"])
def test_a_proxy_is_an_address(proxy):
    with pytest.raises(TsadError, match="--proxy must be an address or a network such as"):
        ProxyRules.of((proxy,), "")
