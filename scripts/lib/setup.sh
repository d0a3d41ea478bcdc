#!/usr/bin/env bash
# Makes the machine ready for the script that sources this: after `setup`, a C
# compiler, libclang, Rust and a server of the right version are at hand. What
# is missing is installed, on Debian and Ubuntu, and every installation says
# what it is for.
#
# CACHE_GET_SERVER names a server to run instead of `redis-server`. Source
# run.sh first: its temporary folder holds the installation's log.

# The oldest server that the module loads into.
readonly SERVER_WANTED=7.0

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
packages=() reasons=()

setup() {
    cd -- "$repo" || return
    export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
    [[ -z ${CACHE_GET_SERVER:-} ]] || has "$CACHE_GET_SERVER" || die "There is no $CACHE_GET_SERVER."
    export CACHE_GET_SERVER=${CACHE_GET_SERVER:-redis-server}
    local rust_wanted
    rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)

    can_compile || want build-essential 'a C compiler, for the TLS and compression libraries'
    has_libclang || want libclang-dev 'reads the header of the module API'
    has_server || want redis-server 'the server that loads the module'
    has_certificates || want ca-certificates 'to fetch Rust crates over https'
    has_rust "$rust_wanted" || has curl || has rustup || want curl 'to fetch Rust'
    install_packages
    check_server
    has_rust "$rust_wanted" || install_rust "$rust_wanted"
}

# Who reads it may have hung up; run.sh sees to that.
say() { printf '%s\n' "$*" 2>/dev/null; }

die() {
    printf '%s\n' "$*" >&2
    exit 1
}

# The opening comment of the script itself, which tells how to call it.
usage() { sed -n '2,/^[^#]/ { s/^# \{0,1\}//p }' "$0"; }

has() { command -v -- "$1" >/dev/null; }

# at_least WANTED HAVE: whether a version is that one or newer.
at_least() { [[ -n $2 && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

# --- what is here -----------------------------------------------------------

can_compile() {
    has cc && has make && cc -E -x c - -o /dev/null <<<'#include <stdio.h>' 2>/dev/null
}

# The library alone does not do: it needs its own stddef.h, too.
has_libclang() {
    [[ -n ${LIBCLANG_PATH:-} ]] && return
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null &&
        compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null
}

has_server() { has "$CACHE_GET_SERVER"; }

has_certificates() { [[ -s ${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt} ]]; }

# Whether there is a Rust that is new enough, on the PATH or where rustup puts it.
has_rust() {
    local bin=${CARGO_HOME:-$HOME/.cargo}/bin
    rust_is_new "$1" && return
    [[ -x $bin/rustc ]] && PATH=$bin:$PATH && rust_is_new "$1"
}

rust_is_new() {
    has cargo && at_least "$1" "$(rustc --version 2>/dev/null | cut -d' ' -f2)"
}

# --- what is missing --------------------------------------------------------

want() {
    packages+=("$1")
    reasons+=("$2")
}

install_packages() {
    ((${#packages[@]})) || return 0
    local i
    say 'Missing on this machine:'
    for i in "${!packages[@]}"; do
        printf '  %-16s %s\n' "${packages[i]}" "${reasons[i]}"
    done
    has apt-get || die 'This is no Debian or Ubuntu: please install them by its own means, then try again.'
    ((EUID == 0)) || has sudo || die 'To install them, run this as root or with sudo.'

    say "Installing with apt-get: ${packages[*]}"
    local log=$TMPDIR/apt-get.log
    if ! { apt_get update && apt_get install --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
        tail -n 20 -- "$log" >&2
        die 'apt-get failed; see above.'
    fi
    stop_services
}

# apt-get that asks nothing and, where it may be told so, starts no services.
apt_get() {
    as_root env -u TMPDIR DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get --yes --quiet -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

# systemd starts new servers at once; nobody has asked for those.
stop_services() {
    [[ -d /run/systemd/system ]] || return 0
    local name
    for name in "${packages[@]}"; do
        [[ $name == nginx-light ]] && name=nginx
        systemctl is-active --quiet "$name" 2>/dev/null || continue
        as_root systemctl disable --now --quiet "$name" 2>/dev/null || continue
        say "Its own service is stopped and disabled; systemctl enable --now $name starts it."
    done
}

check_server() {
    local version
    version=$("$CACHE_GET_SERVER" --version | sed -n 's/.*[ (]v=\([0-9.]*\).*/\1/p')
    at_least "$SERVER_WANTED" "$version" && return
    die "$CACHE_GET_SERVER is version ${version:-unknown}, and the module needs $SERVER_WANTED or newer.
Newer ones are at https://redis.io/docs/latest/operate/oss_and_stack/install/;
CACHE_GET_SERVER=/path/to/redis-server names one that is not on the PATH."
}

# install_rust WANTED: by rustup, as https://rustup.rs says (its script, from where it lives: the host
# that the toolchain comes from, too).
install_rust() {
    if has rustup || [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/rustup ]]; then
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
        say "Installing Rust's stable toolchain with rustup: the module needs Rust $1 or newer."
        rustup --quiet toolchain install stable --profile minimal --component rustfmt,clippy
        export RUSTUP_TOOLCHAIN=stable
    else
        say "Installing Rust with rustup, from https://rustup.rs, into ~/.cargo: the module needs Rust $1 or newer."
        curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://static.rust-lang.org/rustup/rustup-init.sh |
            sh -s -- -y --quiet --no-modify-path --profile minimal --component rustfmt --component clippy >/dev/null
    fi
    has_rust "$1" || die "There is still no Rust $1; see https://rustup.rs."
}
