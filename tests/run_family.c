// SPDX-License-Identifier: MIT
/*
 * tests/run_family.c - files in a process and its children: fork, sudden death
 *
 * Knows nothing of gmem; needs a kernel that converts in place (Linux 7.4).
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/family.h"

static pid_t raw_fork(void)
{
	pid_t pid;

	__asm__ volatile("syscall" : "=a"(pid) : "a"(SYS_fork) : "rcx", "r11", "memory");
	return pid;
}

static pid_t clone_fork(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

static pid_t _Fork_(void)
{
	return _Fork();
}

static const struct {
	const char *name;
	pid_t (*fork)(void);
} forks[] = { { "fork()", fork }, { "_Fork()", _Fork_ }, { "syscall(SYS_clone)", clone_fork }, { "inline fork", raw_fork } };

static int child_looks(void)
{
	int other;

	CHECK(refused(1));
	CHECK(readable(0) && map[0] == 'a');
	CHECK(refused_to_kernel(1));
	map[2 * PG] = 'c';
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, 234) == -1 && errno == EIO);
	CHECK(gmem_try(vm, SIZE, 0) == -1 && errno == EIO);
	CHECK(set_region2(vm, 0, KVM_MEM_GUEST_MEMFD, 0, SIZE, 1 << 30, file, 0) == -1 && errno == EIO);
	CHECK(ioctl(vm, 0xaeff) == -1 && errno == EIO);
	CHECK(ioctl(kvm, KVM_GET_API_VERSION, 0) == 12);
	CHECK(fallocate(file, FALLOC_FL_KEEP_SIZE, 3 * PG, PG) == 0);
	CHECK(fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 4 * PG, PG) == 0);
	CHECK(convert(5, true) == 0 && refused(5));
	CHECK(convert(1, false) == 0 && readable(1) && map[PG] == 'b');
	other = ioctl(kvm, KVM_CREATE_VM, 1);
	CHECK(other >= 0 && gmem_try(other, SIZE, SHAREABLE) >= 0);
	return 0;
}

static void test_fork_looks(const char *name, pid_t (*fork_it)(void))
{
	pid_t pid;

	make_file();
	map[4 * PG] = 'e';
	fflush(stdout);
	pid = fork_it();
	if (pid == 0)
		_exit(child_looks());
	is(finish(pid), 0, "%s: the child sees states and contents, is refused what it must be", name);
	is(map[2 * PG], 'c', "%s: what it stored is there", name);
	is(map[4 * PG], 0, "%s: what it punched is not", name);
	ok(refused(5) && refused_to_kernel(5), "%s: what it made private is refused to the parent", name);
	ok(readable(1) && map[PG] == 'b', "%s: what it shared is accessible to the parent", name);
	drop_file();
}

static int child_in_turn(void)
{
	CHECK(wait_for(1) == '1' && refused(7) && refused_to_kernel(7));
	CHECK(convert(8, true) == 0);
	give(0, '2');
	CHECK(wait_for(1) == '3' && readable(7) && map[7 * PG] == 'h');
	CHECK(convert(8, false) == 0);
	give(0, '4');
	CHECK(wait_for(1) == '5');
	return 0;
}

static void test_fork_in_turn(const char *name, pid_t (*fork_it)(void))
{
	pid_t pid;

	make_file();
	map[7 * PG] = 'h';
	turns_open();
	fflush(stdout);
	pid = fork_it();
	if (pid == 0)
		_exit(child_in_turn());
	is(convert(7, true), 0, "%s: the parent makes a page private", name);
	give(1, '1');
	ok(wait_for(0) == '2' && refused(8), "%s: both learn of the other's conversion to private", name);
	is(convert(7, false), 0, "%s: the parent shares it", name);
	give(1, '3');
	ok(wait_for(0) == '4' && readable(8), "%s: both learn of the other's conversion to shared", name);
	give(1, '5');
	is(finish(pid), 0, "%s: the child saw the same", name);
	turns_close();
	drop_file();
}

static void *idle(void *arg)
{
	return arg;
}

/* The child has one thread; what others held in the parent must not hold it up. */
static volatile bool stop;

static void *hammer(void *arg)
{
	(void)arg;
	while (!stop) {
		int fd = gmem_try(vm, PG, SHAREABLE);

		convert(20, true);
		convert(20, false);
		close(fd);
	}
	return NULL;
}

