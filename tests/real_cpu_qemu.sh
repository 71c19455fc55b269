#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tests/real_cpu_qemu.sh BUILD - gmem run --cpu=kvm on a real kernel's KVM, in QEMU (make check-real-cpu)
#
# The newest of the kernels that tests/oracle.sh keeps boots with gmem and what tests/real_cpu_lib.sh runs;
# QEMU's interpreter has AMD's nested paging, so that KVM works in it.  Takes some minutes.
# Exit status 77 and a line on stderr when something cannot be had.
set -u

unavailable() {
	echo "$1" >&2
	exit 77
}

here=$(dirname "$0")
build=$1
cache=${XDG_CACHE_HOME:-/var/tmp}/gmem-oracle
for tool in qemu-system-x86_64 busybox gzip strip; do
	command -v $tool >/dev/null || unavailable "$tool is not installed"
done
# Not one that was built for the oracle: it runs no scripts.
kernel=${REAL_CPU_KERNEL:-$(find "$cache" -name 5-kvm-amd.ko 2>/dev/null | sort -V | tail -n 1 | sed 's,/[^/]*$,,')}
[ -s "$kernel/vmlinuz" ] || unavailable "no kernel: tests/oracle.sh $build debian gets some"
selftests=$("$here/kselftest.sh") || selftests=
work=$(mktemp -d "${TMPDIR:-/tmp}/gmem-real-cpu.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# shellcheck source=tests/initrd_lib.sh
. "$here/initrd_lib.sh"

# add NAME FILE: without debugging information, where there is any.
add() {
	cp -L "$2" "$work/file"
	strip -g "$work/file" 2>/dev/null
	entry "$1" 0100755 "$work/file"
}

archive() {
	for directory in bin dev proc sys tmp gmem gmem/tests guest selftests selftests/x86 modules lib64 lib lib/x86_64-linux-gnu; do
		entry $directory 040755
	done
	add bin/busybox "$(command -v busybox)"
	add gmem/gmem "$build/gmem"
	add gmem/libgmem-preload.so "$build/libgmem-preload.so"
	for program in vcpu_exits vcpu_memory vcpu_state vcpu_stress irq poison inplace_pages; do
		add gmem/tests/run_$program "$build/tests/run_$program"
	done
	for file in boot vmlinuz initrd; do
		[ ! -s "$work/guest/vmlinuz" ] || entry guest/$file 0100755 "$work/guest/$file"
	done
	for library in libc.so.6 libpthread.so.0 libdl.so.2 libgcc_s.so.1; do
		add lib/x86_64-linux-gnu/$library /lib/x86_64-linux-gnu/$library
	done
	add lib64/ld-linux-x86-64.so.2 /lib64/ld-linux-x86-64.so.2
	for test in guest_memfd_test set_memory_region_test pre_fault_memory_test dirty_log_test x86/private_mem_conversions_test \
		x86/private_mem_kvm_exits_test x86/userspace_io_test x86/sync_regs_test; do
		[ ! -x "$selftests/$test" ] || add selftests/$test "$selftests/$test"
	done
	for module in "$kernel"/*.ko; do
		[ ! -e "$module" ] || entry "modules/$(basename "$module")" 0100644 "$module"
	done
	entry lib.sh 0100644 "$here/real_cpu_lib.sh"
	entry init 0100755 "$work/init"
	entry 'TRAILER!!!' 0
}

cat >"$work/init" <<'I'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
for module in /modules/*.ko; do
	insmod "$module"
done
gmem=/gmem/gmem programs=/gmem/tests selftests=/selftests boot=/guest scratch=/tmp/scratch slow=y n=0 failed=0
ok() {
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" && return
	failed=$((failed + 1))
	echo "not ok $n - $2"
}
skip() {
	n=$((n + 1))
	echo "ok $n # SKIP $1"
}
. /lib.sh
echo "# kernel $(uname -r)"
$gmem doctor 2>&1 | grep 'CPU for guests' | sed 's/^/# /'
real_cpu_all
echo "1..$n"
echo "real-cpu: end $failed"
poweroff -f
I

mkdir "$work/guest"
"$here/boot_files.sh" "$build" "$work/guest" >/dev/null || echo "Linux will not be booted" >&2
archive | gzip -1 >"$work/initrd"
# One processor, as in tests/oracle.sh.
timeout -k 5 "${REAL_CPU_TIMEOUT:-1500}" qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 2048 \
	-nodefaults -display none -serial stdio -no-reboot -kernel "$kernel/vmlinuz" -initrd "$work/initrd" \
	-append "console=ttyS0 quiet panic=-1 rdinit=/init nokaslr mitigations=off" </dev/null 2>&1 |
	tr -d '\r' | tee "$work/console" | grep -E --line-buffered '^(ok|not ok|#|1\.\.)'
grep -qx 'real-cpu: end 0' "$work/console" && exit 0
grep -q '^real-cpu: end' "$work/console" || tail -n 20 "$work/console" >&2
exit 1
