// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_avx.c - AVX, AVX2, FMA and F16C of the software CPU against this host's
 */
#include "tests/cpu_native.h"

#include "tests/fuzz_cpu_sse.h"

static unsigned rounds = 200; /* of each; more of them, and other ones, by arguments: rounds and seed */

/* Indexes that stay within the data, whatever the scale and their width. */
static void small_indexes(u8 v[16], bool wide)
{
	for (unsigned i = 0; i < 16; i += wide ? 8 : 4) {
		s64 x = (s64)random_below(400) - 100;

		memcpy(v + i, &x, wide ? 8 : 4);
	}
}

static bool row_once(const struct avx_row *row, bool memory, bool unmasked)
{
	struct native_state s;
	u8 code[32];
	unsigned n, index;
	s32 offset = 1024 + (s32)(random_below(16) * 32);

	random_state(&s);
	if (unmasked)
		s.fpu.mxcsr = (s.fpu.mxcsr & ~0x1fbfU) | (u32)(random64() & 0x1f80);
	if (!random_below(4))
		offset += (s32)random_below(32);
	/* Bit 17 of MXCSR is AMD's own and not offered. */
	if (row->class == CLASS_AMXCSR)
		offset &= ~3;
	n = avx_encode(code, row, memory, offset, random64, &index);
	if (memory)
		s.gpr[CPU_RBX] = (u64)(uintptr_t)world.memory + WORLD_DATA;
	if (row->class == CLASS_AMASKMOVDQU)
		s.gpr[CPU_RDI] = (u64)(uintptr_t)world.memory + WORLD_DATA + random_below(100);
	for (unsigned i = 0; row->class == CLASS_AMXCSR && i < WORLD_DATA_SIZE; i++)
		world.memory[WORLD_DATA + i] = i & 2 ? 0 : world.memory[WORLD_DATA + i];
	if (row->class == CLASS_AGATHER) {
		small_indexes(s.fpu.xmm[index], row->op & 1);
		small_indexes(s.fpu.ymmh[index], row->op & 1);
	}
	return same_on_both(&s, code, n, row->name);
}

static void every_instruction(void)
{
	for (unsigned i = 0; i < AVX_ROWS; i++) {
		const struct avx_row *row = &avx_rows[i];
		unsigned bad = 0;

		if (!cpu_sse_has(&world.cpu, row->feature) || !cpu_sse_has(&world.cpu, FEATURE_AVX2)) {
			skip(1, "%s: not on this host", row->name);
			continue;
		}
		for (unsigned k = 0; k < rounds && bad < 2; k++) {
			const bool memory = row->flags & F_MEM || (!(row->flags & F_REG) && k & 1);

			bad += !row_once(row, memory, false);
		}
		ok(!bad, "VEX %s as on the host", row->name);
	}
}

static void unmasked_exceptions(void)
{
	unsigned bad = 0, count = 0;

	for (unsigned i = 0; i < AVX_ROWS; i++) {
		const struct avx_row *row = &avx_rows[i];

		/* VDPPS and VDPPD stop between their steps: see cpu_fp_unmasked(). */
		if (!(row->flags & F_FP) || !cpu_sse_has(&world.cpu, row->feature) || (row->map == T_MAP_3A && row->op >> 4 == 4))
			continue;
		for (unsigned k = 0; k < rounds && bad < 5; k++, count++)
			bad += !row_once(row, k & 1 && row->low, true);
	}
	ok(!bad && count, "unmasked floating-point exceptions: #XM and the flags of %u executions", count);
}

