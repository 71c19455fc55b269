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

# A kernel is called by its name: here it is a profile.  With its switch off 7.4 does nothing that 7.3 does not, since
# 7.3.2.
for profile in $profiles; do
	case $profile in
	linux-7.3 | linux-7.4-vm-attributes) called="linux-7.3 or linux-7.4-vm-attributes" ;;
	*) called=$profile ;;
	esac
	"$gmem" run --profile "$profile" -- "$gmem" check >"$work/out" 2>&1
	is "$(sed -n 's/^kernel: is \(.*\), by .*/\1/p' "$work/out")" "$called" "a kernel that is $profile is called so"
done

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

done_testing
