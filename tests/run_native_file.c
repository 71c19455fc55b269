// SPDX-License-Identifier: MIT
/*
 * tests/run_native_file.c - a guest_memfd as a file: properties, read and write, fallocate
 *
 * Compared line by line with a real kernel (tests/native.t).  Left out, since
 * they are accepted differences: link texts, st_dev, mnt_id, re-opening.
 */
#include <dirent.h>
#include <linux/falloc.h>
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

#define SIZE (8 * PG)

static int vm;

static void stat_lines(int fd, const char *name)
{
	struct stat st;

	CASE(fstat(fd, &st), "%s, fstat", name);
	note("%s: mode %o links %ld owner %d:%d rdev %ld size %#lx blocks %ld blksize %ld", name, st.st_mode,
	     (long)st.st_nlink, st.st_uid == geteuid(), st.st_gid == getegid(), (long)st.st_rdev, (long)st.st_size,
	     (long)st.st_blocks, (long)st.st_blksize);
}

/* There are none; what is wrong with a call is found in the kernel's order, whatever the file. */
static void attributes(int fd)
{
	static const char *const names[] = { "user.x", "trusted.x", "security.x", "system.x", "x", "" };
	char longest[257], *value = map_anon(MiB);

	memset(longest, 'n', 256);
	strcpy(value, "1");
	longest[256] = '\0';
	for (size_t i = 0; i <= sizeof(names) / sizeof(*names); i++) {
		const char *name = i < sizeof(names) / sizeof(*names) ? names[i] : longest;

		CASE(fgetxattr(fd, name, value, 1), "fgetxattr \"%.20s\"", name);
		CASE(fsetxattr(fd, name, value, 1, 0), "fsetxattr \"%.20s\"", name);
		CASE(fremovexattr(fd, name), "fremovexattr \"%.20s\"", name);
	}
	CASE(fgetxattr(fd, "user.x", value, MiB), "fgetxattr, 1 MiB");
	CASE(fgetxattr(fd, "user.x", BAD_PTR, 1), "fgetxattr, bad value");
	CASE(fgetxattr(fd, BAD_PTR, value, 1), "fgetxattr, bad name");
	CASE(fsetxattr(fd, BAD_PTR, value, 1, 0), "fsetxattr, bad name");
	CASE(fsetxattr(fd, BAD_PTR, value, 1, 8), "fsetxattr, bad name and flags");
	CASE(fsetxattr(fd, "user.x", BAD_PTR, 1, 0), "fsetxattr, bad value");
	CASE(fsetxattr(fd, "user.x", BAD_PTR, 65537, 0), "fsetxattr, bad value, too long");
	CASE(fsetxattr(fd, "", BAD_PTR, 65537, 0), "fsetxattr, no name, too long");
	CASE(fsetxattr(fd, "user.x", BAD_PTR, 0, 0), "fsetxattr, nothing");
	CASE(fsetxattr(fd, "user.x", value, 1, XATTR_CREATE | XATTR_REPLACE), "fsetxattr, both flags");
	CASE(fsetxattr(fd, "user.x", value, 1, 8), "fsetxattr, bad flags");
	CASE(fremovexattr(fd, BAD_PTR), "fremovexattr, bad name");
	CASE(flistxattr(fd, BAD_PTR, 100), "flistxattr, bad list");
	munmap(value, MiB);
}

