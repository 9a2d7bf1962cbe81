# The only entry. Needs Python 3.11+, make and git; brings the rest into .venv itself.
PYTHON ?= python3
BIN := .venv/bin
PARTS := contracts libs/runtime libs/proxmox libs/lab libs/client services/gateway services/inventory services/provisioner services/monitor services/catalog cli standalone
DATA ?= $(HOME)/.local/share/slipway
PORT ?= 7880
comma := ,
FAST := tests/unit tests/contract
# The demo has a folder of its own: only one that somebody named is another.
OWN_DATA = $(if $(filter-out file,$(origin DATA)),$(if $(DATA),--data "$(DATA)"))

.PHONY: help setup hooks demo demo-clean up test chaos check lint types format bench soak bench-baseline docs secrets lock contracts bundle

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ -/'

# Compiled beforehand: it halves the time of every start, and a service's user may not write here.
.venv/.ready: requirements.lock pyproject.toml $(PARTS:%=%/pyproject.toml)
	@echo "Setting up .venv; the first time it takes about a minute."
	@echo "[1/4] a virtual environment of $(PYTHON)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || rm -rf .venv
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) can't make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "[2/4] uv, which installs the rest"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@echo "[3/4] $$(grep -c == requirements.lock) packages of requirements.lock, and the $(words $(PARTS)) parts of Slipway"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps $(PARTS:%=-e ./%)
	@echo "[4/4] compiling them, which halves the time of every start"
	@-$(BIN)/python -m compileall -q -j 0 .venv/lib $(PARTS:%=%/src)
	@touch $@
	@echo "Done: .venv/bin/slipway"

setup: .venv/.ready ## make the virtual environment with everything in it

hooks: .venv/.ready ## let git format and lint at each commit, and check before each push
	$(BIN)/pre-commit install

demo: .venv/.ready ## create a container on the lab before your eyes (ONCE=1 stops by itself, LAB=simulated keeps LXC out, DATA=folder PORT=7880)
	$(BIN)/slipway demo $(OWN_DATA) $(if $(ONCE),--once)

demo-clean: .venv/.ready ## undo what the demo installed and changed (DATA=folder, as for the demo)
	$(BIN)/slipway demo-clean $(OWN_DATA)

up: .venv/.ready ## run Slipway on this machine (DATA=folder PORT=7880, VERBOSE=1 prints all logs)
	$(BIN)/slipway up --data "$(DATA)" --port "$(PORT)" $(if $(VERBOSE),--verbose)

test: .venv/.ready ## every test that this machine can run (WORKERS=4 at once)
	@# Built once, a minute or two: no single test has the time for it.
	$(BIN)/python -m slipway.lab.guests.lxc template
	$(BIN)/pytest -n $(or $(WORKERS),4) --dist loadgroup

chaos: .venv/.ready ## break everything while jobs run, and compare (SEED=1 JOBS=100)
	PYTHONPATH=tests $(BIN)/python -m chaos --seed $(or $(SEED),1) --jobs $(or $(JOBS),100)

lint: .venv/.ready ## what is wrong with style and form; seconds
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.ready ## types and imports
	$(BIN)/mypy $(PARTS:%=%/src) tests bench
	$(BIN)/lint-imports --no-cache

check: lint types ## lint, types, imports, fast tests
	$(BIN)/pytest -q -m "not slow and not lxc and not browser" $(FAST)

format: .venv/.ready ## bring every file into form
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: .venv/.ready ## measure, and compare within one run (LINES=reads,start: only those)
	$(BIN)/python -m bench $(subst $(comma), ,$(LINES)); status=$$?; \
	$(BIN)/python docs/reference/performance.py bench/results.json docs && exit $$status

soak: .venv/.ready ## a month in a small container, as root, with Debian's lxc (DAYS=30 DAY_SECONDS=20)
	$(MAKE) bench LINES=soak

bench-baseline: .venv/.ready ## make the build that `make bench` then compares with, out of git's history
	$(BIN)/python -m bench.builds

docs: .venv/.ready ## build the documentation site
	$(BIN)/python docs/reference/generate.py
	$(BIN)/mkdocs build --strict

secrets: .venv/.ready ## make the secrets of compose.yaml
	$(BIN)/python infra/docker/make_secrets.py infra/secrets

lock: .venv/.ready ## resolve the dependencies anew into requirements.lock
	$(BIN)/uv lock --quiet --upgrade && $(BIN)/uv export --quiet --all-packages --all-groups --no-emit-workspace --no-annotate --no-header --format requirements-txt --output-file requirements.lock

bundle: .venv/.ready ## an archive that installs Slipway without a network, for this Python and processor, in dist/ (SIGN_KEY=file signs it)
	$(BIN)/python infra/bundle/make_bundle.py dist $(if $(SIGN_KEY),--sign "$(SIGN_KEY)")

contracts: .venv/.ready ## write JSON Schemas and AsyncAPI anew from the messages
	$(BIN)/python tests/contract/messages/generate.py
