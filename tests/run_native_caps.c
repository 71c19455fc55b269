// SPDX-License-Identifier: MIT
/*
 * tests/run_native_caps.c - capabilities, VM types and what each kind of fd answers
 *
 * Compared line by line with a real kernel (tests/native.t).
 */
#include <limits.h>
#include <sys/resource.h>

#include "tests/run_kvm.h"

/* Guest memory's own capabilities: they answer as the chosen kernel, see docs/design.md. */
static const unsigned decided[] = { 3,	 10,  16,  21,	30,  81,  105, 118, 201, 231,
				    232, 233, 234, 235, 236, 244, 252 };

static void check_extension(int kvm, int vm)
{
	static const unsigned long odd[] = { 9999,	   100000,	  INT_MAX, 0x80000000UL,
					     0xffffffffUL, 0x1000000eaUL, ~0UL };

	group("KVM_CHECK_EXTENSION");
	for (size_t i = 0; i < sizeof(decided) / sizeof(*decided); i++) {
		CASE(ioctl(kvm, KVM_CHECK_EXTENSION, decided[i]), "device, %u", decided[i]);
		CASE(ioctl(vm, KVM_CHECK_EXTENSION, decided[i]), "VM, %u", decided[i]);
	}
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		CASE(ioctl(kvm, KVM_CHECK_EXTENSION, odd[i]), "device, %#lx", odd[i]);
		CASE(ioctl(vm, KVM_CHECK_EXTENSION, odd[i]), "VM, %#lx", odd[i]);
	}
}

static void device_calls(int kvm)
{
	static const unsigned long types[] = { 0,  1,  2,  3,	4,	  5,	     6,
					       7,  8,  31, 32,	63, 1UL << 32, 1UL << 63, ~0UL };

	group("device");
	CASE(ioctl(kvm, KVM_GET_API_VERSION, 0), "KVM_GET_API_VERSION(0)");
	CASE(ioctl(kvm, KVM_GET_API_VERSION, 1), "KVM_GET_API_VERSION(1)");
	CASE(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE(0)");
	CASE(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 1), "KVM_GET_VCPU_MMAP_SIZE(1)");
	/* The kernel takes 32 bits of the command. */
	CASE(ioctl(kvm, 0x10000ae00UL, 0), "KVM_GET_API_VERSION, bit 32 set");
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		long fd = CASE_OK(ioctl(kvm, KVM_CREATE_VM, types[i]), "KVM_CREATE_VM(%#lx)", types[i]);

		if (fd >= 0)
			close((int)fd);
	}
}

static void out_of_fds(int kvm)
{
	struct rlimit old, none;

	group("no fd left");
	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	CASE(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM(0)");
	CASE(ioctl(kvm, KVM_CREATE_VM, 7), "KVM_CREATE_VM(7)");
	CASE(open("/dev/kvm", O_RDWR), "open /dev/kvm");
	setrlimit(RLIMIT_NOFILE, &old);
}

static void supported_cpuid(int kvm)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} buf;

	group("KVM_GET_SUPPORTED_CPUID");
	buf.head.nent = 0;
	CASE(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &buf), "room for 0");
	note("nent %u", buf.head.nent);
	buf.head.nent = 1;
	CASE(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &buf), "room for 1");
	buf.head.nent = 256;
	CASE(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &buf), "room for 256");
	note("leaf 0 first: %d", buf.entries[0].function == 0);
	CASE(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, BAD_PTR), "bad pointer");
}

static void unknown_on(const char *what, int fd)
{
	static const unsigned long commands[] = {
		_IO(KVMIO, 0xfe),
		_IO(KVMIO, 0xd3),
		_IO(KVMIO, 0x00),
		_IO(KVMIO, 0x01),
		_IOWR(KVMIO, 0xd4, __u64),
		_IOW(KVMIO, 0xd4, struct kvm_create_guest_memfd),
		_IOW(KVMIO, 0x49, struct kvm_userspace_memory_region),
		_IOW(KVMIO, 0x46, struct kvm_userspace_memory_region2),
		KVM_SET_MEMORY_ATTRIBUTES,
		KVM_SET_MEMORY_ATTRIBUTES2,
		KVM_RUN,
		_IO('x', 1),
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		/* Arguments that a handler which exists refuses. */
		if ((commands[i] == _IO(KVMIO, 0) || commands[i] == _IO(KVMIO, 1)) && !strcmp(what, "device"))
			continue;
		CASE(ioctl(fd, commands[i], BAD_PTR), "%s, %#lx", what, commands[i]);
	}
}

