// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_basic.c - small guest programs: results, exits and their completion
 */
#include "tests/tap.h"

#include "tests/cpu_guest.h"

GUEST_ASM(sum, "mov $100, %ecx\n xor %eax, %eax\n 1: add %rcx, %rax\n dec %rcx\n jnz 1b\n hlt\n");

static void test_loop(struct guest *g)
{
	guest_long(g, 0);
	guest_load(g, sum);
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "HLT exits");
	is(g->cpu->gpr[CPU_RAX], 5050, "a loop computes its sum");
	is(g->cpu->rip, G_CODE + (u64)(sum_end - sum), "RIP is behind HLT");
	ok(g->cpu->halted, "and the CPU is halted");
}

GUEST_ASM(io, "mov $0x1234, %edx\n in (%dx), %al\n mov %al, %bl\n mov $0xabcd, %eax\n out %ax, $0x42\n hlt\n");

static void test_io(struct guest *g)
{
	struct cpu *c = g->cpu;

	guest_long(g, 0);
	guest_load(g, io);
	is(cpu_run(c), CPU_EXIT_IO, "IN exits");
	ok(c->exit.io.port == 0x1234 && c->exit.io.size == 1 && !c->exit.io.is_out && c->exit.io.count == 1,
	   "with its operands");
	is(c->rip, G_CODE + 5, "RIP stays at IN");
	c->exit.io.data[0] = 0x77;
	cpu_complete(c);
	is(c->rip, G_CODE + 6, "completion moves RIP");
	is(cpu_run(c), CPU_EXIT_IO, "OUT exits");
	ok(c->exit.io.port == 0x42 && c->exit.io.size == 2 && c->exit.io.is_out && c->exit.io.data[0] == 0xcd &&
		   c->exit.io.data[1] == 0xab,
	   "with the data");
	is(c->gpr[CPU_RBX] & 0xff, 0x77, "IN's value arrived");
	c->rip = G_CODE;
	cpu_complete(c);
	is(c->rip, G_CODE, "a RIP that was moved meanwhile stays");
}

GUEST_ASM(mmio, "mov $0x10000008, %esi\n mov (%rsi), %rax\n addl $5, 8(%rsi)\n mov %eax, 0xffc(%rsi)\n hlt\n");

static void test_mmio(struct guest *g)
{
	struct cpu *c = g->cpu;
	u64 v = 0x1122334455667788;

	guest_long(g, 0);
	guest_load(g, mmio);
	is(cpu_run(c), CPU_EXIT_MMIO, "a load from no memory exits");
	ok(c->exit.mmio.gpa == 0x10000008 && c->exit.mmio.len == 8 && !c->exit.mmio.is_write, "as an MMIO read");
	is(c->rip, G_CODE + 5, "RIP stays at the load");
	memcpy(c->exit.mmio.data, &v, 8);
	cpu_complete(c);
	is(c->gpr[CPU_RAX], v, "completion executes it");
	is(c->rip, G_CODE + 8, "and it only");
	is(cpu_run(c), CPU_EXIT_MMIO, "a read-modify-write reads first");
	ok(c->exit.mmio.gpa == 0x10000010 && c->exit.mmio.len == 4 && !c->exit.mmio.is_write, "its operand");
	v = 10;
	memcpy(c->exit.mmio.data, &v, 8);
	cpu_complete(c);
	is(cpu_run(c), CPU_EXIT_MMIO, "then it writes");
	ok(c->exit.mmio.gpa == 0x10000010 && c->exit.mmio.is_write && c->exit.mmio.data[0] == 15, "the sum");
	is(c->rip, G_CODE + 12, "after having retired");
	cpu_complete(c);
	is(cpu_run(c), CPU_EXIT_MMIO, "a store over two pages of MMIO exits");
	ok(c->exit.mmio.gpa == 0x10001004 && c->exit.mmio.len == 4, "once within a page");
	cpu_complete(c);
	is(cpu_run(c), CPU_EXIT_HLT, "and the program ends");
}

