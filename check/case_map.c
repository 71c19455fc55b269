// SPDX-License-Identifier: MIT
/*
 * check/case_map.c - mapping a file, touching it, and memory calls on the mapping
 */
#include <linux/mman.h>
#include <sys/syscall.h>

#include "check/check.h"

#define SIZE (8 * PG)
#define RW   (PROT_READ | PROT_WRITE)

/* The system call itself: libc refuses some arguments before it. */
static long try_map(int fd, uint64_t len, int prot, int flags, uint64_t off)
{
	long ret = RET(syscall(SYS_mmap, NULL, len, prot, flags, fd, off));

	if (ret < 0 && ret > -4096)
		return ret;
	munmap((void *)ret, len);
	return 0;
}

/* A new VM of type 0 and a file of it. */
static int new_file(uint64_t flags)
{
	int vm = vm_new(kvm_open(), 0);

	return gmem_new(vm, SIZE, flags);
}

void case_map_rows(void)
{
	int vm = vm_new(kvm_open(), 0);

	for (unsigned f = 0; f < 4; f++) {
		int fd = gmem_try(vm, SIZE, f);
		bool can = f & 1;

		if (fd < 0)
			continue;
#define ROW(want, name, ...) SEE(try_map(fd, __VA_ARGS__), want, "flags %u, %s", f, name)
#define FITS (!k->mappable || !can ? -ENODEV : 0)
		ROW(FITS, "shared", SIZE, RW, MAP_SHARED, 0);
		ROW(FITS, "read only", SIZE, PROT_READ, MAP_SHARED, 0);
		ROW(FITS, "no access", SIZE, PROT_NONE, MAP_SHARED, 0);
		ROW(FITS, "validated", SIZE, RW, MAP_SHARED_VALIDATE, 0);
		ROW(FITS, "beyond the end", 2 * SIZE, RW, MAP_SHARED, SIZE);
		ROW(FITS, "far beyond the end", PG, RW, MAP_SHARED, 1ULL << 50);
		ROW(FITS, "less than a page", 100, RW, MAP_SHARED, 0);
		ROW(FITS, "populated", 2 * SIZE, RW, MAP_SHARED | MAP_POPULATE, 0);
		ROW(FITS, "locked", SIZE, RW, MAP_SHARED | MAP_LOCKED, 0);
		ROW(FITS, "unknown flag", SIZE, RW, MAP_SHARED | 0x2000000, 0);
		ROW(0, "anonymous", SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, 0);
		ROW(-EINVAL, "length 0", 0, RW, MAP_SHARED, 0);
		ROW(-ENOMEM, "length 2^47", 1ULL << 47, RW, MAP_SHARED, 0);
		ROW(-EINVAL, "offset unaligned", PG, RW, MAP_SHARED, 1);
		ROW(-EINVAL, "huge pages", 2 * MiB, RW, MAP_SHARED | MAP_HUGETLB, 0);
		ROW(-EOVERFLOW, "offset 2^63 - 4096", PG, RW, MAP_SHARED, CLAMP63);
		ROW(FITS, "offset 2^63 - 8192", PG, RW, MAP_SHARED, CLAMP63 - PG);
		ROW(-EOVERFLOW, "offset below 0", PG, RW, MAP_SHARED, -PG);
		ROW(-EINVAL, "no type", PG, RW, 0, 0);
		ROW(-EINVAL, "type 4", PG, RW, 4, 0);
		ROW(-EOPNOTSUPP, "MAP_SYNC", PG, RW, MAP_SHARED_VALIDATE | MAP_SYNC, 0);
		ROW(-EOPNOTSUPP, "validated, unknown flag", PG, RW, MAP_SHARED_VALIDATE | 0x2000000, 0);
		ROW(k->noexec ? -EPERM : -ENODEV, "executable", PG, PROT_READ | PROT_EXEC, MAP_SHARED, 0);
		ROW(k->mappable ? -EINVAL : -ENODEV, "growing down", PG, RW, MAP_SHARED | MAP_GROWSDOWN, 0);
		ROW(k->mappable && can ? -EINVAL : -ENODEV, "private", PG, RW, MAP_PRIVATE, 0);
		ROW(k->mappable && can ? -EINVAL : -ENODEV, "private, no access", PG, PROT_NONE, MAP_PRIVATE, 0);
#undef FITS
#undef ROW
		close(fd);
	}
}

