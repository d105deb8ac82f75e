"""Files around the package agree with the package: MLproject, environment, image, Makefile. The README is in tests/docs."""

import ast
import fnmatch
import os
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
import yaml

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.project import DEV, PYPROJECT, REPOSITORY, RUN, TARGETS, TORCH, conda_python, make_words, text
from tsad.cli import cli
from tsad.settings import Settings


def parsed(words):
    """Returns what our command line makes of `python -m tsad COMMAND ...` or `tsad COMMAND ...`; runs nothing."""
    verb, *rest = words[words.index("tsad") + 1 :]
    return cli.commands[verb].make_context(verb, rest).params


def mlflow_parsed(words):
    """Returns what MLflow's command line makes of `mlflow COMMAND ...`; runs nothing."""
    from mlflow.cli import cli as command

    rest = words[words.index("mlflow") + 1 :]
    while hasattr(command, "commands"):
        name, *rest = rest
        command = command.get_command(click.Context(command), name)
    return command.make_context(name, rest).params


# --- MLproject ---

MLPROJECT = yaml.safe_load(text("MLproject"))
ENTRY_POINTS = MLPROJECT["entry_points"]
every_entry_point = pytest.mark.parametrize("name", ENTRY_POINTS)
EXPERIMENTING = [name for name in ENTRY_POINTS if name != "serve"]
every_experimenting_one = pytest.mark.parametrize("name", EXPERIMENTING)


def project():
    from mlflow.projects._project_spec import load_project

    return load_project(str(REPOSITORY))


def command_of(name, given, folder):
    """Returns the words that `mlflow run -e NAME` with the given parameters runs."""
    return shlex.split(project().get_entry_point(name).compute_command(given, str(folder)))


def test_mlflow_reads_the_project():
    found = project()
    assert found.name == "tsad"
    assert Path(found.env_config_path) == REPOSITORY / "conda.yaml"
    assert {"main", "search", "train", "evaluate", "serve"} <= ENTRY_POINTS.keys()


@every_entry_point
def test_an_entry_point_is_a_verb_of_ours_with_options_of_ours(name, tmp_path):
    words = command_of(name, {}, tmp_path)
    assert words[:3] == ["python", "-m", "tsad"]
    params = parsed(words)
    assert params.get("extra", ()) == ()


@every_entry_point
def test_every_declared_parameter_has_a_default_and_reaches_the_verb(name, tmp_path):
    for parameter, declared in ENTRY_POINTS[name]["parameters"].items():
        assert f"{{{parameter}}}" in ENTRY_POINTS[name]["command"]
        assert str(declared["default"])
        assert str(parsed(command_of(name, {parameter: "17"}, tmp_path))[parameter]) in {"17", "17.0"}


@every_experimenting_one
def test_any_other_parameter_is_passed_on_as_an_override(name, tmp_path):
    assert parsed(command_of(name, {"training.epochs": "3"}, tmp_path))["extra"] == ("--training.epochs", "3")


def test_what_is_served_takes_no_overrides(tmp_path):
    with pytest.raises(click.UsageError, match=r"--training\.epochs"):
        parsed(command_of("serve", {"training.epochs": "3"}, tmp_path))


@every_experimenting_one
def test_files_that_are_defaults_exist(name):
    defaults = [declared["default"] for declared in ENTRY_POINTS[name]["parameters"].values()]
    files = [default for default in defaults if default.endswith(".yaml")]
    assert files
    assert all((REPOSITORY / file).is_file() for file in files)


@pytest.mark.parametrize("name", ["main", "search"])
def test_the_default_search_is_the_small_one_on_built_in_data(name):
    space = yaml.safe_load(text(ENTRY_POINTS[name]["parameters"]["space"]["default"]))
    assert space["data"] == {"kind": "synthetic"}
    assert space["search"]["trials"] <= 20


# --- image ---


def dockerfile():
    """Returns (instruction, rest) of each line of the Dockerfile."""
    joined = text("docker/Dockerfile").replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def instructions(name):
    return [rest for instruction, rest in dockerfile() if instruction == name]


def let_through(path):
    """Returns whether `.dockerignore` lets a path into the build: the last pattern that fits it or a folder above decides."""
    conclusion_text = True
    places = [path, *(parent.as_posix() for parent in Path(path).parents if parent != Path())]
    for line in text(".dockerignore").split():
        pattern = line.removeprefix("!").removeprefix("**/")
        names = [*places, *Path(path).parts] if line.startswith("**/") else places
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            conclusion_text = line.startswith("!")
    return conclusion_text


def copied():
    """Returns the sources of every COPY."""
    return [source for rest in instructions("COPY") for source in shlex.split(rest)[:-1]]


def test_the_image_has_the_python_of_conda():
    (base,) = instructions("FROM")
    assert re.fullmatch(rf"python:{re.escape(conda_python())}(-\w+)?", base)


