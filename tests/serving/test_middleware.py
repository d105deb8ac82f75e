"""What stands before every endpoint, around an application that only says what it got."""

import asyncio
import json
import logging

import pytest

from tsad.serving.errors import CODES, RequestError
from tsad.serving.middleware import SecurityMiddleware, SecurityPolicy

SECONDS = 0.05


async def echo(scope, receive, send):
    """Answers with the body, after as long as it says, or fails."""
    message = await receive()
    text = message["body"].decode()
    if text == "fail":
        raise KeyError("the secret of the house")
    if text == "refuse":
        raise RequestError(409, "not now", details={"rows_total": 7})
    if text == "sleep":
        await asyncio.sleep(60)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    if text == "slowly":
        await asyncio.sleep(3 * SECONDS)
    await send({"type": "http.response.body", "body": text.encode()})


async def talk(rules, parts, path="/x", method="POST", patience=None, **headers):
    """Returns the messages that a request of these parts of a body gets; a part None never comes."""
    waiting, sent = list(parts), []

    async def receive():
        if not waiting:  # a client that waits for its answer
            await asyncio.sleep(60)
        part = waiting.pop(0)
        if part is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    given = {"host": "localhost", **headers}
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    await SecurityMiddleware(echo, rules, patience or {})(scope, receive, send)
    return sent, waiting


def asked(rules=SecurityPolicy(), parts=(b"hello",), **request):  # noqa: B008 (frozen)
    """Returns status, headers and body of the answer."""
    sent, _ = asyncio.run(talk(rules, parts, **request))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]).decode()


def message(answer):
    return json.loads(answer[2])["message"]


def test_a_whole_body_reaches_the_application_in_one_chunk():
    assert asked(parts=[b"he", b"", b"llo"])[2] == "hello"
    assert asked(parts=[b""])[2] == ""


def test_every_answer_has_the_headers_that_keep_a_browser_safe():
    for answer in (asked(), asked(parts=[b"fail"]), asked(host="evil.example")):
        assert answer[1]["content-security-policy"].startswith("default-src 'self'; ")
        assert "frame-ancestors 'none'" in answer[1]["content-security-policy"]
        assert answer[1]["x-content-type-options"] == "nosniff"
        assert answer[1]["referrer-policy"] == "no-referrer"
    assert asked()[1]["x-own"] == "1"


@pytest.mark.parametrize("parts", [[b"a" * 10], [b"a" * 5, b"a" * 5]])
def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(parts):
    assert asked(SecurityPolicy(max_bytes=10), parts)[0] == 200
    answer = asked(SecurityPolicy(max_bytes=9), parts)
    assert answer[0] == 413
    assert message(answer) == "a body must not exceed 9 bytes, but has 10 or more; send the rows in parts"


def test_a_body_that_is_too_large_is_read_to_its_end_but_not_without_end():
    _, left = asyncio.run(talk(SecurityPolicy(max_bytes=10), [b"a" * 10] * 3))
    assert len(left) == 0
    _, left = asyncio.run(talk(SecurityPolicy(max_bytes=10), [b"a" * 10] * 100))
    assert len(left) > 90


def test_a_body_that_says_that_it_is_far_too_large_is_not_read():
    sent, left = asyncio.run(talk(SecurityPolicy(max_bytes=10), [b"a"] * 5, content_length="10000000000"))
    assert sent[0]["status"] == 413
    assert len(left) == 5


def test_a_body_that_does_not_come_is_not_waited_for():
    answer = asked(SecurityPolicy(read_seconds=SECONDS), [b"ab", None])
    assert answer[0] == 408
    assert message(answer) == f"a body must come within {SECONDS:g} s, but 2 bytes came; send it faster"


def test_who_hangs_up_gets_no_answer():
    async def gone():
        return {"type": "http.disconnect"}

    sent = []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(SecurityMiddleware(echo, SecurityPolicy(), {})(scope, gone, sent.append))
    assert sent == []


def test_an_answer_that_does_not_begin_is_not_waited_for():
    answer = asked(SecurityPolicy(answer_seconds=SECONDS), [b"sleep"])
    assert answer[0] == 504
    assert message(answer) == f"an answer must begin within {SECONDS:g} s; send fewer rows"


def test_an_answer_that_has_begun_may_take_its_time():
    assert asked(SecurityPolicy(answer_seconds=SECONDS), [b"slowly"])[2] == "slowly"


def test_some_paths_have_more_time():
    answer = asked(SecurityPolicy(answer_seconds=SECONDS), [b"sleep"], path="/slow", patience={"/slow": 2 * SECONDS})
    assert message(answer).startswith(f"an answer must begin within {3 * SECONDS:g} s")


def test_an_error_that_nobody_foresaw_shows_nothing_and_is_logged(caplog):
    with caplog.at_level(logging.ERROR, "tsad"):
        answer = asked(parts=[b"fail"])
    assert answer[0] == 500
    assert json.loads(answer[2]) == {"error_code": "INTERNAL_ERROR", "message": "the service failed; its log says why"}
    assert "POST /x failed" in caplog.text
    assert "the secret of the house" in caplog.text