void case_map_fixed(void)
{
	int vm = vm_new(kvm_open(), 0), plain = gmem_new(vm, SIZE, 0), fd = gmem_new(vm, SIZE, SHAREABLE);
	char *room = map_anon(8 * PG);

	SEE(RET(mmap(room, PG, RW, MAP_SHARED | MAP_FIXED, fd, 0) == room), 1, "mapped over another mapping");
	SEE(check_load(room), 0, "content");
	SEE(RET(mmap(room + PG, PG, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0)), -EPERM, "executable");
	SEE(check_load(room + PG), 0, "what an early refusal leaves");
	SEE(RET(mmap(room + 2 * PG, PG, RW, MAP_SHARED | MAP_FIXED, plain, 0)), -ENODEV, "file without MMAP");
	SEE(check_load(room + 2 * PG), NO_MAPPING, "what it leaves");
	SEE(RET(mmap(room + 3 * PG, PG, RW, MAP_PRIVATE | MAP_FIXED, fd, 0)), -EINVAL, "private");
	SEE(check_load(room + 3 * PG), NO_MAPPING, "what it leaves");
	SEE(RET(mmap(room + 4 * PG, PG, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, plain, 0)), -EEXIST, "not to replace anything");
	SEE(check_load(room + 4 * PG), 0, "what it leaves");
	SEE(RET(mmap(room + 4 * PG, PG, PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0)), -EEXIST,
	    "not to replace anything, executable");
	SEE(RET(mmap(room + 4 * PG, PG, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, (off_t)CLAMP63)), -EEXIST,
	    "not to replace anything, overflow");
	SEE(RET(mmap(room + 4 * PG + 1, PG, RW, MAP_SHARED | MAP_FIXED, plain, 0)), -EINVAL, "address unaligned");
	SEE(RET(mmap((void *)(1UL << 60), PG, RW, MAP_SHARED | MAP_FIXED, plain, 0)), -ENOMEM, "address beyond all");
}

void case_fault_shared(void)
{
	int fd = new_file(SHAREABLE);
	char *a = map_shared(fd, SIZE, 0), *b = map_shared(fd, SIZE - PG, PG);

	for (size_t i = 0; i < SIZE / PG; i++)
		SEE(check_load(a + i * PG + i), 0, "page %zu, fresh", i);
	SEE(check_store(a + PG, 0x41), 0, "store");
	SEE(check_load(b), 0x41, "another mapping sees it");
	SEE(check_store(b + 2 * PG - 1, 0x42), 0, "store through the other");
	SEE(check_load(a + 3 * PG - 1), 0x42, "and back");
	close(fd);
	SEE(check_load(a + PG), 0x41, "after the descriptor is closed");
	SEE(check_store(a + 7 * PG, 0x43), 0, "a page never touched");
	munmap(a, SIZE);
	SEE(check_load(b + 6 * PG), 0x43, "after the first mapping is gone");
}

void case_fault_private(void)
{
	char *ptr = map_shared(new_file(GUEST_MEMFD_FLAG_MMAP), SIZE, 0);

	for (size_t i = 0; i < SIZE / PG; i++) {
		SEE(check_load(ptr + i * PG + 7 * i), REFUSED, "page %zu, load", i);
		SEE(check_store(ptr + i * PG + PG - 1, 1), REFUSED, "page %zu, store", i);
	}
}

