#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/protocol.t - spin searches tests/protocol.pml: it finds nothing, and each rule taken away
#
#   tests/protocol.t [DEFINES]: only the unbroken model, in that size (make model)

. "$(dirname "$0")/common.sh"

command -v spin >/dev/null 2>&1 || skip_all "spin is not installed"
command -v "${CC:-gcc}" >/dev/null 2>&1 || skip_all "no compiler for what spin makes"
model=$(cd "$(dirname "$0")" && pwd)/protocol.pml
memory=${MODEL_MEMORY:-2000} # MiB

# search DEFINES: the whole space, its verdict in $work/out.
search() {
	(
		cd "$work" || exit
		# The words are parted on purpose.
		spin -a $1 "$model" >out 2>&1 &&
			"${CC:-gcc}" -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM="$memory" -o pan pan.c >>out 2>&1 &&
			timeout "${MODEL_SECONDS:-250}" ./pan -E -m1000000 -n >>out 2>&1
	)
}

# nothing_found DEFINES NAME
nothing_found() {
	search "$1"
	grep -q 'errors: 0' "$work/out" && ! grep -q 'not completed' "$work/out"
	found=$?
	if [ $found -ne 0 ] && ! grep -q 'errors: [1-9]' "$work/out"; then
		skip "$2: not searched in this memory and time"
		return
	fi
	ok $found "$2: no rule is broken in $(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' "$work/out") states"
	[ $found -eq 0 ] || diag <"$work/out"
}

# found BREAK DEFINES PATTERN NAME: what breaks the rule is found, and it is that rule which is broken.
found() {
	search "-DBREAK_$1 $2"
	grep -q "assertion violated.*$3" "$work/out"
	ok $? "$1: $4"
}

if [ $# -gt 0 ]; then
	nothing_found "$*" "$*"
	done_testing
fi

nothing_found "-DDEATHS=0" "2 processes, both live"
nothing_found "-DWORK=0" "2 processes, one of them killed anywhere"

# An open page that is kept private; and a living program that waits for ever.
inv1='\(kept\|open\)\['
inv6='finished\['
found NO_WAIT "-DDEATHS=0" "$inv1" "a conversion does not wait for answers"
found LATE "-DDEATHS=0" "$inv1" "no answer in time counts as one"
found ZOMBIE "-DDEATHS=0" "$inv1" "a process whose first thread has ended counts as dead"
found COMMIT_FIRST "-DDEATHS=0" "$inv1" "states before denial"
found OPEN_UNCHECKED "-DDEATHS=0" "$inv1" "a page is opened while a conversion counts on its denial"
found OPEN_UNLOCKED "-DDEATHS=0" "$inv1" "that is looked at without the table lock"
found IGNORE_CALL_OFF "-DDEATHS=0" "$inv1" "a conversion goes on although it was called off"
found FORK_UNLOCKED "-DDEATHS=0" "$inv1" "a child maps its views without the file lock"
found FORK_INHERITS "-DDEATHS=0" "$inv1" "a child inherits views that nobody knows of"
found CALL_OFF_ANY "-DFIRST_WORK=2 -DDEATHS=0" "seen==turn" "a fault calls off a conversion that it has not waited for"
found NO_TAKEOVER "" "$inv6" "the lock of a dead process is not taken over"
found AWAIT "" "$inv6" "a dead process's answer is waited for"
found WAIT_FOR_EVER "" "$inv6" "a fault waits for a dead converter"
done_testing
