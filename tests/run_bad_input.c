// SPDX-License-Identifier: MIT
/*
 * tests/run_bad_input.c - bad pointers, absurd sizes, races, and limits of all kinds
 *
 * Knows nothing of gmem: holds on a real kernel (Linux 6.18 or later) and under
 * `gmem run`.  Nothing may crash, hang or half-apply; where a kernel that is short of something may
 * succeed or fail, both are taken, but what it said must be true afterwards.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "tests/run_kvm.h"
#include "tests/tap.h"

#define PAGES 64
#define SIZE  (PAGES * PG)
#define PRIV  KVM_MEMORY_ATTRIBUTE_PRIVATE

static int kvm, vm;
static bool converts;
static unsigned long vm_type;

static int new_file(uint64_t size)
{
	return gmem_new(vm, size, SHAREABLE);
}

static bool is_private(const char *map, unsigned page)
{
	return touch((char *)(uintptr_t)map + page * PG, -1).sig == SIGBUS;
}

/* --- pointers ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	unsigned cmd;
	size_t size;
	bool on_file;
} structs[] = {
	{ "KVM_SET_USER_MEMORY_REGION", KVM_SET_USER_MEMORY_REGION, sizeof(struct kvm_userspace_memory_region), false },
	{ "KVM_SET_USER_MEMORY_REGION2", KVM_SET_USER_MEMORY_REGION2, sizeof(struct kvm_userspace_memory_region2), false },
	{ "KVM_CREATE_GUEST_MEMFD", KVM_CREATE_GUEST_MEMFD, sizeof(struct kvm_create_guest_memfd), false },
	{ "KVM_ENABLE_CAP", KVM_ENABLE_CAP, sizeof(struct kvm_enable_cap), false },
	{ "KVM_SET_MEMORY_ATTRIBUTES2", KVM_SET_MEMORY_ATTRIBUTES2, sizeof(struct kvm_memory_attributes2), true },
};

static void test_pointers(void)
{
	int file = new_file(SIZE);
	char *none = mmap(NULL, PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < sizeof(structs) / sizeof(structs[0]); i++) {
		int fd = structs[i].on_file ? file : vm, wrong = 0;
		size_t size = structs[i].size;

		if (structs[i].on_file && !converts)
			continue;
		void *const pointers[] = { NULL, BAD_PTR, KERNEL_PTR, none, (void *)-1L, (void *)(0x7ffffffff000 - 8),
					   (void *)0x8000000000000000 };

		for (size_t p = 0; p < sizeof(pointers) / sizeof(pointers[0]); p++)
			wrong += !(ioctl(fd, structs[i].cmd, pointers[p]) == -1 && errno == EFAULT);
		is(wrong, 0, "%s: pointers to nothing are EFAULT", structs[i].name);
		wrong = 0;
		for (size_t have = 0; have < size; have += have < 16 ? 1 : 8) {
			char *edge = at_edge(have);

			/* All bytes that can be read make sense: the answer must be about the others. */
			memset(edge, 0, have);
			if (!(ioctl(fd, structs[i].cmd, edge) == -1 && errno == EFAULT))
				wrong++;
			munmap((void *)((uintptr_t)edge & ~(PG - 1)), PG);
		}
		is(wrong, 0, "%s: structures that end behind the mapped memory are EFAULT", structs[i].name);
	}
	munmap(none, PG);
	close(file);
}

/* What is only read may be read-only. */
static void test_read_only(void)
{
	struct kvm_create_guest_memfd *create = (void *)map_anon(PG);
	struct kvm_memory_attributes2 *attr = (void *)map_anon(PG);
	int file;

	create->size = SIZE;
	create->flags = SHAREABLE;
	mprotect(create, PG, PROT_READ);
	file = ioctl(vm, KVM_CREATE_GUEST_MEMFD, create);
	ok(file >= 0, "KVM_CREATE_GUEST_MEMFD reads from read-only memory");
	if (converts) {
		char *map = map_shared(file, SIZE, 0);

		attr->size = PG;
		attr->attributes = PRIV;
		attr->error_offset = 0;
		mprotect(attr, PG, PROT_READ);
		is(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, attr), 0, "KVM_SET_MEMORY_ATTRIBUTES2 writes nothing on success");
		ok(is_private(map, 0), "and has converted");
		munmap(map, SIZE);
	} else {
		skip(2, "no conversion in place on this kernel");
	}
	/* An argument inside the memory that is converted: it is read before. */
	if (converts) {
		char *map = map_shared(file, SIZE, 0);
		struct kvm_memory_attributes2 *inside = (void *)(map + 3 * PG);

		*inside = (struct kvm_memory_attributes2){ .offset = 3 * PG, .size = PG, .attributes = PRIV };
		is(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, inside), 0, "the argument may lie in the page that goes private");
		ok(is_private(map, 3), "which it does");
		errno = 0;
		is(ioctl(file, KVM_SET_MEMORY_ATTRIBUTES2, inside), -1, "from there it cannot be read any more");
		is(errno, EFAULT, "with EFAULT");
		munmap(map, SIZE);
	} else {
		skip(4, "no conversion in place on this kernel");
	}
	close(file);
	munmap(create, PG);
	munmap(attr, PG);
}

