// SPDX-License-Identifier: MIT
/*
 * cpu/run.c - the loop: blocks of decoded instructions, events between them
 *
 * Theory of operation
 *
 * A block is a run of instructions within one page, decoded once into records
 * (struct cpu_insn) that end with a record for op_block_end().  Blocks are found by
 * linear RIP in a table; a block is good when its key (mode, privilege, number of
 * TLB flushes) is today's, so that its host address is still what the fetch
 * would find, and when its bytes equal those in memory.  They are compared at
 * every execution: nobody ever tells the CPU that code has changed.
 *
 * A handler executes one record.  While it runs, cpu->insn is the record and
 * cpu->rip the start of the *block*: a record knows its distance.  A quick handler jumps
 * to the next record's itself (cpu_next()); at most the block's length deep where the compiler makes calls of that.
 *
 * R-1  Behind every instruction that may write memory the block ends (attributes E, W
 *      and S in opcode.def), or its handler compares it again (cpu_next_stored()): its own
 *      stores are seen by the next instruction, those of others after the next
 *      taken branch at the latest.
 * R-2  A handler changes registers and flags after its last memory access and its
 *      last check.  So whatever leaves it (exception, exit, host fault) leaves
 *      the state from before the instruction, and executing it again is right.
 *      String instructions commit each iteration in this way.
 * R-3  Leaving is cpu_leave(), from any depth: it makes cpu->rip exact and goes to
 *      guard()'s end.  No function between holds anything that needs release.
 * R-4  cpu->stop is the only word looked at between blocks.  Whatever needs a look
 *      (MMIO writes, traps, shadows, windows) sets CPU_STOP_SELF.
 * R-5  While TF, an interrupt shadow, the owner's single step or an armed
 *      breakpoint is in force, instructions are executed one by one (step()).
 */
#include "cpu/block.h"
#include "cpu/debug.h"
#include "cpu/ops.h"
#include "cpu/task.h"
#include "rt/alloc.h"

enum {
	BLOCKS = 8192,
	POOL = 65536,
	BLOCK_INSNS = 16,
	BLOCK_BYTES = 16 * (CPU_BLOCK_VECTORS - 1),
	FETCHES = 64,
	CROSSES = 16,
	MAX_LENGTH = 15,
};

struct cross {
	u64 key;
	u8 bytes[MAX_LENGTH];
	struct cpu_insn insn[2];
};

struct cpu_cache {
	struct {
		u64 tag, key, gpa;
		u8 *host;
	} fetch[FETCHES];
	struct cross cross[CROSSES];
	struct cpu_insn single[2];
	u32 used;
	struct cpu_block blocks[BLOCKS];
	struct cpu_insn pool[POOL];
};

/* ---- leaving ---- */

/* guard(cpu, fn, &sp): fn(cpu)'s result, or the code with which escape(sp, code) was called below it. */
int cpu_guard(struct cpu *cpu, int (*fn)(struct cpu *), void **sp);
void cpu_escape(void *sp, int code) __attribute__((noreturn));

__asm__(".text\n"
	".globl cpu_guard\n"
	".hidden cpu_guard\n"
	".type cpu_guard, @function\n"
	"cpu_guard:\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	sub $8, %rsp\n"
	"	mov %rsp, (%rdx)\n"
	"	call *%rsi\n"
	"1:	add $8, %rsp\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	ret\n"
	".size cpu_guard, .-cpu_guard\n"
	".globl cpu_escape\n"
	".hidden cpu_escape\n"
	".type cpu_escape, @function\n"
	"cpu_escape:\n"
	"	mov %rdi, %rsp\n"
	"	mov %esi, %eax\n"
	"	jmp 1b\n"
	".size cpu_escape, .-cpu_escape\n");

static int guard(struct cpu *cpu, int (*fn)(struct cpu *))
{
	int code = cpu_guard(cpu, fn, &cpu->escape_sp);

	cpu->escape_sp = NULL;
	return code;
}

/* The current instruction is where RIP points again. */
static void settle(struct cpu *cpu)
{
	if (cpu->insn)
		cpu->rip += cpu->insn->start;
	cpu->insn = NULL;
}

void cpu_leave(struct cpu *cpu, int code)
{
	settle(cpu);
	cpu->read_pos = 0;
	cpu->kvm_access = false;
	if (code == CPU_LEAVE_EXCEPTION) {
		cpu_mmio_forget(cpu);
		cpu->write_count = 0;
		cpu->task.active = false;
	}
	cpu_escape(cpu->escape_sp, code);
}

