// SPDX-License-Identifier: MIT
/*
 * tests/run_native_parts.c - parts of mappings, locks, seals, policies; stacks and signal frames in guest memory
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>

#include "tests/run_kvm.h"

#define SIZE (8 * PG)

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

static int vm, shared_fd, private_fd;

/* Two pages of each kind: shared, private, shared, anonymous, shared, nothing. */
enum { SHARED0, PRIV = 2, SHARED1 = 4, ANON = 6, SHARED2 = 8, END = 10 };

/* A VM is of the process that made it. */
static void own_vm(void)
{
	vm = vm_new(kvm_open(), 0);
}

static char *layout(void)
{
	char *base = map_apart((END + 2) * PG);

	munmap(base + END * PG, 2 * PG);
	shared_fd = gmem_new(vm, END * PG, SHAREABLE);
	private_fd = gmem_new(vm, END * PG, GUEST_MEMFD_FLAG_MMAP);
	mmap(base, 6 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, shared_fd, 0);
	mmap(base + PRIV * PG, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, private_fd, 0);
	mmap(base + SHARED2 * PG, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, shared_fd, 8 * PG);
	for (size_t i = 0; i < END; i++)
		touch(base + i * PG, (int)(0x41 + i));
	return base;
}

static void leave(char *base)
{
	munmap(base, (END + 2) * PG);
	close(shared_fd);
	close(private_fd);
}

/* Each page in a letter: its content, B a SIGBUS, S a SIGSEGV; small ones when it cannot be written. */
static void look(const char *name, char *base)
{
	char text[END + 3] = "";

	for (size_t i = 0; i < END + 2; i++) {
		struct touch r = touch(base + i * PG, -1), w = touch(base + i * PG, r.sig ? 1 : r.value);

		if (r.sig)
			text[i] = r.sig == SIGBUS ? '!' : '-';
		else if (!r.value)
			text[i] = w.sig ? 'o' : '0';
		else
			text[i] = (char)(w.sig ? r.value | 0x20 : r.value);
	}
	note("%s: %s", name, text);
}

static const struct {
	const char *name;
	size_t at, pages;
} spans[] = {
	{ "shared and private", SHARED0, 4 },
	{ "private", PRIV, 2 },
	{ "private and shared", PRIV + 1, 2 },
	{ "all", SHARED0, END },
	{ "into nothing", SHARED2, 4 },
	{ "anonymous and shared", ANON + 1, 2 },
};
#define FOR_EACH_SPAN(i) for (size_t i = 0; i < sizeof(spans) / sizeof(*spans); i++)

static void advice(void)
{
	static const struct {
		const char *name;
		int advice;
	} advices[] = {
		{ "POPULATE_READ", MADV_POPULATE_READ },
		{ "POPULATE_WRITE", MADV_POPULATE_WRITE },
		{ "DONTNEED", MADV_DONTNEED },
		{ "WILLNEED", MADV_WILLNEED },
		{ "COLD", MADV_COLD },
		{ "PAGEOUT", MADV_PAGEOUT },
		{ "FREE", MADV_FREE },
		{ "COLLAPSE", MADV_COLLAPSE },
		{ "DONTDUMP", MADV_DONTDUMP },
		{ "HUGEPAGE", MADV_HUGEPAGE },
		{ "REMOVE", MADV_REMOVE },
	};
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	for (size_t a = 0; a < sizeof(advices) / sizeof(*advices); a++)
		FOR_EACH_SPAN (i) {
			char *base = layout(), line[64];
			struct iovec iov = { base + spans[i].at * PG, spans[i].pages * PG };

			CASE(madvise(iov.iov_base, iov.iov_len, advices[a].advice), "%s %s", advices[a].name, spans[i].name);
			snprintf(line, sizeof(line), "%s %s", advices[a].name, spans[i].name);
			look(line, base);
			CASE(syscall(SYS_process_madvise, pidfd, &iov, 1, advices[a].advice, 0), "process_madvise %s %s",
			     advices[a].name, spans[i].name);
			look(line, base);
			leave(base);
		}
	close(pidfd);
}

