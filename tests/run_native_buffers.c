// SPDX-License-Identifier: MIT
/*
 * tests/run_native_buffers.c - system calls whose buffers lie, wholly or partly, in private pages
 *
 * Compared line by line with a real kernel (tests/native.t).  There a page is private
 * because it is of a file without INIT_SHARED; with the argument "converted" it is
 * a page of the same file as its neighbours, converted.  No line may tell the two apart.
 */
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <time.h>

#include "tests/run_kvm.h"
#include "uapi/kvm_vcpu.h"

static int kvm, vm;
static int shared_fd, private_fd;

/* Where the pages are: shared, private, shared, shared, private, private, nothing. */
enum { BEFORE = 0, PRIV = 1, AFTER = 2, ALONE = 3, PRIV2 = 4, END = 6 };

static char *layout(bool converted)
{
	char *base = map_apart((END + 1) * PG);

	munmap(base + END * PG, PG);
	shared_fd = gmem_new(vm, END * PG, SHAREABLE);
	if (mmap(base, END * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, shared_fd, 0) != base)
		die("mmap");
	if (converted) {
		private_fd = dup(shared_fd);
		if (set_attr2(shared_fd, PRIV * PG, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL) ||
		    set_attr2(shared_fd, PRIV2 * PG, 2 * PG, KVM_MEMORY_ATTRIBUTE_PRIVATE, NULL))
			die("conversion");
		return base;
	}
	private_fd = gmem_new(vm, END * PG, GUEST_MEMFD_FLAG_MMAP);
	if (mmap(base + PRIV * PG, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, private_fd, PG) == MAP_FAILED ||
	    mmap(base + PRIV2 * PG, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, private_fd, PRIV2 * PG) ==
		    MAP_FAILED)
		die("mmap");
	return base;
}

static void fill(char *base)
{
	memset(base, 's', PG);
	memset(base + AFTER * PG, 's', 2 * PG);
}

/* How many bytes of the shared pages next to the private one are c. */
static void arrived(char *base, int c)
{
	size_t before = 0, after = 0;

	for (size_t i = 0; i < PG; i++) {
		before += base[i] == c;
		after += base[AFTER * PG + i] == c;
	}
	note("'%c' before: %zu, after: %zu", c, before, after);
}

static const struct {
	const char *name;
	size_t at, len;
} places[] = {
	{ "inside", PRIV * PG + 16, 64 },
	{ "up to it", PRIV * PG - 64, 64 },
	{ "into it", PRIV * PG - 32, 64 },
	{ "into it, page sizes", 0, 2 * PG },
	{ "out of it", AFTER * PG - 32, 64 },
	{ "over it", PRIV * PG - 32, PG + 64 },
	{ "behind it", AFTER * PG, 64 },
	{ "two pages", PRIV2 * PG, 2 * PG },
	{ "over two pages into nothing", PRIV2 * PG - 8, 4 * PG },
};

struct fds {
	int file, zero, null, random, pipe_fds[2], stream[2], dgram[2];
};

static void fds_open(struct fds *f)
{
	char page[4096];

	memset(page, 'f', sizeof(page));
	f->file = memfd_create("content", MFD_CLOEXEC);
	for (int i = 0; i < 8; i++)
		if (write(f->file, page, PG) != (ssize_t)PG)
			die("memfd");
	f->zero = open("/dev/zero", O_RDWR);
	f->null = open("/dev/null", O_RDWR);
	f->random = open("/dev/urandom", O_RDONLY);
	if (pipe2(f->pipe_fds, O_NONBLOCK) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, f->stream) ||
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, f->dgram) || f->zero < 0 || f->null < 0 || f->random < 0)
		die("descriptors");
}

static void fds_close(struct fds *f)
{
	close(f->file);
	close(f->zero);
	close(f->null);
	close(f->random);
	for (int i = 0; i < 2; i++) {
		close(f->pipe_fds[i]);
		close(f->stream[i]);
		close(f->dgram[i]);
	}
}

