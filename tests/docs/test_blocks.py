"""Each block of YAML, JSON and Python in README and docs is valid, and what it uses exists."""

import ast
import importlib
import inspect
import json
from pathlib import Path

import pytest
import yaml

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
import tsad
from tests.docs.pages import BLOCKS, each
from tsad.config import ExperimentConfig
from tsad.spec import parse, read_yaml
from tsad.tuning.spec import SearchSpec, read_search

LANGUAGES = {"json", "python", "sh", "text", "yaml"}
REST = {"data": {"kind": "synthetic"}, "model": {"kind": "lstm_ae"}}


def test_each_block_names_a_language_that_is_tested():
    assert {block.language for block in BLOCKS} <= LANGUAGES


def test_there_are_blocks_of_each_language():
    assert {block.language for block in BLOCKS} == LANGUAGES


@each("yaml")
def test_yaml_is_a_part_of_an_experiment_or_of_a_search_space(block, tmp_path):
    path = tmp_path / "block.yaml"
    path.write_text(block.text, encoding="utf-8")
    values = REST | read_yaml(path)
    if "choice" in block.text or "range" in block.text:
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        read_search(path, {})
    else:
        parse(SearchSpec, values.pop("search", {}), str(block))
        parse(ExperimentConfig, values, str(block))


@each("json")
def test_json_is_json(block):
    assert json.loads(block.text)


@each("python")
def test_python_compiles(block):
    compile(block.text, str(block), "exec")


def tree_of(block):
    return ast.walk(ast.parse(block.text))


@each("python")
def test_a_name_that_python_imports_exists(block):
    for node in tree_of(block):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name), f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


def tsad_name(node):
    """Returns `search` of the expression `tsad.search`, else None."""
    is_attribute = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tsad"
    return node.attr if is_attribute else None


@each("python")
def test_a_name_of_tsad_that_python_uses_exists(block):
    for node in tree_of(block):
        if (name := tsad_name(node)) is not None:
            assert hasattr(tsad, name), f"tsad.{name}"


@each("python")
def test_a_call_of_tsad_has_arguments_that_the_function_takes(block):
    for node in tree_of(block):
        if isinstance(node, ast.Call) and (name := tsad_name(node.func)) is not None:
            keywords = {keyword.arg: None for keyword in node.keywords}
            inspect.signature(getattr(tsad, name)).bind(*[None] * len(node.args), **keywords)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.marker.startswith("test: ")], ids=str)
def test_only_python_is_run(block):
    assert block.language == "python"
    assert Path(block.page).suffix == ".md"