static void unknown(int kvm, int vm)
{
	int gmem = gmem_new(vm, PG, 0), zero = open("/dev/zero", O_RDWR), path = open("/dev/kvm", O_PATH);

	group("unknown ioctls");
	unknown_on("device", kvm);
	CASE(ioctl(kvm, KVM_SET_USER_MEMORY_REGION2, BAD_PTR), "device, REGION2");
	CASE(ioctl(kvm, KVM_CREATE_GUEST_MEMFD, BAD_PTR), "device, CREATE_GUEST_MEMFD");
	unknown_on("VM", vm);
	unknown_on("guest_memfd", gmem);
	CASE(ioctl(gmem, KVM_CHECK_EXTENSION, 234), "guest_memfd, CHECK_EXTENSION");
	CASE(ioctl(gmem, KVM_CREATE_GUEST_MEMFD, BAD_PTR), "guest_memfd, CREATE_GUEST_MEMFD");
	CASE(ioctl(zero, KVM_CREATE_VM, 0), "/dev/zero, CREATE_VM");
	CASE(ioctl(zero, KVM_SET_MEMORY_ATTRIBUTES2, BAD_PTR), "/dev/zero, ATTRIBUTES2");
	CASE(ioctl(path, KVM_CREATE_VM, 0), "O_PATH, CREATE_VM");
	CASE(ioctl(-1, KVM_CREATE_VM, 0), "fd -1, CREATE_VM");
	close(gmem);
	CASE(ioctl(gmem, KVM_CREATE_VM, 0), "closed fd, CREATE_VM");
	close(zero);
	close(path);
}

static void enable_cap_case(int vm, const char *name, unsigned cap, unsigned flags, uint64_t arg0)
{
	struct kvm_enable_cap arg = { .cap = cap, .flags = flags, .args = { arg0 } };

	CASE(ioctl(vm, KVM_ENABLE_CAP, &arg), "%s", name);
}

static void vm_calls(int vm)
{
	struct kvm_enable_cap *edge = at_edge(sizeof(*edge)), *over = at_edge(sizeof(*over) - 1);

	group("KVM_ENABLE_CAP");
	enable_cap_case(vm, "201, 0x1000", KVM_CAP_EXIT_HYPERCALL, 0, 0x1000);
	enable_cap_case(vm, "201, 0", KVM_CAP_EXIT_HYPERCALL, 0, 0);
	enable_cap_case(vm, "201, 0x1001", KVM_CAP_EXIT_HYPERCALL, 0, 0x1001);
	enable_cap_case(vm, "201, 1 << 63", KVM_CAP_EXIT_HYPERCALL, 0, 1ULL << 63);
	enable_cap_case(vm, "201, flags 1", KVM_CAP_EXIT_HYPERCALL, 1, 0x1000);
	enable_cap_case(vm, "201, flags 1 and bad bits", KVM_CAP_EXIT_HYPERCALL, 1, ~0ULL);
	enable_cap_case(vm, "234", KVM_CAP_GUEST_MEMFD, 0, 0);
	enable_cap_case(vm, "244", KVM_CAP_GUEST_MEMFD_FLAGS, 0, 3);
	enable_cap_case(vm, "9999", 9999, 0, 0);
	enable_cap_case(vm, "9999, flags 1", 9999, 1, 0);
	CASE(ioctl(vm, KVM_ENABLE_CAP, BAD_PTR), "bad pointer");
	memset(edge, 0, sizeof(*edge));
	edge->cap = KVM_CAP_EXIT_HYPERCALL;
	CASE(ioctl(vm, KVM_ENABLE_CAP, edge), "ends at the edge of a mapping");
	CASE(ioctl(vm, KVM_ENABLE_CAP, over), "one byte over the edge");

	group("KVM_SET_NR_MMU_PAGES");
	CASE(ioctl(vm, KVM_SET_NR_MMU_PAGES, 0), "0");
	CASE(ioctl(vm, KVM_SET_NR_MMU_PAGES, 63), "63");
	CASE(ioctl(vm, KVM_SET_NR_MMU_PAGES, 64), "64");
	CASE(ioctl(vm, KVM_SET_NR_MMU_PAGES, 1 << 20), "1 << 20");

	group("KVM_CREATE_VCPU refused");
	CASE(ioctl(vm, KVM_CREATE_VCPU, 1UL << 20), "id 1 << 20");
	CASE(ioctl(vm, KVM_CREATE_VCPU, ~0UL), "id -1");
	CASE(ioctl(vm, KVM_CREATE_VCPU, 1UL << 31), "id 1 << 31");
}