/* Throw away what lies in a pipe or socket, and say how much it was. */
static void drain(const char *name, int fd)
{
	static char sink[65536];
	ssize_t n, sum = 0;

	while ((n = read(fd, sink, sizeof(sink))) > 0)
		sum += n;
	if (sum)
		note("%s: %zd bytes lay in it", name, sum);
}

static void reading(char *base)
{
	static char full[4 * PG];

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		const char *n = places[i].name;
		char *at = base + places[i].at;
		size_t len = places[i].len;
		struct iovec split[3] = { { full, 8 }, { at, len }, { full, 8 } };
		struct fds f;

		fds_open(&f);
		memset(full, 'F', sizeof(full));
		fill(base);
		CASE(read(f.zero, at, len), "%s: read, /dev/zero", n);
		CASE(read(f.random, at, len), "%s: read, /dev/urandom", n);
		CASE(syscall(SYS_getrandom, at, len, 0), "%s: getrandom", n);
		fill(base);
		CASE(pread(f.file, at, len, 0), "%s: pread, file", n);
		arrived(base, 'f');
		fill(base);
		CASE(read(f.file, at, len), "%s: read, file", n);
		CASE(lseek(f.file, 0, SEEK_CUR), "%s: its position", n);
		fill(base);
		CASE(preadv(f.file, split, 3, 0), "%s: preadv, file", n);
		arrived(base, 'f');
		CASE(preadv2(f.file, split, 3, 0, RWF_NOWAIT), "%s: preadv2 NOWAIT, file", n);
		CASE(write(f.pipe_fds[1], full, 2 * PG), "%s: bytes to a pipe", n);
		fill(base);
		CASE(read(f.pipe_fds[0], at, len), "%s: read, pipe", n);
		arrived(base, 'F');
		drain("pipe", f.pipe_fds[0]);
		CASE(send(f.stream[0], full, 2 * PG, 0), "%s: bytes to a stream", n);
		fill(base);
		CASE(recv(f.stream[1], at, len, 0), "%s: recv, stream", n);
		arrived(base, 'F');
		drain("stream", f.stream[1]);
		CASE(send(f.dgram[0], full, 2 * PG, 0), "%s: a datagram", n);
		CASE(recv(f.dgram[1], at, len, MSG_PEEK), "%s: recv PEEK, datagram", n);
		CASE(recv(f.dgram[1], at, len, 0), "%s: recv, datagram", n);
		CASE(recv(f.dgram[1], at, len, 0), "%s: recv, another", n);
		fds_close(&f);
	}
}

static void writing(char *base)
{
	static char full[4 * PG];

	fill(base);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		const char *n = places[i].name;
		char *at = base + places[i].at;
		size_t len = places[i].len;
		struct iovec split[3] = { { full, 8 }, { at, len }, { full, 8 } }, whole = { at, len };
		struct fds f;

		fds_open(&f);
		memset(full, 'F', sizeof(full));
		CASE(write(f.null, at, len), "%s: write, /dev/null", n);
		CASE(pwrite(f.file, at, len, 0), "%s: pwrite, file", n);
		CASE(write(f.file, at, len), "%s: write, file", n);
		CASE(lseek(f.file, 0, SEEK_CUR), "%s: its position", n);
		CASE(pwritev(f.file, split, 3, 0), "%s: pwritev, file", n);
		CASE(write(f.pipe_fds[1], at, len), "%s: write, pipe", n);
		drain("pipe", f.pipe_fds[0]);
		CASE(writev(f.pipe_fds[1], split, 3), "%s: writev, pipe", n);
		drain("pipe", f.pipe_fds[0]);
		CASE(vmsplice(f.pipe_fds[1], &whole, 1, SPLICE_F_NONBLOCK), "%s: vmsplice", n);
		drain("pipe", f.pipe_fds[0]);
		CASE(vmsplice(f.pipe_fds[1], &whole, 1, SPLICE_F_NONBLOCK | SPLICE_F_GIFT), "%s: vmsplice, gift", n);
		drain("pipe", f.pipe_fds[0]);
		CASE(send(f.stream[0], at, len, 0), "%s: send, stream", n);
		drain("stream", f.stream[1]);
		CASE(send(f.dgram[0], at, len, 0), "%s: send, datagram", n);
		drain("datagram", f.dgram[1]);
		fds_close(&f);
	}
}

