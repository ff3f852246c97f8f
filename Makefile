# What .ci/run calls, for a person. Each target needs the environment that its comment names.
.PHONY: test lint slurm tracking slow browser airflow bench

test:  ## pip install -e '.[test]'; about 4 minutes
	pytest

lint:  ## pip install -e '.[dev]'
	pre-commit run --all-files

slurm:  ## apt-get install slurm-wlm slurmdbd mariadb-server; its files are few and its tests mostly wait
	pytest -m slurm --dist load tests/slurm

tracking:  ## pip install -e '.[tracking]'
	pytest tests/tracking

slow:  ## pip install -e '.[notebook,tracking]'
	pytest -m "slow and not slurm"

browser:  ## apt-get install chromium chromium-driver; pip install -e '.[browser,tracking]'
	pytest -m browser tests/browser

airflow:  ## AIRFLOW_PYTHON=python of an environment with ops/requirements-airflow.txt
	pytest -m airflow tests/airflow

bench:  ## pip install -e '.[bench]', a quiet machine
	python -m tests.benchmarks.solvers --quick
	python -m tests.benchmarks.extraction
