// SPDX-License-Identifier: MIT
/*
 * tests/run_accepted.c - differences of the engines that docs/divergences.md accepts, each as it is
 *
 *	run_accepted ENGINE
 *
 * The text of a point begins with the entry's name: tests/divergences.t compares the two lists.
 * A kernel would fail every one of these.
 */
#include <dlfcn.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "check/rights.h"
#include "tests/run_inplace.h"
#include "uapi/mm.h"

#define PAGES 16
#define SIZE  (PAGES * PG)

static int kvm, vm;
static bool is_eg, is_dp;

/* A file of shared pages that hold 'a'. */
static char *new_file(int *fd)
{
	char *ptr;

	*fd = gmem_new(vm, SIZE, SHAREABLE);
	ptr = map_shared(*fd, SIZE, 0);
	memset(ptr, 'a', SIZE);
	return ptr;
}

static void drop_file(int fd, char *ptr)
{
	munmap(ptr, SIZE);
	close(fd);
}

/* The number behind "name:" in /proc/self/status. */
static long status_number(const char *name)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long value = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtol(line + strlen(name) + 1, NULL, 10);
	if (f)
		fclose(f);
	return value;
}

static int exit_of(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Until the process sleeps, which it goes on doing. */
static void until_asleep(pid_t pid)
{
	char path[40], line[256], *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int seen = 0; seen < 5; usleep(20000)) {
		FILE *f = fopen(path, "r");

		at = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
		seen = at && at[1] && at[2] == 'S' ? seen + 1 : 0;
		if (f)
			fclose(f);
	}
}

static int store_with_segv_blocked(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	*(volatile char *)arg = 1;
	return 0;
}

static void blocked_signal(void)
{
	int fd;
	char *ptr = new_file(&fd);

	if (set_attr2(fd, PG, PG, PRIVATE, NULL))
		die("to private");
	is(-in_child(store_with_segv_blocked, ptr + PG), is_eg ? SIGSEGV : SIGBUS,
	   "blocked-signal: what kills a thread that touches a private page with SIGSEGV blocked");
	drop_file(fd, ptr);
}

static void mlock_swap(void)
{
	int fd;
	char *ptr = new_file(&fd);
	long before = status_number("VmLck:");

	is(mlock(ptr, SIZE), 0, "mlock-swap: mlock");
	fails(madvise(ptr, PG, MADV_DONTNEED), EINVAL, "mlock-swap: the memory counts as locked");
	is(status_number("VmLck:") - before, is_dp ? (long)SIZE / 1024 : 0, "mlock-swap: but only dp has it locked (KiB)");
	drop_file(fd, ptr);
}

static void stopped_peer(void)
{
	uint64_t where = 0;
	int fd, status, ret;
	char *ptr = new_file(&fd);
	pid_t pid = fork();

	if (!pid) {
		touch(ptr, -1);
		raise(SIGSTOP);
		_exit(touch(ptr + 3 * PG, -1).sig);
	}
	waitpid(pid, &status, WUNTRACED);
	errno = 0;
	ret = set_attr2(fd, 3 * PG, 2 * PG, PRIVATE, &where);
	ok(ret == -1 && errno == EAGAIN && where == 3 * PG, "stopped-peer: EAGAIN with the lowest offset (%d, %s)", ret,
	   strerror(errno));
	is_shared(ptr + 3 * PG, 'a', "stopped-peer: its page");
	is(set_attr2(fd, 3 * PG, PG, SHARED, NULL), 0, "stopped-peer: to shared needs nobody");
	kill(pid, SIGCONT);
	is(exit_of(pid), 0, "stopped-peer: the peer reads it when it goes on");
	is(set_attr2(fd, 3 * PG, 2 * PG, PRIVATE, NULL), 0, "stopped-peer: then the conversion is done");
	drop_file(fd, ptr);
}

static void poison_heal(void)
{
	int (*strike)(int, uint64_t), fd;
	char *ptr = new_file(&fd);

	*(void **)&strike = dlsym(RTLD_DEFAULT, "gmem_test_poison");
	if (!strike)
		die("no hook");
	strike(fd, 0);
	is(touch(ptr, -1).code, BUS_MCEERR_AR, "poison-heal: a struck page is refused");
	is(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PG), 0, "poison-heal: it is punched");
	is_shared(ptr, 0, "poison-heal: the mapping that had it");
	drop_file(fd, ptr);
}

/* A filter that gmem knows nothing of: cachestat() is what it is before Linux 6.5. */
static void lose_cachestat(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GMEM_NR_CACHESTAT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };
	long ret;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_seccomp), "D"(SECCOMP_SET_MODE_FILTER), "S"(0), "d"(&prog)
			 : "rcx", "r11", "memory");
	if (ret)
		_exit(100);
}