/* --- sizes ------------------------------------------------------------------------------ */

static void test_sizes(void)
{
	static const uint64_t bad[] = { 0, 1, PG - 1, PG + 1, 1ULL << 63, ~0ULL, ~0ULL - PG + 1, (1ULL << 63) | PG };
	uint64_t huge = 1ULL << 62, max = (1ULL << 63) - PG;
	int wrong = 0, file, biggest;
	char *map;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		wrong += !(gmem_try(vm, bad[i], SHAREABLE) == -1 && errno == EINVAL);
	is(wrong, 0, "sizes that cannot be are EINVAL");
	file = new_file(huge);
	biggest = new_file(max);
	ok(biggest >= 0, "a file of 2^63 - 4096 bytes");
	map = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)(huge - PG));
	ok(map != MAP_FAILED, "the last page of 2^62 bytes can be mapped, and one more");
	ok(touch(map, 1).sig == 0, "the last page is accessible");
	is(touch(map + PG, 1).sig, SIGBUS, "the one behind it is not");
	ok(mmap(NULL, 1UL << 50, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED && errno == ENOMEM, "1 PiB of addresses: ENOMEM");
	ok(mmap(NULL, ~0UL, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED && errno == ENOMEM, "all of them: ENOMEM");
	ok(mmap(NULL, 0, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED && errno == EINVAL, "none: EINVAL");
	ok(mmap(NULL, PG, PROT_READ, MAP_SHARED, file, 1) == MAP_FAILED && errno == EINVAL, "an odd offset: EINVAL");
	ok(mmap(NULL, PG, PROT_READ, MAP_SHARED, file, (off_t)0xfffffffffffff000) == MAP_FAILED &&
		   (errno == EINVAL || errno == EOVERFLOW),
	   "an offset that wraps");
	if (converts) {
		is(set_attr2(file, 0, huge, PRIV, NULL), 0, "2^62 bytes become private");
		is(touch(map, -1).sig, SIGBUS, "the last page is");
		is(set_attr2(file, huge - PG, PG, 0, NULL), 0, "the last page becomes shared");
		is(touch(map, -1).sig, 0, "and is");
		is(set_attr2(file, PG, huge, 0, NULL), -1, "one page more than there is");
		is(errno, EINVAL, "is EINVAL");
		is(set_attr2(file, ~0ULL - PG + 1, PG, 0, NULL), -1, "a range that wraps");
		is(errno, EINVAL, "is EINVAL");
		is(touch(map, -1).sig, 0, "and nothing changed");
	} else {
		skip(9, "no conversion in place on this kernel");
	}
	is(fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, (off_t)huge), 0, "2^62 bytes are punched");
	is(fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)huge, PG), -1, "allocating behind the end");
	is(errno, EINVAL, "is EINVAL");
	munmap(map, 2 * PG);
	close(biggest);
	close(file);
}

/* --- descriptors under one's feet -------------------------------------------------------- */

static volatile bool stop;
static volatile int victim = -1;

static bool expected(long ret)
{
	static volatile int told;
	bool right = ret >= 0 || errno == EBADF || errno == ENOTTY || errno == EINVAL || errno == ENODEV || errno == EFAULT ||
	       errno == ENOMEM || errno == EEXIST || errno == EOPNOTSUPP || errno == EACCES;

	if (!right && told++ < 5)
		diag("%s", strerror(errno));
	return right;
}

static void *uses_victim(void *arg)
{
	intptr_t wrong = 0;

	(void)arg;
	while (!stop) {
		int fd = victim;
		char *map;

		if (fd < 0)
			continue;
		wrong += !expected(ioctl(fd, KVM_CHECK_EXTENSION, 234));
		wrong += !expected(set_attr2(fd, 0, PG, PRIV, NULL));
		wrong += !expected(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PG));
		map = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		wrong += !expected(map == MAP_FAILED ? -1 : 0);
		if (map != MAP_FAILED) {
			touch(map, 3);
			munmap(map, PG);
		}
		wrong += !expected(set_region2(vm, 5, KVM_MEM_GUEST_MEMFD, 1UL << 33, PG, 1 << 30, fd, 0));
		set_region2(vm, 5, 0, 0, 0, 0, -1, 0);
	}
	return (void *)wrong;
}

