# make demo, make test, make docs: everything from a fresh clone on. make clean removes the virtual environment.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet

# Which Torch: cpu where this machine has no NVIDIA driver, cuda where it has, or as said: make demo TORCH=cuda.
# On Linux PyPI's Torch comes with CUDA; the one for CPUs alone is in an index of PyTorch's own (pytorch.org/get-started).
TORCH     ?= $(if $(wildcard /proc/driver/nvidia/version)$(shell command -v nvidia-smi),cuda,cpu)
CPU_INDEX := https://download.pytorch.org/whl/cpu

# MMSA on a small cooperative task: some two minutes on two CPU cores, and the return rises to 1.
DEMO_ARGS    := --config=mmsa --env-config=lbf with env_args.key=Foraging-5x5-2p-1f-v3 \
                env_args.valid_actions_only=True env_args.episode_limit=25 t_max=30000 epsilon_anneal_time=20000 \
                target_update_interval=50 test_interval=5000 log_interval=5000 threads=2 seed=1
DEMO_RESULTS := results/demo-$(shell date +%Y%m%d-%H%M%S)

# Tests at once: one more than two cores have, since some wait for processes that start or stop.
PROCESSES    := 3

.PHONY: demo test docs clean bad-torch

demo: $(VENV)/.requirements
	$(BIN)/python src/main.py $(DEMO_ARGS) local_results_path=$(DEMO_RESULTS)
	@printf 'learning curve: '
	@$(BIN)/python src/plot.py $(DEMO_RESULTS) --out $(DEMO_RESULTS)/curve.png

test: $(VENV)/.requirements-dev
	$(BIN)/ruff check
	PYTHONPATH=src $(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --durations=20

docs: $(VENV)/.requirements-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo site/index.html

clean:
	rm -rf $(VENV)

$(VENV)/.requirements: requirements.txt $(VENV)/.torch-$(TORCH)
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.requirements-dev: $(wildcard requirements-*.txt) $(VENV)/.requirements
	$(PIP) -r requirements-dev.txt
	$(PIP) --no-deps -r requirements-flatland.txt
	@touch $@

# Where the index cannot be reached, PyPI's Torch does as well, and takes more room.
$(VENV)/.torch-cpu: requirements.txt $(VENV)/.created
	@$(PIP) --no-deps --retries 1 --timeout 15 --index-url $(CPU_INDEX) "$$(grep -o '^torch==[^ ]*' requirements.txt)" 2>/dev/null || \
	    echo "$(CPU_INDEX) gives no Torch here, so PyPI's is taken: on Linux it brings CUDA along, 2.7 GB to load"
	@rm -f $(VENV)/.torch-*
	@touch $@

$(VENV)/.torch-cuda: requirements.txt $(VENV)/.created
	@rm -f $(VENV)/.torch-*
	@$(BIN)/python -m pip uninstall --quiet --yes torch 2>/dev/null
	@touch $@

$(VENV)/.torch-$(TORCH): $(if $(filter cpu cuda,$(TORCH)),,bad-torch)

bad-torch:
	@echo 'error: TORCH=$(TORCH): it is cpu, or cuda' >&2; exit 1

$(VENV)/.created:
	@command -v $(PYTHON) >/dev/null || { echo 'error: no $(PYTHON) here; install Python 3.11 or later, or name one: make PYTHON=/path/to/python' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $$($(PYTHON) --version 2>&1) is too old; Python 3.11 or later is needed: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'error: $(PYTHON) cannot make virtual environments; install its venv module (Debian, Ubuntu: apt install python3-venv)' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@
