# Everything a person or CI does here. `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# the MLflow server needs other versions than we do, so it lives apart
MLFLOW := .venv-mlflow
# PyTorch's CPU index; `make run TORCH_INDEX=` asks the default index at once
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
export TORCH_INDEX
PYTEST_WORKERS ?= auto
# they wait more than they compute
LONG_WORKERS ?= 2
SBOM ?= sbom.json
# `make test FOLDER=tests/api`: the default tests of one folder or file
FOLDER ?=
# what a step of the installation is, how long it took and what it added
PHASE := scripts/phase $(VENV)

.PHONY: help demo screenshots run install test test-again check format test-compose test-long test-long-again test-fuzz test-cluster test-tracking bench-elsewhere clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.run: requirements.txt requirements/serving.txt requirements/learning.txt requirements/tracking.txt pyproject.toml
	@echo "installing into $(VENV) (about 2.3 GB)"
	@test -x $(BIN)/python || $(PHASE) "virtual environment" $(PYTHON) -m venv $(VENV)
	@$(PHASE) "torch (its CPU build, where that can be had)" scripts/install-torch $(BIN)/pip
	@$(PHASE) "other libraries (requirements.txt)" $(BIN)/pip install --quiet -r requirements.txt
	@$(PHASE) "understudy itself" $(BIN)/pip install --quiet --no-deps --editable .
	@$(PHASE) "kernels, compiled once" $(BIN)/python -m usecases.precompile
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt requirements/ray.txt
	@$(PHASE) "tools of development (requirements/dev.txt)" $(BIN)/pip install --quiet -r requirements/dev.txt
	@touch $@

install: $(VENV)/.dev ## set up for work on it: libraries, tools, the hook of commits
	$(BIN)/pre-commit install

demo: $(VENV)/.run ## watch the life of a model in ten minutes; leaves nothing behind
	$(BIN)/understudy demo

run: $(VENV)/.run ## set up and run both services (http://127.0.0.1:8000) and the console (:8001)
	$(BIN)/understudy run

test: $(VENV)/.dev ## set up and run the default tests; FOLDER=tests/api for some
	$(BIN)/pytest -n $(PYTEST_WORKERS) -m "not compose and not slow and not mlflow and not cluster" $(FOLDER)

# where nothing is known to have failed it fails: the tests may not have run at all
test-again: $(VENV)/.dev ## only what failed last time, one after another
	$(BIN)/pytest --last-failed --last-failed-no-failures none -m "not compose and not slow and not mlflow and not cluster"

test-long: $(VENV)/.dev ## the tests that take long: processes killed again and again, real alerts
	$(BIN)/pytest -n $(LONG_WORKERS) --dist loadfile -m "slow"

test-long-again: $(VENV)/.dev ## only those of them that failed last time
	$(BIN)/pytest --last-failed --last-failed-no-failures none -m "slow"

test-fuzz: $(VENV)/.dev ## 10,000 generated requests against a live API
	$(BIN)/pytest -m slow tests/api/attacks/test_fuzz.py

$(MLFLOW)/.server: requirements/mlflow-server.txt
	test -x $(MLFLOW)/bin/python || $(PYTHON) -m venv $(MLFLOW)
	$(MLFLOW)/bin/pip install --quiet -r $<
	@touch $@

test-tracking: $(VENV)/.dev $(MLFLOW)/.server ## start a real MLflow server and track runs in it
	MLFLOW_SERVER=$(CURDIR)/$(MLFLOW)/bin/mlflow $(BIN)/pytest -m mlflow tests/scheduler/tracking

test-compose: $(VENV)/.dev ## build the containers and take them through the loop
	$(BIN)/pytest -m compose tests/e2e -s

test-cluster: $(VENV)/.dev ## train on Ray: two nodes of this machine, and the containers of ray.yml; not in .ci/run
	$(BIN)/pytest -m cluster tests -s

check: $(VENV)/.dev ## lint, format, types, workflows, Kubernetes manifests, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/actionlint
	$(BIN)/python -m scripts.manifests
	scripts/audit-dependencies $(BIN)/pip-audit

sbom: $(VENV)/.dev ## what is installed, as an SBOM (CycloneDX) in $(SBOM)
	$(BIN)/cyclonedx-py environment $(VENV) --output-format JSON --output-file $(SBOM)

format: $(VENV)/.dev ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-elsewhere: $(VENV)/.dev ## the recipe on data of yours: DATA, MAPPING, TRAIN_BEFORE, TEST_FROM
	@$(BIN)/python -m benchmarks.elsewhere --data "$(DATA)" --mapping "$(MAPPING)" \
		--train-before "$(TRAIN_BEFORE)" --test-from "$(TEST_FROM)"

screenshots: $(VENV)/.dev ## docs/images/console/*.png of a console that runs here (CONSOLE_URL, default :8001; KEYS_DIR)
	$(BIN)/python -m scripts.screenshots --url "$(or $(CONSOLE_URL),http://127.0.0.1:8001)"

bench-%: $(VENV)/.dev ## run benchmarks/NAME.py; ends with one JSON line
	$(BIN)/python -m benchmarks.$*

clean: ## remove the environment and caches; keeps models and data
	rm -rf $(VENV) $(MLFLOW) .mypy_cache .ruff_cache .pytest_cache .hypothesis
