/* SPDX-License-Identifier: MIT */
/*
 * tests/run_swept.h - calls that may fail once (TRY), and a file that has to be what was made of it
 */
#ifndef TESTS_RUN_SWEPT_H
#define TESTS_RUN_SWEPT_H

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "rt/fault.h"
#include "tests/run_kvm.h"
#include "uapi/kvm_irq.h"
#include "uapi/kvm_vcpu.h"

#define SHARED	0ULL
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE
#define PAGES	1024U /* two regions of 2 MiB, and a mapping that is converted in both layers */
#define SIZE	(PAGES * PG)
#define LOST	7
#define STOPPED 126 /* gmem could not be set up in a program that was executed */

static int *lost; /* shared with children */
static int faults_fd = -1;

/* Read and written, not mapped: mmap(2) is gmem's, too. */
static bool fired(void)
{
	struct rt_faults now = { .fired = 0 };

	return pread(faults_fd, &now, sizeof(now), 0) == sizeof(now) && now.fired;
}

static void disarm(void)
{
	const uint32_t none = 0;

	if (faults_fd >= 0 && pwrite(faults_fd, &none, sizeof(none), offsetof(struct rt_faults, armed)) != sizeof(none))
		_exit(1);
}

#define bad(...)                                                                                                       \
	do {                                                                                                           \
		printf("line %d: ", __LINE__);                                                                         \
		printf(__VA_ARGS__);                                                                                   \
		putchar('\n');                                                                                         \
		fflush(stdout);                                                                                        \
		_exit(1);                                                                                              \
	} while (0)

/* --- calls that may fail, once --------------------------------------------------------- */

enum { NO_MEMORY = 1, NO_FDS = 2, BUSY = 4, NO_DEVICE = 8, NEVER = 0 };

static bool permitted(int error, unsigned may)
{
	switch (error) {
	case ENOMEM:
		return may & NO_MEMORY;
	case EMFILE:
		return may & NO_FDS;
	case EAGAIN:
		return may & BUSY;
	case ENODEV:
		return may & NO_DEVICE;
	}
	return false;
}

/* Whether to make the call again. */
static bool refused(int line, const char *what, int error, unsigned may, bool again)
{
	if (!fired() || again || !permitted(error, may)) {
		printf("line %d: %s: %s%s\n", line, what, strerrorname_np(error),
		       !fired() ? ", and nothing was made to fail" : again ? ", again" : "");
		fflush(stdout);
		_exit(1);
	}
	if (error == ENODEV)
		*lost = 1;
	disarm();
	return true;
}

#define TRY(may, call)                                                                                                 \
	({                                                                                                             \
		long try_ret_;                                                                                         \
		bool try_again_ = false;                                                                               \
		while ((try_ret_ = (long)(call)) == -1 && refused(__LINE__, #call, errno, (may), try_again_))          \
			try_again_ = true;                                                                             \
		try_ret_;                                                                                              \
	})

/* A touch of what is shared.  Memory that cannot be had is SIGBUS, also from the kernel. */
static struct touch touch_shared(int line, char *ptr, int value)
{
	struct touch t = touch(ptr, value);

	if (t.sig == SIGBUS && fired()) {
		disarm();
		t = touch(ptr, value);
	}
	if (t.sig) {
		printf("line %d: a shared page is refused: signal %d code %d\n", line, t.sig, t.code);
		fflush(stdout);
		_exit(t.sig == SIGSEGV && fired() ? LOST : 1);
	}
	return t;
}

/* --- a file, and what it has to be ------------------------------------------------------------ */

struct file {
	int fd;
	char *map;
	bool is_private[PAGES];
	unsigned char value[PAGES];
};

static int kvm, vm, pipes[2];

static void converted(struct file *f, unsigned first, unsigned count, bool to_private)
{
	TRY(NO_MEMORY | BUSY, set_attr2(f->fd, first * PG, count * PG, to_private ? PRIVATE : SHARED, NULL));
	memset(f->is_private + first, to_private, count);
}

static void check_private(char *ptr)
{
	struct touch read = touch(ptr, -1), write_ = touch(ptr, 0x11);

	if (read.sig != SIGBUS || write_.sig != SIGBUS)
		bad("a private page can be touched: signal %d, %d", read.sig, write_.sig);
	/* Nor by the kernel. */
	if (write(pipes[1], ptr, 1) != -1 || errno != EFAULT)
		bad("write() from a private page: %s", strerrorname_np(errno));
}

/* Every page: what is private is refused, what is shared has what was written. */
static void check(struct file *f)
{
	for (unsigned i = 0; i < PAGES; i += i > 6 && i < 505 ? 61 : i > 520 && i < 1010 ? 53 : 1) {
		if (f->is_private[i])
			check_private(f->map + i * PG);
		else if (touch_shared(__LINE__, f->map + i * PG, -1).value != f->value[i])
			bad("page %u has lost its contents", i);
	}
}

static void fill(struct file *f, unsigned first, unsigned count, unsigned char value)
{
	for (unsigned i = first; i < first + count; i++) {
		touch_shared(__LINE__, f->map + i * PG, value + (i & 1));
		f->value[i] = (unsigned char)(value + (i & 1));
	}
}

static char *map_file(int fd, unsigned may)
{
	return (char *)TRY(NO_MEMORY | may, mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
}

static int kvm_opened(void)
{
	return (int)TRY(NO_MEMORY | NO_FDS, open("/dev/kvm", O_RDWR | O_CLOEXEC));
}

static int vm_made(unsigned long type)
{
	return (int)TRY(NO_MEMORY | NO_FDS, ioctl(kvm, KVM_CREATE_VM, type));
}

static struct file *file_made(int of_vm)
{
	struct file *f = calloc(1, sizeof(*f));

	f->fd = (int)TRY(NO_MEMORY | NO_FDS, gmem_try(of_vm, SIZE, SHAREABLE));
	f->map = map_file(f->fd, 0);
	return f;
}

static void file_closed(struct file *f)
{
	TRY(NO_MEMORY, munmap(f->map, SIZE));
	TRY(NEVER, close(f->fd));
	free(f);
}

static pid_t forked(void)
{
	fflush(stdout);
	return (pid_t)TRY(NO_MEMORY | BUSY, fork());
}

/* What a child says: a wrong answer is ours, what it lost is told. */
static void ended(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		bad("waitpid");
	if (WIFEXITED(status) && (WEXITSTATUS(status) == LOST || WEXITSTATUS(status) == STOPPED))
		*lost = 1;
	else if (status)
		bad("a child ended with %#x", status);
}

#endif
