# Everything a fresh machine needs: Python 3.11 or newer with venv, and a package registry.
#   make demo    install into .venv, lift the sample clip, say where the results are
#   make test    install into .venv, then lint, types and tests
# A torch build of your choice: make demo TORCH="torch==2.13.0 --index-url URL" (README, Install).

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PINS := -c requirements/tested.txt

.PHONY: demo test lint format clean

demo: $(VENV)/installed
	$(BIN)/python -m vid3d lift samples/two_people.mp4 -o vid3d-out
	@echo
	@echo "Results are in vid3d-out: open vid3d-out/two_people.overlay.mp4 to see them, and try"
	@echo "    $(BIN)/vid3d lift YOUR-VIDEO.mp4"

test: $(VENV)/installed-dev lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch first and pinned: what comes later must not pull another build. The OpenMMLab packages ask
# for packages that do not build or clash today (docs/install.md), hence --no-deps.
$(VENV)/installed: pyproject.toml requirements/tested.txt requirements/openmmlab.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): about 1.5 GB, a few minutes ..."
	$(PIP) install $(TORCH)
	$(PIP) install $(PINS) -e ".[openmmlab]"
	$(PIP) install --no-deps --only-binary :all: -r requirements/openmmlab.txt
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install $(PINS) -e ".[openmmlab,dev]"
	@touch $@

clean:
	rm -rf $(VENV) vid3d-out
