# unrolled from a bare clone: python >= 3.11 and make are enough, everything else is installed into $(VENV).
VENV        ?= .venv
TORCH_INDEX ?=
PYTHON      ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
                 $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: help demo test check docs clean
.NOTPARALLEL:

help:
	@echo "make demo     train, sample and look inside a small model (the first run installs)"
	@echo "make test     run the tests                make check    lint, types, imports, sizes"
	@echo "make docs     build the documentation site into build/site"
	@echo "make clean    remove $(VENV) and caches     VENV=DIR PYTHON=EXE   use others"
	@echo "TORCH_INDEX=URL   also look here for torch: PyTorch's CPU index spares the CUDA packages on Linux"

demo: $(VENV)/train.stamp
	@$(BIN)/unrolled demo

test: $(VENV)/test.stamp
	@VENV=$(VENV) scripts/test

check: $(VENV)/dev.stamp
	@VENV=$(VENV) scripts/check

docs: $(VENV)/docs.stamp
	@VENV=$(VENV) scripts/site

clean:
	rm -rf $(VENV) build src/unrolled/models/native/*.so .pytest_cache .ruff_cache .hypothesis .import_linter_cache src/*.egg-info
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per extra, so that the second run starts at once. Installing compiles the kernels, where there is a compiler.
$(VENV)/%.stamp: pyproject.toml constraints.txt setup.py $(wildcard csrc/*.cpp csrc/*.h) | $(BIN)/pip
	@echo "installing unrolled[$*] into $(VENV); the first time takes a few minutes" >&2
	@$(PIP) --editable '.[$*]'
	@touch $@

# pip is what `python -m venv` writes last: an interrupted creation is repeated.
$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "error: no python >= 3.11 found; install one or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "error: $(PYTHON) has no venv module; try: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
