# Shared by the scripts beside it: `source "$(dirname "$0")/lib.sh"`.
# Needs bash and what a fresh Debian has; everything else it installs, and says so.

WEIR_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# What building Weir needs beside Swift: LZ4, ISA-L's checksums, SQLite, and the tool that finds
# them.
WEIR_BUILD_PACKAGES=(liblz4-dev libisal-dev libsqlite3-dev pkg-config)

# Words go to stderr: what a script prints on stdout is data.
say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# is_installed PACKAGE: a package that was removed but left its configuration is not installed.
is_installed() {
    dpkg-query --show --showformat='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# as_root COMMAND…: fails where neither this user nor sudo without a password may do it.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 126
    fi
}

# need_packages PACKAGE…: installs Debian packages that are missing; quiet if none is.
need_packages() {
    local package missing=() log
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        fail "This system has no apt-get: install what corresponds to the Debian packages $* and run this again."
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    as_root true ||
        fail "Missing Debian packages, and this user may not install them: run 'sudo apt-get install ${missing[*]}' and then this again."
    say "Installing ${missing[*]} with apt-get: the build or a test needs them and they are not here."
    log=$(mktemp)
    # The package lists of a fresh system are empty or old, so they come first.
    if ! { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
            "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install ${missing[*]}: mend what it says above and run this again."
    fi
    rm -f "$log"
}

# need_build: what every build needs.
need_build() {
    command -v swift >/dev/null || fail "Swift is not on the PATH: install Swift 6.3 or newer and run this again."
    need_packages "${WEIR_BUILD_PACKAGES[@]}"
}

# python_venv: makes .venv with the packages of tools/requirements.txt and sets WEIR_PYTHON.
# Quiet and quick when it is there: the stamp holds the requirements that it was made from.
python_venv() {
    local venv=$WEIR_ROOT/.venv wanted=$WEIR_ROOT/tools/requirements.txt log
    WEIR_PYTHON=$venv/bin/python
    if [ -x "$WEIR_PYTHON" ] && cmp -s "$wanted" "$venv/requirements.stamp"; then
        return 0
    fi
    command -v python3 >/dev/null || need_packages python3
    # Debian splits the part of Python that makes environments off into a package of its own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages python3-venv
    say "Making .venv, a Python environment for data and cross-checks, with the packages of tools/requirements.txt."
    log=$(mktemp)
    # A half-made environment has no stamp, so it is made again from nothing.
    if ! { rm -rf "$venv" && python3 -m venv "$venv" &&
        "$WEIR_PYTHON" -m pip install --quiet --disable-pip-version-check -r "$wanted"; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        fail "The Python packages of tools/requirements.txt could not be installed: mend what it says above and run this again."
    fi
    rm -f "$log"
    cp "$wanted" "$venv/requirements.stamp"
}

# The tests in release: a build of its own, as they look into modules, and the product's build must
# not let them. Package.swift then leaves out what is not run so.
release_tree=$WEIR_ROOT/.build-sim/tree

# copy_tree [PATCH]: makes it, or one of the tree with a patch.
copy_tree() {
    local place
    mkdir -p "$release_tree" || return
    for place in Package.swift Package.resolved Sources Tests; do
        rm -rf "${release_tree:?}/$place"
        [ -e "$WEIR_ROOT/$place" ] || continue
        # Of links: what the patch does not touch is the file that was compiled, and stays compiled.
        cp -al "$WEIR_ROOT/$place" "$release_tree/$place" || return
    done
    # Without the ceiling git would take the copy for a part of the repository around it, skip files
    # that it does not know there, and call that a success. It makes new files, and so the tree's
    # own stay as they are.
    [ $# -eq 0 ] ||
        (cd "$release_tree" && GIT_CEILING_DIRECTORIES=$WEIR_ROOT git apply "$1")
}

# build_release_tests [PATCH]: builds them from a copy of the tree, or of the tree with a patch.
build_release_tests() {
    copy_tree "$@" || return
    WEIR_SIMULATIONS=1 swift build -c release --package-path "$release_tree" \
        --scratch-path "$WEIR_ROOT/.build-sim" --product weirPackageTests -Xswiftc -enable-testing
}

# release_tests OPTION…: runs some of what `build_release_tests` built. Not by `swift test`, of which
# one waits for the other.
release_tests() {
    "$WEIR_ROOT/.build-sim/release/weirPackageTests.xctest" --testing-library swift-testing "$@"
}
