// SPDX-License-Identifier: MIT
/*
 * tests/run_native_fds.c - descriptors of every kind of object: what any descriptor can be asked, and tables that are shared
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <linux/fs.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "tests/run_kvm.h"
#include "uapi/kvm_irq.h"
#include "uapi/kvm_vcpu.h"

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027
#endif
#ifndef F_CREATED_QUERY
#define F_CREATED_QUERY 1028
#endif

static int kvm, vm, vcpu, file;

static const struct {
	const char *name;
	int *fd;
} kinds[] = { { "system", &kvm }, { "VM", &vm }, { "vCPU", &vcpu }, { "file", &file } };

static const struct {
	const char *name;
	int cmd;
	long arg;
} fcntls[] = {
	{ "F_GETFD", F_GETFD, 0 },
	{ "F_SETFD", F_SETFD, FD_CLOEXEC },
	{ "F_GETFD", F_GETFD, 0 },
	{ "F_SETFD none", F_SETFD, 0 },
	{ "F_GETFL", F_GETFL, 0 },
	{ "F_SETFL NONBLOCK", F_SETFL, O_NONBLOCK },
	{ "F_GETFL", F_GETFL, 0 },
	{ "F_SETFL APPEND", F_SETFL, O_APPEND },
	{ "F_SETFL ASYNC", F_SETFL, O_ASYNC },
	{ "F_SETFL DIRECT", F_SETFL, O_DIRECT },
	{ "F_SETFL NOATIME", F_SETFL, O_NOATIME },
	{ "F_GETFL", F_GETFL, 0 },
	{ "F_SETFL none", F_SETFL, 0 },
	{ "F_SETOWN", F_SETOWN, 1 },
	{ "F_GETOWN", F_GETOWN, 0 },
	{ "F_SETSIG", F_SETSIG, 23 },
	{ "F_GETSIG", F_GETSIG, 0 },
	{ "F_SETSIG 0", F_SETSIG, 0 },
	{ "F_SETSIG 99", F_SETSIG, 99 },
	{ "F_GETLEASE", F_GETLEASE, 0 },
	{ "F_SETLEASE read", F_SETLEASE, F_RDLCK },
	{ "F_SETLEASE write", F_SETLEASE, F_WRLCK },
	{ "F_SETLEASE none", F_SETLEASE, F_UNLCK },
	{ "F_NOTIFY", F_NOTIFY, 0 },
	{ "F_GETPIPE_SZ", F_GETPIPE_SZ, 0 },
	{ "F_SETPIPE_SZ", F_SETPIPE_SZ, 4096 },
	{ "F_GET_SEALS", 1034, 0 },
	{ "F_ADD_SEALS", 1033, 0 },
	{ "F_ADD_SEALS write", 1033, 8 },
	{ "F_CREATED_QUERY", F_CREATED_QUERY, 0 },
	{ "unknown", 77, 0 },
};

static void fcntl_rows(const char *kind, int fd)
{
	uint64_t hint = 2;
	int copy;

	for (size_t i = 0; i < sizeof(fcntls) / sizeof(*fcntls); i++)
		CASE(fcntl(fd, fcntls[i].cmd, fcntls[i].arg), "%s: %s", kind, fcntls[i].name);
	CASE(fcntl(fd, F_GET_RW_HINT, &hint), "%s: F_GET_RW_HINT", kind);
	note("%llu", (unsigned long long)hint);
	CASE(fcntl(fd, F_SET_RW_HINT, &hint), "%s: F_SET_RW_HINT", kind);
	CASE(fcntl(fd, F_DUPFD, -1), "%s: F_DUPFD -1", kind);
	CASE(fcntl(fd, F_DUPFD, 1 << 30), "%s: F_DUPFD 1 << 30", kind);
	copy = (int)CASE(fcntl(fd, F_DUPFD, 200), "%s: F_DUPFD 200", kind);
	CASE(fcntl(fd, F_DUPFD_QUERY, copy), "%s: F_DUPFD_QUERY, a copy", kind);
	CASE(fcntl(fd, F_DUPFD_QUERY, 0), "%s: F_DUPFD_QUERY, another", kind);
	CASE(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, fd, copy), "%s: kcmp with a copy", kind);
	CASE(ioctl(copy, KVM_CHECK_EXTENSION, 0) == -1 ? -1 : 0, "%s: KVM_CHECK_EXTENSION of the copy", kind);
	CASE(close(copy), "%s: close the copy", kind);
	copy = (int)CASE(fcntl(fd, F_DUPFD_CLOEXEC, 200), "%s: F_DUPFD_CLOEXEC 200", kind);
	CASE(fcntl(copy, F_GETFD), "%s: F_GETFD", kind);
	CASE(dup2(copy, copy), "%s: dup2 onto itself", kind);
	CASE(dup3(copy, copy, 0), "%s: dup3 onto itself", kind);
	CASE(dup3(fd, copy, 99), "%s: dup3, bad flags", kind);
	CASE(dup2(fd, -1), "%s: dup2 to -1", kind);
	CASE(dup2(fd, 1 << 30), "%s: dup2 to 1 << 30", kind);
	close(copy);
}

static void waits(const char *kind, int fd)
{
	struct pollfd pfd = { fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0 };
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	struct timeval now = { 0, 0 };
	fd_set in, out;
	int ep = epoll_create1(0);

	CASE(poll(&pfd, 1, 0), "%s: poll", kind);
	note("%#x", pfd.revents);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	out = in;
	CASE(select(fd + 1, &in, &out, NULL, &now), "%s: select", kind);
	note("%d %d", FD_ISSET(fd, &in), FD_ISSET(fd, &out));
	CASE(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event), "%s: epoll_ctl", kind);
	CASE(epoll_wait(ep, &event, 1, 0), "%s: epoll_wait", kind);
	close(ep);
}

static void as_file(const char *kind, int fd)
{
	char buf[64] = "";
	struct iovec iov = { buf, sizeof(buf) };
	struct stat st;
	struct statx stx;
	int plain = memfd_create("plain", MFD_CLOEXEC), pipe_fds[2], value = 1;
	off_t off = 0;

	if (plain < 0 || ftruncate(plain, 4096) || pipe2(pipe_fds, O_NONBLOCK))
		die("descriptors");
	CASE(read(fd, buf, 8), "%s: read", kind);
	CASE(write(fd, buf, 8), "%s: write", kind);
	CASE(readv(fd, &iov, 1), "%s: readv", kind);
	CASE(pread(fd, buf, 8, 0), "%s: pread", kind);
	CASE(pwrite(fd, buf, 8, 0), "%s: pwrite", kind);
	CASE(preadv(fd, &iov, 1, 0), "%s: preadv", kind);
	CASE(preadv2(fd, &iov, 1, 0, 0), "%s: preadv2", kind);
	CASE(preadv2(fd, &iov, 1, -1, 0), "%s: preadv2, position", kind);
	CASE(lseek(fd, 0, SEEK_SET), "%s: lseek", kind);
	CASE(lseek(fd, 5, SEEK_CUR), "%s: lseek", kind);
	CASE(lseek(fd, 0, SEEK_END), "%s: lseek", kind);
	CASE(lseek(fd, 0, 99), "%s: lseek", kind);
	CASE(sendfile(plain, fd, NULL, 8), "%s: sendfile from", kind);
	CASE(sendfile(plain, fd, &off, 8), "%s: sendfile from, offset", kind);
	CASE(sendfile(fd, plain, NULL, 8), "%s: sendfile to", kind);
	CASE(splice(fd, NULL, pipe_fds[1], NULL, 8, SPLICE_F_NONBLOCK), "%s: splice from", kind);
	CASE(splice(pipe_fds[0], NULL, fd, NULL, 8, SPLICE_F_NONBLOCK), "%s: splice to", kind);
	CASE(copy_file_range(fd, NULL, plain, NULL, 8, 0), "%s: copy_file_range from", kind);
	CASE(copy_file_range(plain, NULL, fd, NULL, 8, 0), "%s: copy_file_range to", kind);
	CASE(copy_file_range(fd, NULL, file, NULL, 8, 0), "%s: copy_file_range to the file", kind);
	CASE(fallocate(fd, 1, 0, 4096), "%s: fallocate", kind);
	CASE(ftruncate(fd, 4096), "%s: ftruncate", kind);
	CASE(fsync(fd), "%s: fsync", kind);
	CASE(fdatasync(fd), "%s: fdatasync", kind);
	CASE(sync_file_range(fd, 0, 8, 0), "%s: sync_file_range", kind);
	CASE(syncfs(fd), "%s: syncfs", kind);
	CASE(readahead(fd, 0, 8), "%s: readahead", kind);
	CASE(posix_fadvise(fd, 0, 8, POSIX_FADV_NORMAL), "%s: posix_fadvise", kind);
	CASE(flock(fd, LOCK_EX | LOCK_NB), "%s: flock", kind);
	CASE(flock(fd, LOCK_UN), "%s: flock", kind);
	CASE(fchdir(fd), "%s: fchdir", kind);
	CASE(openat(fd, "x", O_RDONLY), "%s: openat", kind);
	CASE(isatty(fd), "%s: isatty", kind);
	CASE(ioctl(fd, FIONREAD, &value), "%s: FIONREAD", kind);
	CASE(ioctl(fd, FIONBIO, &value), "%s: FIONBIO", kind);
	CASE(ioctl(fd, FIOASYNC, &value), "%s: FIOASYNC", kind);
	CASE(ioctl(fd, FIGETBSZ, &value), "%s: FIGETBSZ", kind);
	CASE(ioctl(fd, FS_IOC_GETFLAGS, &value), "%s: FS_IOC_GETFLAGS", kind);
	CASE(ioctl(fd, FICLONE, plain), "%s: FICLONE", kind);
	CASE(ioctl(fd, 0), "%s: ioctl 0", kind);
	CASE(ioctl(fd, 0xAEFF, 0), "%s: unknown ioctl of KVM", kind);
	CASE(ioctl(fd, 0xAE00, 5), "%s: KVM_GET_API_VERSION with an argument", kind);
	CASE(ioctl(fd, 0x5401, buf), "%s: TCGETS", kind);
	CASE_OK(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0, "%s: mmap, private", kind);
	CASE_OK(mmap(NULL, PG, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0, "%s: mmap, executable", kind);
	CASE_OK(mmap(NULL, PG, PROT_READ, MAP_SHARED, fd, 1 << 20) == MAP_FAILED ? -1 : 0, "%s: mmap, far", kind);
	CASE(fstat(fd, &st), "%s: fstat", kind);
	note("links %ld, device %d, size %ld, blocks %ld", (long)st.st_nlink, S_ISCHR(st.st_mode), (long)st.st_size,
	     (long)st.st_blocks);
	CASE(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx), "%s: statx", kind);
	note("links %u, size %llu, attributes %#llx", stx.stx_nlink, (unsigned long long)stx.stx_size,
	     (unsigned long long)stx.stx_attributes);
	CASE(syscall(SYS_statx, fd, NULL, AT_EMPTY_PATH, STATX_BASIC_STATS, &stx), "%s: statx, no path", kind);
	CASE(statx(fd, "", 0, STATX_BASIC_STATS, &stx), "%s: statx, no flag", kind);
	CASE(statx(fd, "", AT_EMPTY_PATH, 0x80000000U, &stx), "%s: statx, bad mask", kind);
	close(plain);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void reopened(const char *kind, int fd)
{
	char path[64];
	int again, tree;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = (int)CASE_OK(open(path, O_RDWR), "%s: open through /proc", kind);
	if (again >= 0) {
		CASE(ioctl(again, KVM_GET_API_VERSION, 0), "%s: again, KVM_GET_API_VERSION", kind);
		CASE(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, fd, again) != 0, "%s: another file", kind);
		close(again);
	}
	again = (int)CASE_OK(open(path, O_RDONLY | O_PATH), "%s: open as a path", kind);
	CASE(ioctl(again, KVM_GET_API_VERSION, 0), "%s: KVM_GET_API_VERSION of a path", kind);
	CASE(read(again, path, 1), "%s: read of a path", kind);
	CASE(fallocate(again, 1, 0, 4096), "%s: fallocate of a path", kind);
	close(again);
	CASE_OK(open(path, O_RDONLY | O_DIRECTORY), "%s: as a directory", kind);
	CASE_OK(open(path, O_RDWR | O_TRUNC), "%s: truncated", kind);
	CASE(truncate(path, 0), "%s: truncate by path", kind);
	CASE(access(path, R_OK | W_OK), "%s: access", kind);
	CASE(access(path, X_OK), "%s: access X", kind);
	tree = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "%d", fd);
	again = (int)CASE_OK(openat(tree, path, O_RDWR), "%s: openat through /proc", kind);
	if (again >= 0)
		close(again);
	close(tree);
}

/* --- one table of descriptors in several processes --------------------------- */