void cpu_exit_now(struct cpu *cpu, enum cpu_exit why)
{
	cpu->why = why;
	cpu_leave(cpu, CPU_LEAVE_EXIT);
}

/* ---- blocks ---- */

/* What to compare for n bytes at host: whole vectors, which must not reach into the next page. */
static void remember(struct cpu_block *b, const u8 *host, unsigned n, const u8 *bytes)
{
	const unsigned off = (unsigned)((uintptr_t)host & RT_PAGE_MASK);
	unsigned vectors = (n + 15) / 16, shift = 0;

	if (off + 16 * vectors > RT_PAGE_SIZE)
		shift = off + 16 * vectors - (unsigned)RT_PAGE_SIZE;
	vectors = (n + shift + 15) / 16;
	b->compare = host - shift;
	b->last = vectors - 1;
	b->first_mask = (u16)(0xffff << shift);
	b->last_mask = (u16)(0xffff >> (16 * vectors - n - shift));
	if (vectors == 1)
		b->first_mask &= b->last_mask;
	memset(b->raw, 0, sizeof(b->raw));
	memcpy(&b->raw[0][shift], bytes, n);
}

static void end_record(struct cpu_insn *in, unsigned start)
{
	memset(in, 0, sizeof(*in));
	in->fn = op_block_end;
	in->start = in->end = (u8)start;
}

int op_block_end(struct cpu *cpu, const struct cpu_insn *in)
{
	cpu->rip += in->end;
	if (unlikely((cpu->code_key & 3) != CPU_MODE_64))
		cpu->rip = (u32)cpu->rip;
	return CPU_JUMP;
}

static u8 *fetch(struct cpu *cpu, u64 la, u64 *gpa)
{
	struct cpu_cache *c = cpu->cache;
	const u64 page = la & ~RT_PAGE_MASK;
	typeof(c->fetch[0]) *f = &c->fetch[la >> RT_PAGE_SHIFT & (FETCHES - 1)];

	if (!f->host || f->tag != page || f->key != cpu->code_key) {
		u8 *host;

		f->host = NULL;
		host = cpu_fetch_page(cpu, la);
		f->tag = page;
		f->key = cpu->code_key;
		f->gpa = cpu->touched_gpa;
		f->host = host;
	}
	*gpa = f->gpa;
	return f->host + (la & RT_PAGE_MASK);
}

/* How many bytes CS's limit lets be fetched at RIP; raises #GP when none. */
static unsigned within_limit(struct cpu *cpu)
{
	const u32 limit = cpu->seg[CPU_CS].limit;

	if ((cpu->code_key & 3) == CPU_MODE_64)
		return MAX_LENGTH + RT_PAGE_SIZE;
	if (cpu->rip > limit)
		cpu_raise(cpu, CPU_GP, 0);
	return (unsigned)rt_min((u64)limit - cpu->rip + 1, MAX_LENGTH + RT_PAGE_SIZE);
}

static u64 wrapped(const struct cpu *cpu, u64 la)
{
	return (cpu->code_key & 3) == CPU_MODE_64 ? la : (u32)la;
}

static void copy_code(u8 *buf, const u8 *host, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		buf[i] = (u8)host_load(host + i, 1);
}

/* One instruction whose bytes may lie in two pages, into two records of the caller. */
static struct cpu_insn *decode_one(struct cpu *cpu, u64 la, struct cross *c)
{
	/* No block: what stores in it ends there. */
	static const struct cpu_block none = { .compare = (const u8 *)"................", .first_mask = 0xffff };
	const unsigned limit = within_limit(cpu), rest = (unsigned)(RT_PAGE_SIZE - (la & RT_PAGE_MASK));
	unsigned n = (unsigned)rt_min(rt_min(rest, MAX_LENGTH), limit);
	u8 bytes[MAX_LENGTH] = { 0 };
	u64 gpa;
	int r;

