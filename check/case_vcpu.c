// SPDX-License-Identifier: MIT
/*
 * check/case_vcpu.c - what a guest sees of its memory, and what KVM_RUN says of it
 */
#include "check/guest.h"

/*
 * A CPU that runs guest code, and not KVM in its place: an instruction that KVM
 * emulates finds MMIO where the host allows nothing, the CPU's own access is EFAULT.
 */
bool check_vcpu(void)
{
	char *closed = mmap(NULL, PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return begin(0) && ENTER(HALT, 0, 0) == 0 && run->exit_reason == KVM_EXIT_HLT &&
	       !set_region1(vm, 1, 0, DATA, PG, (uintptr_t)closed) && guest_load(DATA) == -EFAULT;
}

void case_vcpu_plain(void)
{
	char *mem = map_anon(4 * PG);

	must_begin(0);
	SEE(RET(set_region1(vm, 1, 0, DATA, 4 * PG, (uintptr_t)mem)), 0, "a slot");
	mem[5] = 0x31;
	SEE(guest_load(DATA + 5), 0x31, "the guest reads the host's memory");
	SEE(guest_store(DATA + PG, 0x32), 0, "and writes");
	SEE(mem[PG], 0x32, "which the host reads");
	mprotect(mem, PG, PROT_READ);
	SEE(guest_load(DATA + 5), 0x31, "where the host may only read, so does the guest");
	SEE(guest_store(DATA, 0x33), -EFAULT, "but a store is EFAULT");
	SEE(run->exit_reason, k->gmem ? KVM_EXIT_UNKNOWN : STALE, "without an annotation");
	SEE(regs().rip, CODE, "at the instruction");
	mprotect(mem, PG, PROT_READ | PROT_WRITE);
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), 0, "which goes on when the memory allows it");
	SEE(mem[0], 0x33, "and is done");
	munmap(mem, PG);
	SEE(guest_load(DATA), -EFAULT, "memory that is gone");
	SEE(run->exit_reason, k->gmem ? KVM_EXIT_UNKNOWN : STALE, "is not annotated either");
	SEE(RET(set_region1(vm, 1, 0, DATA, 0, 0)), 0, "deleted");
	SEE(guest_load(DATA + PG), EXIT(KVM_EXIT_MMIO), "without a slot");
}

void case_vcpu_mmio(void)
{
	char *mem = map_anon(PG);

	must_begin(0);
	SEE(ENTER(LOAD, DATA + 8, 0), 0, "a load where no slot is");
	see_mmio("a load", DATA + 8, false);
	memcpy(run->mmio.data, "\x78\x56\x34\x12", 4);
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), 0, "the answer");
	SEE(run->exit_reason, KVM_EXIT_IO, "goes on");
	SEE(regs().rax, 0x12345678, "with the data");
	SEE(ENTER(STORE, DATA + 12, 0x9abcdef0), 0, "a store");
	see_mmio("a store", DATA + 12, true);
	SEE(memcmp(run->mmio.data, "\xf0\xde\xbc\x9a", 4), 0, "its data");
	SEE(regs().rip, CODE + 2, "is over for the guest");
	mem[0] = 0x31;
	SEE(RET(set_region1(vm, 1, KVM_MEM_READONLY, DATA, PG, (uintptr_t)mem)), 0, "a read-only slot");
	SEE(guest_load(DATA), 0x31, "can be read");
	SEE(ENTER(STORE, DATA, 0x77), 0, "a store to it");
	see_mmio("a store to a read-only slot", DATA, true);
	SEE(mem[0], 0x31, "and changes nothing");
	mprotect(mem, PG, PROT_READ);
	SEE(guest_load(DATA), 0x31, "it may be read-only for the host as well");
}

