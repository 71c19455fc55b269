// SPDX-License-Identifier: MIT
/*
 * check/case_file.c - guest_memfd as a file: creation, properties, calls, fallocate
 */
#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>

#include "check/check.h"

#define SIZE (8 * PG)

void case_create_sizes(void)
{
	static const struct {
		uint64_t size;
		int error;
	} sizes[] = {
		{ 0, EINVAL },		 { 1, EINVAL },	      { PG - 1, EINVAL },     { PG, 0 },	     { PG + 1, EINVAL },
		{ 1ULL << 40, 0 },	 { 1ULL << 62, 0 },   { CLAMP63, 0 },	      { CLAMP63 + 1, EINVAL }, { INT64_MAX, EINVAL },
		{ 1ULL << 63, EINVAL }, { -PG, EINVAL },     { ~0ULL, EINVAL },
	};
	int kvm = kvm_open();

	EACH_TYPE(t) {
		int vm = vm_new(kvm, t);

		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			SEE(MADE(gmem_try(vm, sizes[i].size, 0)), -sizes[i].error, "type %u, size %#llx", t,
			    (unsigned long long)sizes[i].size);
		for (unsigned flags = 0; flags < 4; flags++) {
			unsigned made = 0;

			for (uint64_t size = 1; size < PG; size++) {
				int fd = gmem_try(vm, size, flags);

				made += fd >= 0 || errno != EINVAL;
				if (fd >= 0)
					close(fd);
			}
			SEE(made, 0, "type %u, flags %u: of all sizes below a page that are not EINVAL", t, flags);
		}
		close(vm);
	}
}

void case_create_result(void)
{
	int vm = vm_new(kvm_open(), 0), low = dup(0), fd;
	struct kvm_create_guest_memfd a, before;

	memset(&a, 0xff, sizeof(a));
	a.size = PG;
	a.flags = 0;
	before = a;
	close(low);
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &a);
	SEE(fd == low, 1, "the lowest descriptor, reserved words are not looked at");
	SEE(memcmp(&a, &before, sizeof(a)), 0, "nothing is written back");
	SEE(RET(fcntl(fd, F_GETFD)), 0, "not close-on-exec");
	SEE(RET(fcntl(fd, F_GETFL)), O_RDWR | 0100000, "O_RDWR, O_LARGEFILE");
	SEE(RET(fcntl(vm, F_GETFD)), FD_CLOEXEC, "a VM is close-on-exec");
}

void case_file_properties(void)
{
	int vm = vm_new(kvm_open(), 0), fd = gmem_new(vm, SIZE, 0), other = gmem_new(vm, 2 * SIZE, 0);
	struct stat st, st2;
	struct statfs fs;

	SEE(RET(fstat(fd, &st)), 0, "fstat");
	fstat(other, &st2);
	SEE(st.st_size, SIZE, "size");
	SEE(st2.st_size, 2 * SIZE, "size of another");
	SEE(st.st_mode, 0100600, "mode");
	SEE(st.st_nlink, 1, "links");
	SEE(st.st_blocks, 0, "blocks");
	SEE(st.st_blksize, PG, "block size");
	SEE(st.st_uid == geteuid() && st.st_gid == getegid(), 1, "owner");
	SEE(st.st_ino != st2.st_ino, 1, "an inode of its own");
	fallocate(fd, 1, 0, SIZE);
	fstat(fd, &st);
	SEE(st.st_blocks, 0, "blocks when allocated");
	SEE(RET(fstatfs(fd, &fs)), 0, "fstatfs");
	SEE(fs.f_type, k->own_fs ? 0x474d454d : 0x09041934, "file system");
	SEE(fs.f_bsize, PG, "its block size");
	SEE(st.st_rdev, 0, "device");
	SEE(RET(fcntl(fd, F_SETFD, FD_CLOEXEC)), 0, "F_SETFD");
	SEE(RET(fcntl(fd, F_GETFD)), FD_CLOEXEC, "F_GETFD");
	SEE(RET(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK)), 0, "F_SETFL");
	SEE(RET(fcntl(fd, F_GETFL)), O_RDWR | 0100000 | O_APPEND | O_NONBLOCK, "F_GETFL");
	SEE(RET(fcntl(fd, 1034)), -EINVAL, "F_GET_SEALS");
	SEE(RET(fcntl(fd, 1033, 1)), -EINVAL, "F_ADD_SEALS");
	SEE(RET(ftruncate(fd, SIZE)), -EINVAL, "ftruncate to the same size");
	SEE(RET(ftruncate(fd, 0)), -EINVAL, "ftruncate");
	SEE(RET(fchmod(fd, 0600)), -EINVAL, "fchmod");
	SEE(RET(fchown(fd, 0, 0)), -EINVAL, "fchown");
}