struct twice {
	int fd;
	char *ptr;
	bool without;
};

/* Bit n of the result: page n counts as used. */
static int allocate_twice(void *arg)
{
	const struct twice *t = (const struct twice *)arg;
	unsigned char vec[4];

	if (t->without)
		lose_cachestat();
	if (fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE) ||
	    fallocate(t->fd, FALLOC_FL_KEEP_SIZE, 0, 4 * PG) || fallocate(t->fd, FALLOC_FL_KEEP_SIZE, 2 * PG, PG) ||
	    mincore(t->ptr, 4 * PG, vec))
		return 101;
	return (vec[0] & 1) | (vec[1] & 1) << 1 | (vec[2] & 1) << 2 | (vec[3] & 1) << 3;
}

static void allocated_twice(void)
{
	bool has = syscall(GMEM_NR_CACHESTAT, -1, NULL, NULL, 0) == -1 && errno != ENOSYS;
	struct twice t = { 0 };

	t.ptr = new_file(&t.fd);
	if (has)
		is(in_child(allocate_twice, &t), 0, "allocated-twice: no page that nobody touched counts as used");
	t.without = true;
	is(in_child(allocate_twice, &t), 4, "allocated-twice: but without cachestat(2) one that was allocated twice");
	drop_file(t.fd, t.ptr);
}

/* Stopped anywhere, perhaps with the file's lock held: whatever the answer is, there is one. */
static void stopped_anywhere(void)
{
	int fd, status, strange = 0;
	char *ptr = new_file(&fd);

	alarm(120);
	for (int round = 0; round < 2; round++) {
		pid_t pid = fork();
		char *other;

		while (!pid) {
			set_attr2(fd, 4 * PG, PG, PRIVATE, NULL);
			set_attr2(fd, 4 * PG, PG, SHARED, NULL);
		}
		usleep(20000 + 777 * (unsigned)round);
		kill(pid, SIGSTOP);
		waitpid(pid, &status, WUNTRACED);
		strange += set_attr2(fd, 0, PG, PRIVATE, NULL) && errno != EAGAIN;
		strange += fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * PG, PG) && errno != EINTR;
		other = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
		strange += other == MAP_FAILED && errno != EAGAIN;
		if (other != MAP_FAILED)
			munmap(other, SIZE);
		touch(ptr + 4 * PG, -1);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		strange += set_attr2(fd, 4 * PG, PG, PRIVATE, NULL) != 0 || touch(ptr + 4 * PG, -1).sig != SIGBUS;
		strange += set_attr2(fd, 0, SIZE, SHARED, NULL) != 0 || touch(ptr + 4 * PG, -1).sig != 0;
	}
	alarm(0);
	is(strange, 0, "stopped-peer: where it is stopped amid its own conversions, calls return all the same");
	drop_file(fd, ptr);
}

/* A child of which libc knows nothing; it may use what needs no libc. */
static pid_t raw_fork(void)
{
	long pid;

	__asm__ volatile("syscall" : "=a"(pid) : "a"(SYS_fork) : "rcx", "r11", "memory");
	return (pid_t)pid;
}

static char *raw_mmap(char *at)
{
	register long r10 __asm__("r10") = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	register long r8 __asm__("r8") = -1;
	register long r9 __asm__("r9") = 0;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_mmap), "D"(at), "S"(PG), "d"(PROT_READ | PROT_WRITE), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return (char *)ret;
}

static int child_maps_there(int fd, char *ptr)
{
	char *place = raw_mmap(ptr);

	if (place != ptr)
		return 1;
	*place = 'm';
	/* The first call that gmem sees sets the child up. */
	if (set_attr2(fd, PG, PG, PRIVATE, NULL))
		return 2;
	if (*place != 'm')
		return 3;
	return touch(ptr + 2 * PG, -1).sig ? 42 : 4;
}

static int child_touches(char *ptr)
{
	return touch(ptr, -1).value == 'a' && touch(ptr + PG, -1).sig == SIGBUS ? 42 : 1;
}

static atomic_bool enough;

static void *converts_on_and_on(void *arg)
{
	int fd = *(int *)arg;

	while (!enough)
		if (set_attr2(fd, 2 * PG, PG, PRIVATE, NULL) || set_attr2(fd, 2 * PG, PG, 0, NULL))
			break;
	return NULL;
}

/* The view may be lost, and be SIGSEGV then: a private page is not seen. */
static int child_sees_nothing_private(char *ptr)
{
	struct touch t;

	alarm(20);
	t = touch(ptr, -1);
	if (!t.sig && t.value != 'a')
		return 1;
	return touch(ptr + PG, -1).sig ? 42 : 2;
}

