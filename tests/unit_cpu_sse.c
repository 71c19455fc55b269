// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_sse.c - MMX and SSE of the software CPU against this host's
 */
#include "tests/cpu_native.h"

#include "tests/fuzz_cpu_sse.h"

static unsigned rounds = 300; /* of each; more of them, and other ones, by arguments: rounds and seed */

static void random_x87(struct native_state *s)
{
	s->fpu.fsw = (u16)(random_below(8) << 11);
	s->fpu.ftw = (u8)random64();
	for (unsigned i = 0; i < 8; i++) {
		u64 v[2] = { random64(), random64() & 0xffff };

		memcpy(s->fpu.st[i], v, 16);
	}
}

static bool row_once(const struct sse_row *row, bool memory, bool unmasked)
{
	struct native_state s;
	u8 code[32];
	unsigned n;
	s32 offset = (s32)(random_below(16) * 16);

	random_state(&s);
	random_x87(&s);
	if (unmasked)
		s.fpu.mxcsr = (s.fpu.mxcsr & ~0x1fbfU) | (u32)(random64() & 0x1f80);
	if (!random_below(4))
		offset += (s32)random_below(16);
	n = sse_encode(code, row, memory, offset, random64);
	if (memory)
		s.gpr[CPU_RBX] = (u64)(uintptr_t)world.memory + WORLD_DATA;
	if (row->class == CLASS_MASKMOV || row->class == CLASS_MASKMOV_MMX)
		s.gpr[CPU_RDI] = (u64)(uintptr_t)world.memory + WORLD_DATA + random_below(100);
	return same_on_both(&s, code, n, row->name);
}

/* Every row of the table, with registers and with memory. */
static void every_instruction(void)
{
	for (unsigned i = 0; i < SSE_ROWS; i++) {
		const struct sse_row *row = &sse_rows[i];
		unsigned bad = 0;

		if (!cpu_sse_has(&world.cpu, row->feature)) {
			skip(1, "%s: not on this host", row->name);
			continue;
		}
		for (unsigned k = 0; k < rounds && bad < 2; k++) {
			const bool memory = row->flags & F_MEM || (!(row->flags & F_REG) && k & 1);

			bad += !row_once(row, memory, false);
		}
		ok(!bad, "%s as on the host", row->name);
	}
}

static void unmasked_exceptions(void)
{
	unsigned bad = 0, count = 0;

	for (unsigned i = 0; i < SSE_ROWS; i++) {
		const struct sse_row *row = &sse_rows[i];

		/* DPPS and DPPD stop between their steps: see cpu_fp_unmasked(). */
		if (!(row->flags & F_FP) || !cpu_sse_has(&world.cpu, row->feature) || (row->map == T_3A && row->op >> 4 == 4))
			continue;
		for (unsigned k = 0; k < rounds && bad < 5; k++, count++)
			bad += !row_once(row, k & 1 && row->bytes, true);
	}
	ok(!bad && count, "unmasked floating-point exceptions: #XM and the flags of %u executions", count);
}

