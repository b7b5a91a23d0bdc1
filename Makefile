# make demo   a ranked, plotted DPO sweep on this machine     PORT=8050  RUNS=runs  SERVE=1
# make test   ruff, mypy, pytest, with a real browser         TESTS=tests
# make bench  the benchmarks of tests/bench
# Both set up .venv first. A stamp is written only after everything is installed, so a half-made .venv is never trusted.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 8050
RUNS ?= runs
SERVE ?= 1
TESTS ?= tests
PIP := .venv/bin/python -m pip --disable-pip-version-check
.DEFAULT_GOAL := demo
.PHONY: demo test bench clean

.venv/.installed: requirements.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "make: Python 3.11 or newer is needed; install it, or say make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@rm -f .venv/.installed .venv/.installed-test
	@$(PIP) --version >/dev/null 2>&1 || { rm -rf .venv; "$(PYTHON)" -m venv .venv; } \
	  || { rm -rf .venv; echo "make: $(PYTHON) cannot make a virtual environment; install its venv module" >&2; exit 1; }
	@echo "installing requirements.txt into .venv (torch alone is large; minutes, once)"
	@$(PIP) install -q -r requirements.txt \
	  || { echo "make: requirements.txt could not be installed (the reason is above); mend it and say make again" >&2; exit 1; }
	@touch $@

.venv/.installed-test: requirements-test.txt .venv/.installed
	@$(PIP) install -q -r requirements-test.txt \
	  || { echo "make: requirements-test.txt could not be installed (the reason is above)" >&2; exit 1; }
	@touch $@

demo: .venv/.installed
	@.venv/bin/python -m training.demo --runs "$(RUNS)"
	@test "$(SERVE)" = 0 || exec .venv/bin/python dashboard/app.py --runs "$(RUNS)" --port "$(PORT)"

test: .venv/.installed-test
	@.venv/bin/python tests/chromium.py
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check -q . || { echo "make: run .venv/bin/python -m ruff format ." >&2; exit 1; }
	@.venv/bin/python -m mypy
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --dist loadfile "$(TESTS)"

bench: .venv/.installed-test
	@for name in $(patsubst tests/bench/%.py,%,$(wildcard tests/bench/*.py)); do \
	  echo "== $$name"; .venv/bin/python -m tests.bench.$$name || exit 1; done

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