/* Structures of messages, offsets and vectors in a private page, each by itself. */
static void messages(char *base)
{
	char data[64] = "data", control[256], *priv = base + PRIV * PG, *edge = base + PRIV * PG - 8;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t *name_len = (socklen_t *)(base + ALONE * PG);
	struct fds f;

	fds_open(&f);
	CASE(syscall(SYS_sendmsg, f.stream[0], priv, 0), "sendmsg, header");
	CASE(syscall(SYS_sendmsg, f.stream[0], edge, 0), "sendmsg, header across");
	CASE(syscall(SYS_recvmsg, f.stream[1], priv, 0), "recvmsg, header");
	CASE(recvmsg(f.stream[1], (struct msghdr *)priv, 0), "recvmsg of libc, header");
	CASE(recvmsg(f.stream[1], (struct msghdr *)edge, 0), "recvmsg of libc, header across");
	CASE(recvmmsg(f.stream[1], (struct mmsghdr *)priv, 1, 0, NULL), "recvmmsg of libc, header");
	msg.msg_iov = (struct iovec *)priv;
	CASE(sendmsg(f.stream[0], &msg, 0), "sendmsg, vector");
	CASE(recvmsg(f.stream[1], &msg, 0), "recvmsg, vector");
	msg.msg_iov = &iov;
	msg.msg_control = priv;
	msg.msg_controllen = 64;
	CASE(sendmsg(f.stream[0], &msg, 0), "sendmsg, control");
	msg.msg_control = NULL;
	msg.msg_controllen = 0;
	msg.msg_name = priv;
	msg.msg_namelen = 16;
	CASE(sendmsg(f.dgram[0], &msg, 0), "sendmsg, name");
	msg.msg_name = NULL;
	/* A descriptor that cannot be told to the receiver. */
	msg.msg_control = control;
	msg.msg_controllen = CMSG_SPACE(sizeof(int));
	memset(control, 0, sizeof(control));
	CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &shared_fd, sizeof(int));
	CASE(sendmsg(f.stream[0], &msg, 0), "sendmsg, a descriptor");
	msg.msg_control = priv;
	msg.msg_controllen = 64;
	CASE(recvmsg(f.stream[1], &msg, MSG_CMSG_CLOEXEC), "recvmsg of it, control");
	note("control length %zu, flags %#x", msg.msg_controllen, (unsigned)msg.msg_flags & ~(unsigned)MSG_CMSG_CLOEXEC);
	CASE(bind(f.dgram[0], (struct sockaddr *)priv, 16), "bind");
	CASE(connect(f.dgram[0], (struct sockaddr *)priv, 16), "connect");
	*name_len = sizeof(name);
	CASE(getsockname(f.dgram[0], (struct sockaddr *)priv, name_len), "getsockname, address");
	CASE(getsockname(f.dgram[0], (struct sockaddr *)&name, (socklen_t *)priv), "getsockname, length");
	CASE(getsockopt(f.dgram[0], SOL_SOCKET, SO_TYPE, priv, name_len), "getsockopt");
	CASE(setsockopt(f.dgram[0], SOL_SOCKET, SO_SNDBUF, priv, 4), "setsockopt");
	CASE(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)priv), "socketpair");
	CASE(syscall(SYS_pipe2, priv, 0), "pipe2");
	CASE(syscall(SYS_pipe2, edge + 4, 0), "pipe2, across");
	CASE(readv(f.zero, (struct iovec *)priv, 1), "readv, vector");
	CASE(preadv(f.file, (struct iovec *)edge, 1, 0), "preadv, vector across");
	CASE(sendfile(f.null, f.file, (off_t *)priv, 16), "sendfile, offset");
	CASE(copy_file_range(f.file, (off_t *)priv, f.file, NULL, 16, 0), "copy_file_range, offset in");
	CASE(copy_file_range(f.file, NULL, f.file, (off_t *)priv, 16, 0), "copy_file_range, offset out");
	CASE(splice(f.file, (off_t *)priv, f.pipe_fds[1], NULL, 16, SPLICE_F_NONBLOCK), "splice, offset");
	CASE(vmsplice(f.pipe_fds[1], (struct iovec *)priv, 1, SPLICE_F_NONBLOCK), "vmsplice, vector");
	fds_close(&f);
}

