"""Guides, license, hooks and workflow say the same as the package and the Makefile."""

import re
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tests.project import PYPROJECT, REPOSITORY, TARGETS, conda_python, make_words, text

WORKFLOW = yaml.safe_load(text(".github/workflows/ci.yml"))
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_the_workflow_runs_ci_and_targets_that_exist():
    commands = [step["run"] for step in STEPS if "run" in step]
    assert ".ci/run" in commands
    assert set(make_words("\n".join(commands))) <= TARGETS


def test_the_workflow_uses_the_python_of_conda_and_grants_no_more_than_reading():
    versions = {
        step["with"]["python-version"] for step in STEPS if step.get("uses", "").startswith("actions/setup-python")
    }
    assert conda_python() in versions
    assert WORKFLOW["permissions"] == {"contents": "read"}


HOOKS = [hook for repo in yaml.safe_load(text(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]


def test_every_hook_runs_a_program_of_the_extra_dev():
    programs = [Path(hook["entry"].split()[0]) for hook in HOOKS if hook["language"] == "system"]
    packages = [Requirement(line).name for line in PYPROJECT["optional-dependencies"]["dev"]]
    installed = {script for name in packages if name != "tsad" for script in scripts(name)}
    assert {"ruff", "mypy"} <= {program.name for program in programs} <= installed
    assert {program.parent.as_posix() for program in programs} == {".venv/bin"}


def scripts(name):
    """Returns the names of the programs that a package installs."""
    files = {path.name for path in metadata.files(name) or [] if path.parent.name == "bin"}
    return files | {point.name for point in metadata.distribution(name).entry_points}


@pytest.mark.parametrize(
    ("message", "accepted"),
    [
        ("evaluation: one registry of metrics\n\nWhy. And a longer line than that: with periods.\n", True),
        ("models, losses: a term names its labels", True),
        ("models: " + "x" * 52, True),
        ("models: " + "x" * 53, False),
        ("Fixed things", False),
        ("models: it ends with a period.\n", False),
    ],
)
def test_the_hook_of_messages_knows_the_form_of_a_commit(message, accepted):
    (hook,) = [hook for hook in HOOKS if hook.get("stages") == ["commit-msg"]]
    assert bool(re.search(hook["entry"], message, flags=re.MULTILINE)) is accepted


def test_the_license_is_the_one_that_the_package_states():
    assert PYPROJECT["license"] == "Apache-2.0"
    assert " ".join(text("LICENSE").split()).startswith("Apache License Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in text("LICENSE")


def test_the_citation_states_version_license_and_authors_of_the_package():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert (citation["version"], citation["license"]) == (PYPROJECT["version"], PYPROJECT["license"])
    assert citation["authors"] == PYPROJECT["authors"]
    assert citation["repository-code"] == PYPROJECT["urls"]["Source"]


def test_the_changelog_has_a_section_of_what_is_not_released():
    sections = re.findall(r"^## \[?([^\]\n]+)\]?", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert sections[0] == "Unreleased"
    kinds = set(re.findall(r"^### (\w+)$", text("CHANGELOG.md"), flags=re.MULTILINE))
    assert {"Added", "Changed"} <= kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md"])
def test_files_and_targets_that_a_guide_names_exist(name):
    named = set(re.findall(r"`((?:tsad|tests|docker|\.ci)/[\w./-]*|[\w.-]+\.(?:lock|toml|cff|md|yaml))`", text(name)))
    assert named
    assert not {path for path in named if "NAME" not in path and not (REPOSITORY / path).exists()}
    assert set(make_words(text(name))) <= TARGETS


def test_the_guide_of_contributors_tells_how_to_add_every_part():
    added = {row.split("|")[1].strip() for row in text("CONTRIBUTING.md").splitlines() if row.startswith("|")}
    parts = {"model", "loss term", "threshold", "mask", "scaler", "metric", "search algorithm", "command"}
    assert parts <= added
