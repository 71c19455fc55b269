// SPDX-License-Identifier: MIT
/*
 * tests/run_accepted_vcpu.c - differences of the virtual CPU that docs/divergences.md accepts, each as it is
 *
 * The text of a point begins with the entry's name: tests/divergences.t compares the two lists.
 */
#include <cpuid.h>
#include <linux/userfaultfd.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "tests/run_vcpu.h"
#include "uapi/kvm_irq.h"

#define MXCSR_IE	     0x01
#define MXCSR_OE	     0x08

static void on_usr1(int sig)
{
	(void)sig;
}

static unsigned raised(int vm)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	if (ioctl(vm, KVM_GET_IRQCHIP, &chip))
		die("KVM_GET_IRQCHIP");
	return chip.chip.pic.irr;
}

static int irqfd_new(int vm, unsigned gsi)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct kvm_irqfd arg = { .fd = (uint32_t)fd, .gsi = gsi };

	if (fd < 0 || ioctl(vm, KVM_IRQFD, &arg))
		die("irqfd");
	return fd;
}

/* Another process has the descriptor, this one no more; then n more are made, and one at last. */
static bool foreign_irqfd_works(int n)
{
	int kvm = kvm_open(), vm = vm_new(kvm, 0), foreign, pipes[2], last, status, *fds = calloc((size_t)n, sizeof(*fds));
	uint64_t one = 1;
	pid_t pid;
	bool works;
	char byte;

	if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) || pipe(pipes) || !fds)
		die("irqchip");
	foreign = irqfd_new(vm, 5);
	pid = fork();
	if (!pid)
		_exit(read(pipes[0], &byte, 1) == 1 && write(foreign, &one, sizeof(one)) == sizeof(one) ? 0 : 1);
	close(foreign);
	for (int i = 0; i < n; i++)
		fds[i] = irqfd_new(vm, 7);
	last = irqfd_new(vm, 6);
	if (write(pipes[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid || status)
		die("the other process");
	/* Events are taken in their order. */
	if (write(last, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
	for (int i = 0; i < 5000 && !(raised(vm) & 1 << 6); i++)
		usleep(1000);
	works = raised(vm) & 1 << 5;
	ok(raised(vm) & 1 << 6, "irqfd-close: one that is open here works");
	for (int i = 0; i < n; i++)
		close(fds[i]);
	free(fds);
	close(last);
	close(pipes[0]);
	close(pipes[1]);
	close(vm);
	close(kvm);
	return works;
}

static void irqfd_close(void)
{
	is(foreign_irqfd_works(10), true, "irqfd-close: an eventfd that only another process has open raises its line");
	is(foreign_irqfd_works(200), false, "irqfd-close: not any more when there are very many");
}

static void *pre_fault_thread(void *arg)
{
	struct guest *g = arg;
	struct kvm_pre_fault_memory range = { .gpa = DATA_GPA, .size = PG };

	return (void *)(long)(ioctl(g->vcpu, KVM_PRE_FAULT_MEMORY, &range) < 0 ? -errno : 0);
}

/* A call that sleeps in a page fault, and the signal that is sent to it; the program has blocked SIGBUS before. */
static void uffd_signal(void)
{
	struct guest g = guest_new(0);
	char *mem = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)mem, PG }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { .range = { (uintptr_t)mem, PG } };
	struct uffd_msg msg;
	pthread_t thread;
	sigset_t bus;
	void *ret;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg)) {
		skip(2, "uffd-signal: no userfaultfd here");
		guest_free(&g);
		return;
	}
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	sigprocmask(SIG_BLOCK, &bus, NULL);
	sigprocmask(SIG_UNBLOCK, &bus, NULL);
	signal(SIGUSR1, on_usr1);
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	pthread_create(&thread, NULL, pre_fault_thread, &g);
	if (read(fd, &msg, sizeof(msg)) != sizeof(msg))
		die("userfaultfd");
	pthread_kill(thread, SIGUSR1);
	usleep(300000);
	is(pthread_tryjoin_np(thread, &ret), EBUSY, "uffd-signal: a signal does not end the page fault of the call");
	ioctl(fd, UFFDIO_ZEROPAGE, &zero);
	pthread_join(thread, &ret);
	ok((long)ret == -EINTR || ret == 0, "uffd-signal: the page does");
	close(fd);
	guest_free(&g);
}

