// SPDX-License-Identifier: MIT
/*
 * tests/run_starts.c - programs that a program starts, whatever it has done to the environment
 *
 *	run_starts		all tests
 *	run_starts probe	exit status 42 when this kernel converts in place
 *	run_starts file FD	exit status 42 when the inherited file can be converted and is refused then
 *	run_starts run HOW PROGRAM	start the program in one of the ways below; its exit status
 *
 * Knows nothing of gmem; needs a kernel that converts in place (Linux 7.4).
 */
#include <spawn.h>
#include <sys/syscall.h>
#include <wordexp.h>

#include "tests/run_kvm.h"
#include "tests/tap.h"

#define SIZE (4 * PG)

extern char **environ;
static char self[4096];

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int finish(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	return status_of(status);
}

/* Each starts "PROGRAM ARGUMENT" and tells its exit status; envp only where the call takes one. */
static int by_system(const char *program, const char *arg, char **envp)
{
	char command[5000];

	(void)envp;
	snprintf(command, sizeof(command), "'%s' '%s'", program, arg);
	return status_of(system(command));
}

static int by_popen(const char *program, const char *arg, char **envp)
{
	char command[5000];
	FILE *f;

	(void)envp;
	snprintf(command, sizeof(command), "'%s' '%s'; echo $?", program, arg);
	f = popen(command, "r");
	if (!f || !fgets(command, sizeof(command), f))
		return -1;
	return pclose(f) ? -2 : atoi(command);
}

static int by_wordexp(const char *program, const char *arg, char **envp)
{
	char command[5000];
	wordexp_t words;
	int ret;

	(void)envp;
	snprintf(command, sizeof(command), "$('%s' '%s' >/dev/null; echo $?)", program, arg);
	if (wordexp(command, &words, 0))
		return -1;
	ret = words.we_wordc == 1 ? atoi(words.we_wordv[0]) : -2;
	wordfree(&words);
	return ret;
}

static int by_execve(const char *program, const char *arg, char **envp)
{
	char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)arg, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execve(program, argv, envp);
		_exit(99);
	}
	return finish(pid);
}

static int by_execv(const char *program, const char *arg, char **envp)
{
	char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)arg, NULL };
	pid_t pid = fork();

	(void)envp;
	if (pid == 0) {
		execv(program, argv);
		_exit(99);
	}
	return finish(pid);
}

static int by_execlp(const char *program, const char *arg, char **envp)
{
	pid_t pid = fork();

	(void)envp;
	if (pid == 0) {
		execlp(program, program, arg, (char *)NULL);
		_exit(99);
	}
	return finish(pid);
}

static int by_spawn(const char *program, const char *arg, char **envp)
{
	char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)arg, NULL };
	pid_t pid;

	return posix_spawn(&pid, program, NULL, NULL, argv, envp) ? 98 : finish(pid);
}

static int by_vfork(const char *program, const char *arg, char **envp)
{
	char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)arg, NULL };
	pid_t pid = vfork();

	if (pid == 0) {
		execve(program, argv, envp);
		_exit(99);
	}
	return finish(pid);
}

static const struct {
	const char *name;
	int (*start)(const char *program, const char *arg, char **envp);
} ways[] = {
	{ "execve", by_execve }, { "execv", by_execv }, { "execlp", by_execlp },   { "posix_spawn", by_spawn },
	{ "vfork", by_vfork },	 { "popen", by_popen }, { "wordexp", by_wordexp }, { "system", by_system },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* With nothing in the environment; the parent's own is not to be touched by the other tests. */
static void test_empty(void)
{
	char *none[] = { NULL };

	for (size_t i = 0; i < WAYS; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			clearenv();
			_exit(ways[i].start(self, "probe", none));
		}
		status = finish(pid);
		is(status, 42, "clearenv() and %s: the same kernel", ways[i].name);
	}
}

/* One variable after the other is missing. */
static void test_one_missing(void)
{
	char *envp[200], arg[20];
	int vm = vm_new(kvm_open(), 1), fd = gmem_new(vm, SIZE, SHAREABLE);
	size_t n = 0, wrong = 0;

	snprintf(arg, sizeof(arg), "%d", fd);
	while (environ[n] && n < 199)
		n++;
	for (size_t without = 0; without < n; without++) {
		char *argv[] = { self, (char *)(uintptr_t)"file", arg, NULL };
		size_t at = 0;
		int status;
		pid_t pid;

		for (size_t i = 0; i < n; i++) {
			if (i != without)
				envp[at++] = environ[i];
		}
		envp[at] = NULL;
		status = posix_spawn(&pid, self, NULL, NULL, argv, envp) ? 98 : finish(pid);
		if (status != 42) {
			diag("without %s: %d", environ[without], status);
			wrong++;
		}
	}
	is(wrong, 0, "posix_spawn() without one of the %zu variables: the inherited file is known", n);
	close(fd);
	close(vm);
}

/* What the caller wants of the rest is left as it is. */
static void test_kept(void)
{
	static const char script[] = "#!/bin/sh\ntest \"$RUN_STARTS\" = yes && test \"$1\" = probe && "
				     "case $LD_PRELOAD in *:/nonexistent.so) exit 42 ;; esac\nexit 43\n";
	char path[] = "/tmp/run_starts.XXXXXX", *envp[] = { (char *)(uintptr_t)"RUN_STARTS=yes",
							    (char *)(uintptr_t)"LD_PRELOAD=/nonexistent.so", NULL };
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, script, sizeof(script) - 1) != sizeof(script) - 1 || fchmod(fd, 0700))
		die("%s", path);
	close(fd);
	fflush(stdout);
	is(by_spawn(path, "probe", envp), getenv("LD_PRELOAD") ? 42 : 43, "an own LD_PRELOAD stays, behind");
	unlink(path);
}

static int probe(void)
{
	int kvm = open("/dev/kvm", O_RDWR), vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 1);

	return vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0 ? 42 : 1;
}

static int file(int fd)
{
	char *ptr = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	touch_init();
	if (ptr == MAP_FAILED || set_attr2(fd, PG, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL))
		return 2;
	if (touch(ptr + PG, -1).sig != SIGBUS || set_attr2(fd, PG, PG, 0, NULL))
		return 3;
	return touch(ptr + PG, -1).sig ? 4 : 42;
}

static int run(const char *how, const char *program)
{
	for (size_t i = 0; i < WAYS; i++) {
		if (!strcmp(ways[i].name, how))
			return ways[i].start(program, "probe", environ);
	}
	return 97;
}

int main(int argc, char **argv)
{
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		die("/proc/self/exe");
	if (argc > 1 && !strcmp(argv[1], "probe"))
		return probe();
	if (argc > 2 && !strcmp(argv[1], "file"))
		return file(atoi(argv[2]));
	if (argc > 3 && !strcmp(argv[1], "run"))
		return run(argv[2], argv[3]);
	if (probe() != 42)
		skip_all("this kernel does not convert in place");
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_empty();
	test_one_missing();
	test_kept();
	return done_testing();
}
