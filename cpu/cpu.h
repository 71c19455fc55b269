/* SPDX-License-Identifier: MIT */
/*
 * cpu/cpu.h - one x86-64 guest CPU in software
 *
 * The owner (device/) supplies memory and devices through struct cpu_bus, sets
 * state, calls cpu_run() and looks at cpu->exit.  One thread at a time uses a
 * struct cpu; the only fields that other threads touch are `stop` (cpu_kick()).
 *
 * The life of a KVM_RUN in the owner:
 *
 *	if (cpu->pending)                       what the last exit left open
 *		cpu_complete(cpu);              takes exit.io.data, exit.mmio.data, exit.hypercall.ret, exit.msr
 *	why = cpu_run(cpu);                     fills cpu->exit
 *
 * cpu_complete() may itself need a further exit (next fragment of an MMIO access);
 * cpu_run() then returns that first.  Both are cheap.
 */
#ifndef GMEM_CPU_CPU_H
#define GMEM_CPU_CPU_H

#include "rt/types.h"

struct cpu;
struct cpu_insn;
struct cpu_block;

/* ---- memory and devices: given by the owner ---- */

/* Why an address is asked for; exactly one of the first three, and perhaps one of the others. */
enum {
	CPU_READ = 1,
	CPU_WRITE = 2,
	CPU_FETCH = 4,
	CPU_WALK = 8,	 /* an entry of the guest's page tables (with CPU_WRITE: sets A or D) */
	CPU_SYSTEM = 16, /* descriptor tables, TSS, IDT, frames pushed by event delivery */
	/* KVM would do it in software (string I/O and its walks, instructions with MMIO): userspace_addr, never the guest_memfd */
	CPU_KVM = 32,
};

enum cpu_map {
	CPU_MAP_RAM,	      /* page->host is the page */
	CPU_MAP_MMIO,	      /* no memory, or a write to a read-only slot */
	CPU_MAP_MEMORY_FAULT, /* exit CPU_EXIT_MEMORY_FAULT with page->fault_flags */
	CPU_MAP_HOST_FAULT,   /* exit CPU_EXIT_HOST_FAULT: EFAULT without annotation */
	CPU_MAP_HWPOISON,     /* exit CPU_EXIT_HWPOISON */
	CPU_MAP_RETRY,	      /* exit CPU_EXIT_STOPPED; the access is tried again at the next cpu_run() */
};

struct cpu_page {
	u8 *host;	 /* of the whole 4 KiB page, aligned */
	bool writable;	 /* the CPU may write through host now and later without asking again */
	bool logged;	 /* bus->wrote() is to be told of a write, once the host is known to allow it */
	bool unusable;	 /* of CPU_KVM: MMIO only since there is memory that cannot be accessed */
	u64 fault_flags; /* of a memory fault */
};

enum cpu_msr {
	CPU_MSR_OK,
	CPU_MSR_GP,   /* #GP(0) */
	CPU_MSR_EXIT, /* exit CPU_EXIT_MSR; the owner answers at completion */
};

