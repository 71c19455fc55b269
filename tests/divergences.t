#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/divergences.t - every difference from a kernel that docs/divergences.md accepts, as it is
#
# One that is gone is a failure, too: then the document is out of date.  The names there and the names of
# tests are the same.

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
sed 's/:.*//' "$work/gmem" >"$work/tested"

# The others show what is said of them, and name it in each of their points.
accepted() {
	run_tap "$@"
	sed -n 's/^ok [0-9]* \(-\|# SKIP\) \([a-z0-9-]*\): .*/\2/p' "$work/tap" >>"$work/tested"
}
for engine in $(engines); do
	accepted "$engine" "$gmem" run --profile linux-7.4 --engine "$engine" -- "$build/tests/run_accepted" "$engine"
done
accepted vCPU "$gmem" run --profile linux-6.12 -- "$build/tests/run_accepted_vcpu"

sed -n 's/^| \([a-z0-9-]*\) |.*/\1/p; s/^- \*\*\([a-z0-9-]*\)\*\*: .*/\1/p' "$document" | sort >"$work/named"
is "$(uniq -d "$work/named")" "" "no name stands twice in docs/divergences.md"
is "$(sort -u "$work/tested" | comm -13 - "$work/named")" "" "each name there has a test"
is "$(sort -u "$work/tested" | comm -23 - "$work/named")" "" "each test has its name there"
is "$(grep -c '^- ' "$document")" "$(grep -c '^- \*\*[a-z0-9-]*\*\*: ' "$document")" "nothing stands there without a name"

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