static int fd_made;

static int works(int fd)
{
	return fallocate(fd, 1, 0, PG) == 0;
}

/* A child with the same descriptors and other memory. */
static int shares_files(void *arg)
{
	(void)arg;
	close(file);
	fd_made = gmem_new(vm_new(kvm, 0), PG, SHAREABLE);
	return works(fd_made) ? fd_made : 99;
}

static void shared_tables(void)
{
	char *stack = map_anon(64 * 1024), *ptr = map_shared(file, PG, 0);
	int status, old = file;
	pid_t pid;

	*ptr = 's';
	fflush(stdout);
	pid = clone(shares_files, stack + 64 * 1024, CLONE_FILES | SIGCHLD, NULL);
	waitpid(pid, &status, 0);
	CASE(fallocate(old, 1, 0, PG), "the number that the child closed and its file got");
	note("same number: %d", WEXITSTATUS(status) == old);
	CASE(fcntl(WEXITSTATUS(status), F_GETFD), "what the child made");
	CASE(fallocate(WEXITSTATUS(status), 1, 0, PG), "allocate in it");
	case_read("the mapping of what it closed", ptr, 0);
	close(WEXITSTATUS(status));
	munmap(ptr, PG);
	file = gmem_new(vm, 4 * PG, SHAREABLE);
}