void case_fault_beyond(void)
{
	int fd = new_file(SHAREABLE);
	char *ptr = map_shared(fd, 2 * SIZE, 0);

	SEE(check_load(ptr + SIZE - 1), 0, "the last byte");
	SEE(check_load(ptr + SIZE), REFUSED, "the first beyond");
	SEE(check_store(ptr + SIZE, 1), REFUSED, "store");
	SEE(check_load(ptr + 2 * SIZE - 1), REFUSED, "the last of the mapping");
	SEE(check_load(ptr + 2 * SIZE - 1), REFUSED, "again");
}

void case_fault_protection(void)
{
	int fd = new_file(SHAREABLE), private_fd = new_file(GUEST_MEMFD_FLAG_MMAP);
	char *ptr = map_shared(fd, 2 * SIZE, 0), *none = map_shared(private_fd, SIZE, 0);

	check_store(ptr, 0x31);
	SEE(RET(mprotect(ptr, 2 * SIZE, PROT_READ)), 0, "to read only");
	SEE(check_load(ptr), 0x31, "load");
	SEE(check_store(ptr, 1), NO_ACCESS, "store");
	SEE(check_store(ptr + SIZE, 1), NO_ACCESS, "store beyond the end");
	SEE(RET(mprotect(ptr, 2 * SIZE, PROT_NONE)), 0, "to no access");
	SEE(check_load(ptr), NO_ACCESS, "load");
	SEE(RET(mprotect(ptr, PG, PROT_READ | PROT_EXEC)), -EACCES, "to executable");
	SEE(RET(mprotect(ptr, 2 * SIZE, RW)), 0, "back");
	SEE(check_load(ptr), 0x31, "content");
	SEE(RET(mprotect(none, SIZE, PROT_READ)), 0, "private content, read only");
	SEE(check_store(none, 1), NO_ACCESS, "private content, store");
	SEE(check_load(none), REFUSED, "private content, load");
	SEE(RET(mprotect(none, SIZE, PROT_NONE)), 0, "private content, no access");
	SEE(check_load(none), NO_ACCESS, "private content, load without access");
}

void case_fault_kernel(void)
{
	int fd = new_file(SHAREABLE), mfd = memfd_create("plain", 0), pipe_fds[2];
	char *ptr = map_shared(fd, 2 * SIZE, 0), *none = map_shared(new_file(GUEST_MEMFD_FLAG_MMAP), SIZE, 0);
	char *bytes = map_anon(2 * PG);
	struct stat *edge = (struct stat *)(uintptr_t)(none + PG);

	memset(bytes, 0x5a, 2 * PG);
	if (pipe(pipe_fds) || pwrite(mfd, bytes, 2 * PG, 0) != 2 * PG)
		die("preparation");
	SEE(RET(pread(mfd, ptr, 2 * PG, 0)), 2 * PG, "read into shared pages");
	SEE(check_load(ptr + PG), 0x5a, "what was read");
	SEE(RET(pread(mfd, ptr + SIZE - PG, 2 * PG, 0)), PG, "read across the end");
	SEE(RET(pread(mfd, ptr + SIZE - 100, 200, 0)), 100, "read across the end, unaligned");
	SEE(RET(pread(mfd, ptr + SIZE, 1, 0)), -EFAULT, "read beyond the end");
	SEE(RET(pwrite(mfd, ptr + SIZE - PG, 2 * PG, 0)), PG, "write across the end");
	SEE(RET(pwrite(mfd, ptr + SIZE, 1, 0)), -EFAULT, "write from beyond the end");
	SEE(RET(pread(mfd, none, 1, 0)), -EFAULT, "read into a private page");
	SEE(RET(pwrite(mfd, none, 1, 0)), -EFAULT, "write from a private page");
	SEE(RET(write(pipe_fds[1], none, 1)), -EFAULT, "pipe, write from a private page");
	SEE(RET(fstat(mfd, edge)), -EFAULT, "fstat into a private page");
	SEE(RET(pipe((int *)(uintptr_t)none)), -EFAULT, "pipe into a private page");
	SEE(RET(getcwd(ptr, PG) == ptr), 1, "getcwd into a shared page");
}

