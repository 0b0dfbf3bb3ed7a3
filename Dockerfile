# A worker image: PHP with the extension, built in one stage and copied into another that has neither compiler nor sources.
#
#   docker build -t ferry-php .                                    PHP 8.3, every driver
#   docker build --build-arg PHP=8.2 --build-arg DRIVERS=redis .   another PHP; only these drivers
#   docker run --rm ferry-php php --ri ferry
#   docker run --rm -e FERRY_URL=redis://redis:6379 -v "$PWD:/app:ro" ferry-php php worker.php
#
# Your own image starts `FROM ferry-php` and copies the application to /app. Give `docker stop` more time than the longest job may take
# (`--time`, `stop_grace_period` or `terminationGracePeriodSeconds`): on SIGTERM the worker finishes its job and exits with 0.

ARG PHP=8.3
ARG RUST=1.94
ARG DEBIAN=bookworm

FROM rust:${RUST}-${DEBIAN} AS rust

FROM php:${PHP}-cli-${DEBIAN} AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libclang-dev libsqlite3-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup PATH=/usr/local/cargo/bin:$PATH
WORKDIR /ferry
COPY . .
ARG DRIVERS=all
RUN phpize && ./configure --with-ferry-drivers="$DRIVERS" && make && make INSTALL_ROOT=/out install

FROM php:${PHP}-cli-${DEBIAN}
# pcntl is for the masters of `ferry work --processes`; one worker needs none.
RUN docker-php-ext-install pcntl
COPY --from=build /out/ /
RUN docker-php-ext-enable ferry && php --ri ferry
# Not root: a handler that is tricked cannot change the image.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin worker
USER 10001
WORKDIR /app
STOPSIGNAL SIGTERM
# In exec form: PHP is process 1 and gets the signals itself.
CMD ["php", "worker.php"]
