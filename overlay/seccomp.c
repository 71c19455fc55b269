// SPDX-License-Identifier: MIT
/*
 * overlay/seccomp.c - programs that install a seccomp filter
 *
 * A filter that does not know gmem would kill the first system call that gmem
 * makes for itself.  In front of every filter that the program installs stand
 * a few instructions that let one instruction pass, the stub of
 * rt_syscall_raw(); whatever the program calls goes elsewhere and is judged by
 * its own filter.  Calls that gmem answers without the kernel are put to the filter first
 * (overlay/ioctl.c).
 *
 * Filters outlive exec(2), and the new image has the stub elsewhere.  So they let a fixed
 * address pass as well, GATE, where nothing is in this image.  The new one learns from its environment that there are filters
 * (GMEM_FILTERED), maps the stub's page of its own object there, and enters the kernel through it.
 *
 *  SEC-1  Until that is done it makes three calls, as the program: the object is opened, mapped and closed,
 *	   in the way in which the dynamic linker has just done that.  A filter that lets no program start
 *	   does not let this one start, either.
 *  SEC-2  When it fails, the image ends with status 126, with a report if the filter allows one: it must
 *	   neither meet the real kernel nor be killed later at a call that it never made.
 */
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#include "overlay/environ.h"
#include "overlay/overlay.h"
#include "rt/alloc.h"
#include "rt/string.h"
#include "rt/user.h"

_Atomic bool ov_filtered;

/* Far from where programs, heaps and mappings are put, also by sanitizers. */
#define GATE	   0x7e8000010000UL
#define ALLOW_LEN  5
#define PREFIX_LEN (2 * ALLOW_LEN + 1)

/* Calls from the stub at this address pass. */
static void write_allow(struct sock_filter *f, u64 stub)
{
	const u64 ip = stub + RT_SYSCALL_LEN;
	const u32 ip_low = offsetof(struct seccomp_data, instruction_pointer);

	f[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip_low);
	f[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)ip, 0, 3);
	f[2] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ip_low + 4);
	f[3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)(ip >> 32), 0, 1);
	f[4] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
}

static void write_prefix(struct sock_filter *f)
{
	write_allow(f, (u64)(uintptr_t)rt_syscall_stub);
	write_allow(f + ALLOW_LEN, GATE);
	/* The program's filter starts with an accumulator of 0. */
	f[2 * ALLOW_LEN] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
}

/* The program's filter behind our prefix; none where the kernel should see the original and refuse it. */
static int prefixed(u64 fprog_addr, struct sock_fprog *fprog, struct sock_filter **ret)
{
	struct sock_filter *filter;
	size_t bytes;

	*ret = NULL;
	if (rt_copy_in(fprog, fprog_addr, sizeof(*fprog)) < 0 || !fprog->len || fprog->len > BPF_MAXINSNS - PREFIX_LEN)
		return 0;
	bytes = fprog->len * sizeof(*filter);
	filter = rt_alloc(bytes + PREFIX_LEN * sizeof(*filter));
	if (!filter)
		return -ENOMEM;
	if (rt_copy_in(filter + PREFIX_LEN, (u64)(uintptr_t)fprog->filter, bytes) < 0) {
		rt_free(filter, bytes + PREFIX_LEN * sizeof(*filter));
		return 0;
	}
	write_prefix(filter);
	*ret = filter;
	return 0;
}

/* nr is seccomp(2) or prctl(2), whose argument with the program is the third or the second of the rest. */
static long install(long nr, u64 a, u64 b, u64 fprog_addr, u64 d, u64 e)
{
	struct sock_fprog fprog;
	struct sock_filter *filter;
	struct ov_guard guard;
	long ret;

	ov_enter(&guard);
	ret = prefixed(fprog_addr, &fprog, &filter);
	ov_leave(&guard);
	if (ret < 0)
		return ret;
	if (filter) {
		fprog.filter = filter;
		fprog.len = (unsigned short)(fprog.len + PREFIX_LEN);
		fprog_addr = (u64)(uintptr_t)&fprog;
	}
	ret = ov_raw(nr, a, b, fprog_addr, d, e);
	if (ret >= 0 && !ov_filtered) {
		ov_filtered = true;
		ov_env_keep(WIRE_ENV_FILTERED "1");
	}
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

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

/* Where in the object's file the stub's page is, or -1. */
static long stub_offset(void)
{
	const char *base = (const char *)&__ehdr_start;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(const void *)(base + __ehdr_start.e_phoff);
	u64 at = (u64)(rt_syscall_stub - base);

	for (unsigned i = 0; i < __ehdr_start.e_phnum; i++, p++)
		if (p->p_type == PT_LOAD && at - p->p_vaddr < p->p_filesz)
			return (long)(p->p_offset + (at - p->p_vaddr));
	return -1;
}

/* SEC-1 */
static int map_gate(void)
{
	long fd = ov_raw(__NR_openat, AT_FDCWD, ov_config.object, O_RDONLY | O_CLOEXEC), offset = stub_offset(), at;

	if (rt_is_err(fd))
		return (int)fd;
	at = ov_raw(__NR_mmap, GATE, RT_PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, offset);
	ov_raw(__NR_close, fd);
	if (rt_is_err(at))
		return (int)at;
	/* A kernel without NOREPLACE gave another place; or the file is not the one that was loaded. */
	if (at != (long)GATE || memcmp((const char *)GATE, rt_syscall_stub, RT_SYSCALL_LEN + 1) != 0)
		return -EEXIST;
	return 0;
}

int ov_seccomp_inherited(void)
{
	int ret = map_gate();

	if (ret)
		return ret;
	rt_syscall_gate = (const char *)GATE;
	ov_filtered = true;
	return 0;
}
