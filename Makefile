# make demo | test | lint | docs | gallery | package | constraints | clean
# Everything runs in .venv, made once from pyproject.toml with the versions of constraints.txt.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Threads that wait do not spin; the tests run in two processes, with one thread each.
export OMP_WAIT_POLICY ?= PASSIVE
test: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs gallery package constraints clean

help:
	@sed -n '1p' Makefile | cut -c3-

demo: .venv/.run
	$(BIN)/blinddps demo --output demo_output

test: .venv/.test
	@$(install_display)
	$(BIN)/python -m pytest -q -n 2 $(PYTEST)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# What the examples print and draw is committed: together they restore for a quarter of an hour.
gallery: .venv/.docs
	$(BIN)/python docs/run_examples.py $(EXAMPLES)

# Wheel and sdist, and the wheel installed by itself. PYTHON=python3.13 tries another interpreter.
package: .venv/.dev
	PYTHON="$(PYTHON)" .ci/package

# The versions in .venv, one line each, without the package itself and without local labels (+cpu).
constraints: .venv/.dev .venv/.docs
	@( sed -n '/^#/p' constraints.txt; \
	   $(BIN)/python -m pip freeze --exclude-editable | sed -E 's/\+[a-z0-9.]+$$//' | grep -v ' @ ' | sort -f \
	 ) > constraints.new && mv constraints.new constraints.txt && touch .venv/.run .venv/.test .venv/.dev .venv/.docs

clean:
	rm -rf .venv .venv-package demo_output dist build docs/_build docs/gallery .mypy_cache .ruff_cache .pytest_cache .hypothesis

# --- the environment: a stamp for each set of extras, renewed when the versions change ---

.venv/.made:
	@test -n "$(PYTHON)" || { echo "python 3.11 or newer is needed and no python3 was found" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || $(install_venv)
	"$(PYTHON)" -m venv .venv
	@touch $@

# Debian keeps venv in a package of its own. Root on such a machine (a container, CI) gets it.
define install_venv
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  echo "python3-venv is missing: apt-get install python3-venv"; \
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; \
else \
  echo "$(PYTHON) has no venv: sudo apt-get install python3-venv (or PYTHON=/path/to/another)" >&2; exit 1; \
fi
endef

# napari's widgets are tested with real clicks on a display in memory: Xvfb, and the libraries that Qt loads.
# Where Xvfb is missing, pytest skips these tests and says so.
DISPLAY_PACKAGES := xvfb xauth libegl1 libgl1 libgl1-mesa-dri libglx-mesa0 libdbus-1-3 libfontconfig1 \
  libglib2.0-0 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-image0 libxcb-randr0 \
  libxcb-render-util0 libxcb-shape0 libxcb-sync1 libxcb-xfixes0 libxcb-xkb1
QT_PLATFORM := .venv/lib/python3*/site-packages/PyQt6/Qt6/plugins/platforms/libqxcb.so

define install_display
if [ "$$(uname)" = Linux ] && { ! command -v Xvfb >/dev/null || ldd $(QT_PLATFORM) | grep -q 'not found'; }; then \
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    echo "a display for the tests of the napari panel is missing: apt-get install xvfb and Qt's libraries"; \
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      $(DISPLAY_PACKAGES) >/dev/null || echo "it could not be installed; these tests are skipped" >&2; \
  else \
    echo "for the tests of the napari panel: sudo apt-get install --no-install-recommends $(DISPLAY_PACKAGES)" >&2; \
  fi; \
fi
endef

# torch goes first and pinned: a range could take a build with several GB of CUDA libraries.
.venv/.run: .venv/.made pyproject.toml constraints.txt
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) -e .
	@touch $@

.venv/.test: .venv/.run
	$(PIP) -e ".[test]"
	@touch $@

.venv/.dev: .venv/.test
	$(PIP) -e ".[dev]"
	@touch $@

.venv/.docs: .venv/.run
	$(PIP) -e ".[docs]"
	@touch $@
