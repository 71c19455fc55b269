// SPDX-License-Identifier: MIT
/*
 * tests/run_inplace_pin.c - EAGAIN: pages in use when they shall become private
 *
 * Nothing in user space can pin a page as a device's DMA does, so gmem has a
 * test hook, found by name; the kernel's own test uses debugfs (numbers in
 * brackets are its steps).
 */
#include <dlfcn.h>

#include "tests/run_inplace.h"

#define SIZE (8 * PG)

static long (*pin)(int fd, uint64_t offset, int on);

static void each_page(int vm)
{
	for (uint64_t t = 0; t < 4; t++) {
		int fd = gmem_new(vm, 4 * PG, SHAREABLE);
		char *ptr = map_shared(fd, 4 * PG, 0);
		uint64_t error = 77;

		memset(ptr, 'B', 4 * PG);
		is(pin(fd, t * PG, 1), 0, "[26] pin page %llu", (unsigned long long)t);
		ptr[t * PG] = 'B';
		is_shared(ptr + t * PG, 'B', "[27] shared use of a pinned page");
		fails(set_attr2(fd, 0, 4 * PG, PRIVATE, &error), EAGAIN, "[28] all to private");
		is(error, t * PG, "[28] error_offset");
		for (uint64_t i = 0; i < 4; i++)
			is_shared(ptr + i * PG, 'B', "[29] nothing was converted");
		for (uint64_t i = 0; i < 4; i++) {
			error = 78;
			if (i == t) {
				fails(set_attr2(fd, i * PG, PG, PRIVATE, &error), EAGAIN, "[29] the pinned one");
				is(error, t * PG, "[29] error_offset");
			} else {
				is(set_attr2(fd, i * PG, PG, PRIVATE, &error), 0, "[29] another");
				is(error, 78, "[29] error_offset untouched");
			}
		}
		is(pin(fd, t * PG, 0), 0, "[30] unpin");
		is(set_attr2(fd, 0, 4 * PG, PRIVATE, NULL), 0, "[30] all to private, some are already");
		is_private(ptr + t * PG, "[31] it");
		is(set_attr2(fd, 0, 4 * PG, SHARED, NULL), 0, "to shared");
		is_shared(ptr + t * PG, 'B', "contents");
		munmap(ptr, 4 * PG);
		close(fd);
	}
}

static void ranges(int vm)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	struct kvm_memory_attributes2 *page;
	char *ptr = map_shared(fd, SIZE, 0);
	uint64_t error = 5;

	memset(ptr, 'r', SIZE);
	pin(fd, 5 * PG, 1);
	pin(fd, 3 * PG, 1);
	fails(set_attr2(fd, 0, SIZE, PRIVATE, &error), EAGAIN, "two pins");
	is(error, 3 * PG, "the lowest is reported");
	fails(set_attr2(fd, 4 * PG, 3 * PG, PRIVATE, &error), EAGAIN, "a request from the middle");
	is(error, 5 * PG, "the offset is the file's");
	error = 9;
	is(set_attr2(fd, 6 * PG, 2 * PG, PRIVATE, &error), 0, "beside the pins");
	is(error, 9, "error_offset untouched on success");
	is(set_attr2(fd, 0, 6 * PG, SHARED, &error), 0, "shared already: pins do not matter");
	is(error, 9, "error_offset untouched");
	fails(set_attr2(fd, 0, SIZE, PRIVATE | 1, &error), EINVAL, "EINVAL comes first");
	is(error, 9, "error_offset untouched on EINVAL");
	is(fallocate(fd, 3, 5 * PG, PG), 0, "a pinned page can be punched");

	page = (void *)map_anon(PG);
	page->size = SIZE;
	page->attributes = PRIVATE;
	mprotect(page, PG, PROT_READ);
	fails(ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, page), EFAULT, "EAGAIN that cannot be written back");
	is_shared(ptr, 'r', "and nothing was converted");
	pin(fd, 3 * PG, 0);
	pin(fd, 5 * PG, 0);
	is(set_attr2(fd, 0, SIZE, PRIVATE, NULL), 0, "unpinned");
	munmap(ptr, SIZE);
	close(fd);
}

int main(void)
{
	int kvm, vm = inplace_vm(&kvm);

	*(void **)&pin = dlsym(RTLD_DEFAULT, "gmem_test_pin");
	if (!pin)
		skip_all("no gmem_test_pin() here");
	each_page(vm);
	ranges(vm);
	return done_testing();
}
