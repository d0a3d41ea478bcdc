#!/usr/bin/env bash
# Makes Python environments: after `python_environment FOLDER REQUIREMENTS`, FOLDER holds a Python with the
# libraries that the file REQUIREMENTS names. It is made once, and again only when what it is to hold has changed.
#
# Source run.sh and setup.sh first, and call `setup` before.

# The oldest Python that the libraries run on.
readonly PYTHON_WANTED=3.11

# The stamp is written last, so that half an environment is never taken for one.
python_environment() {
    local env=$1 requirements=$2 python stamp begun=$SECONDS
    if ! python=$(find_python); then
        # shellcheck disable=SC2034 # install_packages reads them
        packages=() reasons=()
        want python3-venv "Python $PYTHON_WANTED or newer, for $requirements"
        install_packages
        python=$(find_python) || die "There is still no Python $PYTHON_WANTED with venv; $requirements needs one."
    fi
    stamp=$("$python" --version && cat -- "$requirements")
    if [[ -x $env/bin/python && -f $env/made-of && $(<"$env/made-of") == "$stamp" ]]; then return; fi
    say "Installing what $requirements names into $env ..."
    rm -rf -- "$env"
    quietly "$python" -m venv "$env"
    quietly "$env/bin/pip" install --only-binary :all: --requirement "$requirements"
    printf '%s\n' "$stamp" >"$env/made-of"
    say "That took $((SECONDS - begun)) s; it is kept."
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

# The folder that environments are kept in: cargo's, absolute.
environments() {
    local target=${CARGO_TARGET_DIR:-target}
    mkdir -p -- "$target" && realpath -- "$target"
}

# quietly COMMAND...: shows what it says only if it fails.
quietly() {
    run "$@" >"$TMPDIR/quietly.log" 2>&1 && return
    tail -n 20 -- "$TMPDIR/quietly.log" >&2
    die "$(basename -- "$1") failed; see above."
}
