#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/cli_tables.t - caps, profiles, explain, doctor: text, JSON, man pages
. "$(dirname "$0")/cli_lib.sh"

# valid FILE: whether it holds one JSON value.
if command -v python3 >/dev/null; then
	valid() { python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1"; }
elif command -v jq >/dev/null; then
	valid() { jq -e . "$1" >/dev/null; }
else
	valid() { return 77; }
fi
json_is_valid() {
	verb=$1
	shift
	"$gmem" "$verb" --json "$@" >"$work/json"
	valid "$work/json" 2>"$work/err"
	[ $? -eq 77 ] && skip 1 "neither python3 nor jq" && return
	valid "$work/json" 2>/dev/null
	check "gmem $verb --json $* is JSON"
}

# row CAPABILITY [OPTIONS]: its line in gmem caps, blanks squeezed.
row() {
	name=$1
	shift
	"$gmem" caps "$@" | grep "^$name " | tr -s ' ' | sed 's/ $//'
}
is "$(row GUEST_MEMFD_FLAGS --profile linux-6.18)" "GUEST_MEMFD_FLAGS 244 MMAP|INIT_SHARED MMAP|INIT_SHARED MMAP" \
	"flags differ between device and VM with private memory, and are in words"
is "$(row GUEST_MEMFD --profile linux-6.12)" "GUEST_MEMFD 234 BASIC 0 BASIC" "before 6.18 a default VM has no guest_memfd"
is "$(row MEMORY_ATTRIBUTES --profile linux-7.3)" "MEMORY_ATTRIBUTES 233 PRIVATE 0 PRIVATE" "attributes of a VM"
is "$(row MEMORY_ATTRIBUTES --profile linux-7.4)" "MEMORY_ATTRIBUTES 233 0 0 0" "... which 7.4 has no more"
is "$(row GUEST_MEMFD_MEMORY_ATTRIBUTES)" "GUEST_MEMFD_MEMORY_ATTRIBUTES 252 PRIVATE 0 PRIVATE" "... but the file has"
is "$(row MEMORY_ATTRIBUTES --profile linux-7.4-vm-attributes --module-param gmem_in_place_conversion=1)" \
	"MEMORY_ATTRIBUTES 233 0 0 0" "the module parameter decides between the two"
is "$(row VM_TYPES --profile linux-6.1)" "VM_TYPES 235 0 0" "a kernel without guest_memfd"
like "$(row VM_TYPES --vm-types snp)" "*default|sw-protected|snp*" "--vm-types adds a column and its bit"
for profile in $("$gmem" profiles | grep '^linux' | cut -d' ' -f1); do
	like "$("$gmem" caps --all | head -1)" "*$profile*" "caps --all has $profile"
done
if [ -e /dev/kvm ] && [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
	like "$("$gmem" caps --host)" "host*GUEST_MEMFD *" "caps --host asks /dev/kvm"
	json_is_valid caps --host
else
	"$gmem" caps --host >/dev/null 2>"$work/err"
	is $? 1 "caps --host without /dev/kvm: 1"
	like "$(cat "$work/err")" "*/dev/kvm*" "... and says why"
fi
"$gmem" caps --profile none >/dev/null 2>&1
is $? 2 "caps of an unknown profile: 2"
"$gmem" caps --all --host >/dev/null 2>&1
is $? 2 "caps: options that exclude each other: 2"

"$gmem" explain >"$work/rules"
while read -r rule error _; do
	"$gmem" explain "$rule" >"$work/one"
	[ $? -eq 0 ] && grep -q '^  must hold: ' "$work/one" && grep -q "^  otherwise:  .*$error" "$work/one" &&
		grep -q '^  what to do: .' "$work/one"
	check "explain $rule"
done <"$work/rules"
[ "$(wc -l <"$work/rules")" -gt 50 ]
check "explain without argument lists all rules"
like "$("$gmem" explain bind-conflict)" "*EINVAL in*linux-6.18*EEXIST in linux-7.3*" "explain tells the errno by profile"
"$gmem" explain conflict >/dev/null 2>"$work/err"
is $? 1 "explain of an unknown rule: 1"
like "$(cat "$work/err")" "*bind-conflict*" "... and suggests one"

json_is_valid caps
json_is_valid caps --all
json_is_valid caps --vm-types=sev,sev-es,snp,tdx
json_is_valid profiles
json_is_valid explain
json_is_valid explain bind-fd
json_is_valid doctor

"$gmem" doctor >"$work/doctor"
status=$?
case $(tail -1 "$work/doctor") in
"This host is fit for gmem.") expected=0 ;;
*) expected=1 ;;
esac
is $status $expected "doctor's status agrees with its verdict"
for engine in dp eg remap; do
	like "$(grep '^[a-z]* *engine  ' "$work/doctor")" "*$engine can*" "doctor tells whether engine $engine runs"
done
for subject in memfd userfaultfd 'guard markers' 'memory failure' vm.max_map_count seccomp /dev/kvm /proc inotify RLIMIT_FSIZE; do
	grep -q "^[a-z]* *$subject  " "$work/doctor"
	check "doctor looks at $subject"
done
[ -z "$(tr -d '\n -~\t' <"$work/doctor" | head -c 1)" ]
check "no colours where there is no terminal"

for verb in run caps profiles explain doctor bench; do
	like "$("$gmem" $verb --help)" "Usage: gmem $verb*" "gmem $verb --help"
	like "$("$gmem" help $verb)" "Usage: gmem $verb*" "gmem help $verb"
done
like "$("$gmem" --version)" "gmem [0-9]*" "gmem --version"
"$gmem" nonsense >/dev/null 2>&1
is $? 2 "an unknown verb: 2"
"$gmem" >/dev/null 2>&1
is $? 2 "no verb: 2"
"$gmem" caps >/dev/full 2>"$work/err"
is $? 1 "output that cannot be written is an error"

for page in "explain gmem-rules" "profiles gmem-profiles"; do
	"$gmem" ${page% *} --man >"$work/page.7"
	like "$(head -3 "$work/page.7" | tail -1)" ".TH GMEM-*7*" "${page#* }(7) is made from the table"
	if command -v groff >/dev/null; then
		is "$(groff -man -ww -Tascii -z "$work/page.7" 2>&1)" "" "... and groff has nothing to complain about"
	else
		skip 1 "no groff"
	fi
done
done_testing
