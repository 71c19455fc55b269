// SPDX-License-Identifier: MIT
/*
 * bench/measure.c - what calls and touches cost, on the host or under `gmem run`
 *
 *	measure CASE...
 *
 * One line per figure: name, nanoseconds (or another unit), unit.  A case runs
 * wherever its kernel lets it: bench/run.sh runs the host's own (memfd,
 * mprotect(2), the real /dev/kvm) natively and the emulated ones under gmem, and
 * puts the ratios beside each other.  Each figure is the best of several rounds.
 */
#include <linux/falloc.h>
#include <time.h>

#include "tests/run_kvm.h"

#define ROUNDS 7
#define HUGE_FILE (1ULL << 62)

static int kvm = -1, vm = -1;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/*
 * The best of many rounds, in nanoseconds a step; n steps are ROUNDS times as many in all.  What is short is
 * measured in pieces of about a millisecond: longer ones are all interrupted on a machine that has other work.
 */
#define PIECES(n) ((n) >= 200 ? 40 : 1)
#define BEST(n, ...)                                                                                                   \
	({                                                                                                             \
		double best_ = 1e300;                                                                                  \
		long step = 0;                                                                                         \
		for (int round_ = 0; round_ < ROUNDS * PIECES(n); round_++) {                                          \
			long end_ = step + (n) / PIECES(n);                                                            \
			double start_ = now(), took_;                                                                  \
			for (; step < end_; step++) {                                                                  \
				__VA_ARGS__;                                                                           \
			}                                                                                              \
			took_ = (now() - start_) / (double)((n) / PIECES(n));                                          \
			if (took_ < best_)                                                                             \
				best_ = took_;                                                                         \
		}                                                                                                      \
		best_;                                                                                                 \
	})

static void figure(const char *name, double value, const char *unit)
{
	printf("%s %.1f %s\n", name, value, unit);
	fflush(stdout);
}

static void open_vm(unsigned long type)
{
	kvm = kvm_open();
	vm = vm_new(kvm, type);
}

static void convert(int fd, uint64_t off, uint64_t size, uint64_t attributes)
{
	if (set_attr2(fd, off, size, attributes, NULL))
		die("KVM_SET_MEMORY_ATTRIBUTES2");
}

static void punch(int fd, uint64_t off, uint64_t size)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)size))
		die("fallocate");
}

/* --- calls: the same on the host and under gmem -------------------------------- */

static void calls(void)
{
	struct kvm_userspace_memory_region2 same = { .slot = 1, .guest_phys_addr = GiB, .memory_size = PG };
	int pipe_fds[2], gmem, value;

	open_vm(0);
	gmem = gmem_new(vm, MiB, SHAREABLE);
	if (pipe(pipe_fds))
		die("pipe");
	figure("check-extension", BEST(200000, ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD)), "ns");
	figure("unrelated-ioctl", BEST(200000, ioctl(pipe_fds[0], FIONREAD, &value)), "ns");
	/* State-changing calls whose work is next to nothing: what is left is the way there. */
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &same))
		die("slot");
	figure("set-region-again", BEST(50000, ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &same)), "ns");
	figure("punch-hole-empty", BEST(20000, punch(gmem, 0, PG)), "ns");
	figure("create-and-close", BEST(2000, close(gmem_new(vm, MiB, SHAREABLE))), "ns");
	figure("slot-and-delete", BEST(200, set_region2(vm, 2, KVM_MEM_GUEST_MEMFD, 2 * GiB, PG, 0, gmem, 0);
						set_region2(vm, 2, 0, 0, 0, 0, -1, 0)),
	       "ns");
}

static void refault(void)
{
	const size_t size = 32 * MiB;
	char *ptr;

	open_vm(0);
	ptr = map_shared(gmem_new(vm, size, SHAREABLE), size, 0);
	memset(ptr, 1, size);
	figure("refault", BEST(4, madvise(ptr, size, MADV_DONTNEED);
				for (size_t at = 0; at < size; at += PG)((volatile char *)ptr)[at]) /
				  (double)(size / PG),
	       "ns/page");
}