void case_file_calls(void)
{
	int vm = vm_new(kvm_open(), 0), value;

	EACH_TYPE(t) {
		int own = vm_new(kvm_open(), t), fd = gmem_new(own, SIZE, 0);
		struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
		char buf[64];

		SEE(RET(read(fd, buf, 64)), -EINVAL, "read");
		SEE(RET(read(fd, buf, 0)), -EINVAL, "read of nothing");
		SEE(RET(write(fd, buf, 64)), -EINVAL, "write");
		SEE(RET(pread(fd, buf, 64, 0)), -ESPIPE, "pread");
		SEE(RET(pread(fd, buf, 64, -1)), -EINVAL, "pread before the start");
		SEE(RET(pwrite(fd, buf, 64, 0)), -ESPIPE, "pwrite");
		SEE(RET(pwrite(fd, buf, 64, -1)), -EINVAL, "pwrite before the start");
		for (int whence = 0; whence < 7; whence++)
			SEE(RET(lseek(fd, 0, whence)), whence < 5 ? -ESPIPE : -EINVAL, "lseek, whence %d", whence);
		SEE(RET(fsync(fd)), -EINVAL, "fsync");
		SEE(RET(fdatasync(fd)), -EINVAL, "fdatasync");
		SEE(RET(syncfs(fd)), 0, "syncfs");
		SEE(posix_fadvise(fd, 0, PG, POSIX_FADV_DONTNEED), 0, "posix_fadvise");
		SEE(RET(readahead(fd, 0, PG)), k->old_calls ? 0 : -EINVAL, "readahead");
		SEE(RET(ioctl(fd, 0x541b, &value)), k->old_calls ? 0 : -ENOTTY, "FIONREAD");
		SEE(RET(ioctl(fd, 2, &value)), 0, "FIGETBSZ");
		SEE(value, PG, "FIGETBSZ, value");
		SEE(RET(poll(&p, 1, 0)), 1, "poll");
		SEE(p.revents, POLLIN | POLLOUT, "poll, events");
		SEE(RET(fchdir(fd)), -ENOTDIR, "fchdir");
		SEE(RET(openat(fd, "x", O_RDONLY)), -ENOTDIR, "openat");
		close(fd);
		close(own);
	}
	close(vm);
}

/* 1 for the text of a file system of its own, 0 for that of anonymous inodes. */
static int own_text(int fd)
{
	char path[64], text[128] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, text, sizeof(text) - 1) < 0)
		return -errno;
	return !strcmp(text, "/[kvm-gmem] (deleted)") ? 1 : !strcmp(text, "anon_inode:[kvm-gmem]") ? 0 : -ENOENT;
}

