/* SPDX-License-Identifier: MIT */
/*
 * diff/calls_guest.h - vCPUs, and what their guests access
 *
 * Goes behind diff/calls.h, here and in a reproducer.
 *
 * A guest is one instruction that accesses the address in RSI, and a loop that stores RAX where no slot is: an
 * MMIO exit tells that the instruction is over, and what it found.  It runs in user mode, since there are hosts whose KVM
 * emulates what the guest's supervisor does, and uses nothing but moves, which need no privilege.
 * Its memory is a slot of its own; page tables in it map the first GiB one to one, with all A and D bits set, so that
 * nothing but the slots decides what an access finds.
 */
#define RAM_GPA	  0x3ff00000ULL
#define RAM_PAGES 4ULL
#define RAM_SLOT  64
#define OUT_GPA	  0x3ff80000ULL
#define STUB	  32 /* bytes from one guest's code to the next's */
#define STALE	  99 /* no exit reason */

enum { EXIT_MMIO = 6, EXIT_MEMORY_FAULT = 39 };

/* Each with its access alone. */
static const struct {
	unsigned char size, code[5];
} guest_code[] = {
	{ 3, { 0x0f, 0xb6, 0x06 } },		   /* movzx eax, byte [rsi] */
	{ 2, { 0x8b, 0x06 } },			   /* mov eax, [rsi] */
	{ 3, { 0x48, 0x8b, 0x06 } },		   /* mov rax, [rsi] */
	{ 2, { 0x88, 0x06 } },			   /* mov [rsi], al */
	{ 2, { 0x89, 0x06 } },			   /* mov [rsi], eax */
	{ 3, { 0x48, 0x89, 0x06 } },		   /* mov [rsi], rax */
	{ 2, { 0x08, 0x06 } },			   /* or [rsi], al */
	{ 2, { 0x87, 0x06 } },			   /* xchg [rsi], eax */
	{ 5, { 0xf0, 0x48, 0x0f, 0xc1, 0x06 } },   /* lock xadd [rsi], rax */
	{ 1, { 0xa5 } },			   /* movsd: to where no slot is */
};
/* mov [rdi], rax; jmp to it */
static const unsigned char guest_end[] = { 0x48, 0x89, 0x07, 0xeb, 0xfb };

struct segment {
	u64 base;
	u32 limit;
	uint16_t selector;
	unsigned char type, present, dpl, db, s, l, g, avl, unusable, padding;
};

struct special_registers {
	struct segment cs, ds, es, fs, gs, ss, tr, ldt;
	u64 tables[4], cr0, cr2, cr3, cr4, cr8, efer, apic_base, pending[4];
};

struct registers {
	u64 rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r[8], rip, rflags;
};

/* struct kvm_run's beginning. */
struct run_page {
	unsigned char window, immediate_exit, padding1[6];
	u32 exit_reason;
	unsigned char padding2[20];
	union {
		struct {
			u64 phys_addr;
			unsigned char data[8];
			u32 len;
			unsigned char is_write;
		} mmio;
		struct {
			u64 flags, gpa, size;
		} fault;
	} exit;
};

