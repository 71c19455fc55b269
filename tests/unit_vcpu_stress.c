// SPDX-License-Identifier: MIT
/*
 * tests/unit_vcpu_stress.c - four vCPUs convert, punch and touch one file: device/ and host/ called directly
 *
 *	unit_vcpu_stress [--seconds N]     5 each; 60 where a race is looked for
 *
 * Meant for the thread sanitizer, which sees all but the interpreter: guests race as they like.
 * See tests/vcpu_stress.h.  A process for each profile: dev_init() works once.
 */
#include <ucontext.h>

#include "device/vcpu.h"
#include "tests/device_call.h"
#include "tests/unit_host.h"
#include "uapi/kvm_vcpu.h"

static long stress_ioctl(int fd, unsigned long cmd, void *arg)
{
	return device_call(fd, (u32)cmd, arg);
}

static long stress_punch(int fd, uint64_t off, uint64_t len)
{
	struct core_err err = { .rule = RULE_NONE };
	struct dev_object *obj = device_object(fd);
	long ret;

	if (!obj)
		return -EBADF;
	ret = dev_gmem_fallocate(RT_CONTAINER_OF(obj, struct dev_gmem, obj), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (s64)off, (s64)len, &err);
	dev_put(obj);
	return ret;
}

static char *stress_map(int fd, size_t len)
{
	struct core_err err = { .rule = RULE_NONE };
	struct dev_object *obj = device_object(fd);
	long ret;

	if (!obj)
		return MAP_FAILED;
	ret = dev_gmem_mmap(RT_CONTAINER_OF(obj, struct dev_gmem, obj), NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, 0,
			    &err);
	dev_put(obj);
	return ret < 0 ? MAP_FAILED : (char *)ret;
}

static int stress_load(char *p)
{
	return load(p);
}

#include "tests/vcpu_stress.h"

#define CHILD_FAILED 0x40 /* in its exit status, beside the number of its last point */

/* As the overlay's signal entry: what is the vCPU's goes to it, the rest is a touch. */
static void on_signal(int signo, siginfo_t *info, void *ctx)
{
	greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	const struct dev_fault_context c = { (u64 *)&g[REG_RIP], (u64 *)&g[REG_RSP], (u64 *)&g[REG_RDI],
					     (u64 *)&g[REG_RSI], (u64 *)&g[REG_EFL], (u64 *)g };

	if (signo == DEV_VCPU_SIGNAL && info->si_code == DEV_VCPU_CODE) {
		dev_vcpu_aborts((u64)(uintptr_t)info->si_ptr, &c);
		return;
	}
	if (dev_vcpu_fault((u64)(uintptr_t)info->si_addr, false, &c))
		return;
	on_fault(signo, info, ctx);
}

static void profile(const char *name, bool in_place, double seconds)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct dev_config config = { 0 };
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid) {
		waitpid(pid, &status, 0);
		/* Its points follow ours. */
		if (WIFEXITED(status) && (WEXITSTATUS(status) & ~CHILD_FAILED) > tap_count)
			tap_count = WEXITSTATUS(status) & ~CHILD_FAILED;
		ok(WIFEXITED(status) && !(WEXITSTATUS(status) & CHILD_FAILED), "%s: to the end", name);
		return;
	}
	tap_failed = 0;
	handlers_install();
	sigfillset(&sa.sa_mask);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	host_fd_init();
	if (core_sys_init(&config.sys, core_profile_find(name), &core_shape_mainline, 0, -1) < 0 ||
	    dev_init(&config) || host_init(NULL))
		_exit(CHILD_FAILED);
	stress(dev_open(O_RDWR | O_CLOEXEC), in_place, name, seconds);
	fflush(stdout);
	exit(tap_failed ? CHILD_FAILED | tap_count : tap_count);
}

int main(int argc, char **argv)
{
	const double seconds = stress_seconds(argc, argv, 5);

	profile("linux-7.3", false, seconds);
	profile("linux-7.4", true, seconds);
	return done_testing();
}
