// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_emulate.c - instructions that KVM executes itself, since they meet MMIO; and accesses that fail
 */
#include "tests/run_vcpu.h"

#define READ_CODE  OP_LOAD(DATA_GPA), OP_OUT(0x10), OP_HLT
#define WRITE_CODE OP_SET(0x77), OP_STORE(DATA_GPA), OP_OUT(0x10), OP_HLT
/* mov eax, 0x77; xchg [DATA], eax; out */
#define XCHG_CODE  OP_SET(0x77), 0x87, 0x05, 0, 0, 0, 0xc0, OP_OUT(0x10), OP_HLT
/* mov esi, DATA; mov edi, DATA + 64 KiB; movsd; out */
#define MOVS_CODE  0xbe, 0, 0, 0, 0xc0, 0xbf, 0, 0, 1, 0xc0, 0xa5, OP_OUT(0x10), OP_HLT

static void answer_with(struct guest *g, uint32_t value)
{
	memcpy(g->run->mmio.data, &value, sizeof(value));
}

static uint32_t written(const struct guest *g)
{
	uint32_t value;

	memcpy(&value, g->run->mmio.data, sizeof(value));
	return value;
}

/* What is left of the instruction comes before immediate_exit. */
static void immediate_exit(void)
{
	struct guest g = guest_new(0);

	is(RUN(&g, XCHG_CODE), 0, "an exchange where no slot is");
	is(g.run->mmio.is_write, 0, "reads");
	answer_with(&g, 0x1234);
	g.run->immediate_exit = 1;
	is(run(&g), 0, "its completion with immediate_exit");
	is(g.run->exit_reason, KVM_EXIT_MMIO, "is an exit");
	ok(g.run->mmio.is_write && written(&g) == 0x77, "for what it writes");
	is(run(&g), -EINTR, "and then there is none");
	is(regs_of(&g).rax, 0x1234, "the instruction is over");
	is(regs_of(&g).rip, CODE_GPA + 11, "and no other");
	guest_free(&g);
}

/* What a device has answered counts, although there is a slot by now. */
static void slot_appears(void)
{
	struct guest g = guest_new(0);
	char *mem = map_anon(PG);

	mem[0] = 0x31;
	is(RUN(&g, READ_CODE), 0, "a load where no slot is");
	is(set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem), 0, "before its answer there is one");
	answer_with(&g, 0x5678);
	is(run(&g), 0, "it goes on");
	is(g.run->exit_reason, KVM_EXIT_IO, "behind the load");
	is(regs_of(&g).rax, 0x5678, "with the answer");
	RUN(&g, READ_CODE);
	is(regs_of(&g).rax, 0x31, "the next one finds the memory");
	guest_free(&g);
}

/* KVM exchanges only what it has read; what cannot be accessed is beyond it. */
static void locked(void)
{
	struct guest g = guest_new(0);
	char *mem = map_anon(PG);

	memcpy(mem, "\x31\x32\x33\x34", 4);
	is(RUN(&g, XCHG_CODE), 0, "an exchange where no slot is");
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	answer_with(&g, 0x1234);
	is(run(&g), 0, "memory that differs from the answer");
	is(g.run->exit_reason, KVM_EXIT_IO, "has it executed again");
	is(regs_of(&g).rax, 0x34333231, "with what is there");
	is(mem[0], 0x77, "which it exchanges");
	set_region1(g.vm, 1, 0, DATA_GPA, 0, 0);
	RUN(&g, XCHG_CODE);
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	answer_with(&g, 0x77);
	is(run(&g), 0, "memory that is as answered");
	is(regs_of(&g).rax, 0x77, "is exchanged");
	set_region1(g.vm, 1, 0, DATA_GPA, 0, 0);
	RUN(&g, XCHG_CODE);
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	mprotect(mem, PG, PROT_NONE);
	answer_with(&g, 0x77);
	is(run(&g), 0, "memory that cannot be accessed");
	is(g.run->exit_reason, KVM_EXIT_INTERNAL_ERROR, "is an internal error");
	guest_free(&g);
}

