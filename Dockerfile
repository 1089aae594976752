# PostgreSQL's official image with distilsst, by the same packages as anywhere:
#
#   docker build -t distilsst .
#   docker run -d --name sst -e POSTGRES_PASSWORD=secret distilsst
#   docker exec -it sst psql -U postgres -c 'CREATE EXTENSION distilsst' -c "SELECT sst2_label('It works!')"

ARG POSTGRES=18
FROM postgres:${POSTGRES} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /source
COPY . .
# hadolint ignore=DL3008 # what the image's own Debian has
RUN apt-get update && \
    apt-get install -y --no-install-recommends make && \
    make deb PG_CONFIG="/usr/lib/postgresql/$PG_MAJOR/bin/pg_config"

FROM postgres:${POSTGRES}
RUN --mount=type=bind,from=build,source=/source/host/deb,target=/deb \
    apt-get update && \
    apt-get install -y --no-install-recommends /deb/distilsst-model-*.deb /deb/postgresql-*-distilsst_*.deb && \
    rm -rf /var/lib/apt/lists/*