void case_vcpu_calls(void)
{
	must_begin(0);
	SEE(RET(ioctl(vcpu, KVM_RUN, 1)), -EINVAL, "KVM_RUN(1)");
	SEE(RET(ioctl(vcpu, _IO(KVMIO, 0xfe), 0)), -EINVAL, "unknown ioctl");
	SEE(RET(ioctl(vcpu, KVM_CREATE_GUEST_MEMFD, BAD_PTR)), -EINVAL, "the VM's ioctl");
	SEE(RET(ioctl(vm, KVM_CREATE_VCPU, 0)), -EEXIST, "an id that is taken");
	SEE(ENTER(HALT, 0, 0), 0, "hlt");
	SEE(regs().rip, CODE + 1, "a step");
	run->immediate_exit = 1;
	run->exit_reason = STALE;
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), -EINTR, "immediate_exit");
	SEE(run->exit_reason, STALE, "says nothing else");
	SEE(regs().rip, CODE + 1, "and no step");
	run->immediate_exit = 0;
	SEE(ENTER(HALT, 0, 0), 0, "hlt");
	SEE(run->exit_reason, KVM_EXIT_HLT, "is an exit without an interrupt controller");
}

void case_vcpu_hypercall(void)
{
	struct kvm_enable_cap on = { .cap = KVM_CAP_EXIT_HYPERCALL, .args = { 1 << KVM_HC_MAP_GPA_RANGE } };

	must_begin(0);
	SEE(hypercall(99, 0, 0, 0), -1000, "unknown: ENOSYS for the guest");
	SEE(hypercall(KVM_HC_MAP_GPA_RANGE, DATA, 1, 0), -1000, "MAP_GPA_RANGE, not enabled");
	SEE(RET(ioctl(vm, KVM_ENABLE_CAP, &on)), 0, "enabled");
	SEE(hypercall(KVM_HC_MAP_GPA_RANGE, DATA, 3, 0x10), EXIT(KVM_EXIT_HYPERCALL), "MAP_GPA_RANGE");
	SEE(run->hypercall.nr, KVM_HC_MAP_GPA_RANGE, "its number");
	SEE(run->hypercall.args[0], DATA, "gpa");
	SEE(run->hypercall.args[1], 3, "pages");
	SEE(run->hypercall.args[2], 0x10, "attributes");
	SEE(run->hypercall.ret, k->ret_preset ? 0 : 0x55, "the result before user space has set one");
	SEE(run->hypercall.longmode, 1, "64-bit mode");
	run->hypercall.ret = 7;
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), 0, "goes on");
	SEE(regs().rax, 7, "with the result");
	SEE(hypercall(KVM_HC_MAP_GPA_RANGE, DATA + 1, 1, 0), -22, "gpa unaligned: EINVAL for the guest");
	SEE(hypercall(KVM_HC_MAP_GPA_RANGE, DATA, 0, 0), -22, "no pages");
	SEE(hypercall(KVM_HC_MAP_GPA_RANGE, -PG, 2, 0), EXIT(KVM_EXIT_HYPERCALL), "frames beyond 2^52 are let pass");
	SEE(hypercall(KVM_HC_MAP_GPA_RANGE, DATA, 1, 0xf7), EXIT(KVM_EXIT_HYPERCALL), "any attributes");
	SEE(run->hypercall.args[2], 0xf7, "are passed on");
}

void case_vcpu_dirty(void)
{
	char *mem = map_anon(4 * PG);
	uint64_t bits = ~0ULL;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	must_begin(0);
	SEE(RET(set_region1(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, DATA, 4 * PG, (uintptr_t)mem)), 0, "a slot that logs");
	SEE(RET(ioctl(vm, KVM_GET_DIRTY_LOG, &log)), 0, "the log");
	SEE(bits, 0, "of nothing");
	SEE(guest_load(DATA), 0, "a load");
	mem[PG] = 1;
	SEE(RET(ioctl(vm, KVM_GET_DIRTY_LOG, &log)), 0, "the log");
	SEE(bits, 0, "loads, and what the host stores, are not in it");
	SEE(guest_store(DATA, 1), 0, "a store");
	SEE(guest_store(DATA + 2 * PG + 8, 1), 0, "another page's");
	SEE(RET(ioctl(vm, KVM_GET_DIRTY_LOG, &log)), 0, "the log");
	SEE(bits, 5, "both");
	SEE(RET(ioctl(vm, KVM_GET_DIRTY_LOG, &log)), 0, "once more");
	SEE(bits, 0, "is empty");
	SEE(guest_store(DATA, 1), 0, "the same page");
	SEE(RET(ioctl(vm, KVM_GET_DIRTY_LOG, &log)), 0, "again");
	SEE(bits, 1, "is there again");
	SEE(guest_store(DATA + 3 * PG, 1), 0, "a store");
	SEE(RET(set_region1(vm, 1, 0, DATA, 4 * PG, (uintptr_t)mem)), 0, "logging ends");
	SEE(RET(ioctl(vm, KVM_GET_DIRTY_LOG, &log)), -ENOENT, "there is no log");
	SEE(RET(set_region1(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, DATA, 4 * PG, (uintptr_t)mem)), 0, "logging begins");
	SEE(RET(ioctl(vm, KVM_GET_DIRTY_LOG, &log)), 0, "the log");
	SEE(bits, 0, "knows nothing of before");
}

