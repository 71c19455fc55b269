/* SPDX-License-Identifier: MIT */
/*
 * check/guest.h - guests of a few instructions of 64-bit code, for cases about what a guest sees
 *
 * RSI is the address that a guest touches.  Its page tables map the first and the
 * fourth GiB one to one with 2 MiB pages, so that nothing but the slots decides
 * what an access finds.  A thread has one vCPU; vCPUs share VM and memory.
 */
#ifndef GMEM_CHECK_GUEST_H
#define GMEM_CHECK_GUEST_H

#include "check/check.h"

#include "uapi/kvm_vcpu.h"

#define RAM_SIZE (64 * PG)
#define CODE	 (0x1000UL + vcpu_id * 0x100)
#define STACK	 (0x8000UL + vcpu_id * 0x800)
#define PML4	 0x10000UL
#define PDPT	 0x11000UL
#define PD_LOW	 0x12000UL
#define PD_DATA	 0x13000UL
#define DATA	 0xC0000000UL
#define PORT	 0x10

#define PTE_TABLE 0x3UL	 /* present, writable */
#define PTE_HUGE  0x83UL /* the same, of 2 MiB */

#define CR0_PE	 (1ULL << 0)
#define CR0_NE	 (1ULL << 5)
#define CR0_PG	 (1ULL << 31)
#define CR4_PAE	 (1ULL << 5)
#define EFER_LME (1ULL << 8)
#define EFER_LMA (1ULL << 10)

/* mov eax, [rsi] / mov [rsi], eax; out PORT, al; hlt */
#define LOAD	  "\x8b\x06\xe6\x10\xf4"
#define STORE	  "\x89\x06\xe6\x10\xf4"
#define OUTSB	  "\xf3\x6e\xf4"	 /* rep outsb; hlt */
#define HYPERCALL "\x0f\x01\xd9\xe6\x10\xf4" /* vmmcall; out PORT, al; hlt */
#define HALT	  "\xf4"
/* A byte of each of RCX pages: stored; or counted in RBX where it is another.  Then out PORT, al. */
#define FILL_PAGES  "\x88\x06\x48\x81\xc6\0\x10\0\0\x48\xff\xc9\x75\xf2\xe6\x10\xf4"
#define COUNT_PAGES "\x38\x06\x74\x03\x48\xff\xc3\x48\x81\xc6\0\x10\0\0\x48\xff\xc9\x75\xed\xe6\x10\xf4"
/* For ever: mov rax, [rsi]; mov [rdi + 8], rax; inc qword [rdi] */
#define WATCH "\x48\x8b\x06\x48\x89\x47\x08\x48\xff\x07\xeb\xf4"

#define CPUID_ENTRIES 256
#define STALE	      99 /* no exit reason */

static int kvm UNUSED, vm UNUSED;
static char *ram UNUSED;
static __thread int vcpu UNUSED;
static __thread struct kvm_run *run UNUSED;
static __thread unsigned vcpu_id UNUSED;

static UNUSED void make_tables(void)
{
	uint64_t *pml4 = (uint64_t *)(void *)(ram + PML4), *pdpt = (uint64_t *)(void *)(ram + PDPT);
	uint64_t *low = (uint64_t *)(void *)(ram + PD_LOW), *data = (uint64_t *)(void *)(ram + PD_DATA);

	pml4[0] = PDPT | PTE_TABLE;
	pdpt[0] = PD_LOW | PTE_TABLE;
	pdpt[3] = PD_DATA | PTE_TABLE;
	for (unsigned i = 0; i < 512; i++) {
		low[i] = i * 2 * MiB | PTE_HUGE;
		data[i] = (DATA + i * 2 * MiB) | PTE_HUGE;
	}
}

/* The CPU has what the host's has: without CPUID the mode could be refused. */
static UNUSED bool set_cpuid(void)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2));
	bool done;

	if (!cpuid)
		return false;
	cpuid->nent = CPUID_ENTRIES;
	done = !ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) && !ioctl(vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	return done;
}

static UNUSED bool set_mode(void)
{
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_sregs s;

	if (ioctl(vcpu, KVM_GET_SREGS, &s))
		return false;
	s.cr0 = CR0_PE | CR0_NE | CR0_PG;
	s.cr3 = PML4;
	s.cr4 |= CR4_PAE;
	s.efer |= EFER_LME | EFER_LMA;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	return ioctl(vcpu, KVM_SET_SREGS, &s) == 0;
}

/* A vCPU for the calling thread, the first one or another. */
static UNUSED bool begin_vcpu(unsigned id)
{
	vcpu_id = id;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, id);
	if (vcpu < 0)
		return false;
	run = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	return run != MAP_FAILED && set_cpuid() && set_mode();
}

static UNUSED bool begin(unsigned long type)
{
	kvm = kvm_open();
	vm = vm_new(kvm, type);
	ram = map_anon(RAM_SIZE);
	make_tables();
	return !set_region1(vm, 0, 0, 0, RAM_SIZE, (uintptr_t)ram) && begin_vcpu(0);
}

static UNUSED void must_begin(unsigned long type)
{
	if (!begin(type))
		die("a vCPU");
}

