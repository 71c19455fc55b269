// SPDX-License-Identifier: MIT
/*
 * check/case_access.c - contents through mappings as a whole, and the kernel's own accesses to them
 */
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "check/check.h"

#define SIZE (4 * PG)
#define HUGE (2 * MiB)

static int new_file(uint64_t size, uint64_t flags)
{
	return gmem_new(vm_new(kvm_open(), 0), size, flags);
}

/* How many bytes differ from value. */
static long others(const char *at, size_t len, int value)
{
	long count = 0;

	for (size_t i = 0; i < len; i++)
		count += (unsigned char)at[i] != value;
	return count;
}

/* Filled from the first byte on; where it was stopped, as a distance, or len. */
static long fill(char *at, size_t len, int value)
{
	for (size_t i = 0; i < len; i += PG / 4) {
		struct touch t = check_touch(at + i, value);

		if (t.sig)
			return t.sig == SIGBUS && t.addr == (uintptr_t)at + i ? (long)i : -1;
		memset(at + i, value, PG / 4);
	}
	return (long)len;
}

void case_fault_whole(void)
{
	int fd = new_file(SIZE, SHAREABLE);
	char *ptr = map_shared(fd, 4 * SIZE, 0), *fresh = map_shared(fd, SIZE, 0);

	SEE(others(fresh, SIZE, 0), 0, "bytes that are not 0, fresh");
	SEE(fill(ptr, 4 * SIZE, 0xaa), SIZE, "stores stop at the end of the file");
	SEE(check_load(ptr + SIZE), REFUSED, "a load there");
	SEE(others(ptr, SIZE, 0xaa), 0, "bytes that were not stored");
	SEE(others(fresh, SIZE, 0xaa), 0, "bytes that another mapping does not see");
	SEE(RET(fallocate(fd, 3, 0, PG)), 0, "a hole");
	SEE(others(ptr, PG, 0), 0, "bytes of it that are not 0");
	SEE(others(ptr + PG, SIZE - PG, 0xaa), 0, "bytes beside it that changed");
	SEE(fill(ptr, PG, 0xaa), PG, "it can be filled");
	SEE(others(fresh, SIZE, 0xaa), 0, "bytes that were not stored");
	SEE(RET(fallocate(fd, 1, 0, SIZE)), 0, "allocate what is there");
	SEE(others(ptr, SIZE, 0xaa), 0, "bytes that changed by it");
	SEE(RET(munmap(ptr, 4 * SIZE)), 0, "munmap");
}

/* As large as a huge page, and aligned like one: it has small pages all the same. */
void case_fault_aligned(void)
{
	char *room = map_anon(2 * HUGE), *at = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1)), *ptr;
	int fd = new_file(HUGE, SHAREABLE);

	ptr = mmap(at, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	SEE(ptr == at, 1, "mapped where it was asked for");
	SEE(RET(madvise(ptr, HUGE, MADV_HUGEPAGE)), 0, "HUGEPAGE");
	SEE(others(ptr, HUGE, 0), 0, "bytes that are not 0");
	memset(ptr, 0x41, HUGE);
	SEE(RET(madvise(ptr, HUGE, 25 /* MADV_COLLAPSE */)), -EINVAL, "COLLAPSE of pages that are all there");
	SEE(RET(madvise(ptr, HUGE, MADV_DONTNEED)), 0, "DONTNEED");
	SEE(others(ptr, HUGE, 0x41), 0, "bytes that changed by it");
	SEE(RET(fallocate(fd, 3, HUGE / 2, PG)), 0, "a hole of one page");
	SEE(others(ptr, HUGE, 0x41), PG, "bytes that changed by it");
}

static long use_mem(const char *at, bool store)
{
	int mem = open("/proc/self/mem", O_RDWR);
	char bytes[2 * PG];
	long ret;

	memset(bytes, 0x5b, sizeof(bytes));
	ret = store ? RET((pwrite)(mem, bytes, sizeof(bytes), (off_t)(uintptr_t)at)) :
		      RET((pread)(mem, bytes, sizeof(bytes), (off_t)(uintptr_t)at));
	close(mem);
	return ret;
}