void case_vcpu_pre_fault(void)
{
	struct kvm_pre_fault_memory r;
	char *mem = map_anon(4 * PG);

	must_begin(0);
	if (!target.pre_fault)
		return;
	SEE(RET(set_region1(vm, 1, 0, DATA, 4 * PG, (uintptr_t)mem)), 0, "a slot");
	SEE(pre_fault(DATA, 2 * PG, 0, &r), PRE(0), "two pages of it");
	SEE(r.gpa, AFTER(DATA + 2 * PG, DATA), "gpa tells how far");
	SEE(r.size, AFTER(0, 2 * PG), "size what is left");
	SEE(pre_fault(DATA + 2 * PG, 4 * PG, 0, &r), PRE(0), "beyond its end");
	SEE(r.size, AFTER(2 * PG, 4 * PG), "what is left of it");
	SEE(pre_fault(DATA + 4 * PG, PG, 0, &r), PRE(-ENOENT), "where no slot is");
	SEE(r.size, PG, "nothing was done");
	SEE(pre_fault(DATA, 0, 0, NULL), PRE(-EINVAL), "size 0");
	SEE(pre_fault(DATA, PG + 1, 0, NULL), PRE(-EINVAL), "size unaligned");
	SEE(pre_fault(DATA + 1, PG, 0, NULL), PRE(-EINVAL), "gpa unaligned");
	SEE(pre_fault(-PG, PG, 0, NULL), PRE(-EINVAL), "ends at 2^64");
	SEE(pre_fault(-PG, 2 * PG, 0, NULL), PRE(-EINVAL), "wraps");
	for (unsigned bit = 0; bit < 64; bit += 9)
		SEE(pre_fault(DATA, PG, 1ULL << bit, NULL), PRE(-EINVAL), "flag bit %u", bit);
	SEE(pre_fault(DATA + 4 * PG, PG, 1, NULL), PRE(-EINVAL), "flags come before slots");
	SEE(RET(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, BAD_PTR)), k->pre_fault ? -EFAULT : -EINVAL, "bad pointer");
	munmap(mem, PG);
	SEE(pre_fault(DATA, 2 * PG, 0, &r), PRE(-EFAULT), "memory that is gone");
	SEE(r.size, 2 * PG, "nothing was done");
	SEE(pre_fault(DATA + PG, PG, 0, NULL), PRE(0), "beside it");
	SEE(RET(set_region1(vm, 1, 0, DATA, 0, 0)), 0, "deleted");
	/* The vCPU has to run in between: 6.12 goes round for ever in page tables that the deletion made obsolete. */
	SEE(guest_load(DATA + PG), EXIT(KVM_EXIT_MMIO), "without the slot");
	SEE(pre_fault(DATA + PG, PG, 0, NULL), PRE(-ENOENT), "is there nothing");
	SEE(RET(set_region1(vm, 1, KVM_MEM_READONLY, DATA, 2 * PG, (uintptr_t)mem + PG)), 0, "a read-only slot");
	SEE(pre_fault(DATA, PG, 0, NULL), PRE(0), "can be pre-faulted");
}

