// SPDX-License-Identifier: MIT
/*
 * tests/run_vcpu_memory.c - which memory a guest's access finds, and how it fails
 */
#include "tests/run_vcpu.h"

#define READ_CODE  OP_LOAD(DATA_GPA), OP_OUT(0x10), OP_HLT
#define WRITE_CODE OP_SET(0x77), OP_STORE(DATA_GPA), OP_OUT(0x10), OP_HLT

static bool has(struct guest *g, unsigned cap)
{
	return ioctl(g->vm, KVM_CHECK_EXTENSION, cap) > 0;
}

static void plain(void)
{
	struct guest g = guest_new(0);
	char *mem = map_anon(2 * PG);

	mem[0] = 0x31;
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	is(RUN(&g, READ_CODE), 0, "a guest reads the host's memory");
	is(regs_of(&g).rax, 0x31, "as it is");
	mprotect(mem, PG, PROT_READ);
	is(RUN(&g, WRITE_CODE), -EFAULT, "a write to memory that the host protects is EFAULT");
	is(g.run->exit_reason, KVM_EXIT_UNKNOWN, "without an annotation");
	is(regs_of(&g).rip, CODE_GPA + 5, "at the instruction");
	mprotect(mem, PG, PROT_READ | PROT_WRITE);
	is(run(&g), 0, "which is repeated");
	is(mem[0], 0x77, "once the memory can be written");
	munmap(mem, PG);
	is(RUN(&g, READ_CODE), -EFAULT, "memory that is gone is EFAULT");
	is(g.run->exit_reason, KVM_EXIT_UNKNOWN, "without an annotation");
	mmap(mem, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mem[0] = 0x44;
	is(run(&g), 0, "new memory at the address");
	is(regs_of(&g).rax, 0x44, "is the guest's");
	set_region1(g.vm, 1, 0, DATA_GPA, 0, 0);
	is(RUN(&g, READ_CODE), 0, "a slot that is deleted");
	is(g.run->exit_reason, KVM_EXIT_MMIO, "leaves MMIO");
	guest_free(&g);
}

static void read_only(void)
{
	struct guest g = guest_new(0);
	char *mem = map_anon(PG);

	mem[0] = 0x31;
	set_region1(g.vm, 1, KVM_MEM_READONLY, DATA_GPA, PG, (uintptr_t)mem);
	RUN(&g, READ_CODE);
	is(regs_of(&g).rax, 0x31, "read-only memory can be read");
	is(RUN(&g, WRITE_CODE), 0, "a write to it");
	is(g.run->exit_reason, KVM_EXIT_MMIO, "is MMIO");
	is(g.run->mmio.data[0], 0x77, "with its value");
	is(mem[0], 0x31, "and changes nothing");
	guest_free(&g);
}

static void gmem_only(void)
{
	struct guest g = guest_new(0);
	char *mem, *other = map_anon(PG);
	int fd;

	if (!has(&g, KVM_CAP_GUEST_MEMFD_FLAGS)) {
		skip(9, "no mappable files");
		guest_free(&g);
		return;
	}
	fd = gmem_new(g.vm, 4 * PG, SHAREABLE);
	mem = map_shared(fd, 4 * PG, 0);
	is(set_region2(g.vm, 1, KVM_MEM_GUEST_MEMFD, DATA_GPA, PG, (uintptr_t)other, fd, 2 * PG), 0, "a mappable file's page");
	mem[2 * PG] = 0x21;
	is(RUN(&g, READ_CODE), 0, "serves the guest");
	is(regs_of(&g).rax, 0x21, "userspace_addr is not looked at");
	RUN(&g, WRITE_CODE);
	is(mem[2 * PG], 0x77, "writes are seen by the host");
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PG, PG);
	RUN(&g, READ_CODE);
	is(regs_of(&g).rax, 0, "a hole is punched under the guest");
	munmap(mem, 4 * PG);
	close(fd);
	is(RUN(&g, READ_CODE), -EFAULT, "without the file there is nothing");
	is(g.run->exit_reason, KVM_EXIT_MEMORY_FAULT, "but a memory fault");
	is(g.run->memory_fault.gpa, DATA_GPA, "of the page");
	is(g.run->memory_fault.flags, 0, "a shared one");
	guest_free(&g);
}

/* String I/O is KVM's own access: userspace_addr, and MMIO where that is nothing. */
static void own_accesses(void)
{
	struct guest g = guest_new(0);
	char *mem, *other = map_anon(PG);
	static const unsigned char code[] = { 0xbe, 0, 0, 0, 0xc0, /* mov esi, 0xC0000000 */
					      0xb9, 1, 0, 0, 0, /* mov ecx, 1 */
					      0xba, 0x30, 0, 0, 0, 0xf3, 0x6e, /* mov edx, 0x30; rep outsb */ OP_HLT };
	int fd;

	if (!has(&g, KVM_CAP_GUEST_MEMFD_FLAGS)) {
		skip(5, "no mappable files");
		guest_free(&g);
		return;
	}
	fd = gmem_new(g.vm, 4 * PG, SHAREABLE);
	mem = map_shared(fd, PG, 0);
	mem[0] = 0x33;
	other[0] = 0x51;
	set_region2(g.vm, 1, KVM_MEM_GUEST_MEMFD, DATA_GPA, PG, (uintptr_t)other, fd, 0);
	is(run_code(&g, code, sizeof(code)), 0, "string output");
	is(g.run->exit_reason, KVM_EXIT_IO, "is I/O");
	is(((char *)g.run)[g.run->io.data_offset], 0x51, "of what is at userspace_addr, not in the file");
	munmap(other, PG);
	is(run_code(&g, code, sizeof(code)), 0, "where nothing is mapped");
	is(g.run->exit_reason, KVM_EXIT_MMIO, "it is MMIO");
	guest_free(&g);
}