static void cpuid_vme(void)
{
	struct guest g = guest_new(0);
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} table = { .head = { .nent = 256 } };
	struct kvm_sregs s;
	unsigned features = ~0U;

	if (ioctl(g.kvm, KVM_GET_SUPPORTED_CPUID, &table) || ioctl(g.vcpu, KVM_GET_SREGS, &s))
		die("KVM_GET_SUPPORTED_CPUID");
	for (unsigned i = 0; i < table.head.nent; i++)
		if (table.entry[i].function == 1)
			features = table.entry[i].edx;
	is(features & 2, 0, "vme: CPUID does not offer it");
	s.cr4 |= 3;
	is(ioctl(g.vcpu, KVM_SET_SREGS, &s), 0, "vme: CR4.VME and CR4.PVI can be set");
	guest_free(&g);
}

/* KVM_SET_CPUID2 was not called: nothing is offered. */
static void cpuid_baseline(void)
{
	struct guest g = guest_new(0);

	/* MOV EAX, 0x70; POPCNT EAX, EAX */
	is(RUN(&g, OP_SET(0x70), 0xf3, 0x0f, 0xb8, 0xc0, OP_OUT(0x10), OP_HLT), 0, "cpuid-baseline: POPCNT, not offered");
	is(g.run->exit_reason, KVM_EXIT_IO, "cpuid-baseline: is executed");
	is(regs_of(&g).rax, 3, "cpuid-baseline: and counts");
	guest_free(&g);
}

/* #XM of a flat guest goes to CODE_GPA + 0x800, which stores MXCSR at 0x2024. */
static void handle_xm(struct guest *g, struct kvm_sregs *s)
{
	const uint64_t code = 0x00cf9b000000ffffULL, gate = (8ULL << 16) | (0x8eULL << 40) | (CODE_GPA + 0x800);
	static const unsigned char out[] = { 0x0f, 0xae, 0x1d, 0x24, 0x20, 0, 0, OP_OUT(0x12), OP_HLT };

	memcpy(g->ram + 0x3008, &code, 8);
	memcpy(g->ram + 0x3100 + 19 * 8, &gate, 8);
	memcpy(g->ram + CODE_GPA + 0x800, out, sizeof(out));
	s->gdt.base = 0x3000;
	s->gdt.limit = 0xf;
	s->idt.base = 0x3100;
	s->idt.limit = 20 * 8 - 1;
}

/*
 * FLT_MAX * FLT_MAX overflows, unmasked, and a processor stops there; their sum with the opposite would be invalid.
 * MOVUPS; LDMXCSR; DPPS, with operands at 0x2000.
 */
static void dpps_flags(void)
{
	static const unsigned char code[] = { 0x0f, 0x10, 0x05, 0, 0x20, 0, 0, 0x0f, 0xae, 0x15, 0x20, 0x20, 0, 0,
					      0x66, 0x0f, 0x3a, 0x40, 0x05, 0x10, 0x20, 0, 0, 0x31, OP_HLT };
	static const float left[4] = { 3e38f, -3e38f, 0, 0 }, right[4] = { 3e38f, 3e38f, 0, 0 };
	unsigned a, b, c, d, mxcsr = 0x1f80 & ~(MXCSR_OE << 7);
	struct guest g = guest_new(0);
	struct kvm_sregs s;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1)) {
		skip(2, "dpps: this host has no SSE4.1");
		guest_free(&g);
		return;
	}
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.cr4 |= 0x600; /* OSFXSR, OSXMMEXCPT */
	handle_xm(&g, &s);
	ioctl(g.vcpu, KVM_SET_SREGS, &s);
	memcpy(g.ram + 0x2000, left, 16);
	memcpy(g.ram + 0x2010, right, 16);
	memcpy(g.ram + 0x2020, &mxcsr, 4);
	guest_start(&g, code, sizeof(code));
	run(&g);
	is(g.run->exit_reason == KVM_EXIT_IO ? g.run->io.port : 0, 0x12, "dpps: an unmasked overflow is raised");
	memcpy(&mxcsr, g.ram + 0x2024, 4);
	is(mxcsr & (MXCSR_OE | MXCSR_IE), MXCSR_OE | MXCSR_IE, "dpps: with the flag of what was not computed");
	guest_free(&g);
}