/* With one operand in MMIO the other one is KVM's own access. */
static void two_operands(void)
{
	struct guest g = guest_new(0);
	char *mem, *other = map_anon(PG);
	int fd;

	if (ioctl(g.vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) <= 0) {
		skip(7, "no mappable files");
		guest_free(&g);
		return;
	}
	fd = gmem_new(g.vm, PG, SHAREABLE);
	mem = map_shared(fd, PG, 0);
	mem[0] = 0x33;
	other[0] = 0x51;
	set_region2(g.vm, 1, KVM_MEM_GUEST_MEMFD, DATA_GPA, PG, (uintptr_t)other, fd, 0);
	is(RUN(&g, MOVS_CODE), 0, "from a file to MMIO");
	ok(g.run->mmio.is_write, "is a write");
	is(written(&g), 0x51, "of what is at userspace_addr, not in the file");
	mprotect(other, PG, PROT_NONE);
	is(RUN(&g, MOVS_CODE), 0, "where userspace_addr cannot be read");
	ok(!g.run->mmio.is_write && g.run->mmio.phys_addr == DATA_GPA, "the source is MMIO as well");
	answer_with(&g, 0x4321);
	is(run(&g), 0, "and goes on");
	ok(g.run->mmio.is_write && written(&g) == 0x4321, "with the answer for its source");
	guest_free(&g);
}

static uint64_t log_of(const struct guest *g)
{
	uint64_t bits = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	if (ioctl(g->vm, KVM_GET_DIRTY_LOG, &log))
		die("KVM_GET_DIRTY_LOG");
	return bits;
}

static void failing_writes(void)
{
	struct guest g = guest_new(0);
	char *mem = map_anon(PG);

	set_region1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, DATA_GPA, PG, (uintptr_t)mem);
	mprotect(mem, PG, PROT_READ);
	is(RUN(&g, WRITE_CODE), -EFAULT, "a write that the host does not allow");
	is(log_of(&g), 0, "makes nothing dirty");
	mprotect(mem, PG, PROT_READ | PROT_WRITE);
	is(run(&g), 0, "repeated when it does");
	is(log_of(&g), 1, "it does");
	set_region1(g.vm, 1, 0, DATA_GPA, 0, 0);
	set_region1(g.vm, 1, 0, DATA_GPA, PG, 0);
	is(RUN(&g, READ_CODE), -EFAULT, "memory at address 0 is none, but no MMIO");
	guest_free(&g);
}

/* The file goes with its last mapping, whatever ends that. */
static void last_mapping(void)
{
	struct guest g = guest_new(0);
	char *mem, *other;
	int fd, second;

	if (ioctl(g.vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) <= 0) {
		skip(5, "no mappable files");
		guest_free(&g);
		return;
	}
	second = gmem_new(g.vm, PG, SHAREABLE);
	for (int over = 0; over < 2; over++) {
		fd = gmem_new(g.vm, PG, SHAREABLE);
		mem = map_shared(fd, PG, 0);
		set_region2(g.vm, 1, KVM_MEM_GUEST_MEMFD, DATA_GPA, PG, (uintptr_t)mem, fd, 0);
		close(fd);
		is(RUN(&g, READ_CODE), 0, "a file that is mapped serves the guest");
		if (over) {
			other = mmap(mem, PG, PROT_READ, MAP_SHARED | MAP_FIXED, second, 0);
			ok(other == mem, "another file is mapped in its place");
		} else {
			munmap(mem, PG);
		}
		is(RUN(&g, READ_CODE), -EFAULT, "one that is not any more does not");
		set_region2(g.vm, 1, KVM_MEM_GUEST_MEMFD, DATA_GPA, 0, 0, -1, 0);
	}
	guest_free(&g);
}

int main(void)
{
	immediate_exit();
	slot_appears();
	locked();
	two_operands();
	failing_writes();
	last_mapping();
	return done_testing();
}
