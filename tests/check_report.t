#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/check_report.t - what gmem check says: of a kernel that it does not know, in each format, of its cases

. "$(dirname "$0")/common.sh"

# A kernel that matches nothing: it maps no guest physical address from 2^34 on.
unknown() {
	"$gmem" run --profile linux-7.3 --shape gpa_bits=34 -- "$gmem" check "$@" 2>"$work/err"
}

unknown >"$work/out"
is $? 1 "a kernel that matches no generation is an answer of no"
is "$(sed -n 's/^kernel: resembles most \(.*\), by .*/\1/p' "$work/out")" "linux-7.3 or linux-7.4-vm-attributes" \
	"the generations that it resembles most are named"
is "$(grep -c '^  linux-.* deviations$' "$work/out")" 8 "each generation with how far it is from it"
is "$(sed -n 's/^  linux-7\.3  *\([0-9]*\) deviations$/\1/p' "$work/out")" \
	"$(grep -c ', expected .* (check/case_[a-z]*\.c:[0-9]*)$' "$work/out")" "every deviation is named, with its place in the source"
grep -q '^  gpa at 2^35: EINVAL, expected 0 (check/case_slot.c:[0-9]*)$' "$work/out"
ok $? "with what was asked, got and expected"
grep -A 1 '^  gpa at 2^35: ' "$work/out" | tail -n 1 |
	grep -q '^ *ioctl([0-9]*, KVM_SET_USER_MEMORY_REGION2, {slot 1, .*guest_phys_addr 0x800000000, .*}) = EINVAL$'
ok $? "with the call and its arguments"
diag <"$work/out"

# A case of few rules has them in words, with the function to look at.
"$gmem" run --profile linux-6.18 -- "$gmem" check --json bind.conflict >"$work/out" 2>"$work/err"
"$gmem" run --profile linux-7.3 --shape hva_limit=0x100000000 -- "$gmem" check bind.conflict >"$work/words" 2>"$work/err"
grep -q '^  rule bind-conflict: no page of the file range .*; else EEXIST (kvm_gmem_bind(), Linux 6.8)$' "$work/words"
ok $? "a rule in words"
grep -q '^  cannot go on, check/case_slot.c:[0-9]*: slot 7: .* (at its beginning)$' "$work/words"
ok $? "a case that cannot go on says where"
diag <"$work/words"
grep -A 1 '"name": "linux-7.3"' "$work/out" | grep -q '"deviations": [1-9]'
ok $? "bind.conflict tells 6.18 from 7.3"

# json FILE, xml FILE: a parser other than ours takes it; the number of cases.
json() {
	if command -v python3 >/dev/null; then
		python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["cases"]))' "$1"
	elif command -v jq >/dev/null; then
		jq '.cases | length' "$1"
	else
		echo none
	fi
}
xml() {
	if command -v xmllint >/dev/null; then
		xmllint --xpath 'count(//testcase)' "$1"
	elif command -v python3 >/dev/null; then
		python3 -c 'import sys, xml.dom.minidom as d; print(len(d.parse(sys.argv[1]).getElementsByTagName("testcase")))' "$1"
	else
		echo none
	fi
}
# prove(1), which runs these tests, has a parser: points, failed, skipped, problems of the grammar.
tap() {
	perl -MTAP::Parser -e 'my $p = TAP::Parser->new({ tap => join "", <> }); $p->run;
		print join(" ", $p->tests_run, scalar $p->failed, scalar $p->skipped, scalar $p->parse_errors), "\n"' "$1"
}
cases=$(grep -c '^CASE(' "$(dirname "$0")/../check/case.def")

# all NAME COMMAND...: the three formats of a whole run.
all() {
	name=$1
	shift
	"$@" --json >"$work/json" 2>"$work/err"
	"$@" --junit >"$work/xml" 2>>"$work/err"
	"$@" --tap >"$work/tap" 2>>"$work/err"
	count=$(json "$work/json")
	[ "$count" = none ] && skip "neither python3 nor jq" || is "$count" "$cases" "$name: JSON has every case"
	count=$(xml "$work/xml")
	[ "$count" = none ] && skip "neither xmllint nor python3" || is "$count" "$cases" "$name: JUnit has every case"
	failed=$(grep -c '"result": "failed"' "$work/json")
	skipped=$(grep -c '"result": "skipped"' "$work/json")
	is "$(tap "$work/tap")" "$cases $failed $skipped 0" "$name: TAP says the same"
	is "$(sed -n 's/.* failures="\([0-9]*\)" skipped="\([0-9]*\)">$/\1 \2/p' "$work/xml")" "$failed $skipped" "$name: so does JUnit"
	is "$(grep -c '"needs": "[A-Za-z]' "$work/json")" "$skipped" "$name: what is skipped says why"
	diag <"$work/err"
}
all "a profile" "$gmem" check --against linux-6.12
all "an unknown kernel" unknown

# Every rule that a case cites exists.
"$gmem" check --list >"$work/list"
missing=
for rule in $(sed -n 's/.* rules: //p' "$work/list"); do
	"$gmem" explain "$rule" >/dev/null 2>&1 || missing="$missing $rule"
done
is "$missing" "" "all $(sed -n 's/.* rules: //p' "$work/list" | wc -w) citations are of rules that exist"
is "$(grep -c '^[a-z]*\.[a-z_0-9]* ' "$work/list")" "$cases" "all cases are listed"

# Usage.
"$gmem" check no.such.case >/dev/null 2>&1
is $? 2 "an unknown case is a usage error"
"$gmem" check --against linux-9.9 >/dev/null 2>&1
is $? 2 "an unknown profile is a usage error"
"$gmem" check --engine eg >/dev/null 2>&1
is $? 2 "the kernel has no engine"
"$gmem" check --against linux-7.3 --poison >/dev/null 2>&1
is $? 2 "a profile breaks without being asked"

# A real kernel's pages are broken only when it is said: nobody does here.
"$gmem" check --tap poison >"$work/out" 2>&1
case $? in
0) is "$(grep -c '^ok .* # SKIP needs .*--poison' "$work/out")" 3 "without --poison no page of this machine is broken" ;;
*) skip "$(tail -n 1 "$work/out")" ;;
esac
done_testing
