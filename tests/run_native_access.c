// SPDX-License-Identifier: MIT
/*
 * tests/run_native_access.c - the kernel reads and writes guest memory on a program's behalf
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <linux/futex.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#include "tests/run_kvm.h"

#define SIZE (4 * PG)

static int vm;

static int content_file(void)
{
	int fd = memfd_create("content", MFD_CLOEXEC);
	char page[PG];

	memset(page, 0x77, sizeof(page));
	for (int i = 0; i < 8; i++)
		if (write(fd, page, PG) != (ssize_t)PG)
			die("memfd");
	return fd;
}

/* Transfers of each kind, at base: the start of a file of SIZE, mapped to twice its length. */
static void transfers(char *base)
{
	int file = content_file(), pipe_fds[2], pair[2];
	struct iovec iov[2] = { { base, 100 }, { base + SIZE - 100, 200 } };

	if (pipe2(pipe_fds, O_NONBLOCK) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
		die("pipe");
	group("read");
	CASE(pread(file, base, 64, 0), "pread");
	CASE(pread(file, base + PG - 32, 64, 0), "pread across two pages");
	CASE(pread(file, base, SIZE, 0), "pread the whole file");
	CASE(pread(file, base + SIZE - PG, 2 * PG, 0), "pread across the end");
	CASE(pread(file, base + SIZE - 100, 200, 0), "pread 100 bytes before the end");
	CASE(pread(file, base + SIZE, 64, 0), "pread beyond the end");
	CASE(preadv(file, iov, 2, 0), "preadv, second across the end");
	CASE(pread(file, base, 0, 0), "pread nothing");
	case_read("arrived", base, 0);

	group("write");
	CASE(pwrite(file, base, 64, 0), "pwrite");
	CASE(pwrite(file, base + SIZE - PG, 2 * PG, 0), "pwrite across the end");
	CASE(pwrite(file, base + SIZE, 64, 0), "pwrite beyond the end");
	CASE(pwritev(file, iov, 2, 0), "pwritev, second across the end");

	group("pipes and sockets");
	CASE(write(pipe_fds[1], base, 64), "write to a pipe");
	CASE(write(pipe_fds[1], base + SIZE - 32, 64), "write to a pipe, across the end");
	CASE(write(pipe_fds[1], base + SIZE, 64), "write to a pipe, beyond the end");
	CASE(write(pipe_fds[1], "0123456789", 10), "ordinary bytes");
	CASE(read(pipe_fds[0], base, 8), "read from a pipe");
	CASE(read(pipe_fds[0], base + SIZE, 8), "read from a pipe, beyond the end");
	CASE(send(pair[0], base, 64, 0), "send");
	CASE(send(pair[0], base + SIZE, 64, 0), "send, beyond the end");
	CASE(send(pair[0], "0123456789", 10, 0), "ordinary bytes");
	CASE(recv(pair[1], base, 8, 0), "recv");
	CASE(recv(pair[1], base + SIZE, 8, 0), "recv, beyond the end");
	close(file);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	close(pair[0]);
	close(pair[1]);
}

static void splices(char *base)
{
	struct iovec one = { base, 64 }, beyond = { base + SIZE, 64 };
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_NONBLOCK))
		die("pipe");
	group("vmsplice");
	CASE(vmsplice(pipe_fds[1], &one, 1, SPLICE_F_NONBLOCK), "in the file");
	CASE(vmsplice(pipe_fds[1], &beyond, 1, SPLICE_F_NONBLOCK), "beyond the end");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* What other system calls put out or take in. */
static void arguments(char *base)
{
	struct stat *st = (struct stat *)(base + 64);

	group("arguments of system calls");
	CASE(fstat(0, st), "fstat");
	CASE(fstat(0, (struct stat *)(base + SIZE)), "fstat, beyond the end");
	CASE(uname((struct utsname *)base), "uname");
	CASE(syscall(SYS_clock_gettime, CLOCK_MONOTONIC_COARSE, base + SIZE), "clock_gettime, beyond the end");
	CASE(syscall(SYS_gettimeofday, base + SIZE, NULL), "gettimeofday, beyond the end");
	CASE_OK(syscall(SYS_getcwd, base, 4096), "getcwd");
	CASE(syscall(SYS_getcwd, base + SIZE, 4096), "getcwd, beyond the end");
	CASE(open(base + SIZE, O_RDONLY), "open, beyond the end");
	CASE(syscall(SYS_pipe2, base + 128, 0) ? -1 : 0, "pipe2");
	CASE(syscall(SYS_nanosleep, base + SIZE, NULL), "nanosleep, beyond the end");
	CASE(syscall(SYS_poll, base + SIZE, 1, 0), "poll, beyond the end");
	CASE(syscall(SYS_rt_sigprocmask, SIG_BLOCK, base + SIZE, NULL, 8), "rt_sigprocmask, beyond the end");
}

