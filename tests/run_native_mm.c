// SPDX-License-Identifier: MIT
/*
 * tests/run_native_mm.c - memory management calls on a guest_memfd mapping
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "tests/run_kvm.h"

#define SIZE (8 * PG)

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static int vm;

static const struct {
	const char *name;
	int advice;
} advices[] = {
	{ "NORMAL", MADV_NORMAL },
	{ "RANDOM", MADV_RANDOM },
	{ "SEQUENTIAL", MADV_SEQUENTIAL },
	{ "WILLNEED", MADV_WILLNEED },
	{ "DONTNEED", MADV_DONTNEED },
	{ "FREE", MADV_FREE },
	{ "DONTFORK", MADV_DONTFORK },
	{ "DOFORK", MADV_DOFORK },
	{ "HWPOISON", MADV_HWPOISON },
	{ "MERGEABLE", MADV_MERGEABLE },
	{ "UNMERGEABLE", MADV_UNMERGEABLE },
	{ "HUGEPAGE", MADV_HUGEPAGE },
	{ "NOHUGEPAGE", MADV_NOHUGEPAGE },
	{ "DONTDUMP", MADV_DONTDUMP },
	{ "DODUMP", MADV_DODUMP },
	{ "WIPEONFORK", MADV_WIPEONFORK },
	{ "KEEPONFORK", MADV_KEEPONFORK },
	{ "COLD", MADV_COLD },
	{ "PAGEOUT", MADV_PAGEOUT },
	{ "POPULATE_READ", MADV_POPULATE_READ },
	{ "POPULATE_WRITE", MADV_POPULATE_WRITE },
	{ "DONTNEED_LOCKED", MADV_DONTNEED_LOCKED },
	{ "COLLAPSE", MADV_COLLAPSE },
	{ "unknown 77", 77 },
	{ "unknown -1", -1 },
};

/* Each advice on content, on an unaligned address, on nothing, and beyond the end; REMOVE has a case of its own. */
static void advice(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags);
	char *ptr = map_shared(fd, 2 * SIZE, 0), *anon = map_anon(2 * PG);

	munmap(anon + PG, PG);
	group("madvise");
	touch(ptr, 0x31);
	for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++) {
		const char *name = advices[i].name;

		CASE(madvise(ptr, SIZE, advices[i].advice), "%s", name);
		case_read("content", ptr, 0);
		CASE(madvise(ptr + 1, PG, advices[i].advice), "%s, unaligned", name);
		CASE(madvise(ptr, 0, advices[i].advice), "%s, length 0", name);
		CASE(madvise(ptr, 100, advices[i].advice), "%s, length 100", name);
		CASE(madvise(ptr, (size_t)-PG, advices[i].advice), "%s, length -4096", name);
		CASE(madvise(ptr + SIZE, PG, advices[i].advice), "%s, beyond the end", name);
		CASE(madvise(ptr + SIZE - PG, 2 * PG, advices[i].advice), "%s, across the end", name);
	}
	case_read("content", ptr, 0);
	munmap(ptr, 2 * SIZE);
	munmap(anon, PG);
	close(fd);
}

static void advice_remove(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags);
	char *ptr = map_shared(fd, 2 * SIZE, 0);

	group("madvise REMOVE");
	touch(ptr, 0x41);
	touch(ptr + PG, 0x42);
	CASE(madvise(ptr, PG, MADV_REMOVE), "a page");
	case_read("removed", ptr, 0);
	case_read("beside", ptr, PG);
	CASE(madvise(ptr + 1, PG, MADV_REMOVE), "unaligned");
	CASE(madvise(ptr, 0, MADV_REMOVE), "length 0");
	CASE(madvise(ptr + SIZE, PG, MADV_REMOVE), "beyond the end");
	CASE(madvise(ptr + SIZE - PG, 2 * PG, MADV_REMOVE), "across the end");
	CASE(mprotect(ptr + PG, PG, PROT_READ), "mprotect read");
	CASE(madvise(ptr + PG, PG, MADV_REMOVE), "through PROT_READ");
	case_read("removed", ptr, PG);
	mprotect(ptr + PG, PG, PROT_READ | PROT_WRITE);
	touch(ptr + 2 * PG, 0x43);
	CASE(mprotect(ptr + 2 * PG, PG, PROT_NONE), "mprotect none");
	CASE(madvise(ptr + 2 * PG, PG, MADV_REMOVE), "through PROT_NONE");
	mprotect(ptr + 2 * PG, PG, PROT_READ | PROT_WRITE);
	case_read("removed", ptr, 2 * PG);
	CASE(mlock(ptr + 3 * PG, PG), "mlock");
	CASE(madvise(ptr + 3 * PG, PG, MADV_REMOVE), "locked");
	CASE(madvise(ptr + 2 * PG, 2 * PG, MADV_REMOVE), "partly locked");
	munlock(ptr + 3 * PG, PG);
	munmap(ptr + 4 * PG, PG);
	touch(ptr + 5 * PG, 0x45);
	CASE(madvise(ptr + 3 * PG, 3 * PG, MADV_REMOVE), "across a hole in the mappings");
	case_read("behind the hole", ptr, 5 * PG);
	munmap(ptr, 2 * SIZE);
	close(fd);
}

