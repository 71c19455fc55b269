// SPDX-License-Identifier: MIT
/*
 * tests/run_fds.c - descriptors of KVM objects, however they come and go
 *
 * Knows nothing of gmem: holds on a real kernel (Linux 6.18 or later) and under
 * `gmem run`.  A guest_memfd without INIT_SHARED is private throughout: a touch is SIGBUS.
 */
#include <linux/falloc.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "check/rights.h"
#include "tests/run_kvm.h"
#include "tests/tap.h"

#define PAGES 8
#define SIZE  (PAGES * PG)

static int kvm, vm;

static long raw(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return ret;
}

static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY);

	close(fd);
	return fd;
}

/* Whether fd is a guest_memfd, shared if so asked, by all that can be done with it. */
static bool works(int fd, bool shared)
{
	struct touch t;
	struct stat st;
	char *map;
	bool right;

	if (fstat(fd, &st) || st.st_size != SIZE || st.st_mode != (S_IFREG | 0600))
		return false;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PG) || fallocate(fd, 0, 0, PG) != -1 || errno != EOPNOTSUPP)
		return false;
	if (read(fd, &st, 1) != -1 || errno != EINVAL || ftruncate(fd, 0) != -1 || errno != EINVAL)
		return false;
	if (ioctl(fd, KVM_CREATE_VM, 0) != -1 || errno != ENOTTY)
		return false;
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return false;
	t = touch(map + PG, 5);
	right = shared ? t.sig == 0 && map[PG] == 5 : t.sig == SIGBUS && t.code == BUS_ADRERR;
	munmap(map, SIZE);
	/* Binding looks at the file behind the number. */
	return right && set_region2(vm, 9, KVM_MEM_GUEST_MEMFD, 1UL << 40, SIZE, 1UL << 30, fd, 0) == 0 &&
	       set_region2(vm, 9, 0, 0, 0, 0, -1, 0) == 0;
}

static int private_file(void)
{
	return gmem_new(vm, SIZE, GUEST_MEMFD_FLAG_MMAP);
}

static int shared_file(void)
{
	return gmem_new(vm, SIZE, SHAREABLE);
}

static bool is_null(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 0 && ioctl(fd, KVM_CREATE_VM, 0) == -1 && errno == ENOTTY;
}

/* --- numbers -------------------------------------------------------------------- */

static void test_numbers(void)
{
	int low, fd, file, other, second;

	fd = open("/dev/null", O_RDONLY);
	other = open("/dev/null", O_RDONLY);
	close(fd);
	low = lowest_free();
	file = private_file();
	is(file, low, "a guest_memfd gets the lowest free number");
	second = ioctl(kvm, KVM_CREATE_VM, 0);
	low = second < other ? second : other + 1;
	is(second, low, "a VM gets the next one");
	close(file);
	fd = open("/dev/kvm", O_RDWR);
	is(fd, file, "/dev/kvm gets the one that was given back");
	is(fcntl(second, F_GETFD), FD_CLOEXEC, "a VM is close-on-exec");
	is(fcntl(fd, F_GETFD), 0, "/dev/kvm is as it was asked for");
	close(fd);
	file = private_file();
	is(fcntl(file, F_GETFD), 0, "a guest_memfd is not close-on-exec");
	close(file);
	close(second);
	close(other);
	is(lowest_free(), fd < other ? fd : other, "all numbers are free again");
}

static void test_copies(bool shared)
{
	const char *kind = shared ? "shared" : "private";
	int fd = shared ? shared_file() : private_file(), copy;

	ok(works(fd, shared), "%s file: works", kind);
	copy = dup(fd);
	ok(works(copy, shared), "%s file: a dup() works", kind);
	close(fd);
	ok(works(copy, shared), "%s file: and still does when the first is closed", kind);
	fd = dup2(copy, 200);
	ok(fd == 200 && works(fd, shared), "%s file: dup2() to a high number", kind);
	close(copy);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	ok(copy == 100 && works(copy, shared) && fcntl(copy, F_GETFD) == FD_CLOEXEC, "%s file: F_DUPFD_CLOEXEC", kind);
	close(fd);
	fd = (int)syscall(SYS_dup3, copy, 300, O_CLOEXEC);
	ok(fd == 300 && works(fd, shared), "%s file: dup3() by number", kind);
	close(copy);
	copy = (int)raw(SYS_dup, fd, 0, 0);
	ok(works(copy, shared), "%s file: a copy that only the kernel saw", kind);
	raw(SYS_close, fd, 0, 0);
	ok(works(copy, shared), "%s file: the first closed behind libc's back", kind);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, copy);
	ok(is_null(copy), "%s file: dup2() of something else onto it", kind);
	close(fd);
	close(copy);
}

