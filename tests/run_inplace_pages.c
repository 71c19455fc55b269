// SPDX-License-Identifier: MIT
/*
 * tests/run_inplace_pages.c - what a conversion does to pages, mappings and contents
 *
 * The kernel's guest_memfd_conversions_test without its guest (numbers in
 * brackets are its steps), and what lies beside it.
 */
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "tests/run_inplace.h"

#define SIZE (8 * PG)

static int kvm, vm;

static void init_private(void)
{
	int fd = gmem_new(vm, PG, GUEST_MEMFD_FLAG_MMAP);
	char *ptr = map_shared(fd, PG, 0);

	is_private(ptr, "[1] a fresh page of a file that starts private");
	is(set_attr2(fd, 0, PG, SHARED, NULL), 0, "[2] to shared");
	is_shared(ptr, 0, "[13] never allocated");
	*ptr = 'C';
	is(set_attr2(fd, 0, PG, PRIVATE, NULL), 0, "[3] to private");
	is_private(ptr, "[3] it");
	is(set_attr2(fd, 0, PG, SHARED, NULL), 0, "to shared");
	is_shared(ptr, 'C', "contents kept");
	munmap(ptr, PG);
	close(fd);
}

/* Neighbours are left alone, for each page of the file. */
static void precision(void)
{
	for (size_t t = 0; t < 4; t++) {
		int fd = gmem_new(vm, 4 * PG, SHAREABLE);
		char *ptr = map_shared(fd, 4 * PG, 0);

		for (size_t i = 0; i < 4; i++)
			memset(ptr + i * PG, (int)(16 + i), PG);
		is(set_attr2(fd, t * PG, PG, PRIVATE, NULL), 0, "[8] page %zu to private", t);
		for (size_t i = 0; i < 4; i++) {
			if (i == t) {
				is_private(ptr + i * PG, "[9] its first byte");
				is_private(ptr + i * PG + PG - 1, "[9] its last byte");
			} else {
				is_shared(ptr + i * PG, (int)(16 + i), "[9] a neighbour");
				is_shared(ptr + i * PG + PG - 1, (int)(16 + i), "[9] a neighbour's last byte");
			}
		}
		is(set_attr2(fd, t * PG, PG, SHARED, NULL), 0, "[10] page %zu to shared", t);
		for (size_t i = 0; i < 4; i++)
			is_shared(ptr + i * PG, (int)(16 + i), "[11] every page");
		munmap(ptr, 4 * PG);
		close(fd);
	}
}

static void unallocated(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *ptr = map_shared(fd, SIZE, 0);

	ptr[2 * PG] = 'A';
	ptr[4 * PG] = 'A';
	is(set_attr2(fd, 0, SIZE, PRIVATE, NULL), 0, "[15] all eight at once, two of them allocated");
	for (size_t i = 0; i < 8; i++)
		is_private(ptr + i * PG, "[16] each");
	for (size_t i = 0; i < 8; i++)
		is(set_attr2(fd, i * PG, PG, SHARED, NULL), 0, "[17] each by itself to shared");
	for (size_t i = 0; i < 8; i++)
		is_shared(ptr + i * PG, i == 2 || i == 4 ? 'A' : 0, "[17] each");
	munmap(ptr, SIZE);
	close(fd);
}

static void holes(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *ptr = map_shared(fd, SIZE, 0);

	memset(ptr, 'A', SIZE);
	is(fallocate(fd, 3, 0, PG), 0, "[18] punch a shared page");
	is_shared(ptr, 0, "[18] the hole");
	*ptr = 'A';
	is(set_attr2(fd, 0, 4 * PG, PRIVATE, NULL), 0, "[19] to private");
	is(fallocate(fd, 3, 0, 6 * PG), 0, "[20] punch private and shared pages");
	is_private(ptr, "[20] a private hole");
	is_shared(ptr + 5 * PG, 0, "a shared hole");
	is(fallocate(fd, 1, 0, SIZE), 0, "allocate");
	is_private(ptr, "allocated private page");
	is(madvise(ptr, SIZE, MADV_REMOVE), 0, "REMOVE on private and shared pages");
	is_private(ptr, "after REMOVE");
	is(set_attr2(fd, 0, SIZE, SHARED, NULL), 0, "to shared");
	for (size_t i = 0; i < 8; i++)
		is_shared(ptr + i * PG, 0, "punched in private");
	munmap(ptr, SIZE);
	close(fd);
}

