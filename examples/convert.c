// SPDX-License-Identifier: MIT
/*
 * examples/convert.c - private and shared guest memory, as an ordinary KVM program asks for it
 *
 * Knows nothing of gmem.  It asks the VM what guest memory can do, takes the
 * best that there is, and says in short lines what it saw:
 *
 *   in place     Linux 7.4: one file, mapped; its pages turn private and shared
 *   two backings Linux 6.8 to 7.3: a VM-wide attribute switches between memory
 *                that is mapped here and a file that is not
 *   shared file  Linux 6.18, ordinary VM: a file that is mapped and never private
 *   plain        before guest_memfd: anonymous memory
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/kvm.h>

/* What the system's header may be too old for. */
#ifndef KVM_CAP_GUEST_MEMFD
#define KVM_CAP_USER_MEMORY2	     231
#define KVM_CAP_MEMORY_ATTRIBUTES    233
#define KVM_CAP_GUEST_MEMFD	     234
#define KVM_CAP_VM_TYPES	     235
#define KVM_X86_SW_PROTECTED_VM	     1
#define KVM_MEM_GUEST_MEMFD	     (1UL << 2)
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)
struct kvm_userspace_memory_region2 {
	__u32 slot, flags;
	__u64 guest_phys_addr, memory_size, userspace_addr, guest_memfd_offset;
	__u32 guest_memfd, pad1;
	__u64 pad2[14];
};
struct kvm_create_guest_memfd {
	__u64 size, flags, reserved[6];
};
struct kvm_memory_attributes {
	__u64 address, size, attributes, flags;
};
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_SET_MEMORY_ATTRIBUTES   _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
#define KVM_CREATE_GUEST_MEMFD	    _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS
#define KVM_CAP_GUEST_MEMFD_FLAGS    244
#define GUEST_MEMFD_FLAG_MMAP	     (1ULL << 0)
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ULL << 1)
#endif
#ifndef KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES
#define KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES 252
struct kvm_memory_attributes2 {
	__u64 offset, size, attributes, flags, error_offset, reserved[11];
};
#define KVM_SET_MEMORY_ATTRIBUTES2 _IOWR(KVMIO, 0xd2, struct kvm_memory_attributes2)
#endif

#define PAGE  4096UL
#define PAGES 16UL
#define GPA   (1UL << 32)

/*
 * Four masks whose bits have nothing to do with each other: four types, so that
 * one cannot be passed for another.
 */
struct vm_types {
	unsigned bits;
};
struct features {
	unsigned bits; /* bit 0: there is a guest_memfd */
};
struct create_flags {
	unsigned bits;
};
struct attributes {
	unsigned bits;
};

/* A guest's memory: what is mapped here, and what the VM takes for private pages. */
struct memory {
	int vm, file; /* file: -1 where there is none */
	char *map;
};

static void fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	exit(1);
}

/* An unknown capability answers 0, as does one that this VM has not. */
static unsigned ask(int fd, unsigned capability)
{
	int ret = ioctl(fd, KVM_CHECK_EXTENSION, capability);

	return ret < 0 ? 0 : (unsigned)ret;
}

struct bit_name {
	unsigned bit;
	const char *name;
};

/* Known bits by name, unknown ones as a number. */
static void print_mask(const char *label, unsigned bits, const struct bit_name *names)
{
	printf("%s:", label);
	if (!bits)
		printf(" none");
	for (; names->name; names++) {
		if (bits & names->bit)
			printf(" %s", names->name);
		bits &= ~names->bit;
	}
	if (bits)
		printf(" %#x", bits);
	putchar('\n');
}

static const struct bit_name type_names[] = { { 1, "default" }, { 2, "sw-protected" }, { 4, "sev" },  { 8, "sev-es" },
					      { 16, "snp" },	{ 32, "tdx" },	       { 0, NULL } };
static const struct bit_name feature_names[] = { { 1, "basic" }, { 0, NULL } };
static const struct bit_name flag_names[] = { { 1, "mmap" }, { 2, "init-shared" }, { 0, NULL } };
static const struct bit_name attribute_names[] = { { 8, "private" }, { 0, NULL } };

static sigjmp_buf env;

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(env, 1);
}

