# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types unit site evidence bench scale vendor clean

$(READY): pyproject.toml constraints/cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints/cpu.txt \
		--editable ".[dev,nnunet]"
	touch $(READY)

demo: $(READY)  ## the main job, end to end, on a cohort made on the spot
	$(BIN)/twintrack demo --out demo-output

test: lint types unit site  ## everything that must hold

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --cov --cov-fail-under=95

# The variable silences what the theme says of its successor. Pitfall: with --quiet mkdocs takes no warning for a fault.
site: $(READY)  ## the documentation as a site, for reading from disk: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

evidence: $(READY)  ## the tables of docs/evidence.md, from the real data at TWINTRACK_DATA
	$(BIN)/python experiments/lidc2d.py
	$(BIN)/python experiments/human_ceiling.py
	$(BIN)/python experiments/few_cases.py
	$(BIN)/python experiments/volume_distribution.py
	$(BIN)/python experiments/plausible_masks.py
	$(BIN)/python experiments/shift_guard.py
	$(BIN)/python experiments/federation.py
	$(BIN)/python experiments/triage.py

BENCH := .venv-bench
BENCH_READY := $(BENCH)/.ready

$(BENCH_READY): pyproject.toml benchmarks/requirements.txt constraints/cpu.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints/cpu.txt \
		--requirement benchmarks/requirements.txt --editable .
	touch $(BENCH_READY)

bench: $(BENCH_READY)  ## docs/evidence/speed.md: every claim of speed beside its peer; BENCH_OPTIONS=--large for 2e8 voxels
	$(BENCH)/bin/python -m benchmarks.speed $(BENCH_OPTIONS)

scale: $(BENCH_READY)  ## docs/evidence/scale.md: how time and memory grow, and a fit to a billion voxels
	$(BENCH)/bin/python -m benchmarks.scale

vendor:  ## the viewer's built NiiVue anew, at the version scripts/vendor_niivue.sh names; needs npm
	scripts/vendor_niivue.sh

clean:
	rm -rf $(VENV) $(BENCH) demo-output