void case_file_names(void)
{
	int vm = vm_new(kvm_open(), 0), fd = gmem_new(vm, SIZE, 0);
	char path[64], to[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	snprintf(to, sizeof(to), "/tmp/gmem-check.%d", (int)getpid());
	SEE(own_text(fd), k->own_fs, "text of the link in /proc");
	SEE(MADE(open(path, O_RDWR)), -ENXIO, "opened anew");
	SEE(MADE(open(path, O_RDONLY)), -ENXIO, "opened anew to read");
	SEE(MADE(open(path, O_PATH)), 0, "opened anew with O_PATH");
	SEE(RET(truncate(path, SIZE)), -EINVAL, "truncate");
	SEE(RET(linkat(AT_FDCWD, path, AT_FDCWD, to, AT_SYMLINK_FOLLOW)), -EXDEV, "linkat");
	SEE(RET(rename(path, to)), -EXDEV, "rename");
	SEE(RET(readlink("/proc/self/fd/1000000", to, sizeof(to))), -ENOENT, "a descriptor that is none");
}

void case_file_metadata(void)
{
	int vm = vm_new(kvm_open(), 0), fd = gmem_new(vm, SIZE, 0), flags = 0;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = PG };
	const struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	char buf[64];

	SEE(RET(futimens(fd, now)), -EINVAL, "futimens");
	SEE(RET(flistxattr(fd, buf, sizeof(buf))), 0, "flistxattr");
	SEE(RET(fgetxattr(fd, "user.x", buf, sizeof(buf))), -EOPNOTSUPP, "fgetxattr");
	SEE(RET(fsetxattr(fd, "user.x", "y", 1, 0)), -EOPNOTSUPP, "fsetxattr");
	SEE(RET(fremovexattr(fd, "user.x")), -EOPNOTSUPP, "fremovexattr");
	SEE(RET(flock(fd, LOCK_EX)), 0, "flock");
	SEE(RET(flock(fd, LOCK_UN)), 0, "flock, unlocked");
	SEE(RET(fcntl(fd, F_SETLK, &lock)), 0, "a POSIX lock");
	SEE(RET(ioctl(fd, 0x5401, buf)), -ENOTTY, "TCGETS");
	SEE(RET(ioctl(fd, 0x80086601, &flags)), -ENOTTY, "FS_IOC_GETFLAGS");
	SEE(RET(ioctl(fd, 0x5451, 0)), 0, "FIOCLEX");
	SEE(RET(fcntl(fd, F_GETFD)), FD_CLOEXEC, "it is close-on-exec");
	SEE(RET(ioctl(fd, 0x5450, 0)), 0, "FIONCLEX");
	SEE(RET(fcntl(fd, F_GETFD)), 0, "it is not");
	SEE(RET(ftruncate(fd, 2 * SIZE)), -EINVAL, "ftruncate to twice the size");
	SEE(RET(ftruncate(fd, -1)), -EINVAL, "ftruncate to less than nothing");
}

/* Everything that moves bytes or walks files, for files of every flag. */
void case_file_transfers(void)
{
	int vm = vm_new(kvm_open(), 0), mfd = memfd_create("plain", 0), pipe_fds[2], epoll = epoll_create1(0);
	char buf[256] = "bytes", *argv[] = { NULL };

	if (pwrite(mfd, buf, sizeof(buf), 0) != sizeof(buf) || pipe(pipe_fds) || write(pipe_fds[1], buf, 64) != 64)
		die("preparation");
	for (unsigned flags = 0; flags < 4; flags++) {
		struct iovec iov = { buf, 64 };
		struct epoll_event event = { .events = EPOLLIN };
		off_t start = 0, to = PG;
		int fd = gmem_try(vm, SIZE, flags);

		if (fd < 0)
			continue;
		SEE(RET(readv(fd, &iov, 1)), -EINVAL, "flags %u, readv", flags);
		SEE(RET(writev(fd, &iov, 1)), -EINVAL, "flags %u, writev", flags);
		SEE(RET(write(fd, buf, 0)), -EINVAL, "flags %u, write of nothing", flags);
		SEE(RET(preadv(fd, &iov, 1, 0)), -ESPIPE, "flags %u, preadv", flags);
		SEE(RET(pwritev(fd, &iov, 1, 0)), -ESPIPE, "flags %u, pwritev", flags);
		SEE(RET(preadv2(fd, &iov, 1, 0, 0)), -ESPIPE, "flags %u, preadv2", flags);
		SEE(RET(pwritev2(fd, &iov, 1, 0, 0)), -ESPIPE, "flags %u, pwritev2", flags);
		SEE(RET(sendfile(mfd, fd, &start, 64)), -ESPIPE, "flags %u, sendfile from it, at an offset", flags);
		lseek(mfd, 0, SEEK_SET);
		SEE(RET(sendfile(fd, mfd, NULL, 64)), -EINVAL, "flags %u, sendfile to it", flags);
		SEE(RET(splice(fd, NULL, pipe_fds[1], NULL, 64, 0)), -EINVAL, "flags %u, splice from it", flags);
		SEE(RET(splice(pipe_fds[0], NULL, fd, NULL, 64, 0)), -EINVAL, "flags %u, splice to it", flags);
		SEE(RET(copy_file_range(fd, &start, mfd, &to, 64, 0)), -EXDEV, "flags %u, copy_file_range from it",
		    flags);
		SEE(RET(copy_file_range(mfd, &start, fd, &to, 64, 0)), -EXDEV, "flags %u, copy_file_range to it",
		    flags);
		SEE(RET(copy_file_range(fd, &start, fd, &to, 64, 0)), -EINVAL, "flags %u, copy_file_range within it",
		    flags);
		SEE(RET(ioctl(fd, 0x40049409, mfd)), -EXDEV, "flags %u, FICLONE", flags);
		SEE(RET(sync_file_range(fd, 0, PG, SYNC_FILE_RANGE_WRITE)), 0, "flags %u, sync_file_range", flags);
		SEE(RET(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)), -EPERM, "flags %u, epoll_ctl", flags);
		SEE(RET(syscall(SYS_getdents64, fd, buf, sizeof(buf))), -ENOTDIR, "flags %u, getdents", flags);
		SEE(RET(syscall(SYS_execveat, fd, "", argv, argv, AT_EMPTY_PATH)), -EACCES, "flags %u, execveat",
		    flags);
		close(fd);
	}
}

