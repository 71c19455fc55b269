#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/real_cpu.t - gmem run --cpu=kvm: where this host's KVM is fit, guests on it; else the refusal

. "$(dirname "$0")/common.sh"

"$gmem" doctor >"$work/doctor" 2>&1
grep -q 'CPU for guests' "$work/doctor"
ok $? "gmem doctor says what runs guests"
"$gmem" run --cpu=kvm -- /bin/true >"$work/out" 2>"$work/err"
status=$?
if [ $status -ne 0 ]; then
	is $status 125 "--cpu=kvm is refused where the real KVM is not fit"
	grep -q '^gmem: --cpu kvm: .' "$work/err"
	ok $? "with the reason"
	is "$(sed -n 's/^gmem: --cpu kvm: //p' "$work/err")" \
		"$(sed -n 's/.*CPU for guests *the software vCPU; the real KVM is not fit: //p' "$work/doctor")" \
		"which gmem doctor gives, too"
	skip "guests on the real KVM: $(sed 's/^gmem: //' "$work/err")"
	done_testing
fi
scratch=$work/scratch
programs=$build/tests
selftests=$("$(dirname "$0")/kselftest.sh" 2>/dev/null)
boot=$work/boot
mkdir "$boot"
"$(dirname "$0")/boot_files.sh" "$build" "$boot" >/dev/null 2>&1
# shellcheck source=tests/real_cpu_lib.sh
. "$(dirname "$0")/real_cpu_lib.sh"
real_cpu_all
done_testing
