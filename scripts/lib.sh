# Shared by the scripts: where things are, and installing what is missing. Sourced, not run.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PHP=${PHP:-php}
# What is tested is built with thin LTO; the minutes of fat LTO are for a release.
FERRY_SO=${FERRY_SO:-$PWD/target/ci/libferry.so}
export FERRY_SO

say() { printf '\n== %s\n' "$*"; }

# need COMMAND-OR-FILE PACKAGE...: installs the packages when the command (or file, or pattern) is not there.
need() {
    local probe=$1
    shift
    if command -v "$probe" >/dev/null 2>&1 || compgen -G "$probe" >/dev/null; then return; fi
    if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
        echo "missing: $probe. Install (names as on Debian): $*" >&2
        exit 1
    fi
    if [ -z "${APT_UPDATED:-}" ]; then
        apt-get update -qq
        APT_UPDATED=1
    fi
    echo "installing $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# What the build needs: a C linker, clang's library for the PHP headers, PHP itself, and the system's SQLite.
need_build() {
    need cc gcc libc6-dev
    need pkg-config pkg-config
    need '/usr/lib/llvm-*/lib/libclang.so*' libclang-dev
    need "$PHP" php-cli
    need php-config php-dev
    need /usr/include/sqlite3.h libsqlite3-dev
    need cargo cargo
    # Whole paths, as the binding crate wants them. They are those that config.m4 hands to cargo, so that one build serves both.
    PHP_CONFIG=$(command -v "${PHP_CONFIG:-php-config}")
    if [ "$PHP" = php ]; then PHP=$("$PHP_CONFIG" --php-binary); else PHP=$(command -v "$PHP"); fi
    export PHP PHP_CONFIG
}

build() {
    need_build
    say "building the extension"
    cargo build --profile ci -p ferry
}

# end PID: ends a process and waits until it is gone, so that it writes no file any more.
end() {
    kill "$1" 2>/dev/null || return 0
    while kill -0 "$1" 2>/dev/null; do sleep 0.02; done
}

# php with the extension, and without the ini files of the machine (which may load another copy).
ferry_php() { "$PHP" -d "extension=$FERRY_SO" "$@"; }
