// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_poison.c - guests that meet memory errors: in a file's page, and behind userspace_addr
 */
#include <dlfcn.h>
#include <fcntl.h>

#include "tests/run_vcpu.h"

#define FILE_SIZE (4 * PG)
#define EHWPOISON_ 133
static int (*strike)(int fd, uint64_t offset);
static volatile sig_atomic_t hits;
static volatile int hit_code, hit_lsb;
static void *volatile hit_addr;

static void on_bus(int sig, siginfo_t *info, void *context)
{
	hits++;
	hit_code = info->si_code;
	hit_addr = info->si_addr;
	hit_lsb = info->si_addr_lsb;
}

/* The guest's access is to the file. */
static void in_the_file(void)
{
	struct guest g = guest_new(0);
	int fd = gmem_new(g.vm, FILE_SIZE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);

	is(set_region2(g.vm, 1, KVM_MEM_GUEST_MEMFD, DATA_GPA, FILE_SIZE, 0, fd, 0), 0, "a slot of a file");
	is(RUN(&g, OP_LOAD(DATA_GPA), OP_HLT), 0, "its page is read");
	is(strike(fd, PG), 0, "a memory error in the next");
	is(RUN(&g, OP_LOAD(DATA_GPA + PG), OP_OUT(0x10), OP_HLT), -EHWPOISON_, "reading that one is EHWPOISON");
	is(g.run->exit_reason, KVM_EXIT_MEMORY_FAULT, "with a memory fault");
	is(g.run->memory_fault.gpa, DATA_GPA + PG, "there");
	is(g.run->memory_fault.flags, 0, "of a shared page");
	is(run(&g), -EHWPOISON_, "again and again");
	is(hits, 0, "without a signal");
	is(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PG, PG), 0, "punched");
	is(run(&g), 0, "it is a fresh page");
	is(g.run->exit_reason, KVM_EXIT_IO, "and the guest goes on");
	close(fd);
	guest_free(&g);
}

/* The guest's access is to memory of the program: here a mapping of a file that no slot has. */
static void behind_userspace_addr(void)
{
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct guest g = guest_new(0);
	int fd = gmem_new(g.vm, FILE_SIZE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	char *mem = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	sigaction(SIGBUS, &sa, NULL);
	memset(mem, 0x41, FILE_SIZE);
	is(set_region1(g.vm, 1, 0, DATA_GPA, FILE_SIZE, (uintptr_t)mem), 0, "a slot of a mapping");
	is(strike(fd, 2 * PG), 0, "a memory error there");
	is(RUN(&g, OP_LOAD(DATA_GPA + 2 * PG + 8), OP_OUT(0x10), OP_HLT), -EINTR, "reading it ends KVM_RUN by a signal");
	is(g.run->exit_reason, KVM_EXIT_INTR, "with exit reason INTR");
	is(hits, 1, "SIGBUS");
	is(hit_code, BUS_MCEERR_AR, "for an error that was met");
	is(hit_addr == mem + 2 * PG, 1, "in that page");
	is(hit_lsb, 12, "all of it");
	is(regs_of(&g).rip, CODE_GPA, "RIP stays");
	is(run(&g), -EINTR, "trying again");
	is(hits, 2, "is the same");
	is(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PG, PG), 0, "punched");
	is(run(&g), 0, "it is a fresh page");
	is(g.run->exit_reason, KVM_EXIT_IO, "and the guest goes on");
	is(regs_of(&g).rax, 0, "with a zero");
	is(hits, 2, "and no further signal");
	munmap(mem, FILE_SIZE);
	close(fd);
	guest_free(&g);
}

/* Without a handler it kills, as the kernel's does. */
static void kills(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct guest g = guest_new(0);
		int fd = gmem_new(g.vm, FILE_SIZE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
		char *mem = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		signal(SIGBUS, SIG_DFL);
		set_region1(g.vm, 1, 0, DATA_GPA, FILE_SIZE, (uintptr_t)mem);
		strike(fd, 0);
		RUN(&g, OP_LOAD(DATA_GPA), OP_HLT);
		_exit(0);
	}
	waitpid(child, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS, "without a handler SIGBUS kills");
}

int main(void)
{
	*(void **)&strike = dlsym(RTLD_DEFAULT, "gmem_test_poison");
	if (!strike)
		skip_all("no gmem_test_poison() here");
	in_the_file();
	behind_userspace_addr();
	kills();
	return done_testing();
}