static void test_reuse(void)
{
	int fd = private_file(), again;
	FILE *stream;

	raw(SYS_close, fd, 0, 0);
	again = open("/dev/null", O_RDONLY);
	ok(again == fd && is_null(again), "a number that was closed unseen and reused is what it is now");
	close(again);
	fd = private_file();
	stream = fdopen(fd, "r");
	fclose(stream);
	again = (int)raw(SYS_open, (long)"/dev/null", O_RDONLY, 0);
	ok(again == fd && is_null(again), "so is one that fclose() closed");
	close(again);
	fd = private_file();
	raw(SYS_close, fd, 0, 0);
	again = shared_file();
	ok(again == fd && works(again, true), "so is one that became another guest_memfd");
	close(again);
	is(close(again), -1, "a second close() fails");
	is(errno, EBADF, "with EBADF");
	is(ioctl(again, KVM_CHECK_EXTENSION, 0), -1, "as does an ioctl()");
	is(errno, EBADF, "with EBADF");
	ok(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, again, 0) == MAP_FAILED && errno == EBADF, "as does mmap()");
	ok(fallocate(again, FALLOC_FL_KEEP_SIZE, 0, PG) == -1 && errno == EBADF, "as does fallocate()");
	is(set_region2(vm, 9, KVM_MEM_GUEST_MEMFD, 0, SIZE, 0, again, 0), -1, "as does binding");
	is(errno, EBADF, "with EBADF");
}

/* --- numbers that the program did not open ----------------------------------------- */

static bool refused(long ret)
{
	return ret == -1 && errno == EBADF;
}

