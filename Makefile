# Set-up and main jobs. Needs Python >= 3.11 and make; everything is installed into .venv.

# The first Python that is new enough; `make PYTHON=/path/to/python test` to choose another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test lint docs pretrained clean help

help:
	@echo "make demo   simulate a small exposure, find its events, compare with the truth"
	@echo "make test   run every test"
	@echo "make lint   check style and types"
	@echo "make docs   write the pages of settings and configs/detector.yaml from the code"
	@echo "make pretrained  simulate, train and ship the network again (hours)"
	@echo "make clean  remove .venv and what the demo wrote"

demo: $(VENV)/installed
	$(BIN)/ohana-predict --demo --output demo_output

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/installed-test
	$(BIN)/python docs/make_configuration.py

# What ships was made by this. It goes on where it stopped.
pretrained: $(VENV)/installed-test
	for sets in configs/pretrained/reads_*.yaml; do \
		$(BIN)/ohana-create-training --config $$sets --start_index 0 --end_index 0 || exit 1; done
	$(BIN)/ohana-train --config configs/pretrained/train.yaml --resume
	$(BIN)/python benchmarks/ship_network.py pretrained_model/best_model_unet3d.pth

clean:
	rm -rf $(VENV) demo_output

# Stamps: an install is repeated only when the metadata or the pinned versions change.
$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 found: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/created pyproject.toml constraints.txt
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/created pyproject.toml constraints.txt
	$(PIP) --editable ".[test]"
	@touch $@ $(VENV)/installed

$(VENV)/installed-dev: $(VENV)/installed-test
	$(PIP) "pip>=25.1"  # the first that knows dependency groups
	$(PIP) --group dev
	@touch $@