static void fds(int kvm, int vm)
{
	struct stat st;
	char byte;
	int fd;

	group("device and VM descriptors");
	CASE(fcntl(vm, F_GETFD), "VM, F_GETFD");
	CASE(fcntl(vm, F_GETFL), "VM, F_GETFL");
	CASE(read(vm, &byte, 1), "VM, read");
	CASE(write(vm, &byte, 1), "VM, write");
	CASE_OK(mmap(NULL, PG, PROT_READ, MAP_SHARED, vm, 0), "VM, mmap");
	CASE(ftruncate(vm, 0), "VM, ftruncate");
	CASE(fallocate(vm, 1, 0, PG), "VM, fallocate");
	CASE(fstat(vm, &st), "VM, fstat");
	note("VM, mode %o, size %ld", st.st_mode, (long)st.st_size);
	CASE(read(kvm, &byte, 1), "device, read");
	CASE(write(kvm, &byte, 1), "device, write");
	CASE_OK(mmap(NULL, PG, PROT_READ, MAP_SHARED, kvm, 0), "device, mmap");
	CASE(fcntl(kvm, F_GETFD), "device, F_GETFD");
	CASE(fcntl(kvm, F_GETFL), "device, F_GETFL");
	CASE(fstat(kvm, &st), "device, fstat");
	note("device, type %o", st.st_mode & S_IFMT);
	fd = open("/dev/kvm", O_RDONLY);
	CASE(fcntl(fd, F_GETFD), "device opened without O_CLOEXEC, F_GETFD");
	CASE(fcntl(fd, F_GETFL), "device opened read only, F_GETFL");
	CASE(ioctl(fd, KVM_CHECK_EXTENSION, 234), "device opened read only, CHECK_EXTENSION");
	fd = (int)CASE_OK(ioctl(fd, KVM_CREATE_VM, 0), "device opened read only, CREATE_VM");
	CASE(ioctl(fd, KVM_CHECK_EXTENSION, 234), "its VM, CHECK_EXTENSION");
	close(fd);
	CASE(open("/dev/kvm", O_RDWR | O_DIRECTORY), "open as a directory");
	CASE(open("/dev/kvm", O_RDWR | O_CREAT | O_EXCL, 0600), "open exclusively");
	CASE(access("/dev/kvm", R_OK | W_OK), "access");
	CASE(stat("/dev/kvm", &st), "stat");
	note("device, type %o", st.st_mode & S_IFMT);
}

static int child_calls(void *arg)
{
	int vm = *(int *)arg;

	CASE(ioctl(vm, KVM_CHECK_EXTENSION, 234), "child, CHECK_EXTENSION");
	CASE(ioctl(vm, KVM_CREATE_VCPU, ~0UL), "child, CREATE_VCPU, bad id");
	CASE(ioctl(vm, KVM_ENABLE_CAP, BAD_PTR), "child, ENABLE_CAP, bad pointer");
	CASE(ioctl(vm, _IO(KVMIO, 0xfe), 0), "child, unknown ioctl");
	CASE(ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, BAD_PTR), "child, ATTRIBUTES");
	CASE(ioctl(vm, KVM_SET_NR_MMU_PAGES, 0), "child, NR_MMU_PAGES, bad value");
	CASE(fcntl(vm, F_GETFL), "child, F_GETFL");
	return 0;
}

int main(void)
{
	int kvm = kvm_open(), vm = vm_new(kvm, 0);

	device_calls(kvm);
	check_extension(kvm, vm);
	out_of_fds(kvm);
	supported_cpuid(kvm);
	unknown(kvm, vm);
	vm_calls(vm);
	fds(kvm, vm);
	group("a child");
	note("status %d", in_child(child_calls, &vm));
	CASE(ioctl(vm, KVM_CHECK_EXTENSION, 234), "parent afterwards");
	return 0;
}