static int set_attributes(struct guest *g, uint64_t gpa, uint64_t size, uint64_t attributes)
{
	struct kvm_memory_attributes a = { .address = gpa, .size = size, .attributes = attributes };

	return ioctl(g->vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

static void private_memory(void)
{
	struct guest g = { .kvm = kvm_open() };
	char *mem;
	int fd;

	if (!(ioctl(g.kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES) & 2) ||
	    ioctl(g.kvm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES) <= 0) {
		skip(11, "no attributes of VMs");
		return;
	}
	close(g.kvm);
	g = guest_new(KVM_X86_SW_PROTECTED_VM);
	mem = map_anon(PG);
	mem[0] = 0x11;
	fd = gmem_new(g.vm, PG, 0);
	set_region2(g.vm, 1, KVM_MEM_GUEST_MEMFD, DATA_GPA, PG, (uintptr_t)mem, fd, 0);
	RUN(&g, READ_CODE);
	is(regs_of(&g).rax, 0x11, "shared: userspace_addr");
	is(set_attributes(&g, DATA_GPA, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE), 0, "private");
	RUN(&g, READ_CODE);
	is(regs_of(&g).rax, 0, "is the file, which was empty");
	RUN(&g, WRITE_CODE);
	is(mem[0], 0x11, "writes do not reach the shared memory");
	set_attributes(&g, DATA_GPA, PG, 0);
	RUN(&g, READ_CODE);
	is(regs_of(&g).rax, 0x11, "which is back when the page is");
	set_attributes(&g, DATA_GPA, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	RUN(&g, READ_CODE);
	is(regs_of(&g).rax, 0x77, "as is the private one");
	set_region2(g.vm, 1, KVM_MEM_GUEST_MEMFD, DATA_GPA, 0, 0, -1, 0);
	is(RUN(&g, READ_CODE), -EFAULT, "private without a slot");
	is(g.run->exit_reason, KVM_EXIT_MEMORY_FAULT, "is a memory fault");
	is(g.run->memory_fault.flags, KVM_MEMORY_EXIT_FLAG_PRIVATE, "a private one");
	is(g.run->memory_fault.size, PG, "of a page");
	is(run(&g), -EFAULT, "again and again");
	guest_free(&g);
}

static void pre_fault(void)
{
	struct guest g = guest_new(0);
	struct kvm_pre_fault_memory range = { .gpa = DATA_GPA, .size = 4 * PG };
	char *mem = map_anon(2 * PG);

	if (!has(&g, KVM_CAP_PRE_FAULT_MEMORY)) {
		skip(8, "no pre-faulting");
		guest_free(&g);
		return;
	}
	set_region1(g.vm, 1, 0, DATA_GPA, 2 * PG, (uintptr_t)mem);
	is(ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, &range), 0, "as far as there is a slot");
	is(range.gpa, DATA_GPA + 2 * PG, "gpa tells how far");
	is(range.size, 2 * PG, "size what is left");
	is(ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, &range), -1, "beyond it");
	is(errno, ENOENT, "is ENOENT");
	range = (struct kvm_pre_fault_memory){ .gpa = DATA_GPA, .size = PG };
	munmap(mem, PG);
	is(ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, &range), -1, "without memory");
	is(errno, EFAULT, "it is EFAULT");
	range.size = 0;
	is(ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0, EINVAL, "nothing cannot be asked for");
	guest_free(&g);
}

/* A locked instruction that has read from a device and finds a slot without memory; and tried again where none is. */
static void read_anew(void)
{
	struct guest g = guest_new(0);
	char *mem = map_anon(PG);

	munmap(mem, PG);
	is(RUN(&g, 0xf0, 0x0f, 0xc1, 0x05, DATA_GPA & 0xff, DATA_GPA >> 8 & 0xff, DATA_GPA >> 16 & 0xff, DATA_GPA >> 24, OP_HLT), 0,
	   "lock xadd of a device");
	ok(g.run->exit_reason == KVM_EXIT_MMIO && !g.run->mmio.is_write, "reads");
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	is(run(&g), 0, "a slot without memory, before it is answered");
	is(g.run->exit_reason, KVM_EXIT_INTERNAL_ERROR, "cannot be emulated");
	set_region1(g.vm, 1, 0, DATA_GPA, 0, (uintptr_t)mem);
	is(run(&g), 0, "tried again without the slot");
	ok(g.run->exit_reason == KVM_EXIT_MMIO && !g.run->mmio.is_write, "it reads anew");
	guest_free(&g);
}

