// SPDX-License-Identifier: MIT
/*
 * check/case_states.c - private and shared memory under a guest: what the kernel's own tests ask, and more
 *
 * Conversions are of the VM's attributes or in place, whatever the kernel has;
 * a letter and a number are those of the lists that were followed (P: private memory
 * converted by hypercalls, C: conversion in place).
 */
#include <pthread.h>

#include "check/guest.h"

#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE
#define REGION	(513 * PG) /* 2 MiB and a page */
#define SIZE	(4 * MiB)

static int file;
static char *mem; /* at userspace_addr: the file's pages where it is converted in place */

static bool in_place(void)
{
	return target.has & NEED_CONVERSION;
}

/* A VM with private memory, a vCPU, and a slot of the file. */
static bool begin_states(uint64_t size, uint64_t flags)
{
	if (!(target.types & 2))
		return false;
	must_begin(1);
	file = gmem_new(vm, size, flags);
	mem = flags & GUEST_MEMFD_FLAG_MMAP ? map_shared(file, size, 0) : map_anon(size);
	if (set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, size, (uintptr_t)mem, file, 0))
		die("a slot");
	return true;
}

static long convert(uint64_t offset, uint64_t size, bool private)
{
	if (in_place())
		return RET(set_attr2(file, offset, size, private ? PRIVATE : 0, NULL));
	return set_private(DATA + offset, size, private);
}

/* Pages of the host whose first byte is another; a page that it cannot touch counts as -1 does. */
static long host_count(uint64_t offset, uint64_t size, int value)
{
	long count = 0;

	for (uint64_t at = offset; at < offset + size; at += PG)
		count += check_load(mem + at) != value;
	return count;
}

static void host_fill(uint64_t offset, uint64_t size, int value)
{
	for (uint64_t at = offset; at < offset + size; at += PG)
		check_store(mem + at, value);
}

/* The guest asks for a conversion, the host makes it and lets it go on; the guest's result. */
static long ask_for(uint64_t offset, uint64_t size, bool private, bool allocate)
{
	long ret = hypercall(KVM_HC_MAP_GPA_RANGE, DATA + offset, size / PG, (private ? 0x10 : 0) | 5);

	if (ret != EXIT(KVM_EXIT_HYPERCALL))
		return ret;
	if (run->hypercall.args[0] != DATA + offset || run->hypercall.args[1] != size / PG ||
	    run->hypercall.args[2] != ((private ? 0x10U : 0) | 5))
		return -EPROTO;
	if (allocate && private && fallocate(file, 1, (off_t)offset, (off_t)size))
		return -errno;
	ret = convert(offset, size, private);
	if (ret)
		return ret;
	/* In place the hole would be one in what is to be kept. */
	if (allocate && !private && !in_place() && fallocate(file, 3, (off_t)offset, (off_t)size))
		return -errno;
	run->hypercall.ret = 0;
	ret = RET(ioctl(vcpu, KVM_RUN, 0));
	return ret ? ret : run->exit_reason == KVM_EXIT_IO ? (long)regs().rax : EXIT(run->exit_reason);
}

static const struct {
	uint64_t offset, size;
} ranges[] = { { 0, PG }, { 0, 2 * MiB }, { PG, PG }, { PG, 2 * MiB }, { 2 * MiB, PG } };

#define EACH_RANGE(i) for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)

/* The guest's loop would go round 2^64 times for none. */
static long count_or_none(uint64_t address, uint64_t pages, unsigned value)
{
	return pages ? guest_count(address, pages, value) : 0;
}

