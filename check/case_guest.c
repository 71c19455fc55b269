// SPDX-License-Identifier: MIT
/*
 * check/case_guest.c - which memory serves which access of a guest, KVM's own accesses, calls of the guest, odd states
 */
#include "check/guest.h"
#include "check/order.h"

#define SIZE (4 * PG)
#define INSB "\xf3\x6c\xe6\x10\xf4" /* rep insb; out PORT, al; hlt */

/* --- backings: kernel-abi 7.2 and 7.3 --------------------------------------------------- */

enum hva { HVA_NONE, HVA_OTHER, HVA_FILE };
static const char *const hva_names[] = { "no userspace_addr", "other memory", "a mapping of the file" };

static int file;
static char *mem, *view; /* at userspace_addr, or NULL; the file's pages, or NULL */

/* A slot with a new file; false where there is none of that kind. */
static bool bind(unsigned flags, enum hva hva)
{
	file = gmem_try(vm, SIZE, flags);
	if (file < 0 || (hva == HVA_FILE && !(flags & GUEST_MEMFD_FLAG_MMAP)))
		return false;
	view = flags == SHAREABLE ? map_shared(file, SIZE, 0) : NULL;
	mem = hva == HVA_NONE ? NULL : hva == HVA_OTHER ? map_anon(SIZE) : map_shared(file, SIZE, 0);
	if (view)
		view[0] = 0x21;
	if (hva == HVA_OTHER)
		mem[0] = 0x55;
	if (set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, DATA, SIZE, (uintptr_t)mem, file, 0))
		die("a slot");
	return true;
}

static void unbind(void)
{
	set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
	if (mem)
		munmap(mem, SIZE);
	if (view)
		munmap(view, SIZE);
	close(file);
}

/* The byte that a guest's string output puts out, or the exit that comes instead. */
static long guest_outsb(uint64_t address)
{
	long ret = ENTER(OUTSB, address, 0);

	if (ret)
		return ret;
	return run->exit_reason == KVM_EXIT_IO ? ((unsigned char *)run)[run->io.data_offset] : EXIT(run->exit_reason);
}

/* A guest's string input of one byte; 0, or the exit with which it ends. */
static long guest_insb(uint64_t address, int value)
{
	long ret = ENTER(INSB, address, 0);

	if (ret)
		return ret;
	if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_IN)
		return EXIT(run->exit_reason);
	((unsigned char *)run)[run->io.data_offset] = (unsigned char)value;
	ret = RET(ioctl(vcpu, KVM_RUN, 0));
	return ret ? ret : run->exit_reason == KVM_EXIT_IO ? 0 : EXIT(run->exit_reason);
}

/*
 * Files that can be mapped serve a guest's accesses; of others a VM without
 * private memory takes nothing.  What KVM itself accesses is at userspace_addr, always.
 */
void case_vcpu_backing(void)
{
	if (target.bindable || (target.has & NEED_CONVERSION))
		return;
	must_begin(0);
	for (unsigned flags = 0; flags < 4; flags++) {
		for (enum hva hva = HVA_NONE; hva <= HVA_FILE; hva++) {
			bool own = flags & GUEST_MEMFD_FLAG_MMAP,
			     touchable = hva == HVA_OTHER || (hva == HVA_FILE && flags == SHAREABLE);
			long first, plain = hva == HVA_OTHER ? 0x55 : -EFAULT;

			if (!bind(flags, hva))
				continue;
			first = flags == SHAREABLE ? 0x21 : 0;
			SEE(guest_load(DATA), own ? first : plain, "flags %u, %s: a load", flags, hva_names[hva]);
			if (!own && hva == HVA_NONE)
				SEE(run->exit_reason, KVM_EXIT_UNKNOWN, "flags %u, %s: exit", flags, hva_names[hva]);
			SEE(guest_store(DATA + PG, 0x22), own || touchable ? 0 : -EFAULT, "flags %u, %s: a store",
			    flags, hva_names[hva]);
			SEE(guest_load(DATA + PG), own || touchable ? 0x22 : -EFAULT, "flags %u, %s: what was stored",
			    flags, hva_names[hva]);
			if (view)
				SEE(check_load(view + PG), 0x22, "flags %u, %s: the host sees it", flags,
				    hva_names[hva]);
			SEE(guest_outsb(DATA), !touchable ? EXIT(KVM_EXIT_MMIO) : hva == HVA_OTHER ? 0x55 : 0x21,
			    "flags %u, %s: string output", flags, hva_names[hva]);
			SEE(guest_insb(DATA + 2 * PG, 0x23), touchable ? 0 : EXIT(KVM_EXIT_MMIO),
			    "flags %u, %s: string input", flags, hva_names[hva]);
			SEE(guest_load(DATA + 2 * PG),
			    own		? (hva == HVA_FILE && touchable ? 0x23 : 0)
			    : touchable ? 0x23
					: -EFAULT,
			    "flags %u, %s: what it left", flags, hva_names[hva]);
			if (hva == HVA_OTHER)
				SEE(mem[2 * PG], 0x23, "flags %u, %s: at userspace_addr", flags, hva_names[hva]);
			unbind();
		}
	}
}

