/* SPDX-License-Identifier: MIT */
/*
 * tests/family.h - a file that several processes use: what run_family and run_exec share
 */
#ifndef GMEM_TESTS_FAMILY_H
#define GMEM_TESTS_FAMILY_H

#include "tests/run_kvm.h"
#include "tests/tap.h"

#define PAGES 32
#define SIZE  (PAGES * PG)
#define PRIV  KVM_MEMORY_ATTRIBUTE_PRIVATE

static int kvm, vm, file;
static char *map;

/* Page 0 is shared and holds 'a', page 1 is private and holds 'b'. */
static UNUSED void make_file(void)
{
	vm = vm_new(kvm, 1);
	file = gmem_new(vm, SIZE, SHAREABLE);
	map = map_shared(file, SIZE, 0);
	map[0] = 'a';
	map[PG] = 'b';
	if (set_attr2(file, PG, PG, PRIV, NULL))
		die("conversion");
}

static UNUSED void drop_file(void)
{
	munmap(map, SIZE);
	close(file);
	close(vm);
}

static UNUSED int convert(unsigned page, bool to_private)
{
	return set_attr2(file, page * PG, PG, to_private ? PRIV : 0, NULL);
}

/* What is expected of a page has not been seen: say what was. */
static UNUSED bool seen(unsigned page, struct touch t, bool right)
{
	if (!right)
		diag("[%d] page %u: signal %d, code %d, at %+ld", getpid(), page, t.sig, t.code,
		     t.sig ? (long)(t.addr - (uintptr_t)map) : 0);
	return right;
}

static UNUSED bool refused(unsigned page)
{
	struct touch t = touch(map + page * PG, -1);

	return seen(page, t, t.sig == SIGBUS && t.code == BUS_ADRERR && t.addr == (uintptr_t)(map + page * PG));
}

static UNUSED bool readable(unsigned page)
{
	struct touch t = touch(map + page * PG, -1);

	return seen(page, t, t.sig == 0);
}

/* EFAULT for a system call, too. */
static UNUSED bool refused_to_kernel(unsigned page)
{
	int pipes[2];
	bool right;

	if (pipe(pipes))
		return false;
	right = write(pipes[1], map + page * PG, 1) == -1 && errno == EFAULT;
	close(pipes[0]);
	close(pipes[1]);
	return right;
}

/* --- two processes in turn ------------------------------------------------------- */

static int turn[2][2]; /* turn[0]: parent may go on; turn[1]: child may */

static UNUSED void turns_open(void)
{
	if (pipe(turn[0]) || pipe(turn[1]))
		die("pipe");
}

static UNUSED void turns_close(void)
{
	for (int i = 0; i < 2; i++) {
		close(turn[i][0]);
		close(turn[i][1]);
	}
}

static UNUSED void give(int whom, char word)
{
	if (write(turn[whom][1], &word, 1) != 1)
		_exit(98);
}

static UNUSED char wait_for(int whom)
{
	char word;

	if (read(turn[whom][0], &word, 1) != 1)
		_exit(97);
	return word;
}

/* What a child answers is the number of its first wrong check, 0 when all were right. */
#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			return __LINE__ % 251 ? __LINE__ % 251 : 251;                                                  \
	} while (0)

static UNUSED int finish(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (WIFSIGNALED(status))
		return -WTERMSIG(status);
	return WEXITSTATUS(status);
}

static UNUSED bool converts_in_place(void)
{
	kvm = open("/dev/kvm", O_RDWR);
	vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 1);
	return vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0;
}

#endif
