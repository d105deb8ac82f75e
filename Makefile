# Everything runs in .venv, made from the lock files by the first command that needs it. Nothing else is installed.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
SPACE ?= search_spaces/synthetic_quick.yaml
RUN := PATH="$(BIN):$$PATH"
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: setup search test test-slow test-full test-python lint docs dist lock ui

search: .venv/ready  ## the quick search on built-in data; SPACE=search_spaces/smd_quick.yaml for another
	$(RUN) mlflow run . --env-manager local --experiment-name tsad -e search -P space=$(SPACE)

test: .venv/ready  ## the quick tests
	$(RUN) python -m pytest -n auto --dist loadfile

test-slow: .venv/ready  ## a real search, server, and data set
	$(RUN) python -m pytest -m slow

test-full: .venv/ready  ## the quick and the slow tests in one run
	$(RUN) python -m pytest -m "slow or not slow"

test-python:  ## the quick tests on another Python, in an environment of their own: make test-python PYTHON=python3.12
	.ci/test_python $(PYTHON)

lint: .venv/ready
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

docs: .venv/ready  ## the documentation site, in outputs/site; a warning is an error
	$(RUN) mkdocs build --strict --site-dir outputs/site

dist: .venv/ready  ## the wheel and the source distribution, in dist
	$(RUN) python -m build --no-isolation

ui: .venv/ready  ## the MLflow UI on what was run here
	$(RUN) mlflow ui --backend-store-uri sqlite:///mlflow.db

setup: .venv/ready

.venv/ready: requirements.lock requirements-torch.lock requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes -r requirements.lock -r requirements-dev.lock
	$(PIP) -r requirements-torch.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

lock:  ## the lock files and conda.yaml from pyproject.toml; UPGRADE=1 takes the newest versions that it allows
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check uv packaging
	.venv-lock/bin/python .ci/lock.py $(if $(UPGRADE),--upgrade)
	rm -r .venv-lock
