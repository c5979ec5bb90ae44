.PHONY: install check slow docs lock ledger

install:
	pip install -e '.[test]'

check:
	ruff check .
	ruff format --check .
	mypy
	pytest

slow:
	pytest -m slow

docs:
	pip install -e '.[docs]'
	mkdocs serve

lock:
	uv lock

ledger:
	python -m tfdat.report.ledger > docs/ledger.md
