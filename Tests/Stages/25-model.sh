#!/usr/bin/env bash
# The protocol of flow control, exhausted by Spin: every interleaving of Tests/Models/flow.pml in
# small ranges of its parameters; and each defect put into it on purpose is found.
source "$(dirname "$0")/expect.sh"
need_packages spin gcc libc6-dev
model=$WEIR_ROOT/Tests/Models/flow.pml
need_work
SECONDS_MAX=300
DEPTH_MAX=1000000

# Each line: name | what is expected | parameters. `holds`: no state fails; `served`: nor does an
# endless run; `fails` and `starves` are their contraries.
automatic="-DMODE_MAX=AUTOMATIC"
manual="-DMODE_MIN=MANUAL -DMODE_MAX=MANUAL"
remote="-DMODE_MIN=REMOTE -DMODE_MAX=REMOTE"
elsewhere="-DMODE_MIN=ELSEWHERE -DMODE_MAX=ELSEWHERE -DWINDOW_MAX=2 -DPERMITS_MIN=2 -DPERMITS_MAX=2 -DCOMMIT_MAX=4"
simple_gate="-DPERMITS_MIN=3 -DSYNCED_ONLY_MIN=1"
grant_two="-DGRANT_MIN=2 -DGRANT_MAX=2"
small="$automatic $simple_gate -DWINDOW_MAX=2 -DLAG_MAX=2"
# The product of every range there is: windows, batches of 1 to 3, hysteresis from none to the whole
# window, grants, commit intervals, lag bounds, permits, modes, visibilities. A window a run.
product="-DCOMMIT_MAX=2 -DLAG_MAX=3 -DPERMITS_MAX=2"
tiny="$grant_two -DWINDOW_MAX=2 -DPERMITS_MIN=2 -DPERMITS_MAX=2 -DSYNCED_ONLY_MIN=1 -DLAG_MAX=1"
cases="
all with a window of 3 | holds | $product -DWINDOW_MIN=3 -DWINDOW_MAX=3
all with a window of 2 | holds | $product -DWINDOW_MIN=2 -DWINDOW_MAX=2
all with a window of 1 | holds | $product -DWINDOW_MAX=1
a consumer that grants | holds | $manual $simple_gate -DWINDOW_MAX=3
a consumer that grants, with the largest window | holds | $manual $simple_gate $grant_two -DWINDOW_MIN=4 -DLAG_MIN=3
two producers in line | holds | $automatic -DPRODUCERS=2 -DWINDOW_MAX=2 -DLAG_MAX=2
credit that returns with a release | holds | $automatic
a remote consumer, with chunks | holds | $remote $simple_gate
every mode and every gate | holds | $grant_two -DWINDOW_MAX=2 -DLAG_MAX=2
batches kept | holds | -DKEEPS=2 -DWINDOW_MAX=3 $grant_two $simple_gate -DLAG_MAX=3
a cancelled consumer | holds | -DCANCELS -DWINDOW_MAX=3 $grant_two $simple_gate -DKEEPS=1 -DLAG_MAX=2
a consumer that begins again | holds | -DCANCELS -DREOPENS -DWINDOW_MAX=2 $grant_two $simple_gate -DLAG_MAX=2 -DCOMMIT_MAX=3
a consumer elsewhere that commits when it is at rest | holds | $elsewhere -DLAG_MAX=3
one that commits more rarely than its lag bound, and the cap | holds | $elsewhere -DLAG_MAX=1 -DSYNCED_ONLY_MIN=1 -DRARELY -DCAPS
a window that changes | holds | -DRESIZES -DWINDOW_MAX=3 $grant_two $simple_gate -DLAG_MAX=2
nobody starves | served | -DLIVENESS $tiny
nobody starves by a consumer elsewhere | served | -DLIVENESS $elsewhere $tiny
nobody starves with batches kept | served | -DLIVENESS $tiny -DKEEPS=1
neither of two producers starves | served | -DLIVENESS $tiny $automatic -DPRODUCERS=2
no overdraft | fails | $small -DMUTANT_NO_OVERDRAFT
an overdraft though nobody waits | fails | $small -DMUTANT_OVERDRAFT_UNASKED
hysteresis deaf to a waiting consumer that grants | fails | $small $manual -DMUTANT_HYSTERESIS_DEAF
hysteresis deaf after the window shrank | fails | $small -DWINDOW_MAX=3 -DRESIZES -DMUTANT_HYSTERESIS_DEAF
a single grant after an overdraft | fails | $small $manual -DGRANT_MAX=1 -DMUTANT_GRANTS_ONCE
a lag from the committed position | fails | $small -DCOMMIT_MIN=3 -DCOMMIT_MAX=3 -DMUTANT_LAG_OF_COMMITTED
credit back at receipt | fails | $small -DMUTANT_CREDIT_AT_RECEIPT
credit lost on keep | fails | $small -DKEEPS=2 -DMUTANT_CREDIT_LOST_ON_KEEP
a read left behind by a cancellation | fails | $small -DCANCELS -DMUTANT_CANCEL_LEAVES_READ
no wakeup when a consumer waits | fails | $small -DMUTANT_NO_WAKE_AT_WAIT
no wakeup of the gate at a release | fails | $small -DMUTANT_NO_WAKE_AT_RELEASE
no cap for one that commits more rarely than its lag bound | fails | $elsewhere -DLAG_MAX=1 -DRARELY
no wakeup of the gate at a commit | fails | $elsewhere -DLAG_MAX=1 -DMUTANT_NO_WAKE_AT_RELEASE
an account that waits for more than the lag bound | fails | $small -DKEEPS=2 -DWEAK_KEEPER_WAITS_FOR_MORE
a gate without a line | starves | -DLIVENESS $tiny $automatic -DPRODUCERS=2 -DMUTANT_NO_LINE
an answer that tells nothing and wakes the gate | starves | -DLIVENESS $tiny $remote -DMUTANT_ANSWER_ALWAYS_WAKES
"