static void touch(const char *label, const char *ptr)
{
	if (sigsetjmp(env, 1)) {
		printf(" %s: SIGBUS\n", label);
		return;
	}
	printf(" %s: '%c'\n", label, *(const volatile char *)ptr ? *(const volatile char *)ptr : '0');
}

/* A system call that is given a private page fails; no signal is raised. */
static void call(const char *label, char *ptr)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ssize_t ret = read(fd, ptr, 1);

	if (ret < 0)
		printf(" %s: %s\n", label, errno == EFAULT ? "EFAULT" : strerror(errno));
	else
		printf(" %s: %zd byte\n", label, ret);
	close(fd);
}

static void report(const char *label, int ret)
{
	printf(" %s: %s\n", label, ret ? strerror(errno) : "ok");
}

static int create_file(int vm, struct create_flags flags)
{
	struct kvm_create_guest_memfd arg = { .size = PAGES * PAGE, .flags = flags.bits };
	int fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &arg);

	if (fd < 0)
		fail("KVM_CREATE_GUEST_MEMFD");
	/* The kernel makes it without close-on-exec. */
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

static char *map_file(int fd)
{
	char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED,
			 fd, 0);

	if (map == MAP_FAILED)
		fail("mmap");
	return map;
}

static void add_slot(const struct memory *m)
{
	struct kvm_userspace_memory_region2 arg = { .flags = m->file < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
						    .guest_phys_addr = GPA,
						    .memory_size = PAGES * PAGE,
						    .userspace_addr = (uintptr_t)m->map,
						    .guest_memfd = (unsigned)m->file };
	/* Known since the first KVM: its structure is the first 32 bytes of the other. */
	unsigned long request = ask(m->vm, KVM_CAP_USER_MEMORY2) ? KVM_SET_USER_MEMORY_REGION2 :
								    KVM_SET_USER_MEMORY_REGION;

	report("memslot", ioctl(m->vm, request, &arg));
}

/* --- one file, converted in place ------------------------------------------ */

static int convert_in_place(const struct memory *m, unsigned first, unsigned count, struct attributes want)
{
	struct kvm_memory_attributes2 arg = {
		.offset = first * PAGE, .size = count * PAGE, .attributes = want.bits
	};

	/* EAGAIN: a page is in use, error_offset says which.  A transient user goes away. */
	for (int tries = 0; tries < 100; tries++) {
		if (!ioctl(m->file, KVM_SET_MEMORY_ATTRIBUTES2, &arg))
			return 0;
		if (errno != EAGAIN)
			return -1;
		usleep(1000);
	}
	return -1;
}

static void in_place(int vm, struct create_flags flags)
{
	struct memory m = { .vm = vm, .file = create_file(vm, flags) };

	puts("mode: in place");
	m.map = map_file(m.file);
	add_slot(&m);
	if (!(flags.bits & GUEST_MEMFD_FLAG_INIT_SHARED))
		report("share all", convert_in_place(&m, 0, PAGES, (struct attributes){ 0 }));
	m.map[2 * PAGE] = 'a';
	m.map[3 * PAGE] = 'b';
	touch("page 2, shared", m.map + 2 * PAGE);
	report("unshare pages 2 to 5",
	       convert_in_place(&m, 2, 4, (struct attributes){ KVM_MEMORY_ATTRIBUTE_PRIVATE }));
	touch("page 2, private", m.map + 2 * PAGE);
	call("read(2) into page 2", m.map + 2 * PAGE);
	touch("page 6, shared", m.map + 6 * PAGE);
	report("share page 3", convert_in_place(&m, 3, 1, (struct attributes){ 0 }));
	touch("page 3, shared again", m.map + 3 * PAGE);
	touch("page 2, still private", m.map + 2 * PAGE);
	report("punch page 2", fallocate(m.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, PAGE));
	report("share all", convert_in_place(&m, 0, PAGES, (struct attributes){ 0 }));
	touch("page 2, punched", m.map + 2 * PAGE);
	touch("page 3, kept", m.map + 3 * PAGE);
	touch("last byte", m.map + PAGES * PAGE - 1);
}

/* --- two backings, a VM-wide attribute ---------------------------------------- */