/* It ends by exit(2), not exit_group(2): no thread that the program did not start may keep it alive. */
static int has_timers(void *arg)
{
	int own = vm_new(kvm_open(), 0), own_file = gmem_new(own, PG, SHAREABLE);
	struct kvm_irqfd irqfd = { .fd = (uint32_t)eventfd(0, 0), .gsi = 4 };
	(void)arg;

	CASE(ioctl(own, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	CASE(ioctl(own, KVM_IRQFD, &irqfd), "KVM_IRQFD");
	*map_shared(file, PG, 0) = 1;
	*map_shared(own_file, PG, 0) = 1;
	return works(own_file) ? 23 : 24;
}

static void ends(void)
{
	char *stack = map_anon(64 * 1024), *ptr = map_shared(file, PG, 0);
	int status;
	pid_t pid;

	fflush(stdout);
	pid = clone(has_timers, stack + 64 * 1024, SIGCHLD, NULL);

	waitpid(pid, &status, 0);
	note("a child of clone ends with %d", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	case_read("what it wrote", ptr, 0);
	munmap(ptr, PG);
}

static char unshare_failed[] = "unshare", still_there[] = "still there";

static void *own_table(void *arg)
{
	int number = *(int *)arg;

	if (unshare(CLONE_FILES))
		return unshare_failed;
	close(number);
	return works(number) ? still_there : NULL;
}

static void unshared_table(void)
{
	pthread_t thread;
	void *said;

	pthread_create(&thread, NULL, own_table, &file);
	pthread_join(thread, &said);
	note("a thread with a table of its own closed it: %s", said ? (char *)said : "gone there");
	CASE(fallocate(file, 1, 0, PG), "allocate here");
	CASE(close_range(200, ~0U, CLOSE_RANGE_UNSHARE), "close_range UNSHARE");
	CASE(fallocate(file, 1, 0, PG), "allocate here");
}

/* --- descriptors under way ----------------------------------------------------- */

static void send_fd(int sock, const int *fds, size_t n)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = "", byte = 'x';
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(n * sizeof(int))
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	CASE(sendmsg(sock, &msg, 0), "send %zu", n);
}

static int receive_fd(int sock, int *fds, size_t room)
{
	char control[CMSG_SPACE(4 * sizeof(int))] = "", byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_LEN(room * sizeof(int))
	};
	ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	int count = c ? (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;

	if (c)
		memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
	note("received %zd, %d descriptors%s", n, count, n > 0 && msg.msg_flags & MSG_CTRUNC ? ", cut" : "");
	return count;
}

static void under_way(void)
{
	int pair[2], hop[2], fds[4], mine[2] = { gmem_new(vm, 4 * PG, SHAREABLE), vm_new(kvm, 0) };
	char *ptr = map_shared(mine[0], 4 * PG, 0);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || socketpair(AF_UNIX, SOCK_STREAM, 0, hop))
		die("socketpair");
	ptr[PG] = 'w';
	munmap(ptr, 4 * PG);
	send_fd(pair[0], mine, 2);
	close(mine[0]);
	close(mine[1]);
	/* Twice to itself, nobody having it in between but the sockets. */
	for (int i = 0; i < 3; i++) {
		if (receive_fd(pair[1], fds, 2) != 2)
			return;
		send_fd(pair[0], fds, 2);
		close(fds[0]);
		close(fds[1]);
	}
	receive_fd(pair[1], fds, 2);
	CASE(gmem_try(fds[1], PG, SHAREABLE) < 0 ? -1 : 0, "the VM makes a file");
	ptr = map_shared(fds[0], 4 * PG, 0);
	case_read("what was written", ptr, PG);
	CASE(set_region2(fds[1], 0, KVM_MEM_GUEST_MEMFD, 0, PG, 0, fds[0], 0), "bound to another VM");
	/* A socket with descriptors in it, within a socket: never received. */
	send_fd(hop[0], fds, 2);
	send_fd(pair[0], hop, 2);
	close(fds[0]);
	close(fds[1]);
	close(hop[0]);
	close(hop[1]);
	close(pair[0]);
	close(pair[1]);
	case_read("still mapped", ptr, PG);
	munmap(ptr, 4 * PG);
	/* Room for one of two. */
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	fds[0] = gmem_new(vm, PG, SHAREABLE);
	fds[1] = dup(fds[0]);
	send_fd(pair[0], fds, 2);
	close(fds[0]);
	close(fds[1]);
	if (receive_fd(pair[1], fds, 1) == 1) {
		CASE(fallocate(fds[0], 1, 0, PG), "the one that there was room for");
		close(fds[0]);
	}
	close(pair[0]);
	close(pair[1]);
}

/* --- few numbers, high numbers --------------------------------------------------- */

static int few(void *arg)
{
	struct rlimit limit;
	int number = (int)(intptr_t)arg, fd, own;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)number;
	own = vm_new(kvm_open(), 0);
	setrlimit(RLIMIT_NOFILE, &limit);
	fd = gmem_try(own, PG, SHAREABLE);
	note("a file: %s", fd >= 0 ? "made" : strerrorname_np(errno));
	if (fd >= 0) {
		char *ptr = map_shared(fd, PG, 0);

		case_write("it", ptr, 0, 1);
		CASE(fallocate(fd, 3, 0, PG), "punch");
		CASE(dup2(fd, number - 1) < 0 ? -1 : 0, "the last number");
		CASE(dup2(fd, number), "one more");
	}
	getrlimit(RLIMIT_NOFILE, &limit);
	note("the limit is %lld", (long long)limit.rlim_cur - number);
	return 0;
}