/* Attributes of the VM on a file that can be mapped: the same pages either way; and KVM's accesses know none. */
void case_vcpu_attributes(void)
{
	if (!(target.types & 2) || (target.has & NEED_CONVERSION))
		return;
	must_begin(1);
	if (bind(GUEST_MEMFD_FLAG_MMAP, HVA_OTHER)) {
		SEE(check_load(map_shared(file, SIZE, 0)), REFUSED, "MMAP: the host cannot touch it, shared or not");
		SEE(guest_store(DATA, 0x31), 0, "MMAP: a store, shared");
		SEE(set_private(DATA, PG, true), 0, "MMAP: to private");
		SEE(guest_load(DATA), 0x31, "MMAP: the same page");
		SEE(guest_store(DATA, 0x32), 0, "MMAP: a store, private");
		SEE(set_private(DATA, PG, false), 0, "MMAP: to shared");
		SEE(guest_load(DATA), 0x32, "MMAP: the same page still");
		SEE(mem[0], 0x55, "MMAP: nothing reached userspace_addr");
		set_region2(vm, 1, 0, 0, 0, 0, -1, 0);
	}
	if (!bind(0, HVA_OTHER))
		die("a file");
	SEE(guest_load(DATA), 0x55, "no MMAP: shared is userspace_addr");
	SEE(set_private(DATA, 3 * PG, true), 0, "no MMAP: to private");
	SEE(guest_store(DATA, 0x33), 0, "no MMAP: a store, private");
	SEE(guest_outsb(DATA), 0x55, "no MMAP: string output is of shared memory");
	SEE(guest_insb(DATA + PG, 0x34), 0, "no MMAP: string input");
	SEE(mem[PG], 0x34, "no MMAP: lands in shared memory");
	SEE(guest_load(DATA + PG), 0, "no MMAP: and not in the file");
	close(file);
	SEE(guest_load(DATA), -EFAULT, "no MMAP: closed, private");
	see_fault("no MMAP: closed, private", KVM_MEMORY_EXIT_FLAG_PRIVATE, DATA);
	SEE(set_private(DATA, 3 * PG, false), 0, "no MMAP: to shared");
	SEE(guest_load(DATA), 0x55, "no MMAP: closed, shared");
	SEE(RET(set_region2(vm, 1, 0, 0, 0, 0, -1, 0)), 0, "deleted");
	SEE(set_private(1ULL << 60, PG, true), 0, "an address beyond all memory");
	SEE(set_private(DATA + 8 * PG, PG, true), 0, "private before there is a slot");
	file = gmem_new(vm, SIZE, 0);
	SEE(RET(set_region2(vm, 2, KVM_MEM_GUEST_MEMFD, DATA + 8 * PG, PG, (uintptr_t)mem, file, 0)), 0, "a slot");
	SEE(guest_load(DATA + 8 * PG), 0, "is private at once");
	SEE(guest_store(DATA + 8 * PG, 0x35), 0, "a store");
	SEE(RET(set_region2(vm, 2, 0, 0, 0, 0, -1, 0)), 0, "deleted");
	SEE(RET(set_region2(vm, 2, KVM_MEM_GUEST_MEMFD, DATA + 8 * PG, PG, (uintptr_t)mem, file, 0)), 0, "made anew");
	SEE(guest_load(DATA + 8 * PG), 0x35, "content and attribute outlive it");
}