static int convert_vm(const struct memory *m, unsigned first, unsigned count, struct attributes want)
{
	struct kvm_memory_attributes arg = {
		.address = GPA + first * PAGE, .size = count * PAGE, .attributes = want.bits
	};

	if (ioctl(m->vm, KVM_SET_MEMORY_ATTRIBUTES, &arg))
		return -1;
	/* The side that is not used any more is given back. */
	if (want.bits)
		return madvise(m->map + first * PAGE, count * PAGE, MADV_DONTNEED);
	return fallocate(m->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first * PAGE, count * PAGE);
}

static void two_backings(int vm)
{
	struct memory m = { .vm = vm, .file = create_file(vm, (struct create_flags){ 0 }) };

	puts("mode: two backings");
	m.map = map_file(-1);
	add_slot(&m);
	m.map[2 * PAGE] = 'a';
	m.map[3 * PAGE] = 'b';
	touch("page 2, shared", m.map + 2 * PAGE);
	report("unshare pages 2 to 5", convert_vm(&m, 2, 4, (struct attributes){ KVM_MEMORY_ATTRIBUTE_PRIVATE }));
	touch("page 2, other backing", m.map + 2 * PAGE);
	call("read(2) into page 2", m.map + 2 * PAGE);
	touch("page 6, shared", m.map + 6 * PAGE);
	report("share page 3", convert_vm(&m, 3, 1, (struct attributes){ 0 }));
	touch("page 3, contents lost", m.map + 3 * PAGE);
	report("share all", convert_vm(&m, 0, PAGES, (struct attributes){ 0 }));
	printf(" the file can be mapped: %s\n",
	       mmap(NULL, PAGE, PROT_READ, MAP_SHARED, m.file, 0) == MAP_FAILED ? "no" : "yes");
}

/* --- nothing is ever private ----------------------------------------------------- */

static void shared_only(int vm, int file, const char *mode)
{
	struct memory m = { .vm = vm, .file = file, .map = map_file(file) };

	printf("mode: %s\n", mode);
	add_slot(&m);
	m.map[2 * PAGE] = 'a';
	touch("page 2, shared", m.map + 2 * PAGE);
	call("read(2) into page 3", m.map + 3 * PAGE);
	if (file >= 0) {
		report("punch page 2",
		       fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, PAGE));
		touch("page 2, punched", m.map + 2 * PAGE);
	}
	puts(" private memory: not with this VM");
}

int main(void)
{
	const struct create_flags shareable = { GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED };
	struct sigaction sa = { .sa_handler = on_sigbus };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;
	struct attributes by_file, by_vm;
	struct features features;
	struct create_flags flags;
	struct vm_types types;
	unsigned long type = 0;

	if (kvm < 0)
		fail("/dev/kvm");
	sigaction(SIGBUS, &sa, NULL);
	types.bits = ask(kvm, KVM_CAP_VM_TYPES);
	print_mask("VM types", types.bits, type_names);
	if (types.bits & 1U << KVM_X86_SW_PROTECTED_VM)
		type = KVM_X86_SW_PROTECTED_VM;
	vm = ioctl(kvm, KVM_CREATE_VM, type);
	if (vm < 0)
		fail("KVM_CREATE_VM");
	printf("created: %s\n", type_names[type].name);

	/* The device answers for the host; what this VM may do, only the VM says. */
	features.bits = ask(vm, KVM_CAP_GUEST_MEMFD);
	flags.bits = ask(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
	by_file.bits = ask(vm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES);
	by_vm.bits = ask(vm, KVM_CAP_MEMORY_ATTRIBUTES);
	print_mask("guest_memfd", features.bits, feature_names);
	print_mask("creation flags", flags.bits, flag_names);
	print_mask("attributes by file", by_file.bits, attribute_names);
	print_mask("attributes by VM", by_vm.bits, attribute_names);

	/* Only bits that are announced are passed on. */
	if ((features.bits & 1) && (by_file.bits & KVM_MEMORY_ATTRIBUTE_PRIVATE) && (flags.bits & GUEST_MEMFD_FLAG_MMAP))
		in_place(vm, (struct create_flags){ flags.bits & shareable.bits });
	else if ((features.bits & 1) && (by_vm.bits & KVM_MEMORY_ATTRIBUTE_PRIVATE))
		two_backings(vm);
	else if ((features.bits & 1) && (flags.bits & shareable.bits) == shareable.bits)
		shared_only(vm, create_file(vm, shareable), "shared file");
	else
		shared_only(vm, -1, "plain memory");
	return 0;
}
