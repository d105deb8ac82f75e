"""The generated reference has every key, option and variable, each with a description."""

import ast
import re

import click
import pytest

from tests.docs.pages import DOCS, PAGES, REPOSITORY, generated, spans_of
from tests.test_architecture import ROWS
from tsad.cli import cli
from tsad.config import ExperimentConfig
from tsad.evaluation.registry import METRICS
from tsad.settings import Settings
from tsad.tuning.spec import SearchSpec

generated("")  # makes the modules of docs/ importable
import configuration_tables  # noqa: E402

SPECS = list(
    dict.fromkeys([*configuration_tables.specs_of(ExperimentConfig), *configuration_tables.specs_of(SearchSpec)])
)
every_spec = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)


def page(name):
    return generated((DOCS / "reference" / name).read_text(encoding="utf-8"))


# --- configuration ---


@every_spec
def test_every_key_has_a_description(spec):
    missing = [name for name, _, text in configuration_tables.keys(spec) if len(text) < 5]
    assert not missing, f"add them to the section `Attributes:` of {spec.__name__}"


@every_spec
def test_every_section_says_what_it_is(spec):
    assert len(configuration_tables.summary(spec)) > 10


@pytest.fixture(scope="module")
def configuration():
    return page("configuration.md")


@every_spec
def test_every_key_is_on_the_page(spec, configuration):
    for name, _, text in configuration_tables.keys(spec):
        assert f"| `{name}` |" in configuration
        assert configuration_tables.cell(text) in configuration


def test_every_kind_has_a_heading(configuration):
    kinds = {kind for spec in SPECS if (kind := configuration_tables.kind_of(spec)) is not None}
    assert len(kinds) > 40
    assert not {kind for kind in kinds if not re.search(rf"^#+ `.*: \{{kind: {kind}\}}`$", configuration, re.MULTILINE)}


def test_a_default_is_written_as_yaml():
    fields = ExperimentConfig.model_fields
    assert configuration_tables.default_text(fields["seed"]) == "`0`"
    assert configuration_tables.default_text(fields["data"]) == "required"
    assert configuration_tables.default_text(fields["threshold"]) == "`{kind: percentile}`"
    assert configuration_tables.default_text(SearchSpec.model_fields["reuse"]) == "`true`"
    assert configuration_tables.default_text(SearchSpec.model_fields["seconds"]) == "`null`"


def test_a_type_is_written_for_people():
    fields = SearchSpec.model_fields
    assert configuration_tables.type_text(fields["trials"].annotation) == "whole number or null"
    assert configuration_tables.bounds(fields["parallel"]) == "at least 1"
    assert configuration_tables.type_text(fields["minimize"].annotation) == "list of `cost/parameters`, `cost/latency`"


SECTIONS = (*ExperimentConfig.model_fields, "search")


def named_paths():
    """Yields the keys that pages name by their path, in text and in --set."""
    for path in PAGES:
        for span in spans_of(path):
            for name in re.findall(r"(?<![\w./])([a-z_]+(?:\.[a-z_]+)+)(?![\w(/])", span):
                if name.split(".")[0] in SECTIONS and not name.endswith(
                    (".json", ".yaml", ".csv", ".npy", ".py", ".safetensors")
                ):
                    yield name


def test_every_path_that_a_page_names_is_a_key():
    named = set(named_paths())
    assert len(named) > 20
    assert named - {"data.step_seconds"} <= configuration_tables.paths()  # of read options, which are no experiment


# --- command line ---


def commands(group, name="tsad"):
    for verb, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {verb}")
        else:
            yield f"{name} {verb}", command


every_command = pytest.mark.parametrize(
    ("name", "command"), list(commands(cli)), ids=lambda one: one if isinstance(one, str) else ""
)


@pytest.fixture(scope="module")
def command_line():
    return page("cli.md")


@every_command
def test_every_command_and_option_is_on_the_page_with_its_help(name, command, command_line):
    assert f"## `{name}`" in command_line
    assert command.help
    assert command.help.split(".")[0].split("\n")[0] in command_line
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.opts[0] in command_line


