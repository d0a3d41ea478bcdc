#!/usr/bin/env bash
# Brings released servers that this distribution does not have yet: after `bring_server NAME DIR`, the server that
# Debian's suite has is in DIR, with its own loader and libraries, ready to run beside this machine's own.
# Nothing is installed but patchelf, which tells the programs where their libraries are, and Debian's keys on an Ubuntu.
#
# Source run.sh and setup.sh first. Needs apt-get and dpkg; needs no root, but to install those two.

# The servers of Debian's stable suite: what their names stand for changes with a point release at most.
readonly STABLE_SERVERS=(redis-trixie valkey-trixie)
# Those of the suites that move: a new server may come there any day.
readonly MOVING_SERVERS=(redis-sid redis-experimental valkey-sid)

# Where the packages come from, unless this machine is a Debian with a mirror of its own.
readonly DEBIAN=http://deb.debian.org/debian
# The keys that they must be signed with.
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# is_server NAME: whether a server can be asked for by this name.
is_server() { [[ " ${STABLE_SERVERS[*]} ${MOVING_SERVERS[*]} " == *" $1 "* ]]; }

# bring_server NAME DIR: leaves the server's path in `brought` and its kind and version in `brought_as`. If it
# cannot be had, says why, and fails.
bring_server() {
    local name=$1 dir=$2
    mkdir -p -- "$dir" && dir=$(realpath -- "$dir")
    local stamp=$dir/$name.path
    if ! [[ -s $stamp ]] || ! version_of "$(<"$stamp")" >/dev/null; then
        fetch_server "$name" "$dir" || return 1
    fi
    brought=$(<"$stamp")
    # shellcheck disable=SC2034 # who sources this reads it
    brought_as="${name%%-*} $(version_of "$brought")"
}

# version_of SERVER: the number that it gives for itself; fails if it does not run.
version_of() {
    local version
    version=$("$1" --version 2>/dev/null | sed -nE 's/.*[ (]v=([0-9.]+).*/\1/p')
    [[ -n $version ]] && printf '%s\n' "$version"
}

# fetch_server NAME DIR: downloads it, makes it ready, and writes its path to DIR/NAME.path.
fetch_server() {
    local name=$1 dir=$2 begun=$SECONDS
    local kind=${name%%-*} suite=${name#*-} work=$dir/.work-$1
    if ! has apt-get || ! has dpkg; then
        cannot "$name" 'it comes as a package, and this machine has no apt-get and dpkg'
        return 1
    fi
    if ! { [[ -e $KEYRING ]] || (need debian-archive-keyring "tells Debian's packages from forged ones"); } ||
        ! { has patchelf || (need patchelf 'tells a fetched server where its libraries are'); }; then
        cannot "$name" 'what is missing could not be installed'
        return 1
    fi
    say "Fetching $kind-server of Debian's suite $suite into $dir ..."
    rm -rf -- "$work" && mkdir -p -- "$work"
    if ! download "$kind" "$suite" "$work"; then
        tail -n 5 -- "$work/log" >&2
        cannot "$name" "apt-get has failed, see above and $work/log"
        return 1
    fi
    if ! make_ready "$kind" "$work" "$dir"; then
        cannot "$name" "it does not run here; what was fetched is in $work"
        return 1
    fi
    printf '%s\n' "$made" >"$dir/$name.path"
    rm -rf -- "$work"
    say "That took $((SECONDS - begun)) s; it is kept, until somebody removes $dir/$name.path."
}

cannot() { printf '%s cannot be had: %s.\n' "$1" "$2" >&2; }

# need PACKAGE REASON: installs it; ends the shell if it cannot be.
need() {
    # shellcheck disable=SC2034 # install_packages reads them
    packages=() reasons=()
    want "$1" "$2"
    install_packages
}

# download KIND SUITE WORK: the packages of a server and of all that it needs, unpacked in WORK/tree. An apt of
# our own does it, for a machine that has nothing installed. It checks signatures as any apt does.
download() {
    local kind=$1 suite=$2 work=$3 suites=("$2") target=() deb
    # The experimental suite has what is new there, and nothing that this needs.
    [[ $suite != experimental ]] || suites=(sid experimental) target=(--target-release experimental)
    mkdir -p -- "$work"/{preferences.d,state/lists/partial,cache/archives/partial}
    : >"$work/status"
    local mirror
    mirror=$(debian_mirror)
    for suite in "${suites[@]}"; do printf '%s\n' "deb [signed-by=$KEYRING] $mirror $suite main"; done >"$work/sources.list"
    local apt=(env -u TMPDIR apt-get --quiet --yes
        -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o Dir::Etc::PreferencesParts="$work/preferences.d" -o Dir::State="$work/state"
        -o Dir::State::Status="$work/status" -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)"
        -o APT::Install-Recommends=false -o APT::Architecture="$(dpkg --print-architecture)"
        -o Acquire::Languages=none -o Acquire::Retries=2)
    {
        "${apt[@]}" --error-on=any update &&
            "${apt[@]}" "${target[@]}" --download-only install "$kind-server" "$kind-tools" &&
            for deb in "$work"/cache/archives/*.deb; do dpkg --extract "$deb" "$work/tree" || return 1; done
    } >"$work/log" 2>&1 </dev/null
}

# The mirror that this machine uses, if it is a Debian.
debian_mirror() {
    local found=
    if grep -qs '^ID=debian$' /etc/os-release; then
        found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
            sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' | grep '/debian/*$' | head -n 1) || true
    fi
    printf '%s\n' "${found:-$DEBIAN}"
}

# make_ready KIND WORK DIR: puts server and client into a folder of their own, with what they need, and leaves the
# server's path in `made`.
make_ready() {
    local kind=$1 tree=$2/tree dir=$3 loader libraries program from out version
    loader=$(find "$tree" -name 'ld-linux*.so.*' -print -quit)
    libraries=$(find "$tree" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
    # By its name it tells that it is to be a server, and no tool that checks files.
    version=$("$loader" --library-path "$libraries" --argv0 "$kind-server" "$(program_in "$tree" "$kind-server")" --version |
        sed -nE 's/.*[ (]v=([0-9.]+).*/\1/p')
    [[ -n $version ]] || return 1
    out=$dir/$kind-$version
    rm -rf -- "$out" && mkdir -p -- "$out/lib" && cp -L -- "$loader" "$out/lib/" || return 1
    for program in "$kind-server" "$kind-cli"; do
        from=$(program_in "$tree" "$program")
        cp -L -- "$from" "$out/$program"
        "$loader" --library-path "$libraries" --list "$from" | sed -nE 's/.*=> (\/[^ ]+).*/\1/p' |
            xargs -I{} cp -L -- {} "$out/lib/"
        chmod u+w -- "$out/$program"
        patchelf --set-interpreter "$out/lib/$(basename -- "$loader")" --force-rpath --set-rpath "$out/lib" "$out/$program"
    done
    # What the module needs of the C library and the compiler's, beyond what the server itself has loaded.
    for program in libdl.so.2 libpthread.so.0 libgcc_s.so.1 libm.so.6 librt.so.1; do
        from=$(find "$tree" -name "$program" -print -quit)
        [[ -z $from ]] || cp -L -- "$from" "$out/lib/"
    done
    made=$out/$kind-server
    version_of "$made" >/dev/null
}

# program_in TREE PROGRAM: its file. Debian's server is a link to redis-check-rdb or valkey-check-rdb, an absolute
# one at times.
program_in() {
    local file=$1/usr/bin/$2
    [[ ! -L $file ]] || file=$1/usr/bin/$(basename -- "$(readlink -- "$file")")
    printf '%s\n' "$file"
}