static void guards(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags);
	char *ptr = map_shared(fd, 2 * SIZE, 0);

	group("guard pages");
	touch(ptr + PG, 0x51);
	CASE(madvise(ptr + PG, PG, MADV_GUARD_INSTALL), "install");
	case_read("guarded", ptr, PG);
	case_write("guarded", ptr, PG, 1);
	case_read("beside", ptr, 2 * PG);
	CASE(madvise(ptr + PG, PG, MADV_DONTNEED), "DONTNEED over it");
	case_read("still guarded", ptr, PG);
	CASE(madvise(ptr + PG, PG, MADV_POPULATE_READ), "POPULATE_READ over it");
	CASE(fallocate(fd, 3, PG, PG), "punch under it");
	case_read("still guarded", ptr, PG);
	CASE(madvise(ptr + PG, PG, MADV_GUARD_REMOVE), "remove");
	case_read("content", ptr, PG);
	CASE(madvise(ptr + 1, PG, MADV_GUARD_INSTALL), "unaligned");
	CASE(madvise(ptr + SIZE, PG, MADV_GUARD_INSTALL), "beyond the end");
	case_read("beyond the end", ptr, SIZE);
	CASE(mlock(ptr + 3 * PG, PG), "mlock");
	CASE(madvise(ptr + 3 * PG, PG, MADV_GUARD_INSTALL), "locked");
	munmap(ptr, 2 * SIZE);
	close(fd);
}

static void locking(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags);
	char *ptr = map_shared(fd, 2 * SIZE, 0);
	struct rlimit old, low;

	group("mlock");
	CASE(mlock(ptr, PG), "in the file");
	CASE(madvise(ptr, PG, MADV_DONTNEED), "DONTNEED while locked");
	CASE(madvise(ptr, PG, MADV_DONTNEED_LOCKED), "DONTNEED_LOCKED");
	CASE(munlock(ptr, PG), "munlock");
	CASE(madvise(ptr, PG, MADV_DONTNEED), "DONTNEED");
	CASE(mlock(ptr + SIZE - PG, 2 * PG), "across the end");
	CASE(madvise(ptr + SIZE - PG, PG, MADV_DONTNEED), "DONTNEED after it");
	CASE(munlock(ptr + SIZE - PG, 2 * PG), "munlock");
	CASE(madvise(ptr + SIZE - PG, PG, MADV_DONTNEED), "DONTNEED");
	CASE(mlock(ptr + SIZE, PG), "beyond the end");
	munlock(ptr + SIZE, PG);
	CASE(mlock2(ptr, PG, MLOCK_ONFAULT), "mlock2 ONFAULT");
	munlock(ptr, PG);
	CASE(mlock2(ptr, PG, 8), "mlock2, bad flag");
	CASE(mlock(ptr + 1, 1), "unaligned");
	munlock(ptr, PG);
	CASE(mlock(ptr, 0), "length 0");
	CASE(mlock(ptr, (size_t)-PG), "length -4096");
	mprotect(ptr, PG, PROT_NONE);
	CASE(mlock(ptr, PG), "PROT_NONE");
	munlock(ptr, PG);
	mprotect(ptr, PG, PROT_READ | PROT_WRITE);
	munmap(ptr + 2 * PG, PG);
	CASE(mlock(ptr + PG, 3 * PG), "across a hole in the mappings");
	munlock(ptr + PG, PG);
	getrlimit(RLIMIT_MEMLOCK, &old);
	low = old;
	low.rlim_cur = PG;
	setrlimit(RLIMIT_MEMLOCK, &low);
	CASE(mlock(ptr + 4 * PG, 2 * PG), "over RLIMIT_MEMLOCK, as root: %d", geteuid() == 0);
	setrlimit(RLIMIT_MEMLOCK, &old);
	munmap(ptr, 2 * SIZE);
	close(fd);
}

