// SPDX-License-Identifier: MIT
/*
 * overlay/stat.c - what objects say of themselves
 *
 * The kernel fills the structure from the placeholder; what differs from the
 * real object is put right afterwards: size, mode, times of a guest_memfd, the
 * character device that /dev/kvm is.
 */
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/stat.h>

#include "host/fd.h"
#include "overlay/overlay.h"
#include "rt/string.h"
#include "rt/user.h"

#define KVM_MAJOR 10
#define KVM_MINOR 232

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

#define NS_PER_SEC 1000000000ULL

static void correct_gmem(struct stat *st, const struct dev_gmem *g)
{
	const u64 mtime = g->mtime;

	st->st_mode = S_IFREG | 0600;
	st->st_nlink = 1;
	st->st_uid = g->uid;
	st->st_gid = g->gid;
	st->st_size = (long)g->core.size;
	st->st_blocks = 0;
	st->st_blksize = (long)RT_PAGE_SIZE;
	st->st_atime = g->ctime / NS_PER_SEC;
	st->st_atime_nsec = g->ctime % NS_PER_SEC;
	st->st_mtime = st->st_ctime = mtime / NS_PER_SEC;
	st->st_mtime_nsec = st->st_ctime_nsec = mtime % NS_PER_SEC;
}

static void describe_kvm(struct stat *st)
{
	st->st_mode = S_IFCHR | 0660;
	st->st_rdev = KVM_MAJOR << 8 | KVM_MINOR;
	st->st_size = 0;
	st->st_blocks = 0;
	st->st_nlink = 1;
}

static void correct(struct stat *st, const struct dev_object *obj)
{
	if (obj->kind == DEV_GMEM) {
		correct_gmem(st, (const struct dev_gmem *)obj);
	} else if (obj->kind == DEV_SYSTEM) {
		describe_kvm(st);
	} else {
		/* anon_inodes have a mode without a type */
		st->st_mode = 0600;
		st->st_size = st->st_blocks = 0;
		st->st_nlink = 1;
		st->st_blksize = (long)RT_PAGE_SIZE;
	}
}

/*
 * After a successful stat(2) of whatever kind: correct the result when it is an
 * object's inode, which may also have been reached by a name in /proc.
 */
static long corrected(struct stat *user)
{
	struct dev_object *obj;
	struct ov_guard guard;
	struct stat st;
	long ret;

	if (!ov_config.active || !dev_st_dev())
		return 0;
	ret = rt_copy_in(&st, (u64)(uintptr_t)user, sizeof(st));
	/* All objects are on one file system, nearly everything else is not. */
	if (ret < 0 || st.st_dev != dev_st_dev())
		return 0;
	ov_enter(&guard);
	obj = dev_find((struct host_ident){ st.st_dev, st.st_ino });
	if (obj) {
		correct(&st, obj);
		ret = rt_copy_out((u64)(uintptr_t)user, &st, sizeof(st));
		dev_put(obj);
	}
	ov_leave(&guard);
	return ret;
}

enum dev_kind ov_kind_at(int dir, const char *path)
{
	enum dev_kind kind = DEV_NONE;
	struct dev_object *obj;
	struct ov_guard guard;
	struct stat st;

	if (!ov_config.active || !dev_st_dev() || ov_raw(__NR_newfstatat, dir, path, &st, 0) != 0 ||
	    st.st_dev != dev_st_dev())
		return DEV_NONE;
	ov_enter(&guard);
	obj = dev_find((struct host_ident){ st.st_dev, st.st_ino });
	if (obj) {
		kind = obj->kind;
		dev_put(obj);
	}
	ov_leave(&guard);
	return kind;
}

int ov_fstat(int fd, struct stat *st)
{
	/* The number that C libraries use, since a filter of the program knows that one. */
	long ret = ov_raw(__NR_newfstatat, fd, "", st, AT_EMPTY_PATH);

	if (host_fd_hidden(fd))
		ret = -EBADF;
	else if (ret == 0)
		ret = corrected(st);
	return (int)ov_ret(ret);
}

int ov_fxstat(int version, int fd, struct stat *st)
{
	return ov_fstat(fd, st);
}

/* stat("/dev/kvm") where the machine has no such node. */
static bool stat_kvm(const char *path, struct stat *user, long *ret)
{
	char param[96];
	struct stat st;

	if (ov_path_classify((u64)(uintptr_t)path, param, sizeof(param)) != OV_PATH_KVM)
		return false;
	memset(&st, 0, sizeof(st));
	describe_kvm(&st);
	st.st_blksize = (long)RT_PAGE_SIZE;
	*ret = rt_copy_out((u64)(uintptr_t)user, &st, sizeof(st));
	return true;
}

