// SPDX-License-Identifier: MIT
/*
 * tests/guest/init.c - the first program of boot.t's guest: what a CPU must do for user space
 *
 * Prints "init: NAME ok" or "init: NAME: why not" for each test, then examples/boot.c's marker, and restarts.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN      8
#define BYTES	      (24UL << 20)
#define CONSOLE_LEVEL 8 /* of klogctl(2) */

static bool processes(void)
{
	int sum = 0, status;

	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(i + 1);
		if (pid < 0)
			return false;
	}
	while (wait(&status) > 0)
		sum += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
	return sum == CHILDREN * (CHILDREN + 1) / 2;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Not too short; how much too long is the host's business. */
static bool sleeps(void)
{
	for (int i = 0; i < 5; i++) {
		double begin = seconds(), took;

		usleep(20000);
		took = seconds() - begin;
		if (took < 0.0199 || took > 20) {
			printf("init: sleeps: %.6f s\n", took);
			return false;
		}
	}
	return true;
}

/* The local APIC's timer interrupts. */
static bool timer(void)
{
	unsigned long count = 0;
	char line[256];
	FILE *f;

	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	f = fopen("/proc/interrupts", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "LOC:"))
			count = strtoul(strstr(line, "LOC:") + 4, NULL, 10);
	}
	if (f)
		fclose(f);
	printf("init: %lu timer interrupts\n", count);
	return count > 10;
}

/* Integrates 4 / (1 + x^2), once with SSE2 and once with the x87. */
static bool pi_is_right(void)
{
	const int n = 30000;
	long double long_sum = 0;
	double sum = 0;

	for (int i = 0; i < n; i++) {
		double x = (i + 0.5) / n;

		sum += 4 / (1 + x * x);
		long_sum += 4 / (1 + (long double)x * x);
	}
	sum /= n;
	long_sum /= n;
	return sum > 3.14159265 && sum < 3.14159266 && long_sum > 3.14159265L && long_sum < 3.14159266L;
}

/* In several processes at once: registers survive that others run between. */
static bool floats(void)
{
	bool good = true;
	int status;

	for (int i = 0; i < 3; i++) {
		if (fork() == 0) {
			bool right = true;

			for (int round = 0; round < 10; round++)
				right &= pi_is_right();
			_exit(right ? 0 : 1);
		}
	}
	while (wait(&status) > 0)
		good &= status == 0;
	return good;
}

static bool memory(void)
{
	unsigned long *at = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const unsigned long n = BYTES / sizeof(*at);

	if (at == MAP_FAILED)
		return false;
	for (unsigned long i = 0; i < n; i += 64)
		at[i] = i * 0x9e3779b97f4a7c15UL;
	for (unsigned long i = 0; i < n; i += 64) {
		if (at[i] != i * 0x9e3779b97f4a7c15UL || at[i + 1])
			return false;
	}
	return munmap(at, BYTES) == 0;
}

static sigjmp_buf env;
static volatile int seen;

static void on_signal(int sig)
{
	seen += sig;
	siglongjmp(env, 1);
}

/* Faults become signals: no page there, and a division by zero. */
static bool signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	volatile int *nothing = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int zero = 0;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	if (sigsetjmp(env, 1) == 0)
		*nothing = 1;
	if (sigsetjmp(env, 1) == 0)
		__asm__ volatile("cltd; idivl %1" : : "a"(1), "r"(zero) : "edx", "cc");
	return seen == SIGSEGV + SIGFPE;
}

/* In a process of its own: of the first one's faults the kernel complains though they are handled. */
static bool signals_of_child(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(signals() ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static void report(const char *name, bool good)
{
	if (good)
		printf("init: %s ok\n", name);
	else
		printf("init: %s: failed\n", name);
}

int main(void)
{
	struct utsname u;

	uname(&u);
	/* The kernel's lines must not break into these: only warnings and worse. */
	klogctl(CONSOLE_LEVEL, NULL, 5);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("init: %s %s, process %d\n", u.sysname, u.release, (int)getpid());
	printf("init: %ld processors\n", sysconf(_SC_NPROCESSORS_ONLN));
	report("processes", processes());
	report("sleeps", sleeps());
	report("timer", timer());
	report("floats", floats());
	report("memory", memory());
	report("signals", signals_of_child());
	printf("init: done\n");
	fflush(stdout);
	/* The console's last bytes go out on an interrupt. */
	usleep(100000);
	reboot(RB_AUTOBOOT);
	return 1;
}