struct cpu_bus {
	/*
	 * The page at gpa (4 KiB aligned).  What was answered may be used until cpu_flush_memory().  Asked for
	 * CPU_WRITE it is written to at once even when !writable (dirty logging: every write asks, unless writable).
	 */
	enum cpu_map (*map)(void *ctx, u64 gpa, unsigned access, struct cpu_page *ret);
	void (*wrote)(void *ctx, u64 gpa); /* never called, may be NULL, where nothing is `logged` */
	/* Devices of the owner: true when it was served (data filled for reads), else the CPU exits.  May be NULL. */
	bool (*mmio)(void *ctx, u64 gpa, void *data, unsigned len, bool write);
	bool (*pio)(void *ctx, u16 port, void *data, unsigned size, bool write);
	void (*cpuid)(void *ctx, u32 leaf, u32 subleaf, u32 out[4]);
	/* Asked before each RDMSR and WRMSR of the guest: CPU_MSR_OK to go on.  May be NULL. */
	enum cpu_msr (*msr_filter)(void *ctx, u32 msr, bool write);
	/* In place of #GP for what the CPU itself refuses: CPU_MSR_GP or CPU_MSR_EXIT.  NULL: #GP. */
	enum cpu_msr (*msr_invalid)(void *ctx);
	/* MSRs that the CPU does not own (cpu_get_msr()), and writes of APIC_BASE. */
	enum cpu_msr (*rdmsr)(void *ctx, u32 msr, u64 *ret);
	enum cpu_msr (*wrmsr)(void *ctx, u32 msr, u64 value);
	u64 (*rdtsc)(void *ctx); /* NULL: the host's counter + tsc_offset */
	/*
	 * Take the highest interrupt that may be delivered now, or -1: then it is asked again after CPU_STOP_POLL or
	 * a write of CR8 (so EOI and the like kick).  NULL: none ever.
	 */
	int (*irq_ack)(void *ctx);
	int (*irq_pending)(void *ctx); /* cheaper: -1 when irq_ack() would say so.  May be NULL. */
	void (*poll)(void *ctx);       /* CPU_STOP_POLL was seen: move NMIs etc. into cpu->events; may be NULL */
	u64 (*get_tpr)(void *ctx);     /* CR8; NULL: cpu->cr8 alone */
	void (*set_tpr)(void *ctx, u64 tpr);
	/* true: done here, *ret goes to RAX.  false, or NULL: exit CPU_EXIT_HYPERCALL. */
	bool (*hypercall)(void *ctx, u64 nr, const u64 args[5], u64 *ret);
};

/* ---- state ---- */

enum { CPU_RAX, CPU_RCX, CPU_RDX, CPU_RBX, CPU_RSP, CPU_RBP, CPU_RSI, CPU_RDI };
enum { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS, CPU_LDTR, CPU_TR, CPU_SEGMENTS };

/* As struct kvm_segment. */
struct cpu_segment {
	u64 base;
	u32 limit; /* in bytes, inclusive, G already applied */
	u16 selector;
	u8 type, present, dpl, db, s, l, g, avl, unusable;
};

struct cpu_table {
	u64 base;
	u16 limit;
};

/* The XSAVE area, standard form: x87 and MMX, SSE, and the upper halves of AVX. */
struct cpu_fpu {
	u16 fcw, fsw;
	u8 ftw, zero; /* abridged tag word: bit per physical register, 1 = in use */
	u16 fop;
	u64 fip, fdp; /* 64-bit form; 32-bit form keeps the selectors in bits 47:32 */
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16]; /* ST(0)..ST(7), counted from the top of the stack */
	u8 xmm[16][16];
	u8 reserved[96];
	u64 xstate_bv, xcomp_bv, header[6];
	u8 ymmh[16][16];
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct cpu_fpu, xmm) == 160 && offsetof(struct cpu_fpu, ymmh) == 576, "XSAVE layout");

/* As struct kvm_vcpu_events. */
struct cpu_events {
	struct {
		u8 injected, pending, nr, has_error_code, has_payload;
		u32 error_code;
		u64 payload;
	} exception;
	struct {
		u8 injected, nr, soft, shadow; /* shadow: 1 = MOV SS, 2 = STI */
	} interrupt;
	struct {
		u8 injected, pending, masked;
	} nmi;
	bool triple_fault;
};

enum { CPU_MTRR_VAR = 8, CPU_MTRR_FIX = 11 };

struct cpu_msrs {
	u64 star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 apic_base, pat, misc_enable, debugctl;
	u64 mtrr_def, mtrr_fix[CPU_MTRR_FIX], mtrr_base[CPU_MTRR_VAR], mtrr_mask[CPU_MTRR_VAR];
};

/* ---- exits ---- */

enum cpu_exit {
	CPU_EXIT_STOPPED, /* CPU_STOP was set, or RETRY: nothing to report, RIP is the next instruction */
	CPU_EXIT_IO,
	CPU_EXIT_MMIO,
	CPU_EXIT_HLT, /* RIP is behind it; cpu->halted is set and cleared by an event that is delivered */
	CPU_EXIT_HYPERCALL,
	CPU_EXIT_MEMORY_FAULT,
	CPU_EXIT_HOST_FAULT,
	CPU_EXIT_HWPOISON,
	CPU_EXIT_SHUTDOWN,
	CPU_EXIT_INTERNAL_ERROR,
	CPU_EXIT_DEBUG,
	CPU_EXIT_IRQ_WINDOW,
	CPU_EXIT_MSR,
};