/* What the program does at userspace_addr is nothing to a guest whose memory is the file; 7.4, the last row. */
void case_vcpu_zap(void)
{
	if (target.bindable)
		return;
	must_begin(0);
	if (!bind(SHAREABLE, HVA_OTHER))
		die("a file");
	SEE(guest_store(DATA, 0x41), 0, "a store");
	SEE(RET(madvise(mem, SIZE, MADV_DONTNEED)), 0, "DONTNEED at userspace_addr");
	SEE(guest_load(DATA), 0x41, "changes nothing");
	SEE(RET(mprotect(mem, SIZE, PROT_NONE)), 0, "no access there");
	SEE(guest_load(DATA), 0x41, "changes nothing");
	SEE(guest_store(DATA, 0x42), 0, "not for stores either");
	SEE(RET(munmap(mem, SIZE)), 0, "nothing there");
	SEE(guest_load(DATA), 0x42, "changes nothing");
	SEE(check_store(view, 0x43), 0, "the host stores");
	SEE(guest_load(DATA), 0x43, "the guest sees it");
	SEE(RET(madvise(view, PG, MADV_REMOVE)), 0, "REMOVE through the file's mapping");
	SEE(guest_load(DATA), 0, "is a hole for the guest");
	SEE(RET(madvise(view, SIZE, MADV_DONTNEED)), 0, "DONTNEED of the file's mapping");
	SEE(guest_store(DATA, 0x44), 0, "changes nothing");
	SEE(check_load(view), 0x44, "for neither");
}

/* --- hypercalls ---------------------------------------------------------------------------- */

static void set_level(unsigned level, bool compat)
{
	struct kvm_sregs s;

	if (ioctl(vcpu, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS");
	s.cs.dpl = s.ss.dpl = s.ds.dpl = s.es.dpl = (__u8)level;
	s.cs.selector = (__u16)(8 | level);
	s.ss.selector = s.ds.selector = s.es.selector = (__u16)(16 | level);
	s.cs.l = !compat;
	s.cs.db = compat;
	if (ioctl(vcpu, KVM_SET_SREGS, &s))
		die("KVM_SET_SREGS");
}

/* Pages of the guest's code and data for its user mode as well. */
static void open_tables(void)
{
	for (size_t at = PML4; at < PD_DATA + PG; at += 8) {
		uint64_t *entry = (uint64_t *)(void *)(ram + at);

		if (*entry)
			*entry |= 4;
	}
}

static long call(struct kvm_regs r)
{
	long ret;

	settle();
	memcpy(ram + CODE, HYPERCALL, sizeof(HYPERCALL) - 1);
	r.rip = CODE;
	r.rsp = STACK;
	r.rflags = 0x3002; /* I/O at every level */
	if (ioctl(vcpu, KVM_SET_REGS, &r))
		die("KVM_SET_REGS");
	for (int i = 0; i < 6; i++)
		run->hypercall.args[i] = 0x77;
	ret = RET(ioctl(vcpu, KVM_RUN, 0));
	return ret ? ret : run->exit_reason == KVM_EXIT_IO ? (long)regs().rax : EXIT(run->exit_reason);
}

void case_vcpu_hypercall_modes(void)
{
	struct kvm_enable_cap on = { .cap = KVM_CAP_EXIT_HYPERCALL, .args = { 1 << KVM_HC_MAP_GPA_RANGE } };
	const struct kvm_regs right = { .rax = KVM_HC_MAP_GPA_RANGE, .rbx = DATA, .rcx = 1, .rdx = 0x10 };
	static const unsigned results[] = { 0, 11, 22 };
	struct kvm_regs r;

	must_begin(0);
	open_tables();
	if (ioctl(vm, KVM_ENABLE_CAP, &on))
		die("KVM_ENABLE_CAP");
	for (size_t i = 0; i < sizeof(results) / sizeof(*results); i++) {
		SEE(call(right), EXIT(KVM_EXIT_HYPERCALL), "a call");
		SEE(regs().rip, CODE, "at the instruction");
		run->hypercall.ret = results[i];
		SEE(RET(ioctl(vcpu, KVM_RUN, 0)), 0, "its result is %u", results[i]);
		SEE(regs().rax, results[i], "as the guest sees it");
	}
	SEE(call(right), EXIT(KVM_EXIT_HYPERCALL), "a call");
	for (int i = 3; i < 6; i++)
		SEE(run->hypercall.args[i], 0x77, "argument %d is left alone", i);
	run->hypercall.ret = 0xffffffff00000005;
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), 0, "a large result");
	SEE(regs().rax, (long long)0xffffffff00000005, "comes whole in 64-bit mode");
	r = right;
	r.rcx = ~0ULL;
	SEE(call(r), -22, "pages that wrap: EINVAL for the guest");
	r.rcx = 1ULL << 40;
	SEE(call(r), EXIT(KVM_EXIT_HYPERCALL), "many pages");
	set_level(3, false);
	SEE(call(right), -1, "from user mode: EPERM for the guest");
	set_level(0, true);
	/* Not in RAX: 6.12 takes it for the number when it decides about the exit. */
	r = right;
	r.rbx |= 0xabcd00000000;
	r.rcx |= 0xabcd00000000;
	SEE(call(r), EXIT(KVM_EXIT_HYPERCALL), "from 32-bit code");
	SEE(run->hypercall.args[0], DATA, "low halves: gpa");
	SEE(run->hypercall.args[1], 1, "low halves: pages");
	SEE(run->hypercall.longmode, 0, "no 64-bit mode");
	run->hypercall.ret = 0xffffffff00000005;
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), 0, "its result");
	SEE(regs().rax, 5, "comes in 32 bits");
}

