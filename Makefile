# Everything runs in .venv, made from requirements.lock by the first command that needs it. Nothing else is installed.
PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
SPACE ?= search_spaces/synthetic_quick.yaml
RUN := PATH="$(BIN):$$PATH"

.PHONY: setup search test test-slow lint lock ui

search: .venv/ready  ## the quick search on built-in data; SPACE=search_spaces/smd_quick.yaml for another
	$(RUN) mlflow run . --env-manager local --experiment-name tsad -e search -P space=$(SPACE)

test: .venv/ready  ## the quick tests
	$(RUN) python -m pytest -n auto --dist loadfile

test-slow: .venv/ready  ## a real search, server, and data set
	$(RUN) python -m pytest -m slow

lint: .venv/ready
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

ui: .venv/ready  ## the MLflow UI on what was run here
	$(RUN) mlflow ui --backend-store-uri sqlite:///mlflow.db

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

lock:  ## newest versions that pyproject.toml allows, written to requirements.lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet -e '.[dev]'
	( sed -n 1p requirements.lock; .venv-lock/bin/pip freeze --exclude-editable | sed 's/+cpu//' ) > requirements.new
	mv requirements.new requirements.lock
	rm -r .venv-lock
