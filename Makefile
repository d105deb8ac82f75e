# Everything runs in .venv, made from the lock files by the first command that needs it. Nothing else is installed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(CURDIR)/$(VENV)/bin
SPACE ?= search_spaces/synthetic_quick.yaml
RUN := PATH="$(BIN):$$PATH"
PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: setup search test test-slow test-full test-python lint docs dist lock ui

search: $(VENV)/ready  ## the quick search on built-in data; SPACE=search_spaces/smd_quick.yaml for another
	$(RUN) mlflow run . --env-manager local --experiment-name tsad -e search -P space=$(SPACE)

test: $(VENV)/ready  ## the quick tests
	$(RUN) python -m pytest -n auto --dist loadfile

test-slow: $(VENV)/ready  ## a real search, server, and data set
	$(RUN) python -m pytest -m slow -n 2 --dist loadfile

test-full: $(VENV)/ready  ## the quick and the slow tests in one run
	$(RUN) python -m pytest -m "slow or not slow"

test-python:  ## the quick tests on another Python, in an environment of their own: make test-python PYTHON=python3.12
	$(MAKE) test VENV=.venv-$(notdir $(PYTHON))

lint: $(VENV)/ready
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

docs: $(VENV)/ready  ## the documentation site, in site; a warning is an error
	$(RUN) mkdocs build --strict

dist: $(VENV)/ready  ## the wheel and the source distribution, in dist
	$(RUN) python -m build --no-isolation

ui: $(VENV)/ready  ## the MLflow UI on what was run here
	$(RUN) mlflow ui --backend-store-uri sqlite:///mlflow.db

setup: $(VENV)/ready

$(VENV)/ready: requirements.lock requirements-torch.lock requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements.lock -r requirements-dev.lock
	$(PIP) -r requirements-torch.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

lock:  ## the lock files and conda.yaml from pyproject.toml; UPGRADE=1 takes the newest versions that it allows
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check uv packaging
	.venv-lock/bin/python .ci/lock.py $(if $(UPGRADE),--upgrade)
	rm -r .venv-lock