/* --- odd states ------------------------------------------------------------------------------ */

/* A vCPU in its reset state, and not a byte of memory. */
void case_vcpu_reset(void)
{
	kvm = kvm_open();
	vm = vm_new(kvm, 0);
	SEE(RET(ioctl(vm, KVM_SET_NR_MMU_PAGES, 64)), 0, "64 pages for page tables");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	run = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (vcpu < 0 || run == MAP_FAILED)
		die("a vCPU");
	run->exit_reason = STALE;
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), 0, "KVM_RUN");
	SEE(run->exit_reason, KVM_EXIT_INTERNAL_ERROR, "exit");
}

/* An exception whose gate is where no memory is; earlier kernels answer by the processor's vendor. */
void case_vcpu_delivery(void)
{
	const uint64_t idt = DATA + PG, gate = idt + 13 * 16;
	struct kvm_sregs s;

	must_begin(0);
	if (ioctl(vcpu, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS");
	s.idt.base = idt;
	s.idt.limit = 0xfff;
	if (ioctl(vcpu, KVM_SET_SREGS, &s))
		die("KVM_SET_SREGS");
	SEE(ENTER(LOAD, 1ULL << 63, 0), 0, "a general protection fault");
	SEE(run->exit_reason, KVM_EXIT_INTERNAL_ERROR, "exit");
	SEE(run->internal.suberror, KVM_INTERNAL_ERROR_DELIVERY_EV, "of the delivery");
	SEE(run->internal.ndata != 4, 1, "not with four numbers");
	SEE(run->internal.data[3], gate, "the gate's address");
}

/* What the kernel's own library asks of a VM with a vCPU, before its tests run. */
void case_vcpu_library(void)
{
	const size_t room = sizeof(struct kvm_cpuid2) + CPUID_ENTRIES * sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *cpuid = calloc(1, room), *back = calloc(1, room);
	struct kvm_mp_state runnable = { 0 };
	static const uint32_t leaves[] = { 1, 7, 0xd, 0x80000008 };

	must_begin(0);
	if (!cpuid || !back)
		die("memory");
	SEE(ioctl(kvm, KVM_CHECK_EXTENSION, 136) > 0, 1, "IMMEDIATE_EXIT");
	SEE(ioctl(kvm, KVM_CHECK_EXTENSION, 61) > 0, 1, "GET_TSC_KHZ");
	SEE(ioctl(kvm, KVM_CHECK_EXTENSION, 66) >= 1, 1, "MAX_VCPUS");
	SEE(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0) >= 2352, 1, "room for kvm_run");
	SEE(ioctl(vm, KVM_GET_TSC_KHZ, 0) > 0, 1, "a rate");
	cpuid->nent = CPUID_ENTRIES;
	SEE(RET(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid)), 0, "KVM_GET_SUPPORTED_CPUID");
	SEE(cpuid->nent <= 100, 1, "no more than 100 leaves");
	for (size_t i = 0; i < sizeof(leaves) / sizeof(*leaves); i++) {
		unsigned found = 0;

		for (unsigned n = 0; n < cpuid->nent; n++)
			found += cpuid->entries[n].function == leaves[i] && cpuid->entries[n].index == 0;
		SEE(found, 1, "leaf %#x", leaves[i]);
	}
	SEE(RET(ioctl(vcpu, KVM_SET_CPUID2, cpuid)), 0, "KVM_SET_CPUID2");
	back->nent = cpuid->nent;
	SEE(RET(ioctl(vcpu, KVM_GET_CPUID2, back)), 0, "KVM_GET_CPUID2, in as much room");
	SEE(back->nent == cpuid->nent, 1, "as many leaves");
	SEE(RET(ioctl(vm_new(kvm, 0), KVM_CREATE_IRQCHIP, 0)), 0, "KVM_CREATE_IRQCHIP");
	SEE(RET(ioctl(vcpu, KVM_SET_MP_STATE, &runnable)), 0, "KVM_SET_MP_STATE");
	/* Its guests call: a port's input, completed without going on. */
	SEE(ENTER("\xec\xe6\x10\xf4", 0x5a5a, 0), 0, "in al, dx");
	SEE(run->exit_reason, KVM_EXIT_IO, "is I/O");
	SEE(run->io.direction, KVM_EXIT_IO_IN, "inwards");
	SEE(run->io.size, 1, "of a byte");
	SEE(run->io.port, PORT, "from the port");
	SEE(regs().rdi, 0x5a5a, "with RDI as it was");
	run->immediate_exit = 1;
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), -EINTR, "KVM_RUN with immediate_exit");
	SEE(regs().rip, CODE + 1, "completes it");
	run->immediate_exit = 0;
	SEE(RET(ioctl(vcpu, KVM_RUN, 0)), 0, "KVM_RUN");
	SEE(run->exit_reason, KVM_EXIT_IO, "goes on to the next");
	SEE(run->io.direction, KVM_EXIT_IO_OUT, "which is outwards");
}

