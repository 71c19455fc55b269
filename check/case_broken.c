// SPDX-License-Identifier: MIT
/*
 * check/case_broken.c - pages in use by others when they shall become private, and memory errors
 */
#include "check/guest.h"
#include "check/hooks.h"

#define SIZE	  (8 * PG)
#define PRIVATE	  KVM_MEMORY_ATTRIBUTE_PRIVATE
#define SHARED	  0
#define BROKEN	  BUS(4) /* BUS_MCEERR_AR */
#define EHWPOISON_ 133

static int file;
static char *mem;

static void begin_file(unsigned type)
{
	kvm = kvm_open();
	vm = vm_new(kvm, type);
	file = gmem_new(vm, SIZE, SHAREABLE);
	mem = map_shared(file, SIZE, 0);
}

/* --- held pages: EAGAIN --------------------------------------------------------------- */

static uint64_t told; /* error_offset as it comes back */

static long convert(uint64_t offset, uint64_t size, uint64_t value)
{
	told = 77;
	return RET(set_attr2(file, offset, size, value, &told));
}

void case_convert_held(void)
{
	struct kvm_memory_attributes2 *page = (void *)map_anon(PG);
	struct hold low, high;

	for (unsigned t = 0; t < 4; t++) {
		begin_file(KVM_X86_SW_PROTECTED_VM);
		memset(mem, 'B', SIZE);
		low = hold_page(file, mem + t * PG, t * PG);
		for (unsigned i = 0; i < 4; i++)
			SEE(check_load(mem + i * PG), 'B', "page %u held: shared use of page %u", t, i);
		SEE(convert(0, 4 * PG, PRIVATE), -EAGAIN, "page %u held: four to private", t);
		SEE(told, t * PG, "page %u held: error_offset", t);
		for (unsigned i = 0; i < 4; i++) {
			SEE(check_load(mem + i * PG), 'B', "page %u held: nothing was converted, page %u", t, i);
			SEE(convert(i * PG, PG, PRIVATE), i == t ? -EAGAIN : 0, "page %u held: page %u alone", t, i);
			SEE(told, i == t ? t * PG : 77, "page %u held: page %u alone, error_offset", t, i);
		}
		let_go(&low);
		SEE(convert(0, 4 * PG, PRIVATE), 0, "page %u let go: all, some are private already", t);
		SEE(check_load(mem + t * PG), REFUSED, "page %u let go: it is private", t);
		SEE(convert(0, 4 * PG, SHARED), 0, "page %u let go: to shared", t);
		SEE(check_load(mem + t * PG), 'B', "page %u let go: its content", t);
		close(file);
		close(vm);
	}
	begin_file(KVM_X86_SW_PROTECTED_VM);
	memset(mem, 'r', SIZE);
	high = hold_page(file, mem + 5 * PG, 5 * PG);
	low = hold_page(file, mem + 3 * PG, 3 * PG);
	SEE(convert(0, SIZE, PRIVATE), -EAGAIN, "two held");
	SEE(told, 3 * PG, "the lowest is told");
	SEE(convert(4 * PG, 3 * PG, PRIVATE), -EAGAIN, "from the middle");
	SEE(told, 5 * PG, "as an offset in the file");
	SEE(convert(6 * PG, 2 * PG, PRIVATE), 0, "beside them");
	SEE(told, 77, "success writes nothing");
	SEE(convert(0, 6 * PG, SHARED), 0, "to shared what is shared");
	SEE(told, 77, "writes nothing");
	SEE(convert(0, SIZE, PRIVATE | 1), -EINVAL, "a wrong attribute comes before");
	SEE(told, 77, "and writes nothing");
	SEE(convert(0, SIZE + PG, PRIVATE), -EINVAL, "so does a range beyond the end");
	page->size = SIZE;
	page->attributes = PRIVATE;
	mprotect(page, PG, PROT_READ);
	SEE(RET(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, page)), -EFAULT, "error_offset cannot be written");
	SEE(check_load(mem), 'r', "nothing was converted");
	SEE(RET(fallocate(file, 3, 5 * PG, PG)), 0, "a hole in a held page");
	SEE(check_load(mem + 5 * PG), 0, "is one");
	let_go(&low);
	let_go(&high);
	SEE(convert(0, SIZE, PRIVATE), 0, "let go");
	SEE(check_load(mem + 4 * PG), REFUSED, "they are private");
}

/* --- memory errors ---------------------------------------------------------------------- */

