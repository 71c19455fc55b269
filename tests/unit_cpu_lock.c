// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_lock.c - LOCKed instructions of four CPUs on shared memory lose nothing
 */
#include <pthread.h>

#include "tests/tap.h"

#include "tests/cpu_guest.h"

enum { CPUS = 4, ROUNDS = 200000 };

/* inc, xadd, a cmpxchg loop, a spin lock around a plain increment, bts/btr as a lock */
GUEST_ASM(work, "mov $200000, %ecx\n mov $0x200000, %edi\n mov $1, %ebx\n"
		"1: lock incl (%rdi)\n"
		"mov %ebx, %eax\n lock xadd %rax, 64(%rdi)\n"
		"mov 128(%rdi), %eax\n 2: lea 3(%rax), %edx\n lock cmpxchg %edx, 128(%rdi)\n jnz 2b\n"
		"3: mov $1, %eax\n xchg %eax, 192(%rdi)\n test %eax, %eax\n jnz 3b\n"
		"incq 200(%rdi)\n movl $0, 192(%rdi)\n"
		"4: lock btsl $5, 256(%rdi)\n jc 4b\n incq 264(%rdi)\n lock btrl $5, 256(%rdi)\n"
		"lock addw $1, 322(%rdi)\n"
		"dec %ecx\n jnz 1b\n hlt\n");

static void *run(void *arg)
{
	struct cpu *c = arg;

	return (void *)(uintptr_t)(cpu_run(c) == CPU_EXIT_HLT);
}

int main(void)
{
	struct guest *g = guest_new();
	struct guest views[CPUS];
	struct cpu *cpus[CPUS];
	pthread_t threads[CPUS];
	unsigned halted = 0;

	guest_load(g, work);
	for (unsigned i = 0; i < CPUS; i++) {
		cpus[i] = aligned_alloc(64, (sizeof(struct cpu) + 63) & ~63UL);
		memset(cpus[i], 0, sizeof(struct cpu));
		views[i] = *g;
		if (cpu_init(cpus[i], &guest_bus, &views[i]) < 0)
			skip_all("no memory for the CPUs");
		views[i].cpu = cpus[i];
		guest_long(&views[i], 0);
	}
	for (unsigned i = 0; i < CPUS; i++)
		pthread_create(&threads[i], NULL, run, cpus[i]);
	for (unsigned i = 0; i < CPUS; i++) {
		void *r;

		pthread_join(threads[i], &r);
		halted += r != NULL;
	}
	is(halted, CPUS, "all CPUs reach their end");
	is((u32)get64(g, G_DATA), CPUS * ROUNDS, "LOCK INC is exact");
	is(get64(g, G_DATA + 64), CPUS * ROUNDS, "LOCK XADD is exact");
	is((u32)get64(g, G_DATA + 128), 3 * CPUS * ROUNDS, "LOCK CMPXCHG is exact");
	is(get64(g, G_DATA + 200), CPUS * ROUNDS, "XCHG makes a lock");
	is(get64(g, G_DATA + 264), CPUS * ROUNDS, "LOCK BTS makes a lock");
	is(get64(g, G_DATA + 320) >> 16 & 0xffff, (CPUS * ROUNDS) & 0xffff, "16 bits are atomic, too");
	for (unsigned i = 0; i < CPUS; i++) {
		cpu_fini(cpus[i]);
		free(cpus[i]);
	}
	guest_free(g);
	return done_testing();
}