def test_whatever_is_copied_exists_and_is_let_through():
    assert copied()
    for source in copied():
        assert (REPOSITORY / source).exists(), source
        assert let_through(source), source


def test_secrets_caches_and_results_stay_out_of_the_image():
    for path in (
        ".git",
        ".env",
        ".venv",
        "mlflow.db",
        "mlruns",
        "outputs",
        "tsad/__pycache__",
        "tsad/data/__pycache__",
    ):
        assert not let_through(path), path


def test_what_an_entry_point_needs_is_in_the_image():
    files = {
        "MLproject",
        "conda.yaml",
        RUN,
        TORCH,
        "pyproject.toml",
        "tsad",
        PYPROJECT["readme"],
        *PYPROJECT["license-files"],
    }
    folders = {
        Path(declared["default"]).parts[0]
        for point in ENTRY_POINTS.values()
        for declared in point["parameters"].values()
        if declared["default"].endswith(".yaml")
    }
    assert files | folders <= set(copied())


def test_the_image_installs_the_run_lock_with_its_hashes():
    installs = " ".join(instructions("RUN"))
    assert f"--require-hashes -r {RUN} " in installs
    assert f"-r {TORCH} " in installs
    assert DEV not in installs


def test_the_image_runs_an_entry_point():
    (start,), (default,) = instructions("ENTRYPOINT"), instructions("CMD")
    params = mlflow_parsed([*ast.literal_eval(start), *ast.literal_eval(default)])
    assert params["uri"] == "."
    assert params["env_manager"] == "local"
    assert params["entry_point"] in ENTRY_POINTS


def known_variables():
    """Returns the variables that our settings read."""
    ours = {f"TSAD_{name.upper()}" for name in Settings.model_fields}
    aliases = [field.validation_alias.choices for field in Settings.model_fields.values() if field.validation_alias]
    return ours | {alias for choices in aliases for alias in choices}


def is_known(variable):
    import mlflow.environment_variables

    return (
        variable in known_variables() or hasattr(mlflow.environment_variables, variable) or variable.startswith("OMP_")
    )


def test_the_image_sets_variables_that_somebody_reads():
    variables = [pair.partition("=")[0] for rest in instructions("ENV") for pair in shlex.split(rest)]
    assert "TSAD_DATA_DIR" in variables
    assert all(is_known(variable) for variable in variables)
    assert not is_known("TSAD_COLOR")


# --- compose ---

COMPOSE = yaml.safe_load(text("docker/compose.yaml"))
SERVICES = COMPOSE["services"]
every_service = pytest.mark.parametrize("name", SERVICES)
CLIENTS = [name for name, service in SERVICES.items() if "MLFLOW_TRACKING_URI" in service.get("environment", {})]


def words_of(name):
    """Returns the words that a service runs."""
    (start,), (default,) = instructions("ENTRYPOINT"), instructions("CMD")
    service = SERVICES[name]
    entry = service.get("entrypoint", ast.literal_eval(start))
    return [*entry, *service.get("command", [] if "entrypoint" in service else ast.literal_eval(default))]


def tracking(name):
    return urlsplit(SERVICES[name]["environment"]["MLFLOW_TRACKING_URI"])


def test_there_are_services_that_log_to_a_server():
    assert len(CLIENTS) >= 2
    assert len({tracking(name) for name in CLIENTS}) == 1


@every_service
def test_a_service_is_built_from_our_dockerfile(name):
    build = SERVICES[name]["build"]
    context = (REPOSITORY / "docker" / build["context"]).resolve()
    assert context == REPOSITORY
    assert (context / build["dockerfile"]).is_file()


def service_parsed(name):
    """Returns what our or MLflow's command line makes of the words of a service."""
    words = words_of(name)
    return parsed(words) if words[0] == "tsad" else mlflow_parsed(words)


@every_service
def test_a_service_runs_a_command_that_exists(name):
    assert service_parsed(name)


def test_the_service_that_others_reach_has_its_tokens_where_the_command_makes_them():
    serve, (variables,) = SERVICES["serve"], [line for line in instructions("ENV") if "TSAD_OUTPUT_DIR" in line]
    assert "TSAD_OUTPUT_DIR=/outputs" in variables
    assert "outputs:/outputs" in serve["volumes"]
    assert "--insecure" not in words_of("serve")
    assert service_parsed("serve")["host"] == "0.0.0.0"  # so that it does not start without a token


@every_service
def test_a_service_sets_variables_that_somebody_reads(name):
    assert all(is_known(variable) for variable in SERVICES[name].get("environment", {}))


