#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/overlay_explain.t - every refusal is told once, with a rule that explains it; touches are counted

. "$(dirname "$0")/common.sh"

prog=$build/tests/run_explain

"$gmem" run --report-file "$work/report" -- "$prog" refusals >"$work/out"
is $? 0 "a program whose calls are refused"
# "CALL ERRNO", as the program saw it and as it was told.
sed -n 's/^gmem: [^:]*: \([A-Za-z_0-9]*\): .*: \(E[A-Z]*\) (rule .*/\1 \2/p' "$work/report" >"$work/told"
diff "$work/out" "$work/told" >"$work/diff"
ok $? "one line for each of $(wc -l <"$work/out") refusals, in order, with call and errno"
diag <"$work/diff"
is "$(grep -c succeeded "$work/out")" 0 "none of them succeeded"
wrong=0
while read -r line; do
	rule=$(expr "$line" : '.*(rule \([^;]*\);')
	error=$(expr "$line" : '.*: \(E[A-Z]*\) (rule')
	"$gmem" explain "$rule" 2>/dev/null | grep -q "$error" || wrong=$((wrong + 1))
done <"$work/report"
is $wrong 0 "gmem explain knows each rule, with that errno"
grep -q "KVM_CREATE_GUEST_MEMFD: size = 0x7b, expected that .*page size" "$work/report"
ok $? "a line names object, value and what is expected"

for engine in $(engines); do
	"$gmem" run --engine "$engine" --report-file "$work/report" --summary -- "$prog" touches 100
	is "$(grep -c 'load from a private page' "$work/report")" 8 "$engine: 100 loads by one instruction are 8 lines"
	is "$(grep 'load from a private page' "$work/report" | sed 's/.* process [0-9]*\(, [0-9]* times\)*.*/\1/' | tr -d '\n')" \
		", 2 times, 4 times, 8 times, 16 times, 32 times, 64 times, 100 times" "$engine: told at powers of two, and at the end"
	is "$(grep -c 'store to a private page' "$work/report")" 1 "$engine: another instruction has a line of its own"
	is "$(grep -c 'load from a missing page' "$work/report")" 1 "$engine: as has one behind the end"
	grep -q "1 files, 0 calls refused, 102 forbidden touches" "$work/report"
	ok $? "$engine: the summary has them all"
	tail -n 1 "$work/report" | diag
done

"$gmem" run --report-file "$work/report" --summary -- "$prog" threads 2000
grep -q " 8000 calls refused" "$work/report"
ok $? "a flood of refusals is counted although it cannot all be told"
tail -n 1 "$work/report" | diag
lines=$(grep -c "(rule gmem-size-align" "$work/report")
[ "$lines" -ge 1 ] && [ "$lines" -le 8000 ]
ok $? "and told as far as it can be ($lines lines)"

"$gmem" run --summary -- "$prog" refusals >/dev/null 2>"$work/err"
is "$(wc -l <"$work/err")" 1 "--summary alone is one line"
"$gmem" run -- "$prog" touches 3 2>"$work/err"
is "$(cat "$work/err")" "" "nothing is told unasked"
"$gmem" run --report-file "$work/report" -- sh -c '"$0" touches 3 & "$0" touches 3; wait' "$prog"
is "$(grep 'load from a private' "$work/report" | sed 's/^[^[]*\[\([0-9]*\).*/\1/' | sort -u | wc -l)" 2 \
	"lines tell which process"
done_testing