/* Every mapping of the file, whatever its protection, place and age. */
static void every_view(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *a = map_shared(fd, SIZE, 0), *b = map_shared(fd, 2 * SIZE, 2 * PG), *ro, *moved, *late;

	ro = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	memset(a, 'x', SIZE);
	is_shared(b, 'x', "second view");
	moved = mremap(map_shared(fd, SIZE, 0), SIZE, 2 * SIZE, MREMAP_MAYMOVE);
	is(set_attr2(fd, 2 * PG, 2 * PG, PRIVATE, NULL), 0, "to private");
	late = map_shared(fd, SIZE, 0);
	is_private(a + 2 * PG, "first view");
	is_private(b, "second view");
	is_private(moved + 3 * PG, "moved view");
	is_private(late + 3 * PG, "a view mapped after the conversion");
	{
		struct touch r = touch(ro + 2 * PG, -1), w = touch(ro + 2 * PG, 1);

		ok(r.sig == SIGBUS && r.code == BUS_ADRERR, "read only view, read");
		ok(w.sig == SIGSEGV && w.code == SEGV_ACCERR, "read only view, write");
	}
	is_shared(late + 4 * PG, 'x', "late view, shared page");
	is_shared(moved + PG, 'x', "moved view, shared page");
	{
		struct touch t = touch(moved + SIZE, -1);

		ok(t.sig == SIGBUS && t.code == BUS_ADRERR, "beyond the end");
	}
	is(mprotect(a, SIZE, PROT_NONE), 0, "mprotect none");
	is(mprotect(a, SIZE, PROT_READ | PROT_WRITE), 0, "mprotect and back");
	is_private(a + 2 * PG, "after mprotect");
	is(madvise(a, SIZE, MADV_DONTNEED), 0, "DONTNEED");
	is_private(a + 2 * PG, "after DONTNEED");
	is_shared(a, 'x', "after DONTNEED, shared");
	moved = mremap(moved, 2 * SIZE, SIZE, MREMAP_MAYMOVE);
	is_private(moved + 3 * PG, "after shrinking");
	moved = mremap(moved, 0, SIZE, MREMAP_MAYMOVE);
	is_private(moved + 3 * PG, "a duplicate");
	munmap(b, 2 * SIZE);
	b = mmap(a + 2 * PG, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 5 * PG);
	is_shared(a + 2 * PG, 'x', "another page mapped over the private one");
	is_private(a + 3 * PG, "the page beside it");
	is(set_attr2(fd, 0, SIZE, SHARED, NULL), 0, "to shared");
	is_shared(late + 3 * PG, 'x', "late view");
	is_shared(ro + 2 * PG, 'x', "read only view");
	is_shared(a + 3 * PG, 'x', "first view");
	munmap(a, SIZE);
	munmap(ro, SIZE);
	munmap(late, SIZE);
	close(fd);
}

