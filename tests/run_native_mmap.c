// SPDX-License-Identifier: MIT
/*
 * tests/run_native_mmap.c - mapping a guest_memfd: every row of mmap(2), and what touches do
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <linux/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/run_kvm.h"

#define SIZE (4 * PG)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static int vm;

static void map_case(const char *name, int fd, uint64_t len, int prot, int flags, uint64_t off)
{
	/* The system call itself: libc refuses some arguments before it. */
	long ret = CASE_OK(syscall(SYS_mmap, NULL, len, prot, flags, fd, off), "%s", name);

	if (ret != -1)
		munmap((void *)ret, len);
}

static void rows(int fd)
{
	const int rw = PROT_READ | PROT_WRITE, x = PROT_READ | PROT_EXEC;

	map_case("shared", fd, SIZE, rw, MAP_SHARED, 0);
	map_case("shared, read", fd, SIZE, PROT_READ, MAP_SHARED, 0);
	map_case("shared, write", fd, SIZE, PROT_WRITE, MAP_SHARED, 0);
	map_case("shared, none", fd, SIZE, PROT_NONE, MAP_SHARED, 0);
	map_case("validated", fd, SIZE, rw, MAP_SHARED_VALIDATE, 0);
	map_case("length not a page", fd, 100, rw, MAP_SHARED, 0);
	map_case("last page", fd, PG, rw, MAP_SHARED, SIZE - PG);
	map_case("beyond the end", fd, 16 * PG, rw, MAP_SHARED, 0);
	map_case("at the end", fd, PG, rw, MAP_SHARED, SIZE);
	map_case("far beyond the end", fd, PG, rw, MAP_SHARED, 1ULL << 50);
	map_case("populate", fd, SIZE, rw, MAP_SHARED | MAP_POPULATE, 0);
	map_case("populate beyond the end", fd, 2 * SIZE, rw, MAP_SHARED | MAP_POPULATE, 0);
	map_case("nonblock populate", fd, SIZE, rw, MAP_SHARED | MAP_POPULATE | MAP_NONBLOCK, 0);
	map_case("locked", fd, SIZE, rw, MAP_SHARED | MAP_LOCKED, 0);
	map_case("locked beyond the end", fd, 2 * SIZE, rw, MAP_SHARED | MAP_LOCKED, 0);
	map_case("noreserve", fd, SIZE, rw, MAP_SHARED | MAP_NORESERVE, 0);
	map_case("stack", fd, SIZE, rw, MAP_SHARED | MAP_STACK, 0);
	map_case("32 bit", fd, SIZE, rw, MAP_SHARED | MAP_32BIT, 0);
	map_case("unknown flag", fd, SIZE, rw, MAP_SHARED | 0x2000000, 0);
	map_case("denywrite and executable", fd, SIZE, rw, MAP_SHARED | MAP_DENYWRITE | MAP_EXECUTABLE, 0);
	map_case("anonymous", fd, SIZE, rw, MAP_SHARED | MAP_ANONYMOUS, 0);
	map_case("private anonymous", fd, SIZE, rw, MAP_PRIVATE | MAP_ANONYMOUS, 0);

	map_case("length 0", fd, 0, rw, MAP_SHARED, 0);
	map_case("length -1", fd, ~0ULL, rw, MAP_SHARED, 0);
	map_case("length 1 << 47", fd, 1ULL << 47, rw, MAP_SHARED, 0);
	map_case("offset not a page", fd, PG, rw, MAP_SHARED, 1);
	map_case("huge", fd, 2 * MiB, rw, MAP_SHARED | MAP_HUGETLB, 0);
	map_case("offset CLAMP63", fd, PG, rw, MAP_SHARED, CLAMP63);
	map_case("offset CLAMP63 - PG", fd, PG, rw, MAP_SHARED, CLAMP63 - PG);
	map_case("offset CLAMP63 - PG, 2 pages", fd, 2 * PG, rw, MAP_SHARED, CLAMP63 - PG);
	map_case("offset CLAMP63 - PG, 3 pages", fd, 3 * PG, rw, MAP_SHARED, CLAMP63 - PG);
	map_case("offset 1 << 63", fd, PG, rw, MAP_SHARED, 1ULL << 63);
	map_case("offset -PG", fd, PG, rw, MAP_SHARED, -PG);
	map_case("no type", fd, PG, rw, 0, 0);
	map_case("type 4", fd, PG, rw, 4, 0);
	map_case("type 0xf", fd, PG, rw, 0xf, 0);
	map_case("sync", fd, PG, rw, MAP_SHARED_VALIDATE | MAP_SYNC, 0);
	map_case("validated, unknown flag", fd, PG, rw, MAP_SHARED_VALIDATE | 0x2000000, 0);
	map_case("sync without validation", fd, PG, rw, MAP_SHARED | MAP_SYNC, 0);
	map_case("exec", fd, PG, x, MAP_SHARED, 0);
	map_case("exec only", fd, PG, PROT_EXEC, MAP_SHARED, 0);
	map_case("growsdown", fd, PG, rw, MAP_SHARED | MAP_GROWSDOWN, 0);
	map_case("private", fd, PG, rw, MAP_PRIVATE, 0);
	map_case("private, read", fd, PG, PROT_READ, MAP_PRIVATE, 0);
	map_case("private, none", fd, PG, PROT_NONE, MAP_PRIVATE, 0);
	map_case("private, populate", fd, PG, rw, MAP_PRIVATE | MAP_POPULATE, 0);
	map_case("unknown protection", fd, PG, rw | 0x100, MAP_SHARED, 0);

	group("two checks at once");
	map_case("length 0, offset not a page", fd, 0, rw, MAP_SHARED, 1);
	map_case("offset not a page, bad type", fd, PG, rw, 0, 1);
	map_case("length 0, overflow", fd, 0, rw, MAP_SHARED, -PG);
	map_case("huge, overflow", fd, 2 * MiB, rw, MAP_SHARED | MAP_HUGETLB, -PG);
	map_case("overflow, bad type", fd, PG, rw, 0, -PG);
	map_case("overflow, sync", fd, PG, rw, MAP_SHARED_VALIDATE | MAP_SYNC, -PG);
	map_case("bad type, exec", fd, PG, x, 0, 0);
	map_case("sync, exec", fd, PG, x, MAP_SHARED_VALIDATE | MAP_SYNC, 0);
	map_case("exec, growsdown", fd, PG, x, MAP_SHARED | MAP_GROWSDOWN, 0);
	map_case("exec, private", fd, PG, x, MAP_PRIVATE, 0);
	map_case("growsdown, private", fd, PG, rw, MAP_PRIVATE | MAP_GROWSDOWN, 0);
	map_case("validated, growsdown", fd, PG, rw, MAP_SHARED_VALIDATE | MAP_GROWSDOWN, 0);
	map_case("length -1, bad type", fd, ~0ULL, rw, 0, 0);
	map_case("too long, exec", fd, 1ULL << 47, x, MAP_SHARED, 0);
}