static void mix_range(size_t i, bool allocate)
{
	const uint64_t offset = ranges[i].offset, size = ranges[i].size, last = offset + size - PG;
	const char *how = allocate ? "allocated" : "as it is";

	SEE(guest_fill(DATA, REGION / PG, 0xaa), 0, "P1: range %zu, %s: the guest fills all", i, how);
	SEE(host_count(0, REGION, 0xaa), 0, "P1: range %zu, %s: pages that the host sees otherwise", i, how);
	host_fill(0, REGION, 0xcc);
	SEE(guest_count(DATA, REGION / PG, 0xcc), 0, "P1: range %zu, %s: pages that the guest sees otherwise", i, how);
	SEE(guest_fill(DATA + offset, size / PG, 0x11), 0, "P2: range %zu, %s: filled", i, how);
	SEE(ask_for(offset, size, true, allocate), 0, "P2: range %zu, %s: to private", i, how);
	SEE(guest_store(DATA + offset, 0x22), 0, "P3: range %zu, %s: a private store", i, how);
	SEE(guest_load(DATA + offset), 0x22, "P3: range %zu, %s: what was stored", i, how);
	SEE(check_load(mem + offset), in_place() ? REFUSED : 0x11, "P3: range %zu, %s: the host, first page", i, how);
	SEE(check_load(mem + last), in_place() ? REFUSED : 0x11, "P4: range %zu, %s: the host, last page", i, how);
	SEE(count_or_none(DATA, offset / PG, 0xcc), 0, "P3: range %zu, %s: pages before it that changed", i, how);
	SEE(count_or_none(DATA + offset + size, (REGION - offset - size) / PG, 0xcc), 0,
	    "P3: range %zu, %s: pages behind it", i, how);
	if (size > PG) {
		SEE(ask_for(offset + PG, PG, false, false), 0, "P5: range %zu, %s: a page of it to shared", i, how);
		SEE(check_load(mem + offset + PG), 0x11, "P5: range %zu, %s: the host, that page", i, how);
		SEE(check_store(mem + offset + PG, 0x33), 0, "P5: range %zu, %s: the host stores", i, how);
		SEE(guest_load(DATA + offset + PG), 0x33, "P5: range %zu, %s: the guest sees it", i, how);
		SEE(check_load(mem + offset), in_place() ? REFUSED : 0x11,
		    "P5: range %zu, %s: the page before is private", i, how);
		SEE(guest_load(DATA + offset), 0x22, "P5: range %zu, %s: and has what it had", i, how);
	}
	SEE(ask_for(offset, size, false, allocate), 0, "P6: range %zu, %s: to shared", i, how);
	SEE(guest_fill(DATA + offset, size / PG, 0x33), 0, "P6: range %zu, %s: filled", i, how);
	SEE(host_count(offset, size, 0x33), 0, "P6: range %zu, %s: pages that the host sees otherwise", i, how);
	host_fill(offset, size, 0x44);
	SEE(guest_count(DATA + offset, size / PG, 0x44), 0, "P6: range %zu, %s: pages that the guest sees otherwise",
	    i, how);
	SEE(ask_for(0, REGION, false, true), 0, "P8: range %zu, %s: to shared what is shared", i, how);
}

void case_states_mix(void)
{
	struct kvm_enable_cap on = { .cap = KVM_CAP_EXIT_HYPERCALL, .args = { 1 << KVM_HC_MAP_GPA_RANGE } };

	if (!begin_states(SIZE, in_place() ? SHAREABLE : 0))
		return;
	SEE(RET(ioctl(vm, KVM_ENABLE_CAP, &on)), 0, "KVM_ENABLE_CAP");
	for (unsigned allocate = 0; allocate < 2; allocate++)
		EACH_RANGE(i)
			mix_range(i, allocate);
}

/* Holes in private memory: P9, and what is left when the VM's descriptors are closed, P11. */
void case_states_holes(void)
{
	if (!begin_states(SIZE, in_place() ? SHAREABLE : 0))
		return;
	SEE(convert(0, REGION, true), 0, "to private");
	for (unsigned precise = 0; precise < 2; precise++) {
		EACH_RANGE(i) {
			const uint64_t offset = ranges[i].offset, size = ranges[i].size;
			const uint64_t from = precise ? offset : 0, len = precise ? size : REGION;

			SEE(RET(fallocate(file, 3, 0, (off_t)REGION)), 0, "P9: range %zu of %llu pages: all a hole", i,
			    (unsigned long long)len / PG);
			SEE(guest_fill(DATA + from, len / PG, 0xcc), 0, "P9: range %zu: filled", i);
			SEE(guest_count(DATA + from, len / PG, 0xcc), 0, "P9: range %zu: pages that are otherwise", i);
			SEE(RET(fallocate(file, 3, (off_t)offset, (off_t)size)), 0, "P9: range %zu: a hole", i);
			SEE(guest_count(DATA + offset, size / PG, 0), 0, "P9: range %zu: pages of it that are not 0",
			    i);
			SEE(count_or_none(DATA + from, (offset - from) / PG, 0xcc), 0,
			    "P9: range %zu: pages before it that changed", i);
			SEE(check_load(mem + offset), in_place() ? REFUSED : 0, "P9: range %zu: it is private still",
			    i);
		}
	}
	munmap(run, 3 * PG);
	close(vcpu);
	close(vm);
	SEE(RET(fallocate(file, 3, 0, (off_t)SIZE)), 0, "P11: without the VM: a hole");
	SEE(RET(fallocate(file, 1, 0, (off_t)SIZE)), 0, "P11: allocated");
}

