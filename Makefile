# `make run` and `make test` need Python 3.11 to 3.14 and make, and nothing else.

FITS := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python $(FITS) 2>/dev/null && echo $$python && break; done)
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
BUF := ../.venv/bin/buf
# the test workers share compiled files; each alone would compile all tests again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test check examples bench attack fuzz lint types contract generated generate stubs released tools audit lock format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run ## serve the sandbox, with a key and a connected sample account
	@$(PY) -m service demo

# what is selected by T or K needs what its tests need; what the machine lacks is named and skipped
test: .venv/dev ## run the quick tests; T=tests/path and K=expression run all that these select
	@GRPC_VERBOSITY=NONE $(PY) -m pytest -q -n 4 --dist worksteal $(if $(T)$(K),$(T) $(if $(K),-k '$(K)'),-m quick)

check: .venv/dev lint types contract generated tools ## everything that CI runs; no test is skipped
	$(PY) -m pytest -n 3 --dist worksteal --nothing-left-out

examples: .venv/dev ## build and run the programs of examples/ in each language; ONLY="go java"
	@GRPC_VERBOSITY=NONE $(PY) -m tests.examples $(ONLY)

bench: .venv/dev tools ## measure speed, size and growth beside their targets; eight minutes
	@$(PY) -m tests.bench

attack: .venv/dev tools ## make the attacks of SECURITY.md in full, and print its table; up to an hour
	@GRPC_VERBOSITY=NONE $(PY) -m tests.attack

lint: .venv/dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: .venv/dev
	.venv/bin/mypy

contract: .venv/dev
	cd protos && $(BUF) lint && $(BUF) format --diff --exit-code
	cd protos && $(BUF) breaking --against released.binpb

generated: .venv/dev
	@fresh=$$(mktemp -d) && PYTHON=$(PY) protos/generate "$$fresh/generated" \
	&& diff -r -x __pycache__ generated "$$fresh/generated"; same=$$?; rm -rf "$$fresh"; \
	[ $$same = 0 ] || { echo 'generated/ is stale; run: make generate' >&2; exit 1; }

generate: .venv/dev ## write generated/ from protos/
	PYTHON=$(PY) protos/generate

stubs: .venv/dev ## build the wheel of the Python stubs in dist/
	PYTHON=$(PY) protos/stubs/build

released: .venv/dev ## take the contract as it is now for what later ones must stay compatible with
	cd protos && $(BUF) build --exclude-source-info -o released.binpb

tools: | .venv/bin/python ## install the real servers and grpcurl for the tests, in a cache of the user's
	tests/pds/install
	tests/ghost/install
	tests/mastodon/install
	tests/wordpress/install
	tests/tools/install-grpcurl
	PYTHON=$(PY) tests/tools/install-protoc
	tests/webhook_libraries/install
	PYTHON=$(PY) tests/deploy/install

audit: build/audit/tools build/audit/service ## known vulnerabilities, licences, bill of materials of what runs
	@build/audit/tools/bin/python tests/tools/audit.py build/audit/service build/audit/bom.json

fuzz: build/fuzz ## look for bytes that break a promise, led by coverage; SECONDS=20 for each target
	@PYTHONPATH=generated build/fuzz/bin/python -m tests.fuzz $(or $(SECONDS),20) $(TARGETS)

build/audit/tools: requirements-audit.txt
build/audit/service: requirements.txt
build/fuzz: requirements-fuzz.txt
build/audit/tools build/audit/service build/fuzz: | .venv/bin/python
	@rm -rf $@ && $(PY) -m venv $@
	@echo 'installing $(<) for $@ …' >&2
	@$@/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<

lock: ## write requirements*.txt from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group build $(LOCK) -o requirements.txt
	uv pip compile pyproject.toml --extra otel --group dev $(LOCK) -c requirements.txt -o requirements-dev.txt
	uv pip compile --group audit $(LOCK) -c requirements.txt -c requirements-dev.txt -o requirements-audit.txt
	uv pip compile --group manifests $(LOCK) -c requirements-dev.txt -o tests/deploy/requirements.txt
	uv pip compile pyproject.toml --group fuzz $(LOCK) -c requirements-dev.txt -o requirements-fuzz.txt
LOCK = --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --quiet

format: .venv/dev ## format the code
	.venv/bin/ruff check --fix-only --quiet
	.venv/bin/ruff format
	cd protos && $(BUF) format --write

clean: ## remove what the other targets made; data/ stays
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/python:
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" $(FITS) || \
	{ echo 'Python 3.11 to 3.14 is needed, as python3 or PYTHON=…' >&2; exit 1; }
	@echo 'making .venv …' >&2
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; \
	echo 'this Python cannot make virtual environments; on Debian: apt install python3-venv' >&2; exit 1; }

# Two steps: pip takes no project of ours when it is to check hashes. The plain paths replace the
# import hook that setuptools installs: loading it doubled the time until a signal is handled. They
# begin at the file that they stand in, so that a checkout may be moved, and have any name.
.venv/run: requirements.txt pyproject.toml | .venv/bin/python
	@echo 'installing what the service needs …' >&2
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation --no-index -e .
	@for path in .venv/lib/python*/site-packages/__editable__.postcore_profiles-*.pth; do \
	printf '%s\n' ../../../.. ../../../../generated >"$$path"; done
	@touch $@

.venv/dev: requirements-dev.txt .venv/run
	@echo 'installing what the tests need …' >&2
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@