	cpu->block = &none;
	copy_code(bytes, fetch(cpu, la, &gpa), n);
	if (c->insn[0].fn && c->key == cpu->code_key && c->insn[0].length <= n &&
	    !memcmp(c->bytes, bytes, c->insn[0].length))
		return c->insn;
	r = cpu_decode(&c->insn[0], bytes, n, (int)(cpu->code_key & 3), 0);
	if (r == CPU_DECODE_SHORT && n < limit) {
		const unsigned more = (unsigned)rt_min(MAX_LENGTH, limit) - n;

		copy_code(bytes + n, fetch(cpu, wrapped(cpu, la + n), &gpa), more);
		r = cpu_decode(&c->insn[0], bytes, n + more, (int)(cpu->code_key & 3), 0);
	}
	if (r == CPU_DECODE_SHORT) {
		c->insn[0].fn = NULL;
		cpu_raise(cpu, CPU_GP, 0);
	}
	end_record(&c->insn[1], c->insn[0].end);
	c->key = cpu->code_key;
	memcpy(c->bytes, bytes, MAX_LENGTH);
	return c->insn;
}

void cpu_forget_code(struct cpu *cpu)
{
	struct cpu_cache *c = cpu->cache;

	for (unsigned i = 0; i < CROSSES; i++)
		c->cross[i].insn[0].fn = NULL;
	/* A cache that is new has no page of its own yet, and shall get none here. */
	for (unsigned i = 0; c->used && i < BLOCKS; i++) {
		c->blocks[i].rip = ~0ULL;
		c->blocks[i].insn = NULL;
	}
	c->used = 0;
}

/* Decode the block at la; NULL when its first instruction crosses the page. */
static struct cpu_insn *build(struct cpu *cpu, struct cpu_block *b, u64 la, const u8 *host, u64 gpa)
{
	struct cpu_cache *c = cpu->cache;
	const int mode = (int)(cpu->code_key & 3);
	const unsigned avail =
		(unsigned)rt_min(rt_min(RT_PAGE_SIZE - (la & RT_PAGE_MASK), BLOCK_BYTES), within_limit(cpu));
	u8 bytes[BLOCK_BYTES] = { 0 };
	unsigned n = 0, count = 0;
	struct cpu_insn *insn;

	b->insn = NULL;
	b->rip = ~0ULL;
	if (c->used + BLOCK_INSNS + 1 > POOL)
		cpu_forget_code(cpu);
	insn = &c->pool[c->used];
	copy_code(bytes, host, avail);
	while (count < BLOCK_INSNS && n < avail) {
		int r = cpu_decode(&insn[count], bytes + n, avail - n, mode, n);

		if (r == CPU_DECODE_SHORT)
			break;
		n = insn[count].end;
		count++;
		if (r == CPU_DECODE_ENDS)
			break;
	}
	if (!count)
		return NULL;
	end_record(&insn[count], n);
	c->used += count + 1;
	remember(b, host, n, bytes);
	b->host = (u64)(uintptr_t)host;
	b->gpa = gpa;
	b->key = cpu->code_key;
	b->insn = insn;
	b->rip = la;
	return insn;
}

static inline struct cpu_block *block_slot(struct cpu *cpu, u64 la)
{
	return &cpu->cache->blocks[(la ^ la >> 13) & (BLOCKS - 1)];
}

static __attribute__((noinline)) const struct cpu_insn *find(struct cpu *cpu, u64 la)
{
	struct cpu_block *b = block_slot(cpu, la);
	const struct cpu_insn *insn;
	const u8 *host;
	u64 gpa;

	within_limit(cpu);
	host = fetch(cpu, wrapped(cpu, la), &gpa);
	if (b->insn && b->rip == la && b->host == (u64)(uintptr_t)host && !((b->key ^ cpu->code_key) & 3) &&
	    cpu_block_same(b)) {
		b->key = cpu->code_key;
		cpu->block = b;
		return b->insn;
	}
	cpu->block = b;
	insn = build(cpu, b, la, host, gpa);
	return insn ? insn : decode_one(cpu, wrapped(cpu, la), &cpu->cache->cross[la >> 12 & (CROSSES - 1)]);
}

bool cpu_block_page(const struct cpu *cpu, u64 host_page, u64 *gpa)
{
	for (unsigned i = 0; i < FETCHES; i++) {
		if (cpu->cache->fetch[i].host && (u64)(uintptr_t)cpu->cache->fetch[i].host == host_page) {
			*gpa = cpu->cache->fetch[i].gpa;
			return true;
		}
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		const struct cpu_block *b = &cpu->cache->blocks[i];

		if (b->insn && (b->host & ~RT_PAGE_MASK) == host_page) {
			*gpa = b->gpa & ~RT_PAGE_MASK;
			return true;
		}
	}
	return false;
}

/* ---- one instruction at a time (R-5) ---- */

