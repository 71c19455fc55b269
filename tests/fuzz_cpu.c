// SPDX-License-Identifier: MIT
/*
 * tests/fuzz_cpu.c - the same random instruction on the host's CPU and as a guest
 *
 *	fuzz_cpu [--seconds N] [--seed S] [--count N] [--verbose]
 *
 * A program of one page loads 15 registers, flags and XMM registers from a state area, executes one random
 * instruction, and stores them again.  It runs natively, and in a long-mode guest that maps the same addresses;
 * registers, flags that are defined, XMM registers, the data page and the fault, if any, must agree.
 */
#include <time.h>

#include "tests/tap.h"

#include "tests/cpu_guest.h"
#include "tests/fuzz_cpu_insn.h"

/* Addresses of the areas, host and guest alike. */
#define AREA_CODE  0x10000000UL
#define AREA_STATE 0x10001000UL
#define AREA_DATA  0x10002000UL /* two pages, registers point into their middle */
#define AREA_END   0x10004000UL
#define TABLES	   0x20000000UL /* where the guest has its tables: low addresses are not mapped, as here */

struct state {
	u64 gpr[16]; /* RSP is the host's */
	u64 flags;
	u64 saved_rsp;
	u8 xmm[16][16];
	u32 mxcsr;
};

static struct state *const state = (struct state *)AREA_STATE;
static bool with_sse = true, verbose;

/* ---- the program around the instruction ---- */

static u8 *emit_hex(u8 *p, const char *hex)
{
	for (; *hex; hex += 2) {
		char two[3] = { hex[0], hex[1], 0 };

		*p++ = (u8)strtoul(two, NULL, 16);
	}
	return p;
}

/* mov reg, [abs32] or back; absolute by SIB without base. */
static u8 *move_gpr(u8 *p, unsigned r, bool load, u32 address)
{
	*p++ = (u8)(0x48 | (r & 8) >> 1);
	*p++ = load ? 0x8b : 0x89;
	*p++ = (u8)(0x04 | (r & 7) << 3);
	*p++ = 0x25;
	return emit(p, &address, 4);
}

static u8 *move_xmm(u8 *p, unsigned r, bool load, u32 address)
{
	if (r & 8)
		*p++ = 0x44;
	*p++ = 0x0f;
	*p++ = load ? 0x10 : 0x11;
	*p++ = (u8)(0x04 | (r & 7) << 3);
	*p++ = 0x25;
	return emit(p, &address, 4);
}

static u8 *absolute(u8 *p, const char *opcode, u32 address)
{
	p = emit_hex(p, opcode);
	return emit(p, &address, 4);
}

static u64 insn_at; /* address of the random instruction */
static u64 end_at;

/* The tail is the same for all: it ends with RET natively, with HLT in the guest. */
static void build(const u8 *insn, unsigned n)
{
	u8 *p = (u8 *)AREA_CODE;

	memset(p, 0xcc, 0x1000);
	p = emit_hex(p,
		     "4154415541564157535556575052"); /* push r12..r15 rbx rbp rsi rdi rax rdx: callee-saved and more */
	p = move_gpr(p, 4, false, AREA_STATE + offsetof(struct state, saved_rsp));
	p = absolute(p, "0fae1425", AREA_STATE + offsetof(struct state, mxcsr)); /* ldmxcsr */
	for (unsigned i = 0; i < 16; i++)
		p = move_xmm(p, i, true, AREA_STATE + offsetof(struct state, xmm) + 16 * i);
	p = absolute(p, "ff3425", AREA_STATE + offsetof(struct state, flags)); /* push flags; popf */
	p = emit_hex(p, "9d");
	for (unsigned i = 0; i < 16; i++)
		p = move_gpr(p, i, true, AREA_STATE + 8 * i);
	insn_at = (u64)p;
	p = emit(p, insn, n);
	/* After the instruction: RSP was an area of the state, save it first. */
	p = move_gpr(p, 4, false, AREA_STATE + 8 * 4);
	p = move_gpr(p, 4, true, AREA_STATE + offsetof(struct state, saved_rsp));
	for (unsigned i = 0; i < 16; i++) {
		if (i != 4)
			p = move_gpr(p, i, false, AREA_STATE + 8 * i);
	}
	p = emit_hex(p, "9c8f0425"); /* pushf; pop [flags] */
	p = emit(p, &(u32){ AREA_STATE + offsetof(struct state, flags) }, 4);
	for (unsigned i = 0; i < 16; i++)
		p = move_xmm(p, i, false, AREA_STATE + offsetof(struct state, xmm) + 16 * i);
	p = absolute(p, "0fae1c25", AREA_STATE + offsetof(struct state, mxcsr)); /* stmxcsr */
	p = emit_hex(p, "fc");							 /* cld */
	end_at = (u64)p;
	p = emit_hex(p, "5a585f5e5d5b415f415e415d415cc3");
}