/* An exit for I/O or a call is over for the guest only when KVM_RUN has been called again; that can lead to another. */
static UNUSED void settle(void)
{
	run->immediate_exit = 1;
	for (int i = 0; i < 4 && !(ioctl)(vcpu, KVM_RUN, 0); i++)
		;
	run->immediate_exit = 0;
}

/* Enter the code anew; what KVM_RUN says. */
static UNUSED long enter(const char *code, size_t len, uint64_t address, uint64_t value, uint64_t count)
{
	struct kvm_regs r = { .rip = CODE,
			      .rsp = STACK,
			      .rflags = 2,
			      .rsi = address,
			      .rdi = address,
			      .rax = value,
			      .rcx = count,
			      .rdx = PORT };

	settle();
	memcpy(ram + CODE, code, len);
	if (ioctl(vcpu, KVM_SET_REGS, &r))
		die("KVM_SET_REGS");
	run->exit_reason = STALE;
	return RET(ioctl(vcpu, KVM_RUN, 0));
}
#define ENTER(code, address, value) enter(code, sizeof(code) - 1, address, value, 1)

static UNUSED struct kvm_regs regs(void)
{
	struct kvm_regs r;

	if (ioctl(vcpu, KVM_GET_REGS, &r))
		die("KVM_GET_REGS");
	return r;
}

/* What a load finds: the byte, or the exit. */
static UNUSED long guest_load(uint64_t address)
{
	long ret = ENTER(LOAD, address, 0xee);

	if (ret)
		return ret;
	return run->exit_reason == KVM_EXIT_IO ? (long)(regs().rax & 0xff) : EXIT(run->exit_reason);
}

static UNUSED long guest_store(uint64_t address, unsigned value)
{
	long ret = ENTER(STORE, address, value);

	if (ret)
		return ret;
	return run->exit_reason == KVM_EXIT_IO ? 0 : EXIT(run->exit_reason);
}

/* A byte of each page. */
static UNUSED long guest_fill(uint64_t address, uint64_t pages, unsigned value)
{
	long ret = enter(FILL_PAGES, sizeof(FILL_PAGES) - 1, address, value, pages);

	return ret ? ret : run->exit_reason == KVM_EXIT_IO ? 0 : EXIT(run->exit_reason);
}

/* Pages whose byte is another. */
static UNUSED long guest_count(uint64_t address, uint64_t pages, unsigned value)
{
	long ret = enter(COUNT_PAGES, sizeof(COUNT_PAGES) - 1, address, value, pages);

	return ret ? ret : run->exit_reason == KVM_EXIT_IO ? (long)regs().rbx : EXIT(run->exit_reason);
}

static UNUSED void see_fault(const char *what, uint64_t flags, uint64_t gpa)
{
	SEE(run->exit_reason, KVM_EXIT_MEMORY_FAULT, "%s: exit", what);
	SEE(run->memory_fault.flags, flags, "%s: flags", what);
	SEE(run->memory_fault.gpa, gpa, "%s: gpa", what);
	SEE(run->memory_fault.size, PG, "%s: size", what);
	SEE(regs().rip, CODE, "%s: at the instruction", what);
}

static UNUSED void see_mmio(const char *what, uint64_t gpa, bool write)
{
	SEE(run->exit_reason, KVM_EXIT_MMIO, "%s: exit", what);
	SEE(run->mmio.phys_addr, gpa, "%s: gpa", what);
	SEE(run->mmio.len, 4, "%s: length", what);
	SEE(run->mmio.is_write, write, "%s: direction", what);
}

/* EAX is the number; RBX, RCX, RDX the arguments. */
static UNUSED long hypercall(uint64_t nr, uint64_t gpa, uint64_t pages, uint64_t attributes)
{
	struct kvm_regs r = {
		.rip = CODE, .rsp = STACK, .rflags = 2, .rax = nr, .rbx = gpa, .rcx = pages, .rdx = attributes
	};
	long ret;

	settle();
	memcpy(ram + CODE, HYPERCALL, sizeof(HYPERCALL) - 1);
	if (ioctl(vcpu, KVM_SET_REGS, &r))
		die("KVM_SET_REGS");
	run->exit_reason = STALE;
	run->hypercall.ret = 0x55;
	ret = RET(ioctl(vcpu, KVM_RUN, 0));
	if (ret)
		return ret;
	return run->exit_reason == KVM_EXIT_IO ? (long)regs().rax : EXIT(run->exit_reason);
}

static UNUSED long pre_fault(uint64_t gpa, uint64_t size, uint64_t flags, struct kvm_pre_fault_memory *out)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = size, .flags = flags };
	long ret = RET(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range));

	if (out)
		*out = range;
	return ret;
}

/* What pre-faulting answers where it exists. */
#define PRE(answer) (k->pre_fault && target.pre_fault ? (answer) : k->pre_fault ? -EOPNOTSUPP : -EINVAL)
#define AFTER(value, before) (k->pre_fault && target.pre_fault ? (value) : (before))

static UNUSED long set_private(uint64_t gpa, uint64_t size, bool private)
{
	struct kvm_memory_attributes a = { .address = gpa,
					   .size = size,
					   .attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0 };

	return RET(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a));
}

#endif
