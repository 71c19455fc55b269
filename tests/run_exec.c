// SPDX-License-Identifier: MIT
/*
 * tests/run_exec.c - files in programs that were exec'ed, or got them by a socket
 *
 *	run_exec			all tests
 *	run_exec probe			exit status 42 when this kernel converts in place, 43 when
 *					the variable RUN_PROCESSES came along as well
 *	run_exec inherit FILE KVM VM	an exec'ed program looks at inherited descriptors
 *	run_exec receive SOCKET		an exec'ed program gets a file by SCM_RIGHTS
 *
 * Knows nothing of gmem; needs a kernel that converts in place (Linux 7.4).
 */
#include <linux/falloc.h>
#include <spawn.h>
#include <sys/syscall.h>

#include "check/rights.h"
#include "tests/family.h"

extern char **environ;
static char self[4096];

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
	if (!converts_in_place())
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
	if (!converts_in_place())
		skip_all("this kernel does not convert in place");
	setenv("RUN_PROCESSES", "yes", 1);
	touch_init();
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
