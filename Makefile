# What can be done here. Everything installs what it needs, once, into .venv and node_modules.
.DEFAULT_GOAL := help
.PHONY: help demo install test soak setup check format docs lock clean

BIN := .venv/bin
ARGS ?=

help: ## Show these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: ## A shop, a mailbox and Joinline on this machine, without keys or accounts
	@sh scripts/install.sh run
	@$(BIN)/joinline demo $(ARGS)

install: ## What a server needs, into .venv; nothing else
	@sh scripts/install.sh run

test: setup ## Every test, several at a time; a part of them with ARGS="-k takeover"
	@sh scripts/test.sh $(ARGS)

soak: setup ## Break everything for SOAK_SECONDS (600) and judge what is left; ARGS="--seed 7 --seconds 60"
	@$(BIN)/python -m tests.harness $(ARGS)

setup: ## Install everything that tests and checks need
	@sh scripts/install.sh dev
	@sh scripts/system.sh
	@sh scripts/node.sh

check: setup ## Style, strict types of the Python, strict types of the JavaScript
	@echo "ruff check"; $(BIN)/ruff check .
	@echo "ruff format --check"; $(BIN)/ruff format --check .
	@echo "mypy"; $(BIN)/mypy
	@echo "tsc"; node_modules/.bin/tsc --noEmit -p tsconfig.json

format: ## Lay out the Python as `make check` wants it
	@sh scripts/install.sh dev
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: ## Write docs/reference and config.example.yaml anew from the code
	@sh scripts/install.sh dev
	@$(BIN)/python -m scripts.reference

lock: ## Pin the dependencies anew, with their hashes
	@sh scripts/install.sh dev
	@sh scripts/lock.sh $(ARGS)

clean: ## Remove what was installed and what demo and tests have written
	rm -rf .venv node_modules var .pytest_cache .mypy_cache .ruff_cache .hypothesis joinline.egg-info
