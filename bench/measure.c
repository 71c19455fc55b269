// SPDX-License-Identifier: MIT
/*
 * bench/measure.c - what calls and touches cost, on the host or under `gmem run`
 *
 *	measure [--quick] CASE...
 *
 * One line per figure: name, unit, and every sample taken.  A case runs wherever its
 * kernel lets it: `gmem bench` runs the host's own (memfd, mprotect(2), the real
 * /dev/kvm) natively and the emulated ones under gmem, takes the medians and puts
 * them beside each other (cli/bench.def).
 */
#include <linux/falloc.h>
#include <linux/usbdevice_fs.h>
#include <time.h>

#include "tests/run_kvm.h"

#define SAMPLES	  7 /* of a figure */
#define FEW	  2 /* of one that takes seconds, or in a hurry */
#define PARTS_MAX 40
#define HUGE_FILE (1ULL << 62)
#define MOCKED	  "/dev/gmem-bench" /* which umockdev has: cli/bench_run.c */

static int kvm = -1, vm = -1;
static bool quick;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* How long this thread has waited for a processor that others had: none of its cost. 0 where the kernel does not say. */
static double waited(void)
{
	static int fd = -2;
	char text[128] = "";
	double wait = 0;

	if (fd == -2)
		fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) <= 0 || sscanf(text, "%*s %lf", &wait) != 1)
		return 0;
	return wait;
}

static struct {
	double at, waited;
} started;

static void watch_start(void)
{
	started.waited = waited();
	started.at = now();
}

/* Nanoseconds since then; sleep in the kernel counts. */
static double watch_stop(void)
{
	double took = now() - started.at, wait = waited() - started.waited;

	/* Interrupted between two of these readings: they do not belong together. */
	return wait < took ? took - wait : took;
}

/* Samples of a figure; printed together, so that a case that dies half-way leaves no half line. */
static double samples[SAMPLES * PARTS_MAX];
static unsigned sample_count;

static void figure(const char *name, const char *unit)
{
	printf("%s %s", name, unit);
	for (unsigned i = 0; i < sample_count; i++)
		printf(" %.2f", samples[i]);
	putchar('\n');
	fflush(stdout);
	sample_count = 0;
}

static void figure_of(const char *name, double value, const char *unit)
{
	samples[sample_count++] = value;
	figure(name, unit);
}

/*
 * count times n steps, in nanoseconds a step, of which each does `work` pieces of it.  What is short is measured in
 * parts of about a millisecond, each a sample: longer ones are all interrupted on a machine that has other work.
 */
#define PARTS(n) ((n) >= 200 ? PARTS_MAX : 1)
#define MEASURE(name, count, n, work, ...)                                                                             \
	do {                                                                                                           \
		long step = 0, part_ = (n) / PARTS(n);                                                                 \
		unsigned wanted_ = quick ? FEW : (count) * PARTS(n);                                                   \
                                                                                                                       \
		while (sample_count < wanted_) {                                                                       \
			long end_ = step + part_;                                                                      \
                                                                                                                       \
			watch_start();                                                                                 \
			for (; step < end_; step++) {                                                                  \
				__VA_ARGS__;                                                                           \
			}                                                                                              \
			samples[sample_count++] = watch_stop() / (double)part_ / (double)(work);                       \
		}                                                                                                      \
		figure(name, "ns");                                                                                    \
	} while (0)

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
	int gmem;

	open_vm(0);
	gmem = gmem_new(vm, MiB, SHAREABLE);
	MEASURE("check-extension", SAMPLES, 200000, 1, ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD));
	/* State-changing calls whose work is next to nothing: what is left is the way there. */
	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &same))
		die("slot");
	MEASURE("set-region-again", SAMPLES, 50000, 1, ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &same));
	MEASURE("punch-hole-empty", SAMPLES, 20000, 1, punch(gmem, 0, PG));
	MEASURE("create-and-close", SAMPLES, 2000, 1, close(gmem_new(vm, MiB, SHAREABLE)));
	MEASURE("slot-and-delete", SAMPLES, 200, 1, set_region2(vm, 2, KVM_MEM_GUEST_MEMFD, 2 * GiB, PG, 0, gmem, 0);
		set_region2(vm, 2, 0, 0, 0, 0, -1, 0));
}