/* What is where an existing mapping had the page, after a hole: docs/divergences.md, poison-heal. */
void case_poison_host(void)
{
	int mfd = memfd_create("plain", 0);
	char *other;

	begin_file(0);
	memset(mem, 'A', SIZE);
	break_page(file, mem + PG, PG);
	SEE(check_load(mem + PG), BROKEN, "a load");
	SEE(check_touch(mem + PG, -1).lsb, 12, "says how much");
	SEE(check_store(mem + PG + 8, 1), BROKEN, "a store");
	SEE(check_load(mem), 'A', "the page before");
	SEE(check_load(mem + 2 * PG), 'A', "the page behind");
	SEE(RET(pwrite(mfd, mem + PG, 1, 0)), -EFAULT, "written from, by the kernel");
	SEE(RET(pread(mfd, mem + PG, 1, 0)), 0, "nothing to be read into it");
	SEE(RET(pwrite(mfd, mem, 3 * PG, 0)), PG, "written from, across");
	SEE(RET(pread(mfd, mem + PG, 1, 0)), -EFAULT, "read into, by the kernel");
	other = map_shared(file, SIZE, 0);
	SEE(check_load(other + PG), BROKEN, "a mapping made afterwards");
	SEE(RET(fallocate(file, 1, PG, PG)), 0, "allocated");
	SEE(check_load(other + PG), BROKEN, "it is no other");
	SEE(RET(fallocate(file, 3, PG, PG)), 0, "a hole");
	other = map_shared(file, SIZE, 0);
	SEE(check_load(other + PG), 0, "a fresh page, in a new mapping");
	SEE(check_store(other + PG, 'B'), 0, "can be stored to");
	SEE(check_load(other + 2 * PG), 'A', "the others have what they had");
}

void case_poison_guest(void)
{
	if (target.bindable)
		return;
	must_begin(0);
	file = gmem_new(vm, SIZE, SHAREABLE);
	mem = map_shared(file, SIZE, 0);
	memset(mem, 'A', SIZE);
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, SIZE, (uintptr_t)mem, file, 0)), 0, "a slot");
	SEE(guest_load(DATA + PG), 'A', "a load");
	break_page(file, mem + PG, PG);
	for (unsigned i = 0; i < 2; i++) {
		SEE(guest_load(DATA + PG + 8), -EHWPOISON_, "broken, attempt %u", i);
		see_fault("broken", 0, DATA + PG);
	}
	SEE(guest_store(DATA + PG, 1), -EHWPOISON_, "a store");
	SEE(guest_load(DATA), 'A', "the page before");
	SEE(guest_load(DATA + 2 * PG), 'A', "the page behind");
	if (target.pre_fault)
		SEE(pre_fault(DATA + PG, PG, 0, NULL), -EHWPOISON_, "pre-faulting");
	SEE(RET(fallocate(file, 1, PG, PG)), 0, "allocated");
	SEE(guest_load(DATA + PG), -EHWPOISON_, "it is no other");
	SEE(RET(fallocate(file, 3, PG, PG)), 0, "a hole");
	SEE(guest_load(DATA + PG), 0, "a fresh page");
	SEE(guest_store(DATA + PG, 'C'), 0, "can be stored to");
}

static volatile sig_atomic_t hits;
static volatile int hit_code, hit_lsb;
static void *volatile hit_addr;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	hits++;
	hit_code = info->si_code;
	hit_addr = info->si_addr;
	hit_lsb = info->si_addr_lsb;
}

/* A slot without a file: what breaks is the program's memory, and the program is told. */
void case_poison_userspace(void)
{
	const struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };

	must_begin(0);
	file = gmem_new(vm, SIZE, SHAREABLE);
	mem = map_shared(file, SIZE, 0);
	SEE(RET(set_region1(vm, 1, 0, DATA, SIZE, (uintptr_t)mem)), 0, "a slot");
	break_page(file, mem + 2 * PG, 2 * PG);
	sigaction(SIGBUS, &sa, NULL);
	for (int i = 1; i < 3; i++) {
		SEE(guest_load(DATA + 2 * PG + 8), -EINTR, "attempt %d ends by a signal", i);
		SEE(run->exit_reason, KVM_EXIT_INTR, "attempt %d: exit", i);
		SEE(hits, i, "attempt %d: signals", i);
		SEE(hit_code, 4, "attempt %d: code", i);
		SEE(hit_addr == mem + 2 * PG, 1, "attempt %d: the page's address", i);
		SEE(hit_lsb, 12, "attempt %d: how much", i);
		SEE(regs().rip, CODE, "attempt %d: at the instruction", i);
	}
	SEE(guest_load(DATA), 0, "another page");
	SEE(hits, 2, "no further signal");
}