static void properties(int fd)
{
	struct statfs fs;
	struct stat st, by_path;
	struct timespec now;
	char line[128];
	FILE *info;

	group("properties");
	stat_lines(fd, "fresh");
	clock_gettime(CLOCK_REALTIME, &now);
	fstat(fd, &st);
	note("times alike: %d, recent: %d", st.st_mtim.tv_sec == st.st_ctim.tv_sec &&
	     st.st_atim.tv_sec == st.st_ctim.tv_sec, llabs(now.tv_sec - st.st_mtim.tv_sec) < 60);
	snprintf(line, sizeof(line), "/proc/self/fd/%d", fd);
	CASE(stat(line, &by_path), "stat through /proc");
	note("inode the same: %d, size %#lx", st.st_ino == by_path.st_ino, (long)by_path.st_size);
	CASE(fstatfs(fd, &fs), "fstatfs");
	note("magic %#lx bsize %ld", (long)fs.f_type, (long)fs.f_bsize);

	CASE(fcntl(fd, F_GETFD), "F_GETFD");
	CASE(fcntl(fd, F_SETFD, FD_CLOEXEC), "F_SETFD");
	CASE(fcntl(fd, F_GETFD), "F_GETFD");
	CASE(fcntl(fd, F_GETFL), "F_GETFL");
	CASE(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK), "F_SETFL");
	CASE(fcntl(fd, F_GETFL), "F_GETFL");
	CASE(fallocate(fd, 1, 0, PG), "fallocate with O_APPEND");
	CASE(fallocate(fd, 3, 0, PG), "punch with O_APPEND");
	CASE(fcntl(fd, F_SETFL, O_DIRECT), "F_SETFL O_DIRECT");
	CASE(fcntl(fd, F_SETFL, 0), "F_SETFL 0");
	CASE(fcntl(fd, F_GETFL), "F_GETFL");
	CASE(fcntl(fd, F_GET_SEALS), "F_GET_SEALS");
	CASE(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), "F_ADD_SEALS");
	CASE(fcntl(fd, F_GETPIPE_SZ), "F_GETPIPE_SZ");
	CASE(fcntl(fd, F_SETLEASE, F_RDLCK), "F_SETLEASE");
	CASE(fcntl(fd, F_SETLEASE, F_UNLCK), "F_SETLEASE unlock");

	group("fdinfo");
	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	info = fopen(line, "r");
	while (info && fgets(line, sizeof(line), info)) {
		*strchr(line, ':') = 0;
		if (strcmp(line, "mnt_id"))
			note("%s", line);
	}
	if (info)
		fclose(info);
}

static void changes(int fd)
{
	struct timespec times[2] = { { 0 }, { 0 } }, omitted[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	struct timespec wrong[2] = { { 0, 2000000000 }, { 0, 0 } };
	char path[64], byte;

	group("changes refused");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CASE(fchmod(fd, 0644), "fchmod");
	CASE(chmod(path, 0644), "chmod through /proc");
	CASE(fchown(fd, 0, 0), "fchown");
	CASE(fchown(fd, -1, -1), "fchown -1");
	CASE(futimens(fd, times), "futimens");
	CASE(futimens(fd, NULL), "futimens now");
	CASE(futimens(fd, omitted), "futimens, nothing");
	CASE(futimens(fd, wrong), "futimens, no time");
	CASE(syscall(SYS_utimensat, fd, NULL, BAD_PTR, 0), "futimens, bad pointer");
	CASE(ftruncate(fd, 0), "ftruncate 0");
	CASE(ftruncate(fd, SIZE), "ftruncate unchanged");
	CASE(ftruncate(fd, SIZE + PG), "ftruncate larger");
	CASE(ftruncate(fd, -1), "ftruncate -1");
	CASE(truncate(path, 0), "truncate through /proc");
	CASE(flistxattr(fd, NULL, 0), "flistxattr");
	CASE(fgetxattr(fd, "user.x", &byte, 1), "fgetxattr");
	CASE(fsetxattr(fd, "user.x", "1", 1, 0), "fsetxattr");
	CASE(fremovexattr(fd, "user.x"), "fremovexattr");
	attributes(fd);
	CASE(linkat(AT_FDCWD, path, AT_FDCWD, "/tmp/run_native_link", AT_SYMLINK_FOLLOW), "linkat");
	stat_lines(fd, "unchanged");
}

static void locks(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };

	group("locks");
	CASE(flock(fd, LOCK_EX), "flock");
	CASE(flock(fd, LOCK_UN), "flock, unlock");
	CASE(fcntl(fd, F_SETLK, &lock), "F_SETLK");
	CASE(fcntl(fd, F_OFD_SETLK, &lock), "F_OFD_SETLK over it");
	lock.l_type = F_UNLCK;
	CASE(fcntl(fd, F_SETLK, &lock), "F_SETLK, unlock");
	CASE(fcntl(fd, F_OFD_SETLK, &lock), "F_OFD_SETLK, unlock");
}