@pytest.mark.parametrize("name", CLIENTS)
def test_the_tracking_server_answers_the_others_under_their_name_and_port_for_it(name):
    from mlflow.server.security_utils import is_allowed_host_header

    uri = tracking(name)
    server = mlflow_parsed(words_of(uri.hostname))
    assert server["port"] == uri.port
    assert server["host"] == "0.0.0.0"
    assert is_allowed_host_header(server["allowed_hosts"].split(","), uri.netloc)
    assert not is_allowed_host_header(server["allowed_hosts"].split(","), "elsewhere:5000")


@pytest.mark.parametrize("name", CLIENTS)
def test_the_others_wait_for_the_tracking_server_to_be_healthy(name):
    server = tracking(name).hostname
    assert SERVICES[name]["depends_on"] == {server: {"condition": "service_healthy"}}
    url = re.search(r"http://localhost:(\d+)(/\w+)", SERVICES[server]["healthcheck"]["test"][-1])
    assert int(url[1]) == tracking(name).port
    assert url[2] == "/health"


@every_service
def test_published_ports_are_open_to_this_machine_alone_and_are_those_that_the_service_listens_on(name):
    for published in SERVICES[name].get("ports", []):
        address, _, inside = published.split(":")
        assert address == "127.0.0.1"
        assert int(inside) == service_parsed(name)["port"]


def test_something_is_published():
    assert sum(len(service.get("ports", [])) for service in SERVICES.values()) >= 2


@every_service
def test_volumes_exist_and_lie_where_the_image_expects_them(name):
    (volumes,) = instructions("VOLUME")
    for volume in SERVICES[name].get("volumes", []):
        source, target = re.fullmatch(r"(\$\{[^}]*\}|[^:]+):([^:]+)(?::ro)?", volume).groups()
        variable = re.fullmatch(r"\$\{(\w+):-.*\}", source)
        assert is_known(variable[1]) if variable else source in COMPOSE["volumes"]
        assert target in ast.literal_eval(volumes) or any(target in word for word in words_of(name))


def test_the_registry_serves_the_champion():
    from tsad.registry.register import MODEL

    (served,) = [service_parsed(name) for name in SERVICES if words_of(name)[:2] == ["tsad", "serve"]]
    assert served["model"] == f"models:/{MODEL}@champion"
    assert served["hosts"] == ("serve",)
    assert served["host"] == "0.0.0.0"  # within its container; it is published to this machine's loopback alone


# --- Makefile and CI ---


def test_the_makefile_has_its_targets():
    assert {"search", "test", "test-slow", "test-full", "lint", "docs", "lock"} <= TARGETS
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text("Makefile"), flags=re.MULTILINE)
    assert set(phony.split()) == TARGETS


@pytest.mark.parametrize("target", ["search", "test", "test-slow", "test-full", "lint", "docs", "dist", "ui"])
def test_a_target_sets_up_first_and_runs_with_the_environments_own_programs(target, tmp_path):
    for name in ("Makefile", RUN, TORCH, DEV, "pyproject.toml"):
        (tmp_path / name).write_text(text(name))
    outside = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VENV"}
    }
    words = ["make", "-n", target]  # as from a shell, also where make runs this test
    done = subprocess.run(words, cwd=tmp_path, env=outside, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    installs = [place for place, line in enumerate(lines) if "pip install" in line]
    runs = [place for place, line in enumerate(lines) if line.startswith(f'PATH="{tmp_path}/.venv/bin:')]
    assert "-m venv .venv" in lines[0]
    assert f"--require-hashes -r {RUN} -r {DEV}" in lines[installs[0]]
    assert lines[installs[1]].endswith(f"-r {TORCH}")
    assert runs
    assert max(installs) < min(runs)
    assert len(runs) + len(installs) + 2 == len(lines)


def test_make_search_runs_an_entry_point_with_parameters_it_declares():
    (line,) = [line for line in text("Makefile").splitlines() if "mlflow run" in line]
    params = mlflow_parsed(shlex.split(line.replace("$(RUN)", "").replace("$(SPACE)", "space.yaml")))
    assert params["entry_point"] == "search"
    assert params["param_list"] == ("space=space.yaml",)
    assert "space" in ENTRY_POINTS["search"]["parameters"]
    (default,) = re.findall(r"^SPACE \?= (.*)$", text("Makefile"), flags=re.MULTILINE)
    assert default == ENTRY_POINTS["search"]["parameters"]["space"]["default"]


def test_ci_runs_what_the_readme_tells_to_run():
    script = REPOSITORY / ".ci/run"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("#!")
    assert "set -euo pipefail" in lines
    called = make_words("\n".join(lines))
    assert "test" in called
    assert set(called) <= TARGETS


def test_ci_builds_the_documentation_strictly():
    assert "docs" in make_words((REPOSITORY / ".ci/run").read_text(encoding="utf-8"))
    assert "mkdocs build --strict" in text("Makefile")
