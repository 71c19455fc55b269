// SPDX-License-Identifier: MIT
/*
 * overlay/open.c - /dev/kvm and the module's parameters by name
 */
#include <linux/fcntl.h>

#include "device/param.h"
#include "overlay/overlay.h"
#include "rt/format.h"
#include "rt/string.h"
#include "rt/user.h"

/* The names that gmem serves; anything longer is not one of them. */
#define PATH_LONGEST 96
static const char kvm_path[] = "/dev/kvm";
static const char module_dir[] = "/sys/module/";
static const char *const modules[] = { "kvm", "kvm_amd", "kvm_intel" };
static const char param_dir[] = "/parameters/";

/* What device/param.h calls it: "name" of the module kvm, "module/name" of the others. */
static bool module_param(const char *text, char *param, size_t size)
{
	const char *module = rt_after_prefix(text, module_dir), *rest;

	for (size_t i = 0; module && i < RT_ARRAY_SIZE(modules); i++) {
		rest = rt_after_prefix(module, modules[i]);
		rest = rest ? rt_after_prefix(rest, param_dir) : NULL;
		if (!rest || !*rest)
			continue;
		return rt_format(param, size, "%s%s%s", i ? modules[i] : "", i ? "/" : "", rest) < size - 1;
	}
	return false;
}

enum ov_path ov_path_classify(u64 path, char *param, size_t size)
{
	char text[PATH_LONGEST];

	/* The first bytes decide nearly always; both names are longer than these. */
	if (!ov_config.active || rt_copy_string_in(text, path, 5) == -EFAULT)
		return OV_PATH_OTHER;
	if (text[0] != '/' || (text[1] != 'd' && text[1] != 's'))
		return OV_PATH_OTHER;
	if (rt_copy_string_in(text, path, sizeof(text)) < 0)
		return OV_PATH_OTHER;
	if (rt_streq(text, kvm_path))
		return OV_PATH_KVM;
	return module_param(text, param, size) ? OV_PATH_PARAM : OV_PATH_OTHER;
}

static long open_kvm(int flags)
{
	struct ov_guard guard;
	struct dev_object *obj;
	int fd;

	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) && !(flags & O_PATH))
		return -EEXIST;
	ov_enter(&guard);
	fd = dev_open(flags);
	/* A descriptor that is only a name answers EBADF to everything, which the kernel does best. */
	obj = fd < 0 || (flags & O_PATH) ? NULL : ov_fd_get(fd);
	if (obj)
		dev_put(obj);
	ov_leave(&guard);
	return fd;
}

int ov_param_open(const char *param, int flags)
{
	struct ov_guard guard;
	int fd;

	ov_enter(&guard);
	fd = dev_param_open(param, flags);
	ov_leave(&guard);
	return fd;
}

/* True when the path is gmem's; then *ret is the answer. */
static bool open_ours(const char *path, int flags, long *ret)
{
	char param[PATH_LONGEST];

	enum ov_path class = ov_path_classify((u64)(uintptr_t)path, param, sizeof(param));

	if (class != OV_PATH_OTHER) {
		*ret = ov_filter_says(-ENOENT, __NR_openat, AT_FDCWD, "", flags & O_ACCMODE, 0);
		if (*ret)
			return true;
	}
	switch (class) {
	case OV_PATH_KVM:
		*ret = open_kvm(flags);
		return true;
	case OV_PATH_PARAM:
		*ret = ov_param_open(param, flags);
		return true;
	case OV_PATH_OTHER:
		break;
	}
	return false;
}

/* "/proc/self/fd/5", "/dev/fd/5", "5" within it: nothing else leads to an object. */
static bool ends_in_number(const char *path)
{
	char text[PATH_LONGEST];
	bool number = false;

	if (rt_copy_string_in(text, (u64)(uintptr_t)path, sizeof(text)) < 0)
		return false;
	for (const char *c = text; *c; c++)
		number = *c >= '0' && *c <= '9' ? number || c == text || c[-1] == '/' : false;
	return number;
}