static bool must_step(const struct cpu *cpu)
{
	return (cpu->flags & CPU_F_TF) || cpu->events.interrupt.shadow || cpu_debug_armed(cpu) ||
	       (cpu->guest_debug & CPU_DEBUG_SINGLESTEP);
}

/* After an instruction has retired outside the quick loop: shadow, RF and the trap flag as it was before. */
void cpu_retired(struct cpu *cpu, u64 flags_before, u8 shadow_before)
{
	if (cpu->events.interrupt.shadow == shadow_before)
		cpu->events.interrupt.shadow = 0;
	if (flags_before & CPU_F_TF)
		cpu->trap_dr6 |= 1 << 14;
	cpu_attention(cpu);
}

static void execute_one(struct cpu *cpu)
{
	const u64 la = wrapped(cpu, cpu->rip + cpu->code_base), flags = cpu->flags;
	const u8 shadow = cpu->events.interrupt.shadow;
	const struct cpu_insn *in;
	struct cross *c = &cpu->cache->cross[CROSSES - 1];
	u32 hits;

	cpu->insn = NULL;
	cpu->trap_dr6 = 0;
	/* What is emulated has passed them, and without RF by now. */
	if (cpu_debug_armed(cpu) && !(flags & CPU_F_RF) && !cpu->emulating) {
		hits = cpu_debug_insn(cpu, la);
		if (hits)
			cpu_raise_debug(cpu, hits);
	}
	in = decode_one(cpu, la, c);
	cpu->flags &= ~CPU_F_RF;
	cpu->stepping = true;
	cpu->insn = in;
	if (in->fn(cpu, in) == CPU_NEXT)
		op_block_end(cpu, &in[1]);
	cpu->stepping = false;
	cpu->insn = NULL;
	/* MOV SS and the like have set a new shadow, which stays for one instruction more. */
	cpu_retired(cpu, flags, shadow);
	if (cpu->guest_debug & CPU_DEBUG_SINGLESTEP)
		cpu->trap_dr6 |= 1 << 14;
	cpu_mmio_forget(cpu);
}

/* ---- between blocks (R-4) ---- */

static bool deliver_interrupt(struct cpu *cpu)
{
	const bool open =
		(cpu->flags & CPU_F_IF) && !cpu->events.interrupt.shadow && !(cpu->guest_debug & CPU_DEBUG_BLOCKIRQ);
	int vector;

	if (cpu->events.nmi.pending && !cpu->events.nmi.masked && !cpu->events.interrupt.shadow) {
		cpu->events.nmi.pending = 0;
		cpu->events.nmi.masked = 1;
		cpu->halted = false;
		cpu_deliver(cpu, CPU_NMI, false, 0, false, cpu->rip);
		return true;
	}
	if (!open)
		return false;
	if (cpu->irq_waiting && cpu->bus->irq_ack) {
		vector = cpu->bus->irq_pending ? cpu->bus->irq_pending(cpu->ctx) : 0;
		if (vector >= 0)
			vector = cpu->bus->irq_ack(cpu->ctx);
		if (vector >= 0) {
			cpu->halted = false;
			cpu_deliver(cpu, (unsigned)vector, false, 0, false, cpu->rip);
			return true;
		}
		cpu->irq_waiting = false;
	}
	if (cpu->want_irq_window)
		cpu_exit_now(cpu, CPU_EXIT_IRQ_WINDOW);
	return false;
}

static void boundary(struct cpu *cpu)
{
	u32 bits;

	cpu->insn = NULL;
	cpu_mmio_forget(cpu);
	if (cpu->write_count)
		cpu_mmio_write_exit(cpu);
	cpu_unkick(cpu, CPU_STOP_SELF);
	if (unlikely(cpu->task.active))
		cpu_task_finish(cpu);
	if (cpu_deliver_pending(cpu))
		return;
	if (cpu->trap_dr6 && cpu->events.interrupt.shadow != 1)
		cpu_raise_debug(cpu, cpu->trap_dr6);
	bits = __atomic_load_n(&cpu->stop, __ATOMIC_ACQUIRE);
	if (bits & CPU_STOP_POLL) {
		cpu_unkick(cpu, CPU_STOP_POLL);
		if (cpu->bus->poll)
			cpu->bus->poll(cpu->ctx);
		cpu->irq_waiting = true;
	}
	if (bits & CPU_STOP) {
		cpu_attention(cpu);
		cpu_exit_now(cpu, CPU_EXIT_STOPPED);
	}
	if (deliver_interrupt(cpu))
		return;
	if (cpu->halted) {
		cpu_attention(cpu);
		cpu_exit_now(cpu, CPU_EXIT_HLT);
	}
	if (must_step(cpu))
		execute_one(cpu);
	else
		cpu->flags &= ~CPU_F_RF;
}