enum { CPU_ERROR_EMULATION = 1, CPU_ERROR_DELIVERY_EV = 3 }; /* suberror, as KVM's */

struct cpu_exit_info {
	struct {
		u16 port;
		u8 size, is_out, is_string;
		u32 count;
		u8 *data; /* size * count bytes: cpu->io_buffer, 1024 bytes, which the owner may point into kvm_run */
	} io;
	struct {
		u64 gpa;
		u8 data[8];
		u32 len;
		bool is_write;
	} mmio;
	struct {
		u64 nr, args[5], ret; /* the owner sets ret before cpu_complete() */
		bool long_mode;
	} hypercall;
	struct {
		u64 gpa, flags; /* memory, host and poison faults: page of the access */
		u64 host;	/* host fault reported by cpu_host_fault(): the address */
		unsigned access;
	} fault;
	struct {
		u32 suberror, ndata;
		u64 data[16]; /* EMULATION: flags, then the length and up to 15 bytes of the instruction */
	} internal;
	struct {
		u32 exception;
		u64 pc, dr6, dr7;
	} debug;
	struct {
		u32 index;
		bool is_write;
		bool failed; /* set by the owner: #GP */
		u64 value;
	} msr;
};

/* What cpu_complete() has to do.  Zero: nothing. */
enum cpu_pending {
	CPU_PENDING_NONE,
	CPU_PENDING_IN,
	CPU_PENDING_OUT,
	CPU_PENDING_INS,
	CPU_PENDING_MMIO_READ,
	CPU_PENDING_MMIO_WRITE,
	CPU_PENDING_HYPERCALL,
	CPU_PENDING_MSR,
};

/* Bits of cpu->stop.  Others set the first two by cpu_kick(). */
enum {
	CPU_STOP = 1,	   /* cpu_run() returns CPU_EXIT_STOPPED at the next boundary; the owner clears it */
	CPU_STOP_POLL = 2, /* call bus->poll() and look for interrupts; cleared by the CPU */
	CPU_STOP_SELF = 4, /* the CPU's own */
};

/* Bits of cpu->guest_debug: values of KVM_GUESTDBG_*. */
enum {
	CPU_DEBUG_ENABLE = 1,
	CPU_DEBUG_SINGLESTEP = 2,
	CPU_DEBUG_SW_BP = 0x10000,
	CPU_DEBUG_HW_BP = 0x20000,
	CPU_DEBUG_BLOCKIRQ = 0x100000,
};

/* Answers of CPUID that the CPU itself depends on: cpu_cpuid_changed(). */
enum {
	CPU_HAS_NX = 1 << 0,
	CPU_HAS_1G = 1 << 1,
	CPU_HAS_LA57 = 1 << 2,
	CPU_HAS_SMEP = 1 << 3,
	CPU_HAS_SMAP = 1 << 4,
	CPU_HAS_FSGSBASE = 1 << 5,
	CPU_HAS_PCID = 1 << 6,
	CPU_HAS_XSAVE = 1 << 7,
	CPU_HAS_AVX = 1 << 8,
	CPU_HAS_BMI1 = 1 << 9,
	CPU_HAS_BMI2 = 1 << 10,
	CPU_HAS_MOVBE = 1 << 11,
	CPU_HAS_RDTSCP = 1 << 12,
	CPU_HAS_RDPID = 1 << 13,
	CPU_HAS_LZCNT = 1 << 14,
	CPU_HAS_UMIP = 1 << 15,
	CPU_HAS_ADX = 1 << 16,
	CPU_HAS_AVX2 = 1 << 17,
	CPU_HAS_FMA = 1 << 18,
	CPU_HAS_F16C = 1 << 19,
	CPU_HAS_AES = 1 << 20,
	CPU_HAS_PCLMUL = 1 << 21,
	CPU_HAS_RDRAND = 1 << 22,
	CPU_HAS_RDSEED = 1 << 23,
	CPU_HAS_MONITOR = 1 << 24,
	CPU_HAS_INVPCID = 1 << 25,
	CPU_HAS_AMD = 1 << 26, /* vendor: AMD or Hygon */
	CPU_HAS_SHA = 1 << 27,
	CPU_HAS_XSAVEOPT = 1 << 28,
	CPU_HAS_LONG_MODE = 1 << 29,
	CPU_HAS_XSAVEC = 1 << 30,
	CPU_HAS_XGETBV1 = 1LL << 31,
	CPU_HAS_XSAVES = 1LL << 32,
	CPU_HAS_CLFLUSHOPT = 1LL << 33,
	CPU_HAS_CLWB = 1LL << 34,
};