static void residence_line(const char *name, char *ptr, size_t pages)
{
	unsigned char vec[32];
	char text[33] = "";

	CASE(mincore(ptr, pages * PG, vec), "%s, mincore", name);
	for (size_t i = 0; i < pages; i++)
		text[i] = (char)('0' + (vec[i] & 1));
	text[pages] = 0;
	note("%s: %s", name, text);
}

static void residence(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags);
	char *ptr = map_shared(fd, 2 * SIZE, 0), *other = map_shared(fd, SIZE, 0);
	unsigned char vec[16];

	group("mincore");
	residence_line("fresh", ptr, 16);
	fallocate(fd, 1, 0, SIZE);
	residence_line("allocated", ptr, 16);
	touch(ptr, 1);
	touch(ptr + 3 * PG, -1);
	residence_line("touched 0 and 3", ptr, 16);
	residence_line("the other mapping", other, 8);
	madvise(ptr, SIZE, MADV_DONTNEED);
	residence_line("after DONTNEED", ptr, 16);
	fallocate(fd, 3, 0, PG);
	residence_line("after a punch of 0", ptr, 16);
	CASE(mincore(ptr + 1, PG, vec), "unaligned");
	CASE(mincore(ptr, 0, vec), "length 0");
	CASE(mincore(ptr, PG, BAD_PTR), "bad vector");
	CASE(mincore(ptr, (size_t)1 << 60, vec), "length 1 << 60");
	munmap(ptr + PG, PG);
	CASE(mincore(ptr, 3 * PG, vec), "across a hole in the mappings");
	munmap(ptr, 2 * SIZE);
	munmap(other, SIZE);
	close(fd);
}

static void syncing(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags);
	char *ptr = map_shared(fd, SIZE, 0);

	group("msync");
	CASE(msync(ptr, PG, MS_ASYNC), "ASYNC");
	CASE(msync(ptr, PG, MS_SYNC), "SYNC");
	CASE(msync(ptr, PG, MS_SYNC | MS_INVALIDATE), "SYNC, INVALIDATE");
	CASE(msync(ptr, PG, MS_INVALIDATE), "INVALIDATE");
	CASE(msync(ptr, PG, MS_SYNC | MS_ASYNC), "SYNC and ASYNC");
	CASE(msync(ptr, PG, 8), "bad flag");
	CASE(msync(ptr + 1, PG, MS_ASYNC), "unaligned");
	CASE(msync(ptr, 0, MS_SYNC), "length 0");
	mlock(ptr, PG);
	CASE(msync(ptr, PG, MS_ASYNC | MS_INVALIDATE), "INVALIDATE while locked");
	munlock(ptr, PG);
	munmap(ptr + 2 * PG, PG);
	CASE(msync(ptr, SIZE, MS_ASYNC), "across a hole in the mappings");
	CASE(msync(ptr + PG, 2 * PG, MS_SYNC), "SYNC before a hole");
	munmap(ptr, SIZE);
	close(fd);
}