/* Beside a VM and a file, where there can be some. */
static void unrelated(void)
{
	int pipe_fds[2], value;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm >= 0)
		gmem_try(vm, MiB, SHAREABLE);
	if (pipe(pipe_fds))
		die("pipe");
	MEASURE("unrelated-ioctl", SAMPLES, 200000, 1, ioctl(pipe_fds[0], FIONREAD, &value));
}

/* An ioctl that another emulator answers. */
static void mocked(void)
{
	struct usbdevfs_connectinfo info;
	int fd = open(MOCKED, O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, USBDEVFS_CONNECTINFO, &info))
		die(MOCKED);
	MEASURE("mocked-ioctl", SAMPLES, 1000, 1, ioctl(fd, USBDEVFS_CONNECTINFO, &info));
}

static void refault(void)
{
	const size_t size = 32 * MiB;
	char *ptr;

	open_vm(0);
	ptr = map_shared(gmem_new(vm, size, SHAREABLE), size, 0);
	memset(ptr, 1, size);
	MEASURE("refault", SAMPLES, 4, size / PG, madvise(ptr, size, MADV_DONTNEED);
		for (size_t at = 0; at < size; at += PG)((volatile char *)ptr)[at]);
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
	MEASURE("mprotect-page", SAMPLES, 20000, 1, char *page = ptr + (size_t)(step * 37 % 8192 * 2 + 1) * PG;
		mprotect(page, PG, PROT_NONE); mprotect(page, PG, PROT_READ | PROT_WRITE));
	munmap(ptr, size);
}

/* What a VMM does today: copy to the other backing, which allocates, and punch this one; then back. */
static void two_backings(const char *name, size_t size, unsigned count, long steps)
{
	int a = memfd(size), b = memfd(size);
	char *from = map_shared(a, size, 0), *to = map_shared(b, size, 0);

	memset(from, 1, size);
	MEASURE(name, count, steps, 1, memcpy(to, from, size); punch(a, 0, size); memcpy(from, to, size);
		punch(b, 0, size));
	munmap(from, size);
	munmap(to, size);
	close(a);
	close(b);
}

/* The first touch allocates: every sample needs a fresh mapping and empty pages. */
static void first_touch(const char *name, int fd)
{
	const size_t size = 32 * MiB;

	while (sample_count < (quick ? FEW : SAMPLES)) {
		char *ptr = map_shared(fd, size, 0);

		watch_start();
		for (size_t at = 0; at < size; at += PG)
			ptr[at] = 1;
		samples[sample_count++] = watch_stop() / (double)(size / PG);
		munmap(ptr, size);
		punch(fd, 0, size);
	}
	figure(name, "ns");
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
	MEASURE("convert-page", SAMPLES, 20000, 1, uint64_t at = (uint64_t)(step * 37 % 8192 * 2 + 1) * PG;
		convert(fd, at, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE); convert(fd, at, PG, 0));
	munmap(ptr, size);
	close(fd);
}

