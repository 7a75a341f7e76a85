# make demo    install, then run the node over DDS on a bag; artefacts in demo_out/
# make test    install, then every test that is neither slow nor for a GPU
.PHONY: install demo test test-slow lint format clean

BIN := .venv/bin
PYTEST_FLAGS ?=
DEMO_FLAGS := $(if $(DATAROOT),--dataroot $(DATAROOT)) $(if $(VERSION),--version $(VERSION)) \
	$(if $(SCENE),--scene $(SCENE)) $(if $(CHECKPOINT),--checkpoint $(CHECKPOINT)) \
	$(if $(SEED),--seed $(SEED)) $(if $(FRAMES),--frames $(FRAMES))

install:
	@packaging/install.sh

demo: install
	@$(BIN)/gfocc_demo --out demo_out $(DEMO_FLAGS)

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile \
	    -m "not slow and not gpu" $(PYTEST_FLAGS)

test-slow: install
	$(BIN)/python -m pytest -m "slow and not gpu" $(PYTEST_FLAGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv demo_out build install log *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
