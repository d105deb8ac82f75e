"""`tsad serve` says who can use it, and does not start where everybody could; `tsad token` from the command line."""

import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings, whatever test comes first)
from tests.processes import PYTHON, environment, ran
from tsad.errors import TsadError
from tsad.serving.proxies import ProxyRules
from tsad.serving.tokens import Tokens, create_token, read_tokens
from tsad.settings import Settings
from tsad.workflows import serve as workflow
from tsad.workflows.serve import Options, serve
from tsad.workflows.tokens import token_file


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A working folder without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("TSAD_TOKEN", "TSAD_TOKEN_FILE", "TSAD_OUTPUT_DIR"):
        monkeypatch.delenv(name, raising=False)


FOREIGN = ["0.0.0.0", "", "::", "0", "192.0.2.1", "2001:db8::1", "no such host", "::ffff:192.0.2.1"]
OWN = ["127.0.0.1", "127.1.2.3", "localhost", "::1", "::ffff:127.0.0.1"]


@pytest.mark.parametrize("host", FOREIGN)
def test_other_machines_are_not_let_in_without_a_token_unless_that_is_asked_for(host, tmp_path):
    with pytest.raises(TsadError, match=r"needs a token, but --host is .* --insecure"):
        serve(str(tmp_path), Options(host=host))
    assert workflow._protection(Options(host=host, insecure=True), Tokens()).startswith("INSECURE")
    assert "need a token: TSAD_TOKEN" in workflow._protection(Options(host=host), Tokens("x"))


@pytest.mark.parametrize("host", OWN)
def test_on_the_loopback_no_token_is_needed_and_that_is_said(host):
    assert workflow._protection(Options(host=host), Tokens()).startswith("No token is needed")


def test_tokens_of_the_file_protect_too_and_are_counted(tmp_path):
    path = tmp_path / "outputs/tokens.json"
    for name, role in (("a", "read"), ("b", "read"), ("c", "admin")):
        create_token(path, name, role)
    policy = workflow._policy(Options(host="0.0.0.0"), Settings())
    said = workflow._protection(Options(host="0.0.0.0"), Tokens(policy.token, policy.token_file))
    assert said == f"Requests need a token: 2 read, 1 admin of {path}."
    path.write_text("{")
    with pytest.raises(TsadError, match="restore or remove"):
        serve(str(tmp_path), Options())


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_a_blank_token_is_an_error_wherever_it_stands(blank, tmp_path, monkeypatch):
    with pytest.raises(TsadError, match="is blank"):
        serve(str(tmp_path), Options(token=blank))
    (tmp_path / ".env").write_text(f'TSAD_TOKEN="{blank}"\n')
    with pytest.raises(TsadError, match="is blank"):
        serve(str(tmp_path), Options())
    (tmp_path / ".env").unlink()
    monkeypatch.setenv("TSAD_TOKEN", blank)
    with pytest.raises(TsadError, match="is blank"):
        serve(str(tmp_path), Options())


def test_a_token_of_the_file_env_counts(tmp_path):
    (tmp_path / ".env").write_text("TSAD_TOKEN=from-the-file\n")
    assert workflow._policy(Options(), Settings()).token == "from-the-file"
    assert workflow._policy(Options(token="mine"), Settings()).token == "mine"
    assert "from-the-file" not in repr(Settings())
    assert "mine" not in repr(Options(token="mine"))


