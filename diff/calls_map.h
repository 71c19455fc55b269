/* SPDX-License-Identifier: MIT */
/*
 * diff/calls_map.h - steps on mappings: mmap and what follows it, touches, copies of the kernel
 *
 * Goes behind diff/calls.h, here and in a reproducer.
 */
/* The naive model keeps the first pages of a large file: others are not mapped, and mremap does not come so far. */
static int is_kept(int fd, u64 offset)
{
	struct stat st;

	return offset < 64 * PAGE || fstat(fd, &st) || offset >= (u64)st.st_size;
}

static struct result map(u64 w, u64 at, u64 pages, u64 f, u64 offset, u64 prot, u64 flags)
{
	s64 ret;

	if (file[f] < 0 || !is_kept(file[f], offset))
		return skipped();
	ret = syscall(SYS_mmap, window(w) + at * PAGE, pages * PAGE, prot, flags | MAP_FIXED, file[f], offset);
	return result_of(ret == -1 ? -1 : ret != (s64)(uintptr_t)(window(w) + at * PAGE));
}

static struct result unmap(u64 w, u64 at, u64 pages)
{
	return result_of(munmap(window(w) + at * PAGE, pages * PAGE));
}

static struct result protect(u64 w, u64 at, u64 pages, u64 prot)
{
	return result_of(mprotect(window(w) + at * PAGE, pages * PAGE, (int)prot));
}

/* Sizes in pages.  Where the kernel chooses the address, what is new there goes again: 1. */
static struct result remap(u64 w, u64 at, u64 size, u64 to, u64 to_at, u64 new_size, u64 flags)
{
	char *from = window(w) + at * PAGE, *target = window(to) + to_at * PAGE, *ret;

	ret = (char *)mremap(from, size * PAGE, new_size * PAGE, (int)flags, target);
	if (ret == (char *)MAP_FAILED)
		return result_of(-1);
	if (ret != (flags & MREMAP_FIXED ? target : from) && !munmap(ret, new_size * PAGE))
		return result_of(1);
	return result_of(0);
}

static struct result advise(u64 w, u64 at, u64 pages, u64 advice)
{
	return result_of(madvise(window(w) + at * PAGE, pages * PAGE, (int)advice));
}

static struct result lock(u64 w, u64 at, u64 pages)
{
	return result_of(mlock(window(w) + at * PAGE, pages * PAGE));
}

static struct result unlock(u64 w, u64 at, u64 pages)
{
	return result_of(munlock(window(w) + at * PAGE, pages * PAGE));
}

static struct result sync_range(u64 w, u64 at, u64 pages, u64 flags)
{
	return result_of(msync(window(w) + at * PAGE, pages * PAGE, (int)flags));
}

static struct result resident(u64 w, u64 at, u64 pages)
{
	unsigned char vec[WINDOW_PAGES];
	struct result ret;

	memset(vec, 0, sizeof(vec));
	ret = result_of(mincore(window(w) + at * PAGE, pages * PAGE, vec));
	for (u64 i = 0; i < pages; i++)
		ret.aux |= (u64)(vec[i] & 1) << i;
	return ret;
}

/* One thread at a time: one buffer for the jump. */
static struct result touch(u64 w, u64 at, int value)
{
	volatile unsigned char *byte = (volatile unsigned char *)window(w) + at;
	struct result ret = { 0, 0, 0, 0 };

	if (sigsetjmp(fault_env, 0)) {
		ret.sig = fault_info.si_signo;
		ret.code = fault_info.si_code;
		ret.aux = (u64)(uintptr_t)fault_info.si_addr - (u64)(uintptr_t)window(w);
		return ret;
	}
	if (value >= 0)
		*byte = (unsigned char)value;
	else
		ret.aux = *byte;
	return ret;
}

static struct result load(u64 w, u64 at)
{
	return touch(w, at, -1);
}

static struct result store(u64 w, u64 at, u64 value)
{
	return touch(w, at, (int)(value & 0xff));
}

/* The kernel writes into a mapping, or reads from one. */
static struct result kernel_store(u64 w, u64 at, u64 size)
{
	return result_of(pread(source, window(w) + at, size, 0));
}

static struct result kernel_load(u64 w, u64 at, u64 size)
{
	static unsigned char bytes[2 * PAGE];
	struct result ret = result_of(pwrite(sink, window(w) + at, size, 0));

	if (ret.ret > 0 && pread(sink, bytes, (size_t)ret.ret, 0) == ret.ret)
		ret.aux = hash_of(1, bytes, (size_t)ret.ret);
	return ret;
}