static void reads_and_writes(int fd)
{
	char buf[64] = "";
	struct iovec iov = { buf, sizeof(buf) };
	int mfd = memfd_create("plain", 0), pipe_fds[2];
	volatile int bad_count = -1;
	off_t off = 0, out = 0;

	if (mfd < 0 || ftruncate(mfd, SIZE) || pipe2(pipe_fds, O_NONBLOCK))
		die("memfd");
	group("read and write");
	CASE(read(fd, buf, 64), "read");
	CASE(read(fd, buf, 0), "read 0");
	CASE(read(fd, BAD_PTR, 64), "read, bad pointer");
	CASE(write(fd, buf, 64), "write");
	CASE(write(fd, buf, 0), "write 0");
	CASE(readv(fd, &iov, 1), "readv");
	CASE(writev(fd, &iov, 1), "writev");
	CASE(pread(fd, buf, 64, 0), "pread");
	CASE(pread(fd, buf, 64, -1), "pread -1");
	CASE(pread(fd, buf, 0, 0), "pread 0");
	CASE(pwrite(fd, buf, 64, 0), "pwrite");
	CASE(pwrite(fd, buf, 64, -1), "pwrite -1");
	CASE(preadv(fd, &iov, 1, 0), "preadv");
	CASE(pwritev(fd, &iov, 1, 0), "pwritev");
	CASE(preadv2(fd, &iov, 1, 0, 0), "preadv2");
	CASE(preadv2(fd, &iov, 1, -1, 0), "preadv2, position");
	CASE(pwritev2(fd, &iov, 1, 0, 0), "pwritev2");
	CASE(pwritev2(fd, &iov, 1, -1, 0), "pwritev2, position");

	group("lseek");
	CASE(lseek(fd, 0, SEEK_SET), "SEEK_SET");
	CASE(lseek(fd, 0, SEEK_CUR), "SEEK_CUR");
	CASE(lseek(fd, 0, SEEK_END), "SEEK_END");
	CASE(lseek(fd, 0, SEEK_DATA), "SEEK_DATA");
	CASE(lseek(fd, 0, SEEK_HOLE), "SEEK_HOLE");
	CASE(lseek(fd, -1, SEEK_SET), "SEEK_SET -1");
	CASE(lseek(fd, 0, 99), "bad whence");

	group("between files");
	CASE(sendfile(mfd, fd, &off, PG), "sendfile from, offset");
	CASE(sendfile(mfd, fd, NULL, PG), "sendfile from");
	CASE(sendfile(fd, mfd, &off, PG), "sendfile to");
	CASE(splice(fd, NULL, pipe_fds[1], NULL, PG, SPLICE_F_NONBLOCK), "splice from");
	CASE(splice(fd, &off, pipe_fds[1], NULL, PG, SPLICE_F_NONBLOCK), "splice from, offset");
	CASE(write(pipe_fds[1], buf, 8), "pipe filled");
	CASE(splice(pipe_fds[0], NULL, fd, NULL, PG, SPLICE_F_NONBLOCK), "splice to");
	CASE(splice(pipe_fds[0], NULL, fd, &off, PG, SPLICE_F_NONBLOCK), "splice to, offset");
	CASE(tee(fd, pipe_fds[1], PG, 0), "tee");
	off = 0;
	CASE(copy_file_range(fd, &off, mfd, &out, PG, 0), "copy_file_range to a memfd");
	CASE(copy_file_range(mfd, &off, fd, &out, PG, 0), "copy_file_range from a memfd");
	out = PG;
	CASE(copy_file_range(fd, &off, fd, &out, PG, 0), "copy_file_range within");
	CASE(ioctl(mfd, FICLONE, fd), "FICLONE to a memfd");
	CASE(ioctl(fd, FICLONE, mfd), "FICLONE from a memfd");

	off = out = 0;
	CASE(sendfile(mfd, fd, &off, 0), "sendfile from, offset, nothing");
	CASE(sendfile(mfd, fd, NULL, 0), "sendfile from, nothing");
	CASE(sendfile(fd, mfd, NULL, 0), "sendfile to, nothing");
	CASE(sendfile(mfd, fd, BAD_PTR, PG), "sendfile from, bad offset");
	CASE(sendfile(fd, mfd, BAD_PTR, PG), "sendfile to, bad offset");
	CASE(sendfile(-1, fd, NULL, PG), "sendfile from, nowhere");
	CASE(sendfile(fd, -1, NULL, PG), "sendfile to, from nowhere");
	CASE(splice(fd, NULL, pipe_fds[1], NULL, 0, 0), "splice from, nothing");
	CASE(splice(fd, BAD_PTR, pipe_fds[1], NULL, PG, 0), "splice from, bad offset");
	CASE(splice(fd, NULL, pipe_fds[1], NULL, PG, 64), "splice from, bad flags");
	CASE(splice(fd, NULL, mfd, NULL, PG, 0), "splice to a memfd");
	CASE(splice(fd, NULL, -1, NULL, PG, 0), "splice to nowhere");
	CASE(splice(-1, NULL, fd, NULL, 0, 0), "splice nothing from nowhere");
	CASE(tee(fd, pipe_fds[1], 0, 0), "tee, nothing");
	CASE(tee(fd, pipe_fds[1], PG, 64), "tee, bad flags");
	CASE(tee(pipe_fds[0], fd, PG, 0), "tee to");
	CASE(copy_file_range(fd, &off, mfd, &out, PG, 1), "copy_file_range to a memfd, bad flags");
	CASE(copy_file_range(fd, &off, mfd, &out, 0, 0), "copy_file_range to a memfd, nothing");
	CASE(copy_file_range(fd, &off, fd, &out, 0, 0), "copy_file_range within, nothing");
	CASE(copy_file_range(fd, &off, fd, &out, PG, 1), "copy_file_range within, bad flags");
	CASE(copy_file_range(fd, &off, fd, &out, PG, 0), "copy_file_range within, overlapping");
	CASE(copy_file_range(fd, BAD_PTR, mfd, &out, PG, 0), "copy_file_range, bad offset");
	CASE(copy_file_range(fd, &off, -1, &out, PG, 0), "copy_file_range to nowhere");
	CASE(copy_file_range(-1, &off, fd, &out, PG, 0), "copy_file_range from nowhere");
	CASE(copy_file_range(fd, NULL, pipe_fds[1], NULL, PG, 0), "copy_file_range to a pipe");
	CASE(preadv2(fd, &iov, 1, 0, 1 << 20), "preadv2, bad flags");
	CASE(preadv2(fd, &iov, bad_count, 0, 0), "preadv2, bad count");
	CASE(preadv2(fd, &iov, 1, -5, 0), "preadv2, -5");
	CASE(preadv(fd, &iov, 1, -1), "preadv -1");
	CASE(pwritev(fd, &iov, 0, 0), "pwritev, no vector");
	CASE(readv(fd, BAD_PTR, 1), "readv, bad pointer");
	CASE(readv(fd, &iov, 0), "readv, no vector");

	group("synchronisation");
	CASE(fsync(fd), "fsync");
	CASE(fdatasync(fd), "fdatasync");
	CASE(sync_file_range(fd, 0, PG, SYNC_FILE_RANGE_WRITE), "sync_file_range");
	CASE(sync_file_range(fd, 0, PG, 64), "sync_file_range, bad flag");
	CASE(syncfs(fd), "syncfs");
	CASE(posix_fadvise(fd, 0, PG, POSIX_FADV_DONTNEED), "fadvise DONTNEED");
	CASE(posix_fadvise(fd, 0, PG, POSIX_FADV_WILLNEED), "fadvise WILLNEED");
	CASE(posix_fadvise(fd, 0, PG, 99), "fadvise 99");
	CASE(readahead(fd, 0, PG), "readahead");
	close(mfd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void other_calls(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };
	struct epoll_event event = { .events = EPOLLIN };
	char *argv[] = { NULL }, buf[256];
	struct termios tio;
	int epoll_fd = epoll_create1(0), value;

	group("other calls");
	CASE(poll(&poll_fd, 1, 0), "poll");
	note("revents %#x", poll_fd.revents);
	CASE(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	CASE(syscall(SYS_getdents64, fd, buf, sizeof(buf)), "getdents");
	CASE(fchdir(fd), "fchdir");
	CASE(openat(fd, "x", O_RDONLY), "openat");
	CASE(execveat(fd, "", argv, argv, AT_EMPTY_PATH), "execveat");
	CASE(ioctl(fd, TCGETS, &tio), "TCGETS");
	CASE(ioctl(fd, FS_IOC_GETFLAGS, &value), "FS_IOC_GETFLAGS");
	CASE(ioctl(fd, FIGETBSZ, &value), "FIGETBSZ");
	note("block size %d", value);
	CASE(ioctl(fd, FIONREAD, &value), "FIONREAD");
	CASE(ioctl(fd, FIONREAD, BAD_PTR), "FIONREAD, bad pointer");
	CASE(ioctl(fd, FIOCLEX), "FIOCLEX");
	CASE(fcntl(fd, F_GETFD), "F_GETFD");
	CASE(ioctl(fd, FIONCLEX), "FIONCLEX");
	CASE(fcntl(fd, F_GETFD), "F_GETFD");
	value = 1;
	CASE(ioctl(fd, FIONBIO, &value), "FIONBIO");
	CASE(fcntl(fd, F_GETFL), "F_GETFL");
	fcntl(fd, F_SETFL, 0);
	CASE(isatty(fd), "isatty");
	close(epoll_fd);
}

/* Every mode, with a range that is right, unaligned, beyond the end, or senseless: which check comes first. */
static void fallocate_modes(int fd)
{
	static const int modes[] = { 0,	 1,  2,	 3,  4,	 5,  6,	 7,  8,	  9,   10,  11,	 16,  17,
				     18, 32, 33, 34, 48, 64, 65, 66, 128, 129, 130, 131, 256, -1 };
	static const struct {
		const char *name;
		off_t off, len;
	} ranges[] = {
		{ "right", 0, PG },
		{ "unaligned offset", 1, PG },
		{ "unaligned length", 0, PG - 1 },
		{ "at the end", SIZE, PG },
		{ "across the end", SIZE - PG, 2 * PG },
		{ "unaligned beyond the end", SIZE + 1, 1 },
		{ "negative offset", -(off_t)PG, PG },
		{ "length 0", 0, 0 },
		{ "negative length", 0, -1 },
		{ "overflow", CLAMP63, PG },
		{ "overflow, unaligned", CLAMP63 + 1, PG },
	};

	group("fallocate: modes and ranges");
	for (size_t r = 0; r < sizeof(ranges) / sizeof(*ranges); r++)
		for (size_t m = 0; m < sizeof(modes) / sizeof(*modes); m++)
			CASE(fallocate(fd, modes[m], ranges[r].off, ranges[r].len), "mode %d, %s", modes[m],
			     ranges[r].name);
}

static void fallocate_ranges(int fd)
{
	static const off_t edges[] = { 0, 1, PG - 1, PG, PG + 1, SIZE - PG, SIZE - 1, SIZE, SIZE + PG, CLAMP63 - PG };

	group("fallocate: edges");
	for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++)
		for (size_t j = 1; j < sizeof(edges) / sizeof(*edges); j++) {
			/* Allocating is bounded by the file, so nothing large can succeed. */
			CASE(fallocate(fd, 1, edges[i], edges[j]), "allocate %#lx, %#lx", edges[i], edges[j]);
			CASE(fallocate(fd, 3, edges[i], edges[j]), "punch %#lx, %#lx", edges[i], edges[j]);
		}
	CASE(fallocate(fd, 3, 0, CLAMP63), "punch 0, 2^63 - 4096");
	CASE(fallocate(fd, 3, PG, CLAMP63), "punch 4096, 2^63 - 4096");
	CASE(fallocate(-1, 3, 0, PG), "bad fd");
	CASE(posix_fallocate(fd, 0, PG), "posix_fallocate");
}

/* mtime and ctime move with a successful call only; st_blocks never. */
static void times(int fd)
{
	struct timespec tick = { .tv_nsec = 30000000 };
	struct stat a, b;

	group("times");
	fstat(fd, &a);
	nanosleep(&tick, NULL);
	CASE(fallocate(fd, 1, SIZE, PG), "fails");
	fstat(fd, &b);
	note("moved: %d %d", a.st_mtim.tv_nsec != b.st_mtim.tv_nsec, a.st_ctim.tv_nsec != b.st_ctim.tv_nsec);
	CASE(fallocate(fd, 1, 0, SIZE), "allocates");
	fstat(fd, &b);
	note("moved: %d %d", a.st_mtim.tv_nsec != b.st_mtim.tv_nsec, a.st_ctim.tv_nsec != b.st_ctim.tv_nsec);
	stat_lines(fd, "allocated");
	a = b;
	nanosleep(&tick, NULL);
	CASE(fallocate(fd, 3, 1, PG), "punch fails");
	fstat(fd, &b);
	note("moved: %d %d", a.st_mtim.tv_nsec != b.st_mtim.tv_nsec, a.st_ctim.tv_nsec != b.st_ctim.tv_nsec);
	CASE(fallocate(fd, 3, SIZE, PG), "punch beyond the end");
	fstat(fd, &b);
	note("moved: %d %d", a.st_mtim.tv_nsec != b.st_mtim.tv_nsec, a.st_ctim.tv_nsec != b.st_ctim.tv_nsec);
	a = b;
	nanosleep(&tick, NULL);
	CASE(fallocate(fd, 3, 0, SIZE), "punch");
	fstat(fd, &b);
	note("moved: %d %d, access: %d", a.st_mtim.tv_nsec != b.st_mtim.tv_nsec,
	     a.st_ctim.tv_nsec != b.st_ctim.tv_nsec, a.st_atim.tv_nsec != b.st_atim.tv_nsec);
	stat_lines(fd, "punched");
}

int main(void)
{
	int kvm = kvm_open();

	vm = vm_new(kvm, 0);
	for (uint64_t flags = 0; flags < 4; flags++) {
		int fd = gmem_new(vm, SIZE, flags);

		note("==== flags %llu", (unsigned long long)flags);
		properties(fd);
		changes(fd);
		locks(fd);
		reads_and_writes(fd);
		other_calls(fd);
		fallocate_modes(fd);
		fallocate_ranges(fd);
		times(fd);
		close(fd);
	}
	return 0;
}