# --- environment ---


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_variable_is_on_the_page(name):
    assert f"`TSAD_{name.upper()}`" in page("environment.md")


def test_every_variable_that_a_page_names_is_read():
    options = [option for option in cli.commands["serve"].params if getattr(option, "allow_from_autoenv", False)]
    known = {f"TSAD_{name.upper()}" for name in Settings.model_fields} | {"TSAD_TOKEN", "TSAD_SERVE_"}
    known |= {f"TSAD_SERVE_{option.name.upper()}" for option in options}
    for path in [REPOSITORY / "README.md", *DOCS.rglob("*.md")]:
        assert set(re.findall(r"\bTSAD_[A-Z_]+", path.read_text(encoding="utf-8"))) <= known, path.name


# --- HTTP ---


def routes():
    """Returns the paths that the service answers, those of parts of its page not included."""
    found = {"/invocations", "/ping", "/health", "/version"}
    for path in (REPOSITORY / "tsad/serving").rglob("*.py"):
        prefix = ""
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for function in node.body if isinstance(node, ast.FunctionDef) else ():
                prefix = next(prefixes(function), prefix)
                for call in getattr(function, "decorator_list", ()):
                    if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
                        found.add(prefix + call.args[0].value)
    return {re.sub(r"\{\w+\}", "*", one) for one in found} - {"/page/*"}


def prefixes(node):
    """Yields the beginnings of the paths of the routers that a statement makes, those of the first model for all models."""
    for call in (part for part in ast.walk(node) if isinstance(part, ast.Call)):
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func) == "mount.router":
            yield "/api" + "".join(argument.value for argument in call.args[1:])
        for keyword in call.keywords:
            if keyword.arg == "prefix":
                yield keyword.value.value if isinstance(keyword.value, ast.Constant) else ""


def named_routes():
    """Returns the paths that the page of the HTTP API names, with `*` for an id or a name."""
    named = set()
    for span in spans_of(DOCS / "reference/http_api.md"):
        for word in re.findall(r"(?<![\w.])/[a-z_/]*(?:ID|NAME)?(?:/[a-z]+)*", span):
            named.add(re.sub(r"ID|NAME", "*", word))
    return named


def test_every_endpoint_is_on_the_page_and_every_one_on_the_page_exists():
    served = routes()
    assert len(served) > 15
    assert served - named_routes() <= {"/openapi.json"}
    served |= {one.replace("/api", "/api/models/*", 1) for one in served}
    named = {one for one in named_routes() if one.startswith("/api") or one in {"/metrics", "/train_predict"}}
    assert named <= served


# --- metrics ---


def test_every_metric_is_on_the_page_with_its_meaning():
    text = page("metrics.md")
    for metric in METRICS:
        assert f"| `{metric.name}` | {configuration_tables.cell(metric.description)}<br>" in text


# --- architecture ---


def test_the_table_of_imports_is_the_one_that_is_tested():
    table = re.search(r"```text\n( 0  errors.*?)```", (DOCS / "design.md").read_text(encoding="utf-8"), re.DOTALL)
    rows = [re.findall(r"[a-z_]+", line) for line in table[1].splitlines()]
    assert [set(row) for row in rows] == [set(row) for row in ROWS if row != ("__main__",)]


# --- troubleshooting ---


def messages():
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    return [message for message in re.findall(r"^### `(.+)`$", text, re.MULTILINE) if not message.startswith("-")]


def literals():
    """Returns the texts in the source, each with `...` in place of its values."""
    found = []
    for path in (REPOSITORY / "tsad").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
                found.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


LITERALS = literals()
FROM_PYDANTIC = {"...: extra inputs are not permitted"}


@pytest.mark.parametrize("message", messages())
def test_a_message_that_is_explained_is_one_of_ours(message):
    pieces = [piece.strip(" :") for piece in message.split("...") if len(piece.strip(" :")) > 3]
    assert pieces
    assert message in FROM_PYDANTIC or any(all(piece in text for piece in pieces) for text in LITERALS)
