// SPDX-License-Identifier: MIT
/*
 * tests/run_family.c - files in more than one process: fork, exec, sockets, sudden death
 *
 *	run_family			all tests
 *	run_family probe		exit status 42 when this kernel converts in place, 43 when
 *					the variable RUN_PROCESSES came along as well
 *	run_family inherit FILE KVM VM	an exec'ed program looks at inherited descriptors
 *	run_family receive SOCKET	an exec'ed program gets a file by SCM_RIGHTS
 *
 * Knows nothing of gmem; needs a kernel that converts in place (Linux 7.4).
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/run_kvm.h"
#include "tests/tap.h"

#define PAGES 32
#define SIZE  (PAGES * PG)
#define PRIV  KVM_MEMORY_ATTRIBUTE_PRIVATE

extern char **environ;
static char self[4096];
static int kvm, vm, file;
static char *map;

/* Page 0 is shared and holds 'a', page 1 is private and holds 'b'. */
static void make_file(void)
{
	vm = vm_new(kvm, 1);
	file = gmem_new(vm, SIZE, SHAREABLE);
	map = map_shared(file, SIZE, 0);
	map[0] = 'a';
	map[PG] = 'b';
	if (set_attr2(file, PG, PG, PRIV, NULL))
		die("conversion");
}

static void drop_file(void)
{
	munmap(map, SIZE);
	close(file);
	close(vm);
}

static int convert(unsigned page, bool to_private)
{
	return set_attr2(file, page * PG, PG, to_private ? PRIV : 0, NULL);
}

/* What is expected of a page has not been seen: say what was. */
static bool seen(unsigned page, struct touch t, bool right)
{
	if (!right)
		diag("[%d] page %u: signal %d, code %d, at %+ld", getpid(), page, t.sig, t.code,
		     t.sig ? (long)(t.addr - (uintptr_t)map) : 0);
	return right;
}

static bool refused(unsigned page)
{
	struct touch t = touch(map + page * PG, -1);

	return seen(page, t, t.sig == SIGBUS && t.code == BUS_ADRERR && t.addr == (uintptr_t)(map + page * PG));
}

static bool readable(unsigned page)
{
	struct touch t = touch(map + page * PG, -1);

	return seen(page, t, t.sig == 0);
}

/* EFAULT for a system call, too. */
static bool refused_to_kernel(unsigned page)
{
	int pipes[2];
	bool right;

	if (pipe(pipes))
		return false;
	right = write(pipes[1], map + page * PG, 1) == -1 && errno == EFAULT;
	close(pipes[0]);
	close(pipes[1]);
	return right;
}

/* --- two processes in turn ------------------------------------------------------- */

static int turn[2][2]; /* turn[0]: parent may go on; turn[1]: child may */

static void turns_open(void)
{
	if (pipe(turn[0]) || pipe(turn[1]))
		die("pipe");
}

static void turns_close(void)
{
	for (int i = 0; i < 2; i++) {
		close(turn[i][0]);
		close(turn[i][1]);
	}
}

static void give(int whom, char word)
{
	if (write(turn[whom][1], &word, 1) != 1)
		_exit(98);
}

static char wait_for(int whom)
{
	char word;

	if (read(turn[whom][0], &word, 1) != 1)
		_exit(97);
	return word;
}

/* What a child answers is the number of its first wrong check, 0 when all were right. */
#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			return __LINE__ % 251 ? __LINE__ % 251 : 251;                                                  \
	} while (0)

static int finish(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (WIFSIGNALED(status))
		return -WTERMSIG(status);
	return WEXITSTATUS(status);
}

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

/* --- exec ----------------------------------------------------------------------------- */

static char probe_word[] = "probe";
static char *const probe_args[] = { self, probe_word, NULL };
static char *const no_env[] = { NULL };

static void exec_execve(void) { execve(self, probe_args, environ); }
static void exec_execve_empty(void) { execve(self, probe_args, no_env); }
static void exec_execve_null(void) { execve(self, probe_args, NULL); }
static void exec_execv(void) { execv(self, probe_args); }
static void exec_execvp(void) { execvp(self, probe_args); }
static void exec_execvpe(void) { execvpe(self, probe_args, no_env); }
static void exec_execl(void) { execl(self, self, "probe", (char *)NULL); }
static void exec_execlp(void) { execlp(self, self, "probe", (char *)NULL); }
static void exec_execle(void) { execle(self, self, "probe", (char *)NULL, no_env); }
static void exec_fexecve(void) { fexecve(open(self, O_RDONLY), probe_args, no_env); }
static void exec_syscall(void) { syscall(SYS_execve, self, probe_args, no_env); }
static void exec_env_i(void) { execl("/usr/bin/env", "env", "-i", self, "probe", (char *)NULL); }
static void exec_clearenv(void)
{
	clearenv();
	execv(self, probe_args);
}
static void exec_script(void)
{
	char command[5000];

	snprintf(command, sizeof(command), "unset LD_PRELOAD; exec '%s' probe", self);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
}

