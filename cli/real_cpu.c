// SPDX-License-Identifier: MIT
/*
 * cli/real_cpu.c - whether this host's KVM can serve as CPU (gmem run --cpu kvm)
 *
 * Asked are the capabilities that device/real*.c builds on, and then a guest: in 64-bit mode, with
 * EFER.NX, at privilege level 3, it stores to memory that has a slot on addresses where nothing can be
 * touched.  That must end KVM_RUN with EFAULT and RIP at the store; once the slot lies
 * on memory the store must be made and the guest must go on to its system call, and from there to HLT.
 */
#include "cli/real_cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "uapi/kvm_vcpu.h"

#define PAGE	   4096
#define RAM_PAGES  8
#define TARGET	   0x10000ULL /* of the store; the page tables map it */
#define CODE	   0x5000ULL
#define KERNEL	   0x6000ULL
#define MSR_STAR   0xc0000081U
#define MSR_LSTAR  0xc0000082U
#define CR0_PE_PG  0x80000011ULL
#define CR4_PAE	   0x20ULL
#define EFER_ALL   0xd01ULL /* SCE, LME, LMA, NXE */
#define USER_CS	   0x23
#define USER_SS	   0x1b
#define SLOTS_MIN  509

struct trial {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	size_t run_size;
	unsigned char *ram, *nothing;
	char *why;
};

static bool fail(struct trial *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->why, REAL_CPU_WHY, fmt, ap);
	va_end(ap);
	return false;
}

