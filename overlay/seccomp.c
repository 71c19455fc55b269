// SPDX-License-Identifier: MIT
/*
 * overlay/seccomp.c - programs that install a seccomp filter
 *
 * A filter that does not know gmem would kill the first system call that gmem
 * makes for itself.  In front of every filter that the program installs stand
 * seven instructions that let one instruction pass, the one in
 * rt_syscall_raw(); whatever the program calls goes elsewhere and is judged by
 * its own filter.  Calls that gmem answers without the kernel are put to the filter first
 * (overlay/ioctl.c).
 */
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "overlay/overlay.h"
#include "rt/alloc.h"
#include "rt/string.h"
#include "rt/user.h"

_Atomic bool ov_filtered;

#define PREFIX_LEN 6

static void write_prefix(struct sock_filter *f)
{
	const u64 ip = (u64)(uintptr_t)rt_syscall_ip;
	const u32 ip_low = offsetof(struct seccomp_data, instruction_pointer);

	f[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip_low);
	f[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)ip, 0, 3);
	f[2] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip_low + 4);
	f[3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)(ip >> 32), 0, 1);
	f[4] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	/* The program's filter starts with an accumulator of 0. */
	f[5] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
}

/* The program's filter behind our prefix; NULL when the kernel should see the original and refuse it. */
static struct sock_filter *prefixed(u64 fprog_addr, struct sock_fprog *fprog)
{
	struct sock_filter *filter;
	size_t bytes;

	if (rt_copy_in(fprog, fprog_addr, sizeof(*fprog)) < 0 || !fprog->len || fprog->len > BPF_MAXINSNS - PREFIX_LEN)
		return NULL;
	bytes = fprog->len * sizeof(*filter);
	filter = rt_alloc(bytes + PREFIX_LEN * sizeof(*filter));
	if (!filter)
		return NULL;
	if (rt_copy_in(filter + PREFIX_LEN, (u64)(uintptr_t)fprog->filter, bytes) < 0) {
		rt_free(filter, bytes + PREFIX_LEN * sizeof(*filter));
		return NULL;
	}
	write_prefix(filter);
	return filter;
}

/* nr is seccomp(2) or prctl(2), whose argument with the program is the third or the second of the rest. */
static long install(long nr, u64 a, u64 b, u64 fprog_addr, u64 d, u64 e)
{
	struct sock_fprog fprog;
	struct sock_filter *filter;
	struct ov_guard guard;
	long ret;

	ov_enter(&guard);
	filter = prefixed(fprog_addr, &fprog);
	ov_leave(&guard);
	if (filter) {
		fprog.filter = filter;
		fprog.len = (unsigned short)(fprog.len + PREFIX_LEN);
		fprog_addr = (u64)(uintptr_t)&fprog;
	}
	ret = ov_raw(nr, a, b, fprog_addr, d, e);
	if (ret >= 0)
		ov_filtered = true;
	if (filter)
		rt_free(filter, fprog.len * sizeof(*filter));
	return ret;
}

long ov_seccomp(u64 operation, u64 flags, u64 args)
{
	if (!ov_config.active || operation != SECCOMP_SET_MODE_FILTER)
		return ov_raw(__NR_seccomp, operation, flags, args);
	return install(__NR_seccomp, operation, flags, args, 0, 0);
}

long ov_prctl_raw(u64 option, u64 a, u64 b, u64 c, u64 d)
{
	if (!ov_config.active || option != PR_SET_SECCOMP || a != SECCOMP_MODE_FILTER)
		return ov_raw(__NR_prctl, option, a, b, c, d);
	return install(__NR_prctl, option, a, b, c, d);
}

int ov_prctl(int option, u64 a, u64 b, u64 c, u64 d)
{
	return (int)ov_ret(ov_prctl_raw((u64)option, a, b, c, d));
}
