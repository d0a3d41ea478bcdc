#!/usr/bin/env bash
# Runs things so that nothing is left of them: whichever way the sourcing
# script ends, by itself, by Ctrl-C or by a signal, what `run` started is gone
# and so is every temporary file.

TMPDIR=$(mktemp -d)
export TMPDIR
running=

# run COMMAND...: waits for it, and answers with its exit code. It has a
# process group of its own, which whatever it starts belongs to.
run() {
    local status=0
    set -m
    "$@" </dev/null &
    running=$!
    set +m
    wait "$running" || status=$?
    stop
    return "$status"
}

# Ends the process group, in good order if it takes the hint.
stop() {
    [[ -n $running ]] || return 0
    local try
    for try in TERM 0 0 0 0 KILL; do
        kill -s "$try" -- "-$running" 2>/dev/null || break
        sleep 0.1
    done
    running=
}

clean_up() {
    trap - EXIT
    trap '' INT TERM HUP
    stop
    rm -rf -- "$TMPDIR"
}

# Whoever reads what it says may hang up (`scripts/demo | head`): that ends it without a word, as a signal does.
trap clean_up EXIT
trap 'exit 141' PIPE
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