static void test_races(void)
{
	struct timeval start, now;
	pthread_t threads[3];
	intptr_t wrong = 0;
	void *ret;
	int i = 0;

	stop = false;
	for (int t = 0; t < 3; t++)
		pthread_create(&threads[t], NULL, uses_victim, NULL);
	gettimeofday(&start, NULL);
	do {
		int fd = i % 5 == 4 ? dup(0) : i % 5 == 3 ? ioctl(kvm, KVM_CREATE_VM, vm_type) : new_file(SIZE);

		victim = fd;
		for (volatile int spin = 0; spin < (i * 37) % 3000; spin++)
			;
		if (i & 1)
			close(fd);
		else
			syscall(SYS_close_range, fd, fd, 0);
		i++;
		gettimeofday(&now, NULL);
	} while (now.tv_sec - start.tv_sec < 2);
	stop = true;
	for (int t = 0; t < 3; t++) {
		pthread_join(threads[t], &ret);
		wrong += (intptr_t)ret;
	}
	is(wrong, 0, "three threads use descriptors that a fourth closes and recycles (%d times)", i);
	i = new_file(SIZE);
	ok(i >= 0 && mmap(NULL, SIZE, PROT_READ, MAP_SHARED, i, 0) != MAP_FAILED, "and everything works afterwards");
	close(i);
}

/* --- limits -------------------------------------------------------------------------------- */

static int with_no_file_size(void *arg)
{
	struct rlimit old, none = { 0, RLIM_INFINITY };
	bool stored, allocated, punched, converted;
	int file;
	char *map;

	(void)arg;
	vm = vm_new(kvm, vm_type);
	signal(SIGXFSZ, SIG_DFL);
	getrlimit(RLIMIT_FSIZE, &old);
	setrlimit(RLIMIT_FSIZE, &none);
	file = gmem_try(vm, 1UL << 40, SHAREABLE);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	stored = map != MAP_FAILED && touch(map, 1).sig == 0;
	allocated = fallocate(file, FALLOC_FL_KEEP_SIZE, 0, SIZE) == 0;
	punched = fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, SIZE) == 0;
	converted = !converts || set_attr2(file, 0, SIZE, PRIV, NULL) == 0;
	/* Standard output may be a file. */
	setrlimit(RLIMIT_FSIZE, &old);
	ok(file >= 0, "RLIMIT_FSIZE 0: a file is made");
	ok(stored, "RLIMIT_FSIZE 0: its pages can be written");
	ok(allocated, "RLIMIT_FSIZE 0: and allocated");
	ok(punched, "RLIMIT_FSIZE 0: and punched");
	ok(converted, "RLIMIT_FSIZE 0: and converted");
	return tap_failed != 0;
}

/* Does what was said hold?  Pages of which it was not: any state, but one. */
static bool consistent(const char *map, const char *said, unsigned n)
{
	for (unsigned page = 0; page < n; page++) {
		if (said[page] >= 0 && is_private(map, page) != said[page])
			return false;
	}
	return true;
}

static int with_few_addresses(void *arg)
{
	struct rlimit old, tight;
	char said[PAGES] = { 0 };
	int file, refusals = 0, wrong = 0;
	FILE *statm = fopen("/proc/self/statm", "re");
	unsigned long used;
	char *map;

	(void)arg;
	vm = vm_new(kvm, vm_type);
	file = new_file(SIZE);
	map = map_shared(file, SIZE, 0);
	if (!statm || fscanf(statm, "%lu", &used) != 1)
		return 77;
	getrlimit(RLIMIT_AS, &old);
	for (unsigned slack = 0; slack < 64; slack++) {
		unsigned page = slack % PAGES;
		char *more;
		int fd;

		tight = old;
		tight.rlim_cur = used * PG + slack * 8192;
		setrlimit(RLIMIT_AS, &tight);
		more = mmap(NULL, 1UL << 30, PROT_READ, MAP_SHARED, file, 0);
		wrong += !(more == MAP_FAILED && errno == ENOMEM);
		fd = gmem_try(vm, 1UL << 40, SHAREABLE);
		if (fd < 0) {
			wrong += errno != ENOMEM;
			refusals++;
		} else {
			close(fd);
		}
		if (converts) {
			int ret = set_attr2(file, page * PG, PG, PRIV, NULL);

			wrong += ret && errno != ENOMEM;
			said[page] = ret ? 0 : 1;
			refusals += ret != 0;
		}
		setrlimit(RLIMIT_AS, &old);
	}
	is(wrong, 0, "RLIMIT_AS: calls succeed or are ENOMEM");
	ok(consistent(map, said, PAGES), "RLIMIT_AS: and what they said is true");
	ok(gmem_try(vm, 1UL << 40, SHAREABLE) >= 0 && mmap(NULL, SIZE, PROT_READ, MAP_SHARED, file, 0) != MAP_FAILED,
	   "RLIMIT_AS lifted: everything works");
	return tap_failed != 0;
}