int ov_fstatat(int dir, const char *path, struct stat *st, int flags)
{
	long ret;

	if (stat_kvm(path, st, &ret))
		return (int)ov_ret(ret);
	ret = ov_raw(__NR_newfstatat, dir, path, st, flags);
	if (ret == 0)
		ret = corrected(st);
	return (int)ov_ret(ret);
}

int ov_fxstatat(int version, int dir, const char *path, struct stat *st, int flags)
{
	return ov_fstatat(dir, path, st, flags);
}

int ov_stat(const char *path, struct stat *st)
{
	return ov_fstatat(AT_FDCWD, path, st, 0);
}

int ov_lstat(const char *path, struct stat *st)
{
	return ov_fstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

int ov_lxstat(int version, const char *path, struct stat *st)
{
	return ov_lstat(path, st);
}

int ov_xstat(int version, const char *path, struct stat *st)
{
	return ov_stat(path, st);
}

static void correct_statx(struct statx *stx, const struct stat *st)
{
	stx->stx_mode = (u16)st->st_mode;
	stx->stx_nlink = (u32)st->st_nlink;
	stx->stx_uid = st->st_uid;
	stx->stx_gid = st->st_gid;
	stx->stx_size = (u64)st->st_size;
	stx->stx_blocks = (u64)st->st_blocks;
	stx->stx_blksize = (u32)st->st_blksize;
	stx->stx_rdev_major = (u32)(st->st_rdev >> 8);
	stx->stx_rdev_minor = (u32)(st->st_rdev & 0xff);
	stx->stx_mtime.tv_sec = (s64)st->st_mtime;
	stx->stx_mtime.tv_nsec = (u32)st->st_mtime_nsec;
	stx->stx_ctime.tv_sec = (s64)st->st_ctime;
	stx->stx_ctime.tv_nsec = (u32)st->st_ctime_nsec;
	stx->stx_atime.tv_sec = (s64)st->st_atime;
	stx->stx_atime.tv_nsec = (u32)st->st_atime_nsec;
}

/* As stat_kvm(). */
static bool statx_kvm(const char *path, struct statx *user, long *ret)
{
	char param[96];
	struct statx stx;
	struct stat st;

	if (ov_path_classify((u64)(uintptr_t)path, param, sizeof(param)) != OV_PATH_KVM)
		return false;
	memset(&st, 0, sizeof(st));
	memset(&stx, 0, sizeof(stx));
	describe_kvm(&st);
	st.st_blksize = (long)RT_PAGE_SIZE;
	stx.stx_mask = STATX_BASIC_STATS;
	correct_statx(&stx, &st);
	*ret = rt_copy_out((u64)(uintptr_t)user, &stx, sizeof(stx));
	return true;
}

int ov_statx(int dir, const char *path, int flags, unsigned mask, struct statx *user)
{
	struct dev_object *obj;
	struct ov_guard guard;
	struct statx stx;
	struct stat st;
	long ret;

	if (statx_kvm(path, user, &ret))
		return (int)ov_ret(ret);
	ret = ov_raw(__NR_statx, dir, path, flags, mask, user);
	if (ret != 0 || !(flags & AT_EMPTY_PATH) || !ov_fd_peek(dir))
		return (int)ov_ret(ret);
	ov_enter(&guard);
	obj = ov_fd_get(dir);
	if (obj && rt_copy_in(&stx, (u64)(uintptr_t)user, sizeof(stx)) == 0) {
		memset(&st, 0, sizeof(st));
		st.st_uid = stx.stx_uid;
		st.st_gid = stx.stx_gid;
		correct(&st, obj);
		correct_statx(&stx, &st);
		ret = rt_copy_out((u64)(uintptr_t)user, &stx, sizeof(stx));
	}
	if (obj)
		dev_put(obj);
	ov_leave(&guard);
	return (int)ov_ret(ret);
}

int ov_fstatfs(int fd, struct statfs *user)
{
	long ret = ov_raw(__NR_fstatfs, fd, user);
	struct dev_object *obj;
	struct ov_guard guard;
	struct statfs st;

	if (ret != 0 || !ov_fd_peek(fd))
		return (int)ov_ret(ret);
	ov_enter(&guard);
	obj = ov_fd_get(fd);
	if (obj && obj->kind != DEV_SYSTEM) {
		memset(&st, 0, sizeof(st));
		st.f_type = obj->kind == DEV_GMEM ? (long)core_statfs_magic(dev_sys()->profile) : GMEM_ANON_INODE_MAGIC;
		st.f_bsize = st.f_frsize = (long)RT_PAGE_SIZE;
		st.f_namelen = 255;
		ret = rt_copy_out((u64)(uintptr_t)user, &st, sizeof(st));
	}
	if (obj)
		dev_put(obj);
	ov_leave(&guard);
	return (int)ov_ret(ret);
}