static long remote(char *at, bool store)
{
	char bytes[2 * PG];
	struct iovec here = { bytes, sizeof(bytes) }, there = { at, sizeof(bytes) };

	memset(bytes, 0x5c, sizeof(bytes));
	return store ? RET(process_vm_writev(getpid(), &here, 1, &there, 1, 0)) :
		       RET(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
}

static long use_futex(char *at, int op, int value)
{
	const struct timespec soon = { .tv_nsec = 1000000 };

	return RET(syscall(SYS_futex, at, op, value, &soon, NULL, 0));
}

static long into_pipe(char *at)
{
	int fds[2];
	struct iovec iov = { at, PG };
	long ret;

	if (pipe(fds))
		return -errno;
	ret = RET(vmsplice(fds[1], &iov, 1, 0));
	close(fds[0]);
	close(fds[1]);
	return ret;
}

static long through_socket(char *at, bool receive)
{
	int pair[2];
	long ret;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || send(pair[0], "x", 1, 0) != 1)
		return -errno;
	ret = receive ? RET(recv(pair[1], at, 1, 0)) : RET(send(pair[0], at, 1, 0));
	close(pair[0]);
	close(pair[1]);
	return ret;
}

/* An ioctl's argument in the page. */
static long argument_at(int vm, char *at)
{
	const struct kvm_create_guest_memfd arg = { .size = PG };

	if (!check_touch(at, 0).sig)
		memcpy(at, &arg, sizeof(arg));
	return MADE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, at));
}

void case_fault_accesses(void)
{
	static const char *const names[] = { "a shared page", "the end of the file", "a private page",
					     "beyond the end" };
	int vm = vm_new(kvm_open(), 0);
	char *shared = map_shared(new_file(SIZE, SHAREABLE), 2 * SIZE, 0);
	char *none = map_shared(new_file(SIZE, GUEST_MEMFD_FLAG_MMAP), SIZE, 0);
	char *places[] = { shared, shared + SIZE - PG, none, shared + SIZE };

	for (unsigned i = 0; i < 4; i++) {
		long len = i == 0 ? 2 * (long)PG : (long)PG;
		bool good = i < 2;

		SEE(use_mem(places[i], false), good ? len : -EIO, "%s, read by /proc/self/mem", names[i]);
		SEE(use_mem(places[i], true), good ? len : -EIO, "%s, written by /proc/self/mem", names[i]);
		SEE(remote(places[i], false), good ? len : -EFAULT, "%s, process_vm_readv", names[i]);
		SEE(remote(places[i], true), good ? len : -EFAULT, "%s, process_vm_writev", names[i]);
		SEE(into_pipe(places[i]), good ? (long)PG : -EFAULT, "%s, vmsplice", names[i]);
		SEE(through_socket(places[i], true), good ? 1 : -EFAULT, "%s, recv", names[i]);
		SEE(through_socket(places[i], false), good ? 1 : -EFAULT, "%s, send", names[i]);
		SEE(argument_at(vm, places[i]), good ? 0 : -EFAULT, "%s, an ioctl's argument", names[i]);
		if (good)
			memset(places[i], 0, 4);
		SEE(use_futex(places[i], FUTEX_WAIT, 0), good ? -ETIMEDOUT : -EFAULT, "%s, futex wait", names[i]);
		SEE(use_futex(places[i], FUTEX_WAIT, 1), good ? -EAGAIN : -EFAULT, "%s, futex wait for another value",
		    names[i]);
		SEE(use_futex(places[i], FUTEX_WAKE, 1), good ? 0 : -EFAULT, "%s, futex wake", names[i]);
		SEE(use_futex(places[i], FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1), 0, "%s, futex wake within the process",
		    names[i]);
	}
}