/* Files that the guest and the host share, on a VM without private memory. */
void case_vcpu_file(void)
{
	char *mem, *other = map_anon(4 * PG);
	int file;

	if (target.bindable)
		return;
	must_begin(0);
	file = gmem_new(vm, 4 * PG, SHAREABLE);
	mem = map_shared(file, 4 * PG, 0);
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, 2 * PG, (uintptr_t)other, file, PG)), 0, "a slot");
	mem[PG] = 0x21;
	other[0] = 0x55;
	SEE(guest_load(DATA), 0x21, "the guest reads the file");
	SEE(guest_store(DATA + PG, 0x22), 0, "and writes");
	SEE(mem[2 * PG], 0x22, "which the host reads");
	SEE(other[PG], 0, "userspace_addr is another thing");
	SEE(guest_load(DATA + 2 * PG), EXIT(KVM_EXIT_MMIO), "beyond the slot");
	SEE(ENTER(OUTSB, DATA, 0), 0, "string output");
	SEE(run->exit_reason, KVM_EXIT_IO, "is I/O");
	SEE(((unsigned char *)run)[run->io.data_offset], 0x55, "of what is at userspace_addr: KVM itself reads");
	SEE(RET(fallocate(file, 3, PG, PG)), 0, "a hole");
	SEE(guest_load(DATA), 0, "reads as zero");
	SEE(guest_store(DATA, 0x23), 0, "is filled by a store");
	SEE(mem[PG], 0x23, "which the host reads");
	munmap(mem, 4 * PG);
	close(file);
	SEE(guest_load(DATA), -EFAULT, "without the file");
	see_fault("without the file", 0, DATA);
	SEE(guest_store(DATA + PG + 8, 1), -EFAULT, "a store");
	see_fault("a store without the file", 0, DATA + PG);
}

/*
 * Files whose pages nobody has shared, on a VM without private memory: where files have
 * states such pages are private, and no access of that guest is.
 */
static void unshared(uint64_t flags)
{
	char *other = map_anon(4 * PG);
	bool states = target.has & NEED_CONVERSION;
	const char *what = flags ? "MMAP" : "no MMAP";
	int file;

	must_begin(0);
	file = gmem_new(vm, 4 * PG, flags);
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, 4 * PG, (uintptr_t)other, file, 0)), 0, "%s: a slot", what);
	SEE(guest_store(DATA, 0x31), k_converts(k) ? -EFAULT : 0, "%s: a store", what);
	if (states)
		see_fault("a store to a private page", 0, DATA);
	SEE(guest_load(DATA), k_converts(k) ? -EFAULT : 0x31, "%s: a load", what);
	if (states)
		see_fault("a load of a private page", 0, DATA);
	SEE(other[0], k_converts(k) || flags ? 0 : 0x31, "%s: what is at userspace_addr", what);
	SEE(RET(fallocate(file, 3, 0, 4 * PG)), 0, "%s: a hole in the file", what);
	SEE(guest_load(DATA), k_converts(k) ? -EFAULT : flags ? 0 : 0x31, "%s: a load after it", what);
	if (target.pre_fault)
		SEE(pre_fault(DATA, PG, 0, NULL), k_converts(k) ? PRE(-EFAULT) : PRE(0), "%s: pre-faulting", what);
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, 0, 0, -1, 0)), 0, "%s: the slot is deleted", what);
	SEE(guest_load(DATA), EXIT(KVM_EXIT_MMIO), "%s: without the slot", what);
}

void case_vcpu_unshared(void)
{
	if (target.bindable)
		return;
	unshared(0);
	unshared(GUEST_MEMFD_FLAG_MMAP);
}

