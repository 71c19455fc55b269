// SPDX-License-Identifier: MIT
/*
 * overlay/ioctl.c - ioctl(2): to the device when it is KVM's, or an object's
 */
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <linux/fs.h>

#include "device/vcpu.h"
#include "host/fd.h"
#include "overlay/overlay.h"
#include "rt/user.h"

#define IS_KVM(cmd) (((cmd) >> 8 & 0xff) == KVMIO)

/*
 * The program's own filter must have its say: make the call.  A placeholder knows no such command,
 * anything but ENOTTY is an answer: the filter's, or that of a device which is not ours.
 */
static bool answered_by_kernel(int fd, u32 cmd, u64 arg, long *ret)
{
	if (!ov_filtered)
		return false;
	*ret = ov_raw(__NR_ioctl, fd, cmd, arg);
	return *ret != -ENOTTY;
}

/* A descriptor that was made by the call stands for an object at once. */
static void learn(long fd)
{
	struct dev_object *obj = ov_fd_get((int)fd);

	if (obj)
		dev_put(obj);
}

static void report(const char *name, const struct core_err *err)
{
	struct ov_guard guard;

	ov_enter(&guard);
	ov_report_refusal(name, err);
	ov_leave(&guard);
}

/*
 * KVM_RUN is no guarded section: a signal that arrives makes it return, and a fault may be the guest's, so
 * that both signals of faults have to be unblocked.
 */
static long run_vcpu(struct dev_object *obj, u64 arg)
{
	const u64 faults = ~OV_GUARD_MASK;
	struct core_err err = { .rule = RULE_NONE };
	bool masked = !ov_critical_usable();
	u64 old = 0;
	long ret;

	if (masked)
		rt_syscall_raw(__NR_rt_sigprocmask, SIG_UNBLOCK, (long)&faults, (long)&old, sizeof(old), 0, 0);
	ret = dev_vcpu_run(obj, arg, &err);
	if (masked)
		rt_syscall_raw(__NR_rt_sigprocmask, SIG_SETMASK, (long)&old, 0, sizeof(old), 0, 0);
	ov_signal_guard_left();
	if (err.rule != RULE_NONE)
		report("KVM_RUN", &err);
	return ret;
}

/* The object was looked up: a reference holds it. */
static long run_found(int fd, u64 arg, bool *served)
{
	struct dev_object *obj;
	struct ov_guard guard;
	long ret = 0;

	ov_enter_hot(&guard);
	obj = ov_fd_get(fd);
	ov_leave(&guard);
	*served = obj && obj->kind == DEV_VCPU;
	if (*served)
		ret = run_vcpu(obj, arg);
	ov_enter_hot(&guard);
	if (obj)
		dev_put(obj);
	ov_leave(&guard);
	return ret;
}

/* The fast way trusts the cache as far as that the object is a vCPU; what has been closed says so itself. */
static bool kvm_run(int fd, u64 arg, long *ret)
{
	struct dev_object *obj = ov_fd_peek(fd);
	bool served = true;

	if (!obj || obj->kind != DEV_VCPU)
		return false;
	if (answered_by_kernel(fd, KVM_RUN, arg, ret))
		return true;
	*ret = dev_fork_pending() ? -ESTALE : run_vcpu(obj, arg);
	if (*ret == -ESTALE)
		*ret = run_found(fd, arg, &served);
	return served;
}

static long kvm_ioctl(int fd, u32 cmd, u64 arg, bool *served)
{
	struct core_err err = { .rule = RULE_NONE };
	struct dev_object *obj;
	struct ov_guard guard;
	long ret;

	*served = true;
	if (answered_by_kernel(fd, cmd, arg, &ret))
		return ret;
	ov_enter_hot(&guard);
	obj = ov_fd_find(fd);
	if (obj) {
		ret = dev_ioctl(obj, cmd, arg, &err);
		if (ret >= 0 && dev_ioctl_makes_fd(cmd))
			learn(ret);
		dev_put(obj);
	} else {
		*served = false;
	}
	if (ret < 0)
		ov_report_refusal(dev_ioctl_name(cmd), &err);
	ov_leave(&guard);
	return ret;
}

/* Commands that the VFS answers itself are alike on the placeholder; the rest is unknown to our objects. */
static long other_ioctl(struct dev_object *obj, int fd, u32 cmd, u64 arg)
{
	u32 block_size = RT_PAGE_SIZE, unread = 0;

	switch (cmd) {
	case FIOCLEX:
	case FIONCLEX:
	case FIONBIO:
	case FIOASYNC:
		return ov_raw(__NR_ioctl, fd, cmd, arg);
	case FIGETBSZ:
		return rt_copy_out(arg, &block_size, sizeof(block_size));
	case FIONREAD:
		if (obj->kind != DEV_GMEM || core_fileop_result(dev_sys()->profile, CORE_FILEOP_FIONREAD) < 0)
			break;
		return rt_copy_out(arg, &unread, sizeof(unread));
	}
	return obj->kind == DEV_SYSTEM || obj->kind == DEV_VCPU ? -EINVAL : -ENOTTY;
}

static long object_ioctl(int fd, u32 cmd, u64 arg, bool *served)
{
	struct dev_object *obj;
	struct ov_guard guard;
	long ret = 0;

	ov_enter_hot(&guard);
	obj = ov_fd_get(fd);
	*served = obj != NULL;
	if (obj) {
		ret = other_ioctl(obj, fd, cmd, arg);
		dev_put(obj);
	}
	ov_leave(&guard);
	return ret;
}

#define FICLONE_      0x40049409U
#define FICLONERANGE_ 0x4020940dU

/* Sharing extents with a guest_memfd: other file systems' files are EXDEV, its own know no such thing. */
static bool reflink_ioctl(int fd, u32 cmd, u64 arg, long *ret)
{
	int from = (int)arg;
	s64 range;

	if (cmd == FICLONERANGE_) {
		if (rt_copy_in(&range, arg, sizeof(range)) < 0)
			return false;
		from = (int)range;
	}
	if (!ov_fd_peek(fd) && !ov_fd_peek(from))
		return false;
	*ret = ov_fd_peek(fd) && ov_fd_peek(from) ? -EOPNOTSUPP : -EXDEV;
	return true;
}

static bool ioctl_about_views(int fd, u32 cmd, u64 arg, long *ret)
{
	if (ov_is_userfault(cmd))
		return ov_userfault_ioctl(fd, cmd, arg, ret);
	return (cmd == FICLONE_ || cmd == FICLONERANGE_) && reflink_ioctl(fd, cmd, arg, ret);
}

/* The request is int in some C libraries: only the low 32 bits count. */
int ov_ioctl(int fd, unsigned long request, u64 arg)
{
	u32 cmd = (u32)request;
	struct dev_object *obj;
	bool served = false;
	long ret = 0;

	if (IS_KVM(cmd) && ov_config.active) {
		obj = ov_fd_peek(fd);
		if (obj && cmd == KVM_CHECK_EXTENSION && !ov_filtered && dev_cap_fast(obj, arg, &ret))
			return (int)ret;
		served = cmd == KVM_RUN && kvm_run(fd, arg, &ret);
		if (!served)
			ret = kvm_ioctl(fd, cmd, arg, &served);
	} else if (ov_config.active && ioctl_about_views(fd, cmd, arg, &ret)) {
		served = true;
	} else if (ov_fd_peek(fd)) {
		ret = object_ioctl(fd, cmd, arg, &served);
	}
	if (!served)
		ret = host_fd_hidden(fd) ? -EBADF : ov_raw(__NR_ioctl, fd, request, arg);
	return (int)ov_ret(ret);
}