/* mremap moves several mappings at once, of several files; holes stay where they are. */
static void several_views(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE), other = gmem_new(vm, SIZE, SHAREABLE);
	char *from = map_shared(fd, SIZE, 0), *to = map_shared(fd, SIZE, 0), *moved;

	memset(from, 'a', SIZE);
	is(set_attr2(fd, PG, PG, PRIVATE, NULL), 0, "a page to private");
	mmap(from + 4 * PG, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, other, 0);
	from[4 * PG] = 'o';
	is(set_attr2(other, PG, PG, PRIVATE, NULL), 0, "and one of another file");
	munmap(from + 3 * PG, PG);
	ok(mremap(from, 6 * PG, 6 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "both move at once");
	is_shared(to, 'a', "a shared page, moved");
	is_private(to + PG, "the private one");
	is_shared(to + 4 * PG, 'o', "the other file's");
	is_private(to + 5 * PG, "its private one");
	is_shared(to + 3 * PG, 'a', "what lay under the hole");
	is(touch(from, -1).sig, SIGSEGV, "nothing is left");
	is_shared(from + 7 * PG, 'a', "behind the range there is");
	is(set_attr2(fd, 0, SIZE, PRIVATE, NULL), 0, "all to private");
	is_private(to, "also where it has moved");
	ok(mremap(to + 3 * PG, 2 * PG, 4 * PG, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT, "several cannot be enlarged");
	madvise(from + 7 * PG, PG, MADV_RANDOM);
	ok(mremap(from + 6 * PG, 2 * PG, 4 * PG, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT, "nor where advice parts them");
	is(madvise(from + 7 * PG, PG, MADV_NORMAL), 0, "the same advice again");
	moved = mremap(from + 6 * PG, 2 * PG, 4 * PG, MREMAP_MAYMOVE);
	ok(moved != MAP_FAILED, "joins them");
	munmap(moved, 4 * PG);
	/* Cut by protections; then all of the second part becomes private, and the protections alike. */
	is(set_attr2(fd, 0, SIZE, SHARED, NULL), 0, "all to shared");
	moved = mmap(from, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, PG);
	mprotect(moved + PG, 2 * PG, PROT_READ);
	is(set_attr2(fd, 4 * PG, SIZE - 4 * PG, PRIVATE, NULL), 0, "the end to private");
	mprotect(moved + 2 * PG, PG, PROT_READ | PROT_WRITE);
	ok(mremap(moved + 2 * PG, 3 * PG, 6 * PG, MREMAP_MAYMOVE) != MAP_FAILED, "parts with and without shared pages are one");
	munmap(from, SIZE);
	munmap(to, SIZE);
	close(other);
	close(fd);
}

static void kernel_access(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE), zero = open("/dev/zero", O_RDWR), pipe_fds[2];
	int mem = open("/proc/self/mem", O_RDWR), plain = memfd_create("plain", 0);
	char *ptr = map_shared(fd, SIZE, 0), buf[64] = "x";
	struct iovec local = { buf, 16 }, remote = { ptr + PG, 16 };
	unsigned char vec[8];

	if (pipe(pipe_fds) || ftruncate(plain, (off_t)SIZE))
		die("pipe");
	memset(ptr, 'k', SIZE);
	is(set_attr2(fd, PG, PG, PRIVATE, NULL), 0, "page 1 to private");
	fails(read(zero, ptr + PG, 1), EFAULT, "read(2) into it");
	fails(pread(plain, ptr + PG, 64, 0), EFAULT, "pread(2) into it");
	is(pread(plain, ptr + PG - 32, 64, 0), 32, "pread(2) up to it");
	fails(write(pipe_fds[1], ptr + PG, 1), EFAULT, "write(2) from it");
	fails(pwrite(plain, ptr + PG, 64, 0), EFAULT, "pwrite(2) from it");
	is(pwrite(plain, ptr, 2 * PG, 0), PG, "pwrite(2) up to it");
	fails(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), EFAULT, "process_vm_readv");
	fails(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), EFAULT, "process_vm_writev");
	fails(pread(mem, buf, 16, (off_t)(ptr + PG)), EIO, "/proc/self/mem, read");
	fails(pwrite(mem, buf, 16, (off_t)(ptr + PG)), EIO, "/proc/self/mem, write");
	fails(ioctl(vm, KVM_CREATE_GUEST_MEMFD, ptr + PG), EFAULT, "an ioctl's argument");
	fails(set_attr2(fd, 0, 0, 0, NULL) ? ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, ptr + PG) : 0, EFAULT,
	      "this ioctl's argument");
	fails(madvise(ptr, 2 * PG, MADV_POPULATE_READ), EFAULT, "POPULATE_READ");
	fails(mlock(ptr, 2 * PG), ENOMEM, "mlock");
	munlock(ptr, 2 * PG);
	is(mincore(ptr, SIZE, vec), 0, "mincore");
	is(set_attr2(fd, PG, PG, SHARED, NULL), 0, "to shared");
	is(read(zero, ptr + 2 * PG, 1), 1, "read(2) into a shared one");
	is_shared(ptr + PG, 'k', "nothing got in");
	close(fd);
	close(zero);
	close(mem);
	close(plain);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	munmap(ptr, SIZE);
}