static int loop(struct cpu *cpu)
{
	for (;;) {
		const struct cpu_insn *in;
		struct cpu_block *b;
		u64 la;
		int r;

		if (unlikely(__atomic_load_n(&cpu->stop, __ATOMIC_RELAXED))) {
			boundary(cpu);
			continue;
		}
		la = cpu->rip + cpu->code_base;
		b = block_slot(cpu, la);
		cpu_set_insn(cpu, NULL);
		if (likely(b->rip == la && b->key == cpu->code_key && cpu_block_same(b)))
			cpu->block = b, in = b->insn;
		else
			in = find(cpu, la);
		/* A handler may have gone on by itself: cpu->insn is where it got to. */
		do {
			cpu->insn = in;
			r = in->fn(cpu, in);
			in = cpu->insn + 1;
		} while (r == CPU_NEXT);
	}
	return 0;
}

/* ---- the owner's calls ---- */

static int deliver_fault(struct cpu *cpu)
{
	cpu_deliver_exception(cpu);
	return CPU_LEAVE_AGAIN;
}

static int run_one(struct cpu *cpu)
{
	execute_one(cpu);
	if (cpu->write_count)
		cpu_mmio_write_exit(cpu);
	cpu->why = CPU_EXIT_STOPPED;
	return CPU_LEAVE_AGAIN;
}

/* M-4 */
static int emulate(struct cpu *cpu)
{
	int code;

	cpu->emulating = true;
	cpu_update_key(cpu);
	code = guard(cpu, run_one);
	cpu->emulating = cpu->stepping = false;
	cpu_update_key(cpu);
	return code;
}

/* Exceptions end here: deliver until it works or the CPU shuts down. */
static bool leave(struct cpu *cpu, int code, enum cpu_exit *ret)
{
	cpu->stepping = false;
	while (code == CPU_LEAVE_EXCEPTION || code == CPU_LEAVE_EMULATE)
		code = code == CPU_LEAVE_EMULATE ? emulate(cpu) : guard(cpu, deliver_fault);
	if (code == CPU_LEAVE_AGAIN)
		return false;
	cpu_save_event(cpu);
	*ret = code == CPU_LEAVE_HOST_FAULT ? CPU_EXIT_HOST_FAULT : cpu->why;
	return true;
}

enum cpu_exit cpu_run(struct cpu *cpu)
{
	enum cpu_exit why;

	if (cpu->deferred) {
		cpu->deferred = false;
		return cpu->deferred_exit;
	}
	cpu->insn = NULL;
	while (!leave(cpu, guard(cpu, loop), &why))
		;
	return why;
}

void cpu_execute_again(struct cpu *cpu)
{
	if (leave(cpu, emulate(cpu), &cpu->deferred_exit))
		cpu->deferred = true;
}

void cpu_guarded(struct cpu *cpu, int (*fn)(struct cpu *))
{
	if (leave(cpu, guard(cpu, fn), &cpu->deferred_exit))
		cpu->deferred = true;
}

bool cpu_try(struct cpu *cpu, int (*fn)(struct cpu *))
{
	const enum cpu_pending pending = cpu->pending;
	const int code = guard(cpu, fn);

	cpu->pending = pending;
	return code == CPU_LEAVE_AGAIN;
}

int cpu_init(struct cpu *cpu, const struct cpu_bus *bus, void *ctx)
{
	cpu->tlb = rt_alloc(CPU_TLB_SIZE * sizeof(*cpu->tlb));
	cpu->cache = rt_alloc(sizeof(*cpu->cache));
	if (!cpu->tlb || !cpu->cache) {
		cpu_fini(cpu);
		return -ENOMEM;
	}
	cpu->bus = bus;
	cpu->ctx = ctx;
	cpu->io_buffer = cpu->local_buffer;
	cpu->tlb_gen = 1;
	cpu_reset(cpu, false);
	cpu_cpuid_changed(cpu);
	return 0;
}

void cpu_fini(struct cpu *cpu)
{
	rt_free(cpu->tlb, CPU_TLB_SIZE * sizeof(*cpu->tlb));
	rt_free(cpu->cache, sizeof(*cpu->cache));
	cpu->tlb = NULL;
	cpu->cache = NULL;
}