/* RIP is changed while a load waits for its data: the load is not completed, what is there now runs. */
static void mmio_rip(void)
{
	struct guest g = guest_new(0);
	struct kvm_regs r;

	/* The other is INC EBX; OUT; and the last one OUT, to another port. */
	is(RUN(&g, OP_LOAD(DATA_GPA), OP_OUT(0x11), OP_HLT, 0x43, OP_OUT(0x10), OP_HLT), 0, "mmio-rip: a load");
	is(g.run->exit_reason, KVM_EXIT_MMIO, "mmio-rip: is MMIO");
	memset(g.run->mmio.data, 0x55, 8);
	r = regs_of(&g);
	r.rip = CODE_GPA + 8;
	r.rax = 7;
	ioctl(g.vcpu, KVM_SET_REGS, &r);
	is(run(&g), 0, "mmio-rip: it goes on");
	is(g.run->io.port, 0x10, "mmio-rip: where RIP points to");
	is(regs_of(&g).rax, 7, "mmio-rip: EAX was not loaded");
	is(regs_of(&g).rbx, 1, "mmio-rip: and the instruction there has run");
	guest_free(&g);
}

/* The profile is 6.12's. */
static void pre_fault(void)
{
	struct kvm_pre_fault_memory range = { .gpa = DATA_GPA, .size = PG };
	struct guest g = guest_new(0);
	char *mem = map_anon(PG);

	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	set_region1(g.vm, 2, 0, DATA_GPA + PG, PG, (uintptr_t)mem);
	RUN(&g, OP_LOAD(DATA_GPA), OP_HLT);
	set_region1(g.vm, 2, 0, DATA_GPA + PG, 0, 0);
	alarm(60);
	is(ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, &range), 0, "pre-fault: done, although a slot was deleted since KVM_RUN");
	alarm(0);
	guest_free(&g);
}

static void dirty_read(void)
{
	struct guest g = guest_new(0);
	uint64_t bits = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };
	char *memory = map_anon(64 * PG);

	memset(memory, 1, 64 * PG);
	set_region1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, 0x200000, 64 * PG, (uintptr_t)memory);
	/* mov 0x203000, %eax; mov %eax, 0x205000 */
	RUN(&g, 0xa1, 0x00, 0x30, 0x20, 0x00, 0xa3, 0x00, 0x50, 0x20, 0x00, OP_HLT);
	is(ioctl(g.vm, KVM_GET_DIRTY_LOG, &log), 0, "dirty-read: a guest read one page and wrote another");
	is(bits, 1 << 5, "dirty-read: the one that it wrote is dirty");
	guest_free(&g);
}

/* The answer to KVM_GET_MSRS for one register. */
static int get_msr(int fd, unsigned index, uint64_t *value)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msr = { { .nmsrs = 1 }, { .index = index } };
	int n = ioctl(fd, KVM_GET_MSRS, &msr);

	*value = msr.entry.data;
	return n;
}

static void read_modify(void)
{
	struct guest g = guest_new(0);
	int fd = memfd_create("backing", MFD_CLOEXEC);
	struct stat st = { .st_blocks = -1 };
	void *memory;

	if (fd < 0 || ftruncate(fd, PG))
		die("memfd");
	memory = mmap(NULL, PG, PROT_READ, MAP_SHARED, fd, 0);
	set_region1(g.vm, 1, 0, 0x200000, PG, (uintptr_t)memory);
	/* or %al, 0x200000 */
	is(RUN(&g, 0x08, 0x05, 0x00, 0x00, 0x20, 0x00, OP_HLT), -EFAULT, "read-modify: OR where only reading is possible");
	fstat(fd, &st);
	is(st.st_blocks, PG / 512, "read-modify: has read the page, and the file has it");
	close(fd);
	guest_free(&g);
}