/* --- conversion in place --------------------------------------------------------------- */

/* The host can neither store nor load, the guest can: it finds `start` and leaves `left`. */
static void see_private(const char *what, unsigned page, long start, unsigned left)
{
	char *at = mem + page * PG;

	SEE(check_store(at, 0x7f), REFUSED, "%s, page %u, private: the host stores", what, page);
	SEE(guest_load(DATA + page * PG), start, "%s, page %u, private: the guest loads", what, page);
	SEE(guest_store(DATA + page * PG, left), 0, "%s, page %u, private: the guest stores", what, page);
	SEE(check_load(at), REFUSED, "%s, page %u, private: the host loads", what, page);
}

/* Both can: the host finds `start`, leaves `host`; the guest sees that and leaves `left`. */
static void see_shared(const char *what, unsigned page, long start, unsigned host, unsigned left)
{
	char *at = mem + page * PG;

	SEE(check_load(at), start, "%s, page %u, shared: the host loads", what, page);
	SEE(check_store(at, (int)host), 0, "%s, page %u, shared: the host stores", what, page);
	SEE(guest_load(DATA + page * PG), host, "%s, page %u, shared: the guest loads", what, page);
	SEE(guest_store(DATA + page * PG, left), 0, "%s, page %u, shared: the guest stores", what, page);
	SEE(check_load(at), left, "%s, page %u, shared: the host loads again", what, page);
}

static void to_private(const char *what, unsigned page, long start, unsigned left)
{
	SEE(convert(page * PG, PG, true), 0, "%s, page %u: to private", what, page);
	see_private(what, page, start, left);
}

static void to_shared(const char *what, unsigned page, long start, unsigned host, unsigned left)
{
	SEE(convert(page * PG, PG, false), 0, "%s, page %u: to shared", what, page);
	see_shared(what, page, start, host, left);
}

/* From each beginning, with and without a page, and through holes. */
void case_states_first(void)
{
	if (!begin_states(PG, GUEST_MEMFD_FLAG_MMAP))
		return;
	see_private("C1: made private", 0, 0, 'A');
	to_shared("C2: made private", 0, 'A', 'B', 'C');
	to_private("C3: made private", 0, 'C', 'E');
	begin_states(PG, SHAREABLE);
	see_shared("C4: made shared", 0, 0, 'A', 'B');
	to_private("C5: made shared", 0, 'B', 'C');
	to_shared("C6: made shared", 0, 'C', 'D', 'E');
	begin_states(PG, SHAREABLE);
	to_private("C12: shared, no page", 0, 0, 'A');
	begin_states(PG, GUEST_MEMFD_FLAG_MMAP);
	to_shared("C13: private, no page", 0, 0, 'A', 'B');
	begin_states(PG, SHAREABLE);
	check_store(mem, 'A');
	SEE(RET(fallocate(file, 3, 0, PG)), 0, "C18: a hole in a shared page");
	see_shared("C18: a shared hole", 0, 0, 'A', 'A');
	to_private("C19: filled again", 0, 'A', 'B');
	SEE(RET(fallocate(file, 3, 0, PG)), 0, "C20: a hole in a private page");
	see_private("C20: a private hole", 0, 0, 'A');
}

/* One page of several; the others have what they had. */
void case_states_index(void)
{
	enum { PAGES = 4 };

	if (!begin_states(PAGES * PG, SHAREABLE))
		return;
	for (unsigned t = 0; t < PAGES; t++) {
		for (unsigned i = PAGES; i-- > 0;)
			see_shared("C7: each", i, t ? 0x90 + i : 0, 0x10 + i, 0x20 + i);
		to_private("C8: one of four", t, 0x20 + t, 0x30 + t);
		for (unsigned i = 0; i < PAGES; i++) {
			if (i == t)
				see_private("C9: the one", i, 0x30 + i, 0x40 + i);
			else
				see_shared("C9: others", i, 0x20 + i, 0x50 + i, 0x60 + i);
		}
		to_shared("C10: back", t, 0x40 + t, 0x50 + t, 0x60 + t);
		for (unsigned i = 0; i < PAGES; i++)
			see_shared("C11: each again", i, 0x60 + i, 0x70 + i, 0x90 + i);
	}
}