static bool check_caps(struct trial *t)
{
	static const struct {
		unsigned cap;
		int least;
		const char *name;
	} needed[] = {
		{ KVM_CAP_USER_MEMORY, 1, "KVM_CAP_USER_MEMORY" },
		{ KVM_CAP_SYNC_MMU, 1, "KVM_CAP_SYNC_MMU" },
		{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS" },
		{ KVM_CAP_READONLY_MEM, 1, "KVM_CAP_READONLY_MEM" },
		{ KVM_CAP_IMMEDIATE_EXIT, 1, "KVM_CAP_IMMEDIATE_EXIT" },
		{ KVM_CAP_VCPU_EVENTS, 1, "KVM_CAP_VCPU_EVENTS" },
		{ KVM_CAP_NR_MEMSLOTS, SLOTS_MIN, "KVM_CAP_NR_MEMSLOTS" },
		{ KVM_CAP_SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS, "KVM_CAP_SYNC_REGS" },
		{ KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE, "KVM_CAP_EXIT_HYPERCALL" },
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (ioctl(t->kvm, KVM_CHECK_EXTENSION, (unsigned long)needed[i].cap) < needed[i].least)
			return fail(t, "the real KVM lacks %s", needed[i].name);
	}
	return true;
}

static bool set_slot(struct trial *t, unsigned slot, unsigned long long gpa, unsigned long long size, void *hva)
{
	struct kvm_userspace_memory_region region = { .slot = slot, .guest_phys_addr = gpa, .memory_size = size,
						      .userspace_addr = (uintptr_t)hva };

	if (ioctl(t->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0)
		return true;
	return fail(t, "the real KVM refuses a memslot: %s", strerror(errno));
}

static bool make_vm(struct trial *t)
{
	size_t size = RAM_PAGES * PAGE;
	void *ram, *nothing;
	int run_size;

	t->vm = ioctl(t->kvm, KVM_CREATE_VM, 0UL);
	if (t->vm < 0)
		return fail(t, "the real KVM makes no VM: %s", strerror(errno));
	ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	nothing = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED || nothing == MAP_FAILED)
		return fail(t, "no memory");
	t->ram = ram;
	t->nothing = nothing;
	t->vcpu = ioctl(t->vm, KVM_CREATE_VCPU, 0UL);
	run_size = ioctl(t->kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL);
	if (t->vcpu < 0 || run_size < (int)sizeof(struct kvm_run))
		return fail(t, "the real KVM makes no vCPU: %s", strerror(errno));
	t->run_size = (size_t)run_size;
	t->run = mmap(NULL, t->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, t->vcpu, 0);
	if (t->run == MAP_FAILED)
		return fail(t, "the real vCPU cannot be mapped: %s", strerror(errno));
	return set_slot(t, 0, 0, size, t->ram) && set_slot(t, 1, TARGET, PAGE, t->nothing);
}

/* Tables for the first 2 MiB, at 0x1000 to 0x4000, all for the user; and the two pieces of code. */
static void fill_ram(struct trial *t)
{
	static const unsigned char store_and_call[] = { 0xc6, 0x07, 0x5a,   /* movb $0x5a, (%rdi) */
							0x0f, 0x05 };	    /* syscall */
	static const unsigned char halt[] = { 0xf4 };
	unsigned long long *table = (unsigned long long *)(void *)t->ram;

	table[0x1000 / 8] = 0x2007;
	table[0x2000 / 8] = 0x3007;
	table[0x3000 / 8] = 0x4007;
	for (unsigned i = 0; i < 32; i++)
		table[0x4000 / 8 + i] = (i << 12) | 7ULL;
	/* Only a CPU with NX takes this bit. */
	table[0x4000 / 8 + TARGET / PAGE] |= 1ULL << 63;
	memcpy(t->ram + CODE, store_and_call, sizeof(store_and_call));
	memcpy(t->ram + KERNEL, halt, sizeof(halt));
}

static bool set_cpuid(struct trial *t)
{
	const unsigned max = 256;
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + max * sizeof(cpuid->entries[0]));
	bool done;

	if (!cpuid)
		return fail(t, "no memory");
	cpuid->nent = max;
	done = ioctl(t->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0 && ioctl(t->vcpu, KVM_SET_CPUID2, cpuid) == 0;
	free(cpuid);
	return done || fail(t, "the real KVM refuses its own CPUID: %s", strerror(errno));
}

static struct kvm_segment segment(unsigned short selector, unsigned char type, bool code)
{
	return (struct kvm_segment){ .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .dpl = 3,
				     .db = !code, .s = 1, .l = code, .g = 1 };
}

static bool set_state(struct trial *t)
{
	struct kvm_regs regs = { .rip = CODE, .rdi = TARGET, .rflags = 2 };
	_Alignas(struct kvm_msrs) unsigned char room[sizeof(struct kvm_msrs) + 2 * sizeof(struct kvm_msr_entry)] = { 0 };
	struct kvm_msrs *msrs = (struct kvm_msrs *)(void *)room;
	struct kvm_sregs sregs;

	if (ioctl(t->vcpu, KVM_GET_SREGS, &sregs) != 0)
		return fail(t, "KVM_GET_SREGS: %s", strerror(errno));
	sregs.cs = segment(USER_CS, 11, true);
	sregs.ss = sregs.ds = sregs.es = segment(USER_SS, 3, false);
	sregs.cr3 = 0x1000;
	sregs.cr4 = CR4_PAE;
	sregs.cr0 = CR0_PE_PG;
	sregs.efer = EFER_ALL;
	if (ioctl(t->vcpu, KVM_SET_SREGS, &sregs) != 0)
		return fail(t, "the real KVM takes no 64-bit mode with EFER.NX (KVM_SET_SREGS: %s)", strerror(errno));
	msrs->nmsrs = 2;
	msrs->entries[0].index = MSR_STAR;
	msrs->entries[0].data = 8ULL << 32;
	msrs->entries[1].index = MSR_LSTAR;
	msrs->entries[1].data = KERNEL;
	if (ioctl(t->vcpu, KVM_SET_MSRS, msrs) != 2 || ioctl(t->vcpu, KVM_SET_REGS, &regs) != 0)
		return fail(t, "the real KVM refuses registers: %s", strerror(errno));
	return true;
}

static bool run_guest(struct trial *t)
{
	struct kvm_regs regs;
	int ret = ioctl(t->vcpu, KVM_RUN, 0UL);

	if (ret == 0 || errno != EFAULT)
		return fail(t, "a guest's touch of what is not there ends with %s, exit %u, not with EFAULT",
			    ret ? strerror(errno) : "success", t->run->exit_reason);
	if (ioctl(t->vcpu, KVM_GET_REGS, &regs) != 0)
		return fail(t, "KVM_GET_REGS: %s", strerror(errno));
	if (regs.rip != CODE)
		return fail(t, "the registers of a guest that met EFAULT are not those before the instruction");
	if (!set_slot(t, 1, TARGET, 0, t->nothing) || !set_slot(t, 1, TARGET, PAGE, t->ram + 7 * PAGE))
		return false;
	ret = ioctl(t->vcpu, KVM_RUN, 0UL);
	if (ret != 0 || t->run->exit_reason != KVM_EXIT_HLT)
		return fail(t, "a 64-bit guest does not run from privilege level 3 to HLT: %s, exit %u",
			    ret ? strerror(errno) : "success", t->run->exit_reason);
	if (t->ram[7 * PAGE] != 0x5a)
		return fail(t, "a guest's store that met EFAULT is lost");
	return true;
}

bool real_cpu_fit(char why[REAL_CPU_WHY])
{
	struct trial t = { .kvm = -1, .vm = -1, .vcpu = -1, .run = MAP_FAILED, .why = why };
	bool fit;

	t.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (t.kvm < 0)
		return fail(&t, "/dev/kvm cannot be opened: %s", strerror(errno));
	fit = check_caps(&t) && make_vm(&t);
	if (fit) {
		fill_ram(&t);
		fit = set_cpuid(&t) && set_state(&t) && run_guest(&t);
	}
	if (t.run != MAP_FAILED)
		munmap(t.run, t.run_size);
	if (t.vcpu >= 0)
		close(t.vcpu);
	if (t.vm >= 0)
		close(t.vm);
	if (t.ram)
		munmap(t.ram, RAM_PAGES * PAGE);
	if (t.nothing)
		munmap(t.nothing, PAGE);
	close(t.kvm);
	return fit;
}