static void arguments(char *base)
{
	char *priv = base + PRIV * PG, *edge = base + PRIV * PG - 4, buf[128];
	struct epoll_event event = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC), ev = eventfd(1, EFD_NONBLOCK);
	char *words[] = { buf, NULL }, **pointers = (char **)(base + ALONE * PG);

	CASE(read(ev, priv, 8), "read, eventfd");
	CASE(write(ev, priv, 8), "write, eventfd");
	CASE(epoll_ctl(ep, EPOLL_CTL_ADD, ev, (struct epoll_event *)priv), "epoll_ctl");
	CASE(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &event), "epoll_ctl, good");
	CASE(epoll_wait(ep, (struct epoll_event *)priv, 1, 0), "epoll_wait");
	CASE(epoll_wait(ep, (struct epoll_event *)edge, 1, 0), "epoll_wait, across");
	CASE(syscall(SYS_poll, priv, 1, 0), "poll");
	CASE(syscall(SYS_select, 3, priv, NULL, NULL, NULL), "select");
	CASE(syscall(SYS_select, 0, NULL, NULL, NULL, priv), "select, timeout");
	CASE(open(priv, O_RDONLY), "open, path");
	memset(base + PRIV * PG - 9, '/', 9);
	CASE(open(edge, O_RDONLY), "open, path across");
	CASE(access(priv, R_OK), "access, path");
	CASE(syscall(SYS_access, priv, R_OK), "access, path, raw");
	CASE(stat(priv, (struct stat *)buf), "stat, path");
	CASE(fstat(shared_fd, (struct stat *)priv), "fstat of the file into its page");
	CASE(fstat(shared_fd, (struct stat *)edge), "fstat of the file across");
	CASE(fstat(kvm, (struct stat *)priv), "fstat of the device");
	CASE(fstat(0, (struct stat *)priv), "fstat");
	CASE(statx(shared_fd, "", AT_EMPTY_PATH, STATX_ALL, (struct statx *)priv), "statx of the file");
	CASE(statx(shared_fd, priv, AT_EMPTY_PATH, STATX_ALL, (struct statx *)buf), "statx, path");
	CASE(fstatfs(shared_fd, (struct statfs *)priv), "fstatfs of the file");
	CASE(fstatfs(0, (struct statfs *)priv), "fstatfs");
	CASE(fstatat(shared_fd, "", (struct stat *)priv, AT_EMPTY_PATH), "fstatat of the file");
	CASE(readlink("/proc/self/exe", priv, 64), "readlink");
	snprintf(buf, sizeof(buf), "/proc/self/fd/%d", shared_fd);
	CASE(readlink(buf, priv, 64), "readlink of the file");
	CASE(readlink(buf, edge, 64), "readlink of the file, across");
	CASE(readlink(priv, buf, 64), "readlink, path");
	CASE(fgetxattr(shared_fd, priv, buf, 16), "fgetxattr of the file, name");
	CASE(fgetxattr(0, priv, buf, 16), "fgetxattr, name");
	CASE(fcntl(shared_fd, F_GETLK, priv), "F_GETLK of the file");
	CASE(fcntl(shared_fd, F_SETLK, priv), "F_SETLK of the file");
	CASE(fcntl(0, F_GETOWN_EX, priv), "F_GETOWN_EX");
	CASE(ioctl(ev, FIONBIO, priv), "FIONBIO");
	CASE(syscall(SYS_getcwd, priv, 512), "getcwd");
	CASE(uname((struct utsname *)priv), "uname");
	CASE(sysinfo((struct sysinfo *)priv), "sysinfo");
	CASE(getrusage(RUSAGE_SELF, (struct rusage *)priv), "getrusage");
	CASE(getrlimit(RLIMIT_NOFILE, (struct rlimit *)priv), "getrlimit");
	CASE(setrlimit(RLIMIT_NOFILE, (struct rlimit *)priv), "setrlimit");
	CASE(syscall(SYS_times, priv) == -1 ? -1 : 0, "times");
	CASE(syscall(SYS_clock_gettime, CLOCK_REALTIME, priv), "clock_gettime");
	CASE(syscall(SYS_gettimeofday, priv, NULL), "gettimeofday");
	CASE(syscall(SYS_time, priv), "time");
	CASE(syscall(SYS_nanosleep, priv, NULL), "nanosleep");
	CASE(syscall(SYS_rt_sigprocmask, SIG_BLOCK, priv, NULL, 8), "rt_sigprocmask, in");
	CASE(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, priv, 8), "rt_sigprocmask, out");
	CASE(syscall(SYS_rt_sigaction, SIGUSR1, priv, NULL, 8), "rt_sigaction, in");
	CASE(syscall(SYS_rt_sigaction, SIGUSR1, NULL, priv, 8), "rt_sigaction, out");
	CASE(syscall(SYS_rt_sigaction, SIGBUS, priv, NULL, 8), "rt_sigaction SIGBUS, in");
	CASE(syscall(SYS_rt_sigaction, SIGBUS, NULL, priv, 8), "rt_sigaction SIGBUS, out");
	CASE(syscall(SYS_rt_sigaction, SIGSEGV, NULL, priv, 8), "rt_sigaction SIGSEGV, out");
	CASE(syscall(SYS_rt_sigtimedwait, priv, NULL, NULL, 8), "rt_sigtimedwait");
	CASE(syscall(SYS_sigaltstack, priv, NULL), "sigaltstack, in");
	CASE(syscall(SYS_sigaltstack, NULL, priv), "sigaltstack, out");
	CASE(sched_getaffinity(0, 64, (cpu_set_t *)priv), "sched_getaffinity");
	CASE(sched_setaffinity(0, 64, (cpu_set_t *)priv), "sched_setaffinity");
	CASE(syscall(SYS_getcpu, priv, NULL, NULL), "getcpu");
	CASE(syscall(SYS_prctl, 15, priv), "PR_SET_NAME");
	CASE(syscall(SYS_prctl, 16, priv), "PR_GET_NAME");
	CASE(syscall(SYS_prctl, 22, 2, priv), "PR_SET_SECCOMP");
	CASE(mincore(base, PG, (unsigned char *)priv), "mincore, vector");
	CASE(mincore(base, PG, (unsigned char *)edge + 4), "mincore, vector at its start");
	CASE(syscall(SYS_get_mempolicy, priv, NULL, 0, base, 2), "get_mempolicy, mode");
	CASE(syscall(SYS_mbind, base, PG, 2, priv, 64, 0), "mbind, nodes");
	CASE(syscall(SYS_move_pages, 0, 1UL, priv, NULL, buf, 0), "move_pages, pages");
	CASE(syscall(SYS_set_robust_list, priv, 24), "set_robust_list");
	CASE(syscall(SYS_wait4, -1, priv, WNOHANG, NULL), "wait4 without children");
	pointers[0] = priv;
	pointers[1] = NULL;
	CASE(execve(priv, words, words), "execve, path");
	CASE(execve("/bin/true", (char **)priv, words), "execve, arguments");
	CASE(execve("/bin/true", pointers, words), "execve, an argument");
	CASE(execve("/bin/true", words, (char **)priv), "execve, environment");
	CASE(execve("/bin/true", words, pointers), "execve, a variable");
	close(ep);
	close(ev);
}