/* Pages that are there among such that are not, all converted at once. */
void case_states_sparse(void)
{
	enum { PAGES = 8 };

	for (unsigned t = 0; t < PAGES; t++) {
		if (!begin_states(PAGES * PG, SHAREABLE))
			return;
		check_store(mem + 4 * PG, 'A');
		check_store(mem + t * PG, 'A');
		SEE(convert(0, PAGES * PG, true), 0, "C15: pages 4 and %u are there: all to private", t);
		for (unsigned i = 0; i < PAGES; i++)
			see_private("C16: all", i, i == 4 || i == t ? 'A' : 0, 'B');
		for (unsigned i = 0; i < PAGES; i++)
			to_shared("C17: each", i, 'B', 'C', 'D');
		close(file);
		close(vcpu);
		close(vm);
		close(kvm);
	}
}

/* Words between parent and child: each waits for the other's. */
static void say(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(97);
}

static void hear(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		_exit(96);
}

/* A forked child has the page in its own tables when its parent converts it. */
void case_states_fork(void)
{
	int there[2], back[2], status;
	pid_t pid;

	if (!begin_states(PG, SHAREABLE) || pipe(there) || pipe(back))
		return;
	see_shared("C21: the parent", 0, 0, 0x0a, 0x0b);
	pid = fork();
	if (pid == 0) {
		SEE(check_load(mem), 0x0b, "C22: the child loads");
		SEE(check_store(mem, 0x0c), 0, "C22: and stores");
		say(there[1]);
		hear(back[0]);
		SEE(check_load(mem), REFUSED, "C24: the child loads what became private");
		SEE(check_store(mem, 1), REFUSED, "C24: and stores");
		_exit(0);
	}
	hear(there[0]);
	to_private("C23: the parent", 0, 0x0c, 0x0d);
	say(back[1]);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	SEE(status, 0, "C25: the child ends");
}

/* States are the file's: slots come and go, and one request covers what two of them show. */
void case_states_slots(void)
{
	if (!begin_states(8 * PG, SHAREABLE))
		return;
	SEE(guest_fill(DATA, 8, 0x41), 0, "filled");
	SEE(convert(2 * PG, PG, true), 0, "a page to private");
	SEE(RET(set_region2(vm, 1, 0, 0, 0, 0, -1, 0)), 0, "C41: the slot is deleted");
	SEE(guest_load(DATA + 2 * PG), EXIT(KVM_EXIT_MMIO), "C41: private or not, it is MMIO");
	see_mmio("C41: a load", DATA + 2 * PG, false);
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA + 64 * PG, 4 * PG, (uintptr_t)mem, file, 0)), 0,
	    "C57: elsewhere");
	SEE(RET(set_region2(vm, 2, KVM_MEM_GUEST_MEMFD, DATA, 4 * PG, (uintptr_t)mem, file, 4 * PG)), 0,
	    "C57: and the rest");
	SEE(guest_load(DATA + 66 * PG), 0x41, "C57: its page at another address");
	SEE(check_load(mem + 2 * PG), REFUSED, "C57: is private still");
	SEE(convert(3 * PG, 2 * PG, true), 0, "C57: the end of one and the beginning of the other to private");
	SEE(guest_load(DATA + 67 * PG), 0x41, "C57: one");
	SEE(guest_load(DATA), 0x41, "C57: the other");
	SEE(check_load(mem + 3 * PG), REFUSED, "C57: the host, one");
	SEE(check_load(mem + 4 * PG), REFUSED, "C57: the host, the other");
	SEE(check_load(mem + 5 * PG), 0x41, "C57: the host, behind it");
	munmap(mem, 8 * PG);
	close(file);
	SEE(guest_load(DATA), -EFAULT, "C60: the file is closed");
	see_fault("C60: private, without a file", 0, DATA);
	SEE(guest_load(DATA + PG), -EFAULT, "C60: a page that was shared");
	see_fault("C60: shared, without a file", 0, DATA + PG);
}

