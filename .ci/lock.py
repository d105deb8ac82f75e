"""Writes the lock files from `pyproject.toml`; run by `make lock`, which brings uv and packaging.

`requirements.lock` and `requirements-torch.lock` hold what runs tsad with all of its extras, `requirements-dev.lock` what the
extra `dev` adds to them, and `conda.yaml` the versions of the first two. A version that is locked already stays unless
`--upgrade` is given.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

RUN_LOCK, TORCH_LOCK, DEV_LOCK = (Path(f"requirements{part}.lock") for part in ("", "-torch", "-dev"))
CONDA = Path("conda.yaml")

CUDA = ("cuda-", "nvidia-", "triton")
"""Prefixes of the packages that only a CUDA build of PyTorch needs. They are in no lock: its CPU build goes without them."""

MACHINES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64"))
ENVIRONMENTS = [
    {
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": system,
        "platform_machine": machine,
    }
    for python in ("3.11", "3.12", "3.13")
    for system, machine in MACHINES
]
"""Environments that a lock is for: a marker that holds in all of them is left out."""

RUN_HEADER = """\
# Exact versions and hashes of what runs tsad with all of its extras, for Python 3.11 to 3.13 on Linux and macOS; CI and the
# image install it. PyTorch stands in requirements-torch.lock. Made by: make lock
"""
TORCH_HEADER = """\
# The version of PyTorch, without hashes, so that it is installed by a call of pip of its own. PyTorch publishes a version as
# several builds, for CPUs and for CUDA, on several indexes; a list of the hashes of all builds would make pip take the build
# whose index states a hash, which may be the wrong one, and the CUDA build brings packages that the CPU build goes without.
# Everything else that PyTorch needs is in requirements.lock. Made by: make lock
"""
DEV_HEADER = """\
# Exact versions and hashes of what the extra `dev` adds to requirements.lock: tests, style, types, docs, packaging.
# Made by: make lock
"""
CONDA_HEADER = """\
# The environment of MLproject. Its versions are those of requirements.lock and requirements-torch.lock, without hashes: conda
# installs all of them in one call of pip, which with hashes would refuse PyTorch and the editable package. Made by: make lock
name: tsad
channels: [conda-forge]
dependencies:
  - python=3.11
  - pip
  - pip:
"""


@dataclass(frozen=True)
class Pin:
    """One locked package."""

    version: str
    """Exact version, without the label of a build such as `+cpu`."""
    marker: str
    """Environment marker, empty for a package that every supported environment needs."""
    hashes: frozenset[str]
    """SHA-256 digests of the files of this version."""


def narrowed(marker: str) -> str:
    """Returns a marker as it is, or empty when it holds in every supported environment."""
    return "" if all(Marker(marker).evaluate(environment) for environment in ENVIRONMENTS) else marker


def read_lock(text: str) -> dict[str, Pin]:
    """Returns the pins of a requirements file with or without hashes by package name; comments are skipped."""
    pins = {}
    for entry in re.split(r"\n(?=[a-z0-9])", "\n" + re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).lower()):
        if match := re.match(r"\s*([a-z0-9._-]+)==([^\s;+]+)(?:\+\w+)?(?: ; ([^\\\n]+))?", entry):
            marker = narrowed(match[3].strip()) if match[3] else ""
            name = re.sub(r"[-_.]+", "-", match[1])
            pins[name] = Pin(match[2], marker, frozenset(re.findall(r"sha256:([0-9a-f]{64})", entry)))
    return pins


def resolved(extra: str, start: str, *, upgrade: bool) -> dict[str, Pin]:
    """Returns what uv locks for an extra of `pyproject.toml`.

    Args:
        extra: Name of the extra.
        start: Text of a requirements file, whose versions stay where `pyproject.toml` allows them.
        upgrade: Whether the newest allowed versions replace those of `start`.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "lock.txt"
        output.write_text(start, encoding="utf-8")
        uv = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate", "--generate-hashes"]
        scope = ["--universal", "--python-version=3.11", "--fork-strategy=fewest", f"--extra={extra}"]
        version = ["--upgrade"] if upgrade else []
        subprocess.run([*uv, *scope, *version, f"--output-file={output}", "pyproject.toml"], check=True)  # noqa: S603
        pins = read_lock(output.read_text(encoding="utf-8"))
    return {name: pin for name, pin in pins.items() if not name.startswith(CUDA)}


def shown(name: str, pin: Pin) -> str:
    """Returns the requirement of a pin without its hashes."""
    return f"{name}=={pin.version}" + (f" ; {pin.marker}" if pin.marker else "")


def hashed(pins: dict[str, Pin]) -> str:
    """Returns the text of a requirements file with hashes."""
    entries = (
        [shown(name, pin), *(f"    --hash=sha256:{digest}" for digest in sorted(pin.hashes))]
        for name, pin in sorted(pins.items())
    )
    return "".join(" \\\n".join(entry) + "\n" for entry in entries)


def main() -> None:
    """Writes the four files."""
    os.chdir(Path(__file__).parents[1])
    upgrade = "--upgrade" in sys.argv[1:]
    locked = [path.read_text(encoding="utf-8") for path in (RUN_LOCK, TORCH_LOCK, DEV_LOCK) if path.exists()]
    run = resolved("all", "".join(locked), upgrade=upgrade)
    dev = resolved("dev", hashed(run) + ("" if upgrade else locked[-1]), upgrade=False)
    if other := [name for name, pin in run.items() if dev[name].version != pin.version]:
        raise SystemExit(f"the extra dev needs other versions than the extra all: {', '.join(other)}")
    conda = "".join(f"      - {shown(name, pin)}\n" for name, pin in sorted(run.items()))
    CONDA.write_text(f"{CONDA_HEADER}{conda}      - -e .\n", encoding="utf-8")
    TORCH_LOCK.write_text(f"{TORCH_HEADER}{shown('torch', run.pop('torch'))}\n", encoding="utf-8")
    RUN_LOCK.write_text(RUN_HEADER + hashed(run), encoding="utf-8")
    added = {name: pin for name, pin in dev.items() if name not in run and name != "torch"}
    DEV_LOCK.write_text(DEV_HEADER + hashed(added), encoding="utf-8")


if __name__ == "__main__":
    main()