/* Use up the mappings that a process may have, but for a few. */
static int with_few_mappings(void *arg)
{
	const unsigned n = 2048;
	char said[2048] = { 0 };
	int file, wrong = 0, failed = 0;
	unsigned long limit = 65530;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	char *map, *waste;
	unsigned spent;

	(void)arg;
	if (f && fscanf(f, "%lu", &limit) != 1)
		limit = 65530;
	if (limit > 300000) {
		skip(4, "vm.max_map_count is %lu", limit);
		return 0;
	}
	vm = vm_new(kvm, vm_type);
	file = new_file(n * PG);
	map = map_shared(file, n * PG, 0);
	waste = mmap(NULL, (limit + 100) * PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (spent = 0; spent < limit + 100; spent += 2) {
		if (mprotect(waste + spent * PG, PG, PROT_READ))
			break;
	}
	/* None left; then a few. */
	for (unsigned page = 0; page < n && converts; page += 2) {
		int ret = set_attr2(file, page * PG, PG, PRIV, NULL);

		wrong += ret && errno != ENOMEM;
		said[page] = ret ? 0 : 1;
		failed += ret != 0;
		if (page % 256 == 0)
			mprotect(waste + (spent -= 2) * PG, PG, PROT_NONE);
	}
	wrong += mmap(NULL, SIZE, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED && errno != ENOMEM;
	wrong += gmem_try(vm, SIZE, SHAREABLE) < 0 && errno != ENOMEM;
	is(wrong, 0, "no mappings left: calls succeed or are ENOMEM (%d did not)", failed);
	ok(consistent(map, said, n), "no mappings left: what they said is true");
	munmap(waste, (limit + 100) * PG);
	ok(gmem_try(vm, SIZE, SHAREABLE) >= 0 && mmap(NULL, SIZE, PROT_READ, MAP_SHARED, file, 0) != MAP_FAILED &&
		   (!converts || set_attr2(file, 0, n * PG, 0, NULL) == 0),
	   "mappings to spare again: everything works");
	memset(said, 0, sizeof(said));
	ok(consistent(map, said, n), "and all is as it says");
	return tap_failed != 0;
}

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

static void test_timer(void)
{
	struct itimerval fast = { { 0, 1000 }, { 0, 1000 } }, off = { { 0, 0 }, { 0, 0 } };
	int file = new_file(SIZE), wrong = 0, rounds = 0;
	char *map = map_shared(file, SIZE, 0), said[PAGES] = { 0 };
	struct sigaction sa = { .sa_handler = tick };
	unsigned seed = 1;

	sigaction(SIGALRM, &sa, NULL);
	ticks = 0;
	setitimer(ITIMER_REAL, &fast, NULL);
	while (ticks < 300) {
		unsigned first, count;

		seed = seed * 1103515245 + 12345;
		first = (seed >> 16) % PAGES;
		count = 1 + (seed >> 8) % (PAGES - first);
		if (converts) {
			wrong += set_attr2(file, first * PG, count * PG, seed & 1 ? PRIV : 0, NULL) != 0;
			memset(said + first, seed & 1, count);
		}
		wrong += fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, first * PG, count * PG) != 0 && errno != EINTR;
		wrong += close(new_file(PG)) != 0;
		if (rounds++ % 32 == 0)
			wrong += !consistent(map, said, PAGES);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	is(wrong, 0, "a handler runs a thousand times a second while %d conversions are made", rounds);
	ok(consistent(map, said, PAGES), "and every page is what was asked for");
	munmap(map, SIZE);
	close(file);
}

static void child(int (*fn)(void *), int points)
{
	int status = in_child(fn, NULL);

	tap_count += points;
	if (status) {
		tap_failed++;
		if (status != 1)
			diag("status %d", status);
	}
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		skip_all("/dev/kvm: %s", strerror(errno));
	vm = ioctl(kvm, KVM_CREATE_VM, 1);
	converts = vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) > 0;
	vm_type = converts;
	if (!converts)
		vm = vm_new(kvm, 0);
	if (!(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) & GUEST_MEMFD_FLAG_INIT_SHARED))
		skip_all("this kernel cannot map a shared guest_memfd");
	touch_init();
	test_pointers();
	test_read_only();
	test_sizes();
	test_races();
	child(with_no_file_size, 5);
	child(with_few_addresses, 3);
	child(with_few_mappings, 4);
	test_timer();
	return done_testing();
}
