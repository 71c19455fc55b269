/* SPDX-License-Identifier: MIT */
/*
 * tests/cpu_native.h - the same code with the same state on this host and on a struct cpu
 *
 * A guest's linear addresses are the host's, so that code and pointers are the
 * same bytes.  Natively the code is called between XRSTOR and XSAVE; exceptions
 * arrive as signals.  In the guest it runs in long mode at CPL 0 and ends in HLT,
 * as does the handler of every vector.
 */
#ifndef GMEM_TESTS_CPU_NATIVE_H
#define GMEM_TESTS_CPU_NATIVE_H

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "cpu/cpu.h"
#include "tests/tap.h"

enum { WORLD_CODE = 0x1000, WORLD_DATA = 0x3000, WORLD_SIZE = 0x10000, WORLD_DATA_SIZE = 0x2000 };
enum { NO_VECTOR = -1 };

struct native_state {
	u64 gpr[16]; /* RSP is not used */
	u64 flags;
	struct cpu_fpu fpu;
};

static struct {
	u8 *memory;           /* what the guest has mapped, at the same address */
	u8 tables[5][4096] __attribute__((aligned(4096)));
	u8 system[8192] __attribute__((aligned(4096))); /* IDT and handlers, mapped at SYSTEM_LA */
	bool avx;
	unsigned ignored; /* offset of four bytes of data that differ between processors; 0: none */
	struct cpu cpu;
} world;

enum { TABLES_GPA = 0x100000, SYSTEM_GPA = 0x200000 };
/* Below 2 GiB: free under every sanitizer. */
#define WORLD_LA  0x50000000ULL
#define SYSTEM_LA 0x60000000ULL
#define ARITH     0x8d5UL

static inline enum cpu_map world_map(void *ctx, u64 gpa, unsigned access, struct cpu_page *ret)
{
	if (gpa < WORLD_SIZE)
		ret->host = world.memory + gpa;
	else if (gpa >= TABLES_GPA && gpa < TABLES_GPA + sizeof(world.tables))
		ret->host = (u8 *)world.tables + (gpa - TABLES_GPA);
	else if (gpa >= SYSTEM_GPA && gpa < SYSTEM_GPA + sizeof(world.system))
		ret->host = world.system + (gpa - SYSTEM_GPA);
	else
		return CPU_MAP_MMIO;
	ret->writable = true;
	return CPU_MAP_RAM;
}

