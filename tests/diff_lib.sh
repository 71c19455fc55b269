# SPDX-License-Identifier: MIT
#
# tests/diff_lib.sh - what the tests of gmem diff share; sourced
#
#   GMEM_DIFF_OPS=N       steps of each comparison with the model (1000000), 30 seconds at most
#   GMEM_DIFF_SEED=N      default: the day, so that no two days ask the same

. "$(dirname "$0")/common.sh"

ops=${GMEM_DIFF_OPS:-1000000}
seed=${GMEM_DIFF_SEED:-$(date +%Y%m%d)}

# alike A B OPS
alike() {
	timeout -k 5 100 "$gmem" diff "$1" "$2" --ops "$3" --seconds 30 --seed "$seed" --output "$work/repro.c" >"$work/out" 2>&1
	ok $? "$1 and $2: $(tail -n 1 "$work/out")"
	if [ -e "$work/repro.c" ]; then
		{ cat "$work/out"; grep 'SHOW(' "$work/repro.c"; } | diag 60
		rm -f "$work/repro.c"
	fi
}