/* Without MMAP the guest alone has it, shared or private; userspace_addr is for KVM's own accesses. */
void case_states_unmapped(void)
{
	if (!begin_states(4 * PG, 0))
		return;
	mem[0] = 0x55;
	SEE(guest_load(DATA), 0, "the file's page");
	SEE(guest_store(DATA, 0x31), 0, "a store");
	SEE(mem[0], 0x55, "does not reach userspace_addr");
	SEE(convert(0, PG, false), 0, "to shared");
	SEE(guest_load(DATA), 0x31, "the same page");
	SEE(guest_store(DATA, 0x32), 0, "a store");
	SEE(mem[0], 0x55, "does not reach userspace_addr either");
	SEE(convert(0, PG, true), 0, "and back");
	SEE(guest_load(DATA), 0x32, "the same page");
	SEE(RET(mmap(NULL, PG, PROT_READ, MAP_SHARED, file, 0)), -ENODEV, "mmap");
	SEE(pre_fault(DATA, 4 * PG, 0, NULL), k->pre_fault && target.pre_fault ? 0 : -EOPNOTSUPP, "pre-faulting");
	SEE(pre_fault(DATA + 4 * PG, PG, 0, NULL), k->pre_fault && target.pre_fault ? -ENOENT : -EOPNOTSUPP,
	    "beyond the slot");
}

/* --- several vCPUs, and a guest that does not stop --------------------------------------- */

#define WATCHED 0x20000UL /* in RAM: rounds, and what the last one saw */

static volatile uint64_t *watched(void)
{
	return (volatile uint64_t *)(void *)(ram + WATCHED);
}

static volatile bool watching;
static long watch_end;
static unsigned watch_exit;
static uint64_t watch_address, watch_gpa, watch_flags;

/* The guest reads the address for ever; MMIO is answered with 0xee; what ends it is kept. */
static void *watch(void *unused)
{
	struct kvm_regs r = { .rflags = 2, .rsi = watch_address, .rdi = WATCHED };

	if (!begin_vcpu(1))
		die("a second vCPU");
	r.rip = CODE;
	r.rsp = STACK;
	memcpy(ram + CODE, WATCH, sizeof(WATCH) - 1);
	if (ioctl(vcpu, KVM_SET_REGS, &r))
		die("KVM_SET_REGS");
	do {
		watch_end = RET(ioctl(vcpu, KVM_RUN, 0));
		if (watch_end || run->exit_reason != KVM_EXIT_MMIO)
			break;
		memset(run->mmio.data, 0xee, sizeof(run->mmio.data));
	} while (watching);
	watch_exit = run->exit_reason;
	watch_gpa = run->memory_fault.gpa;
	watch_flags = run->memory_fault.flags;
	return NULL;
}

static pthread_t start_watch(uint64_t address)
{
	pthread_t thread;

	watching = true;
	watch_address = address;
	if (pthread_create(&thread, NULL, watch, NULL))
		die("pthread_create");
	return thread;
}

/* What it sees now: a round that began after the call. */
static uint64_t seen_now(void)
{
	volatile uint64_t *w = watched();
	uint64_t round = w[0];

	while (w[0] < round + 2)
		usleep(100);
	return w[1];
}

/* Every switch is seen by a guest that reads all the time. */
void case_states_watch(void)
{
	pthread_t thread;

	if (!begin_states(2 * PG, in_place() ? SHAREABLE : 0))
		return;
	host_fill(0, PG, 0x11);
	if (!in_place()) {
		convert(0, PG, true);
		guest_store(DATA, 0x22);
		convert(0, PG, false);
	}
	thread = start_watch(DATA);
	for (unsigned i = 0; i < 20; i++) {
		SEE(seen_now() & 0xff, 0x11, "round %u, shared", i);
		SEE(convert(0, PG, true), 0, "round %u, to private", i);
		SEE(seen_now() & 0xff, in_place() ? 0x11 : 0x22, "round %u, private", i);
		SEE(check_load(mem), in_place() ? REFUSED : 0x11, "round %u, private: the host", i);
		SEE(convert(0, PG, false), 0, "round %u, to shared", i);
	}
	SEE(RET(fallocate(file, 3, 0, PG)), 0, "a hole");
	SEE(seen_now() & 0xff, in_place() ? 0 : 0x11, "is seen, where it is in what the guest reads");
	/* Attributes outlive the slot, states do not. */
	SEE(convert(0, PG, true), 0, "to private");
	watching = false;
	SEE(RET(set_region2(vm, 1, 0, 0, 0, 0, -1, 0)), 0, "the slot is deleted under it");
	pthread_join(thread, NULL);
	SEE(watch_end, in_place() ? 0 : -EFAULT, "what ends it");
	SEE(watch_exit, in_place() ? KVM_EXIT_MMIO : KVM_EXIT_MEMORY_FAULT, "exit");
	SEE(in_place() ? DATA : watch_gpa, DATA, "gpa");
	SEE(in_place() ? PRIVATE : watch_flags, PRIVATE, "flags");
}

