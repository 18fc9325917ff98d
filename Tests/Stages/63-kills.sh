#!/usr/bin/env bash
# kill -9 in the middle of each command that moves, mends or lets go: done again, it succeeds, every record
# is there, and nothing half made is left. Compaction has its own, in 56-compact.sh.
#
#   WEIR_KILLS=1000 Tests/Stages/63-kills.sh     more rounds than CI's 100
source "$(dirname "$0")/expect.sh"
# In memory where there is room: a kill loses no page, and syncs would take most of the time.
room=$(df --output=avail -B1M /dev/shm 2>/dev/null | tail -n 1)
[ "${room:-0}" -lt 1024 ] || export TMPDIR=/dev/shm
need_weir
python3 Tests/Stages/kills.py "$weir" "$work" "${WEIR_KILLS:-100}" "${WEIR_SEED:-$RANDOM}"