/* A debugger's words: of a child, by its parent. */
void case_fault_ptrace(void)
{
	char *shared = map_shared(new_file(SIZE, SHAREABLE), 2 * SIZE, 0);
	char *none = map_shared(new_file(SIZE, GUEST_MEMFD_FLAG_MMAP), SIZE, 0);
	int status;
	pid_t pid;

	memcpy(shared, "\x78\x56\x34\x12\0\0\0", 8);
	pid = fork();
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		die("a child to debug");
	SEE(RET(ptrace(PTRACE_PEEKDATA, pid, shared, NULL)), 0x12345678, "peek at a shared page");
	SEE(RET(ptrace(PTRACE_POKEDATA, pid, shared + 8, (void *)0x41UL)), 0, "poke into it");
	SEE(check_load(shared + 8), 0x41, "what was poked");
	SEE(RET(ptrace(PTRACE_PEEKDATA, pid, none, NULL)), -EIO, "peek at a private page");
	SEE(RET(ptrace(PTRACE_POKEDATA, pid, none, NULL)), -EIO, "poke into it");
	SEE(RET(ptrace(PTRACE_PEEKDATA, pid, shared + SIZE, NULL)), -EIO, "peek beyond the end");
	ptrace(PTRACE_KILL, pid, NULL, NULL);
	waitpid(pid, &status, 0);
}

/* --- NUMA ------------------------------------------------------------------------------ */

static long set_policy(char *at, size_t len, int mode, unsigned long nodes)
{
	return RET(syscall(SYS_mbind, at, len, mode, nodes ? &nodes : NULL, nodes ? 64 : 0, 0));
}

/* The policy of an address, with its nodes from bit 8 on. */
static long policy_of(const char *at)
{
	unsigned long nodes[16] = { 0 };
	int mode = -1;
	long ret = RET(syscall(SYS_get_mempolicy, &mode, nodes, sizeof(nodes) * 8, at, MPOL_F_ADDR));

	return ret < 0 ? ret : mode | (long)nodes[0] << 8;
}

#define POLICY(mode, nodes) ((mode) | (nodes) << 8)

void case_memory_policy(void)
{
	int fd = new_file(SIZE, SHAREABLE), where = -1;
	char *ptr = map_shared(fd, SIZE, 0), *later;
	void *page = ptr;
	long seen;

	SEE(policy_of(ptr), POLICY(MPOL_DEFAULT, 0), "none at first");
	SEE(set_policy(ptr, 2 * PG, MPOL_INTERLEAVE, 1), 0, "INTERLEAVE on node 0");
	SEE(set_policy(ptr + 2 * PG, 2 * PG, MPOL_BIND, 1), 0, "BIND to node 0");
	SEE(policy_of(ptr), POLICY(MPOL_INTERLEAVE, 1), "the first page's");
	SEE(policy_of(ptr + PG), POLICY(MPOL_INTERLEAVE, 1), "the second's");
	SEE(policy_of(ptr + 2 * PG), POLICY(MPOL_BIND, 1), "the third's");
	SEE(set_policy(ptr, PG, 999, 0), -EINVAL, "policy 999");
	SEE(set_policy(ptr + 1, PG, MPOL_BIND, 1), -EINVAL, "address unaligned");
	SEE(set_policy(ptr, PG, MPOL_BIND, 0), -EINVAL, "BIND to nothing");
	SEE(set_policy(ptr, PG, MPOL_PREFERRED, 1), 0, "PREFERRED");
	SEE(policy_of(ptr), POLICY(MPOL_PREFERRED, 1), "it is");
	later = map_shared(fd, SIZE, 0);
	/* Before the file system, the policy was the mapping's: docs/divergences.md, mbind-file. */
	seen = policy_of(later + 2 * PG);
	SEE(seen, k->own_fs ? POLICY(MPOL_BIND, 1) : seen, "another mapping's");
	SEE(set_policy(ptr, SIZE, MPOL_DEFAULT, 0), 0, "DEFAULT");
	SEE(policy_of(ptr), POLICY(MPOL_DEFAULT, 0), "none again");
	SEE(policy_of(ptr + 3 * PG), POLICY(MPOL_DEFAULT, 0), "nor for the last");
	check_store(ptr, 1);
	SEE(RET(syscall(SYS_move_pages, 0, 1, &page, NULL, &where, 0)), 0, "move_pages, a question");
	SEE(where >= 0, 1, "the node of a page that is there");
	page = ptr + PG;
	SEE(RET(syscall(SYS_move_pages, 0, 1, &page, NULL, &where, 0)), 0, "move_pages, a page never touched");
	SEE(where, -ENOENT, "is nowhere");
}
