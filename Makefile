# make run · make test · make check · make install. Everything lands in .venv; nothing else of the machine is touched,
# but for a browser and Node.js that `make test` needs and does not find.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: install run test check format lock browser node screens bench bench-short bench-dashboard bench-dashboard-short chaos clean

install: .venv/run.stamp

run: install
	@$(BIN)/buslog up examples.freight:bus --also examples.freight.traffic

# Three at a time: more than half of a test's time is spent waiting, and two cores have the rest done. The longest tests
# come first by their folders' names.
test: .venv/dev.stamp browser node
	@$(BIN)/python -m pytest -n 3 --dist worksteal

check: .venv/dev.stamp
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/dev.stamp
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

browser: .venv/dev.stamp
	@$(BIN)/python tests/browser.py

node: .venv/dev.stamp
	@$(BIN)/python tests/clients/node.py

# The pictures of the dashboard that the docs show, taken anew. FOLDER=…: somewhere else.
screens: .venv/dev.stamp browser
	@$(BIN)/python -m tests.screens $(if $(FOLDER),--folder $(FOLDER))

# Side by side with the peers, which it installs under benchmarks/.envs. ONLY="emit_1 drain": some works.
bench: .venv/run.stamp
	@$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

bench-short: .venv/run.stamp
	@$(BIN)/python -m benchmarks --short $(if $(ONLY),--only $(ONLY))

# The dashboard on a log of 10 million messages. BENCH_LOG=folder keeps the log for a second run within a day.
bench-dashboard: .venv/dev.stamp browser
	@$(BIN)/python -m benchmarks dashboard $(if $(ONLY),--only $(ONLY))

bench-dashboard-short: .venv/dev.stamp browser
	@$(BIN)/python -m benchmarks dashboard --short $(if $(ONLY),--only $(ONLY))

# The faults of tests/chaos, and the model test with them, in their long form: half an hour. `make test` runs the short
# one. CHAOS_SEED=… repeats a run.
chaos: .venv/dev.stamp
	@CHAOS=long $(BIN)/python -m pytest tests/chaos tests/store/test_model.py --timeout 3600 -rP

# After a change of dependencies in pyproject.toml. The lock files hold versions and hashes, no addresses.
lock: .venv/dev.stamp
	@for extra in run dev; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	    --no-emit-index-url --extra demo $$( [ $$extra = dev ] && echo --extra dev ) \
	    pyproject.toml requirements/build.in --output-file requirements/$$extra.txt || exit 1; \
	done

clean:
	@rm -rf .venv build dist tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "buslog needs Python 3.11 or later; set PYTHON=/path/to/one" >&2; exit 2; }
	@echo "Making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv || { echo "The venv module is missing: on Debian, apt install python3-venv" >&2; exit 2; }

.venv/run.stamp: pyproject.toml requirements/run.txt | .venv/bin/python
	@echo "Installing buslog and what it needs (a minute, once)"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/run.stamp
	@echo "Installing what its tests need"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@