static void moving(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags);
	char *ptr = map_shared(fd, 2 * PG, 0), *grown, *twin, *room;

	group("mremap");
	touch(ptr + PG, 0x61);
	grown = mremap(ptr, 2 * PG, 2 * SIZE, MREMAP_MAYMOVE);
	note("grow: %s", grown == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	case_read("content", grown, PG);
	case_read("grown", grown, SIZE - PG);
	case_read("beyond the end", grown, SIZE);
	CASE_OK(mremap(grown, 2 * SIZE, 4 * PG, 0), "shrink");
	case_read("kept", grown, PG);
	case_read("cut off", grown, 4 * PG);
	twin = mremap(grown, 0, 4 * PG, MREMAP_MAYMOVE);
	note("duplicate: %s", twin == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	case_read("twin", twin, PG);
	case_write("twin", twin, PG, 0x62);
	case_read("original", grown, PG);
	room = mmap(NULL, 8 * PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CASE_OK(mremap(twin, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, room), "move");
	case_read("old place", twin, PG);
	case_read("new place", room, PG);
	twin = mremap(room, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	note("DONTUNMAP: %s", twin == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	if (twin != MAP_FAILED) {
		case_read("old place", room, PG);
		case_read("new place", twin, PG);
		munmap(twin, 4 * PG);
	}
	CASE_OK(mremap(grown + 1, PG, PG, 0), "unaligned");
	CASE_OK(mremap(grown, PG, 0, MREMAP_MAYMOVE), "to length 0");
	CASE_OK(mremap(grown, PG, PG, 8), "bad flag");
	CASE_OK(mremap(grown, PG, PG, MREMAP_FIXED, room), "FIXED without MAYMOVE");
	CASE_OK(mremap(grown, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, grown + PG), "onto itself");
	CASE_OK(mremap(grown, 64 * PG, 64 * PG, 0), "longer than the mapping");
	CASE(syscall(SYS_remap_file_pages, grown, PG, 0, 2, 0), "remap_file_pages");
	case_write("remapped", grown, 0, 0x63);
	CASE(syscall(SYS_remap_file_pages, grown, PG, PROT_READ, 2, 0), "remap_file_pages, protection");
	munmap(grown, 4 * PG);
	munmap(room, 8 * PG);
	ptr = map_shared(fd, SIZE, 0);
	case_read("page 2", ptr, 2 * PG);
	munmap(ptr, SIZE);
	close(fd);
}

/* Each page of ptr: which of the file it is, as it holds; whether it is locked. */
static void case_layout(const char *what, char *ptr, int pages)
{
	char text[200] = "";
	size_t len = 0;

	for (int i = 0; i < pages; i++) {
		int at = -1;

		if (!touch(ptr + i * PG, -1).sig)
			at = ptr[i * PG] - 1;
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %d%s", at,
					madvise(ptr + i * PG, PG, MADV_DONTNEED) && errno == EINVAL ? "L" : "");
	}
	note("%s:%s", what, text);
}

static void moving_several(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags);
	char *whole = map_shared(fd, SIZE, 0), *from, *to, *away;

	group("mremap of several mappings");
	for (int i = 0; i < 8; i++)
		touch(whole + i * PG, 1 + i);
	from = map_shared(fd, 8 * PG, 0);
	to = map_shared(fd, 8 * PG, 0);
	munmap(from + 2 * PG, PG);
	mprotect(from + 4 * PG, PG, PROT_READ);
	mlock(from + 6 * PG, PG);
	CASE_OK(mremap(from + PG, 6 * PG, 6 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, to), "with a hole between them");
	case_layout("from", from, 8);
	case_layout("to, with what lay there", to, 8);
	CASE_OK(mremap(from + 2 * PG, 6 * PG, 6 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, to), "beginning with a hole");
	case_layout("to", to, 8);
	munmap(from, 8 * PG);
	from = mmap(from, 8 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	madvise(from + 3 * PG, PG, MADV_RANDOM);
	CASE_OK(mremap(from, 4 * PG, 8 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, to), "growing over a border");
	case_layout("to", to, 8);
	CASE_OK(mremap(from, 6 * PG, 3 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, to), "shrinking over a border");
	case_layout("to", to, 8);
	case_layout("from", from, 8);
	munmap(from, 8 * PG);
	from = mmap(from, 8 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	madvise(from + 3 * PG, PG, MADV_RANDOM);
	madvise(from + 3 * PG, PG, MADV_NORMAL);
	mlock(from + 4 * PG, 4 * PG);
	munlock(from + 2 * PG, 6 * PG);
	CASE_OK(mremap(from, 8 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, to), "joined again");
	from = mmap(from, 8 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	mlock(from + 4 * PG, 4 * PG);
	CASE_OK(mremap(from + 5 * PG, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to), "DONTUNMAP of a locked page");
	case_layout("all of its mapping is unlocked", from, 8);
	case_layout("to", to, 2);
	/* Elsewhere, if it may. */
	away = mremap(from + 3 * PG, 2 * PG, 3 * PG, MREMAP_MAYMOVE);
	note("and not joined: %s", away == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	mlock(from + 4 * PG, PG);
	munlock(from + 4 * PG, PG);
	away = mremap(from + 3 * PG, 2 * PG, 3 * PG, MREMAP_MAYMOVE);
	note("until something changes there: %s", away == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	CASE_OK(mremap(from, PG, PG, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, from), "DONTUNMAP, the hint is its own place");
	munmap(from, 8 * PG);
	munmap(to, 8 * PG);
	munmap(whole, SIZE);
	close(fd);
}

static void policies(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags), mode = -1;
	char *ptr = map_shared(fd, SIZE, 0);
	unsigned long node0 = 1, mask = 0;
	void *page = ptr;
	int status = -1;

	group("NUMA");
	CASE(syscall(SYS_get_mempolicy, &mode, &mask, 64, ptr, 2), "get_mempolicy");
	note("mode %d mask %#lx", mode, mask);
	CASE(syscall(SYS_mbind, ptr, 2 * PG, MPOL_BIND, &node0, 64, 0), "mbind BIND");
	CASE(syscall(SYS_get_mempolicy, &mode, &mask, 64, ptr, 2), "get_mempolicy");
	note("mode %d mask %#lx", mode, mask);
	CASE(syscall(SYS_mbind, ptr, PG, MPOL_INTERLEAVE, &node0, 64, 0), "mbind INTERLEAVE");
	CASE(syscall(SYS_get_mempolicy, &mode, &mask, 64, ptr, 2), "get_mempolicy");
	note("mode %d mask %#lx", mode, mask);
	CASE(syscall(SYS_get_mempolicy, &mode, &mask, 64, ptr + PG, 2), "get_mempolicy, next page");
	note("mode %d mask %#lx", mode, mask);
	CASE(syscall(SYS_mbind, ptr, SIZE, MPOL_DEFAULT, NULL, 0, 0), "mbind DEFAULT");
	CASE(syscall(SYS_get_mempolicy, &mode, &mask, 64, ptr, 2), "get_mempolicy");
	note("mode %d mask %#lx", mode, mask);
	CASE(syscall(SYS_mbind, ptr, SIZE, 999, &node0, 64, 0), "mbind 999");
	CASE(syscall(SYS_mbind, ptr + 1, PG, MPOL_BIND, &node0, 64, 0), "mbind, unaligned");
	touch(ptr, 1);
	CASE(syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0), "move_pages, query");
	note("status %d", status);
	munmap(ptr, SIZE);
	close(fd);
}

static void uffd_register(int uffd, const char *name, char *ptr, uint64_t mode)
{
	struct uffdio_register reg = { .range = { (uintptr_t)ptr, PG }, .mode = mode };

	CASE(ioctl(uffd, UFFDIO_REGISTER, &reg), "register %s", name);
}

static void userfault(uint64_t flags)
{
	int fd = gmem_new(vm, SIZE, flags), uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_api api = { .api = UFFD_API };
	char *ptr = map_shared(fd, SIZE, 0), *src = map_anon(PG);
	struct uffdio_copy copy = { .dst = (uintptr_t)ptr, .src = (uintptr_t)src, .len = PG };

	group("userfaultfd");
	if (uffd < 0) {
		note("not allowed here");
	} else {
		CASE(ioctl(uffd, UFFDIO_API, &api), "API");
		uffd_register(uffd, "MISSING", ptr, UFFDIO_REGISTER_MODE_MISSING);
		uffd_register(uffd, "MINOR", ptr, UFFDIO_REGISTER_MODE_MINOR);
		uffd_register(uffd, "WP", ptr, UFFDIO_REGISTER_MODE_WP);
		uffd_register(uffd, "all", ptr, 7);
		CASE(ioctl(uffd, UFFDIO_COPY, &copy), "COPY, not registered");
		close(uffd);
	}
	munmap(src, PG);
	munmap(ptr, SIZE);
	close(fd);
}

int main(void)
{
	int kvm = kvm_open();

	touch_init();
	vm = vm_new(kvm, 0);
	for (uint64_t flags = 1; flags < 4; flags += 2) {
		note("==== flags %llu", (unsigned long long)flags);
		advice(flags);
		advice_remove(flags);
		guards(flags);
		locking(flags);
		residence(flags);
		syncing(flags);
		moving(flags);
		moving_several(flags);
		policies(flags);
		userfault(flags);
	}
	return 0;
}
