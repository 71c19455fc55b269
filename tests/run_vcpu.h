/* SPDX-License-Identifier: MIT */
/*
 * tests/run_vcpu.h - a VM with one vCPU in flat 32-bit mode, for the run_vcpu_* programs
 *
 * They are ordinary KVM programs and print TAP: what they assert is what a real
 * kernel of the profile does.
 */
#ifndef GMEM_TESTS_RUN_VCPU_H
#define GMEM_TESTS_RUN_VCPU_H

#include <pthread.h>

#include "tests/run_kvm.h"
#include "tests/tap.h"
#include "uapi/kvm_vcpu.h"

#define RAM_SIZE  (256 * 1024UL)
#define CODE_GPA  0x1000UL
#define STACK_GPA 0x8000UL
#define DATA_GPA  0xC0000000UL

struct guest {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	char *ram;
};

static UNUSED struct kvm_segment flat(unsigned type, unsigned selector)
{
	return (struct kvm_segment){ .limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .s = 1,
				     .db = 1, .g = 1 };
}

static UNUSED void guest_mode(struct guest *g)
{
	struct kvm_sregs s;

	if (ioctl(g->vcpu, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS");
	s.cr0 |= 1;
	s.cs = flat(11, 8);
	s.ds = s.es = s.fs = s.gs = s.ss = flat(3, 16);
	if (ioctl(g->vcpu, KVM_SET_SREGS, &s))
		die("KVM_SET_SREGS");
}

static UNUSED int vcpu_new(struct guest *g, unsigned long id)
{
	int fd = ioctl(g->vm, KVM_CREATE_VCPU, id);

	if (fd < 0)
		die("KVM_CREATE_VCPU");
	return fd;
}

static UNUSED struct kvm_run *map_run(int vcpu)
{
	struct kvm_run *run = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);

	if (run == MAP_FAILED)
		die("mmap of a vCPU");
	return run;
}

static UNUSED void guest_start(struct guest *g, const void *code, size_t len)
{
	struct kvm_regs r = { .rip = CODE_GPA, .rsp = STACK_GPA, .rflags = 2 };

	memcpy(g->ram + CODE_GPA, code, len);
	if (ioctl(g->vcpu, KVM_SET_REGS, &r))
		die("KVM_SET_REGS");
}

static UNUSED struct guest guest_new(unsigned long type)
{
	struct guest g = { .kvm = kvm_open() };

	g.vm = vm_new(g.kvm, type);
	g.ram = map_anon(RAM_SIZE);
	if (set_region1(g.vm, 0, 0, 0, RAM_SIZE, (uintptr_t)g.ram))
		die("slot 0");
	g.vcpu = vcpu_new(&g, 0);
	g.run = map_run(g.vcpu);
	guest_mode(&g);
	return g;
}

static UNUSED void guest_free(struct guest *g)
{
	munmap(g->run, 3 * PG);
	close(g->vcpu);
	close(g->vm);
	close(g->kvm);
	munmap(g->ram, RAM_SIZE);
}

static UNUSED struct kvm_regs regs_of(const struct guest *g)
{
	struct kvm_regs r;

	if (ioctl(g->vcpu, KVM_GET_REGS, &r))
		die("KVM_GET_REGS");
	return r;
}

/* KVM_RUN: 0 or -errno. */
static UNUSED int run(const struct guest *g)
{
	return ioctl(g->vcpu, KVM_RUN, 0) < 0 ? -errno : 0;
}

/* Run code from its beginning up to the first exit. */
static UNUSED int run_code(struct guest *g, const void *code, size_t len)
{
	guest_start(g, code, len);
	return run(g);
}
#define RUN(g, ...)                                                                                                    \
	({                                                                                                             \
		static const unsigned char code_[] = { __VA_ARGS__ };                                                  \
		run_code(g, code_, sizeof(code_));                                                                     \
	})

/* Code */
#define OP_HLT		0xf4
#define OP_OUT(port)	0xe6, port /* AL */
#define OP_IN(port)	0xe4, port /* AL */
#define OP_LOAD(addr)	0xa1, (addr) & 0xff, (addr) >> 8 & 0xff, (addr) >> 16 & 0xff, (addr) >> 24 & 0xff /* EAX */
#define OP_STORE(addr)	0xa3, (addr) & 0xff, (addr) >> 8 & 0xff, (addr) >> 16 & 0xff, (addr) >> 24 & 0xff
#define OP_SET(value)	0xb8, (value) & 0xff, (value) >> 8 & 0xff, (value) >> 16 & 0xff, (value) >> 24 & 0xff
#define OP_LOOP		0xeb, 0xfe

#endif
