"""Dependencies and lock files say the same: ranges, extras, exact versions, hashes, and what the package imports."""

import ast
import re
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import tests.stores  # noqa: F401 (imports MLflow without its warnings)
from tests.project import DEV, PYPROJECT, REPOSITORY, RUN, TORCH, conda, conda_python, text

EXTRAS = PYPROJECT["optional-dependencies"]
OTHER_ENVIRONMENTS = {"appnope"}  # packages that are locked, but not for Linux
CUDA = ("cuda-", "nvidia-", "triton")  # what only a CUDA build of PyTorch needs; the lock holds for its CPU build too


def entries(name):
    """Returns (requirement, hashes) of every entry of a lock."""
    joined = re.sub(r"^#.*$", "", text(name), flags=re.MULTILINE).replace("\\\n", " ")
    split = [re.split(r"\s+--hash=", line.strip()) for line in joined.splitlines() if line.strip()]
    return [(Requirement(requirement), hashes) for requirement, *hashes in split]


LOCKS = {name: entries(name) for name in (RUN, TORCH, DEV)}
LOCKED = {canonicalize_name(requirement.name): requirement for lock in LOCKS.values() for requirement, _ in lock}


def names_in(*locks):
    return {canonicalize_name(requirement.name) for lock in locks for requirement, _ in LOCKS[lock]}


def required(extra=None):
    """Returns the requirements of the package, or those of an extra with the extras that it names."""
    if extra is None:
        return [Requirement(line) for line in PYPROJECT["dependencies"]]
    declared = [Requirement(line) for line in EXTRAS[extra]]
    inner = [one for line in declared if line.name == "tsad" for name in line.extras for one in required(name)]
    return [line for line in declared if line.name != "tsad"] + inner


def locked_version(name):
    (specifier,) = LOCKED[canonicalize_name(name)].specifier
    return Version(specifier.version)


def test_conda_installs_the_locked_versions_and_the_package():
    ((*pins, package),) = [entry["pip"] for entry in conda() if isinstance(entry, dict)]
    assert package == "-e ."
    assert {str(Requirement(pin)) for pin in pins} == {str(one) for lock in (RUN, TORCH) for one, _ in LOCKS[lock]}


def test_conda_has_a_python_that_the_package_accepts():
    assert f"{conda_python()}.1" in SpecifierSet(PYPROJECT["requires-python"])


def test_a_lock_names_one_exact_version_of_each_package_and_no_index():
    assert len(LOCKED) == sum(len(lock) for lock in LOCKS.values()) > 150
    for requirement in LOCKED.values():
        (specifier,) = requirement.specifier
        assert specifier.operator == "=="
        assert Version(specifier.version).local is None
        assert requirement.url is None
    assert not re.findall(r"^\s*(?:-|http)(?!-hash)", "".join(map(text, LOCKS)), flags=re.MULTILINE)


@pytest.mark.parametrize("name", [RUN, DEV])
def test_every_locked_package_has_hashes(name):
    assert all(hashes for _, hashes in LOCKS[name])
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for _, hashes in LOCKS[name] for one in hashes)


def test_pytorch_alone_is_locked_without_hashes():
    assert [(one.name, hashes) for one, hashes in LOCKS[TORCH]] == [("torch", [])]


@pytest.mark.parametrize(
    "requirement", sorted({*required(), *required("all"), *required("dev")}, key=str), ids=lambda one: one.name
)
def test_a_dependency_is_locked_within_its_range(requirement):
    assert locked_version(requirement.name) in requirement.specifier


def closure(requirement, seen):
    """Yields the names of the packages that a requirement needs, as far as they are installed here."""
    key = (canonicalize_name(requirement.name), tuple(sorted(requirement.extras)))
    if key in seen:
        return
    seen.add(key)
    yield key[0]
    for line in metadata.requires(requirement.name) or []:
        inner = Requirement(line)
        if inner.name.startswith(CUDA):
            continue
        environments = [{"extra": extra} for extra in ("", *requirement.extras)]
        if inner.marker is None or any(inner.marker.evaluate(environment) for environment in environments):
            yield from closure(inner, seen)


def needed(*extras):
    seen = set()
    return {name for extra in (None, *extras) for one in required(extra) for name in closure(one, seen)}


def test_the_run_lock_holds_exactly_what_the_extras_of_users_need():
    assert needed("all") == names_in(RUN, TORCH)


def test_the_dev_lock_holds_exactly_what_the_extra_dev_adds():
    assert needed("dev") - needed("all") == names_in(DEV) - OTHER_ENVIRONMENTS


def test_the_extra_all_is_every_extra_of_users():
    assert {one.name for one in required("all")} == {
        one.name for extra in EXTRAS if extra not in {"all", "dev"} for one in required(extra)
    }


@pytest.mark.parametrize("extra", ["search", "serve"])
def test_an_extra_that_writes_or_reads_runs_brings_tracking(extra):
    assert {one.name for one in required("tracking")} < {one.name for one in required(extra)}


def test_the_registered_model_requires_only_what_is_locked():
    from tsad.registry.log import REQUIRED

    assert {canonicalize_name(name) for name in REQUIRED} <= LOCKED.keys()


def imported():
    """Returns the top packages that `tsad/` imports."""
    found = set()
    for path in (REPOSITORY / "tsad").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"tsad"}


def test_every_package_that_is_imported_is_a_dependency():
    declared = {canonicalize_name(one.name) for one in [*required(), *required("all")]}
    providers = metadata.packages_distributions()
    undeclared = {name for name in imported() if not declared & {canonicalize_name(one) for one in providers[name]}}
    assert not undeclared
