"""Each command in README and docs is one that exists, with options that exist and values that are accepted."""

import re
import shlex
from pathlib import Path

import click
import pytest

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.docs.pages import BLOCKS, PAGES, REPOSITORY, blocks, commands_of, spans_of
from tsad.cli import cli
from tsad.config import ExperimentConfig
from tsad.spec import parse, parse_overrides, put, read_yaml
from tsad.tuning.spec import read_search

PROGRAMS = {"make", "mlflow", "python", "tsad"}
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
COMMANDS = [(block, words) for block in blocks("sh") for words in commands_of(block)]
SPANS = sorted({(path.name, span) for path in PAGES for span in spans_of(path)})


def commands(program):
    chosen = [(block, words) for block, words in COMMANDS if words[0] == program]
    return pytest.mark.parametrize(
        ("block", "words"), chosen, ids=lambda one: one if isinstance(one, list) else str(one)
    )


def command_and_rest(command, words):
    """Returns the command that the first words name, and the words after it."""
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    return command, words


def params_of(command, words):
    """Returns what click makes of the words; nothing runs."""
    command, rest = command_and_rest(command, words)
    try:
        return command.make_context(" ".join(words), rest).params
    except click.exceptions.Exit:  # of --help and --version
        return {}


def mlflow_command():
    from mlflow.cli import cli as command

    return command


def test_the_readme_opens_with_the_two_commands():
    opening = [words for block, words in COMMANDS if block.page == "README.md"][:2]
    assert opening == [["make", "search"], ["make", "test"]]


def test_targets_of_make_in_sentences_are_some():
    named = {span.split()[1] for _, span in SPANS if re.fullmatch(r"make [a-z-]+", span)}
    assert {"docs", "lint", "test-slow"} <= named <= TARGETS


def test_there_are_commands_of_each_program():
    assert {words[0] for _, words in COMMANDS} >= {"make", "mlflow", "tsad"}
    assert len(COMMANDS) > 50


def test_a_shell_block_runs_programs_that_a_test_knows_or_says_why_not():
    unknown = [(str(block), words[0]) for block, words in COMMANDS if words[0] not in PROGRAMS]
    assert not unknown, "mark the block with <!-- not tested: REASON -->"


def test_what_is_not_tested_says_why():
    for block in BLOCKS:
        assert block.is_tested or len(block.marker.removeprefix("not tested: ")) > 8, str(block)


@commands("tsad")
def test_a_command_of_tsad_is_one(block, words):
    params_of(cli, words[1:])


@commands("mlflow")
def test_a_command_of_mlflow_is_one(block, words):
    assert params_of(mlflow_command(), words[1:])


@commands("mlflow")
def test_an_entry_point_that_is_run_exists_and_gets_values_that_it_accepts(block, words):
    if words[1] != "run":
        return
    params = params_of(mlflow_command(), words[1:])
    values = dict(value.split("=", 1) for value in params["param_list"])
    point = read_yaml(REPOSITORY / "MLproject")["entry_points"][params["entry_point"]]
    names = {name: values.pop(name, declared["default"]) for name, declared in point["parameters"].items()}
    line = shlex.split(point["command"].format(**names))
    check_values([*line[2:], *(word for name, value in values.items() for word in ("--set", f"{name}={value}"))])


@commands("make")
def test_a_target_of_make_is_one(block, words):
    assert set(words[1:]) <= TARGETS


@commands("tsad")
def test_the_values_that_a_command_sets_are_accepted(block, words):
    check_values(words)


def check_values(words):
    """Parses the file of `tsad train`, `search`, `evaluate` or `promote` with the values that the command sets."""
    params = params_of(cli, words[1:])
    changes = parse_overrides(params.get("assignments", ()))
    path = params.get({"train": "experiment", "search": "space"}.get(words[1], "data"))
    if path is None or not (REPOSITORY / path).is_file():
        return
    if words[1] == "search":
        read_search(REPOSITORY / path, changes)
    else:
        parse(ExperimentConfig, put(read_yaml(REPOSITORY / path), changes), str(path))


def test_an_experiment_or_space_is_in_the_repository_or_written_by_the_same_page():
    for block, words in COMMANDS:
        for word in words:
            if re.fullmatch(r"(experiments|search_spaces|benchmarks)/[\w.-]+", word):
                assert (REPOSITORY / word).is_file(), f"{block}: {word}"


# --- commands inside sentences ---


@pytest.mark.parametrize(("page", "span"), [one for one in SPANS if one[1].startswith("tsad ")])
def test_a_command_of_tsad_in_a_sentence_has_a_name_and_options_that_exist(page, span):
    words = re.sub(r"\.\.\.|\[|\]", " ", span).split()[1:]
    if words[0] in {"COMMAND", "NAME", "--help", "--version"}:
        return
    command, rest = command_and_rest(cli, words)
    assert command is not cli
    options = {name for param in command.params if isinstance(param, click.Option) for name in param.opts}
    assert {word.split("=")[0] for word in rest if word.startswith("--")} <= {*options, "--help"}


def benchmark_lines():
    spans = [span for _, span in SPANS if "python benchmarks/" in span]
    return [*spans, *(" ".join(words) for _, words in COMMANDS if words[0] == "python")]


@pytest.mark.parametrize("line", benchmark_lines())
def test_a_benchmark_that_is_named_exists_and_has_the_options(line):
    path = re.search(r"python (\S+\.py)", line)
    assert path, f"only files are run, but got {line}"
    source = (REPOSITORY / path[1]).read_text(encoding="utf-8")
    for option in re.findall(r"(?<=\s)--[a-z-]+", line):
        assert f'"{option}"' in source or option.removeprefix("--").replace("-", "_") in source, option


def test_files_that_pages_name_exist():
    pattern = r"(?:tsad|tests|docs|benchmarks|experiments|search_spaces|notebooks|docker)/[\w./-]+\.\w+"
    for path in PAGES:
        for span in spans_of(path):
            for name in re.findall(pattern, span):
                assert "NAME" in name or (REPOSITORY / name).exists(), f"{path.name}: {name}"


def test_folders_that_pages_name_exist():
    for path in PAGES:
        for span in spans_of(path):
            if re.fullmatch(r"(?:tsad|tests|docs|benchmarks|experiments|search_spaces)/[\w/]*", span):
                assert Path(REPOSITORY / span).is_dir(), f"{path.name}: {span}"