GUEST_ASM(strings, "mov $0x200000, %edi\n mov $5000, %ecx\n mov $0x5a, %al\n rep stosb\n"
		   "mov $0x200000, %esi\n mov $0x210001, %edi\n mov $5000, %ecx\n rep movsb\n"
		   "mov $0x200000, %esi\n mov $0x210001, %edi\n mov $5001, %ecx\n repe cmpsb\n hlt\n");

static void test_strings(struct guest *g)
{
	unsigned good = 0;

	guest_long(g, 0);
	guest_load(g, strings);
	memset(g->mem + G_DATA, 0, 0x20000);
	g->mem[G_DATA + 5000] = 1;
	is(cpu_run(g->cpu), CPU_EXIT_HLT, "string instructions run to their end");
	for (unsigned i = 0; i < 5000; i++)
		good += g->mem[0x210001 + i] == 0x5a;
	is(good, 5000, "REP STOSB and REP MOVSB moved every byte");
	is(g->cpu->gpr[CPU_RCX], 0, "REPE CMPSB ran to the difference");
	is(g->cpu->gpr[CPU_RSI], 0x200000 + 5001, "and stopped behind it");
	ok(!(cpu_rflags(g->cpu) & 0x40), "ZF tells so");
}

GUEST_ASM(ins, "mov $0x200ffe, %edi\n mov $5, %ecx\n mov $0x60, %edx\n rep insb\n mov $0x200ffe, %esi\n mov $2, %ecx\n "
	       "rep outsb\n hlt\n");

static void test_string_io(struct guest *g)
{
	struct cpu *c = g->cpu;

	guest_long(g, 0);
	guest_load(g, ins);
	memset(g->mem + G_DATA, 0, 0x2000);
	is(cpu_run(c), CPU_EXIT_IO, "REP INSB exits");
	ok(c->exit.io.is_string && c->exit.io.count == 2, "reading ahead to the end of the page");
	memcpy(c->exit.io.data, "ab", 2);
	cpu_complete(c);
	is(c->gpr[CPU_RCX], 3, "completion consumes that many");
	ok(g->last_access == (CPU_WRITE | CPU_KVM), "through KVM's own access");
	is(cpu_run(c), CPU_EXIT_IO, "and it goes on");
	is(c->exit.io.count, 3, "with the rest");
	c->gpr[CPU_RCX] = 1;
	memcpy(c->exit.io.data, "cde", 3);
	cpu_complete(c);
	is(cpu_run(c), CPU_EXIT_IO, "RCX lowered meanwhile ends it early");
	ok(c->exit.io.is_out && c->exit.io.count == 1 && c->exit.io.data[0] == 'a', "OUTSB exits for each byte");
	is(c->gpr[CPU_RCX], 1, "with its registers advanced");
	cpu_complete(c);
	is(cpu_run(c), CPU_EXIT_IO, "second byte");
	is(c->exit.io.data[0], 'b', "is the next one");
	cpu_complete(c);
	is(cpu_run(c), CPU_EXIT_HLT, "done");
	ok(!memcmp(g->mem + 0x200ffe, "abc\0", 4), "memory holds what was consumed");
}

GUEST_ASM(hypercall, "mov $12, %eax\n mov $0x1000, %ebx\n mov $2, %ecx\n mov $9, %edx\n vmcall\n mov %rax, %rbx\n mov "
		     "$1, %eax\n vmmcall\n hlt\n");

static void test_hypercall(struct guest *g)
{
	struct cpu *c = g->cpu;

	guest_long(g, 0);
	guest_load(g, hypercall);
	is(cpu_run(c), CPU_EXIT_HYPERCALL, "VMCALL exits");
	ok(c->exit.hypercall.nr == 12 && c->exit.hypercall.args[0] == 0x1000 && c->exit.hypercall.args[1] == 2 &&
		   c->exit.hypercall.args[2] == 9 && c->exit.hypercall.long_mode,
	   "with its arguments");
	c->exit.hypercall.ret = 22;
	cpu_complete(c);
	is(cpu_run(c), CPU_EXIT_HYPERCALL, "VMMCALL does, too");
	is(c->gpr[CPU_RBX], 22, "the result was in RAX");
	cpu_complete(c);
	is(cpu_run(c), CPU_EXIT_HLT, "done");
}

