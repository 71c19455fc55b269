#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/cli_explained.t - what gmem tells about an ordinary KVM program
. "$(dirname "$0")/cli_lib.sh"

if [ ! -e "$build/libgmem-preload.so" ] || [ ! -x "$build/examples/convert" ]; then
	echo "1..0 # SKIP needs the preload object and examples/convert"
	exit 77
fi

"$gmem" run -- "$build/examples/convert" >"$work/plain" 2>"$work/err"
is $? 0 "the example runs"
is "$(cat "$work/err")" "" "nothing is told unasked"
"$gmem" run --explain --summary -- "$build/examples/convert" >"$work/out" 2>"$work/err"
is $? 0 "it runs with --explain"
is "$(cat "$work/out")" "$(cat "$work/plain")" "... and sees the same"
like "$(cat "$work/err")" \
	"*convert?*/*: load from a private page: address 0x*, pc 0x*, file 1, offset 0x*made private by KVM_SET_MEMORY_ATTRIBUTES2*SIGBUS (rule host-private*" \
	"a touch is told with thread, address, instruction, file, offset, and who made the page private"
like "$(tail -1 "$work/err")" "gmem: served 1 processes, 0 programs could not be served; 1 files, * forbidden touches" \
	"the summary counts processes and files"
"$gmem" run --report-file "$work/report" -- "$build/examples/convert" >/dev/null 2>"$work/err"
is "$(cat "$work/err")" "" "with --report-file standard error is the program's alone"
like "$(cat "$work/report")" "*rule host-private*" "... and the file has the lines"
"$gmem" run --profile linux-6.12 --explain -- "$build/examples/convert" >"$work/out" 2>"$work/err"
is $? 0 "the example copes with a profile without mappable files"

left=$("$gmem" run -- sh -c '
	for i in 1 2 3 4 5; do "$0" >/dev/null; done
	# The broker is told of an end by the kernel, a moment later.
	for i in 1 2 3 4 5 6 7 8 9 10; do
		left=$(ls -l /proc/$PPID/fd | grep -c memfd)
		[ "$left" -eq 0 ] && break
		sleep 0.2
	done
	echo "$left"' "$build/examples/convert")
is "$left" 0 "the broker keeps no file of programs that have ended"
"$gmem" run -- sh -c 'kill -KILL $PPID; "$0" | tail -1' "$build/examples/convert" >"$work/out" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
	[ -s "$work/out" ] && break
	sleep 0.2
done
is "$(cat "$work/out")" "$(tail -1 "$work/plain")" "a program whose broker was killed goes on"

echo 'int main(void) { return 5; }' >"$work/five.c"
if ${CC:-cc} -static -o "$work/static" "$work/five.c" 2>/dev/null; then
	"$gmem" run -- sh -c "'$work/static'" 2>"$work/err"
	is $? 126 "a static program does not start from a served shell either"
	like "$(cat "$work/err")" "*not started: $work/static: it is static*" "... and gmem tells why"
	"$gmem" run --allow-unserved --summary -- sh -c "'$work/static'; exit \$?" 2>"$work/err"
	is $? 5 "--allow-unserved starts it"
	like "$(cat "$work/err")" "*started without gmem: $work/static*1 programs could not be served*" "... and counts it"
else
	skip 4 "no static C library, or no compiler"
fi
done_testing