/* What a legal instruction raises when the operating system has not allowed it. */
static void refusals(void)
{
	static const u8 addps[] = { 0x0f, 0x58, 0xc1 }, paddb[] = { 0x0f, 0xfc, 0xc1 }, divps[] = { 0x0f, 0x5e, 0xc1 },
			undefined[][4] = { { 0x0f, 0x13, 0xc1 }, { 0xf3, 0x0f, 0x28, 0xc1 }, { 0x0f, 0x72, 0xc9 }, { 0xf0, 0x0f, 0x58, 0x03 },
					   { 0xf2, 0x0f, 0x78, 0xc1 }, { 0x66, 0x0f, 0x73, 0xe1 }, { 0x0f, 0x73, 0xd9 } };
	struct native_state s;
	u8 *code = world.memory + WORLD_CODE;

	random_state(&s);
	world.cpu.cr0 |= 1 << 3;
	cpu_state_changed(&world.cpu);
	is(guest_run(&s, memcpy(code, addps, 3), 3), 7, "CR0.TS: #NM");
	is(guest_run(&s, memcpy(code, paddb, 3), 3), 7, "CR0.TS: #NM for MMX");
	world_reset();
	world.cpu.cr0 |= 1 << 2;
	cpu_state_changed(&world.cpu);
	is(guest_run(&s, memcpy(code, addps, 3), 3), 6, "CR0.EM: #UD");
	is(guest_run(&s, memcpy(code, paddb, 3), 3), 6, "CR0.EM: #UD for MMX");
	world_reset();
	world.cpu.cr4 &= ~(1ULL << 9);
	cpu_state_changed(&world.cpu);
	is(guest_run(&s, memcpy(code, addps, 3), 3), 6, "CR4.OSFXSR clear: #UD");
	is(guest_run(&s, memcpy(code, paddb, 3), 3), NO_VECTOR, "CR4.OSFXSR clear: MMX works");
	world_reset();
	random_state(&s);
	memset(s.fpu.xmm[1], 0, 16);
	s.fpu.mxcsr = 0;
	is(guest_run(&s, memcpy(code, divps, 3), 3), 19, "division by zero unmasked: #XM");
	world.cpu.cr4 &= ~(1ULL << 10);
	cpu_state_changed(&world.cpu);
	s.fpu.mxcsr = 0;
	is(guest_run(&s, memcpy(code, divps, 3), 3), 6, "without CR4.OSXMMEXCPT: #UD");
	world_reset();
	random_state(&s);
	s.fpu.fsw = 0x8081;
	is(guest_run(&s, memcpy(code, paddb, 3), 3), 16, "MMX with an x87 exception pending: #MF");
	for (unsigned i = 0; i < RT_ARRAY_SIZE(undefined); i++) {
		random_state(&s);
		is(guest_run(&s, memcpy(code, undefined[i], 4), 4), 6, "undefined form %u: #UD", i);
	}
}

/* An operand that crosses into a page that is not there faults, and nothing has changed. */
static void page_crossing(void)
{
	static const u8 load[] = { 0x0f, 0x10, 0x03 }, store[] = { 0x0f, 0x11, 0x03 };
	struct native_state s, before;
	u8 *code = world.memory + WORLD_CODE, *end = world.memory + WORLD_SIZE - 8, image[8];

	random_state(&s);
	memset(end, 0x5a, 8);
	memcpy(image, end, 8);
	s.gpr[CPU_RBX] = (u64)(uintptr_t)end;
	before = s;
	is(guest_run(&s, memcpy(code, load, 3), 3), 14, "MOVUPS from half a page: #PF");
	ok(!memcmp(s.fpu.xmm, before.fpu.xmm, sizeof(s.fpu.xmm)), "registers are unchanged");
	is(world.cpu.cr2, (u64)(uintptr_t)end + 8, "CR2 names the missing page");
	is(guest_run(&s, memcpy(code, store, 3), 3), 14, "MOVUPS to half a page: #PF");
	ok(!memcmp(end, image, 8), "memory is unchanged");
	s.gpr[CPU_RBX] = (u64)(uintptr_t)world.memory + WORLD_DATA + 0x1000 - 8;
	is(guest_run(&s, memcpy(code, store, 3), 3), NO_VECTOR, "MOVUPS over two pages");
	ok(!memcmp(world.memory + WORLD_DATA + 0x1000 - 8, s.fpu.xmm[0], 16), "both halves arrive");
}

/* MASKMOVDQU of nothing at all, at and around the end of memory. */
static void masked_faults(void)
{
	static const u8 code[] = { 0x66, 0x0f, 0xf7, 0xc1 };
	unsigned bad = 0;

	if (!(world.cpu.features & CPU_HAS_AMD)) {
		skip(1, "depends on the model");
		return;
	}
	for (unsigned before = 0; before <= 32; before++) {
		struct native_state s;

		random_state(&s);
		memset(s.fpu.xmm[1], 0, 16);
		if (before & 1)
			s.fpu.xmm[1][0] = 0x80;
		s.gpr[CPU_RDI] = (u64)(uintptr_t)world.memory + WORLD_SIZE - before;
		bad += !same_on_both(&s, code, sizeof(code), "MASKMOVDQU");
	}
	is(bad, 0, "MASKMOVDQU faults for its whole operand");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = (unsigned)atoi(argv[1]);
	if (argc > 2)
		random_seed ^= strtoull(argv[2], NULL, 0) << 20;
	world_start();
	native_start();
	every_instruction();
	unmasked_exceptions();
	refusals();
	page_crossing();
	masked_faults();
	return done_testing();
}
