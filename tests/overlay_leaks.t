#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/overlay_leaks.t - nothing is left, neither of what was closed nor of who was killed

. "$(dirname "$0")/common.sh"

prog=$build/tests/run_leaks
if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
	run_tap "real kernel" "$prog"
fi
for engine in $(engines); do
	run_tap "$engine" "$gmem" run --engine "$engine" -- "$prog"
done

# All that descends from a run carries this word in its environment.
GMEM_TEST_MARK=mark-$$-$(date +%s)
export GMEM_TEST_MARK

marked() {
	grep -lsz "^GMEM_TEST_MARK=$GMEM_TEST_MARK\$" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 |
		while read -r pid; do
			# Not this shell's own helpers.
			case $(readlink "/proc/$pid/exe" 2>/dev/null) in
			"$prog" | "$gmem") echo "$pid" ;;
			esac
		done
}

# kill_round N WHO: a storm, and SIGKILL to the program, its broker or both at a random moment.
kill_round() {
	rm -f "$work/name"
	"$gmem" run --engine "$1" -- "$prog" storm >"$work/name" 2>/dev/null &
	broker=$!
	for _ in $(seq 60); do
		[ -s "$work/name" ] && break
		sleep 0.05
	done
	cat "$work/name" >>"$work/names"
	sleep "0.$(($(od -An -N1 -tu1 /dev/urandom) % 30))"
	program=$(cat "/proc/$broker/task/$broker/children" 2>/dev/null)
	case $2 in
	program) kill -KILL $program ;;
	broker) kill -KILL $broker ;;
	both) kill -KILL $broker $program ;;
	esac 2>/dev/null
	sleep "0.0$(($(od -An -N1 -tu1 /dev/urandom) % 8))"
	[ "$2" = broker ] && kill -KILL $program 2>/dev/null
	wait $broker 2>/dev/null
}

for engine in $(engines); do
	: >"$work/names"
	for who in program broker both; do
		for _ in $(seq "${KILL_ROUNDS:-6}"); do
			kill_round "$engine" $who
		done
	done
	for _ in $(seq 40); do
		left=$(marked | wc -l)
		[ "$left" -eq 0 ] && break
		sleep 0.1
	done
	is "$left" 0 "$engine: no process is left of $((3 * ${KILL_ROUNDS:-6})) that were killed"
	[ "$left" -eq 0 ] || marked | while read -r pid; do tr '\0' ' ' <"/proc/$pid/cmdline"; done | diag
	is "$(sort -u "$work/names" | grep -c gmem-)" $((3 * ${KILL_ROUNDS:-6})) "$engine: all of them had started"
	grep -q -F -f "$work/names" /proc/net/unix
	is $? 1 "$engine: nor a socket"
done
done_testing
