# Everything a person runs. A fresh machine needs Python 3.11, make and pip.
#
#   PORT, DATA_DIR, WORKERS ...  settings of the service; .env.example lists them
#   TORCH_INDEX_URL              an index of PyTorch builds (CPU, or a CUDA version); empty: pip's own.
#                                Changing it later takes a `make clean` first.
#   PYTHON                       the interpreter of the environment, 3.11 or newer

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX_URL ?=
VENV := .venv
RUN := $(VENV)/bin/python
# Python compiles what is imported when it is; compiling everything would take longer than that.
PIP := $(RUN) -m pip install -qq --disable-pip-version-check --no-compile

# The stamps carry the checksum of the locks and of the client's metadata: same, nothing to install.
APP_STAMP := $(VENV)/.app-$(shell cat requirements/torch.txt requirements/no-deps.lock requirements/app.lock client/pyproject.toml | cksum | cut -d' ' -f1)
DEV_STAMP := $(VENV)/.dev-$(shell cat requirements/dev.lock | cksum | cut -d' ' -f1)

# Processes share compiled byte code: importing the engine takes 5 s with it, and 11 s without.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up test check types fast slow storm bench gpu containers eval train pictures page docs lock sbom env clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(APP_STAMP) ## start everything, draw one picture with the tiny model, save demo.png, stop
	@$(RUN) -m launcher demo

up: $(APP_STAMP) ## the service on port 5001 (PORT, DATA_DIR, WORKERS), until Ctrl-C
	@$(RUN) -m launcher up

# Files side by side: two processes more than there are cores, since much of the suite
# waits for servers; no more than six. TEST_PROCESSES=0: one after the other, in one process.
# nproc takes OMP_NUM_THREADS for the number of cores.
CORES := $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || getconf _NPROCESSORS_ONLN || echo 1)
TEST_PROCESSES ?= $(shell expr $(CORES) + 2 \& $(CORES) \< 5 \| 6)
PYTEST := $(RUN) -m pytest -n $(TEST_PROCESSES)

test: $(DEV_STAMP) ## the whole test suite
	$(PYTEST) -m "not slow"

check: $(DEV_STAMP) ## format, lint, types, import contracts, container files, fast tests
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/hadolint Dockerfile.api Dockerfile.worker
	@$(MAKE) --no-print-directory -j 2 types fast

# The two that take long go side by side.
types: $(DEV_STAMP)
	$(VENV)/bin/pyright --pythonpath $(RUN)

fast: $(DEV_STAMP)
	$(PYTEST) -m "not slow and not service and not heavy"

slow: $(DEV_STAMP) ## the tests that need minutes or gigabytes
	$(RUN) -m pytest -m slow

STORM = $(if $(N),--jobs $(N)) $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS)) \
	$(if $(EVERY),--every $(EVERY)) $(if $(PROCESSES),--workers $(PROCESSES)) $(if $(FROM),--update-from $(FROM))
storm: $(DEV_STAMP) ## jobs while everything breaks, and the count (N=300 SEED=1 FAULTS=40 EVERY=2 FROM=revision)
	@$(RUN) -m tests.faults.storm $(STORM)

bench: $(DEV_STAMP) ## the benchmarks beside their peers, as ratios (ROUNDS=5); appends to bench.json
	@$(RUN) -m benchmarks $(if $(ROUNDS),--rounds $(ROUNDS))

# Both run, whatever becomes of the first. REHEARSE=1 runs what it can on a CPU, to find errors.
gpu: $(DEV_STAMP) ## on a machine with an NVIDIA GPU: its tests, a service on it, its benchmarks (ROUNDS=3)
	@$(if $(REHEARSE),REHEARSE_GPU=1) $(RUN) -m pytest -m gpu tests/gpu tests/stable_diffusion; passed=$$?; \
	$(RUN) -m benchmarks gpu --rounds $(or $(ROUNDS),3) $(if $(REHEARSE),--rehearse) && exit $$passed

containers: $(DEV_STAMP) ## build the images; run, scale and break the CPU stack (needs Docker)
	@$(RUN) -m tests.containers

eval: $(APP_STAMP) ## judge the tiny models (SHARE=0.1: a tenth of the prompts)
	$(RUN) -m training.evaluate $(if $(SHARE),--share $(SHARE))

train: $(APP_STAMP) ## make the shipped models, from nothing (MINUTES=240); resumes where it stopped
	$(RUN) -m training.train $(if $(MINUTES),--minutes $(MINUTES))
	$(RUN) -m training.small_decoder
	$(RUN) -m training.upscaler

pictures: $(APP_STAMP) ## generate the images in readme_examples/ with the tiny model
	@$(RUN) -m docs.pictures

page: $(DEV_STAMP) ## take the screenshot of the web page (needs Chromium)
	@$(RUN) -m docs.page_picture

docs: $(APP_STAMP) ## write the tables of the pages, .env.example, docs/clients/ and the client's fields
	$(RUN) -m docs.generate

lock: $(DEV_STAMP) ## resolve requirements/*.in again and write the locks
	$(RUN) requirements/lock.py

sbom: $(DEV_STAMP) ## write sbom/, a bill of materials of each container image (CycloneDX)
	@$(RUN) requirements/sbom.py sbom

env: $(DEV_STAMP) ## the environment alone, in .venv

clean: ## delete the environment
	rm -rf $(VENV)

# Locks are complete and have hashes. PyTorch comes after the first one and from one index: with all
# that it needs installed, that index brings only PyTorch and its CUDA libraries.
$(APP_STAMP):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; $(PYTHON) is older: name one with PYTHON=..." >&2; exit 1; }
	@echo "Making the environment in $(VENV) (once)."
	@$(PYTHON) -m venv $(VENV)
	@echo "  the packages ..."
	@$(PIP) --no-deps --require-hashes -r requirements/app.lock
	@echo "  PyTorch ..."
	@$(PIP) $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) -r requirements/torch.txt
	@$(PIP) --no-deps --require-hashes -r requirements/no-deps.lock
	@$(PIP) --no-deps --no-build-isolation --editable ./client
	@rm -f $(VENV)/.app-* && touch $@

$(DEV_STAMP): $(APP_STAMP)
	@echo "  the tools for tests and checks ..."
	@$(PIP) --no-deps --require-hashes -r requirements/dev.lock
	@rm -f $(VENV)/.dev-* && touch $@