def test_a_refusal_says_what_it_says():
    answer = asked(parts=[b"refuse"])
    assert answer[0] == 409
    assert json.loads(answer[2]) == {"error_code": "RESOURCE_CONFLICT", "message": "not now", "rows_total": 7}


def test_a_long_message_is_cut():
    refusal = RequestError(400, "x" * 5000)
    assert len(refusal.message) == 1000
    assert refusal.message.endswith("...")


def test_every_status_has_a_code_of_its_own():
    assert len(set(CODES.values())) == len(CODES)


# --- who may ask ---


@pytest.mark.parametrize("host", ["tsad.example", "TSAD.example:5001", "tsad.example."])
def test_a_host_that_was_allowed_is_welcome(host):
    assert asked(SecurityPolicy(hosts=("Tsad.Example",)), host=host)[0] == 200
    assert asked(SecurityPolicy(hosts=("other.example",)), host=host)[0] == 403


def test_the_names_of_the_listening_address_are_not_welcome_by_themselves():
    assert asked(host="0.0.0.0:5001")[0] == 403


TOKEN = SecurityPolicy(token="s3cret-é")


@pytest.mark.parametrize("given", ["Bearer s3cret-é", "bearer  s3cret-é "])
def test_who_bears_the_token_is_let_in(given):
    assert asked(TOKEN, authorization=given)[0] == 200


@pytest.mark.parametrize(
    "given", ["", "s3cret-é", "Basic s3cret-é", "Bearer", "Bearer s3cret", "Bearer s3cret-éx", "Bearer \u00ff"]
)
def test_who_does_not_is_told_how_and_not_what(given):
    answer = asked(TOKEN, authorization=given)
    assert answer[0] == 401
    assert answer[1]["www-authenticate"] == "Bearer"
    assert message(answer) == "a token is needed: send the header Authorization: Bearer TOKEN"
    assert "s3cret" not in repr(TOKEN)


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/ping", "/health"])
def test_the_page_and_the_health_need_no_token(path):
    assert asked(TOKEN, path=path, method="GET")[0] == 200


@pytest.mark.parametrize(
    "path", ["/metrics", "/invocations", "/api/model", "/pagex", "/page", "/openapi.json", "/ping/", "//"]
)
def test_everything_else_needs_it(path):
    assert asked(TOKEN, path=path, method="GET")[0] == 401


def test_whatever_is_no_request_of_http_passes():
    async def application(scope, receive, send):
        await send(scope["type"])

    async def run():
        sent = []

        async def send(message):
            sent.append(message)

        await SecurityMiddleware(application, SecurityPolicy(), {})({"type": "lifespan"}, None, send)
        return sent

    assert asyncio.run(run()) == ["lifespan"]


# --- who has gone, and how much there is at once ---


def test_work_of_a_client_that_hangs_up_is_canceled():
    canceled = []

    async def works(scope, receive, send):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            canceled.append(scope["path"])
            raise

    messages = [{"type": "http.request", "body": b"x", "more_body": False}, {"type": "http.disconnect"}]

    async def receive():
        return messages.pop(0)

    sent = []
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [(b"host", b"localhost")]}
    asyncio.run(SecurityMiddleware(works, SecurityPolicy(), {})(scope, receive, sent.append))
    assert (sent, canceled) == ([], ["/x"])


def test_an_application_learns_that_its_client_has_gone():
    async def waits(scope, receive, send):
        assert (await receive())["body"] == b"x"
        assert (await receive())["type"] == "http.disconnect"

    messages = [{"type": "http.request", "body": b"x", "more_body": False}, {"type": "http.disconnect"}]

    async def receive():
        await asyncio.sleep(0)
        return messages.pop(0)

    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [(b"host", b"localhost")]}
    asyncio.run(SecurityMiddleware(waits, SecurityPolicy(), {})(scope, receive, None))


def test_large_bodies_have_a_room_of_their_own_and_give_it_back():
    rules = SecurityPolicy(max_bytes=100, bodies_bytes=150, small_bytes=10)
    entered, leave = [], asyncio.Event

    async def run():
        leaving = leave()

        async def holds(scope, receive, send):
            entered.append(len((await receive())["body"]))
            await leaving.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        guard = SecurityMiddleware(holds, rules, {})

        async def post(size):
            sent, messages = [], [{"type": "http.request", "body": b"x" * size, "more_body": False}]

            async def receive():
                return messages.pop(0) if messages else await asyncio.sleep(60)

            async def send(message):
                sent.append(message)

            scope = {"type": "http", "method": "POST", "path": "/x", "headers": [(b"host", b"localhost")]}
            await guard(scope, receive, send)
            return sent[0]["status"]

        first = asyncio.ensure_future(post(100))
        await asyncio.sleep(0.01)
        refused = await post(60)
        small = [asyncio.ensure_future(post(10)) for _ in range(15)]
        await asyncio.sleep(0.01)
        too_many = await post(10)
        leaving.set()
        statuses = [await first, *[await one for one in small]]
        return refused, too_many, statuses, await post(100)

    refused, too_many, statuses, after = asyncio.run(run())
    assert (refused, too_many, after) == (503, 503, 200)
    assert statuses == [200] * 16
    assert sorted(entered) == [10] * 15 + [100, 100]