static void futexes(char *base)
{
	uint32_t *word = (uint32_t *)(base + PRIV * PG + 64), *good = (uint32_t *)(base + ALONE * PG);
	struct timespec soon = { 0, 1000000 };

	*good = 0;
	CASE(syscall(SYS_futex, word, FUTEX_WAIT, 0, &soon, NULL, 0), "WAIT");
	CASE(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0), "WAIT_PRIVATE");
	CASE(syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0), "WAKE");
	CASE(syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), "WAKE_PRIVATE");
	CASE(syscall(SYS_futex, good, FUTEX_REQUEUE, 0, 1, word, 0), "REQUEUE to it");
	CASE(syscall(SYS_futex, word, FUTEX_CMP_REQUEUE_PRIVATE, 0, 1, good, 0), "CMP_REQUEUE_PRIVATE from it");
	CASE(syscall(SYS_futex, good, FUTEX_WAKE_OP, 1, 1, word, FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)),
	     "WAKE_OP on it");
	CASE(syscall(SYS_futex, word, FUTEX_LOCK_PI, 0, &soon, NULL, 0), "LOCK_PI");
	CASE(syscall(SYS_futex, word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), "UNLOCK_PI_PRIVATE");
	CASE(syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, 0, word, NULL, -1), "timeout in it");
	CASE(syscall(SYS_futex, good, FUTEX_WAIT, 0, &soon, NULL, 0), "WAIT on a shared page");
}