GUEST_ASM(smc, "movb $0xb3, 1f(%rip)\n 1: nop\n .byte 0x99\n hlt\n"); /* nop becomes mov bl, 0x99 */
GUEST_ASM(spin, "1: inc %rax\n jmp 1b\n");

static void test_code_changes(struct guest *g)
{
	struct cpu *c = g->cpu;
	const u8 patch[] = { 0x90, 0xf4 };

	guest_long(g, 0);
	guest_load(g, smc);
	is(cpu_run(c), CPU_EXIT_HLT, "self-modified code runs");
	is(c->gpr[CPU_RBX], 0x99, "the next instruction is the new one");
	guest_long(g, 0);
	guest_load(g, spin);
	cpu_kick(c, CPU_STOP);
	is(cpu_run(c), CPU_EXIT_STOPPED, "a stop returns");
	is(cpu_run(c), CPU_EXIT_STOPPED, "until it is cleared");
	cpu_unkick(c, CPU_STOP);
	memcpy(g->mem + G_CODE, patch, 2);
	c->rip = G_CODE;
	is(cpu_run(c), CPU_EXIT_HLT, "code changed from outside is seen");
}

/* An instruction over the end of a page, decoded anew when either half changes. */
static void test_crossing(struct guest *g)
{
	struct cpu *c = g->cpu;
	const u8 code[] = { 0xb8, 0x78, 0x56, 0x34, 0x12, 0xf4 };

	guest_long(g, 0);
	memcpy(g->mem + G_CODE + 0xffd, code, sizeof(code));
	c->rip = G_CODE + 0xffd;
	is(cpu_run(c), CPU_EXIT_HLT, "an instruction in two pages runs");
	is(c->gpr[CPU_RAX], 0x12345678, "with all its bytes");
	g->mem[G_CODE + 0x1001] = 0x55;
	c->rip = G_CODE + 0xffd;
	c->halted = false;
	cpu_run(c);
	is(c->gpr[CPU_RAX], 0x55345678, "and with new ones");
}

GUEST_ASM(store, "mov $0x300000, %edi\n mov $7, %eax\n mov %eax, (%rdi)\n addl $1, (%rdi)\n hlt\n");

static void test_host_fault(struct guest *g)
{
	struct cpu *c = g->cpu;

	guest_long(g, 0);
	guest_load(g, store);
	mprotect(g->mem + 0x300000, 4096, PROT_READ);
	is(cpu_run(c), CPU_EXIT_HOST_FAULT, "a store to protected host memory exits");
	is(c->exit.fault.gpa, 0x300000, "with the page's gpa");
	is(c->rip, G_CODE + 10, "RIP is at the store");
	is(cpu_run(c), CPU_EXIT_HOST_FAULT, "again when run again");
	mprotect(g->mem + 0x300000, 4096, PROT_READ | PROT_WRITE);
	is(cpu_run(c), CPU_EXIT_HLT, "and it works once the memory is there");
	is(get64(g, 0x300000), 8, "exactly once");
}

static void test_owner_faults(struct guest *g)
{
	struct cpu *c = g->cpu;

	guest_long(g, 0);
	guest_load(g, store);
	g->fault_gpa = 0x300000;
	g->fault_kind = CPU_MAP_MEMORY_FAULT;
	is(cpu_run(c), CPU_EXIT_MEMORY_FAULT, "a memory fault exits");
	ok(c->exit.fault.gpa == 0x300000 && c->exit.fault.flags == 8, "with gpa and flags");
	g->fault_kind = CPU_MAP_HWPOISON;
	is(cpu_run(c), CPU_EXIT_HWPOISON, "poison exits");
	g->fault_kind = CPU_MAP_RETRY;
	is(cpu_run(c), CPU_EXIT_STOPPED, "a retry only returns");
	g->fault_kind = 0;
	is(cpu_run(c), CPU_EXIT_HLT, "then it is executed");
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = guest_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };
	struct guest *g = guest_new();

	guest_faulting = g;
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	test_loop(g);
	test_io(g);
	test_mmio(g);
	test_strings(g);
	test_string_io(g);
	test_hypercall(g);
	test_code_changes(g);
	test_crossing(g);
	test_host_fault(g);
	test_owner_faults(g);
	guest_free(g);
	return done_testing();
}