static void convert_range(const char *name, const char *touched, size_t size, unsigned count, long steps)
{
	int fd;
	char *ptr;

	open_vm(KVM_X86_SW_PROTECTED_VM);
	fd = gmem_new(vm, size, SHAREABLE);
	ptr = map_shared(fd, size, 0);
	memset(ptr, 1, size);
	MEASURE(name, SAMPLES, steps, 1, convert(fd, 0, size, KVM_MEMORY_ATTRIBUTE_PRIVATE); convert(fd, 0, size, 0));
	/* With the contents still there, and reached again by faults, which a VMM pays as well. */
	MEASURE(touched, count, 1, 1, convert(fd, 0, size, KVM_MEMORY_ATTRIBUTE_PRIVATE); convert(fd, 0, size, 0);
		for (size_t at = 0; at < size; at += PG) if (ptr[at] != 1) die("contents"));
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

/* A private file of 1 TiB; the memory that making and mapping it takes is told of the first. */
static void large_private(void)
{
	const uint64_t tib = 1ULL << 40;
	long before = status_kib("VmRSS:") + status_kib("VmPTE:"), after = 0;

	while (sample_count < SAMPLES) {
		char *ptr;
		int fd;

		watch_start();
		fd = gmem_new(vm, tib, GUEST_MEMFD_FLAG_MMAP);
		ptr = map_shared(fd, tib, 0);
		samples[sample_count++] = watch_stop();
		if (!after)
			after = status_kib("VmRSS:") + status_kib("VmPTE:");
		munmap(ptr, tib);
		close(fd);
	}
	figure("create-and-map-1TiB", "ns");
	figure_of("create-and-map-1TiB-memory", (double)(after - before), "KiB");
}

/* Calls over (0, 2^62) of a file with one page. */
static void large_calls(void)
{
	static const char *const names[] = { "convert-2^62", "punch-2^62", "convert-back-2^62" };
	double took[3][SAMPLES];
	int fd = gmem_new(vm, HUGE_FILE, SHAREABLE);
	char *ptr = map_shared(fd, MiB, 0);

	for (unsigned i = 0; i < SAMPLES; i++) {
		*ptr = 1;
		watch_start();
		convert(fd, 0, HUGE_FILE, KVM_MEMORY_ATTRIBUTE_PRIVATE);
		took[0][i] = watch_stop();
		watch_start();
		punch(fd, 0, HUGE_FILE);
		took[1][i] = watch_stop();
		watch_start();
		convert(fd, 0, HUGE_FILE, 0);
		took[2][i] = watch_stop();
	}
	for (unsigned n = 0; n < 3; n++) {
		memcpy(samples, took[n], sizeof(took[n]));
		sample_count = SAMPLES;
		figure(names[n], "ns");
	}
	munmap(ptr, MiB);
	close(fd);
}

static void large(void)
{
	open_vm(KVM_X86_SW_PROTECTED_VM);
	large_private();
	large_calls();
}

/* A million pages in no order; both directions come up. */
static void random_pages(void)
{
	const uint64_t size = 64ULL << 30;
	uint64_t seed = 88172645463325252ULL;
	char *ptr;
	int fd;

	open_vm(KVM_X86_SW_PROTECTED_VM);
	fd = gmem_new(vm, size, SHAREABLE);
	ptr = map_shared(fd, size, 0);
	watch_start();
	for (int i = 0; i < 1000000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		convert(fd, seed % (size / PG) * PG, PG, seed >> 63 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
	}
	figure_of("random-million", watch_stop(), "ns");
	figure_of("random-million-VMAs", (double)vma_count(), "VMAs");
	munmap(ptr, size);
	close(fd);
}

static void memfd_touch(void)
{
	first_touch("memfd-first-touch", memfd(32 * MiB));
}

static void gmem_touch(void)
{
	open_vm(0);
	first_touch("first-touch", gmem_new(vm, 32 * MiB, SHAREABLE));
}

static void backings_512(void)
{
	two_backings("two-backings-512", 2 * MiB, SAMPLES, 20);
}

static void backings_1g(void)
{
	two_backings("two-backings-1GiB", GiB, FEW, 1);
}

static void convert_512(void)
{
	convert_range("convert-512", "convert-512-touched", 2 * MiB, SAMPLES, 2000);
}

static void convert_1g(void)
{
	convert_range("convert-1GiB", "convert-1GiB-touched", GiB, FEW, 20);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "calls", calls },
	{ "unrelated", unrelated },
	{ "mocked", mocked },
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
		bool found = !strcmp(argv[i], "--quick");

		quick = quick || found;
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