/* The host's own answers, for the CPU's features. */
static inline void world_cpuid(void *ctx, u32 leaf, u32 subleaf, u32 out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

static inline void world_entry(unsigned table, unsigned index, u64 value)
{
	memcpy(world.tables[table] + 8 * index, &value, 8);
}

/* Two ranges of linear addresses in the same GiB. */
static inline void world_tables(void)
{
	static const struct {
		u64 la, gpa, size;
	} ranges[2] = { { WORLD_LA, 0, WORLD_SIZE }, { SYSTEM_LA, SYSTEM_GPA, sizeof(world.system) } };

	world_entry(0, 0, (TABLES_GPA + 4096) | 7);
	world_entry(1, WORLD_LA >> 30, (TABLES_GPA + 2 * 4096) | 7);
	for (unsigned r = 0; r < 2; r++) {
		world_entry(2, ranges[r].la >> 21 & 511, (TABLES_GPA + 4096 * (3 + r)) | 7);
		for (u64 off = 0; off < ranges[r].size; off += 4096)
			world_entry(3 + r, (ranges[r].la + off) >> 12 & 511, (ranges[r].gpa + off) | 7);
	}
}

static inline struct cpu_segment world_segment(unsigned selector, unsigned type, bool code)
{
	return (struct cpu_segment){ .limit = 0xffffffff, .selector = (u16)selector, .type = (u8)type, .present = 1, .s = 1,
				     .l = code, .db = !code, .g = 1 };
}

static inline void world_reset(void)
{
	struct cpu *cpu = &world.cpu;

	cpu->cr0 = 0x80010031;
	cpu->cr3 = TABLES_GPA;
	cpu->cr4 = 0x620 | (world.avx ? 1 << 18 : 0);
	cpu->efer = 0x500;
	cpu->xcr0 = world.avx ? 7 : 1;
	cpu->seg[CPU_CS] = world_segment(8, 11, true);
	for (unsigned i = 0; i < 6; i++)
		if (i != CPU_CS)
			cpu->seg[i] = world_segment(16, 3, false);
	cpu->gdtr.base = SYSTEM_LA + 4096 + 2048;
	cpu->gdtr.limit = 23;
	cpu->idtr.base = SYSTEM_LA;
	cpu->idtr.limit = 32 * 16 - 1;
	cpu_state_changed(cpu);
}

static inline void world_start(void)
{
	static struct cpu_bus bus;
	u32 one[4];
	u64 gdt[3] = { 0, 0x00af9b000000ffffULL, 0x00cf93000000ffffULL };

#ifdef __SANITIZE_THREAD__
	skip_all("the thread sanitizer dies of a mapping at address 0; there is one thread only");
#endif
	world_cpuid(NULL, 1, 0, one);
	world.avx = one[2] >> 28 & 1;
	world.memory = mmap((void *)WORLD_LA, WORLD_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (world.memory != (u8 *)WORLD_LA)
		skip_all("no executable memory to compare with");
	world_tables();
	for (unsigned v = 0; v < 32; v++) {
		const u64 handler = SYSTEM_LA + 4096 + 16 * v;
		u64 gate[2] = { (handler & 0xffff) | 8 << 16 | 0x8eULL << 40 | (handler >> 16 & 0xffff) << 48, handler >> 32 };

		memcpy(world.system + 16 * v, gate, 16);
		world.system[4096 + 16 * v] = 0xf4;
	}
	memcpy(world.system + 4096 + 2048, gdt, sizeof(gdt));
	bus.map = world_map;
	bus.cpuid = world_cpuid;
	if (cpu_init(&world.cpu, &bus, NULL))
		exit(1);
	world_reset();
}

/* Run what is at WORLD_CODE in the guest; the vector of the exception that ended it, or NO_VECTOR. */
static inline int guest_run(struct native_state *s, u8 *code, unsigned n)
{
	struct cpu *cpu = &world.cpu;
	enum cpu_exit why;

	code[n] = 0xf4;
	memcpy(cpu->gpr, s->gpr, sizeof(cpu->gpr));
	cpu->gpr[CPU_RSP] = SYSTEM_LA + 8192;
	cpu->fpu = s->fpu;
	cpu->rip = (u64)(uintptr_t)code;
	cpu->halted = false;
	cpu_set_rflags(cpu, s->flags | 2);
	why = cpu_run(cpu);
	memcpy(s->gpr, cpu->gpr, sizeof(s->gpr));
	s->flags = cpu_rflags(cpu);
	s->fpu = cpu->fpu;
	if (why != CPU_EXIT_HLT) {
		printf("# exit %d\n", why);
		return 1000 + (int)why;
	}
	if (cpu->rip >= SYSTEM_LA)
		return (int)((cpu->rip - SYSTEM_LA - 4096) / 16);
	return NO_VECTOR;
}

/* ---- natively ---- */

static struct native_state native_state __attribute__((used));
static volatile int native_vector;
static u64 native_rsp __attribute__((used));

void native_call(void *code);
__asm__(".pushsection .text\n"
	".type native_call, @function\n"
	"native_call:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	push %rdi\n"
	"	fninit\n"
	"	mov $7, %eax\n	xor %edx, %edx\n"
	"	lea native_state+192(%rip), %rcx\n"
	"	cmpb $0, native_xsave(%rip)\n	je 1f\n	xrstor64 (%rcx)\n	jmp 2f\n"
	"1:	fxrstor64 (%rcx)\n"
	"2:	mov %rsp, native_rsp(%rip)\n"
	"	pushq native_state+128(%rip)\n	popfq\n"
	"	mov native_state+0(%rip), %rax\n	mov native_state+8(%rip), %rcx\n"
	"	mov native_state+16(%rip), %rdx\n	mov native_state+24(%rip), %rbx\n"
	"	mov native_state+40(%rip), %rbp\n	mov native_state+48(%rip), %rsi\n"
	"	mov native_state+56(%rip), %rdi\n	mov native_state+64(%rip), %r8\n"
	"	mov native_state+72(%rip), %r9\n	mov native_state+80(%rip), %r10\n"
	"	mov native_state+88(%rip), %r11\n	mov native_state+96(%rip), %r12\n"
	"	mov native_state+104(%rip), %r13\n	mov native_state+112(%rip), %r14\n"
	"	mov native_state+120(%rip), %r15\n"
	"	call *(%rsp)\n"
	"	mov %rax, native_state+0(%rip)\n	mov %rcx, native_state+8(%rip)\n"
	"	mov %rdx, native_state+16(%rip)\n	mov %rbx, native_state+24(%rip)\n"
	"	mov %rbp, native_state+40(%rip)\n	mov %rsi, native_state+48(%rip)\n"
	"	mov %rdi, native_state+56(%rip)\n	mov %r8, native_state+64(%rip)\n"
	"	mov %r9, native_state+72(%rip)\n	mov %r10, native_state+80(%rip)\n"
	"	mov %r11, native_state+88(%rip)\n	mov %r12, native_state+96(%rip)\n"
	"	mov %r13, native_state+104(%rip)\n	mov %r14, native_state+112(%rip)\n"
	"	mov %r15, native_state+120(%rip)\n"
	"	pushfq\n	popq native_state+128(%rip)\n"
	"native_raised:\n"
	"	pushq $2\n	popfq\n"
	"	mov $7, %eax\n	xor %edx, %edx\n"
	"	lea native_state+192(%rip), %rcx\n"
	"	cmpb $0, native_xsave(%rip)\n	je 3f\n	xsave64 (%rcx)\n	jmp 4f\n"
	"3:	fxsave64 (%rcx)\n"
	"4:	pop %rdi\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n"
	"	fninit\n	ldmxcsr native_mxcsr_default(%rip)\n	cmpb $0, native_xsave(%rip)\n	je 5f\n	vzeroupper\n"
	"5:	ret\n"
	"native_mxcsr_default: .long 0x1f80\n"
	".popsection\n");
_Static_assert(offsetof(struct native_state, fpu) == 192, "as in native_call()");
static bool native_xsave __attribute__((used));

/* Go on behind the code, in native_call(), with the floating-point state as it is. */
extern const u8 native_raised[];

static inline void native_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	native_vector = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
	if (uc->uc_mcontext.gregs[REG_RIP] < (long long)WORLD_LA || uc->uc_mcontext.gregs[REG_RIP] >= (long long)SYSTEM_LA)
		abort();
	uc->uc_mcontext.gregs[REG_RIP] = (long long)(uintptr_t)native_raised;
	uc->uc_mcontext.gregs[REG_RSP] = (long long)native_rsp;
}

static inline void native_start(void)
{
	static u8 stack[65536];
	const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_sigaction = native_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigaltstack(&alternate, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	native_xsave = world.avx;
}

static inline int native_run(struct native_state *s, u8 *code, unsigned n)
{
	code[n] = 0xc3;
	native_state = *s;
	native_state.fpu.xstate_bv = 7;
	native_vector = NO_VECTOR;
	native_call(code);
	*s = native_state;
	return native_vector;
}

/* ---- comparing ---- */

static inline bool differ(const char *what, const void *a, const void *b, size_t n, bool print)
{
	if (!memcmp(a, b, n))
		return false;
	if (print) {
		printf("#   %s: guest ", what);
		for (size_t i = n; i-- > 0;)
			printf("%02x", ((const u8 *)a)[i]);
		printf(" host ");
		for (size_t i = n; i-- > 0;)
			printf("%02x", ((const u8 *)b)[i]);
		putchar('\n');
	}
	return true;
}

/* Everything but RSP, FIP, FDP and FOP, which processors treat differently. */
static inline bool states_differ(const struct native_state *g, const struct native_state *h, bool print)
{
	static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
	bool bad = false;
	char name[16];

	for (unsigned i = 0; i < 16; i++)
		if (i != CPU_RSP)
			bad |= differ(names[i], &g->gpr[i], &h->gpr[i], 8, print);
	if ((g->flags ^ h->flags) & ARITH) {
		if (print)
			printf("#   flags: guest %llx host %llx\n", (unsigned long long)g->flags, (unsigned long long)h->flags);
		bad = true;
	}
	bad |= differ("fcw", &g->fpu.fcw, &h->fpu.fcw, 2, print);
	bad |= differ("fsw", &g->fpu.fsw, &h->fpu.fsw, 2, print);
	bad |= differ("ftw", &g->fpu.ftw, &h->fpu.ftw, 1, print);
	bad |= differ("mxcsr", &g->fpu.mxcsr, &h->fpu.mxcsr, 4, print);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "st%u", i);
		bad |= differ(name, g->fpu.st[i], h->fpu.st[i], 10, print);
	}
	for (unsigned i = 0; i < 16; i++) {
		snprintf(name, sizeof(name), "xmm%u", i);
		bad |= differ(name, g->fpu.xmm[i], h->fpu.xmm[i], 16, print);
		snprintf(name, sizeof(name), "ymm%u high", i);
		bad |= world.avx && differ(name, g->fpu.ymmh[i], h->fpu.ymmh[i], 16, print);
	}
	return bad;
}