static void calls(void)
{
	FOR_EACH_SPAN (i) {
		char *base = layout(), *at = base + spans[i].at * PG;
		const char *n = spans[i].name;
		size_t len = spans[i].pages * PG;
		unsigned char vec[16] = "";

		CASE(mlock(at, len), "mlock %s", n);
		look(n, base);
		CASE(madvise(at, len, MADV_DONTNEED), "DONTNEED of locked %s", n);
		CASE(madvise(at, len, MADV_DONTNEED_LOCKED), "DONTNEED_LOCKED of locked %s", n);
		CASE(munlock(at, len), "munlock %s", n);
		CASE(syscall(SYS_mlock2, at, len, MLOCK_ONFAULT), "mlock2 %s", n);
		CASE(munlock(at, len), "munlock %s", n);
		CASE(mincore(at, len, vec), "mincore %s", n);
		CASE(msync(at, len, MS_ASYNC), "msync ASYNC %s", n);
		CASE(msync(at, len, MS_SYNC), "msync SYNC %s", n);
		CASE(mprotect(at, len, PROT_READ), "mprotect read %s", n);
		look(n, base);
		CASE(mprotect(at, len, PROT_NONE), "mprotect none %s", n);
		look(n, base);
		CASE(syscall(SYS_pkey_mprotect, at, len, PROT_READ, -1), "pkey_mprotect -1 %s", n);
		look(n, base);
		CASE(syscall(SYS_pkey_mprotect, at, len, PROT_READ | PROT_WRITE, 14), "pkey_mprotect 14 %s", n);
		look(n, base);
		CASE(mprotect(at, len, PROT_READ | PROT_WRITE), "mprotect write %s", n);
		CASE(mprotect(at, len, PROT_READ | PROT_EXEC), "mprotect exec %s", n);
		look(n, base);
		CASE(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, len, "x"), "PR_SET_VMA %s", n);
		leave(base);
	}
}

static void remapping(void)
{
	FOR_EACH_SPAN (i) {
		char *base = layout(), *at = base + spans[i].at * PG, *to = map_anon(16 * PG);
		const char *n = spans[i].name;
		size_t len = spans[i].pages * PG;

		CASE_OK(mremap(at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to), "mremap %s", n);
		look(n, base);
		look("there", to);
		munmap(to, 16 * PG);
		leave(base);
		base = layout();
		at = base + spans[i].at * PG;
		CASE_OK(mremap(at, len, len - PG, 0), "mremap shorter %s", n);
		look(n, base);
		CASE_OK(mremap(at, PG, 2 * PG, 0), "mremap longer in place %s", n);
		look(n, base);
		leave(base);
		base = layout();
		at = base + spans[i].at * PG;
		CASE(syscall(SYS_remap_file_pages, at, len, 0, 3, 0), "remap_file_pages %s", n);
		look(n, base);
		CASE(munmap(at, len), "munmap %s", n);
		look(n, base);
		leave(base);
		base = layout();
		at = base + spans[i].at * PG;
		CASE_OK(mmap(at, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at ? 0 : -1,
			"anonymous memory over %s", n);
		look(n, base);
		leave(base);
		base = layout();
		at = base + spans[i].at * PG;
		CASE_OK(mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, private_fd, 0) == at ? 0 : -1,
			"the private file over %s", n);
		look(n, base);
		leave(base);
		base = layout();
		at = base + spans[i].at * PG;
		CASE_OK(mmap(at, len, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_POPULATE | MAP_LOCKED, shared_fd, 4 * PG) == at ?
				0 :
				-1,
			"other pages over %s", n);
		look(n, base);
		leave(base);
	}
}