void case_memory_advice(void)
{
	static const struct {
		const char *name;
		int advice, shared, private, beyond;
	} advices[] = {
		{ "NORMAL", 0, 0, 0, 0 },	 { "RANDOM", 1, 0, 0, 0 },	  { "SEQUENTIAL", 2, 0, 0, 0 },
		{ "WILLNEED", 3, 0, 0, 0 },	 { "DONTNEED", 4, 0, 0, 0 },	  { "FREE", 8, EINVAL, EINVAL, EINVAL },
		{ "MERGEABLE", 12, 0, 0, 0 },	 { "UNMERGEABLE", 13, 0, 0, 0 },
		{ "DONTFORK", 10, 0, 0, 0 },	 { "DOFORK", 11, 0, 0, 0 },	  { "HUGEPAGE", 14, 0, 0, 0 },
		{ "NOHUGEPAGE", 15, 0, 0, 0 },	 { "DONTDUMP", 16, 0, 0, 0 },	  { "DODUMP", 17, 0, 0, 0 },
		{ "WIPEONFORK", 18, EINVAL, EINVAL, EINVAL },			  { "KEEPONFORK", 19, 0, 0, 0 },
		{ "COLD", 20, 0, 0, 0 },	 { "PAGEOUT", 21, 0, 0, 0 },	  { "POPULATE_READ", 22, 0, EFAULT, EFAULT },
		{ "POPULATE_WRITE", 23, 0, EFAULT, EFAULT },			  { "DONTNEED_LOCKED", 24, 0, 0, 0 },
		{ "COLLAPSE", 25, EINVAL, EINVAL, EINVAL },			  { "77", 77, EINVAL, EINVAL, EINVAL },
		{ "-1", -1, EINVAL, EINVAL, EINVAL },
	};
	char *ptr = map_shared(new_file(SHAREABLE), 2 * SIZE, 0), *none = map_shared(new_file(GUEST_MEMFD_FLAG_MMAP), SIZE, 0);

	check_store(ptr, 0x77);
	for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++) {
		SEE(RET(madvise(ptr, SIZE, advices[i].advice)), -advices[i].shared, "%s", advices[i].name);
		SEE(check_load(ptr), 0x77, "%s, content", advices[i].name);
		SEE(RET(madvise(none, SIZE, advices[i].advice)), -advices[i].private, "%s, private", advices[i].name);
		SEE(check_load(none), REFUSED, "%s, private, content", advices[i].name);
		SEE(RET(madvise(ptr + SIZE, PG, advices[i].advice)), -advices[i].beyond, "%s, beyond the end", advices[i].name);
		SEE(RET(madvise(ptr + 1, PG, advices[i].advice)), -EINVAL, "%s, unaligned", advices[i].name);
	}
}

void case_memory_remove(void)
{
	char *ptr = map_shared(new_file(SHAREABLE), 2 * SIZE, 0), *none = map_shared(new_file(GUEST_MEMFD_FLAG_MMAP), SIZE, 0);

	check_store(ptr, 0x41);
	check_store(ptr + PG, 0x42);
	check_store(ptr + 2 * PG, 0x43);
	SEE(RET(madvise(ptr, PG, MADV_REMOVE)), 0, "a page");
	SEE(check_load(ptr), 0, "it reads 0");
	SEE(check_load(ptr + PG), 0x42, "the next is kept");
	mprotect(ptr + PG, 2 * PG, PROT_NONE);
	SEE(RET(madvise(ptr + PG, PG, MADV_REMOVE)), 0, "through PROT_NONE");
	mprotect(ptr + PG, PG, PROT_READ);
	SEE(check_load(ptr + PG), 0, "it reads 0");
	mprotect(ptr + 2 * PG, PG, PROT_READ);
	SEE(RET(madvise(ptr + 2 * PG, PG, MADV_REMOVE)), 0, "through PROT_READ");
	SEE(check_load(ptr + 2 * PG), 0, "it reads 0");
	SEE(RET(madvise(ptr + SIZE, PG, MADV_REMOVE)), 0, "beyond the end");
	SEE(RET(madvise(none, SIZE, MADV_REMOVE)), 0, "private content");
	mlock(ptr + 4 * PG, PG);
	SEE(RET(madvise(ptr + 4 * PG, PG, MADV_REMOVE)), -EINVAL, "locked");
}