static const struct {
	int status;
	const char *name;
	void (*exec)(void);
} execs[] = {
	{ 43, "execve()", exec_execve },
	{ 42, "execve() with an empty environment", exec_execve_empty },
	{ 42, "execve() without an environment", exec_execve_null },
	{ 43, "execv()", exec_execv },
	{ 43, "execvp()", exec_execvp },
	{ 42, "execvpe() with an empty environment", exec_execvpe },
	{ 43, "execl()", exec_execl },
	{ 43, "execlp()", exec_execlp },
	{ 42, "execle() with an empty environment", exec_execle },
	{ 42, "fexecve() with an empty environment", exec_fexecve },
	{ 42, "syscall(SYS_execve) with an empty environment", exec_syscall },
	{ 42, "env -i", exec_env_i },
	{ 42, "clearenv() and execv()", exec_clearenv },
	{ 43, "a shell that unsets LD_PRELOAD", exec_script },
};

static void test_exec(void)
{
	fflush(stdout);
	for (size_t i = 0; i < sizeof(execs) / sizeof(execs[0]); i++) {
		volatile pid_t pid = fork();

		if (pid == 0) {
			execs[i].exec();
			_exit(90);
		}
		is(finish(pid), execs[i].status, "%s keeps the kernel, and the environment as it was given", execs[i].name);
		pid = vfork();
		if (pid == 0) {
			if (execs[i].exec != exec_clearenv)
				execs[i].exec();
			_exit(execs[i].exec == exec_clearenv ? 42 : 90);
		}
		is(finish(pid), execs[i].status, "after vfork(), too");
	}
	is(ioctl(vm, KVM_CHECK_EXTENSION, 234), 1, "and the parent goes on");
}

static void test_spawn(void)
{
	char command[5000];
	FILE *stream;
	pid_t pid;

	fflush(stdout);
	ok(posix_spawn(&pid, self, NULL, NULL, probe_args, no_env) == 0 && finish(pid) == 42,
	   "posix_spawn() with an empty environment");
	ok(posix_spawnp(&pid, self, NULL, NULL, probe_args, environ) == 0 && finish(pid) == 43, "posix_spawnp()");
	snprintf(command, sizeof(command), "'%s' probe", self);
	is(WEXITSTATUS(system(command)), 43, "system()");
	stream = popen(command, "r");
	is(WEXITSTATUS(pclose(stream)), 43, "popen()");
	is(execl("/nonexistent", "x", (char *)NULL), -1, "exec of nothing fails");
	is(errno, ENOENT, "with ENOENT");
	ok(refused(1) && readable(0), "and leaves everything as it was");
	is(posix_spawn(&pid, "/nonexistent", NULL, NULL, probe_args, environ), ENOENT, "posix_spawn() of nothing");
}

static int inherited(char **argv)
{
	struct stat st;

	file = atoi(argv[0]);
	kvm = atoi(argv[1]);
	vm = atoi(argv[2]);
	touch_init();
	CHECK(fstat(file, &st) == 0 && st.st_size == SIZE && S_ISREG(st.st_mode));
	map = map_shared(file, SIZE, 0);
	CHECK(readable(0) && map[0] == 'a');
	CHECK(refused(1));
	CHECK(convert(12, true) == 0 && refused(12));
	CHECK(convert(1, false) == 0 && readable(1) && map[PG] == 'b');
	CHECK(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, PG) == 0);
	map[2 * PG] = 'x';
	CHECK(ioctl(kvm, KVM_GET_API_VERSION, 0) == 12);
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, 234) == -1 && errno == EIO);
	vm = ioctl(kvm, KVM_CREATE_VM, 1);
	CHECK(vm >= 0 && gmem_try(vm, SIZE, SHAREABLE) >= 0);
	/* A file can be bound to the VM that made it only. */
	CHECK(set_region2(vm, 0, KVM_MEM_GUEST_MEMFD, 0, SIZE, 1 << 30, file, 0) == -1 && errno == EINVAL);
	return 0;
}