/* The same where the slot's memory is a guard page of a guest_memfd's mapping: KVM's own access ends, too. */
static void guarded_memory(void)
{
	struct guest g = guest_new(0);
	struct kvm_create_guest_memfd args = { .size = PG, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED };
	int fd = ioctl(g.vm, KVM_CREATE_GUEST_MEMFD, &args);
	char *mem = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || madvise(mem, PG, 102 /* MADV_GUARD_INSTALL */)) {
		skip(2, "no guard pages, or no mapping of a guest_memfd");
		guest_free(&g);
		return;
	}
	is(RUN(&g, 0xf0, 0x0f, 0xc1, 0x05, DATA_GPA & 0xff, DATA_GPA >> 8 & 0xff, DATA_GPA >> 16 & 0xff, DATA_GPA >> 24, OP_HLT), 0,
	   "lock xadd of a device");
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	run(&g);
	is(g.run->exit_reason, KVM_EXIT_INTERNAL_ERROR, "on a guard page it cannot be emulated");
	munmap(mem, PG);
	close(fd);
	guest_free(&g);
}

/* The memory of a slot is a mapping whose page no host may touch: no signal, whatever engine keeps it. */
static void pre_fault_private(void)
{
	struct guest g = guest_new(0);
	struct kvm_pre_fault_memory range = { .gpa = DATA_GPA, .size = 2 * PG };
	struct kvm_create_guest_memfd args = { .size = 4 * PG, .flags = GUEST_MEMFD_FLAG_MMAP };
	int fd = ioctl(g.vm, KVM_CREATE_GUEST_MEMFD, &args);
	char *mem;

	if (!has(&g, KVM_CAP_PRE_FAULT_MEMORY) || fd < 0) {
		skip(2, "no pre-faulting, or no mapping of a guest_memfd");
		guest_free(&g);
		return;
	}
	mem = mmap(NULL, 4 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	set_region1(g.vm, 1, 0, DATA_GPA, 4 * PG, (uintptr_t)mem);
	is(ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0, EFAULT, "pre-faulting what is private");
	is(range.size, 2 * PG, "does nothing");
	munmap(mem, 4 * PG);
	close(fd);
	guest_free(&g);
}

static volatile sig_atomic_t signalled, enough;

static void on_signal(int sig)
{
	signalled = sig;
}

static void *pester(void *arg)
{
	while (!enough) {
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
		usleep(100);
	}
	return NULL;
}

/* EINTR when nothing was done, else success with what is left. */
static void pre_fault_signals(void)
{
	const uint64_t size = 8192 * PG;
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct kvm_pre_fault_memory range = { 0 };
	struct guest g = guest_new(0);
	pthread_t self = pthread_self(), thread;
	char *mem = map_anon(size);
	int ret = 0;

	if (!has(&g, KVM_CAP_PRE_FAULT_MEMORY)) {
		skip(4, "no pre-faulting");
		guest_free(&g);
		return;
	}
	set_region1(g.vm, 1, 0, DATA_GPA, size, (uintptr_t)mem);
	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&thread, NULL, pester, &self);
	for (int i = 0; i < 2000 && ret == 0 && range.size == 0; i++) {
		range = (struct kvm_pre_fault_memory){ .gpa = DATA_GPA, .size = size };
		ret = ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, &range) < 0 ? -errno : 0;
	}
	enough = 1;
	pthread_join(thread, NULL);
	ok(range.size != 0, "a signal ends pre-faulting");
	is(ret, range.size == size ? -EINTR : 0, "with EINTR unless something was done");
	is(range.gpa + range.size, DATA_GPA + size, "and says what is left");
	is(signalled, SIGUSR1, "the handler has run");
	munmap(mem, size);
	guest_free(&g);
}

static uint64_t log_of(struct guest *g)
{
	uint64_t bits = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	if (ioctl(g->vm, KVM_GET_DIRTY_LOG, &log))
		die("KVM_GET_DIRTY_LOG");
	return bits;
}

static void dirty_log(void)
{
	struct guest g = guest_new(0);
	char *mem = map_anon(4 * PG);

	set_region1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, DATA_GPA, 4 * PG, (uintptr_t)mem);
	RUN(&g, READ_CODE);
	is(log_of(&g), 0, "reading makes nothing dirty");
	RUN(&g, WRITE_CODE);
	RUN(&g, OP_STORE(DATA_GPA + 2 * PG), OP_HLT);
	is(log_of(&g), 5, "writing does");
	is(log_of(&g), 0, "until it has been asked");
	RUN(&g, WRITE_CODE);
	is(log_of(&g), 1, "and again afterwards");
	guest_free(&g);
}

int main(void)
{
	plain();
	read_only();
	gmem_only();
	own_accesses();
	private_memory();
	pre_fault();
	pre_fault_private();
	read_anew();
	guarded_memory();
	pre_fault_signals();
	dirty_log();
	return done_testing();
}
