.PHONY: install check slow ledger

install:
	pip install -e '.[test]'

check:
	ruff check .
	ruff format --check .
	mypy
	pytest

slow:
	pytest -m slow

ledger:
	python -m tfdat.report.ledger > docs/ledger.md