static void placement(int fd)
{
	char *room = map_anon(8 * PG), *ptr;

	group("placement");
	ptr = mmap(room + PG, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	note("fixed: %d", ptr == room + PG);
	ptr = mmap(room + 2 * PG, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	note("fixed, no replacement: %s", ptr == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	ptr = mmap(room + 1, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	note("fixed, unaligned: %s", ptr == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	ptr = mmap((void *)0x7ffffffff000, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	note("fixed, at the end of user space: %s", ptr == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	ptr = mmap(room + 4 * PG, PG, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0);
	note("fixed, refused: %s", ptr == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	case_write("what a refused one would have replaced", room, 4 * PG, 0x44);
	/* A mapping of something else over a guest_memfd's, and back. */
	ptr = mmap(room + PG, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	note("replaced: %d", ptr == room + PG);
	case_read("anonymous memory in its place", room, PG);
	CASE(munmap(room, 8 * PG), "munmap");
	case_read("unmapped", room, PG);
	CASE(munmap(room + 1, PG), "munmap, unaligned");
	CASE(munmap(room, 0), "munmap, length 0");
}

static void descriptor_rows(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE), path;

	group("descriptors");
	map_case("fd -1", -1, PG, PROT_READ, MAP_SHARED, 0);
	map_case("fd -1, length 0", -1, 0, PROT_READ, MAP_SHARED, 0);
	map_case("fd -1, offset not a page", -1, PG, PROT_READ, MAP_SHARED, 1);
	map_case("fd -1, bad type", -1, PG, PROT_READ, 0, 0);
	path = open("/proc/self/exe", O_PATH);
	map_case("O_PATH", path, PG, PROT_READ, MAP_SHARED, 0);
	close(path);
	path = dup(fd);
	close(fd);
	map_case("closed", fd, PG, PROT_READ, MAP_SHARED, 0);
	map_case("dup", path, PG, PROT_READ, MAP_SHARED, 0);
	close(path);
}

static void faults(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags);
	char *a, *b;

	if (!(flags & GUEST_MEMFD_FLAG_MMAP)) {
		close(fd);
		return;
	}
	group("touches");
	a = map_shared(fd, 3 * SIZE, 0);
	b = map_shared(fd, SIZE, PG);
	case_read("first byte", a, 0);
	case_write("write", a, 0, 0xa5);
	case_read("read back", a, 0);
	case_read("odd address", a, 123);
	case_write("last byte", a, SIZE - 1, 0x5a);
	case_read("through the other mapping", b, SIZE - PG - 1);
	case_read("first byte beyond the end", a, SIZE);
	case_write("write beyond the end", a, SIZE + 77, 1);
	case_read("far beyond the end", a, 3 * SIZE - 1);
	case_read("other mapping, beyond the end", b, SIZE - PG);
	CASE(fallocate(fd, 1, 0, SIZE), "allocate");
	case_read("allocated", a, PG);
	case_read("content kept", a, 0);
	CASE(fallocate(fd, 3, 0, PG), "punch");
	case_read("punched", a, 0);
	case_read("beside the hole", a, SIZE - 1);
	case_write("write into the hole", a, 0, 0x77);
	CASE(fallocate(fd, 3, 0, CLAMP63), "punch everything");
	case_read("punched", a, 0);
	case_read("punched, other mapping", b, 0);

	CASE(mprotect(a, PG, PROT_READ), "mprotect, read");
	case_read("read only, read", a, 0);
	case_write("read only, write", a, 0, 1);
	CASE(mprotect(a, PG, PROT_NONE), "mprotect, none");
	case_read("none, read", a, 0);
	CASE(mprotect(a, PG, PROT_READ | PROT_WRITE), "mprotect, write");
	case_write("write", a, 0, 2);
	CASE(mprotect(a, PG, PROT_READ | PROT_EXEC), "mprotect, exec");
	CASE(mprotect(a, PG, PROT_EXEC), "mprotect, exec only");
	CASE(mprotect(a + 1, PG, PROT_READ), "mprotect, unaligned");
	CASE(mprotect(a + 3 * SIZE - PG, PG, PROT_READ), "mprotect beyond the end");
	case_read("beyond the end, read only", a, 3 * SIZE - PG);
	CASE(mprotect(a, PG, 0x100), "mprotect, unknown bits");

	CASE(munmap(a + PG, PG), "munmap in the middle");
	case_read("unmapped", a, PG);
	case_read("beside", a, 0);
	case_read("beside", a, 2 * PG);
	munmap(a, 3 * SIZE);
	munmap(b, SIZE);
	close(fd);
}

/* A read only view of what another mapping writes, and instructions wider than a byte across pages. */
static void coherent(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *rw = map_shared(fd, SIZE, 0), *ro = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t word;

	group("coherence");
	memset(rw, 0x11, SIZE);
	memcpy(&word, ro + PG - 4, sizeof(word));
	note("across two pages: %#llx", (unsigned long long)word);
	case_write("read only mapping", ro, 0, 1);
	madvise(ro, SIZE, MADV_DONTNEED);
	rw[PG] = 0x22;
	case_read("after DONTNEED", ro, PG);
	munmap(rw, SIZE);
	munmap(ro, SIZE);
	close(fd);
}

/* PMD sized and aligned, as the kernel's own test does. */
static void aligned(void)
{
	int fd = gmem_new(vm, 2 * MiB, SHAREABLE);
	char *room = mmap(NULL, 4 * MiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)room + 2 * MiB - 1) & -(2 * MiB)), *ptr;
	unsigned long sum = 0;

	group("2 MiB aligned");
	ptr = mmap(at, 2 * MiB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	note("mapped: %d", ptr == at);
	memset(ptr, 1, 2 * MiB);
	for (size_t i = 0; i < 2 * MiB; i++)
		sum += (unsigned char)ptr[i];
	note("sum %lu", sum);
	CASE(madvise(ptr, 2 * MiB, MADV_HUGEPAGE), "HUGEPAGE");
	CASE(madvise(ptr, 2 * MiB, MADV_COLLAPSE), "COLLAPSE");
	CASE(fallocate(fd, 3, PG, 2 * MiB - PG), "punch all but the first page");
	case_read("kept", ptr, 0);
	case_read("gone", ptr, 2 * MiB - 1);
	munmap(room, 4 * MiB);
	close(fd);
}

static void out_of_fds_and_space(void)
{
	struct rlimit old, now;
	int fd = gmem_new(vm, 1ULL << 40, SHAREABLE), allocated, larger;

	group("limits");
	getrlimit(RLIMIT_NOFILE, &old);
	now = old;
	now.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &now);
	map_case("no fd left", fd, PG, PROT_READ, MAP_SHARED, 0);
	map_case("1 TiB", fd, 1ULL << 40, PROT_READ, MAP_SHARED, 0);
	setrlimit(RLIMIT_NOFILE, &old);
	getrlimit(RLIMIT_FSIZE, &old);
	now = old;
	now.rlim_cur = PG;
	setrlimit(RLIMIT_FSIZE, &now);
	allocated = fallocate(fd, 1, 2 * PG, PG);
	larger = gmem_try(vm, MiB, 0);
	/* Our own output is limited too. */
	setrlimit(RLIMIT_FSIZE, &old);
	note("allocate beyond RLIMIT_FSIZE: %d", allocated);
	note("a file beyond RLIMIT_FSIZE: %d", larger >= 0);
	close(fd);
}

int main(void)
{
	int kvm = kvm_open();

	touch_init();
	vm = vm_new(kvm, 0);
	for (uint64_t flags = 0; flags < 4; flags++) {
		int fd = gmem_new(vm, SIZE, flags);

		note("==== flags %llu", (unsigned long long)flags);
		rows(fd);
		close(fd);
		faults(flags);
	}
	note("==== once");
	fflush(stdout);
	placement(gmem_new(vm, SIZE, SHAREABLE));
	descriptor_rows();
	coherent();
	aligned();
	out_of_fds_and_space();
	return 0;
}
