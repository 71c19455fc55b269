# SPDX-License-Identifier: MIT
#
# tests/real_cpu_lib.sh - guests on the real KVM beneath, program by program; sourced by real_cpu.t and in QEMU
# shellcheck shell=sh disable=SC2154 # what it wants
#
# Wants: $gmem, $programs (tests/run_*), $selftests (the kernel's; may be empty), $scratch (a file), $boot (a directory
# with examples/boot, vmlinuz and initrd; may be empty), $slow (set where the real KVM is an emulated one), ok and skip as in tests/common.sh.

# KVM's own accesses: through the file, where the kernel goes through userspace_addr (docs/real-cpu.md).
own_accesses='of what is at userspace_addr, not in the file|it is MMIO$'
# In QEMU: guests are not single-stepped, nothing is quick, and no TSC is stable.
emulated='for debugging|behind the first instruction|where RIP is|as it was set|still running|there were conversions'

# program PROFILE NAME KNOWN [ARGUMENTS]: a program that prints TAP; KNOWN: its points that differ.
program() {
	profile=$1 name=$2 known=$3
	shift 3
	[ -z "${slow:-}" ] || known="$known|$emulated"
	timeout 200 "$gmem" run --cpu=kvm --profile "$profile" -- "$programs/run_$name" "$@" >"$scratch" 2>&1
	grep -q '^1\.\.[0-9]' "$scratch"
	ok $? "$name, $profile: ran to its end"
	differs=$(grep '^not ok' "$scratch" | grep -vE "($known)")
	[ -z "$differs" ]
	ok $? "$name, $profile: as on the software vCPU"
	[ -z "$differs" ] || echo "$differs" | sed 's/^/# /'
}

# selftest NAME [ARGUMENTS]
selftest() {
	test=$1
	shift
	if [ ! -x "$selftests/$test" ]; then
		skip "$test: not built"
		return
	fi
	timeout 300 "$gmem" run --cpu=kvm --profile linux-7.3 -- "$selftests/$test" "$@" >"$scratch" 2>&1
	status=$?
	case $status in
	0) ok 0 "$test $*" ;;
	4) skip "$test $*: $(tail -n 1 "$scratch")" ;;
	*)
		ok 1 "$test $* (status $status)"
		tail -n 5 "$scratch" | sed 's/^/# /'
		;;
	esac
}

# conformance PROFILE: of what is no guest's; gmem check calls the /dev/kvm that it finds.
conformance() {
	timeout 200 "$gmem" run --cpu=kvm --profile "$1" -- "$gmem" check --against "$1" >"$scratch" 2>&1
	status=$?
	ok $status "gmem check, $1: $(tail -n 1 "$scratch")"
}

# linux VCPUS: boots in one guest_memfd file.
linux() {
	if [ ! -s "$boot/vmlinuz" ]; then
		skip "Linux, vCPUs: $1: no kernel for the guest, or no static C library"
		return
	fi
	BOOT_CPUS=$1 BOOT_MIB=192 timeout 200 "$gmem" run --cpu=kvm --profile linux-6.18 -- \
		"$boot/boot" "$boot/vmlinuz" "$boot/initrd" >"$scratch" 2>&1 </dev/null
	ok $? "Linux boots to user space and restarts, vCPUs: $1"
	points=0
	for point in "$1 processors" 'processes ok' 'sleeps ok' 'timer ok' 'floats ok' 'memory ok' 'signals ok'; do
		tr -d '\r' <"$scratch" | grep -qx "init: $point" && points=$((points + 1))
	done
	[ $points -eq 7 ]
	ok $? "in the guest all is well, vCPUs: $1"
}

# difference A B STEPS: the same random steps, guests among them, on both.
difference() {
	timeout 500 "$gmem" diff "$1" "$2" --ops "$3" --seconds 100 --seed "${GMEM_DIFF_SEED:-$(date +%Y%m%d)}" \
		--output "$scratch.c" >"$scratch" 2>&1
	status=$?
	ok $status "gmem diff $1 $2: $(tail -n 1 "$scratch")"
	[ $status -eq 0 ] || { cat "$scratch"; grep '^	SHOW(' "$scratch.c"; } | sed 's/^/# /'
	rm -f "$scratch.c"
}

differences() {
	for profile in linux-6.12 linux-6.18 linux-7.3 linux-7.4; do
		difference $profile/kvm model 10000
	done
	difference linux-7.3/kvm linux-7.3 10000
	case $(uname -r) in
	6.18*) difference kernel linux-6.18 10000 ;;
	7.3*) difference kernel linux-7.3 10000 ;;
	*) skip "kernel $(uname -r): of no profile that has been compared" ;;
	esac
}

real_cpu_all() {
	for profile in linux-6.18 linux-7.3 linux-7.4; do
		program "$profile" vcpu_exits 'nothing'
		program "$profile" vcpu_memory "$own_accesses"
	done
	program linux-7.3 vcpu_state 'nothing'
	for profile in linux-7.3 linux-7.4; do
		program "$profile" vcpu_stress 'nothing' --seconds 5
	done
	program linux-7.3 irq 'nothing'
	program linux-7.4 poison 'nothing'
	program linux-7.4 inplace_pages 'nothing'
	for profile in linux-6.1 linux-6.8 linux-6.12 linux-6.18 linux-7.3 linux-7.4 linux-7.4-vm-attributes; do
		conformance $profile
	done
	differences
	linux 1
	linux 2
	# The divergence is there: when it is gone, docs/real-cpu.md is wrong.
	"$gmem" run --cpu=kvm --profile linux-7.3 -- "$programs/run_vcpu_memory" >"$scratch" 2>&1
	grep -q '^not ok .*of what is at userspace_addr' "$scratch"
	ok $? "divergence own-accesses: KVM's own accesses meet the file"
	selftest guest_memfd_test
	selftest x86/private_mem_conversions_test
	selftest x86/private_mem_conversions_test -n 4 -m 2
	selftest x86/private_mem_kvm_exits_test
	selftest set_memory_region_test
	selftest pre_fault_memory_test
	selftest x86/userspace_io_test
	selftest x86/sync_regs_test
	selftest dirty_log_test
}