void case_memory_lock(void)
{
	char *ptr = map_shared(new_file(SHAREABLE), 2 * SIZE, 0), *none = map_shared(new_file(GUEST_MEMFD_FLAG_MMAP), SIZE, 0);

	SEE(RET(mlock(ptr, 2 * PG)), 0, "shared");
	SEE(RET(madvise(ptr, PG, MADV_DONTNEED)), -EINVAL, "DONTNEED of locked memory");
	SEE(RET(munlock(ptr, 2 * PG)), 0, "munlock");
	SEE(RET(madvise(ptr, PG, MADV_DONTNEED)), 0, "DONTNEED afterwards");
	SEE(RET(mlock(ptr + SIZE - PG, 2 * PG)), -ENOMEM, "across the end");
	SEE(RET(madvise(ptr + SIZE - PG, PG, MADV_DONTNEED)), -EINVAL, "it is locked all the same");
	SEE(RET(mlock(none, PG)), -ENOMEM, "private");
	SEE(RET(madvise(none, PG, MADV_DONTNEED)), -EINVAL, "it is locked all the same");
	SEE(RET(munlock(none, PG)), 0, "munlock");
	SEE(RET(syscall(SYS_mlock2, ptr + 4 * PG, PG, 1)), 0, "mlock2, MLOCK_ONFAULT");
	SEE(RET(syscall(SYS_mlock2, ptr + 4 * PG, PG, 2)), -EINVAL, "mlock2, an unknown flag");
	mlock(ptr, 4 * PG);
	munmap(ptr + PG, PG);
	SEE(RET(munlock(ptr, 4 * PG)), -ENOMEM, "munlock across nothing");
	SEE(RET(madvise(ptr, PG, MADV_DONTNEED)), 0, "before it: unlocked");
	SEE(RET(madvise(ptr + 2 * PG, PG, MADV_DONTNEED)), -EINVAL, "behind it: locked");
}

void case_memory_resident(void)
{
	int fd = new_file(SHAREABLE);
	char *ptr = map_shared(fd, 2 * SIZE, 0), *other = map_shared(fd, SIZE, 0);

	SEE(check_residence(ptr, 16), 0, "fresh");
	fallocate(fd, 1, 0, SIZE);
	SEE(check_residence(ptr, 16), 0, "allocated");
	fallocate(fd, 1, 0, SIZE);
	SEE(check_residence(ptr, 16), 0, "allocated twice");
	check_store(ptr, 1);
	check_load(ptr + 3 * PG);
	SEE(check_residence(ptr, 16), 9, "pages 0 and 3 touched");
	SEE(check_residence(other, 8), 9, "another mapping");
	madvise(ptr, SIZE, MADV_DONTNEED);
	SEE(check_residence(ptr, 16), 9, "after DONTNEED");
	madvise(ptr, SIZE, MADV_PAGEOUT);
	SEE(check_residence(ptr, 16), 9, "after PAGEOUT");
	fallocate(fd, 3, 0, PG);
	SEE(check_residence(ptr, 16), 8, "after a hole");
	munmap(ptr + PG, PG);
	SEE(check_residence(ptr, 4), -ENOMEM, "across nothing");
	SEE(RET(mincore(other, PG, BAD_PTR)), -EFAULT, "bad vector");
	SEE(RET(mincore(other + 1, PG, BAD_PTR)), -EINVAL, "unaligned");
}

