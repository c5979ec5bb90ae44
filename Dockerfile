# tfdat with its locked dependencies, as a user without root:
#   docker build -t tfdat .
#   docker run --rm -v "$PWD/runs:/work/runs" tfdat                    a first run, on small synthetic data
#   docker run --rm tfdat pytest /opt/tfdat/tests                      the tests
#   docker run --rm -v "$PWD:/work" tfdat python -m tfdat.train --data interactions.csv --preset tuned
FROM python:3.11-slim

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir 'uv>=0.5,<1'

WORKDIR /opt/tfdat
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY tfdat tfdat
COPY datasets datasets
COPY tests tests
COPY docs docs
COPY notebooks notebooks
COPY benchmarks benchmarks
COPY CONTRIBUTING.md CHANGELOG.md CITATION.cff codemeta.json ./
ENV UV_PROJECT_ENVIRONMENT=/opt/venv PATH=/opt/venv/bin:$PATH TF_CPP_MIN_LOG_LEVEL=3
RUN uv sync --locked --no-cache --no-editable --extra test --extra baselines

RUN useradd --create-home --uid 1000 tfdat && mkdir /work && chown tfdat /work /opt/tfdat
USER 1000
ENV TFDS_DATA_DIR=/home/tfdat/tensorflow_datasets
WORKDIR /work
CMD ["python", "-m", "tfdat.train"]
