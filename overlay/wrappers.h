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

int ov_open(const char *path, int flags, unsigned mode);
int ov_openat(int dir, const char *path, int flags, unsigned mode);
int ov_ioctl(int fd, unsigned long request, u64 arg);
int ov_close(int fd);
int ov_close_range(unsigned first, unsigned last, unsigned flags);
int ov_dup(int fd);
int ov_dup2(int from, int to);
int ov_dup3(int from, int to, int flags);
int ov_fcntl(int fd, int cmd, long arg);
long ov_read(int fd, void *buf, size_t len);
long ov_write(int fd, void *buf, size_t len);
int ov_ftruncate(int fd, s64 len);
int ov_fallocate(int fd, int mode, s64 off, s64 len);
void *ov_mmap(void *addr, u64 len, int prot, int flags, int fd, s64 off);
int ov_munmap(void *addr, u64 len);
void *ov_shmat(int id, const void *addr, int flags);
void *ov_mremap(void *old, u64 old_len, u64 new_len, int flags, void *new_addr);
int ov_remap_file_pages(void *addr, u64 size, int prot, u64 pgoff, int flags);
int ov_mincore(void *addr, u64 len, u8 *vec);
int ov_mlockall(int flags);
int ov_munlockall(void);
int ov_mseal(void *addr, u64 len, u64 flags);
int ov_mlock(void *addr, u64 len);
int ov_mlock2(void *addr, u64 len, unsigned flags);
int ov_munlock(void *addr, u64 len);
int ov_msync(void *addr, u64 len, int flags);
s64 ov_lseek(int fd, s64 off, unsigned whence);
long ov_pread(int fd, void *buf, size_t len, s64 off);
long ov_pwrite(int fd, void *buf, size_t len, s64 off);
int ov_mprotect(void *addr, u64 len, int prot);
int ov_madvise(void *addr, u64 len, int advice);
int ov_execve(const char *path, char *const *argv, char *const *envp);
/* These return -errno. */
long ov_execveat(int dir, const char *path, char *const *argv, char *const *envp, int flags);
long ov_rt_sigprocmask(int how, const u64 *set, u64 *old, size_t size);
long ov_rt_sigaction(int signo, const void *act, void *old, size_t size);
long ov_seccomp(u64 operation, u64 flags, u64 args);
long ov_prctl_raw(u64 option, u64 a, u64 b, u64 c, u64 d);

#endif