/* Large ranges, halves of 2 MiB regions, both directions over a mixed range. */
static void large(void)
{
	const size_t size = 8 * MiB;
	int fd = gmem_new(vm, size, SHAREABLE);
	char *ptr = map_shared(fd, size, 0);
	unsigned wrong = 0;

	for (size_t at = 0; at < size; at += PG)
		ptr[at] = (char)(at / PG % 251 + 1);
	is(set_attr2(fd, MiB, 5 * MiB, PRIVATE, NULL), 0, "5 MiB from the middle of a region");
	is_shared(ptr + MiB - PG, (int)((MiB - PG) / PG % 251 + 1), "before it");
	is_private(ptr + MiB, "first");
	is_private(ptr + 3 * MiB, "inside");
	is_private(ptr + 6 * MiB - 1, "last");
	is_shared(ptr + 6 * MiB, (int)(6 * MiB / PG % 251 + 1), "behind it");
	for (size_t at = 0; at < size; at += 2 * PG)
		wrong += set_attr2(fd, at, PG, SHARED, NULL) != 0;
	is(wrong, 0, "every other page to shared");
	wrong = 0;
	for (size_t at = 0; at < size; at += PG) {
		struct touch t = touch(ptr + at, -1);
		bool private = at >= MiB && at < 6 * MiB && at / PG % 2;

		wrong += private ? t.sig != SIGBUS : t.sig || t.value != (unsigned char)(at / PG % 251 + 1);
	}
	is(wrong, 0, "each page is as it should be");
	is(set_attr2(fd, 0, size, PRIVATE, NULL), 0, "a mixed range to private");
	wrong = 0;
	for (size_t at = 0; at < size; at += PG)
		wrong += touch(ptr + at, -1).sig != SIGBUS;
	is(wrong, 0, "all are refused");
	is(set_attr2(fd, 0, size, SHARED, NULL), 0, "to shared");
	wrong = 0;
	for (size_t at = 0; at < size; at += PG)
		wrong += (unsigned char)ptr[at] != at / PG % 251 + 1;
	is(wrong, 0, "contents of each page kept");
	munmap(ptr, size);
	close(fd);
}

/* The largest file: what is not mixed costs nothing. */
static void enormous(void)
{
	const uint64_t size = 1ULL << 62;
	int fd = gmem_new(vm, size, SHAREABLE);
	char *last = map_shared(fd, 2 * PG, (off_t)(size - PG)), *first = map_shared(fd, PG, 0);

	*last = 'l';
	is(set_attr2(fd, 0, size, PRIVATE, NULL), 0, "1 << 62 bytes to private");
	is_private(first, "first page");
	is_private(last, "last page");
	is(set_attr2(fd, size - PG, PG, SHARED, NULL), 0, "last page to shared");
	is_shared(last, 'l', "last page");
	is_private(first, "first page");
	is(fallocate(fd, 3, 0, (off_t)size), 0, "punch all");
	is_shared(last, 0, "last page");
	is(set_attr2(fd, 0, size, SHARED, NULL), 0, "all to shared");
	is_shared(first, 0, "first page");
	fails(set_attr2(fd, size, PG, SHARED, NULL), EINVAL, "behind the end");
	munmap(last, 2 * PG);
	munmap(first, PG);
	close(fd);
}

/* The NUMA policy at an address, or -errno. */
static int policy_of(char *ptr)
{
	int mode = -1;

	return syscall(SYS_get_mempolicy, &mode, NULL, 0, ptr, MPOL_F_ADDR) ? -errno : mode;
}

/* It is the file's, and does not depend on what is private. */
static void policies(void)
{
	int fd = gmem_new(vm, SIZE, SHAREABLE);
	char *ptr = map_shared(fd, SIZE, 0), *other;
	unsigned long node0 = 1;

	if (policy_of(ptr) == -ENOSYS) {
		skip(7, "no NUMA in this kernel");
		return;
	}
	set_attr2(fd, 0, SIZE, PRIVATE, NULL);
	is(syscall(SYS_mbind, ptr, 4 * PG, MPOL_BIND, &node0, 64, 0), 0, "mbind of private pages");
	is(policy_of(ptr), MPOL_BIND, "is seen there");
	set_attr2(fd, 0, SIZE, SHARED, NULL);
	is(policy_of(ptr + PG), MPOL_BIND, "and when they are shared");
	is(policy_of(ptr + 5 * PG), MPOL_DEFAULT, "not behind them");
	other = map_shared(fd, SIZE, 0);
	is(syscall(SYS_mbind, ptr, PG, MPOL_INTERLEAVE, &node0, 64, 0), 0, "mbind of a shared page");
	set_attr2(fd, 0, PG, PRIVATE, NULL);
	is(policy_of(other), MPOL_INTERLEAVE, "is seen in another mapping, private now");
	is(policy_of(other + PG), MPOL_BIND, "beside the first");
	munmap(ptr, SIZE);
	munmap(other, SIZE);
	close(fd);
}

int main(void)
{
	vm = inplace_vm(&kvm);
	init_private();
	precision();
	unallocated();
	holes();
	every_view();
	several_views();
	kernel_access();
	policies();
	large();
	enormous();
	return done_testing();
}