/*
 * The n bytes at code, from state s, on both; true when all is the same.  After an exception only the vector and the
 * sticky flags are compared.
 */
static inline bool same_on_both(const struct native_state *s, const u8 *code, unsigned n, const char *what)
{
	struct native_state g = *s, h = *s;
	u8 before[WORLD_DATA_SIZE], after[WORLD_DATA_SIZE];
	u8 *const data = world.memory + WORLD_DATA, *const at = world.memory + WORLD_CODE;
	int gv, hv;
	bool bad;

	memcpy(at, code, n);
	memcpy(before, data, sizeof(before));
	hv = native_run(&h, at, n);
	memcpy(after, data, sizeof(after));
	memcpy(data, before, sizeof(before));
	gv = guest_run(&g, at, n);
	if (world.ignored)
		memcpy(after + world.ignored, data + world.ignored, 4);
	for (int print = 0; print < 2; print++) {
		bad = gv != hv;
		if (gv == NO_VECTOR || bad) {
			bad |= states_differ(&g, &h, print);
			bad |= differ("memory", data, after, 512, print);
			bad |= memcmp(data, after, sizeof(after)) != 0;
		} else if (!(g.fpu.mxcsr & ~(s->fpu.mxcsr >> 7) & 0x18)) { /* PE beside an unmasked OE or UE: see cpu/sse.c */
			bad |= differ("mxcsr", &g.fpu.mxcsr, &h.fpu.mxcsr, 4, print);
		}
		if (!bad)
			return true;
		if (!print) {
			printf("# %s:", what);
			for (unsigned i = 0; i < n; i++)
				printf(" %02x", code[i]);
			printf("  vector: guest %d host %d mxcsr %x fcw %x fsw %x\n", gv, hv, s->fpu.mxcsr, s->fpu.fcw, s->fpu.fsw);
		}
	}
	return false;
}