static bool looks_closed(int fd)
{
	struct stat st;
	struct iovec iov = { &st, 1 };

	return refused(fcntl(fd, F_GETFD)) && refused(dup(fd)) && refused(fcntl(fd, F_DUPFD, 0)) &&
	       refused(read(fd, &st, 1)) && refused(write(fd, &st, 1)) && refused(lseek(fd, 0, SEEK_CUR)) &&
	       refused(readv(fd, &iov, 1)) && refused(fstat(fd, &st)) && refused(fsync(fd)) &&
	       refused(ioctl(fd, KVM_CHECK_EXTENSION, 0)) && refused(ioctl(fd, 0x5401, &st)) &&
	       refused(ftruncate(fd, 0)) && refused(fallocate(fd, 0, 0, PG)) && refused(dup2(fd, 1000)) &&
	       refused(fchmod(fd, 0600)) && mmap(NULL, PG, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED &&
	       errno == EBADF && refused(syscall(SYS_fcntl, fd, F_GETFD)) && refused(close(fd));
}

static void test_hidden(void)
{
	int file = private_file(), own[] = { 0, 1, 2, kvm, vm, file }, first_bad = -1;
	char *map = map_shared(file, SIZE, 0);

	for (int fd = 0; fd < 1 << 17; fd++) {
		bool mine = false;

		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			mine |= own[i] == fd;
		/* The thorough look at what is likely, the quick one elsewhere. */
		if (!mine && !(fd < 2048 || fd % 1024 < 64 ? looks_closed(fd) : refused(close(fd))) && first_bad < 0)
			first_bad = fd;
	}
	is(first_bad, -1, "every number that the program did not open is EBADF to all that asks");
	is(touch(map, -1).sig, SIGBUS, "after closing all of them a private page is still refused");
	ok(works(file, false), "and the file still works");
	munmap(map, SIZE);
	close(file);
}

static int after_closing_all(void *how)
{
	int file, open_file, fresh;
	char *map, *open_map;

	vm = vm_new(kvm, 0); /* the parent's VM is not the child's */
	file = private_file();
	open_file = shared_file();
	map = map_shared(file, SIZE, 0);
	open_map = map_shared(open_file, SIZE, 0);
	open_map[0] = 3;
	if (how)
		closefrom(3);
	else if (close_range(3, ~0U, 0))
		return 2;
	is(touch(map, -1).sig, SIGBUS, "private pages stay refused");
	is(open_map[0], 3, "shared pages stay accessible");
	is(fcntl(file, F_GETFD), -1, "the file is closed");
	fresh = lowest_free();
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	ok(kvm == fresh, "/dev/kvm opens again, at the lowest number");
	vm = vm_new(kvm, 0);
	ok(works(private_file(), false) && works(shared_file(), true), "and new files work");
	munmap(map, SIZE);
	munmap(open_map, SIZE);
	return tap_failed != 0;
}

static void test_close_all(void)
{
	static const char *const names[] = { "close_range(3, ~0)", "closefrom(3)" };

	for (int i = 0; i < 2; i++) {
		int status;

		diag("%s", names[i]);
		status = in_child(after_closing_all, i ? &status : NULL);
		tap_count += 5;
		is(status, 0, "%s leaves mappings and everything to come alone", names[i]);
	}
}

static void test_close_some(void)
{
	int a = private_file(), b = private_file(), c = private_file();

	is(close_range((unsigned)a, (unsigned)b, CLOSE_RANGE_CLOEXEC), 0, "CLOSE_RANGE_CLOEXEC");
	ok(works(a, false) && fcntl(a, F_GETFD) == FD_CLOEXEC && fcntl(c, F_GETFD) == 0, "marks what it should");
	is(close_range((unsigned)a, (unsigned)b, 0), 0, "close_range() of two");
	ok(fcntl(a, F_GETFD) == -1 && fcntl(b, F_GETFD) == -1 && works(c, false), "leaves the third");
	is(close_range(5, 4, 0), -1, "an empty range");
	is(errno, EINVAL, "is EINVAL");
	is(close_range(1000000, ~0U, 0x100), -1, "an unknown flag");
	is(errno, EINVAL, "is EINVAL");
	close(c);
}

/* --- children that share the memory -------------------------------------------------- */

static void test_vfork(void)
{
	int file = shared_file(), other = open("/dev/null", O_RDONLY), status = 0;
	pid_t pid = vfork();

	if (pid == 0) {
		close(file);
		close(kvm);
		dup2(other, vm);
		close_range(3, ~0U, 0);
		_exit(11);
	}
	waitpid(pid, &status, 0);
	is(WEXITSTATUS(status), 11, "a child of vfork() closes everything");
	ok(works(file, true), "which the parent does not notice: its file works");
	is(ioctl(kvm, KVM_GET_API_VERSION, 0), 12, "its /dev/kvm works");
	ok(ioctl(vm, KVM_CHECK_EXTENSION, 234) == 1, "its VM works");
	pid = vfork();
	if (pid == 0) {
		dup2(file, 400);
		_exit(fcntl(400, F_GETFD) == 0 ? 12 : 13);
	}
	waitpid(pid, &status, 0);
	is(WEXITSTATUS(status), 12, "a child of vfork() duplicates");
	ok(fcntl(400, F_GETFD) == -1 && errno == EBADF, "which the parent does not notice either");
	close(other);
	close(file);
}

/* --- descriptors that are sent ----------------------------------------------------------- */

enum receiver { RECVMSG, RECVMMSG, RAW_RECVMSG };

static int receive_how(int sock, enum receiver how)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { &byte, 1 };
	struct mmsghdr many = { .msg_hdr = { .msg_iov = &iov,
					     .msg_iovlen = 1,
					     .msg_control = control,
					     .msg_controllen = sizeof(control) } };
	int fd;

	if (how == RECVMSG && recvmsg(sock, &many.msg_hdr, 0) != 1)
		die("recvmsg");
	if (how == RECVMMSG && recvmmsg(sock, &many, 1, 0, NULL) != 1)
		die("recvmmsg");
	if (how == RAW_RECVMSG && raw(SYS_recvmsg, sock, (long)&many.msg_hdr, 0) != 1)
		die("recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&many.msg_hdr)), sizeof(fd));
	return fd;
}

static void test_sent(void)
{
	static const char *const names[] = { "recvmsg()", "recvmmsg()", "a system call behind libc's back" };
	int sock[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		die("socketpair");
	for (int i = 0; i < 3; i++) {
		int fd;

		fd = private_file();
		send_fd(sock[0], fd);
		close(fd);
		fd = receive_how(sock[1], i);
		ok(works(fd, false), "a file that only a socket held works after %s", names[i]);
		close(fd);
		send_fd(sock[0], vm);
		fd = receive_how(sock[1], i);
		is(ioctl(fd, KVM_CHECK_EXTENSION, 234), 1, "so does a VM after %s", names[i]);
		close(fd);
	}
	close(sock[0]);
	close(sock[1]);
}

/* --- limits ------------------------------------------------------------------------------- */

static int at_the_limit(void *arg)
{
	struct rlimit limit = { 64, 256 };
	int n = 0, fd, spare;

	(void)arg;
	vm = vm_new(kvm, 0);
	setrlimit(RLIMIT_NOFILE, &limit);
	while ((fd = dup(0)) >= 0)
		n++;
	ok(errno == EMFILE && n > 20, "all numbers are used up");
	ok(gmem_try(vm, SIZE, GUEST_MEMFD_FLAG_MMAP) == -1 && errno == EMFILE, "then no file can be made: EMFILE");
	ok(ioctl(kvm, KVM_CREATE_VM, 0) == -1 && errno == EMFILE, "and no VM");
	ok(open("/dev/kvm", O_RDWR) == -1 && errno == EMFILE, "and /dev/kvm does not open");
	spare = 63;
	close(spare);
	fd = gmem_try(vm, SIZE, GUEST_MEMFD_FLAG_MMAP);
	is(fd, spare, "one number is enough for a file");
	ok(fd >= 0 && works(fd, false), "which works");
	close(spare);
	is(ioctl(kvm, KVM_CREATE_VM, 0), spare, "one number is enough for a VM");
	close(spare);
	is(open("/dev/kvm", O_RDWR), spare, "one number is enough for /dev/kvm");
	return tap_failed != 0;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	closefrom(3);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		skip_all("/dev/kvm: %s", strerror(errno));
	vm = vm_new(kvm, 0);
	if (!(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_MMAP))
		skip_all("this kernel cannot map a guest_memfd");
	touch_init();
	test_numbers();
	test_copies(false);
	test_copies(true);
	test_reuse();
	test_hidden();
	test_close_all();
	test_close_some();
	test_vfork();
	test_sent();
	if (in_child(at_the_limit, NULL))
		tap_failed++;
	tap_count += 8;
	return done_testing();
}
