// SPDX-License-Identifier: MIT
/*
 * tests/run_native_raw.c - tests/run_native_file.c by syscall(2), as programs call the kernel that have no libc wrapper
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <linux/fs.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>

#include "tests/run_kvm.h"

#define open(path, ...)		  (int)syscall(SYS_openat, AT_FDCWD, path, __VA_ARGS__)
#define openat(...)		  syscall(SYS_openat, __VA_ARGS__)
#define close(...)		  syscall(SYS_close, __VA_ARGS__)
#define dup(...)		  syscall(SYS_dup, __VA_ARGS__)
#define fcntl(...)		  syscall(SYS_fcntl, __VA_ARGS__)
#define ioctl(...)		  syscall(SYS_ioctl, __VA_ARGS__)
#define fstat(...)		  syscall(SYS_fstat, __VA_ARGS__)
#define stat(...)		  syscall(SYS_stat, __VA_ARGS__)
#define fstatfs(...)		  syscall(SYS_fstatfs, __VA_ARGS__)
#define statx(...)		  syscall(SYS_statx, __VA_ARGS__)
#define fchmod(...)		  syscall(SYS_fchmod, __VA_ARGS__)
#define chmod(...)		  syscall(SYS_chmod, __VA_ARGS__)
#define fchown(...)		  syscall(SYS_fchown, __VA_ARGS__)
#define futimens(fd, times)	  syscall(SYS_utimensat, fd, NULL, times, 0)
#define ftruncate(...)		  syscall(SYS_ftruncate, __VA_ARGS__)
#define truncate(...)		  syscall(SYS_truncate, __VA_ARGS__)
#define flistxattr(...)		  syscall(SYS_flistxattr, __VA_ARGS__)
#define fgetxattr(...)		  syscall(SYS_fgetxattr, __VA_ARGS__)
#define fsetxattr(...)		  syscall(SYS_fsetxattr, __VA_ARGS__)
#define fremovexattr(...)	  syscall(SYS_fremovexattr, __VA_ARGS__)
#define linkat(...)		  syscall(SYS_linkat, __VA_ARGS__)
#define flock(...)		  syscall(SYS_flock, __VA_ARGS__)
#define read(...)		  syscall(SYS_read, __VA_ARGS__)
#define write(...)		  syscall(SYS_write, __VA_ARGS__)
#define readv(...)		  syscall(SYS_readv, __VA_ARGS__)
#define writev(...)		  syscall(SYS_writev, __VA_ARGS__)
#define pread(...)		  syscall(SYS_pread64, __VA_ARGS__)
#define pwrite(...)		  syscall(SYS_pwrite64, __VA_ARGS__)
#define preadv(fd, iov, n, off)	  syscall(SYS_preadv, fd, iov, n, (long)(off), 0L)
#define pwritev(fd, iov, n, off)  syscall(SYS_pwritev, fd, iov, n, (long)(off), 0L)
#define preadv2(fd, iov, n, o, f) syscall(SYS_preadv2, fd, iov, n, (long)(o), 0L, f)
#define pwritev2(fd, iov, n, o, f) syscall(SYS_pwritev2, fd, iov, n, (long)(o), 0L, f)
#define lseek(...)		  syscall(SYS_lseek, __VA_ARGS__)
#define sendfile(...)		  syscall(SYS_sendfile, __VA_ARGS__)
#define splice(...)		  syscall(SYS_splice, __VA_ARGS__)
#define tee(...)		  syscall(SYS_tee, __VA_ARGS__)
#define copy_file_range(...)	  syscall(SYS_copy_file_range, __VA_ARGS__)
#define fsync(...)		  syscall(SYS_fsync, __VA_ARGS__)
#define fdatasync(...)		  syscall(SYS_fdatasync, __VA_ARGS__)
#define sync_file_range(...)	  syscall(SYS_sync_file_range, __VA_ARGS__)
#define syncfs(...)		  syscall(SYS_syncfs, __VA_ARGS__)
#define posix_fadvise(...)	  syscall(SYS_fadvise64, __VA_ARGS__)
#define readahead(...)		  syscall(SYS_readahead, __VA_ARGS__)
#define fchdir(...)		  syscall(SYS_fchdir, __VA_ARGS__)
#define execveat(...)		  syscall(SYS_execveat, __VA_ARGS__)
#define epoll_ctl(...)		  syscall(SYS_epoll_ctl, __VA_ARGS__)
#define poll(...)		  syscall(SYS_poll, __VA_ARGS__)
#define fallocate(...)		  syscall(SYS_fallocate, __VA_ARGS__)
#define posix_fallocate(fd, o, l) syscall(SYS_fallocate, fd, 0, o, l)

#include "tests/run_native_file.c"