# check NAME EXPECTED PARAMETERS: one line of result. Made and run in a folder of its own.
check() {
    local name=$1 expected=$2 folder start=${EPOCHREALTIME/./} level=-O2
    local -a parameters compile=(-DSAFETY -DCOLLAPSE) run=()
    read -ra parameters <<<"$3"
    folder=$(mktemp -d -p "$work")
    cd "$folder" || exit 1
    case $expected in served | starves) compile=(-DNFAIR=4 -DCOLLAPSE) run=(-a -f) ;; esac
    case $expected in fails | starves) level=-O1 ;; esac
    if ! spin "${parameters[@]}" -a "$model" >words 2>&1 ||
        ! gcc "$level" -w "${compile[@]}" -o pan pan.c >>words 2>&1; then
        echo "not ok model: $name: it does not compile: $(grep -m 1 -i error words)"
        return
    fi
    timeout "$SECONDS_MAX" ./pan "-m$DEPTH_MAX" "${run[@]}" >result 2>&1
    verdict "$name" "$expected" $((${EPOCHREALTIME/./} - start)) "${parameters[*]}"
    cd "$work" && rm -rf "$folder"
}

# verdict NAME EXPECTED MICROSECONDS PARAMETERS: reads what pan said in `result`.
verdict() {
    local errors states cause seconds
    errors=$(grep -oE 'errors: [0-9]+' result | cut -d' ' -f2)
    states=$(grep -oE '^ *[0-9]+ states, stored' result | grep -oE '[0-9]+')
    cause=$(grep -m 1 -oE '^pan:[0-9]+: .*' result | cut -d' ' -f2-)
    seconds=$(printf '%d.%d' $(($3 / 1000000)) $(($3 / 100000 % 10)))
    # A search that was cut short, by depth, memory or time, has not shown anything.
    if [ -z "$errors" ] || grep -qE 'max search depth too small|out of memory' result; then
        echo "not ok model: $1: the search was cut short: $(grep -m 1 -E 'pan|error' result)"
        return
    fi
    case $2:$cause in
    holds: | served:) echo "ok model: $1 ($states states, $seconds s)" ;;
    fails:assertion* | starves:acceptance*)
        echo "ok model: a defect is found: $1 ($states states, $seconds s)"
        ;;
    *) echo "not ok model: $1: expected that it $2; errors: $errors, $cause; parameters $4" ;;
    esac
}

export -f check verdict
export model work SECONDS_MAX DEPTH_MAX
while IFS='|' read -r name expected parameters; do
    [ -n "$name" ] && printf '%s\0%s\0%s\0' "${name% }" "${expected// /}" "$parameters"
done <<<"$cases" |
    xargs -0 -n 3 -P 2 bash -c 'check "$@"' check | tee "$work/results"
awk '{ for (i = 2; i <= NF; i++) if ($i == "states,") { gsub(/\(/, "", $(i - 1)); sum += $(i - 1) } }
    END { printf "%d states in all", sum }' "$work/results"
echo ", $SECONDS s"