static void stale_mmio(void)
{
	struct guest g = guest_new(KVM_X86_SW_PROTECTED_VM);
	struct kvm_memory_attributes private = { .address = 0x300000, .size = PG, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };

	/* mov %eax, 0x300800, where no slot is; then mov %eax, 0x300008 */
	is(RUN(&g, 0xa3, 0x00, 0x08, 0x30, 0x00, OP_HLT), 0, "stale-mmio: a store where no slot is");
	is(g.run->exit_reason, KVM_EXIT_MMIO, "stale-mmio: is MMIO");
	is(run(&g), 0, "stale-mmio: which is completed");
	is(ioctl(g.vm, KVM_SET_MEMORY_ATTRIBUTES, &private), 0, "stale-mmio: the page becomes private");
	is(RUN(&g, 0xa3, 0x08, 0x00, 0x30, 0x00, OP_HLT), -EFAULT, "stale-mmio: another store there");
	is(g.run->exit_reason, KVM_EXIT_MEMORY_FAULT, "stale-mmio: is a memory fault");
	is(g.run->memory_fault.flags, KVM_MEMORY_EXIT_FLAG_PRIVATE, "stale-mmio: of a private page");
	guest_free(&g);
}

static void feature_msr(void)
{
	struct guest g = guest_new(0);
	uint64_t value;

	is(get_msr(g.kvm, 0x277, &value), 1, "feature-msr: /dev/kvm answers for an MSR that is no feature");
	is(get_msr(g.vcpu, 0x10a, &value), 1, "feature-msr: a vCPU without the bit of CPUID has ARCH_CAPABILITIES");
	is(value, 0, "feature-msr: of 0");
	guest_free(&g);
}

/* Beside a page that is written lies one that its memory at userspace_addr differs from: the guest has the file's. */
static void shadow_prefetch(void)
{
	struct guest g = guest_new(1);
	int fd = gmem_new(g.vm, 2 * PG, 0);
	struct kvm_memory_attributes private = { .address = DATA_GPA, .size = 2 * PG, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };
	char *mem = map_anon(2 * PG);

	memset(mem, 0x51, 2 * PG);
	is(set_region2(g.vm, 1, KVM_MEM_GUEST_MEMFD, DATA_GPA, 2 * PG, (uintptr_t)mem, fd, 0), 0, "shadow-prefetch: a slot");
	is(ioctl(g.vm, KVM_SET_MEMORY_ATTRIBUTES, &private), 0, "shadow-prefetch: private");
	is(RUN(&g, OP_STORE(DATA_GPA), OP_LOAD(DATA_GPA + PG), OP_HLT), 0, "shadow-prefetch: a store, a load beside it");
	is(regs_of(&g).rax, 0, "shadow-prefetch: from the file");
	close(fd);
	guest_free(&g);
}

/* Without an entry in page tables, which says that it can be written, the kernel finds that it cannot be read. */
static void write_only(void)
{
	struct guest g = guest_new(0);
	char *mem = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	mem[0] = 0x31;
	mprotect(mem, PG, PROT_WRITE);
	madvise(mem, PG, MADV_DONTNEED);
	set_region1(g.vm, 1, 0, DATA_GPA, PG, (uintptr_t)mem);
	is(RUN(&g, OP_LOAD(DATA_GPA), OP_HLT), 0, "write-only: a load");
	is(regs_of(&g).rax, 0x31, "write-only: is done");
	guest_free(&g);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	irqfd_close();
	uffd_signal();
	cpuid_vme();
	cpuid_baseline();
	dpps_flags();
	mmio_rip();
	pre_fault();
	dirty_read();
	read_modify();
	stale_mmio();
	write_only();
	shadow_prefetch();
	feature_msr();
	return done_testing();
}
