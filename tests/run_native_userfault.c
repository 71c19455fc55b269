// SPDX-License-Identifier: MIT
/*
 * tests/run_native_userfault.c - a userfaultfd of the program's own, on mappings of a guest_memfd and beside them
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "tests/run_kvm.h"

#define SIZE (4 * PG)

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFDIO_POISON
struct uffdio_poison {
	struct uffdio_range range;
	__u64 mode;
	__s64 updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif

static int vm;

/* Anonymous memory, a shareable file, one that starts private, anonymous memory; SIZE each. */
static char *layout(int *shared, int *private)
{
	char *base = map_anon(4 * SIZE);

	*shared = gmem_new(vm, SIZE, SHAREABLE);
	*private = gmem_new(vm, SIZE, GUEST_MEMFD_FLAG_MMAP);
	if (mmap(base + SIZE, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *shared, 0) == MAP_FAILED ||
	    mmap(base + 2 * SIZE, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *private, 0) == MAP_FAILED)
		die("mmap");
	return base;
}

static const struct {
	const char *name;
	size_t at, len;
} ranges[] = {
	{ "beside it", 0, SIZE },
	{ "shared", SIZE, SIZE },
	{ "private", 2 * SIZE, SIZE },
	{ "from beside into it", SIZE - PG, 2 * PG },
	{ "out of it", 3 * SIZE - PG, 2 * PG },
	{ "over all", 0, 4 * SIZE },
	{ "unaligned", SIZE + 1, PG },
	{ "length 0", SIZE, 0 },
	{ "length 100", SIZE, 100 },
};

static void register_all(int uffd, const char *name, uint64_t features, char *base)
{
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		for (uint64_t mode = 0; mode < 9; mode++) {
			struct uffdio_register reg = { .range = { (uintptr_t)base + ranges[i].at, ranges[i].len },
						       .mode = mode };

			/* docs/divergences.md: wp-async */
			if (features == UFFD_FEATURE_WP_ASYNC && mode == UFFDIO_REGISTER_MODE_WP && i)
				continue;
			if (CASE(ioctl(uffd, UFFDIO_REGISTER, &reg), "%s: register %s, mode %llu", name, ranges[i].name,
				 (unsigned long long)mode) == 0)
				note("%s: ioctls %#llx", name, (unsigned long long)reg.ioctls);
			CASE(ioctl(uffd, UFFDIO_UNREGISTER, &reg.range), "%s: unregister %s", name, ranges[i].name);
		}
}

static void fill_all(int uffd, const char *name, char *base)
{
	char *src = map_anon(SIZE);

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		const char *n = ranges[i].name;
		uint64_t at = (uintptr_t)base + ranges[i].at, len = ranges[i].len;
		struct uffdio_copy copy = { .dst = at, .src = (uintptr_t)src, .len = len };
		struct uffdio_copy from = { .dst = (uintptr_t)base, .src = at, .len = len };
		struct uffdio_zeropage zero = { .range = { at, len } };
		struct uffdio_continue cont = { .range = { at, len } };
		struct uffdio_writeprotect wp = { .range = { at, len } };
		struct uffdio_poison poison = { .range = { at, len } };

		CASE(ioctl(uffd, UFFDIO_COPY, &copy), "%s: COPY %s", name, n);
		CASE(ioctl(uffd, UFFDIO_COPY, &from), "%s: COPY from %s", name, n);
		copy.mode = 64;
		CASE(ioctl(uffd, UFFDIO_COPY, &copy), "%s: COPY %s, bad mode", name, n);
		CASE(ioctl(uffd, UFFDIO_ZEROPAGE, &zero), "%s: ZEROPAGE %s", name, n);
		CASE(ioctl(uffd, UFFDIO_CONTINUE, &cont), "%s: CONTINUE %s", name, n);
		CASE(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), "%s: WRITEPROTECT %s", name, n);
		CASE(ioctl(uffd, UFFDIO_POISON, &poison), "%s: POISON %s", name, n);
		CASE(ioctl(uffd, UFFDIO_WAKE, &wp.range), "%s: WAKE %s", name, n);
		CASE(ioctl(uffd, 0xaa7f, &wp.range), "%s: unknown %s", name, n);
	}
	munmap(src, SIZE);
}

static void with_features(const char *name, uint64_t features, char *base)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	group(name);
	if (uffd < 0) {
		note("not allowed here");
		return;
	}
	if (CASE(ioctl(uffd, UFFDIO_API, &api), "API") == 0) {
		register_all(uffd, name, features, base);
		fill_all(uffd, name, base);
	}
	close(uffd);
}

/* Before the handshake, and on what is no userfaultfd. */
static void no_handshake(char *base)
{
	struct uffdio_register reg = { .range = { (uintptr_t)base + SIZE, PG }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), null = open("/dev/null", O_RDWR);

	group("no handshake");
	if (uffd >= 0) {
		CASE(ioctl(uffd, UFFDIO_REGISTER, &reg), "register");
		CASE(ioctl(uffd, UFFDIO_WAKE, &reg.range), "wake");
		CASE(ioctl(uffd, UFFDIO_REGISTER, BAD_PTR), "register, bad pointer");
		close(uffd);
	}
	CASE(ioctl(null, UFFDIO_REGISTER, &reg), "register with /dev/null");
	CASE(ioctl(-1, UFFDIO_REGISTER, &reg), "register with no descriptor");
	CASE(ioctl(vm, UFFDIO_REGISTER, &reg), "register with a VM");
	close(null);
}

int main(void)
{
	int kvm = kvm_open(), shared, private;
	char *base;

	touch_init();
	vm = vm_new(kvm, 0);
	base = layout(&shared, &private);
	no_handshake(base);
	with_features("no features", 0, base);
	with_features("asynchronous", UFFD_FEATURE_WP_ASYNC, base);
	with_features("unpopulated", UFFD_FEATURE_WP_UNPOPULATED, base);
	case_write("content", base, SIZE, 0x43);
	case_read("private", base, 2 * SIZE);
	case_write("beside it", base, 0, 0x44);
	return 0;
}
