// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_stop.c - slots, attributes and mappings change under running vCPUs
 */
#include <linux/userfaultfd.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/run_vcpu.h"

static void *run_thread(void *arg)
{
	struct guest *g = arg;

	return (void *)(long)run(g);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int join(pthread_t thread)
{
	void *ret;

	pthread_join(thread, &ret);
	return (int)(long)ret;
}

/* A guest that spins on a page of a slot, until it is not 0. */
static const unsigned char spin[] = { OP_LOAD(DATA_GPA), 0x85, 0xc0, 0x74, 0xf7, OP_OUT(0x10), OP_HLT };

static void deleted(void)
{
	struct guest g = guest_new(0);
	char *mem = map_anon(PG);
	pthread_t thread;

	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	guest_start(&g, spin, sizeof(spin));
	pthread_create(&thread, NULL, run_thread, &g);
	usleep(10000);
	is(set_region1(g.vm, 1, 0, DATA_GPA, 0, 0), 0, "a slot is deleted under a running vCPU");
	memset(mem, 1, PG);
	is(join(thread), 0, "which exits");
	is(g.run->exit_reason, KVM_EXIT_MMIO, "to MMIO: no later value was seen");
	guest_free(&g);
}

/* The host's own page tables are the guest's: no call of ours is needed. */
static void replaced(void)
{
	struct guest g = guest_new(0);
	char *mem = map_anon(PG), *other = map_anon(PG);
	pthread_t thread;

	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	guest_start(&g, spin, sizeof(spin));
	pthread_create(&thread, NULL, run_thread, &g);
	usleep(10000);
	other[0] = 5;
	ok(mremap(other, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, mem) == mem, "other memory is moved under a running vCPU");
	is(join(thread), 0, "which sees it");
	is(regs_of(&g).rax, 5, "all of it");
	guest_start(&g, spin, sizeof(spin));
	mem[0] = 0;
	pthread_create(&thread, NULL, run_thread, &g);
	usleep(10000);
	munmap(mem, PG);
	is(join(thread), -EFAULT, "memory that is unmapped makes KVM_RUN fail");
	is(g.run->exit_reason, KVM_EXIT_UNKNOWN, "without an annotation");
	guest_free(&g);
}

static int missing_pages(char *mem, size_t len)
{
	int fd = (int)syscall(__NR_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)mem, len }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (fd >= 0 && (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A vCPU sleeps in a page fault that only this thread can resolve: nothing else may wait for it. */
static void asleep(void)
{
	struct guest g = guest_new(0);
	char *mem = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), page[4096];
	struct uffdio_copy copy = { .dst = (uintptr_t)mem, .src = (uintptr_t)page, .len = PG };
	int fd = missing_pages(mem, PG);
	pthread_t thread;
	double start;

	if (fd < 0) {
		skip(5, "no userfaultfd");
		guest_free(&g);
		return;
	}
	memset(page, 9, sizeof(page));
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	guest_start(&g, spin, sizeof(spin));
	pthread_create(&thread, NULL, run_thread, &g);
	usleep(50000);
	start = now();
	is(set_region1(g.vm, 2, 0, DATA_GPA + 16 * PG, PG, (uintptr_t)g.ram), 0, "a slot while a vCPU sleeps in a fault");
	ok(now() - start < 2, "does not wait for it");
	is(ioctl(fd, UFFDIO_COPY, &copy), 0, "the page comes");
	is(join(thread), 0, "and the vCPU goes on");
	is(regs_of(&g).rax, 0x09090909, "with what it holds");
	close(fd);
	guest_free(&g);
}

#define VCPUS 3

/* Adds 1 to a counter, for ever: LOCK INC [DATA_GPA]; JMP. */
static const unsigned char count[] = { 0xf0, 0xff, 0x05, 0, 0, 0, 0xc0, 0xeb, 0xf7 };

static void on_usr1(int sig)
{
	(void)sig;
}

static void kick_all(struct guest *g, pthread_t *thread)
{
	for (unsigned i = 0; i < VCPUS; i++) {
		g[i].run->immediate_exit = 1;
		pthread_kill(thread[i], SIGUSR1);
	}
}

/* Slots and logging change all the time; every increment counts. */
static void storm(void)
{
	struct guest g[VCPUS] = { guest_new(0) };
	char *mem = map_anon(PG);
	pthread_t thread[VCPUS];
	unsigned bad = 0, before;

	signal(SIGUSR1, on_usr1);
	set_region1(g[0].vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	for (unsigned i = 0; i < VCPUS; i++) {
		if (i) {
			g[i] = g[0];
			g[i].vcpu = vcpu_new(&g[0], i);
			g[i].run = map_run(g[i].vcpu);
			guest_mode(&g[i]);
		}
		guest_start(&g[i], count, sizeof(count));
		pthread_create(&thread[i], NULL, run_thread, &g[i]);
	}
	for (unsigned i = 0; i < 2000; i++) {
		bad += set_region1(g[0].vm, 3, 0, 0x20000000, PG, (uintptr_t)g[0].ram) != 0;
		bad += set_region1(g[0].vm, 1, i & 1 ? 0 : KVM_MEM_LOG_DIRTY_PAGES, DATA_GPA, PG, (uintptr_t)mem) != 0;
		bad += set_region1(g[0].vm, 3, 0, 0x20000000, 0, 0) != 0;
	}
	is(bad, 0, "6000 changes under %d running vCPUs", VCPUS);
	before = *(volatile unsigned *)mem;
	usleep(20000);
	ok(*(volatile unsigned *)mem != before, "and they are still running");
	kick_all(g, thread);
	for (unsigned i = 0; i < VCPUS; i++)
		is(join(thread[i]), -EINTR, "vCPU %u is kicked", i);
	for (unsigned i = 1; i < VCPUS; i++) {
		munmap(g[i].run, 3 * PG);
		close(g[i].vcpu);
	}
	guest_free(&g[0]);
}

int main(void)
{
	deleted();
	replaced();
	asleep();
	storm();
	return done_testing();
}
