# Every target does its own set-up from a fresh clone. `make help` lists them.
#
#   PYTHON=…            the interpreter that .venv is made from (3.11 or newer; default: found)
#   PYTEST_ADDOPTS=…    further options for pytest, e.g. PYTEST_ADDOPTS="-k watch"
#   LAB_OPTIONS=…       for `make lab`, e.g. "--cpu vhe" or "-k watchpoint"
#   BENCH_OPTIONS=…     for `make bench`, e.g. --keep (docs/performance.md)
#   DOCS_OPTIONS=…      for `make docs`: --linkcheck follows the external links too (needs a network)
#   SOAK_OPTIONS=…      for `make soak`, e.g. "--part files --count 10000"
#   PYTHONS="3.13 3.14"  for `make test-pythons`; "--all 3.14" runs all tests (docs/testing.md)
#   FUZZ_SECONDS=…      how long `make fuzz` goes on; FUZZ_OPTIONS=… e.g. "--kind cpu --seed 5"

VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEV    := $(VENV)/.dev
DOCS   := $(VENV)/.docs
CPU    := $(wildcard $(foreach kind,pyx pxd h,src/guestdbg/cpu/*.$(kind) src/guestdbg/cpu/instructions/*.$(kind)))

PYTHONS := 3.11 3.12 3.13 3.14

.DEFAULT_GOAL := help
.PHONY: demo test test-pythons quick bench lab lab-matrix fuzz soak lint docs format venv dev clean help

demo: $(READY)              ## hunt a bug in a bare-metal guest with a hardware watchpoint
	@$(BIN)/python examples/demo.py

test: $(DEV)                ## everything that is checked: style, types, imports, tests
	@tools/test

test-pythons: $(DEV)        ## the tests that depend on Python, on each version of it in PYTHONS
	@tools/test-python $(PYTHONS)

quick: $(DEV)              ## the tests to run after every change, in less than a minute
	@tools/quick

bench: $(DEV)               ## measure, beside QEMU, GDB and Unicorn where installed: build/bench.json
	@$(BIN)/python -m bench $(BENCH_OPTIONS)

lab: $(READY)               ## judge the lab's real KVM and ours by one suite and random programs
	@$(BIN)/python tools/lab.py $(LAB_OPTIONS)

lab-matrix: $(READY)        ## judge the KVMs of several kernels by the suite: nVHE, VHE, protected
	@$(BIN)/python tools/lab_matrix.py $(LAB_OPTIONS)

fuzz: $(DEV)                ## hostile guests under sanitizers, until interrupted (or FUZZ_SECONDS=...)
	@$(BIN)/python tools/fuzz.py $(if $(FUZZ_SECONDS),--seconds $(FUZZ_SECONDS)) $(FUZZ_OPTIONS)

soak: $(DEV)                ## the long campaigns: hundreds of thousands of cases, for hours
	@$(BIN)/python tools/soak.py $(SOAK_OPTIONS)

lint: $(DEV)                ## style, types and the direction of imports only
	@tools/lint

docs: $(READY) $(DOCS)      ## the documentation site: build/docs/index.html
	@tools/docs $(DOCS_OPTIONS)

format: $(DEV)              ## let ruff put the sources in order
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

venv: $(READY)              ## .venv with guestdbg installed from this tree
dev: $(DEV)                 ## the same with what tests and benchmarks need

# Made again when what is compiled, or what describes the build, changes.
$(READY): pyproject.toml setup.py tools/setup-venv tools/setup-drgn tools/find-python $(CPU)
	@tools/setup-venv $(VENV)

$(DEV): $(READY) $(DOCS) tools/setup-dev
	@tools/setup-dev $(VENV)

$(DOCS): $(READY) tools/setup-docs
	@tools/setup-docs $(VENV)

clean:                      ## remove everything that was built, .venv and .cache with it
	rm -rf $(VENV) build dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf src/*.egg-info
	find src -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:                       ## this list
	@echo "make targets:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' Makefile | while IFS='|' read -r name what; do \
	  printf '  %-13s %s\n' "$$name" "$$what"; done
