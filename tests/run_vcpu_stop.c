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

static void on_usr1(int sig)
{
	(void)sig;
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

/* One signal must do.  When it does not, the page is provided so that the test ends. */
static int join_kicked(pthread_t thread, int uffd, struct uffdio_copy *copy)
{
	struct timespec until;
	void *ret;

	pthread_kill(thread, SIGUSR1);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	if (pthread_timedjoin_np(thread, &ret, &until) == 0)
		return (int)(long)ret;
	diag("it slept on");
	ioctl(uffd, UFFDIO_COPY, copy);
	return join(thread);
}

static void *pre_fault_thread(void *arg)
{
	struct guest *g = arg;
	struct kvm_pre_fault_memory range = { .gpa = DATA_GPA, .size = PG };

	return (void *)(long)(ioctl(g->vcpu, KVM_PRE_FAULT_MEMORY, &range) < 0 ? -errno : 0);
}

/* A guest that touches a page which never comes, in one way or another; a signal makes KVM_RUN return. */
static void kicked_asleep(const char *what, const unsigned char *code, size_t len,
			  unsigned long rdi)
{
	struct guest g = guest_new(0);
	char *mem = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), page[4096];
	struct uffdio_copy copy = { .dst = (uintptr_t)mem, .src = (uintptr_t)page, .len = PG };
	struct kvm_regs r = { .rip = CODE_GPA, .rsp = STACK_GPA, .rflags = 2, .rsi = STACK_GPA, .rdi = rdi, .rcx = 1 };
	int fd = missing_pages(mem, PG);
	pthread_t thread;

	if (fd < 0) {
		skip(4, "no userfaultfd");
		guest_free(&g);
		return;
	}
	memset(page, OP_HLT, sizeof(page));
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	memcpy(g.ram + CODE_GPA, code, len);
	ioctl(g.vcpu, KVM_SET_REGS, &r);
	pthread_create(&thread, NULL, run_thread, &g);
	usleep(20000);
	is(join_kicked(thread, fd, &copy), -EINTR, "%s asleep: KVM_RUN ends by a signal", what);
	is(g.run->exit_reason, KVM_EXIT_INTR, "with that reason");
	ioctl(fd, UFFDIO_COPY, &copy);
	is(run(&g), 0, "the next KVM_RUN goes on");
	is(g.run->exit_reason, KVM_EXIT_HLT, "to the guest's end");
	close(fd);
	munmap(mem, PG);
	guest_free(&g);
}

static void pre_fault_asleep(void)
{
	struct guest g = guest_new(0);
	char *mem = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), page[4096] = { 0 };
	struct uffdio_copy copy = { .dst = (uintptr_t)mem, .src = (uintptr_t)page, .len = PG };
	int fd = missing_pages(mem, PG);
	pthread_t thread;

	if (fd < 0 || ioctl(g.vm, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY) <= 0) {
		skip(2, "no userfaultfd, or no KVM_PRE_FAULT_MEMORY");
		guest_free(&g);
		return;
	}
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	pthread_create(&thread, NULL, pre_fault_thread, &g);
	usleep(20000);
	is(join_kicked(thread, fd, &copy), -EINTR, "KVM_PRE_FAULT_MEMORY asleep ends by a signal");
	ioctl(fd, UFFDIO_COPY, &copy);
	is((long)pre_fault_thread(&g), 0, "and is done when the page is there");
	close(fd);
	munmap(mem, PG);
	guest_free(&g);
}

static struct kvm_run *raced_run;

static void on_usr2(int sig)
{
	(void)sig;
	raced_run->immediate_exit = 1;
}

/* The signal comes at any moment: also within KVM_RUN just before the touch. */
static void kicked_before(void)
{
	static const unsigned char code[] = { OP_LOAD(DATA_GPA), OP_HLT };
	struct guest g = guest_new(0);
	char *mem = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), page[4096] = { 0 };
	struct uffdio_copy copy = { .dst = (uintptr_t)mem, .src = (uintptr_t)page, .len = PG };
	int fd = missing_pages(mem, PG);
	unsigned good = 0;

	if (fd < 0) {
		skip(1, "no userfaultfd");
		guest_free(&g);
		return;
	}
	raced_run = g.run;
	signal(SIGUSR1, on_usr2);
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	for (unsigned i = 0; i < 200; i++) {
		pthread_t thread;

		g.run->immediate_exit = 0;
		guest_start(&g, code, sizeof(code));
		pthread_create(&thread, NULL, run_thread, &g);
		for (volatile unsigned n = 0; n < i * 300; n++)
			;
		if (join_kicked(thread, fd, &copy) != -EINTR)
			break;
		good++;
	}
	is(good, 200, "a signal at any moment ends KVM_RUN");
	close(fd);
	munmap(mem, PG);
	guest_free(&g);
}

static const unsigned char load[] = { OP_LOAD(DATA_GPA), OP_HLT }, store[] = { OP_STORE(DATA_GPA), OP_HLT },
			   locked[] = { 0xf0, 0xff, 0x05, 0, 0, 0, 0xc0, OP_HLT }, fetch[] = { 0xff, 0xe7 },
			   movs[] = { 0xf3, 0xa4, OP_HLT }, push[] = { 0x89, 0xfc, 0x54, OP_HLT },
			   cross[] = { 0x89, 0x7f, 0xfe, OP_HLT }, bits[] = { 0x0f, 0xab, 0x07, OP_HLT };

static void all_kicked_asleep(void)
{
	signal(SIGUSR1, on_usr1);
	kicked_asleep("a load", load, sizeof(load), 0);
	kicked_asleep("a store", store, sizeof(store), 0);
	kicked_asleep("a locked increment", locked, sizeof(locked), 0);
	kicked_asleep("a fetch", fetch, sizeof(fetch), DATA_GPA);
	kicked_asleep("a string", movs, sizeof(movs), DATA_GPA);
	kicked_asleep("a push", push, sizeof(push), DATA_GPA + 8);
	kicked_asleep("an operand with a base", cross, sizeof(cross), DATA_GPA + 16);
	kicked_asleep("a bit string", bits, sizeof(bits), DATA_GPA);
	pre_fault_asleep();
	kicked_before();
}

#define VCPUS 3

/* Adds 1 to a counter, for ever: LOCK INC [DATA_GPA]; JMP. */
static const unsigned char count[] = { 0xf0, 0xff, 0x05, 0, 0, 0, 0xc0, 0xeb, 0xf7 };

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
	all_kicked_asleep();
	storm();
	return done_testing();
}