/* ---- random states ---- */

static u64 random_seed = 0x9e3779b97f4a7c15ULL;

static inline u64 random64(void)
{
	random_seed ^= random_seed << 13;
	random_seed ^= random_seed >> 7;
	random_seed ^= random_seed << 17;
	return random_seed * 0x2545f4914f6cdd1dULL >> 8 ^ random_seed;
}

static inline unsigned random_below(unsigned n)
{
	return (unsigned)((random64() >> 20) % n);
}

static inline u32 random_float(void)
{
	static const u32 special[] = { 0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa00000,
				       1, 0x80000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x5f000000 };

	switch (random_below(4)) {
	case 0:
		return special[random_below(16)];
	case 1:
		return (u32)(random64() & 0x807fffff) | (127 - 30 + random_below(60)) << 23;
	default:
		return (u32)random64();
	}
}

static inline u64 random_double(void)
{
	static const u64 special[] = { 0, 1ULL << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
				       0xfff0000000000000, 0x7ff8000000000000, 0x7ff4000000000000, 1, 0x000fffffffffffff,
				       0x0010000000000000, 0x7fefffffffffffff, 0x41e0000000000000, 0xc1e0000000000000,
				       0x43e0000000000000, 0x36a0000000000000 };

	switch (random_below(4)) {
	case 0:
		return special[random_below(16)];
	case 1:
		return (random64() & 0x800fffffffffffff) | (u64)(1023 - 60 + random_below(120)) << 52;
	default:
		return random64();
	}
}

/* Sixteen bytes of whatever instructions may like: floats, doubles, small or equal or arbitrary integers. */
static inline void random_vector(u8 v[16])
{
	const unsigned kind = random_below(6);

	for (unsigned i = 0; i < 16; i += 8) {
		u64 x = random64();

		if (kind == 0)
			x = random_float() | (u64)random_float() << 32;
		else if (kind == 1)
			x = random_double();
		else if (kind == 2)
			x = random_below(70);
		else if (kind == 3)
			x &= 0x0103010301030103ULL;
		memcpy(v + i, &x, 8);
	}
}

static inline void random_state(struct native_state *s)
{
	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = random_below(2) ? random64() : random_below(40) - 20ULL;
	s->flags = random64() & ARITH;
	s->fpu.fcw = 0x37f;
	s->fpu.mxcsr = 0x1f80 | (random_below(4) << 13) | (random64() & 0x3f);
	if (!random_below(4))
		s->fpu.mxcsr |= random64() & 0x8040;
	s->fpu.mxcsr_mask = 0xffff;
	for (unsigned i = 0; i < 16; i++) {
		random_vector(s->fpu.xmm[i]);
		if (world.avx)
			random_vector(s->fpu.ymmh[i]);
	}
	for (unsigned i = 0; i < WORLD_DATA_SIZE; i += 16)
		random_vector(world.memory + WORLD_DATA + i);
}

#endif