enum { CPU_MMIO_LOG = 160, CPU_MMIO_QUEUE = 160 };

struct cpu_fragment {
	u64 gpa;
	u8 data[8];
	u8 len;
};

/* Soft TLB: tag = linear page | generation | mode (cpu/mmu.c); host = linear + addend. */
struct cpu_tlb {
	u64 read, write;
	u64 addend;
	u64 gpa;
};

enum { CPU_TLB_SIZE = 1024, CPU_WALK_SIZE = 64 };

struct cpu {
	/* reg[16] is always 0: what an absent base or index register reads. */
	union {
		u64 reg[18];
		struct {
			u64 gpr[16], zero, rip;
		};
	};
	/* Arithmetic flags as LAHF and SETO give them: bits 15:8 = SF ZF AF PF CF, bit 0 = OF.  The rest in `flags`. */
	u16 aflags;
	u32 stop;		       /* atomic accesses only: cpu_kick() */
	u64 flags;		       /* use cpu_rflags() and cpu_set_rflags() */
	const struct cpu_insn *insn;   /* the one being executed */
	const struct cpu_block *block; /* and its block */
	u64 code_key, tlb_key;	       /* mode and generation parts of tags */
	struct cpu_tlb *tlb;
	u64 base64[6]; /* what 64-bit addressing adds: bases of FS and GS, 0 for the others */

	struct cpu_segment seg[CPU_SEGMENTS];
	struct cpu_table gdtr, idtr;
	u64 cr0, cr2, cr3, cr4, cr8, efer, xcr0;
	u64 pdptr[4]; /* PAE paging: loaded with CR3 */
	u64 dr[4], dr6, dr7;
	u64 tsc_offset;
	struct cpu_msrs msr;
	struct cpu_events events;
	struct cpu_fpu fpu;
	bool halted;
	u64 halts; /* HLT instructions so far */
	u8 cpl;

	/* Requests of the owner */
	bool want_irq_window;
	bool quirk_out_7e; /* OUT to port 0x7e retires before the exit */
	u32 guest_debug;
	u64 debug_dr[4], debug_dr7; /* with CPU_DEBUG_HW_BP: in place of the guest's */

	const struct cpu_bus *bus;
	void *ctx; /* of the bus */
	u8 *io_buffer;

	/* Results */
	struct cpu_exit_info exit;
	enum cpu_pending pending;

	/* From CPUID */
	u64 features;
	u8 phys_bits;

	/* Private from here on */
	struct cpu_cache *cache;
	u64 flushes;
	u16 tlb_gen;
	bool irq_waiting;
	bool stepping; /* exactly one instruction, one iteration of a string */
	void *escape_sp;
	enum cpu_exit why;	       /* of CPU_LEAVE_EXIT */
	u64 code_base;		       /* linear address of RIP 0: CS.base outside 64-bit mode */
	u64 touched_host, touched_gpa; /* last page mapped by a slow path: see cpu_host_fault() */
	u64 query, answer;	       /* of cpu_translate() */
	u64 io_rip;		       /* linear address of the instruction that is pending */
	u8 io_length, io_addr_size;
	bool io_repeats;
	bool kvm_access; /* string I/O: KVM's own accesses */
	bool emulating;	 /* M-4: the instruction is KVM's to execute */
	bool deferred;	 /* cpu_complete() produced deferred_exit, which cpu_run() returns */
	enum cpu_exit deferred_exit;
	u32 trap_dr6; /* debug traps to raise behind the instruction */
	struct {
		u64 gpa;
		u8 *host;
		bool writable;
	} walk[CPU_WALK_SIZE];
	u64 read_rip; /* whose reads the log holds */
	u32 read_count, read_pos, write_count, write_pos;
	struct cpu_fragment read_log[CPU_MMIO_LOG], write_queue[CPU_MMIO_QUEUE];
	/* The exception to deliver, and the event whose delivery is under way. */
	struct {
		u32 error;
		u8 vector;
		bool has_error, trap;
	} fault;
	struct {
		u32 error;
		u8 vector;
		bool active, has_error, external, soft;
		u64 rip;
	} event;
	/* A task switch whose segments are still to be loaded, see cpu/task.c. */
	struct {
		u32 error;
		bool active, has_error;
	} task;
	u8 local_buffer[1024];
};