void case_memory_guard(void)
{
	char *ptr = map_shared(new_file(SHAREABLE), 2 * SIZE, 0);
	bool has = check_guards();

	check_store(ptr + PG, 0x51);
	SEE(RET(madvise(ptr + PG, PG, GUARD_INSTALL)), has ? 0 : -EINVAL, "install");
	SEE(check_load(ptr + PG), has ? NO_MAPPING : 0x51, "load");
	SEE(check_load(ptr + 2 * PG), 0, "beside it");
	madvise(ptr + PG, PG, MADV_DONTNEED);
	SEE(check_store(ptr + PG, 0x51), has ? NO_MAPPING : 0, "store after DONTNEED");
	SEE(RET(madvise(ptr, 2 * PG, MADV_POPULATE_READ)), has ? -EFAULT : 0, "POPULATE across it");
	SEE(RET(madvise(ptr + PG, PG, GUARD_REMOVE)), has ? 0 : -EINVAL, "remove");
	SEE(check_load(ptr + PG), 0x51, "content");
	mlock(ptr + 3 * PG, PG);
	SEE(RET(madvise(ptr + 3 * PG, PG, GUARD_INSTALL)), -EINVAL, "locked");
}

void case_memory_sync(void)
{
	char *ptr = map_shared(new_file(SHAREABLE), SIZE, 0);

	SEE(RET(msync(ptr, SIZE, MS_ASYNC)), 0, "ASYNC");
	SEE(RET(msync(ptr, SIZE, MS_SYNC)), -EINVAL, "SYNC");
	SEE(RET(msync(ptr, SIZE, MS_SYNC | MS_INVALIDATE)), -EINVAL, "SYNC, INVALIDATE");
	SEE(RET(msync(ptr, SIZE, MS_INVALIDATE)), 0, "INVALIDATE");
	SEE(RET(msync(ptr, SIZE, MS_SYNC | MS_ASYNC)), -EINVAL, "both");
	SEE(RET(msync(ptr, 0, MS_SYNC)), 0, "nothing");
	mlock(ptr, PG);
	SEE(RET(msync(ptr, PG, MS_INVALIDATE)), -EBUSY, "INVALIDATE of locked memory");
	munmap(ptr + PG, PG);
	SEE(RET(msync(ptr, 3 * PG, MS_ASYNC)), -ENOMEM, "across nothing");
}

void case_memory_move(void)
{
	int fd = new_file(SHAREABLE);
	char *ptr = map_shared(fd, 2 * PG, 0), *grown, *twin, *moved;

	check_store(ptr + PG, 0x61);
	grown = mremap(ptr, 2 * PG, 2 * SIZE, MREMAP_MAYMOVE);
	SEE(grown != MAP_FAILED, 1, "grow");
	SEE(check_load(grown + PG), 0x61, "content");
	SEE(check_load(grown + SIZE - PG), 0, "what was grown");
	SEE(check_load(grown + SIZE), REFUSED, "beyond the end");
	SEE(mremap(grown, 2 * SIZE, 4 * PG, 0) == grown, 1, "shrink");
	SEE(check_load(grown + 4 * PG), NO_MAPPING, "what was cut off");
	twin = mremap(grown, 0, 4 * PG, MREMAP_MAYMOVE);
	SEE(twin != MAP_FAILED, 1, "duplicate");
	SEE(check_store(twin + PG, 0x62), 0, "store to it");
	SEE(check_load(grown + PG), 0x62, "the first sees it");
	SEE(RET(mremap(grown + 1, PG, PG, 0)), -EINVAL, "unaligned");
	SEE(RET(mremap(grown, PG, 0, MREMAP_MAYMOVE)), -EINVAL, "to nothing");
	moved = mremap(twin, 4 * PG, 4 * PG, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	SEE(moved != MAP_FAILED, 1, "moved, and the old place stays");
	SEE(check_load(moved + PG), 0x62, "the new place");
	SEE(check_load(twin + PG), 0x62, "the old place");
	SEE(check_store(twin + PG, 0x63), 0, "a store there");
	SEE(check_load(moved + PG), 0x63, "the new place sees it");
	check_store(grown, 0x60);
	SEE(RET(remap_file_pages(grown + PG, PG, 0, 0, 0)), 0, "remap_file_pages");
	SEE(check_load(grown + PG), 0x60, "the first page in place of the second");
}