static int high(void *arg)
{
	struct rlimit limit;
	int fd, own;
	(void)arg;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	own = vm_new(kvm_open(), 0);
	for (int n = 100; n < 1 << 16; n = n * 2 + 1) {
		fd = gmem_new(own, PG, SHAREABLE);
		if (dup2(fd, n) != n) {
			note("%d: %s", n, strerrorname_np(errno));
			break;
		}
		close(fd);
		CASE(fallocate(n, 1, 0, PG), "number %d", n);
		CASE(set_region2(own, 0, KVM_MEM_GUEST_MEMFD, 0, PG, 0, n, 0), "bound by number %d", n);
		set_region2(own, 0, 0, 0, 0, 0, -1, 0);
		close(n);
	}
	/* From everywhere upwards, to the end. */
	CASE(close_range(3, ~0U, 0), "close_range");
	own = vm_new(kvm_open(), 0);
	fd = gmem_new(own, PG, SHAREABLE);
	note("numbers from 3 on: %d", own == 4 && fd == 5);
	case_write("after it", map_shared(fd, PG, 0), 0, 1);
	return 0;
}

int main(void)
{
	kvm = kvm_open();
	touch_init();
	vm = vm_new(kvm, 0);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	file = gmem_new(vm, 4 * PG, SHAREABLE);
	if (vcpu < 0)
		die("KVM_CREATE_VCPU");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		group(kinds[i].name);
		fcntl_rows(kinds[i].name, *kinds[i].fd);
		waits(kinds[i].name, *kinds[i].fd);
		as_file(kinds[i].name, *kinds[i].fd);
		reopened(kinds[i].name, *kinds[i].fd);
	}
	group("shared tables");
	shared_tables();
	unshared_table();
	ends();
	group("under way");
	under_way();
	group("limits");
	note("%d", in_child(few, (void *)40));
	note("%d", in_child(few, (void *)16));
	note("%d", in_child(high, NULL));
	return 0;
}