static const struct {
	const char *name;
	off_t offset, size;
	int error_mode; /* of a mode that is legal as such, but not here */
	int error_allocate, error_punch;
} ranges[] = {
	{ "right", 0, PG, EOPNOTSUPP, 0, 0 },
	{ "unaligned offset", 1, PG, EOPNOTSUPP, EINVAL, EINVAL },
	{ "unaligned size", 0, PG - 1, EOPNOTSUPP, EINVAL, EINVAL },
	{ "at the end", SIZE, PG, EOPNOTSUPP, EINVAL, 0 },
	{ "across the end", SIZE - PG, 2 * PG, EOPNOTSUPP, EINVAL, 0 },
	{ "negative offset", -(off_t)PG, PG, EINVAL, EINVAL, EINVAL },
	{ "size 0", 0, 0, EINVAL, EINVAL, EINVAL },
	{ "negative size", 0, -1, EINVAL, EINVAL, EINVAL },
	{ "overflow", (off_t)CLAMP63, PG, EFBIG, EFBIG, EFBIG },
	{ "overflow, unaligned", (off_t)CLAMP63 + 1, PG, EFBIG, EFBIG, EFBIG },
};

/* Modes that the generic layer lets pass (until the file refuses them), and those that it refuses. */
void case_file_modes(void)
{
	static const int passed[] = { 0, 16, 17, 64, 65, 8, 32 };
	static const int unknown[] = { 2, 4, 5, 6, 10, 18, 19, 26, 34, 129, 256, 257, -1 },
			 pairs[] = { 9, 33, 40, 48, 11, 35, 67, 80 };
	int vm = vm_new(kvm_open(), 0), fd = gmem_new(vm, SIZE, 0);

	for (size_t r = 0; r < sizeof(ranges) / sizeof(*ranges); r++) {
		off_t off = ranges[r].offset, size = ranges[r].size;
		int refused = ranges[r].error_mode == EFBIG ? EOPNOTSUPP : ranges[r].error_mode;

		SEE(RET(fallocate(fd, 1, off, size)), -ranges[r].error_allocate, "allocate, %s", ranges[r].name);
		SEE(RET(fallocate(fd, 3, off, size)), -ranges[r].error_punch, "punch, %s", ranges[r].name);
		for (size_t m = 0; m < sizeof(passed) / sizeof(*passed); m++)
			SEE(RET(fallocate(fd, passed[m], off, size)), -ranges[r].error_mode, "mode %d, %s", passed[m], ranges[r].name);
		for (size_t m = 0; m < sizeof(unknown) / sizeof(*unknown); m++)
			SEE(RET(fallocate(fd, unknown[m], off, size)), -refused, "mode %d, %s", unknown[m], ranges[r].name);
		for (size_t m = 0; m < sizeof(pairs) / sizeof(*pairs); m++)
			SEE(RET(fallocate(fd, pairs[m], off, size)), k->modes_by_flag ? -EINVAL : -refused, "mode %d, %s", pairs[m],
			    ranges[r].name);
		/* A mode of newer kernels is one that others' files could have. */
		SEE(RET(fallocate(fd, 128, off, size)), k->write_zeroes ? -ranges[r].error_mode : -refused,
		    "mode 128, %s", ranges[r].name);
	}
}

