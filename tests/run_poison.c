// SPDX-License-Identifier: MIT
/*
 * tests/run_poison.c - emulated memory errors (kernel-abi 9.4): what a struck page answers, and its repair
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/uio.h>

#include "run_inplace.h"

#define PAGES 8
static int (*strike)(int fd, uint64_t offset);

static void is_poisoned(char *at, const char *what)
{
	struct touch r = touch(at, -1);

	is(r.sig, SIGBUS, "%s: SIGBUS", what);
	is(r.code, BUS_MCEERR_AR, "%s: BUS_MCEERR_AR", what);
	ok(r.addr == (uintptr_t)at, "%s: the address", what);
}

/* What takes page table entries away, or mappings elsewhere, repairs nothing; ptr is as before in the end. */
static void moved(char *ptr, char *other)
{
	char *place = mmap(NULL, PAGES * PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	is(madvise(ptr, PAGES * PG, MADV_DONTNEED), 0, "drop all entries");
	is_poisoned(ptr + PG, "they do not come back well");
	is(ptr[0], 'A', "its neighbour does");
	/* A kernel without guards answers EINVAL to both. */
	if (madvise(ptr, 2 * PG, 102 /* MADV_GUARD_INSTALL */) == 0)
		madvise(ptr, 2 * PG, 103 /* MADV_GUARD_REMOVE */);
	is_poisoned(ptr + PG, "guards that came and went");
	ok(mremap(ptr, PAGES * PG, PAGES * PG, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place, "move the mapping");
	is_poisoned(place + PG, "moved");
	ok(mremap(place, PAGES * PG, PAGES * PG, MREMAP_MAYMOVE | MREMAP_FIXED, ptr) == ptr, "and back");
	is_poisoned(ptr + PG, "moved back");
	is_poisoned(other + PG, "the other mapping");
}

static void struck(int fd, char *ptr)
{
	char byte = 'x', *other;
	struct iovec local = { &byte, 1 }, remote = { ptr + PG, 1 };

	is(strike(fd, PG), 0, "strike page 1");
	is_poisoned(ptr + PG, "a load");
	is(ptr[0], 'A', "the page before is well");
	is(ptr[2 * PG], 'A', "the page behind is well");
	fails(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), EFAULT, "process_vm_readv");
	other = map_shared(fd, PAGES * PG, 0);
	is_poisoned(other + PG, "a mapping made afterwards");
	is(fallocate(fd, 1, PG, PG), 0, "allocating does not fail");
	is_poisoned(ptr + PG, "and does not repair");
	is(set_attr2(fd, 0, PAGES * PG, PRIVATE, NULL), 0, "all pages to private");
	is(set_attr2(fd, 0, PAGES * PG, SHARED, NULL), 0, "and back");
	is_poisoned(ptr + PG, "conversion does not repair");
	is(ptr[0], 'A', "its neighbour is shared again");
	moved(ptr, other);
	is(fallocate(fd, 3, PG, PG), 0, "punch the page");
	is(other[PG], 0, "a fresh page");
	munmap(other, PAGES * PG);
}

int main(void)
{
	int kvm, vm = inplace_vm(&kvm), fd = gmem_new(vm, PAGES * PG, SHAREABLE);
	char *ptr = map_shared(fd, PAGES * PG, 0);

	*(void **)&strike = dlsym(RTLD_DEFAULT, "gmem_test_poison");
	if (!strike)
		skip_all("no gmem_test_poison() here");
	memset(ptr, 'A', PAGES * PG);
	fails(strike(fd, PAGES * PG), EINVAL, "beyond the end");
	struck(fd, ptr);
	return done_testing();
}
