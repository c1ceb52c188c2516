# Every target creates the environment first if it is not there: `make train EXP=dcgan` is all the set-up there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXP ?= dcgan
RUN ?= $(EXP)
RUNS ?= $(RUN)
IMAGES ?= test
WORKERS ?= 1
COUNT ?=
TO ?= b
SEEDS ?= 0
ARGS ?=

.PHONY: help setup train smoke eval rank sample complete score translate puzzle features demo export sweep report ledger reproduce list doctor launch dashboard theory browser test lint bench bench-metrics faults resume-check clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(VENV)/.installed ## Create .venv and install genlit with its pinned dependencies.

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "genlit needs Python 3.11 or newer: make PYTHON=python3.11")'
	@echo "Installing genlit and its dependencies in $(VENV): 6 GB, a minute or two."
	$(PYTHON) -m venv $(VENV)
	@# compat: a plain path entry, so that `import genlit` also works from the folder that holds the clone
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -C editable_mode=compat -e '.[dev]'
	@touch $@

train: setup ## Train an experiment: make train EXP=cyclegan ARGS="--model.lr=1e-4 --trainer.max_steps=20".
	$(BIN)/python -m genlit train "$(EXP)" $(ARGS)

smoke: setup ## Run two iterations of everything of EXP.
	$(BIN)/python -m genlit train "$(EXP)" --smoke $(ARGS)

eval: setup ## Measure EXP's newest run (or RUN=folder) on held-out images.
	$(BIN)/python -m genlit eval "$(RUN)" $(ARGS)

rank: setup ## Rank several runs by likelihood: make rank RUNS="vae pixelcnn".
	$(BIN)/python -m genlit eval $(RUNS) $(ARGS)

sample: setup ## Write pictures of EXP's newest run (or RUN=folder).
	$(BIN)/python -m genlit sample "$(RUN)" $(ARGS)

complete: setup ## Draw the hidden half of images: make complete EXP=pixelcnn ARGS="--images photos --mask left".
	$(BIN)/python -m genlit complete "$(RUN)" $(ARGS)

score: setup ## Score images and flag outliers: make score EXP=pixelcnn IMAGES=photos ARGS="--against test".
	$(BIN)/python -m genlit score "$(RUN)" --images "$(IMAGES)" $(ARGS)

translate: setup ## Translate your own images: make translate EXP=cyclegan IMAGES=photos TO=b.
	@[ -e "$(IMAGES)" ] || { echo "Name a folder of pictures: make translate EXP=$(EXP) IMAGES=photos TO=$(TO)"; exit 2; }
	$(BIN)/python -m genlit translate "$(RUN)" --images "$(IMAGES)" --to "$(TO)" $(ARGS)

puzzle: setup ## Make images of patches of images: make puzzle EXP=puzzlegan IMAGES=test.
	$(BIN)/python -m genlit puzzle "$(RUN)" --images "$(IMAGES)" $(ARGS)

features: setup ## Write codes of held-out images as .npz, and probe them.
	$(BIN)/python -m genlit features "$(RUN)" $(ARGS)

demo: setup ## Play with EXP's newest run on a page of this machine: make demo EXP=infogan.
	$(BIN)/python -m genlit demo "$(RUN)" $(ARGS)

report: setup ## Write the page of EXP's newest run, or of several: make report RUNS="dcgan wgan-gp".
	$(BIN)/python -m genlit report $(RUNS) $(ARGS)

export: setup ## Write EXP's newest run as a folder for others: make export ARGS="--format torch --format onnx".
	$(BIN)/python -m genlit export "$(RUN)" $(ARGS)

ledger: setup ## Build the table of experiments/README.md; make ledger RUNS=folder adds a measured run first.
	$(BIN)/python -m genlit ledger $(if $(filter command,$(firstword $(origin RUNS))),$(RUNS)) $(ARGS)

reproduce: setup ## Train EXP and check its claim: make reproduce EXP=dcgan SEEDS="0 1 2".
	$(BIN)/python -m genlit reproduce "$(EXP)" $(foreach seed,$(SEEDS),--seed $(seed)) $(ARGS)

list: setup ## List experiments, overlays and runs.
	$(BIN)/python -m genlit list $(ARGS)

doctor: setup ## Check packages, devices, data, folders and dashboard.
	$(BIN)/python -m genlit doctor

sweep: setup ## Search the best parameters of EXP: make sweep EXP=dcgan WORKERS=2 COUNT=20 ARGS="--local".
	$(BIN)/python -m genlit sweep "$(EXP)" --workers $(WORKERS) $(if $(COUNT),--count $(COUNT)) $(ARGS)

launch: setup ## Submit EXP to a SLURM cluster: make launch EXP=dcgan-cifar10 ARGS="--nodes 4 --gpus 8 --print".
	$(BIN)/python -m genlit launch "$(EXP)" $(ARGS)

dashboard: setup ## Give a project at Weights & Biases its panels: make dashboard ARGS="--project genlit".
	$(BIN)/python -m genlit dashboard $(ARGS)

theory: setup ## Draw the theory of GANs, with every number beside its exact value.
	OMP_NUM_THREADS=1 $(BIN)/python -m experiments.theory $(ARGS)

browser: ## Install Chromium, which the tests of reports need, where there is none: by apt-get, as root.
	@for name in chromium chromium-browser google-chrome; do command -v $$name && exit; done; \
	[ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null || \
	{ echo "The tests of reports need a browser: install Chromium (Debian: apt-get install chromium) or Chrome."; exit 1; }

test: setup browser ## Run the tests.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

lint: setup ## Check style with ruff.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: setup ## Time training and reading against plain loops; writes experiments/runs/bench.json.
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench $(ARGS)

bench-metrics: setup ## Time the metrics beside torchmetrics and torch-fidelity; adds to experiments/runs/bench.json.
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench metrics $(ARGS)

faults: setup ## Make every fault happen that this machine can show; writes docs/promises.md.
	OMP_NUM_THREADS=1 $(BIN)/python -m genlit faults $(if $(ARGS),$(ARGS),all)

resume-check: setup ## Kill and resume EXP, and compare it with an uninterrupted run bit by bit.
	OMP_NUM_THREADS=1 $(BIN)/python -m genlit faults resume --experiment $(EXP)

clean: ## Remove .venv and caches; runs and data stay.
	rm -rf $(VENV) *.egg-info .pytest_cache .ruff_cache