#define TURNS 20

static unsigned long failures;

static void fail_unless(bool good)
{
	if (!good)
		__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

/* Pages of its own, converted to and fro by its own calls. */
static void *convert_own(void *arg)
{
	const unsigned id = (unsigned)(uintptr_t)arg;
	const uint64_t offset = id * 4 * PG;

	if (id && !begin_vcpu(id))
		die("another vCPU");
	for (unsigned i = 0; i < TURNS; i++) {
		fail_unless(guest_fill(DATA + offset, 2, 0x10 + id) == 0 && check_load(mem + offset) == 0x10 + id);
		fail_unless(ask_for(offset, PG, true, i & 1) == 0);
		fail_unless(guest_store(DATA + offset, 0x20 + id) == 0 && guest_load(DATA + offset) == 0x20 + id);
		fail_unless(check_load(mem + offset) == (in_place() ? REFUSED : 0x10 + (long)id));
		fail_unless(check_load(mem + offset + PG) == 0x10 + id);
		fail_unless(ask_for(offset, PG, false, i & 1) == 0);
		fail_unless(check_load(mem + offset) == (in_place() ? 0x20 : 0x10) + id);
	}
	return NULL;
}

/* P10: several vCPUs at the same time. */
void case_states_parallel(void)
{
	struct kvm_enable_cap on = { .cap = KVM_CAP_EXIT_HYPERCALL, .args = { 1 << KVM_HC_MAP_GPA_RANGE } };
	pthread_t threads[3];

	if (!begin_states(16 * PG, in_place() ? SHAREABLE : 0))
		return;
	SEE(RET(ioctl(vm, KVM_ENABLE_CAP, &on)), 0, "KVM_ENABLE_CAP");
	for (uintptr_t i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, convert_own, (void *)(i + 1)))
			die("pthread_create");
	convert_own(NULL);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	SEE(failures, 0, "failures of four vCPUs");
}

/* A slot moved down by a page and back under a guest that reads it: the page's value, the next one's, or MMIO. */
void case_states_move(void)
{
	char *bytes = map_anon(2 * MiB);
	pthread_t thread;

	must_begin(0);
	bytes[0] = 0x11;
	bytes[PG] = 0x22;
	if (set_region1(vm, 1, 0, DATA, 2 * MiB, (uintptr_t)bytes))
		die("a slot");
	thread = start_watch(DATA);
	for (unsigned i = 0; i < 10; i++) {
		SEE(seen_now() & 0xff, 0x11, "round %u, in its place", i);
		SEE(RET(set_region1(vm, 1, 0, DATA - PG, 2 * MiB, (uintptr_t)bytes)), 0, "round %u, moved down", i);
		SEE(seen_now() & 0xff, 0x22, "round %u, the next page", i);
		SEE(RET(set_region1(vm, 1, 0, DATA, 2 * MiB, (uintptr_t)bytes)), 0, "round %u, moved back", i);
	}
	SEE(RET(set_region1(vm, 1, 0, 0, 0, 0)), 0, "deleted");
	SEE(seen_now() & 0xff, 0xee, "MMIO, as it was answered");
	SEE(RET(set_region1(vm, 1, 0, DATA, 2 * MiB, (uintptr_t)bytes + PG)), 0, "made anew, of another page");
	SEE(seen_now() & 0xff, 0x22, "which it sees");
	watching = false;
	SEE(RET(set_region1(vm, 1, 0, 0, 0, 0)), 0, "deleted");
	pthread_join(thread, NULL);
	SEE(watch_end, 0, "MMIO ends the watch");
	SEE(watch_exit, KVM_EXIT_MMIO, "exit");
}