/* Attributes of the VM decide between the file and userspace_addr. */
void case_vcpu_private(void)
{
	char *mem = map_anon(4 * PG);
	int file;

	if (!(target.types & 2) || (target.has & NEED_CONVERSION))
		return;
	must_begin(1);
	file = gmem_new(vm, 2 * PG, 0);
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, 2 * PG, (uintptr_t)mem, file, 0)), 0, "a slot with a file");
	SEE(RET(set_region1(vm, 2, 0, DATA + 2 * PG, 2 * PG, (uintptr_t)mem + 2 * PG)), 0, "a slot without");
	mem[0] = 0x11;
	SEE(guest_load(DATA), 0x11, "shared: userspace_addr");
	SEE(set_private(DATA, PG, true), 0, "to private");
	SEE(guest_load(DATA), 0, "private: the file, which is empty");
	SEE(guest_store(DATA, 0x77), 0, "a store");
	SEE(mem[0], 0x11, "does not reach shared memory");
	SEE(set_private(DATA, PG, false), 0, "to shared");
	SEE(guest_load(DATA), 0x11, "shared memory is back");
	SEE(set_private(DATA, PG, true), 0, "to private again");
	SEE(guest_load(DATA), 0x77, "so is the private page");
	SEE(RET(fallocate(file, 3, 0, PG)), 0, "a hole in it");
	SEE(guest_load(DATA), 0, "reads as zero");
	SEE(set_private(DATA + 3 * PG, PG, true), 0, "private, in a slot without a file");
	SEE(guest_load(DATA + 2 * PG), 0, "its neighbour is shared");
	SEE(guest_load(DATA + 3 * PG + 8), -EFAULT, "no file");
	see_fault("no file", KVM_MEMORY_EXIT_FLAG_PRIVATE, DATA + 3 * PG);
	SEE(guest_store(DATA + 3 * PG, 1), -EFAULT, "a store");
	see_fault("no file, a store", KVM_MEMORY_EXIT_FLAG_PRIVATE, DATA + 3 * PG);
	SEE(set_private(DATA + 4 * PG, PG, true), 0, "private, where no slot is");
	SEE(guest_load(DATA + 4 * PG), -EFAULT, "no slot");
	see_fault("no slot", KVM_MEMORY_EXIT_FLAG_PRIVATE, DATA + 4 * PG);
	SEE(guest_load(DATA + 5 * PG), EXIT(KVM_EXIT_MMIO), "shared, where no slot is");
	SEE(pre_fault(DATA, 2 * PG, 0, NULL), PRE(0), "pre-faulting, private and shared");
	SEE(pre_fault(DATA + 3 * PG, PG, 0, NULL), PRE(-EFAULT), "pre-faulting without a file");
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, 0, 0, -1, 0)), 0, "the slot is deleted");
	SEE(guest_load(DATA), -EFAULT, "private stays private");
	see_fault("a deleted slot", KVM_MEMORY_EXIT_FLAG_PRIVATE, DATA);
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, 2 * PG, (uintptr_t)mem, file, 0)), 0, "and made anew");
	SEE(guest_store(DATA, 0x78), 0, "a store to the file");
	close(file);
	SEE(guest_load(DATA), -EFAULT, "the file is closed");
	see_fault("a closed file", KVM_MEMORY_EXIT_FLAG_PRIVATE, DATA);
	SEE(guest_load(DATA + PG), 0, "shared memory does not need it");
}

/* Conversion in place: the guest finds its data whatever the state. */
void case_vcpu_convert(void)
{
	int file;
	char *mem;

	if (!(target.types & 2))
		return;
	must_begin(1);
	file = gmem_new(vm, 4 * PG, SHAREABLE);
	mem = map_shared(file, 4 * PG, 0);
	SEE(RET(set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, 4 * PG, (uintptr_t)mem, file, 0)), 0, "a slot");
	SEE(guest_store(DATA, 0x41), 0, "a store, shared");
	SEE(mem[0], 0x41, "the host reads it");
	SEE(RET(set_attr2(file, 0, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL)), 0, "to private");
	SEE(guest_load(DATA), 0x41, "the guest finds it");
	SEE(check_load(mem), REFUSED, "the host does not");
	SEE(guest_store(DATA, 0x42), 0, "a store, private");
	SEE(RET(set_attr2(file, 0, PG, 0, NULL)), 0, "to shared");
	SEE(check_load(mem), 0x42, "the host reads it");
	SEE(guest_load(DATA), 0x42, "so does the guest");
}