/* An object cannot be opened again by name, but for the device.  True when path is one's, *ret is the answer. */
static bool open_again(int dir, const char *path, int flags, long *ret)
{
	enum dev_kind kind;

	if (!ov_config.active || (flags & (O_PATH | O_DIRECTORY)) || !ends_in_number(path))
		return false;
	kind = ov_kind_at(dir, path);
	if (kind != DEV_NONE)
		*ret = kind == DEV_SYSTEM ? open_kvm(flags) : core_fileop_result(dev_sys()->profile, CORE_FILEOP_REOPEN);
	return kind != DEV_NONE;
}

static long opened(long fd)
{
	if (fd >= 0)
		ov_fd_forget((int)fd);
	return fd;
}

int ov_open(const char *path, int flags, unsigned mode)
{
	long ret;

	if (!open_ours(path, flags, &ret) && !open_again(AT_FDCWD, path, flags, &ret))
		ret = opened(ov_next_call(OV_NEXT_open, __NR_open, (long)path, flags, mode, 0, 0, 0));
	return (int)ov_ret(ret);
}

int ov_open_2(const char *path, int flags)
{
	return ov_open(path, flags, 0);
}

int ov_openat(int dir, const char *path, int flags, unsigned mode)
{
	long ret;

	/* Both names are absolute: the directory does not matter. */
	if (!open_ours(path, flags, &ret) && !open_again(dir, path, flags, &ret))
		ret = opened(ov_next_call(OV_NEXT_openat, __NR_openat, dir, (long)path, flags, mode, 0, 0));
	return (int)ov_ret(ret);
}

int ov_openat_2(int dir, const char *path, int flags)
{
	return ov_openat(dir, path, flags, 0);
}

static int mode_flags(const char *mode)
{
	bool plus = false, cloexec = false;

	for (const char *m = mode; *m; m++) {
		plus |= *m == '+';
		cloexec |= *m == 'e';
	}
	return (plus ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY) | (cloexec ? O_CLOEXEC : 0);
}

void *ov_fopen(const char *path, const char *mode)
{
	void *(*next_fopen)(const char *, const char *) = (void *(*)(const char *, const char *))ov_next_lookup(OV_NEXT_fopen);
	void *(*next_fdopen)(int, const char *) = (void *(*)(int, const char *))ov_next_lookup(OV_NEXT_fdopen);
	char param[PATH_LONGEST];
	long fd;

	if (ov_path_classify((u64)(uintptr_t)path, param, sizeof(param)) == OV_PATH_OTHER)
		return next_fopen ? next_fopen(path, mode) : NULL;
	if (!next_fdopen || !open_ours(path, mode_flags(mode), &fd))
		return NULL;
	if (fd < 0) {
		ov_ret(fd);
		return NULL;
	}
	return next_fdopen((int)fd, mode);
}

/* Whether a name of ours can be accessed: /dev/kvm for reading and writing, parameters for reading. */
static bool access_ours(const char *path, int mode, long *ret)
{
	char param[PATH_LONGEST];

	switch (ov_path_classify((u64)(uintptr_t)path, param, sizeof(param))) {
	case OV_PATH_KVM:
		*ret = mode & 1 ? -EACCES : 0;
		return true;
	case OV_PATH_PARAM:
		*ret = !dev_param_exists(param) ? -ENOENT : mode & 3 ? -EACCES : 0;
		return true;
	case OV_PATH_OTHER:
		break;
	}
	return false;
}

int ov_access(const char *path, int mode)
{
	long ret;

	if (!access_ours(path, mode, &ret))
		ret = ov_next_call(OV_NEXT_access, __NR_access, (long)path, mode, 0, 0, 0, 0);
	return (int)ov_ret(ret);
}

int ov_faccessat(int dir, const char *path, int mode, int flags)
{
	long ret;

	if (!access_ours(path, mode, &ret))
		ret = ov_next_call(OV_NEXT_faccessat, __NR_faccessat2, dir, (long)path, mode, flags, 0, 0);
	return (int)ov_ret(ret);
}
