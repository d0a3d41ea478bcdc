#!/usr/bin/env bash
# Makes what the benchmark compares with: after `setup_peers`, nginx and Varnish are at hand, and a Python
# environment with the libraries of scripts/bench.d/requirements.txt is in CACHE_GET_BENCH_ENV.
#
# Source run.sh, setup.sh and python.sh first, and call `setup` before.

setup_peers() {
    # Debian keeps servers where only root's PATH looks.
    PATH=$PATH:/usr/sbin:/sbin
    # shellcheck disable=SC2034 # install_packages reads them
    packages=() reasons=()
    has nginx || want nginx-light 'a caching proxy, to compare with'
    has varnishd || want varnish 'another, to compare with'
    install_packages
    CACHE_GET_BENCH_ENV=$(environments)/bench-env
    export CACHE_GET_BENCH_ENV
    python_environment "$CACHE_GET_BENCH_ENV" scripts/bench.d/requirements.txt
}