static void other_ways(char *base)
{
	static char buf[4 * PG];
	struct iovec local = { buf, 64 }, remote;
	int mem = open("/proc/self/mem", O_RDWR), status;
	pid_t parent = getpid(), pid;

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		const char *n = places[i].name;

		local.iov_len = places[i].len;
		remote = (struct iovec){ base + places[i].at, places[i].len };
		CASE(process_vm_readv(parent, &local, 1, &remote, 1, 0), "%s: process_vm_readv", n);
		CASE(process_vm_writev(parent, &local, 1, &remote, 1, 0), "%s: process_vm_writev", n);
		CASE(process_vm_readv(parent, &remote, 1, &local, 1, 0), "%s: process_vm_readv into it", n);
		CASE(process_vm_writev(parent, &remote, 1, &local, 1, 0), "%s: process_vm_writev from it", n);
		CASE(pread(mem, buf, places[i].len, (off_t)(base + places[i].at)), "%s: /proc/self/mem, read", n);
		CASE(pwrite(mem, buf, places[i].len, (off_t)(base + places[i].at)), "%s: /proc/self/mem, write", n);
		fflush(stdout);
		pid = fork();
		if (!pid) {
			CASE(process_vm_readv(parent, &local, 1, &remote, 1, 0), "%s: a child's process_vm_readv", n);
			CASE(process_vm_writev(parent, &local, 1, &remote, 1, 0), "%s: a child's process_vm_writev", n);
			_exit(0);
		}
		waitpid(pid, &status, 0);
	}
	close(mem);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		CASE_OK(ptrace(PTRACE_PEEKDATA, pid, base + places[i].at, NULL), "%s: peek", places[i].name);
		CASE_OK(ptrace(PTRACE_POKEDATA, pid, base + places[i].at, (void *)1), "%s: poke", places[i].name);
	}
	CASE_OK(ptrace(PTRACE_PEEKDATA, pid, base + PRIV * PG - 4, NULL), "across: peek");
	CASE_OK(ptrace(PTRACE_GETREGSET, pid, (void *)1, base + PRIV * PG), "GETREGSET into it");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void aio(char *base)
{
	aio_context_t ctx = 0;
	struct fds f;

	if (syscall(SYS_io_setup, 4, &ctx)) {
		note("io_setup is not possible here");
		return;
	}
	fds_open(&f);
	CASE(syscall(SYS_io_setup, 4, base + PRIV * PG), "io_setup");
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		for (int op = IOCB_CMD_PREAD; op <= IOCB_CMD_PWRITE; op++) {
			struct iocb cb = { .aio_lio_opcode = (uint16_t)op,
					   .aio_fildes = (uint32_t)f.file,
					   .aio_buf = (uintptr_t)(base + places[i].at),
					   .aio_nbytes = places[i].len };
			struct iocb *list = &cb;
			struct io_event event = { 0 };

			CASE(syscall(SYS_io_submit, ctx, 1, &list), "%s: io_submit", places[i].name);
			if (syscall(SYS_io_getevents, ctx, 0, 1, &event, NULL) == 1)
				note("%s: result %lld", places[i].name, (long long)event.res);
		}
	CASE(syscall(SYS_io_submit, ctx, 1, base + PRIV * PG), "io_submit, list");
	*(void **)(base + ALONE * PG) = base + PRIV * PG;
	CASE(syscall(SYS_io_submit, ctx, 1, base + ALONE * PG), "io_submit, block");
	syscall(SYS_io_destroy, ctx);
	fds_close(&f);
}