/* System V shared memory in a view's place. */
static void attaching(void)
{
	int id = shmget(IPC_PRIVATE, 2 * PG, IPC_CREAT | 0600);
	char *base = layout();

	if (id < 0) {
		note("no System V shared memory here");
		leave(base);
		return;
	}
	CASE_OK(shmat(id, base + PRIV * PG, 0), "shmat in a mapping's place");
	CASE_OK(shmat(id, base + (PRIV + 1) * PG, SHM_REMAP) == (void *)-1 ? -1 : 0, "shmat REMAP");
	look("REMAP", base);
	CASE(shmdt(base + (PRIV + 1) * PG), "shmdt");
	look("detached", base);
	CASE(shmdt(base), "shmdt of a view");
	shmctl(id, IPC_RMID, NULL);
	leave(base);
}

static void policies(void)
{
	char *base = layout();
	unsigned long node0 = 1;
	int status[END], nodes[END] = { 0 }, mode = -1;
	void *pages[END];

	for (size_t i = 0; i < END; i++)
		pages[i] = base + i * PG;
	CASE(syscall(SYS_get_mempolicy, &mode, NULL, 0, base, MPOL_F_ADDR | MPOL_F_NODE), "node of a shared page");
	note("node %d", mode);
	CASE(syscall(SYS_get_mempolicy, &mode, NULL, 0, base + PRIV * PG, MPOL_F_ADDR | MPOL_F_NODE),
	     "node of a private page");
	CASE(syscall(SYS_get_mempolicy, &mode, NULL, 0, base + PRIV * PG, MPOL_F_ADDR), "policy of a private page");
	CASE(syscall(SYS_get_mempolicy, &mode, NULL, 0, base + END * PG, MPOL_F_ADDR), "policy of nothing");
	for (int flags = 0; flags < 8; flags += 2)
		FOR_EACH_SPAN (i) {
			CASE(syscall(SYS_mbind, base + spans[i].at * PG, spans[i].pages * PG, MPOL_BIND, &node0, 64, flags),
			     "mbind %s, flags %d", spans[i].name, flags);
			CASE(syscall(SYS_mbind, base + spans[i].at * PG, spans[i].pages * PG, MPOL_DEFAULT, NULL, 0, flags | 1),
			     "mbind DEFAULT %s, flags %d", spans[i].name, flags | 1);
		}
	memset(status, 0x55, sizeof(status));
	CASE(syscall(SYS_move_pages, 0, (unsigned long)END, pages, NULL, status, 0), "move_pages, query");
	for (size_t i = 0; i < END; i++)
		note("status %d", status[i]);
	memset(status, 0x55, sizeof(status));
	CASE(syscall(SYS_move_pages, 0, (unsigned long)END, pages, nodes, status, 2 /* MPOL_MF_MOVE */), "move_pages");
	for (size_t i = 0; i < END; i++)
		note("status %d", status[i]);
	look("afterwards", base);
	leave(base);
}

/* What is mapped once all future mappings are locked, and what is locked already. */
static int locked_for_ever(void *arg)
{
	char *base, *other;
	(void)arg;

	own_vm();
	base = layout();

	CASE(mlockall(MCL_CURRENT), "mlockall CURRENT");
	look("CURRENT", base);
	CASE(madvise(base, PG, MADV_DONTNEED), "DONTNEED of a shared page");
	CASE(madvise(base + PRIV * PG, PG, MADV_DONTNEED), "DONTNEED of a private page");
	CASE(munlockall(), "munlockall");
	CASE(madvise(base, PG, MADV_DONTNEED), "DONTNEED of a shared page");
	CASE(mlockall(MCL_CURRENT | MCL_ONFAULT), "mlockall CURRENT ONFAULT");
	CASE(madvise(base, PG, MADV_DONTNEED), "DONTNEED of a shared page");
	CASE(munlockall(), "munlockall");
	CASE(mlockall(MCL_FUTURE), "mlockall FUTURE");
	CASE(madvise(base, PG, MADV_DONTNEED), "DONTNEED of what was there before");
	other = map_shared(shared_fd, 4 * PG, 0);
	case_read("mapped later", other, 0);
	CASE(madvise(other, PG, MADV_DONTNEED), "DONTNEED of what was mapped later");
	CASE(munlock(other, PG), "munlock of it");
	CASE(madvise(other, PG, MADV_DONTNEED), "DONTNEED of it");
	CASE(munmap(other, 4 * PG), "munmap of it");
	other = mmap(NULL, 4 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, private_fd, 0);
	note("private file: %d", other != MAP_FAILED);
	case_read("mapped later", other, 0);
	CASE(madvise(other, PG, MADV_DONTNEED), "DONTNEED of a private file");
	other = mremap(base, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, other);
	case_read("moved", other, 0);
	CASE(madvise(other, PG, MADV_DONTNEED), "DONTNEED of what moved");
	CASE(fallocate(shared_fd, 3, 0, PG), "punch");
	case_read("punched", other, 0);
	CASE(munlockall(), "munlockall");
	CASE(madvise(other, PG, MADV_DONTNEED), "DONTNEED of what moved");
	leave(base);
	return 0;
}

