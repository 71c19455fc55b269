#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/check.t - gmem check: every profile on every engine conforms, and a kernel is called by its name

. "$(dirname "$0")/common.sh"

profiles="linux-6.1 linux-6.8 linux-6.12 linux-6.18 linux-7.3 linux-7.4 linux-7.4-vm-attributes"

# conforms LABEL OPTION...
conforms() {
	label=$1
	shift
	timeout -k 5 120 "$gmem" check "$@" >"$work/out" 2>&1
	ok $? "$label: $(tail -n 1 "$work/out")"
	[ "$(wc -l <"$work/out")" -le 1 ] || diag 20 <"$work/out"
}

for profile in $profiles; do
	for engine in $(engines); do
		conforms "$profile on $engine" --against "$profile" --engine "$engine"
	done
done
for profile in linux-6.18 linux-7.3 linux-7.4 linux-7.4-vm-attributes; do
	conforms "$profile with every VM type" --against "$profile" --vm-types sev,sev-es,snp,tdx
done
conforms "linux-6.12 with what it knows" --against linux-6.12 --vm-types sev,sev-es,snp
conforms "switched on" --against linux-7.4-vm-attributes --module-param gmem_in_place_conversion=1

# What it says about a kernel that it does not know: here the kernel is a profile.
for profile in $profiles; do
	"$gmem" run --profile "$profile" -- "$gmem" check >"$work/out" 2>&1
	is "$(sed -n 's/^kernel: is \(.*\), by .*/\1/p' "$work/out")" "$profile" "a kernel that is $profile is called so"
done

# Cases can fail, and say where.
"$gmem" run --profile linux-7.3 -- "$gmem" check --tap bind.conflict >"$work/out" 2>&1
ok $? "bind.conflict passes on 7.3"
"$gmem" run --profile linux-6.18 -- "$gmem" check --json bind >"$work/out" 2>&1
grep -A 1 '"name": "linux-7.3"' "$work/out" | grep -q '"deviations": [1-9]'
ok $? "and tells 6.18 from 7.3"

case $(uname -r) in
6.18*)
	if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
		"$gmem" check >"$work/out" 2>&1
		status=$?
		is "$status $(sed -n 's/^kernel: is \([^,]*\), by .*/\1/p' "$work/out")" "0 linux-6.18" "this kernel is linux-6.18"
		diag <"$work/out"
		conforms "linux-6.18 in the shape of this host" --against linux-6.18 --shape host
	else
		skip "/dev/kvm is not accessible"
	fi
	;;
*) skip "this kernel is $(uname -r): nothing is known about it" ;;
esac

# Every rule that a case cites exists.
"$gmem" check --list >"$work/list"
missing=
for rule in $(sed -n 's/.*rules: //p' "$work/list"); do
	"$gmem" explain "$rule" >/dev/null 2>&1 || missing="$missing $rule"
done
is "$missing" "" "all $(sed -n 's/.*rules: //p' "$work/list" | wc -w) citations are of rules that exist"
is "$(grep -vc 'rules: ' "$work/list")" "$(grep -c '^CASE(' "$(dirname "$0")/../check/case.def")" "all cases are listed"

# Machine output.
"$gmem" check --against linux-7.4 --tap convert >"$work/out"
is "$(tail -n 1 "$work/out")" "1..$(grep -c '^ok' "$work/out")" "TAP has its plan"
"$gmem" check --against linux-7.4 --junit convert >"$work/out"
is "$(grep -c '<testcase' "$work/out")" "$(sed -n 's/.*tests="\([0-9]*\)".*/\1/p' "$work/out")" "JUnit counts its cases"
"$gmem" check --against linux-6.12 --tap convert.checks | grep -q '^ok 1 .*# SKIP'
ok $? "what a generation lacks is skipped"

# Usage.
"$gmem" check no.such.case >/dev/null 2>&1
is $? 2 "an unknown case is a usage error"
"$gmem" check --against linux-9.9 >/dev/null 2>&1
is $? 2 "an unknown profile is a usage error"
"$gmem" check --engine eg >/dev/null 2>&1
is $? 2 "the kernel has no engine"
done_testing
