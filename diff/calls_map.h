/* SPDX-License-Identifier: MIT */
/*
 * diff/calls_map.h - steps on mappings: mmap and what follows it, touches, copies of the kernel
 *
 * Goes behind diff/calls.h, here and in a reproducer.
 */
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

	touching = 1;
	if (sigsetjmp(fault_env, 0)) {
		touching = 0;
		ret.sig = fault_info.si_signo;
		ret.code = fault_info.si_code;
		ret.aux = (u64)(uintptr_t)fault_info.si_addr - (u64)(uintptr_t)window(w);
		return ret;
	}
	if (value >= 0)
		*byte = (unsigned char)value;
	else
		ret.aux = *byte;
	touching = 0;
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

static struct iovec part(char *base, u64 size)
{
	return (struct iovec){ base, (size_t)size };
}

/* The memory of this process as a file: opened each time, since a child's is another. */
static s64 through_proc(char *at, char *bytes, u64 size, int write)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC), error;
	s64 ret = write ? pwrite(fd, bytes, size, (off_t)(uintptr_t)at) : pread(fd, bytes, size, (off_t)(uintptr_t)at);

	error = errno;
	close(fd);
	errno = error;
	return ret;
}

/* The kernel writes into a mapping: read(2) of a file, in one piece or two, another process's copy, /proc. */
static struct result kernel_store(u64 w, u64 at, u64 size, u64 how)
{
	static char bytes[2 * PAGE];
	char *to = window(w) + at;
	struct iovec whole = part(to, size), halves[2] = { part(to, size / 3), part(to + size / 3, size - size / 3) }, from;

	if (how > 1 && pread(source, bytes, sizeof(bytes), 0) != sizeof(bytes))
		return result_of(-1);
	from = part(bytes, size);
	switch (how) {
	case 0: return result_of(pread(source, to, size, 0));
	case 1: return result_of(preadv(source, halves, 2, 0));
	case 2: return result_of(process_vm_writev(getpid(), &from, 1, &whole, 1, 0));
	default: return result_of(through_proc(to, bytes, size, 1));
	}
}

/* Pages into a pipe, and what they hold out of it.  They are there before: others need not be readable to be found. */
static s64 through_pipe(char *at, char *bytes, u64 size)
{
	struct iovec whole = part(at, size);
	int tube[2], error;
	s64 ret, got;

	if (pipe2(tube, O_CLOEXEC | O_NONBLOCK))
		return -1;
	if (pwrite(sink, at, size, 0) < 0)
		errno = 0;
	ret = vmsplice(tube[1], &whole, 1, SPLICE_F_NONBLOCK);
	error = errno;
	for (s64 done = 0; done < ret; done += got) {
		got = read(tube[0], bytes + done, (size_t)(ret - done));
		if (got <= 0)
			break;
	}
	close(tube[0]);
	close(tube[1]);
	errno = error;
	return ret;
}

/* And reads from one. */
static struct result kernel_load(u64 w, u64 at, u64 size, u64 how)
{
	static char bytes[2 * PAGE];
	char *from = window(w) + at;
	struct iovec whole = part(from, size), halves[2] = { part(from, size / 3), part(from + size / 3, size - size / 3) }, to;
	struct result ret;

	to = part(bytes, size);
	switch (how) {
	case 0: ret = result_of(pwrite(sink, from, size, 0)); break;
	case 1: ret = result_of(pwritev(sink, halves, 2, 0)); break;
	case 2: ret = result_of(process_vm_readv(getpid(), &to, 1, &whole, 1, 0)); break;
	case 3: ret = result_of(through_proc(from, bytes, size, 0)); break;
	default: ret = result_of(through_pipe(from, bytes, size));
	}
	if (how < 2 && ret.ret > 0 && pread(sink, bytes, (size_t)ret.ret, 0) != ret.ret)
		return result_of(-1);
	if (ret.ret > 0)
		ret.aux = hash_of(1, bytes, (size_t)ret.ret);
	return ret;
}