/* --- the host's own ways --------------------------------------------------------- */

static int memfd(size_t size)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size))
		die("memfd_create");
	return fd;
}

/* One page of a mapping whose every other page has another protection. */
static void mprotect_page(void)
{
	const size_t size = 64 * MiB;
	char *ptr = map_shared(memfd(size), size, 0);

	memset(ptr, 1, size);
	for (size_t at = 0; at < size; at += 2 * PG)
		if (mprotect(ptr + at, PG, PROT_NONE))
			die("mprotect");
	/* Pages beside the protected ones, all over the mapping. */
	figure("mprotect-page", BEST(20000, char *page = ptr + (size_t)(step * 37 % 8192 * 2 + 1) * PG;
				     mprotect(page, PG, PROT_NONE); mprotect(page, PG, PROT_READ | PROT_WRITE)),
	       "ns");
	munmap(ptr, size);
}

/* What a VMM does today: copy to the other backing, which allocates, and punch this one; then back. */
static void two_backings(const char *name, size_t size, long steps)
{
	int a = memfd(size), b = memfd(size);
	char *from = map_shared(a, size, 0), *to = map_shared(b, size, 0);

	memset(from, 1, size);
	figure(name, BEST(steps, memcpy(to, from, size); punch(a, 0, size); memcpy(from, to, size); punch(b, 0, size)),
	       "ns");
	munmap(from, size);
	munmap(to, size);
	close(a);
	close(b);
}

/* The first touch allocates: every round needs a fresh mapping and empty pages. */
static void first_touch(const char *name, int fd)
{
	const size_t size = 64 * MiB;
	double best = 1e300;

	for (int round = 0; round < ROUNDS; round++) {
		char *ptr = map_shared(fd, size, 0);
		double start = now(), took;

		for (size_t at = 0; at < size; at += PG)
			ptr[at] = 1;
		took = (now() - start) / (double)(size / PG);
		best = took < best ? took : best;
		munmap(ptr, size);
		punch(fd, 0, size);
	}
	figure(name, best, "ns/page");
	close(fd);
}

/* --- conversions -------------------------------------------------------------------- */

static void convert_page(void)
{
	const size_t size = 64 * MiB;
	int fd;
	char *ptr;

	open_vm(KVM_X86_SW_PROTECTED_VM);
	fd = gmem_new(vm, size, SHAREABLE);
	ptr = map_shared(fd, size, 0);
	memset(ptr, 1, size);
	for (size_t at = 0; at < size; at += 2 * PG)
		convert(fd, at, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	figure("convert-page", BEST(20000, uint64_t at = (uint64_t)(step * 37 % 8192 * 2 + 1) * PG;
				    convert(fd, at, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE); convert(fd, at, PG, 0)),
	       "ns");
	munmap(ptr, size);
	close(fd);
}

static void convert_range(const char *name, size_t size, long steps)
{
	int fd;
	char *ptr;

	open_vm(KVM_X86_SW_PROTECTED_VM);
	fd = gmem_new(vm, size, SHAREABLE);
	ptr = map_shared(fd, size, 0);
	memset(ptr, 1, size);
	figure(name, BEST(steps, convert(fd, 0, size, KVM_MEMORY_ATTRIBUTE_PRIVATE); convert(fd, 0, size, 0)), "ns");
	/* With the contents still there, and reached again by faults, which a VMM pays as well. */
	{
		char with[64];

		snprintf(with, sizeof(with), "%s-touched", name);
		figure(with, BEST(1, convert(fd, 0, size, KVM_MEMORY_ATTRIBUTE_PRIVATE); convert(fd, 0, size, 0);
				  for (size_t at = 0; at < size; at += PG) if (ptr[at] != 1) die("contents")),
		       "ns");
	}
	munmap(ptr, size);
	close(fd);
}

static long status_kib(const char *key)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "r");
	long value = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = atol(line + strlen(key));
	if (f)
		fclose(f);
	return value;
}