@pytest.mark.parametrize("model", ["detector", "models:/tsad@champion"])
def test_a_gate_must_be_there_and_is_looked_for_before_any_store_is_opened(tmp_path, model):
    with pytest.raises(TsadError, match=r"--gate must be the file of an experiment, but .* is none"):
        serve(model, Options(gate=tmp_path / "none.yaml"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def served_options(monkeypatch, tsad):
    """Runs `tsad serve` with some words; returns its exit code, its errors, and the options that the service would have."""
    taken = []
    monkeypatch.setattr(workflow, "serve", lambda model, options, **callbacks: taken.append(options))

    def command(*words):
        code, _, errors = tsad("serve", "detector", *words)
        return code, " ".join(errors), taken.pop() if taken else None

    return command


def test_limits_are_options_or_variables_and_options_win(served_options, monkeypatch):
    assert served_options()[2] == Options()
    monkeypatch.setenv("TSAD_SERVE_TIMEOUTS", "head=5 idle=60")
    monkeypatch.setenv("TSAD_SERVE_MAX_ROWS", "7")
    monkeypatch.setenv("TSAD_SERVE_MAX_PER_ADDRESS", "3")
    monkeypatch.setenv("TSAD_SERVE_HOSTS", "a.example b.example")
    monkeypatch.setenv("TSAD_SERVE_TOKEN", "not this one")
    options = served_options("--max-connections", "9")[2]
    assert (options.max_rows, options.max_per_address, options.max_connections) == (7, 3, 9)
    assert (options.timeouts, options.hosts, options.token) == (
        {"head": 5, "idle": 60},
        ("a.example", "b.example"),
        None,
    )
    options = served_options("--timeout", "answer=2", "--timeout", "body=.5", "--max-rows", "8")[2]
    assert (options.timeouts, options.max_rows) == ({"answer": 2, "body": 0.5}, 8)
    limits, policy = workflow._connections(options, ProxyRules()), workflow._policy(options, Settings())
    assert (policy.answer_seconds, policy.read_seconds, limits.head_seconds) == (2, 0.5, 10)
    every = Options(timeouts={"head": 1, "idle": 2, "fetch": 3})
    limits = workflow._connections(every, ProxyRules())
    assert (limits.head_seconds, limits.idle_seconds, limits.write_seconds) == (1, 2, 3)


@pytest.mark.parametrize("wrong", ["head", "head=", "head=x", "=5x", ""])
def test_a_timeout_is_a_name_and_a_number(served_options, wrong):
    code, errors, _ = served_options("--timeout", wrong)
    assert code == 2
    assert "must be NAME=SECONDS, such as head=10" in errors


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"heads": 1}, "a timeout is one of head, body, answer, fetch, idle, but got 'heads'"),
        ({"head": 0}, "must be more than 0 seconds, but head is 0"),
        ({"body": -1}, "must be more than 0 seconds, but body is -1"),
        ({"idle": float("nan")}, "must be more than 0 seconds, but idle is nan"),
        ({"idle": float("inf")}, "must be more than 0 seconds, but idle is inf"),
    ],
)
def test_a_timeout_that_is_none_is_told_before_anything_is_opened(wrong, says, tmp_path):
    with pytest.raises(TsadError, match=says):
        serve("models:/tsad@champion", Options(timeouts=wrong))
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_tokens_is_where_the_settings_say(tmp_path, monkeypatch):
    assert token_file(Settings()) == tmp_path / "outputs/tokens.json"
    monkeypatch.setenv("TSAD_TOKEN_FILE", str(tmp_path / "x.json"))
    assert token_file(Settings()) == tmp_path / "x.json"


def test_tokens_are_created_listed_and_revoked(tsad, tmp_path):
    code, token, _ = tsad("token", "create", "ops", "--role", "admin")
    assert code == 0
    assert Tokens(path=tmp_path / "outputs/tokens.json").owner(token.strip().encode()) == ("admin", "ops")
    assert tsad("token", "create", "ops", "--role", "read")[0] == 1
    assert tsad("token", "create", "ops2", "--role", "root")[0] == 2
    code, listed, _ = tsad("token", "list")
    assert (code, listed.split()[:2]) == (0, ["ops", "admin"])
    assert token.strip() not in listed
    assert tsad("token", "revoke", "ops")[0] == 0
    assert tsad("token", "revoke", "ops")[0] == 1
    assert tsad("token", "list")[1] == ""
    assert tsad("token", "list", "--file", tmp_path)[0] == 2  # a folder


@pytest.mark.slow
def test_two_commands_at_once_lose_no_token(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    def create(number):
        ran([PYTHON, "-m", "tsad", "token", "create", f"t{number}", "--role", "read"], tmp_path, **environment())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(create, range(4)))
    assert {token.name for token in read_tokens(tmp_path / "outputs/tokens.json")} == {"t0", "t1", "t2", "t3"}