static int sealed(void *arg)
{
	char *base, *to = map_anon(4 * PG);
	(void)arg;

	own_vm();
	base = layout();

	if (syscall(SYS_mseal, base, 4 * PG, 0)) {
		note("mseal: %s", strerrorname_np(errno));
		return 0;
	}
	note("sealed");
	CASE(munmap(base, PG), "munmap");
	CASE(munmap(base + 3 * PG, 2 * PG), "munmap of a part");
	CASE(mprotect(base, PG, PROT_READ), "mprotect");
	CASE(mprotect(base + 3 * PG, 2 * PG, PROT_READ), "mprotect across the end");
	CASE_OK(mremap(base, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, to), "mremap away");
	CASE_OK(mremap(to, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, base), "mremap over it");
	CASE_OK(mremap(base, 0, PG, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0, "a duplicate");
	CASE_OK(mmap(base, PG, PROT_READ, MAP_SHARED | MAP_FIXED, shared_fd, 0) == MAP_FAILED ? -1 : 0, "mmap over it");
	CASE_OK(mmap(base, PG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0,
		"anonymous memory over it");
	CASE(madvise(base, PG, MADV_DONTNEED), "DONTNEED");
	CASE(madvise(base + PRIV * PG, PG, MADV_DONTNEED), "DONTNEED, private");
	CASE(madvise(base, PG, MADV_REMOVE), "REMOVE");
	CASE(fallocate(shared_fd, 3, 0, PG), "punch");
	CASE(mlock(base, PG), "mlock");
	CASE(munlock(base, PG), "munlock");
	look("after all", base);
	return 0;
}

/* --- stacks and frames ----------------------------------------------------- */

static volatile sig_atomic_t handled;

static void count_signal(int sig)
{
	(void)sig;
	handled++;
}

static void on_alternate(int sig, void *stack, size_t size)
{
	stack_t alt = { .ss_sp = stack, .ss_size = size };
	struct sigaction sa = { .sa_handler = count_signal, .sa_flags = SA_ONSTACK };

	if (CASE(sigaltstack(&alt, NULL), "sigaltstack"))
		return;
	sigaction(sig, &sa, NULL);
	handled = 0;
	raise(sig);
	note("handled %d", (int)handled);
}

/* A frame that cannot be written: the process dies by SIGSEGV. */
static int frame_in(void *arg)
{
	on_alternate(SIGUSR1, arg, 16 * PG);
	return 0;
}

static int bus_frame_in(void *arg)
{
	stack_t alt = { .ss_sp = arg, .ss_size = 16 * PG };
	struct sigaction sa = { .sa_handler = count_signal, .sa_flags = SA_ONSTACK };
	char *base;

	own_vm();
	base = layout();
	sigaltstack(&alt, NULL);
	sigaction(SIGBUS, &sa, NULL);
	base[PRIV * PG] = 1;
	return 0;
}

static int runs_on(void *arg)
{
	char buf[256];

	memset(buf, 7, sizeof(buf));
	*(volatile int *)arg += buf[sizeof(buf) / 2];
	return 0;
}

static int clone_on(void *stack)
{
	int sum = 0, status = 0;
	pid_t pid = clone(runs_on, (char *)stack + 16 * PG, CLONE_VM | SIGCHLD, &sum);

	if (pid < 0)
		die("clone");
	waitpid(pid, &status, 0);
	note("clone: sum %d, exit %d, signal %d", sum, WIFEXITED(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return 0;
}

static void *thread_on(void *arg)
{
	char buf[1024];

	memset(buf, 9, sizeof(buf));
	*(int *)arg = buf[512];
	raise(SIGUSR2);
	return NULL;
}

static int pthread_on(void *stack)
{
	pthread_attr_t attr;
	pthread_t thread;
	int sum = 0;

	signal(SIGUSR2, count_signal);
	handled = 0;
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, 16 * PG);
	if (pthread_create(&thread, &attr, thread_on, &sum))
		die("pthread_create");
	pthread_join(thread, NULL);
	note("pthread: sum %d, handled %d", sum, (int)handled);
	return 0;
}

/* The stack pointer in guest memory while the thread does what needs gmem. */
static ucontext_t main_context, other_context;

static void calls_on_stack(void)
{
	int fd = gmem_new(vm, PG, SHAREABLE);
	char *ptr = map_shared(fd, PG, 0);

	case_write("there", ptr, 0, 0x55);
	CASE(fallocate(fd, 3, 0, PG), "punch");
	case_read("there", ptr, 0);
	CASE(set_region1(vm, 3, 0, 0x100000, PG, (uintptr_t)ptr), "slot");
	CASE(set_region1(vm, 3, 0, 0x100000, 0, 0), "no slot");
	munmap(ptr, PG);
	close(fd);
}

static int context_on(void *stack)
{
	own_vm();
	getcontext(&other_context);
	other_context.uc_stack.ss_sp = stack;
	other_context.uc_stack.ss_size = 16 * PG;
	other_context.uc_link = &main_context;
	makecontext(&other_context, calls_on_stack, 0);
	swapcontext(&main_context, &other_context);
	return 0;
}

static int rseq_in(void *arg)
{
	/* libc has one; the second is refused, or faults at the next return from the kernel. */
	CASE(syscall(SYS_rseq, arg, 32, 0, 0x53053053), "rseq in it");
	return 0;
}

static int robust_in(void *arg)
{
	CASE(syscall(SYS_set_robust_list, arg, 24), "robust list in it");
	CASE(syscall(SYS_set_tid_address, (char *)arg + 128) > 0 ? 0 : -1, "tid address in it");
	return 3;
}

static void stacks(void)
{
	int good = gmem_new(vm, 16 * PG, SHAREABLE), bad = gmem_new(vm, 16 * PG, GUEST_MEMFD_FLAG_MMAP);
	char *shared = map_shared(good, 16 * PG, 0), *private = map_shared(bad, 16 * PG, 0);

	note("frame in shared memory: %d", in_child(frame_in, shared));
	note("frame in private memory: %d", in_child(frame_in, private));
	note("SIGBUS' frame in shared memory: %d", in_child(frame_in, shared));
	note("SIGBUS' frame in private memory: %d", in_child(bus_frame_in, private));
	note("clone on shared memory: %d", in_child(clone_on, shared));
	note("clone on private memory: %d", in_child(clone_on, private));
	note("thread on shared memory: %d", in_child(pthread_on, shared));
	note("context on shared memory: %d", in_child(context_on, shared));
	note("rseq in private memory: %d", in_child(rseq_in, private));
	note("lists in private memory: %d", in_child(robust_in, private));
	note("lists in shared memory: %d", in_child(robust_in, shared));
	munmap(shared, 16 * PG);
	munmap(private, 16 * PG);
	close(good);
	close(bad);
}

int main(void)
{
	int kvm = kvm_open();

	touch_init();
	vm = vm_new(kvm, 0);
	group("advice");
	advice();
	group("calls");
	calls();
	group("remapping");
	remapping();
	group("shmat");
	attaching();
	group("policies");
	policies();
	group("mlockall");
	note("%d", in_child(locked_for_ever, NULL));
	group("mseal");
	note("%d", in_child(sealed, NULL));
	group("stacks");
	stacks();
	return 0;
}