/* ---- running ---- */

static volatile sig_atomic_t native_running;
static volatile int native_signal;
static sigjmp_buf native_back;

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	greg_t *r = ((ucontext_t *)uc)->uc_mcontext.gregs;

	if (!native_running) {
		if (getenv("FUZZ_DEBUG"))
			fprintf(stderr, "# fault: rip %#llx address %p rdi %#llx\n", (long long)r[REG_RIP],
				info->si_addr, (long long)r[REG_RDI]);
		guest_signal(sig, info, uc);
		return;
	}
	native_running = 0;
	native_signal = sig;
	if ((u64)r[REG_RIP] != insn_at)
		native_signal |= 0x100;
	siglongjmp(native_back, 1);
}

static int run_native(void)
{
	native_signal = 0;
	if (!sigsetjmp(native_back, 1)) {
		native_running = 1;
		__asm__ volatile("call *%0"
				 :
				 : "r"(AREA_CODE)
				 : "rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
				   "r14", "r15", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
				   "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
		native_running = 0;
	}
	return native_signal;
}

/* Guest-physical memory of this program: the three areas; tables from the guest's own memory. */
static enum cpu_map fuzz_map(void *ctx, u64 gpa, unsigned access, struct cpu_page *ret)
{
	if (gpa >= AREA_CODE && gpa < AREA_END) {
		ret->host = (u8 *)gpa;
		ret->writable = true;
		return CPU_MAP_RAM;
	}
	return guest_map(ctx, gpa, access, ret);
}

static int run_guest(struct guest *g)
{
	struct cpu *c = g->cpu;
	u64 rip, frame;
	enum cpu_exit why;

	c->halted = false;
	c->rip = AREA_CODE;
	c->reg[CPU_RSP] = TABLES + G_STACK;
	cpu_set_rflags(c, 2);
	((u8 *)AREA_CODE)[end_at - AREA_CODE] = 0xf4;
	why = cpu_run(c);
	((u8 *)AREA_CODE)[end_at - AREA_CODE] = 0x5a;
	if (why == CPU_EXIT_HLT)
		return 0;
	if (why == CPU_EXIT_IO) {
		/* A handler: vector in AL, below it on the stack RAX, then perhaps an error code. */
		const unsigned vector = *(u8 *)&c->gpr[CPU_RAX];
		const u64 rsp = c->gpr[CPU_RSP] + 8;

		c->pending = CPU_PENDING_NONE;
		frame = rsp + (vector >= 10 && vector <= 14 ? 8 : 0);
		rip = get64(g, frame & (GUEST_SIZE - 8));
		return (int)(vector == 0		    ? SIGFPE
			     : vector == 6		    ? SIGILL
			     : vector == 12		    ? SIGBUS
			     : vector == 16 || vector == 19 ? SIGFPE
							    : SIGSEGV) |
		       (rip != insn_at ? 0x100 : 0);
	}
	return 0x1000 | (int)why;
}

static void randomise(struct state *s, u8 *data)
{
	static const u64 special[] = { 0,	   1,	       ~0ULL,	   0x80, 0x7f, 0x8000, 0x7fff, 0x80000000,
				       0x7fffffff, 1ULL << 63, ~0ULL >> 1, 63,	 64,   31,     32 };

	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = below(3) ? rng() : special[below(sizeof(special) / sizeof(special[0]))];
	for (unsigned i = 8; i < 12; i++)
		s->gpr[i] = AREA_DATA + 0x1000 - 64 + below(128); /* around the page's end */
	if (below(2)) {
		for (unsigned i = 8; i < 12; i++)
			s->gpr[i] = AREA_DATA + 0x800 + 16 * below(16);
	}
	s->gpr[12] = below(16);
	s->gpr[4] = AREA_DATA + 0x1000 - 8 * below(8) - (below(4) ? 0 : below(8));
	s->gpr[CPU_RSI] = below(4) ? AREA_DATA + 0x400 + below(0x800) : s->gpr[CPU_RSI];
	s->gpr[CPU_RDI] = below(4) ? AREA_DATA + 0xe00 + below(0x400) : s->gpr[CPU_RDI];
	s->gpr[CPU_RBX] = below(2) ? AREA_DATA + 0x300 : s->gpr[CPU_RBX];
	s->gpr[CPU_RBP] = below(2) ? AREA_DATA + 0x500 : s->gpr[CPU_RBP];
	s->flags = (rng() & (A_ALL | (below(4) ? 0 : 0x400))) | 0x202;
	for (unsigned i = 0; i < 16; i++) {
		for (unsigned j = 0; j < 16; j += 8) {
			u64 v = below(4) ? rng() : special[below(15)];

			if (below(4) == 0) { /* floating-point numbers of a moderate size */
				float f[2] = { (float)(s32)rng() / 65536, (float)(s32)rng() };

				memcpy(&v, f, 8);
			} else if (below(4) == 0) {
				double d = (double)(s64)rng() / 4294967296.0;

				memcpy(&v, &d, 8);
			}
			memcpy(&s->xmm[i][j], &v, 8);
		}
	}
	s->mxcsr = 0x1f80 | below(4) << 13 | (below(8) ? 0 : 0x8040);
	for (unsigned i = 0; i < 64; i++) {
		u64 v = rng();

		memcpy(data + 0x800 + 8 * i, &v, 8);
		memcpy(data + 0xf00 + 8 * i, &v, 8);
		memcpy(data + 0x300 + 4 * i, &v, 4);
	}
	if (below(2))
		memset(data + 0xe00, (int)rng(), 0x400);
}

static void describe(const struct insn *in, const struct state *before, const struct state *native,
		     const struct state *guest)
{
	char hex[64] = "";

	for (unsigned i = 0; i < in->length; i++)
		sprintf(hex + strlen(hex), "%02x ", in->bytes[i]);
	diag("instruction: %s", hex);
	for (unsigned i = 0; i < 16; i++) {
		if (native->gpr[i] != guest->gpr[i])
			diag("  r%u: %#lx -> host %#lx, guest %#lx", i, before->gpr[i], native->gpr[i], guest->gpr[i]);
	}
	if (native->flags != guest->flags)
		diag("  flags: %#lx -> host %#lx, guest %#lx (undefined %#x) rcx %#lx", before->flags, native->flags,
		     guest->flags, in->undefined, before->gpr[1]);
	for (unsigned i = 0; i < 16; i++) {
		const u64 *a = (const u64 *)native->xmm[i], *b = (const u64 *)guest->xmm[i],
			  *c = (const u64 *)before->xmm[i];

		if (a[0] != b[0] || a[1] != b[1])
			diag("  xmm%u: %016lx%016lx -> host %016lx%016lx, guest %016lx%016lx", i, c[1], c[0], a[1],
			     a[0], b[1], b[0]);
	}
	if (native->mxcsr != guest->mxcsr)
		diag("  mxcsr: %#x -> host %#x, guest %#x", before->mxcsr, native->mxcsr, guest->mxcsr);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };
	u64 seconds = 10, count = ~0ULL, done = 0, faults = 0, bad = 0;
	struct guest *g;
	struct cpu_bus bus = guest_bus;
	static u8 stack[65536], data_before[0x2000], data_native[0x2000];
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
	time_t end;

	rng_state = 0x9e3779b97f4a7c15ULL ^ (u64)time(NULL);
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			seconds = strtoul(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			rng_state = strtoul(argv[++i], NULL, 0) * 0x9e3779b97f4a7c15ULL + 1;
		else if (!strcmp(argv[i], "--count") && i + 1 < argc)
			count = strtoul(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--integer"))
			with_sse = false;
		else if (!strcmp(argv[i], "--verbose"))
			verbose = true;
	}
	diag("seed state %#lx", rng_state);
	if (mmap((void *)AREA_CODE, AREA_END - AREA_CODE, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)AREA_CODE)
		skip_all("no writable and executable memory here");
	sigaltstack(&alt, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGTRAP, &sa, NULL);
	fill_choices();
	g = guest_new();
	guest_faulting = g;
	bus.map = fuzz_map;
	g->cpu->bus = &bus;
	guest_long(g, 0);
	/* Mapped are the areas and the tables, nothing else; every exception has a good stack. */
	for (u64 i = 0; i < 512; i++)
		put64(g, G_PD + 8 * i, i == TABLES >> 21 ? 0x87 : 0);
	g->cpu->gdtr.base += TABLES;
	g->cpu->idtr.base += TABLES;
	g->cpu->seg[CPU_TR].base += TABLES;
	put64(g, G_TSS + 0x24, TABLES + G_IST1);
	put64(g, G_PD + 8 * (AREA_CODE >> 21), G_PT | 7);
	for (u64 i = 0; i < (AREA_END - AREA_CODE) / 4096; i++)
		put64(g, G_PT + 8 * i, (AREA_CODE + 4096 * i) | 7);
	for (unsigned v = 0; v < 256; v++)
		guest_gate(g, v, TABLES + G_HANDLERS + 16 * v, 14, 0, 1);
	cpu_state_changed(g->cpu);
	end = time(NULL) + (time_t)seconds;
	while (done < count && time(NULL) < end) {
		for (unsigned batch = 0; batch < 256 && done < count; batch++) {
			struct state before, native;
			struct insn in;
			int a, b;
			bool differs;

			do {
				if (with_sse && below(3) == 0)
					generate_sse(&in);
				else
					generate_integer(&in);
			} while (uses_mmx(&in));
			build(in.bytes, in.length);
			randomise(&before, (u8 *)AREA_DATA);
			if (in.string)
				before.gpr[1] = below(40);
			if (in.bits)
				before.gpr[CPU_RDX] = (u64)((s64)below(8192) - 4096);
			before.saved_rsp = 0;
			memcpy(data_before, (void *)AREA_DATA, sizeof(data_before));
			memcpy(state, &before, sizeof(before));
			a = run_native();
			memcpy(&native, state, sizeof(native));
			memcpy(data_native, (void *)AREA_DATA, sizeof(data_native));
			memcpy((void *)AREA_DATA, data_before, sizeof(data_before));
			memcpy(state, &before, sizeof(before));
			b = run_guest(g);
			done++;
			if (a) {
				faults++;
				differs = a != b;
				if (differs && bad < 40)
					diag("signal natively %#x, as guest %#x", a, b);
			} else {
				const u64 mask = 0xcd5 & ~(u64)in.undefined;

				native.saved_rsp = state->saved_rsp;
				native.flags = (native.flags & mask);
				state->flags &= mask;
				differs = b || memcmp(&native, state, offsetof(struct state, mxcsr) + 4) ||
					  memcmp(data_native, (void *)AREA_DATA, sizeof(data_native));
				if (b && bad < 40)
					diag("no signal natively, as guest %#x", b);
			}
			if (differs && ++bad <= 40) {
				describe(&in, &before, &native, state);
				if (!a && !b && memcmp(data_native, (void *)AREA_DATA, sizeof(data_native)))
					diag("  memory differs");
			}
		}
	}
	diag("%lu instructions, %lu of them faulted", done, faults);
	is(bad, 0, "no instruction behaves differently as guest and natively");
	ok(done > 1000, "some thousand were tried");
	return done_testing();
}