static void on_signal(int sig)
{
	(void)sig;
}

/* A signal that only KVM_RUN lets through: it comes before the guest's first instruction. */
void case_vcpu_signal(void)
{
	struct {
		struct kvm_signal_mask head;
		uint64_t set;
	} mask = { .head = { .len = 8 } };
	sigset_t usr1;

	must_begin(0);
	signal(SIGUSR1, on_signal);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	SEE(ENTER(HALT, 0, 0), 0, "a signal that is blocked");
	raise(SIGUSR1);
	SEE(ENTER(HALT, 0, 0), 0, "does not interrupt it when it waits");
	SEE(run->exit_reason, KVM_EXIT_HLT, "exit");
	SEE(RET(ioctl(vcpu, KVM_SET_SIGNAL_MASK, &mask)), 0, "let through within KVM_RUN");
	SEE(ENTER(HALT, 0, 0), -EINTR, "it does");
	SEE(run->exit_reason, KVM_EXIT_INTR, "exit");
	SEE(regs().rip, CODE, "before the first instruction");
	SEE(ENTER(HALT, 0, 0), -EINTR, "and again, since it waits still");
	sigwaitinfo(&usr1, NULL);
	SEE(ENTER(HALT, 0, 0), 0, "taken, it does no longer");
}

/* --- pre-faulting ------------------------------------------------------------------------------ */

struct pre_fault {
	struct kvm_pre_fault_memory range;
	void *pointer;
};

enum { F_GPA = 1, F_SIZE = 2 };

VIOLATION(struct pre_fault, pre_pointer, r->pointer = BAD_PTR)
VIOLATION(struct pre_fault, pre_flags, r->range.flags = 1)
VIOLATION(struct pre_fault, pre_odd_gpa, r->range.gpa++)
VIOLATION(struct pre_fault, pre_odd_size, r->range.size++)
VIOLATION(struct pre_fault, pre_nothing, r->range.size = 0)
VIOLATION(struct pre_fault, pre_wraps, r->range.gpa = -PG)
VIOLATION(struct pre_fault, pre_no_slot, r->range.gpa += 64 * PG)

static const struct violation of_pre_fault[] = {
	{ "bad pointer", pre_pointer, EFAULT, 0 },	{ "flags", pre_flags, EINVAL, 0 },
	{ "gpa unaligned", pre_odd_gpa, EINVAL, 0 },	{ "size unaligned", pre_odd_size, EINVAL, F_SIZE },
	{ "size 0", pre_nothing, EINVAL, F_SIZE },	{ "wraps", pre_wraps, EINVAL, F_GPA },
	{ "no slot", pre_no_slot, ENOENT, F_GPA },
};

static void right_pre_fault(void *request)
{
	*(struct pre_fault *)request = (struct pre_fault){ .range = { .gpa = DATA, .size = PG } };
}