static long vma_count(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	long lines = 0;
	int c;

	while (f && (c = fgetc(f)) != EOF)
		lines += c == '\n';
	if (f)
		fclose(f);
	return lines;
}

static void large(void)
{
	const uint64_t tib = 1ULL << 40;
	long before, after;
	double start;
	char *ptr;
	int fd;

	open_vm(KVM_X86_SW_PROTECTED_VM);
	before = status_kib("VmRSS:") + status_kib("VmPTE:");
	start = now();
	fd = gmem_new(vm, tib, GUEST_MEMFD_FLAG_MMAP);
	ptr = map_shared(fd, tib, 0);
	figure("create-and-map-1TiB", (now() - start) / 1e3, "us");
	after = status_kib("VmRSS:") + status_kib("VmPTE:");
	figure("create-and-map-1TiB-memory", (double)(after - before), "KiB");
	munmap(ptr, tib);
	close(fd);

	fd = gmem_new(vm, HUGE_FILE, SHAREABLE);
	ptr = map_shared(fd, MiB, 0);
	*ptr = 1;
	start = now();
	convert(fd, 0, HUGE_FILE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	figure("convert-1<<62", (now() - start) / 1e3, "us");
	start = now();
	punch(fd, 0, HUGE_FILE);
	figure("punch-1<<62", (now() - start) / 1e3, "us");
	start = now();
	convert(fd, 0, HUGE_FILE, 0);
	figure("convert-back-1<<62", (now() - start) / 1e3, "us");
	munmap(ptr, MiB);
	close(fd);
}

/* A million pages in no order; both directions come up. */
static void random_pages(void)
{
	const uint64_t size = 64ULL << 30;
	uint64_t seed = 88172645463325252ULL;
	double start;
	char *ptr;
	int fd;

	open_vm(KVM_X86_SW_PROTECTED_VM);
	fd = gmem_new(vm, size, SHAREABLE);
	ptr = map_shared(fd, size, 0);
	start = now();
	for (int i = 0; i < 1000000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		convert(fd, seed % (size / PG) * PG, PG, seed >> 63 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
	}
	figure("random-million", (now() - start) / 1e6, "ms");
	figure("random-million-VMAs", (double)vma_count(), "VMAs");
	munmap(ptr, size);
	close(fd);
}

static void memfd_touch(void)
{
	first_touch("memfd-first-touch", memfd(64 * MiB));
}

static void gmem_touch(void)
{
	open_vm(0);
	first_touch("first-touch", gmem_new(vm, 64 * MiB, SHAREABLE));
}

static void backings_512(void)
{
	two_backings("two-backings-512", 2 * MiB, 20);
}

static void backings_1g(void)
{
	two_backings("two-backings-1GiB", GiB, 1);
}

static void convert_512(void)
{
	convert_range("convert-512", 2 * MiB, 2000);
}

static void convert_1g(void)
{
	convert_range("convert-1GiB", GiB, 20);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "calls", calls },
	{ "refault", refault },
	{ "mprotect", mprotect_page },
	{ "two-backings-512", backings_512 },
	{ "two-backings-1g", backings_1g },
	{ "memfd-touch", memfd_touch },
	{ "touch", gmem_touch },
	{ "convert-page", convert_page },
	{ "convert-512", convert_512 },
	{ "convert-1g", convert_1g },
	{ "large", large },
	{ "random", random_pages },
};

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		bool found = false;

		for (size_t c = 0; c < sizeof(cases) / sizeof(*cases); c++)
			if (!strcmp(argv[i], cases[c].name)) {
				cases[c].run();
				found = true;
			}
		if (!found)
			die("no case %s", argv[i]);
	}
	return 0;
}
