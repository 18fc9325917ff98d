#!/usr/bin/env bash
# What the documents show works: the Swift of README, tutorial and replay is compiled and run, that of
# groups, compaction and moving compiled, in a package of its own that depends on Weir, by path and by a
# tagged clone; the shell of README, replay, compaction, backup and moving is run.
source "$(dirname "$0")/expect.sh"
work=$WEIR_ROOT/.build-consumer
mkdir -p "$work/app/Sources/App"

# blocks LANGUAGE FILE: the contents of its fenced blocks, one after the other.
blocks() { awk -v fence="\`\`\`$1" '$0 == fence { on = 1; next } /^```/ { on = 0 } on' "$2"; }
{
    echo 'import Foundation'
    echo 'import Weir'
    echo 'func readme() async throws {'
    blocks swift README.md | grep -v '^import '
    echo '}'
    echo 'func tutorial() async throws {'
    blocks swift Sources/Weir/Weir.docc/GettingStarted.md
    echo '}'
    echo 'func replay() async throws {'
    blocks swift Docs/REPLAY.md
    echo '}'
    echo 'func groups(_ orders: PartitionedStream, charge: (Record) async throws -> Void) async throws {'
    blocks swift Docs/GROUPS.md
    echo '}'
    echo 'func compaction(_ store: Store) async throws {'
    blocks swift Docs/COMPACTION.md
    echo '}'
    echo 'func moving(_ orders: LogStream, _ other: Store) throws {'
    blocks swift Docs/MOVING.md
    echo '}'
    cat <<'S'
@main struct App {
    static func main() async throws {
        FileManager.default.changeCurrentDirectoryPath(CommandLine.arguments[1])
        try await readme()
        try FileManager.default.removeItem(atPath: "orders.weir")
        try await tutorial()
        try await replay()
        print("consumer done")
    }
}
S
} >"$work/app/Sources/App/App.swift"

manifest() { # the dependency's line
    cat >"$work/app/Package.swift" <<P
// swift-tools-version: 6.3
import PackageDescription
let package = Package(
    name: "consumer", platforms: [.macOS("26.0")], dependencies: [$1],
    targets: [.executableTarget(name: "App", dependencies: [.product(name: "Weir", package: "weir")])])
P
}
consume() { # NAME, dependency
    local run
    manifest "$2"
    rm -f "$work/app/Package.resolved"
    if ! swift build --package-path "$work/app" --scratch-path "$work/build-$1" >"$work/$1.log" 2>&1; then
        grep -E 'error: ' "$work/$1.log" | head -n 5
        echo "not ok a package that depends on Weir by $1 builds"
        return
    fi
    run=$(mktemp -d)
    if "$work/build-$1/debug/App" "$run" 2>"$work/$1.err" | grep -q 'consumer done'; then
        echo "ok a package that depends on Weir by $1 runs what README, tutorial and replay show"
    else
        echo "not ok a package that depends on Weir by $1: $(tail -n 1 "$work/$1.err")"
    fi
    rm -rf "$run"
}
consume path ".package(name: \"weir\", path: \"$WEIR_ROOT\")"

# A clone of what is here now, uncommitted changes among it, under a tag.
rm -rf "$work/clone/weir" && mkdir -p "$work/clone/weir"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp -a --parents -t "$work/clone/weir" 2>/dev/null
(cd "$work/clone/weir" && git init -q && git add -A &&
    git -c user.name=test -c user.email=test@localhost commit -qm "Weir" && git tag -f 0.1.0) >/dev/null 2>&1
# A tag that moved is not fetched again: what an earlier run cloned would be tried.
rm -rf "$work"/build-tag/{repositories/weir-*,checkouts/weir,workspace-state.json}
consume tag ".package(url: \"file://$work/clone/weir\", exact: \"0.1.0\")"
if grep -qiE 'Compiling NIO|swift-nio' "$work/tag.log"; then echo "not ok embedding Weir brings no event loop"; else echo "ok embedding Weir brings no event loop"; fi

# The shell of a document, but for the line that builds.
[ -x .build/debug/weir ] || swift build --product weir >&2
for document in README.md Docs/REPLAY.md Docs/COMPACTION.md Docs/BACKUP.md Docs/MOVING.md; do
    run=$(mktemp -d)
    ln -s "$WEIR_ROOT/Tests" "$run/Tests"
    ln -s "$WEIR_ROOT/.build/debug/weir" "$run/weir"
    if (cd "$run" && PATH="$run:$PATH" && blocks sh "$WEIR_ROOT/$document" | grep -v 'swift build' |
        sed 's/tail -f/tail/' | bash -euo pipefail) >"$run/out" 2>"$run/err"; then
        echo "ok the shell of $document runs ($(wc -l <"$run/out") lines)"
    else
        echo "not ok the shell of $document: $(tail -n 1 "$run/err")"
    fi
    rm -rf "$run"
done

for shell in bash zsh fish; do
    if .build/debug/weir --generate-completion-script $shell | grep -q -- 'append'; then echo "ok completions for $shell"; else echo "not ok completions for $shell"; fi
done
for command in create delete append read tail ls info dump flow sql cursor 'cursor ls' 'cursor set' 'cursor rm' group 'group ls' compact backup restore verify index 'index check' 'index rebuild' repair export import copy; do
    if .build/debug/weir help $command | grep -q EXAMPLES; then echo "ok weir help $command has examples"; else echo "not ok weir help $command has no examples"; fi
done

if tools/docs .build/docs 2>.build/docs.err && [ -s .build/docs/data/documentation/weirbase/timestamp.json ]; then
    echo "ok the documentation has no broken link, and a page for every public type"
else
    echo "not ok the documentation: $(head -n 1 .build/docs.err)"
fi
