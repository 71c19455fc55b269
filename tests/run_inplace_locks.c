// SPDX-License-Identifier: MIT
/*
 * tests/run_inplace_locks.c - conversions in mappings that are locked (mlockall) or sealed (mseal)
 *
 * The kernel converts pages whatever their mappings are; what the program may not do to these stays refused.
 */
#include <sys/syscall.h>

#include "tests/run_inplace.h"

#define SIZE (8 * MiB)
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static int vm;

/* Single pages, parts of regions, all; through a mapping from before and one from after. */
static void convert_in(char *ptr, int fd, const char *name)
{
	char *late;

	ptr[0] = 'a';
	ptr[PG] = 'b';
	ptr[5 * MiB] = 'c';
	is(set_attr2(fd, PG, PG, PRIVATE, NULL), 0, "%s: a page to private", name);
	is_private(ptr + PG, "it");
	is_shared(ptr, 'a', "the page beside it");
	is(set_attr2(fd, 2 * MiB, 4 * MiB, PRIVATE, NULL), 0, "%s: regions to private", name);
	is_private(ptr + 5 * MiB, "one of them");
	is(set_attr2(fd, 0, SIZE, PRIVATE, NULL), 0, "%s: all to private", name);
	is_private(ptr, "the first");
	is(set_attr2(fd, PG, PG, SHARED, NULL), 0, "%s: a page to shared", name);
	is_shared(ptr + PG, 'b', "it");
	is_private(ptr, "the page beside it");
	is(set_attr2(fd, 0, SIZE, SHARED, NULL), 0, "%s: all to shared", name);
	is_shared(ptr + 5 * MiB, 'c', "one of them");
	is(set_attr2(fd, PG, PG, PRIVATE, NULL), 0, "%s: a page to private, again", name);
	late = map_shared(fd, SIZE, 0);
	is_private(late + PG, "it, in a later mapping");
	is_shared(late, 'a', "the page beside it");
	is(fallocate(fd, 3, 0, SIZE), 0, "%s: punch", name);
	is_private(late + PG, "it");
	is_shared(ptr, 0, "the page beside it");
	munmap(late, SIZE);
}

/* How many pages of the mapping are in memory. */
static size_t resident(char *ptr)
{
	static unsigned char vec[SIZE / PG];
	size_t n = 0;

	if (mincore(ptr, SIZE, vec))
		die("mincore");
	for (size_t i = 0; i < SIZE / PG; i++)
		n += vec[i] & 1;
	return n;
}

static void locked(int flags, const char *name)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *ptr = flags & MCL_CURRENT ? map_shared(fd, SIZE, 0) : NULL;

	if (mlockall(flags)) {
		skip(1, "mlockall: %s", strerror(errno));
		close(fd);
		return;
	}
	if (!ptr)
		ptr = map_shared(fd, SIZE, 0);
	is(resident(ptr), flags & MCL_ONFAULT ? 0 : SIZE / PG, "%s: pages that are there", name);
	fails(madvise(ptr, PG, MADV_DONTNEED), EINVAL, "DONTNEED of locked memory");
	convert_in(ptr, fd, name);
	fails(madvise(ptr, PG, MADV_DONTNEED), EINVAL, "DONTNEED, still");
	munlockall();
	is(madvise(ptr, PG, MADV_DONTNEED), 0, "DONTNEED once nothing is locked");
	munmap(ptr, SIZE);
	close(fd);
}

static int unmap(void *ptr)
{
	return munmap(ptr, PG) ? errno : 0;
}

static void sealed(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *ptr = map_shared(fd, SIZE, 0);

	if (syscall(SYS_mseal, ptr, SIZE / 2, 0)) {
		skip(1, "mseal: %s", strerror(errno));
		close(fd);
		return;
	}
	fails(syscall(SYS_mseal, ptr, SIZE, 1), EINVAL, "flags of mseal");
	convert_in(ptr, fd, "sealed");
	fails(munmap(ptr, SIZE), EPERM, "munmap");
	fails(mprotect(ptr, SIZE, PROT_READ), EPERM, "mprotect");
	is_shared(ptr, 0, "it");
	is(munmap(ptr + SIZE / 2, SIZE / 2), 0, "munmap of what is not sealed");
	is(in_child(unmap, ptr), EPERM, "a child inherits the seal");
	close(fd);
}

int main(void)
{
	int kvm;

	vm = inplace_vm(&kvm);
	locked(MCL_CURRENT, "MCL_CURRENT");
	locked(MCL_FUTURE, "MCL_FUTURE");
	locked(MCL_CURRENT | MCL_FUTURE, "both");
	locked(MCL_CURRENT | MCL_ONFAULT, "MCL_CURRENT, on fault");
	locked(MCL_FUTURE | MCL_ONFAULT, "MCL_FUTURE, on fault");
	sealed();
	return done_testing();
}
