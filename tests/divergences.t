#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/divergences.t - every difference from a kernel that docs/divergences.md accepts, seen on both sides
#
# A line that no longer differs is a failure, too: then the document is out of date.

. "$(dirname "$0")/common.sh"

document=$(dirname "$0")/../docs/divergences.md
program=$build/tests/run_divergences

# look FILE COMMAND...: the program's lines, and what a process outside sees of its file.
look() {
	out=$1
	shift
	mkfifo "$work/in"
	"$@" "$program" <"$work/in" >"$out" 2>"$work/err" &
	exec 3>"$work/in"
	rm "$work/in"
	for _ in $(seq 50); do
		grep -q '^outside' "$out" && break
		sleep 0.1
	done
	# Under gmem run the program is a child of what was started.
	pid=$(pgrep -P $! -f run_divergences | head -n 1)
	fd=$(sed -n 's/^outside //p' "$out")
	link=$(readlink "/proc/${pid:-$!}/fd/$fd")
	echo "link-text: $link" >>"$out"
	# Opened again by a process that knows nothing of gmem.
	if (: <"/proc/${pid:-$!}/fd/$fd") 2>/dev/null; then echo "re-open: works"; else echo "re-open: fails"; fi >>"$out"
	exec 3>&-
	wait $!
	sed -i /^outside/d "$out"
}

value() {
	sed -n "s/^$2: //p" "$1"
}

look "$work/gmem" "$gmem" run --profile linux-6.18 --
for name in $(sed 's/:.*//' "$work/gmem"); do
	grep -q "^| $name |" "$document"
	ok $? "$name stands in docs/divergences.md"
done
is "$(grep -c '^| [a-z-]* |' "$document")" "$(grep -c : "$work/gmem")" "nothing else stands there as testable"

# A marker's signal that the program blocks: SIGSEGV (11) under eg, what the kernel raises (7) elsewhere.
for engine in $(engines); do
	wanted=7
	[ "$engine" = eg ] && wanted=11
	got=$("$gmem" run --profile linux-7.4 --engine "$engine" -- "$program" blocked)
	is "$got" $wanted "a private page touched with SIGSEGV blocked, engine $engine: signal $wanted"
done

case $(uname -r) in
6.18*) ;;
*) skip "this kernel is $(uname -r), the comparison is with 6.18" && done_testing ;;
esac
if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	skip "/dev/kvm is not accessible"
	done_testing
fi
case ${LD_PRELOAD:-} in *gmem*) skip "already under gmem" && done_testing ;; esac
look "$work/native" env
for name in $(sed 's/:.*//' "$work/gmem"); do
	[ "$(value "$work/gmem" "$name")" != "$(value "$work/native" "$name")" ]
	ok $? "$name differs: $(value "$work/native" "$name") / $(value "$work/gmem" "$name")"
done
done_testing