/* An io_uring with room for one request at a time. */
struct uring {
	int fd;
	unsigned *sq_tail, *sq_array, *cq_head, *cq_tail, mask, cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static bool uring_open(struct uring *u)
{
	struct io_uring_params p = { 0 };
	char *sq, *cq;

	u->fd = (int)syscall(SYS_io_uring_setup, 4, &p);
	if (u->fd < 0)
		return false;
	sq = map_shared(u->fd, p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	cq = map_shared(u->fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	u->sqes = (void *)map_shared(u->fd, p.sq_entries * sizeof(struct io_uring_sqe), (off_t)IORING_OFF_SQES);
	u->sq_tail = (unsigned *)(void *)(sq + p.sq_off.tail);
	u->sq_array = (unsigned *)(void *)(sq + p.sq_off.array);
	u->mask = *(unsigned *)(void *)(sq + p.sq_off.ring_mask);
	u->cq_mask = *(unsigned *)(void *)(cq + p.cq_off.ring_mask);
	u->cq_head = (unsigned *)(void *)(cq + p.cq_off.head);
	u->cq_tail = (unsigned *)(void *)(cq + p.cq_off.tail);
	u->cqes = (void *)(cq + p.cq_off.cqes);
	return true;
}

/* One request and its result. */
static void uring_case(struct uring *u, const char *name, const char *op, struct io_uring_sqe sqe)
{
	unsigned tail = *u->sq_tail;

	u->sqes[tail & u->mask] = sqe;
	u->sq_array[tail & u->mask] = tail & u->mask;
	__atomic_store_n(u->sq_tail, tail + 1, __ATOMIC_RELEASE);
	CASE(syscall(SYS_io_uring_enter, u->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), "%s: io_uring %s", name, op);
	if (__atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE) != *u->cq_head) {
		note("%s: result %d", name, u->cqes[*u->cq_head & u->cq_mask].res);
		__atomic_store_n(u->cq_head, *u->cq_head + 1, __ATOMIC_RELEASE);
	}
}

static void uring(char *base)
{
	struct uring u;

	if (!uring_open(&u)) {
		note("io_uring is not possible here");
		return;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		const char *n = places[i].name;
		struct iovec fixed = { base + places[i].at, places[i].len };
		struct io_uring_sqe sqe = { .addr = (uintptr_t)fixed.iov_base, .len = (unsigned)fixed.iov_len };
		struct fds f;

		fds_open(&f);
		CASE(send(f.stream[0], "0123456789", 10, 0), "%s: bytes to a stream", n);
		sqe.fd = f.file;
		sqe.opcode = IORING_OP_READ;
		uring_case(&u, n, "read", sqe);
		sqe.opcode = IORING_OP_WRITE;
		uring_case(&u, n, "write", sqe);
		sqe.fd = f.stream[1];
		sqe.opcode = IORING_OP_RECV;
		uring_case(&u, n, "recv", sqe);
		sqe.opcode = IORING_OP_SEND;
		uring_case(&u, n, "send", sqe);
		sqe.opcode = IORING_OP_READV;
		sqe.fd = f.file;
		sqe.len = 1;
		uring_case(&u, n, "readv, vector", sqe);
		if (CASE(syscall(SYS_io_uring_register, u.fd, IORING_REGISTER_BUFFERS, &fixed, 1), "%s: fixed buffer", n) ==
		    0) {
			sqe.len = (unsigned)fixed.iov_len;
			sqe.opcode = IORING_OP_READ_FIXED;
			uring_case(&u, n, "read to a fixed buffer", sqe);
			CASE(syscall(SYS_io_uring_register, u.fd, IORING_UNREGISTER_BUFFERS, NULL, 0), "%s: unregister", n);
		}
		fds_close(&f);
	}
	CASE(syscall(SYS_io_uring_register, u.fd, IORING_REGISTER_BUFFERS, base + PRIV * PG, 1), "buffers' vector");
	CASE(syscall(SYS_io_uring_setup, 4, base + PRIV * PG), "io_uring_setup");
	close(u.fd);
}

/* Every ioctl of KVM takes its argument, or part of it, from a private page. */
static void kvm_arguments(char *base)
{
	char *priv = base + PRIV * PG;
	unsigned long *word = (unsigned long *)(base + PRIV * PG - 8);

	static const struct {
		const char *name;
		unsigned long nr;
	} of_vm[] = {
		{ "KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION },
		{ "KVM_SET_USER_MEMORY_REGION2", KVM_SET_USER_MEMORY_REGION2 },
		{ "KVM_CREATE_GUEST_MEMFD", KVM_CREATE_GUEST_MEMFD },
		{ "KVM_GET_DIRTY_LOG", KVM_GET_DIRTY_LOG },
		{ "KVM_CLEAR_DIRTY_LOG", KVM_CLEAR_DIRTY_LOG },
		{ "KVM_ENABLE_CAP", KVM_ENABLE_CAP },
	};
	for (size_t i = 0; i < sizeof(of_vm) / sizeof(*of_vm); i++) {
		CASE(ioctl(vm, of_vm[i].nr, priv), "%s", of_vm[i].name);
		CASE(ioctl(vm, of_vm[i].nr, word), "%s, across", of_vm[i].name);
		CASE(ioctl(vm, of_vm[i].nr, base + END * PG - 8), "%s, across into nothing", of_vm[i].name);
	}
	CASE(ioctl(kvm, KVM_GET_MSR_INDEX_LIST, priv), "KVM_GET_MSR_INDEX_LIST");
	*(uint32_t *)(base + PRIV * PG - 4) = 0;
	CASE(ioctl(kvm, KVM_GET_MSR_INDEX_LIST, base + PRIV * PG - 4), "KVM_GET_MSR_INDEX_LIST, the list across");
	*(uint32_t *)(base + PRIV * PG - 4) = 100000;
	CASE(ioctl(kvm, KVM_GET_MSR_INDEX_LIST, base + PRIV * PG - 4), "KVM_GET_MSR_INDEX_LIST, long, the list across");
}

static void group_of(const char *name, void (*fn)(char *), char *base)
{
	group(name);
	fill(base);
	fn(base);
}

int main(int argc, char **argv)
{
	bool converted = argc > 1 && !strcmp(argv[1], "converted");
	char *base;

	kvm = kvm_open();
	touch_init();
	vm = vm_new(kvm, converted ? KVM_X86_SW_PROTECTED_VM : 0);
	base = layout(converted);
	group_of("into buffers", reading, base);
	group_of("from buffers", writing, base);
	group_of("messages", messages, base);
	group_of("arguments", arguments, base);
	group_of("futex", futexes, base);
	group_of("other ways", other_ways, base);
	group_of("aio", aio, base);
	group_of("io_uring", uring, base);
	group_of("KVM's arguments", kvm_arguments, base);
	close(private_fd);
	close(shared_fd);
	return 0;
}
