// SPDX-License-Identifier: MIT
/*
 * tests/run_native_create.c - KVM_CREATE_GUEST_MEMFD, check by check
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <sys/resource.h>

#include "tests/run_kvm.h"

static int vm;

static void create_case(uint64_t size, uint64_t flags)
{
	long fd = CASE_OK(gmem_try(vm, size, flags), "size %#llx flags %#llx", (unsigned long long)size,
			  (unsigned long long)flags);

	if (fd >= 0)
		close((int)fd);
}

static void flags_and_sizes(void)
{
	static const uint64_t sizes[] = { 0,	    1,		4095,	     4097,	   8191,	 8192,
					  1 << 21,  1ULL << 40, 1ULL << 62,  CLAMP63,	   CLAMP63 + 1,	 CLAMP63 + 4095,
					  1ULL << 63, (1ULL << 63) + PG, -PG, ~0ULL };

	group("flags");
	for (unsigned bit = 0; bit < 64; bit++)
		create_case(PG, 1ULL << bit);
	create_case(PG, 0);
	create_case(PG, SHAREABLE);
	create_case(PG, SHAREABLE | 4);
	create_case(PG, ~0ULL);

	group("sizes");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (uint64_t flags = 0; flags < 4; flags++)
			create_case(sizes[i], flags);
	for (uint64_t size = 1; size < PG; size += 7)
		if (gmem_try(vm, size, 0) != -1 || errno != EINVAL)
			note("size %llu: not EINVAL", (unsigned long long)size);

	group("flags and size both wrong");
	create_case(0, 4);
	create_case(4095, 1ULL << 63);
}

static void structures(void)
{
	struct kvm_create_guest_memfd arg, before, *edge = at_edge(sizeof(*edge)), *over = at_edge(sizeof(*over) - 1);
	char *page = map_anon(PG);
	long fd;

	group("the structure");
	memset(&arg, 0xff, sizeof(arg));
	arg.size = PG;
	arg.flags = 0;
	before = arg;
	fd = CASE_OK(ioctl(vm, KVM_CREATE_GUEST_MEMFD, &arg), "reserved all ones");
	note("written back: %d", memcmp(&arg, &before, sizeof(arg)) != 0);
	close((int)fd);

	arg.flags = 4;
	before = arg;
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, &arg), "reserved all ones, bad flag");
	note("written back: %d", memcmp(&arg, &before, sizeof(arg)) != 0);

	*edge = (struct kvm_create_guest_memfd){ .size = PG };
	fd = CASE_OK(ioctl(vm, KVM_CREATE_GUEST_MEMFD, edge), "ends at the edge of a mapping");
	close((int)fd);
	over->size = PG;
	over->flags = 0;
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, over), "one byte over the edge");
	over->size = 1;
	over->flags = 4;
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, over), "one byte over the edge, everything wrong");

	*(struct kvm_create_guest_memfd *)page = (struct kvm_create_guest_memfd){ .size = PG };
	mprotect(page, PG, PROT_READ);
	fd = CASE_OK(ioctl(vm, KVM_CREATE_GUEST_MEMFD, page), "read only");
	close((int)fd);
	mprotect(page, PG, PROT_NONE);
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, page), "PROT_NONE");
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, NULL), "NULL");
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR), "8");
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, KERNEL_PTR), "kernel address");
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, (void *)~0UL), "-1");
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, (void *)0x1000000000000000UL), "not canonical");
	munmap(page, PG);
}

/* An argument inside guest memory is read through the mapping like any other. */
static void structure_in_gmem(void)
{
	int shared = gmem_new(vm, PG, SHAREABLE), private = gmem_new(vm, PG, GUEST_MEMFD_FLAG_MMAP);
	char *in_shared = map_shared(shared, 2 * PG, 0), *in_private = map_shared(private, PG, 0);
	long fd;

	group("the structure in guest memory");
	*(struct kvm_create_guest_memfd *)in_shared = (struct kvm_create_guest_memfd){ .size = PG };
	fd = CASE_OK(ioctl(vm, KVM_CREATE_GUEST_MEMFD, in_shared), "shared");
	close((int)fd);
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, in_private), "private");
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, in_shared + PG - 32), "across the end of the file");
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, in_shared + PG), "beyond the end of the file");
	munmap(in_shared, 2 * PG);
	munmap(in_private, PG);
	close(shared);
	close(private);
}

static void descriptors(void)
{
	struct rlimit old, none;
	int hole, fd;

	group("descriptors");
	hole = dup(0);
	dup(0);
	close(hole);
	fd = gmem_new(vm, PG, 0);
	note("lowest free: %d", fd == hole);
	CASE(fcntl(fd, F_GETFD), "F_GETFD");
	CASE(fcntl(fd, F_GETFL), "F_GETFL");
	close(fd);

	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	group("no fd left");
	create_case(PG, 0);
	create_case(PG, 4);
	create_case(1, 0);
	create_case(0, 1ULL << 63);
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR), "bad pointer");
	CASE(ioctl(vm, _IOW(KVMIO, 0xd4, struct kvm_create_guest_memfd), BAD_PTR), "another direction");
	setrlimit(RLIMIT_NOFILE, &old);
	create_case(PG, 0);
}

/* The largest file costs nothing; neither do many. */
static void many(void)
{
	int fds[64];
	struct stat st, first;

	group("many");
	for (size_t i = 0; i < 64; i++)
		fds[i] = gmem_new(vm, CLAMP63, i % 4);
	fstat(fds[0], &first);
	fstat(fds[63], &st);
	note("inodes differ: %d, device the same: %d", st.st_ino != first.st_ino, st.st_dev == first.st_dev);
	note("size %#llx", (unsigned long long)st.st_size);
	for (size_t i = 0; i < 64; i++)
		CASE(close(fds[i]), "close %zu", i);
	CASE(close(fds[0]), "close again");
}

static int child(void *arg)
{
	CASE(gmem_try(vm, PG, 0), "child, right");
	CASE(gmem_try(vm, 1, 4), "child, everything wrong");
	CASE(ioctl(vm, KVM_CREATE_GUEST_MEMFD, BAD_PTR), "child, bad pointer");
	CASE(ioctl(vm, _IOW(KVMIO, 0xd4, struct kvm_create_guest_memfd), BAD_PTR), "child, another direction");
	return 0;
}

static void other_fds(int kvm)
{
	struct kvm_create_guest_memfd arg = { .size = PG };
	int copy = dup(vm), path = open("/proc/self/exe", O_PATH), file = open("/proc/self/exe", O_RDONLY);
	long fd;

	group("on other descriptors");
	CASE(ioctl(kvm, KVM_CREATE_GUEST_MEMFD, &arg), "device");
	fd = CASE_OK(ioctl(copy, KVM_CREATE_GUEST_MEMFD, &arg), "dup of the VM");
	CASE(ioctl((int)fd, KVM_CREATE_GUEST_MEMFD, &arg), "guest_memfd");
	CASE(ioctl(file, KVM_CREATE_GUEST_MEMFD, &arg), "a file");
	CASE(ioctl(path, KVM_CREATE_GUEST_MEMFD, &arg), "O_PATH");
	close((int)fd);
	close(copy);
	CASE(ioctl(copy, KVM_CREATE_GUEST_MEMFD, &arg), "closed");
	close(path);
	close(file);
}

int main(void)
{
	int kvm = kvm_open();

	vm = vm_new(kvm, 0);
	flags_and_sizes();
	structures();
	structure_in_gmem();
	descriptors();
	many();
	other_fds(kvm);
	group("a child");
	note("status %d", in_child(child, NULL));
	return 0;
}