void case_file_holes(void)
{
	int vm = vm_new(kvm_open(), 0);

	for (unsigned flags = 0; flags < 4; flags++) {
		int fd = gmem_try(vm, SIZE, flags);

		if (fd < 0)
			continue;
		SEE(RET(fallocate(fd, 1, 0, SIZE)), 0, "flags %u, allocate all", flags);
		SEE(RET(fallocate(fd, 1, 0, SIZE)), 0, "flags %u, once more", flags);
		SEE(RET(fallocate(fd, 1, 0, SIZE + PG)), -EINVAL, "flags %u, a page more", flags);
		SEE(RET(fallocate(fd, 3, PG, PG)), 0, "flags %u, punch", flags);
		SEE(RET(fallocate(fd, 1, PG, PG)), 0, "flags %u, refill", flags);
		SEE(RET(fallocate(fd, 3, SIZE + 7 * PG, PG)), 0, "flags %u, punch behind the end", flags);
		SEE(RET(fallocate(fd, 3, 0, (off_t)CLAMP63)), 0, "flags %u, punch everything there can be", flags);
		SEE(RET(fallocate(fd, 3, PG, (off_t)CLAMP63)), -EFBIG, "flags %u, a page more", flags);
		close(fd);
	}
}

/* Holes that are not of whole pages, and allocations. */
void case_file_unaligned(void)
{
	static const off_t odd[][2] = { { 0, 1 },	{ 0, PG - 1 }, { 0, PG + 1 },  { 1, 1 },      { 1, PG - 1 },
					{ 1, PG },	{ 1, PG + 1 }, { PG, 1 },      { PG, PG - 1 }, { PG, PG + 1 },
					{ PG - 1, PG }, { SIZE, 1 },   { SIZE + 1, PG } };
	int vm = vm_new(kvm_open(), 0);

	for (unsigned flags = 0; flags < 4; flags++) {
		int fd = gmem_try(vm, SIZE, flags);

		for (size_t i = 0; fd >= 0 && i < sizeof(odd) / sizeof(*odd); i++) {
			SEE(RET(fallocate(fd, 3, odd[i][0], odd[i][1])), -EINVAL, "flags %u, a hole at %ld of %ld",
			    flags, odd[i][0], odd[i][1]);
			SEE(RET(fallocate(fd, 1, odd[i][0], odd[i][1])), -EINVAL, "flags %u, allocate at %ld, %ld",
			    flags, odd[i][0], odd[i][1]);
		}
		if (fd >= 0)
			close(fd);
	}
}

static int moved(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;
}

void case_file_times(void)
{
	struct timespec tick = { .tv_nsec = 30000000 };
	int vm = vm_new(kvm_open(), 0), fd = gmem_new(vm, SIZE, 0);
	struct stat a, b;

	fstat(fd, &a);
	nanosleep(&tick, NULL);
	fallocate(fd, 1, SIZE, PG);
	fstat(fd, &b);
	SEE(moved(&a.st_mtim, &b.st_mtim), 0, "modification time after a failure");
	fallocate(fd, 1, 0, PG);
	fstat(fd, &b);
	SEE(moved(&a.st_mtim, &b.st_mtim), 1, "modification time after an allocation");
	SEE(moved(&a.st_ctim, &b.st_ctim), 1, "change time after an allocation");
	nanosleep(&tick, NULL);
	fallocate(fd, 3, 4 * SIZE, PG);
	fstat(fd, &a);
	SEE(moved(&a.st_mtim, &b.st_mtim), 1, "modification time after a hole beyond the end");
	SEE(moved(&a.st_atim, &b.st_atim), 0, "access time");
}
