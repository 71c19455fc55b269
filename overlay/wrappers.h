/* SPDX-License-Identifier: MIT */
/*
 * overlay/wrappers.h - the wrappers by their C signatures
 *
 * exports.S reaches them by overlay/symbol.def; C code that goes by number does so here.
 * Each behaves as the libc function of the name without ov_.
 */
#ifndef GMEM_OVERLAY_WRAPPERS_H
#define GMEM_OVERLAY_WRAPPERS_H

#include "rt/types.h"

struct iovec;
struct stat;
struct statfs;
struct statx;

int ov_ioctl(int fd, unsigned long request, u64 arg);
int ov_open(const char *path, int flags, unsigned mode);
int ov_openat(int dir, const char *path, int flags, unsigned mode);
long ov_readlink(const char *path, char *buf, size_t size);
long ov_readlinkat(int dir, const char *path, char *buf, size_t size);
int ov_access(const char *path, int mode);
int ov_faccessat(int dir, const char *path, int mode, int flags);
void *ov_mmap(void *addr, u64 len, int prot, int flags, int fd, s64 off);
int ov_munmap(void *addr, u64 len);
void *ov_mremap(void *old, u64 old_len, u64 new_len, int flags, void *new_addr);
void *ov_shmat(int id, const void *addr, int flags);
int ov_remap_file_pages(void *addr, u64 size, int prot, u64 pgoff, int flags);
int ov_mprotect(void *addr, u64 len, int prot);
int ov_pkey_mprotect(void *addr, u64 len, int prot, int pkey);
int ov_madvise(void *addr, u64 len, int advice);
int ov_posix_madvise(void *addr, u64 len, int advice);
long ov_process_madvise(int pidfd, const struct iovec *iov, u64 n, int advice, unsigned flags);
int ov_mincore(void *addr, u64 len, u8 *vec);
int ov_mlock(void *addr, u64 len);
int ov_mlock2(void *addr, u64 len, unsigned flags);
int ov_munlock(void *addr, u64 len);
int ov_mlockall(int flags);
int ov_munlockall(void);
int ov_mseal(void *addr, u64 len, u64 flags);
int ov_msync(void *addr, u64 len, int flags);
int ov_fallocate(int fd, int mode, s64 off, s64 len);
int ov_ftruncate(int fd, s64 len);
int ov_truncate(const char *path, s64 len);
int ov_chmod(const char *path, unsigned mode);
int ov_fchmod(int fd, unsigned mode);
int ov_fchown(int fd, unsigned uid, unsigned gid);
int ov_futimens(int fd, const void *times);
long ov_read(int fd, void *buf, size_t len);
long ov_write(int fd, void *buf, size_t len);
long ov_readv(int fd, const struct iovec *iov, int n);
long ov_writev(int fd, const struct iovec *iov, int n);
long ov_pread(int fd, void *buf, size_t len, s64 off);
long ov_pwrite(int fd, void *buf, size_t len, s64 off);
long ov_preadv(int fd, const struct iovec *iov, int n, s64 off);
long ov_pwritev(int fd, const struct iovec *iov, int n, s64 off);
long ov_preadv2(int fd, const struct iovec *iov, int n, s64 off, int flags);
long ov_pwritev2(int fd, const struct iovec *iov, int n, s64 off, int flags);
s64 ov_lseek(int fd, s64 off, unsigned whence);
long ov_sendfile(int out, int in, s64 *off, size_t len);
long ov_splice(int in, s64 *in_off, int out, s64 *out_off, size_t len, unsigned flags);
long ov_copy_file_range(int in, s64 *in_off, int out, s64 *out_off, size_t len, unsigned flags);
int ov_fsync(int fd);
int ov_fdatasync(int fd);
int ov_sync_file_range(int fd, s64 off, s64 len, unsigned flags);
long ov_readahead(int fd, s64 off, size_t len);
long ov_fgetxattr(int fd, const char *name, void *value, size_t size);
int ov_fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);
long ov_flistxattr(int fd, char *list, size_t size);
int ov_fremovexattr(int fd, const char *name);
int ov_fstat(int fd, struct stat *st);
int ov_stat(const char *path, struct stat *st);
int ov_lstat(const char *path, struct stat *st);
int ov_fstatat(int dir, const char *path, struct stat *st, int flags);
int ov_statx(int dir, const char *path, int flags, unsigned mask, struct statx *user);
int ov_fstatfs(int fd, struct statfs *user);
int ov_close(int fd);
int ov_close_range(unsigned first, unsigned last, unsigned flags);
int ov_dup(int fd);
int ov_dup2(int from, int to);
int ov_dup3(int from, int to, int flags);
int ov_fcntl(int fd, int cmd, long arg);
int ov_execve(const char *path, char *const *argv, char *const *envp);
/* These return -errno. */
long ov_execveat(int dir, const char *path, char *const *argv, char *const *envp, int flags);
long ov_rt_sigprocmask(int how, const u64 *set, u64 *old, size_t size);
long ov_rt_sigaction(int signo, const void *act, void *old, size_t size);
long ov_seccomp(u64 operation, u64 flags, u64 args);
long ov_prctl_raw(u64 option, u64 a, u64 b, u64 c, u64 d);

#endif
