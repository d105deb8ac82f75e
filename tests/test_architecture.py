"""The house: who may import whom, where the heavy imports live, how long a file and a function may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "tsad"
FILES = sorted(PACKAGE.rglob("*.py"))

ROWS = (
    ("errors", "arrays"),  # row 0: what every other room may use
    ("spec", "settings", "provenance", "ray_session"),
    ("series", "parallel"),
    ("windows", "masking", "sweep"),
    ("data", "models", "losses", "thresholds", "evaluation"),
    ("training",),
    ("detector",),
    ("config", "lengths", "streaming", "fleet"),
    ("default_detector", "fitting", "drift"),
    ("experiment", "outlier_detector"),
    ("assessment",),
    ("selection",),
    ("tracking",),
    ("registry",),
    ("tuning",),
    ("serving",),
    ("workflows",),
    ("cli",),
    ("__main__",),
)
"""The rooms of `tsad/`, files and folders alike. A room imports from rows above it and from itself, from no neighbor."""

CLI_ONLY = ("click", "tqdm")
"""Packages that only the command line imports."""

HEAVY = {
    **dict.fromkeys(CLI_ONLY, ("cli/",)),
    "mlflow": ("tracking/", "registry/", "serving/"),
    "ray": (
        "tuning/ray_tune.py",
        "tuning/ray_start.py",
        "tuning/ray_callback.py",
        "tuning/algorithms/optuna.py",
        "parallel.py",
        "ray_session.py",
    ),
}
"""Where alone a package may be imported: a folder or a file below `tsad/`."""

FILE_LINES, BODY_LINES = 350, 40


def row_of(room: str) -> int | None:
    return next((place for place, rooms in enumerate(ROWS) if room in rooms), None)


def room_of(name: str) -> str:
    """Returns the room of a path below `tsad/` or of a module such as `tsad.models.contract`."""
    return name.removeprefix("tsad.").replace("/", ".").split(".")[0]


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yields line and full module name of every import of a file, those inside functions too."""
    here = path.relative_to(REPOSITORY).with_suffix("").parts
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path == PACKAGE / "__init__.py":  # its public names are imported when they are first used
        tree.body = [node for node in tree.body if not is_for_type_checkers(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = [*here[: -node.level]] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            # `from tsad import spec` names the room after the word import
            names = {f"{module}.{alias.name}" if module == "tsad" else module for alias in node.names}
            yield from ((node.lineno, name) for name in sorted(names))


def shown(path: Path, line: int) -> str:
    return f"{path.relative_to(REPOSITORY)}:{line}"


def forbidden(path: Path) -> Iterator[str]:
    """Yields what is wrong with the imports of a file, by file, line and import; rooms without a row are not judged."""
    inside = path.relative_to(PACKAGE).as_posix()
    room = room_of(inside)
    own = -1 if room == "__init__" else row_of(room)
    for line, module in imports(path):
        package = module.split(".")[0]
        if package in HEAVY and not inside.startswith(HEAVY[package]):
            yield f"{shown(path, line)} imports {module}, which lives in {' and '.join(HEAVY[package])} alone"
        other = row_of(room_of(module)) if package == "tsad" and room_of(module) != room else None
        if own is not None and other is not None and other >= own:
            yield f"{shown(path, line)} imports {module}, which is not in a row above {room}"


def test_the_package_was_found():
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_has_a_place_in_the_table(path):
    room = room_of(path.relative_to(PACKAGE).as_posix())
    assert room == "__init__" or row_of(room) is not None, f"{path.relative_to(REPOSITORY)} is in no row of the table"


def test_a_module_imports_only_from_rows_above_it():
    found = [message for path in FILES for message in forbidden(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("inside", "text", "message"),
    [
        (
            "models/odd.py",
            "def f():\n    from tsad.data.sets.csv import CsvSpec",
            "models/odd.py:2 imports tsad.data.sets.csv",
        ),
        ("windows.py", "from tsad import masking", "windows.py:1 imports tsad.masking"),
        ("series.py", "from .experiment import run", "series.py:1 imports tsad.experiment"),
        ("losses/odd.py", "from ..models.contract import Model", "losses/odd.py:1 imports tsad.models.contract"),
        (
            "tuning/odd.py",
            "import ray.tune",
            "tuning/odd.py:1 imports ray.tune, which lives in tuning/ray_tune.py and tuning/ray_start.py and "
            "tuning/ray_callback.py and tuning/algorithms/optuna.py and parallel.py and ray_session.py alone",
        ),
        (
            "detector.py",
            "if True:\n    import mlflow",
            "detector.py:2 imports mlflow, which lives in tracking/ and registry/ and serving/ alone",
        ),
        ("__init__.py", "from tsad.errors import TsadError", "__init__.py:1 imports tsad.errors"),
    ],
)
def test_the_reader_of_imports_sees_a_forbidden_one(tmp_path, monkeypatch, inside, text, message):
    path = tmp_path / "tsad" / inside
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path / "tsad")
    (found,) = forbidden(path)
    assert message in found


def test_a_fresh_import_loads_nothing_heavy():
    code = "; ".join(
        f"import sys, {module}; print('{module}', *{{'mlflow', 'ray', 'matplotlib'}} & sys.modules.keys())"
        for module in ("tsad", "tsad.experiment")
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["tsad", "tsad.experiment"]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Returns the lines of a function below its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_no_file_is_too_long():
    long = {path.name: count for path in FILES if (count := len(path.read_text().splitlines())) > FILE_LINES}
    assert not long, f"more than {FILE_LINES} lines: {long}"


def test_no_function_body_is_too_long():
    long = {
        f"{shown(path, node.lineno)} {node.name}": body_lines(node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > BODY_LINES
    }
    assert not long, f"more than {BODY_LINES} lines: {long}"