static long try_pre_fault(void *request)
{
	struct pre_fault *r = request;

	return RET(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, r->pointer ? r->pointer : &r->range));
}

/* Before 6.11 it is unknown, before anything is read. */
static int pre_fault_error(const struct traits *k, const struct violation *v)
{
	return k->pre_fault ? v->error : EINVAL;
}

void case_vcpu_pre_fault_order(void)
{
	struct kvm_pre_fault_memory *page = (void *)map_anon(PG), all = { .gpa = DATA, .size = PG };

	if (!target.pre_fault)
		return;
	must_begin(0);
	SEE(RET(set_region1(vm, 1, 0, DATA, SIZE, (uintptr_t)map_anon(SIZE))), 0, "a slot");
	check_order(&(const struct order){ .violations = of_pre_fault,
					   .count = sizeof(of_pre_fault) / sizeof(*of_pre_fault),
					   .size = sizeof(struct pre_fault),
					   .right = right_pre_fault,
					   .attempt = try_pre_fault,
					   .error = pre_fault_error });
	memset(all.padding, 0xff, sizeof(all.padding));
	SEE(RET(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &all)), k->pre_fault ? 0 : -EINVAL, "padding is not looked at");
	*page = (struct kvm_pre_fault_memory){ .gpa = DATA, .size = PG };
	mprotect(page, PG, PROT_READ);
	SEE(RET(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, page)), k->pre_fault ? -EFAULT : -EINVAL,
	    "it cannot be written back");
	mprotect(page, PG, PROT_READ | PROT_WRITE);
	page->size = 0;
	mprotect(page, PG, PROT_READ);
	SEE(RET(ioctl(vcpu, KVM_PRE_FAULT_MEMORY, page)), k->pre_fault ? -EFAULT : -EINVAL, "nor can a wrong one");
}

/* The highest place for a slot of this size, 2 MiB aligned: found by asking. */
static uint64_t highest(uint64_t size)
{
	for (unsigned bits = 52; bits > 30; bits--) {
		uint64_t gpa = ((1ULL << bits) - size) & ~(2 * MiB - 1);

		if (set_region1(vm, 1, 0, gpa, size, 0) == 0) {
			set_region1(vm, 1, 0, 0, 0, 0);
			return gpa;
		}
	}
	die("no slot can be made");
}

/* 2 MiB and a page at the top of the address space, as in the kernel's own test: of the host, and of a file. */
void case_vcpu_pre_fault_top(void)
{
	const uint64_t size = 2 * MiB + PG;
	struct kvm_pre_fault_memory r;

	if (!target.pre_fault)
		return;
	for (unsigned type = 0; type < 2; type++) {
		uint64_t gpa;
		bool with_file = type && target.types & 2 && target.has & (NEED_ATTRIBUTES | NEED_CONVERSION);

		if (type && !with_file)
			continue;
		must_begin(type);
		gpa = highest(size);
		if (with_file ? set_region2(vm, 1, KVM_MEM_GUEST_MEMFD, gpa, size, (uintptr_t)map_anon(size),
					    gmem_new(vm, size, 0), 0)
			      : set_region1(vm, 1, 0, gpa, size, (uintptr_t)map_anon(size)))
			die("a slot at the top");
		if (with_file && !(target.has & NEED_CONVERSION))
			set_private(gpa, size, true);
		SEE(pre_fault(gpa, 2 * MiB, 0, &r), k->pre_fault ? 0 : -EINVAL, "F1: type %u, 2 MiB", type);
		SEE(r.size, k->pre_fault ? 0 : 2 * MiB, "F1: type %u, what is left", type);
		SEE(pre_fault(gpa + 2 * MiB, 2 * PG, 0, &r), k->pre_fault ? 0 : -EINVAL,
		    "F2: type %u, the last page and one more", type);
		SEE(r.size, k->pre_fault ? PG : 2 * PG, "F2: type %u, what is left", type);
		SEE(r.gpa, gpa + 2 * MiB + (k->pre_fault ? PG : 0), "F2: type %u, where", type);
		SEE(pre_fault(r.gpa, r.size, 0, &r), k->pre_fault ? -ENOENT : -EINVAL,
		    "F2: type %u, once more", type);
		SEE(r.size, k->pre_fault ? PG : 2 * PG, "F3: type %u, what is left", type);
		close(vcpu);
		close(vm);
	}
}