static void other_ways(char *base)
{
	char buf[64] = "peek";
	struct iovec local = { buf, 16 }, remote = { base, 16 }, beyond = { base + SIZE, 16 };
	struct iovec across = { base + SIZE - 8, 16 };
	int mem = open("/proc/self/mem", O_RDWR);

	group("process_vm_readv and writev");
	CASE(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), "writev");
	CASE(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), "readv");
	CASE(process_vm_readv(getpid(), &local, 1, &beyond, 1, 0), "readv, beyond the end");
	CASE(process_vm_readv(getpid(), &local, 1, &across, 1, 0), "readv, across the end");
	CASE(process_vm_readv(getpid(), &remote, 1, &local, 1, 0), "readv into it");

	group("/proc/self/mem");
	CASE(pwrite(mem, buf, 16, (off_t)base), "write");
	CASE(pread(mem, buf, 16, (off_t)base), "read");
	CASE(pread(mem, buf, 16, (off_t)base + SIZE - 8), "read, across the end");
	CASE(pread(mem, buf, 16, (off_t)base + SIZE), "read, beyond the end");
	CASE(pwrite(mem, buf, 16, (off_t)base + SIZE), "write, beyond the end");
	close(mem);

	group("futex");
	CASE(syscall(SYS_futex, base, FUTEX_WAIT, 1, NULL, NULL, 0), "WAIT, other value");
	CASE(syscall(SYS_futex, base, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), "WAIT_PRIVATE, other value");
	CASE(syscall(SYS_futex, base, FUTEX_WAKE, 1, NULL, NULL, 0), "WAKE");
	CASE(syscall(SYS_futex, base, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), "WAKE_PRIVATE");
	CASE(syscall(SYS_futex, base + SIZE, FUTEX_WAIT, 1, NULL, NULL, 0), "WAIT, beyond the end");
	CASE(syscall(SYS_futex, base + SIZE, FUTEX_WAKE, 1, NULL, NULL, 0), "WAKE, beyond the end");
	CASE(syscall(SYS_futex, base + 1, FUTEX_WAKE, 1, NULL, NULL, 0), "WAKE, unaligned");
}


static void ptrace_it(char *base)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	group("ptrace");
	waitpid(pid, &status, 0);
	CASE_OK(ptrace(PTRACE_POKEDATA, pid, base, (void *)0x1234), "poke");
	CASE(ptrace(PTRACE_PEEKDATA, pid, base, NULL), "peek");
	CASE(ptrace(PTRACE_PEEKDATA, pid, base + SIZE, NULL), "peek, beyond the end");
	CASE_OK(ptrace(PTRACE_POKEDATA, pid, base + SIZE, (void *)1), "poke, beyond the end");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

/* A direct read needs a file system that knows it: the program's own binary. */
static void direct(char *base)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_DIRECT);

	group("O_DIRECT");
	if (fd < 0) {
		note("not possible here");
		return;
	}
	CASE(pread(fd, base, PG, 0), "read");
	CASE(pread(fd, base + SIZE, PG, 0), "read, beyond the end");
	close(fd);
}

int main(void)
{
	int kvm = kvm_open();

	touch_init();
	vm = vm_new(kvm, 0);
	for (uint64_t flags = 1; flags < 4; flags += 2) {
		int fd = gmem_new(vm, SIZE, flags);
		char *base = map_shared(fd, 2 * SIZE, 0);

		note("==== flags %llu", (unsigned long long)flags);
		transfers(base);
		splices(base);
		arguments(base);
		fallocate(fd, 3, 0, SIZE);
		other_ways(base);
		ptrace_it(base);
		direct(base);
		munmap(base, 2 * SIZE);
		close(fd);
	}
	return 0;
}