static void test_inherit(bool keep_parent)
{
	const char *who = keep_parent ? "parent lives on" : "no mapping left";
	char args[3][12];
	pid_t pid;

	make_file();
	if (!keep_parent) {
		munmap(map, SIZE);
		map = NULL;
	}
	fcntl(kvm, F_SETFD, 0);
	fcntl(vm, F_SETFD, 0);
	snprintf(args[0], sizeof(args[0]), "%d", file);
	snprintf(args[1], sizeof(args[1]), "%d", kvm);
	snprintf(args[2], sizeof(args[2]), "%d", vm);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execl(self, self, "inherit", args[0], args[1], args[2], (char *)NULL);
		_exit(91);
	}
	is(finish(pid), 0, "%s: an exec'ed program works on an inherited file", who);
	if (!map)
		map = map_shared(file, SIZE, 0);
	ok(refused(12) && readable(1), "%s: its conversions hold here", who);
	is(map[2 * PG], 'x', "%s: what it stored is here", who);
	fcntl(kvm, F_SETFD, FD_CLOEXEC);
	drop_file();
}

/* --- sockets ---------------------------------------------------------------------------- */

static void send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'f';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(sock, &msg, 0) != 1)
		_exit(96);
}

static int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(sock, &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static int received(int sock)
{
	touch_init();
	file = receive_fd(sock);
	CHECK(file >= 0);
	map = map_shared(file, SIZE, 0);
	CHECK(readable(0) && map[0] == 'a' && refused(1));
	CHECK(convert(13, true) == 0 && refused(13));
	send_fd(sock, file);
	CHECK(receive_fd(sock) >= 0);
	CHECK(refused(14) && readable(15));
	return 0;
}

static void test_unrelated(void)
{
	int sock[2], back;
	char arg[12];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		die("socketpair");
	snprintf(arg, sizeof(arg), "%d", sock[1]);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(sock[0]);
		execl(self, self, "receive", arg, (char *)NULL);
		_exit(92);
	}
	close(sock[1]);
	make_file();
	send_fd(sock[0], file);
	back = receive_fd(sock[0]);
	ok(refused(13), "a program that got a file by SCM_RIGHTS makes a page private: refused here");
	is(convert(14, true), 0, "and the other way round");
	send_fd(sock[0], file);
	is(finish(pid), 0, "the other program saw the same");
	ok(back >= 0 && mmap(NULL, SIZE, PROT_READ, MAP_SHARED, back, 0) != MAP_FAILED, "the file came back");
	close(back);
	close(sock[0]);
	drop_file();
}

static void child_makes(int sock)
{
	make_file();
	send_fd(sock, file);
	wait_for(1);
	_exit(0);
}

static void test_creator_dies(bool kill_it)
{
	const char *how = kill_it ? "killed" : "ends";
	int sock[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		die("socketpair");
	turns_open();
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		child_makes(sock[1]);
	file = receive_fd(sock[0]);
	if (kill_it)
		kill(pid, SIGKILL);
	else
		give(1, 'e');
	finish(pid);
	map = map_shared(file, SIZE, 0);
	ok(readable(0) && map[0] == 'a' && refused(1), "the creator %s: its file goes on, states and contents", how);
	ok(convert(1, false) == 0 && readable(1) && map[PG] == 'b', "the creator %s: pages are shared", how);
	ok(convert(3, true) == 0 && refused(3), "the creator %s: and made private", how);
	ok(fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, SIZE) == 0 && map[0] == 0,
	   "the creator %s: and punched", how);
	munmap(map, SIZE);
	close(file);
	close(sock[0]);
	close(sock[1]);
	turns_close();
}

static int probe(void)
{
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		return 3;
	vm = ioctl(kvm, KVM_CREATE_VM, 1);
	if (vm < 0 || ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) <= 0)
		return 4;
	return getenv("RUN_PROCESSES") ? 43 : 42;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "probe"))
		return probe();
	if (argc > 4 && !strcmp(argv[1], "inherit"))
		return inherited(argv + 2);
	if (argc > 2 && !strcmp(argv[1], "receive"))
		return received(atoi(argv[2]));
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		die("readlink");
	if (probe() != 42)
		skip_all("this kernel does not convert in place");
	setenv("RUN_PROCESSES", "yes", 1);
	touch_init();
	for (size_t i = 0; i < sizeof(forks) / sizeof(forks[0]); i++) {
		test_fork_looks(forks[i].name, forks[i].fork);
		test_fork_in_turn(forks[i].name, forks[i].fork);
	}
	test_fork_with_threads();
	test_killed_peer();
	test_stopped_peer();
	make_file();
	test_exec();
	test_spawn();
	drop_file();
	test_inherit(true);
	test_inherit(false);
	test_unrelated();
	test_creator_dies(false);
	test_creator_dies(true);
	return done_testing();
}
