#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/vmm.t - unmodified VMMs boot Debian's kernel to user space on the software vCPU (docs/clients.md)
#
# Runs QEMU where it is installed; boot_files.sh fetches the kernel, tests/guest/init.c is the first program.

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/boot_lib.sh"

qemu=$(command -v qemu-system-x86_64)
[ -n "$qemu" ] || skip_all "QEMU is not installed"
fetch_guest

# vmm LABEL PROFILE COMMAND...: boots, runs the first program's tests, and ends by itself.
vmm() {
	label=$1 profile=$2
	shift 2
	timeout -k 5 300 "$gmem" run --profile "$profile" --cpu soft -- "$@" >"$work/console" 2>"$work/err" </dev/null
	status=$?
	tr -d '\r' <"$work/console" >"$work/lines"
	grep -qx "init: done" "$work/lines"
	done=$?
	ok $((status + done)) "$label, $profile: Linux boots and restarts (status $status)"
	[ $((status + done)) -eq 0 ] || { tail -n 20 "$work/lines"; cat "$work/err"; } | diag
	is "$(grep '^init: .*: ' "$work/lines")" "" "$label, $profile: its first program has nothing to report"
}

# qemu PROFILE IRQCHIP VCPUS
qemu() {
	vmm "QEMU, irqchip $2, vCPUs: $3" "$1" "$qemu" -nodefaults -no-user-config -machine "pc,accel=kvm,kernel_irqchip=$2" \
		-m 192 -smp "$3" -display none -serial stdio -no-reboot -kernel "$work/vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet panic=-1 reboot=t"
}

"$qemu" --version | sed 's/^/# /;q'
qemu linux-6.18 on 2
qemu linux-7.4 split 1
# All the rest of them on request: each takes as long.
if [ -n "${VMM_ALL:-}" ]; then
	for profile in linux-6.1 linux-6.18 linux-7.3 linux-7.4; do
		for irqchip in on split off; do
			qemu $profile $irqchip 1
		done
	done
fi
done_testing