/* ---- for the owner ---- */

/* State as KVM_CREATE_VCPU leaves it; 0 or -ENOMEM.  cpu is zeroed memory. */
int cpu_init(struct cpu *cpu, const struct cpu_bus *bus, void *ctx);
void cpu_fini(struct cpu *cpu);
/* Registers as after INIT (keep_fpu) or RESET. */
void cpu_reset(struct cpu *cpu, bool init);

enum cpu_exit cpu_run(struct cpu *cpu);
/* Finish what the last exit left open (cpu->pending); see the head of this file. */
void cpu_complete(struct cpu *cpu);

/* From any thread or signal handler: CPU_STOP, CPU_STOP_POLL. */
static inline void cpu_kick(struct cpu *cpu, u32 bits)
{
	__atomic_fetch_or(&cpu->stop, bits, __ATOMIC_SEQ_CST);
}

static inline void cpu_unkick(struct cpu *cpu, u32 bits)
{
	__atomic_fetch_and(&cpu->stop, ~bits, __ATOMIC_SEQ_CST);
}

u64 cpu_rflags(const struct cpu *cpu);
void cpu_set_rflags(struct cpu *cpu, u64 rflags);
/* After the owner wrote segments, control registers, EFER, debug registers or guest_debug: derived state, TLB. */
void cpu_state_changed(struct cpu *cpu);
/* After it wrote events, halted or want_irq_window alone: flushes nothing. */
static inline void cpu_events_changed(struct cpu *cpu)
{
	cpu_kick(cpu, CPU_STOP_SELF);
}
/* After the answers of bus->cpuid changed. */
void cpu_cpuid_changed(struct cpu *cpu);
/* Of AVX, AVX2, FMA, F16C, AES, PCLMUL and SHA (CPU_HAS_) those that may be offered: this host executes them. */
u32 cpu_host_simd(void);
/* Only while the CPU is not running, or from its own thread. */
void cpu_flush_tlb(struct cpu *cpu);	/* linear addresses: as MOV CR3 */
void cpu_flush_memory(struct cpu *cpu); /* everything that bus->map answered: after any change of what gpas mean */

/* KVM_TRANSLATE: walk as a supervisor's read in software (CPU_KVM), no A/D bits; 0, or -ENOENT when not mapped. */
int cpu_translate(struct cpu *cpu, u64 linear, u64 *gpa);
/* After CR3 and so on were set for PAE paging: read the PDPTEs; false: they are bad, or not in memory. */
bool cpu_reload_pdptrs(struct cpu *cpu);
/* Whether KVM_SET_XCRS and XSETBV take the value. */
bool cpu_xcr0_valid(const struct cpu *cpu, u64 xcr0);
/* MSRs the CPU owns: true when index is one of them; setting checks what every processor refuses. */
bool cpu_get_msr(struct cpu *cpu, u32 index, u64 *ret);
int cpu_set_msr(struct cpu *cpu, u32 index, u64 value); /* 0, -ENOENT (not owned), -EINVAL */

/*
 * Guest memory is touched directly.  The owner's SIGSEGV/SIGBUS handler, having found that this thread is inside
 * cpu_run(cpu) or cpu_complete(cpu), calls this with si_addr and the interrupted context; true means that the context
 * was changed so that returning from the handler ends the access: cpu_run() returns CPU_EXIT_HOST_FAULT with
 * exit.fault.host = addr (cpu_complete(): the next cpu_run() does).  The guest's registers are as before the
 * instruction.  false: not ours, a bug.  Calling cpu_run() again retries the access.
 */
struct cpu_context {
	u64 *rip, *rsp, *rdi, *rsi, *eflags;
};
bool cpu_host_fault(struct cpu *cpu, u64 addr, const struct cpu_context *context);

#endif
