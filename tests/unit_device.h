/* SPDX-License-Identifier: MIT */
/*
 * tests/unit_device.h - what the tests of device/'s refusals share
 */
#ifndef GMEM_TESTS_UNIT_DEVICE_H
#define GMEM_TESTS_UNIT_DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "rt/user.h"
#include "tests/device_call.h"
#include "tests/tap.h"

#define PG 4096ULL

static int kvm_fd;
static char *hole; /* an address where nothing is; the page before it can be used */

/* Refused by that rule and with that errno. */
static inline bool answered(long ret, const struct core_err *err, enum core_rule_id rule, int error)
{
	if (ret == -error && err->rule == rule && err->error == error)
		return true;
	diag("%ld by %s, expected %d by %s", ret, err->rule ? core_rules[err->rule].slug : "no rule", -error,
	     core_rules[rule].slug);
	return false;
}

static inline bool refused(int fd, u32 cmd, const void *arg, enum core_rule_id rule, int error)
{
	struct core_err err;
	long ret = device_request(fd, cmd, (u64)(uintptr_t)arg, &err);

	return answered(ret, &err, rule, error);
}

#define refusal(fd, cmd, arg, rule, error, ...) ok(refused((fd), (cmd), (arg), RULE_##rule, (error)), #rule ": " __VA_ARGS__)
#define BY_VALUE(n) ((const void *)(uintptr_t)(n))

static inline int new_vm(unsigned type)
{
	return (int)device_call(kvm_fd, KVM_CREATE_VM, BY_VALUE(type));
}

static inline int new_vcpu(int vm)
{
	return (int)device_call(vm, KVM_CREATE_VCPU, BY_VALUE(0));
}

static inline long enable(int fd, u32 cap, u64 arg)
{
	return device_call(fd, KVM_ENABLE_CAP, &(struct kvm_enable_cap){ .cap = cap, .args = { arg } });
}

/* What the overlay's handler does about pointers that cannot be read. */
static inline void on_fault(int sig, siginfo_t *info, void *ctx)
{
	u64 rip = (u64)((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP];

	if (!rt_user_fixup(&rip)) {
		signal(sig, SIG_DFL);
		return;
	}
	((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP] = (greg_t)rip;
}

/* The device as a profile has it: false when it cannot be had here. */
static inline bool start_device(const char *profile)
{
	struct dev_config config = { 0 };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	if (core_sys_init(&config.sys, core_profile_find(profile), &core_shape_mainline, 0, -1) < 0)
		return false;
	host_fd_init();
	if (dev_init(&config) || host_init(NULL))
		return false;
	hole = (char *)mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + PG;
	mprotect(hole, PG, PROT_NONE);
	kvm_fd = dev_open(O_RDWR | O_CLOEXEC);
	return kvm_fd >= 0;
}

#endif
