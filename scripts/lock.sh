#!/bin/sh
# Pins the whole tree of dependencies with the hashes of every published file: requirements.lock (run) and
# requirements-dev.lock (run, tests and gates). uv serves here only; it is neither pinned nor needed elsewhere.
# The configuration of this machine (extra indexes, local files) is shut out, so that only hashes of the files
# of the public index get into the locks, and no address of an index either.
set -eu
cd "$(dirname "$0")/.."

uv=.venv/bin/uv
[ -x "$uv" ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv

pin() {
    env -i HOME="$HOME" PATH="$PATH" SSL_CERT_FILE="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" \
        "$uv" pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "$@"
}

pin --output-file requirements.lock requirements.in
pin --output-file requirements-dev.lock requirements-dev.in
