# Everything runs in .venv, which is made on first use and brought up to date when pyproject.toml or the constraints
# change. `make test` and `make demo` need nothing but Python 3.11 or newer.

PYTHON ?=
DEMO ?=
PYTEST ?=
BIN := .venv/bin
# a process for every core; what a file of tests prepares is prepared once
PARALLEL := -q -n logical --dist loadfile
PIP := -m pip --disable-pip-version-check install -qq --progress-bar off

# What must work without torch.
CORE_TESTS := tests/test_package.py tests/test_predictions.py tests/metrics tests/calibration tests/reporting tests/data
CORE_SOURCES := $(addprefix src/calibrant/,errors.py storage.py arrays.py predictions metrics calibration measuring reporting data)

define FIND_PYTHON
set -e; \
for python in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		found=$$python; break; \
	fi; \
done; \
if [ -z "$${found:-}" ]; then \
	echo "Calibrant needs Python 3.11 or newer with its venv module (on Debian and Ubuntu: apt install python3.11-venv)." >&2; \
	echo "None was found. If it is installed elsewhere: make PYTHON=/path/to/python3.11" >&2; \
	exit 1; \
fi; \
echo "Making $@ with $$found and installing packages (some minutes, once)."
endef

# Some machines cannot have Chromium. There the browser tests are left out, and it is said; never when CI is set.
define RUN_TESTS
marks=; sh scripts/install_chromium.sh || { \
	if [ -n "$${CI:-}" ]; then exit 1; fi; \
	echo "There is no Chromium, so the tests that open the report in a browser are left out." >&2; \
	marks="not browser"; \
}; \
$(1)/python -m pytest $(PARALLEL) -m "$$marks" $(PYTEST)
endef

.PHONY: help demo test test-core test-oldest lint types docs benchmarks wheel constraints clean

help:
	@echo "make demo         tune, calibrate and report on the embedded data; options: make demo DEMO='--quick'"
	@echo "make test         run the tests; options: make test PYTEST='tests/metrics'"
	@echo "make test-core    run the tests of the core in an environment without torch"
	@echo "make test-oldest  run the tests with the oldest versions that are supported"
	@echo "make lint         ruff: rules and format"
	@echo "make types        mypy, strict, on src"
	@echo "make docs         build the documentation into build/site"
	@echo "make benchmarks   run the timings side by side"
	@echo "make wheel        build the wheel into dist"
	@echo "make constraints  write constraints.txt anew from the newest versions that fit pyproject.toml"
	@echo "make clean        remove the environments and everything that was built"

demo: .venv/installed
	@$(BIN)/calibrant demo $(DEMO)

test: .venv/installed
	@$(call RUN_TESTS,$(BIN))

test-core: .venv-core/installed
	@.venv-core/bin/python -m pytest $(PARALLEL) -m "not browser" $(CORE_TESTS) $(CORE_SOURCES)

test-oldest: .venv-oldest/installed
	@$(call RUN_TESTS,.venv-oldest/bin)

lint: .venv/installed-dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: .venv/installed-dev
	@$(BIN)/mypy

docs: .venv/installed-dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir build/site
	@echo "build/site/index.html"

benchmarks: .venv/installed
	@for script in benchmarks/[!_]*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

wheel: .venv/installed
	@$(BIN)/python -m hatchling build --target wheel --directory dist

constraints:
	@rm -rf .venv-fresh
	@$(FIND_PYTHON); "$$found" -m venv .venv-fresh
	@.venv-fresh/bin/python $(PIP) '.[clip,test,dev,assets]'
	@(echo "# The exact versions that were tested; written by \`make constraints\` (Linux, Python 3.11)."; \
		.venv-fresh/bin/python -m pip freeze --exclude calibrant) > constraints.txt
	@rm -rf .venv-fresh

clean:
	rm -rf .venv .venv-core .venv-oldest .venv-fresh build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/installed: pyproject.toml constraints.txt
	@$(FIND_PYTHON); [ -x $(BIN)/python ] || "$$found" -m venv --clear .venv
	@$(BIN)/python $(PIP) -c constraints.txt -e '.[clip,test]'
	@touch $@

.venv/installed-dev: .venv/installed
	@$(BIN)/python $(PIP) -c constraints.txt -e '.[clip,test,dev]'
	@touch $@

.venv-core/installed: pyproject.toml constraints.txt
	@$(FIND_PYTHON); [ -x .venv-core/bin/python ] || "$$found" -m venv --clear .venv-core
	@.venv-core/bin/python $(PIP) -c constraints.txt -e '.[parquet]' pytest pytest-xdist hypothesis hatchling
	@touch $@

.venv-oldest/installed: pyproject.toml constraints-oldest.txt
	@$(FIND_PYTHON); [ -x .venv-oldest/bin/python ] || "$$found" -m venv --clear .venv-oldest
	@.venv-oldest/bin/python $(PIP) -c constraints-oldest.txt -e '.[clip,test]'
	@touch $@