/* The same for all guests: they read it only. */
static int make_ram(void)
{
	char *ram = RAM_ADDRESS;
	u64 *tables = (u64 *)(uintptr_t)(ram + PAGE);

	if (mmap(ram, RAM_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -1;
	for (size_t i = 0; i < sizeof(guest_code) / sizeof(guest_code[0]); i++) {
		memcpy(ram + i * STUB, guest_code[i].code, guest_code[i].size);
		memcpy(ram + i * STUB + guest_code[i].size, guest_end, sizeof(guest_end));
	}
	tables[0] = (RAM_GPA + 2 * PAGE) | 0x67;
	tables[512] = (RAM_GPA + 3 * PAGE) | 0x67;
	for (u64 i = 0; i < 512; i++)
		tables[1024 + i] = i << 21 | 0xe7;
	return 0;
}

static int set_cpuid(int fd)
{
	static struct {
		u32 count, padding;
		u32 entries[256][10];
	} cpuid;

	if (!cpuid.count) {
		cpuid.count = 256;
		if (ioctl(kvm, 0xc008ae05, &cpuid))
			return -1;
	}
	return ioctl(fd, 0x4008ae90, &cpuid);
}

/* 64-bit user mode. */
static int set_mode(int fd)
{
	const struct segment code = { 0, ~0U, 0x2b, 11, 1, 3, 0, 1, 1, 1, 0, 0, 0 };
	const struct segment data = { 0, ~0U, 0x33, 3, 1, 3, 1, 1, 0, 1, 0, 0, 0 };
	struct special_registers s;

	if (ioctl(fd, 0x8138ae83, &s))
		return -1;
	s.cr0 = 0x80000031; /* PG NE ET PE */
	s.cr3 = RAM_GPA + PAGE;
	s.cr4 |= 0x20; /* PAE */
	s.efer |= 0x500; /* LMA LME */
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	return ioctl(fd, 0x4138ae84, &s);
}

static int set_registers(int fd, u64 rip, u64 gpa, u64 value)
{
	struct registers r;

	memset(&r, 0, sizeof(r));
	r.rip = rip;
	r.rflags = 2;
	r.rsi = gpa;
	r.rdi = OUT_GPA;
	r.rax = value;
	return ioctl(fd, 0x4090ae82, &r);
}

static struct result close_vcpu(u64 v)
{
	if (vcpu[v] < 0)
		return skipped();
	forget_vcpu(v);
	return result_of(0);
}

static struct result new_vcpu(u64 v, u64 id)
{
	struct result ret;

	if (vm[v] < 0 || vcpu[v] >= 0)
		return skipped();
	ret = slot1(v, RAM_SLOT, 0, RAM_GPA, RAM_PAGES * PAGE, (u64)(uintptr_t)RAM_ADDRESS);
	if (ret.ret)
		return ret;
	vcpu[v] = ioctl(vm[v], 0xae41, id);
	if (vcpu[v] < 0)
		return result_of(-1);
	vcpu_run[v] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu[v], 0);
	/* It begins with an instruction that is over. */
	if (vcpu_run[v] == MAP_FAILED || set_cpuid(vcpu[v]) || set_mode(vcpu[v]) ||
	    set_registers(vcpu[v], RAM_GPA + guest_code[0].size, 0, 0)) {
		ret = result_of(-1);
		forget_vcpu(v);
	}
	vcpu_reads[v] = 0;
	return ret;
}

/*
 * KVM_RUN up to an exit.  The end of the instruction: 0, aux is RAX.  MMIO: ret is the address, aux the data.  code:
 * the reason of any other exit, with the length and direction of MMIO.
 */
static struct result run_guest(u64 v)
{
	struct run_page *run = (struct run_page *)vcpu_run[v];
	struct result ret;

	run->exit_reason = STALE;
	ret = result_of(ioctl(vcpu[v], 0xae80, 0));
	vcpu_reads[v] = 0;
	if (run->exit_reason == EXIT_MMIO && ret.ret == 0) {
		vcpu_reads[v] = !run->exit.mmio.is_write;
		if (run->exit.mmio.is_write)
			memcpy(&ret.aux, run->exit.mmio.data, run->exit.mmio.len <= 8 ? run->exit.mmio.len : 0);
		if (run->exit.mmio.phys_addr / PAGE == OUT_GPA / PAGE && run->exit.mmio.is_write && run->exit.mmio.len == 8)
			return ret;
		ret.ret = (s64)run->exit.mmio.phys_addr;
		ret.code = EXIT_MMIO | (int)run->exit.mmio.len << 8 | run->exit.mmio.is_write << 16;
		return ret;
	}
	ret.code = (int)run->exit_reason;
	if (run->exit_reason == EXIT_MEMORY_FAULT)
		ret.aux = run->exit.fault.size == PAGE ? run->exit.fault.gpa | run->exit.fault.flags : ~0ULL;
	return ret;
}

/* The access of that kind, at gpa, with value in RAX. */
static struct result guest(u64 v, u64 kind, u64 gpa, u64 value)
{
	struct run_page *run = (struct run_page *)vcpu_run[v];

	if (vcpu[v] < 0)
		return skipped();
	/* What was read by the last one: zeroes. It is over for the guest only when KVM_RUN has been called again. */
	for (int i = 0; i < 2 && vcpu_reads[v]; i++) {
		memset(run->exit.mmio.data, 0, sizeof(run->exit.mmio.data));
		run->immediate_exit = 1;
		ioctl(vcpu[v], 0xae80, 0);
		run->immediate_exit = 0;
	}
	if (set_registers(vcpu[v], RAM_GPA + kind * STUB, gpa, value))
		return result_of(-1);
	return run_guest(v);
}

/* Go on after an exit; value is what a device answers. */
static struct result resume(u64 v, u64 value)
{
	struct run_page *run = (struct run_page *)vcpu_run[v];

	if (vcpu[v] < 0)
		return skipped();
	if (vcpu_reads[v])
		memcpy(run->exit.mmio.data, &value, sizeof(value));
	return run_guest(v);
}

/* aux: what is left to do, and where a memory fault was. */
static struct result pre_fault(u64 v, u64 gpa, u64 size, u64 flags)
{
	struct run_page *run = (struct run_page *)vcpu_run[v];
	u64 a[8] = { gpa, size, flags, 1, 2, 3, 4, 5 };
	struct result ret;

	if (vcpu[v] < 0)
		return skipped();
	run->exit_reason = STALE;
	ret = result_of(ioctl(vcpu[v], 0xc040aed5, a));
	ret.aux = hash_of(1, a, sizeof(a));
	if (ret.ret == 0)
		return ret;
	ret.code = (int)run->exit_reason;
	if (run->exit_reason == EXIT_MEMORY_FAULT)
		ret.aux += run->exit.fault.size == PAGE ? run->exit.fault.gpa | run->exit.fault.flags : ~0ULL;
	return ret;
}

/* A byte of the memory that only slots and these steps know; a value beyond bytes: a load. */
static struct result memory(u64 at, u64 value)
{
	unsigned char *byte = (unsigned char *)MEMORY_ADDRESS + at;
	struct result ret = { 0, 0, 0, 0 };

	if (value < 256)
		*byte = (unsigned char)value;
	ret.aux = *byte;
	return ret;
}