static int child_of_threads(void)
{
	pthread_t thread;

	if (convert(9, true))
		return 240 + (errno & 7);
	CHECK(refused(9));
	CHECK(convert(9, false) == 0);
	CHECK(gmem_try(ioctl(kvm, KVM_CREATE_VM, 1), PG, SHAREABLE) >= 0);
	CHECK(pthread_create(&thread, NULL, idle, NULL) == 0 && pthread_join(thread, NULL) == 0);
	return 0;
}

static void test_fork_with_threads(void)
{
	pthread_t threads[3];
	int wrong = 0, status;

	make_file();
	stop = false;
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, hammer, NULL);
	fflush(stdout);
	for (int i = 0; i < 40; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(child_of_threads());
		status = finish(pid);
		if (status)
			diag("child %d: %d", i, status);
		wrong += status != 0;
	}
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is(wrong, 0, "40 forks while three threads create and convert");
	drop_file();
}

/* --- sudden death ------------------------------------------------------------------ */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void child_converts_for_ever(void)
{
	for (unsigned i = 0;; i++) {
		convert(10 + i % 8, true);
		convert(10 + i % 8, false);
	}
}

static void test_killed_peer(void)
{
	double slowest = 0;
	siginfo_t info;
	int wrong = 0;

	make_file();
	fflush(stdout);
	for (int i = 0; i < 30; i++) {
		double start;
		pid_t pid = fork();

		if (pid == 0)
			child_converts_for_ever();
		usleep(1000 + 700 * (unsigned)i);
		kill(pid, SIGKILL);
		/* Dead, but in every other round a zombie. */
		waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
		if (i & 1)
			finish(pid);
		start = now();
		if (set_attr2(file, 10 * PG, 8 * PG, PRIV, NULL)) {
			diag("round %d, to private: %s", i, strerror(errno));
			wrong++;
		}
		for (unsigned page = 10; page < 18; page++)
			wrong += !refused(page);
		if (set_attr2(file, 10 * PG, 8 * PG, 0, NULL)) {
			diag("round %d, to shared: %s", i, strerror(errno));
			wrong++;
		}
		for (unsigned page = 10; page < 18; page++)
			wrong += !readable(page);
		slowest = now() - start > slowest ? now() - start : slowest;
		if (!(i & 1))
			finish(pid);
	}
	is(wrong, 0, "a peer that is killed while it converts: the other's conversions hold");
	ok(slowest < 3, "and take no longer than a moment (%.3f s)", slowest);
	drop_file();
}

/* A peer that does not run cannot comply: nothing private may be visible to it afterwards, nobody may hang. */
static int child_stopped(void)
{
	give(0, 's');
	raise(SIGSTOP);
	CHECK(wait_for(1) == 'g');
	return touch(map + 11 * PG, -1).sig ? 1 : 2;
}

static void test_stopped_peer(void)
{
	uint64_t where = 0;
	int ret, status;
	double start;
	pid_t pid;

	make_file();
	turns_open();
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(child_stopped());
	wait_for(0);
	waitpid(pid, &status, WUNTRACED);
	start = now();
	errno = 0;
	ret = set_attr2(file, 11 * PG, PG, PRIV, &where);
	ok(ret == 0 || (ret == -1 && errno == EAGAIN && where == 11 * PG),
	   "a stopped peer: done, or EAGAIN with the page (%d, %s)", ret, strerror(errno));
	ok(now() - start < 5, "within a moment");
	ok(ret ? readable(11) : refused(11), "and the caller's view agrees with the answer");
	kill(pid, SIGCONT);
	give(1, 'g');
	is(finish(pid), ret ? 2 : 1, "as does the peer's when it goes on");
	turns_close();
	drop_file();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (!converts_in_place())
		skip_all("this kernel does not convert in place");
	touch_init();
	for (size_t i = 0; i < sizeof(forks) / sizeof(forks[0]); i++) {
		test_fork_looks(forks[i].name, forks[i].fork);
		test_fork_in_turn(forks[i].name, forks[i].fork);
	}
	test_fork_with_threads();
	test_killed_peer();
	test_stopped_peer();
	return done_testing();
}