/* VCVTPS2PH around the smallest normal number, with and without what 11 bits cannot hold, in all roundings. */
static void half_underflow(void)
{
	static const u16 low[] = { 0, 0x1000, 0x1001, 0x0fff, 0x1fff, 1, 0x3000, 0x2000 };
	const u8 *const data = world.memory + WORLD_DATA;
	unsigned bad = 0;

	if (!cpu_sse_has(&world.cpu, FEATURE_F16C)) {
		skip(1, "no F16C on this host");
		return;
	}
	for (unsigned i = 0; i < 8 * 4 * 2 * rounds && bad < 5; i++) {
		const u8 code[6] = { 0xc4, 0xe3, (u8)(0x79 | (i & 1) << 2), 0x1d, (u8)(i & 2 ? 0x0b : 0xca), (u8)(i >> 2 & 7) };
		struct native_state s;

		random_state(&s);
		for (unsigned k = 0; k < 8; k++) {
			u32 v = 1U << 30; /* 2.0, which does not underflow */

			if (!random_below(4))
				v = (u32)(random_below(2) << 31 | (112 - random_below(12) * random_below(2)) << 23 |
					  ((random_below(2) ? 0x7fe000 : random_below(1024) << 13) + low[random_below(8)]));
			if (!random_below(16))
				v = random_below(3) << 31 | random_below(2);
			memcpy(k < 4 ? s.fpu.xmm[1] + 4 * k : s.fpu.ymmh[1] + 4 * (k - 4), &v, 4);
		}
		s.fpu.mxcsr = 0x1780 | random_below(4) << 13 | random_below(2) << 6 | random_below(2) << 15;
		s.gpr[CPU_RBX] = (u64)(uintptr_t)data;
		bad += !same_on_both(&s, code, sizeof(code), "VCVTPS2PH");
	}
	ok(!bad, "VCVTPS2PH underflows where the host does");
}

/* All encodings of the maps: those that do not exist are #UD as on the host, as far as the host knows no newer ones. */
static void refusals(void)
{
	static const u8 vaddps[] = { 0xc5, 0xe8, 0x58, 0xca };
	static const struct {
		const char *what;
		u8 code[6];
	} undefined[] = {
		{ "vvvv used by none", { 0xc4, 0xe1, 0x68, 0x28, 0xca } },
		{ "L=1 of a 128-bit form", { 0xc4, 0xe1, 0x7d, 0x6e, 0xca } },
		{ "L=0 of a 256-bit form", { 0xc4, 0xe3, 0x69, 0x06, 0xca, 0x01 } },
		{ "W=1 of a W0 form", { 0xc4, 0xe3, 0xed, 0x06, 0xca, 0x01 } },
		{ "MMX with VEX", { 0xc4, 0xe1, 0x68, 0xfc, 0xca } },
		{ "register form of a memory one", { 0xc4, 0xe2, 0x7d, 0x1a, 0xca } },
		{ "gather with equal registers", { 0xc4, 0xe2, 0x71, 0x92, 0x0c, 0x13 } },
	};
	struct native_state s;
	u8 *code = world.memory + WORLD_CODE;

	random_state(&s);
	world.cpu.cr0 |= 1 << 3;
	cpu_state_changed(&world.cpu);
	is(guest_run(&s, memcpy(code, vaddps, 4), 4), 7, "CR0.TS: #NM");
	world_reset();
	world.cpu.cr4 &= ~(1ULL << 18);
	cpu_state_changed(&world.cpu);
	is(guest_run(&s, memcpy(code, vaddps, 4), 4), 6, "CR4.OSXSAVE clear: #UD");
	world_reset();
	world.cpu.xcr0 = 3;
	is(guest_run(&s, memcpy(code, vaddps, 4), 4), 6, "XCR0 without AVX: #UD");
	world_reset();
	is(guest_run(&s, memcpy(code, vaddps, 4), 4), NO_VECTOR, "VADDPS runs");
	for (unsigned i = 0; i < RT_ARRAY_SIZE(undefined); i++) {
		random_state(&s);
		is(guest_run(&s, memcpy(code, undefined[i].code, 6), 6), 6, "%s: #UD", undefined[i].what);
	}
}