static void raw_forks_amid_conversions(void)
{
	pthread_t thread;
	int fd, wrong = 0;
	char *ptr = new_file(&fd);

	set_attr2(fd, PG, PG, PRIVATE, NULL);
	pthread_create(&thread, NULL, converts_on_and_on, &fd);
	for (int i = 0; i < 30; i++) {
		pid_t pid = raw_fork();

		if (!pid)
			_exit(child_sees_nothing_private(ptr));
		wrong += exit_of(pid) != 42;
	}
	enough = true;
	pthread_join(thread, NULL);
	is(wrong, 0, "raw-fork: children made amid conversions see no private page");
	drop_file(fd, ptr);
}

static void raw_forks(void)
{
	int fd;
	char *ptr = new_file(&fd);
	pid_t pid;

	set_attr2(fd, PG, PG, PRIVATE, NULL);
	pid = raw_fork();
	if (!pid)
		_exit(child_touches(ptr));
	is(exit_of(pid), 42, "raw-fork: a child gets its views when it touches one");
	pid = raw_fork();
	if (!pid)
		_exit(child_maps_there(fd, ptr));
	is(exit_of(pid), 42, "raw-fork: what it maps there before stays, and the view is lost");
	drop_file(fd, ptr);
}

/* Converts a page of the file that it gets, whenever the parent has fallen asleep. */
static int converts_while_asleep(int sock, pid_t parent)
{
	int fd = receive_fd(sock);

	for (uint64_t page = 1; page <= 2; page++) {
		until_asleep(parent);
		if (set_attr2(fd, page * PG, PG, PRIVATE, NULL))
			return 1;
		if (write(sock, "", 1) != 1)
			return 2;
	}
	return 42;
}

/* Whether the sleep ended before its time, when the other has converted. */
static bool sleep_is_cut_short(int sock)
{
	struct timespec nap = { .tv_sec = 2 };
	bool cut = nanosleep(&nap, NULL) == -1 && errno == EINTR;
	char byte;

	return read(sock, &byte, 1) == 1 && cut;
}

static void peer_signal(void)
{
	int fd, sock[2];
	pid_t parent = getpid(), pid;
	char *ptr;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		die("socketpair");
	pid = fork();
	if (!pid)
		_exit(converts_while_asleep(sock[1], parent));
	ptr = new_file(&fd);
	send_fd(sock[0], fd);
	is(sleep_is_cut_short(sock[0]), true, "peer-signal: SIGURG ends the sleep of a process that is asked to help");
	is(sleep_is_cut_short(sock[0]), false, "peer-signal: once");
	is(exit_of(pid), 42, "peer-signal: the other has converted");
	is(touch(ptr + PG, -1).sig, SIGBUS, "peer-signal: which holds here");
	close(sock[0]);
	close(sock[1]);
	drop_file(fd, ptr);
}

/* A pipe that holds a page by reference. */
static void unseen_holder(void)
{
	int fd, pipe_fds[2];
	char *ptr = new_file(&fd), byte = 0;
	struct iovec page = { ptr, 1 };

	*ptr = 'h';
	if (pipe(pipe_fds) || vmsplice(pipe_fds[1], &page, 1, 0) != 1)
		die("vmsplice");
	is(set_attr2(fd, 0, PG, PRIVATE, NULL), 0, "unseen-holder: a page that a pipe holds becomes private");
	is_private(ptr, "unseen-holder: the page");
	is(read(pipe_fds[0], &byte, 1), 1, "unseen-holder: the pipe gives it all the same");
	is(byte, 'h', "unseen-holder: with its content");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	drop_file(fd, ptr);
}

static void kept_environment(void)
{
	FILE *f;

	unsetenv("LD_PRELOAD");
	is(system(":"), 0, "kept-environment: system(3)");
	ok(getenv("LD_PRELOAD") != NULL, "kept-environment: leaves LD_PRELOAD in the caller's environment");
	unsetenv("LD_PRELOAD");
	f = popen(":", "r");
	ok(f && pclose(f) == 0 && getenv("LD_PRELOAD"), "kept-environment: popen(3), too");
}

int main(int argc, char **argv)
{
	const char *engine = argc > 1 ? argv[1] : "";

	vm = inplace_vm(&kvm);
	is_eg = !strcmp(engine, "eg");
	is_dp = !strcmp(engine, "dp");
	setvbuf(stdout, NULL, _IOLBF, 0);
	unseen_holder();
	blocked_signal();
	mlock_swap();
	skip(1, "guard-window: a race of the kernel with its own reclaim, which cannot be provoked at will");
	stopped_peer();
	stopped_anywhere();
	poison_heal();
	allocated_twice();
	raw_forks();
	raw_forks_amid_conversions();
	peer_signal();
	kept_environment();
	return done_testing();
}
