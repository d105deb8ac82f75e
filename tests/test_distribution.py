"""The wheel and the source distribution hold all that they must, and what they install works."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "tsad"
LEFT_OUT = (
    ".git",
    ".venv*",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "*.egg-info",
    "build",
    "dist",
    "outputs",
    "mlruns",
)

pytestmark = pytest.mark.slow


def run(words, cwd):
    """Returns the output of a command that runs without the settings of this environment's Python."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TSAD_", "MLFLOW_"))
    }
    done = subprocess.run(words, cwd=cwd, env=inherited, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of_the_package():
    """Returns the paths of all files below `tsad/`, as they must be in a distribution."""
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {path.relative_to(REPOSITORY).as_posix() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with the wheel and the source distribution, the wheel built from the latter."""
    folder = tmp_path_factory.mktemp("distribution")
    shutil.copytree(REPOSITORY, folder / "source", ignore=shutil.ignore_patterns(*LEFT_OUT))
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist"], folder / "source")
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def source(built, tmp_path_factory):
    """Unpacked source distribution."""
    (path,) = built.glob("*.tar.gz")
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """Environment in which the wheel is installed, and which sees the other packages of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        folder,
    )
    packages = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    Path(packages, "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def names_in(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    assert {name for name in names_in(wheel) if ".dist-info/" not in name} == files_of_the_package()


def test_the_wheel_holds_the_license_and_the_type_marker(wheel):
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names_in(wheel))
    assert "tsad/py.typed" in names_in(wheel)


def test_the_wheel_states_license_python_and_extras(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) == {"all", "dev", "excel", "remote", "search", "serve", "tracking"}


@pytest.mark.parametrize("folder", ["experiments", "search_spaces"])
def test_the_source_distribution_holds_every_configuration(source, folder):
    names = {path.name for path in (REPOSITORY / folder).glob("*.yaml")}
    assert len(names) > 3
    assert {path.name for path in (source / folder).iterdir()} == names


def test_the_source_distribution_holds_the_package_and_the_files_about_it(source):
    assert {name for name in files_of_the_package() if not (source / name).is_file()} == set()
    for name in ("LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "MLproject", "requirements.lock"):
        assert (source / name).is_file(), name


def test_an_installed_wheel_generates_rows_and_trains_a_detector(environment, source, tmp_path):
    tsad = environment / "bin/tsad"
    imported = run([environment / "bin/python", "-c", "import tsad; print(tsad.__file__)"], tmp_path)
    assert Path(imported.strip()).is_relative_to(environment)
    assert "Commands:" in run([tsad, "--help"], tmp_path)
    run([tsad, "generate", "--output-path", "rows.csv", "--num-samples", "3000"], tmp_path)
    rows = ["--set", "data.kind=csv", "--set", "data.path=rows.csv"]
    run([tsad, "train", source / "experiments/synthetic_linear.yaml", *rows], tmp_path)
    assert list(tmp_path.rglob("report.html"))
