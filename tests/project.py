"""What stands around the package, for tests that compare it with the package."""

import re
import tomllib
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[1]
RUN, TORCH, DEV = "requirements.lock", "requirements-torch.lock", "requirements-dev.lock"


def text(name):
    """Returns the text of a file of the repository."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


PYPROJECT = tomllib.loads(text("pyproject.toml"))["project"]
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", text("Makefile"), flags=re.MULTILINE))


def make_words(source):
    """Returns the targets of every `make TARGET` of a text."""
    return re.findall(r"(?:^\s*|`|\. )make ([a-z-]+)", source, flags=re.MULTILINE)


def conda():
    """Returns the dependencies of conda.yaml."""
    return yaml.safe_load(text("conda.yaml"))["dependencies"]


def conda_python():
    """Returns the version of Python that conda.yaml installs."""
    (python,) = [entry.removeprefix("python=") for entry in conda() if str(entry).startswith("python=")]
    return python
