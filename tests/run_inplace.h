/* SPDX-License-Identifier: MIT */
/*
 * tests/run_inplace.h - what the run_inplace_* programs share: in-place conversion, in TAP
 */
#ifndef GMEM_TESTS_RUN_INPLACE_H
#define GMEM_TESTS_RUN_INPLACE_H

#include "tests/run_kvm.h"
#include "tests/tap.h"

#define SHARED	0ULL
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE

/* call failed with this errno. */
#define fails(call, want, ...)                                                                                         \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		long fails_ret_ = (long)(call);                                                                        \
		int fails_err_ = fails_ret_ == -1 ? errno : 0;                                                         \
		if (!is(fails_err_, want, __VA_ARGS__) && fails_ret_ != -1)                                            \
			diag("returned %ld", fails_ret_);                                                              \
	} while (0)

/* A touch of a private page: SIGBUS, BUS_ADRERR, the true address, for reading and writing alike. */
static UNUSED void is_private(char *ptr, const char *name)
{
	struct touch r = touch(ptr, -1), w = touch(ptr, 0x99);

	if (ok(r.sig == SIGBUS && r.code == BUS_ADRERR && r.addr == (uintptr_t)ptr && w.sig == SIGBUS &&
		       w.code == BUS_ADRERR && w.addr == (uintptr_t)ptr,
	       "%s is refused", name))
		return;
	diag("read: signal %d code %d addr %+ld, write: signal %d code %d addr %+ld", r.sig, r.code,
	     (long)(r.addr - (uintptr_t)ptr), w.sig, w.code, (long)(w.addr - (uintptr_t)ptr));
}

static UNUSED void is_shared(char *ptr, int want, const char *name)
{
	struct touch r = touch(ptr, -1);

	if (!ok(!r.sig && r.value == want, "%s reads %#x", name, want))
		diag("signal %d code %d value %#x", r.sig, r.code, r.value);
}

/* The device and a VM that can have private memory; skips where the kernel has no in-place conversion. */
static UNUSED int inplace_vm(int *kvm)
{
	int vm;

	touch_init();
	*kvm = kvm_open();
	if (!(ioctl(*kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) & PRIVATE))
		skip_all("no in-place conversion here");
	vm = vm_new(*kvm, KVM_X86_SW_PROTECTED_VM);
	return vm;
}

#endif