/* What a mask leaves out is not accessed. */
static void masked_faults(void)
{
	static const u8 load[] = { 0xc4, 0xe2, 0x75, 0x2c, 0x03 }, store[] = { 0xc4, 0xe2, 0x75, 0x2e, 0x03 };
	struct native_state s;
	u8 *code = world.memory + WORLD_CODE, *end = world.memory + WORLD_SIZE - 8;
	const u32 mask[4] = { 0x80000000, 0x80000000, 0, 0 };

	random_state(&s);
	memcpy(s.fpu.xmm[1], mask, 16);
	memset(s.fpu.ymmh[1], 0, 16);
	s.gpr[CPU_RBX] = (u64)(uintptr_t)end;
	is(guest_run(&s, memcpy(code, load, 5), 5), NO_VECTOR, "VMASKMOVPS from the last elements of memory");
	ok(!memcmp(s.fpu.xmm[0], end, 8), "they arrive");
	is(guest_run(&s, memcpy(code, store, 5), 5), NO_VECTOR, "VMASKMOVPS to the last elements of memory");
	s.fpu.xmm[1][11] = 0x80;
	is(guest_run(&s, memcpy(code, load, 5), 5), 14, "one more: #PF");
	is(world.cpu.cr2, (u64)(uintptr_t)end + 8, "CR2 names its address");
}

/* Whether code, run in the guest, changes data; *writes is what the decoder is told of it. */
static bool changes_memory(const u8 *code, unsigned n, bool (*tells)(const struct cpu_insn *), bool *writes)
{
	u8 *const data = world.memory + WORLD_DATA, before[WORLD_DATA_SIZE];
	struct native_state s;
	struct cpu_insn in;

	random_state(&s);
	s.gpr[CPU_RBX] = (u64)(uintptr_t)data;
	memset(s.fpu.xmm, 0xa5, sizeof(s.fpu.xmm)); /* masks choose all */
	memset(data, 0x11, WORLD_DATA_SIZE);
	memcpy(before, data, sizeof(before));
	cpu_decode(&in, code, n, CPU_MODE_64, 0);
	*writes = tells(&in);
	guest_run(&s, memcpy(world.memory + WORLD_CODE, code, n), n);
	return memcmp(data, before, sizeof(before));
}

/* Blocks of decoded code end behind those, and only those, that write memory. */
static void stores_are_known(void)
{
	unsigned wrong = 0, stores = 0, index;
	u8 code[32];
	bool writes;

	for (unsigned i = 0; i < SSE_ROWS; i++) {
		if (sse_rows[i].flags & F_REG)
			continue;
		if (changes_memory(code, sse_encode(code, &sse_rows[i], true, 64, random64), cpu_sse_writes, &writes)) {
			stores++;
			wrong += !writes;
		}
	}
	for (unsigned i = 0; i < AVX_ROWS; i++) {
		if (avx_rows[i].flags & F_REG)
			continue;
		if (changes_memory(code, avx_encode(code, &avx_rows[i], true, 64, random64, &index), cpu_sse_writes, &writes)) {
			stores++;
			wrong += !writes;
		}
	}
	for (unsigned i = 0; i < 64; i++) {
		const u8 x87[2] = { (u8)(0xd8 + i / 8), (u8)(i % 8 << 3 | 3) };

		if (changes_memory(x87, 2, cpu_x87_writes, &writes)) {
			stores++;
			wrong += !writes;
		}
	}
	ok(stores > 40, "%u instructions store to memory", stores);
	is(wrong, 0, "the decoder knows all of them");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = (unsigned)atoi(argv[1]);
	if (argc > 2)
		random_seed ^= strtoull(argv[2], NULL, 0) << 20;
	world_start();
	native_start();
	if (!cpu_sse_has(&world.cpu, FEATURE_AVX))
		skip_all("no AVX on this host");
	every_instruction();
	unmasked_exceptions();
	half_underflow();
	refusals();
	masked_faults();
	stores_are_known();
	return done_testing();
}
