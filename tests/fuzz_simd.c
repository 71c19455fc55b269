// SPDX-License-Identifier: MIT
/*
 * tests/fuzz_simd.c - random runs of MMX, SSE, AVX and x87 instructions, on this host and on the software CPU
 *
 *	fuzz_simd [--seconds N] [--seed S]
 *
 * Prints the code of the first difference and the seed that leads to it.
 */
#include <time.h>

#include "tests/cpu_native.h"

#include "tests/fuzz_cpu_sse.h"

enum { LONGEST = 6 };

static unsigned put_pointer(u8 *p, u8 opcode, u64 value)
{
	p[0] = 0x48;
	p[1] = opcode;
	memcpy(p + 2, &value, 8);
	return 10;
}

static s32 offset(void)
{
	return (s32)(random_below(16) * 32 + (random_below(8) ? 0 : random_below(32)));
}

/* Not those with an environment, whose pointers differ. */
static unsigned put_x87(u8 *p)
{
	const unsigned op = random_below(8), reg = random_below(8);

	p[0] = (u8)(0xd8 + op);
	if (random_below(2)) {
		p[1] = (u8)(0xc0 + random_below(64));
		return 2;
	}
	if ((op == 1 || op == 5) && (reg == 4 || reg == 6))
		return 0;
	p[1] = (u8)(0x80 | reg << 3 | 3);
	memcpy(p + 2, &(s32){ offset() }, 4);
	return 6;
}

/* Known to be inexact beside an unmasked exception, see cpu_fp_unmasked(): the flags of DPPS and DPPD. */
static bool inexact_unmasked(unsigned map, unsigned op)
{
	return map && op >> 4 == 4 && op <= 0x41;
}

static unsigned put_sse(u8 *p, bool masked)
{
	const struct sse_row *row = &sse_rows[random_below(SSE_ROWS)];
	const bool memory = row->flags & F_MEM || (!(row->flags & F_REG) && random_below(2));

	if (!cpu_sse_has(&world.cpu, row->feature) || (!masked && inexact_unmasked(row->map == T_3A, row->op)))
		return 0;
	return sse_encode(p, row, memory, offset(), random64);
}

static unsigned put_avx(u8 *p, bool masked)
{
	const struct avx_row *row = &avx_rows[random_below(AVX_ROWS)];
	const bool memory = row->flags & F_MEM || (!(row->flags & F_REG) && random_below(2));
	unsigned index;

	if (!cpu_sse_has(&world.cpu, row->feature) || !cpu_sse_has(&world.cpu, FEATURE_AVX2) || row->class == CLASS_AGATHER ||
	    row->class == CLASS_AMXCSR || (!masked && inexact_unmasked(row->map == T_MAP_3A, row->op)))
		return 0;
	return avx_encode(p, row, memory, offset(), random64, &index);
}

static bool once(void)
{
	const u64 data = (u64)(uintptr_t)world.memory + WORLD_DATA;
	const unsigned count = 1 + random_below(LONGEST);
	const bool masked = random_below(8);
	struct native_state s;
	u8 code[LONGEST * 48];
	unsigned n = 0;

	random_state(&s);
	if (!masked)
		s.fpu.mxcsr &= ~(u32)(random64() & 0x1f80);
	s.fpu.fsw = (u16)(random_below(8) << 11);
	s.fpu.ftw = random_below(2) ? 0xff : (u8)random64();
	for (unsigned i = 0; i < 8; i++) {
		u64 v[2] = { random64() | 1ULL << 63, 16383 - 40 + random_below(80) };

		memcpy(s.fpu.st[i], v, 16);
	}
	for (unsigned i = 0; i < count; i++) {
		n += put_pointer(code + n, 0xbb, data);
		n += put_pointer(code + n, 0xbf, data + random_below(100));
		switch (random_below(8)) {
		case 0:
		case 1:
			n += put_x87(code + n);
			break;
		case 2:
		case 3:
		case 4:
			n += put_avx(code + n, masked);
			break;
		default:
			n += put_sse(code + n, masked);
		}
	}
	return same_on_both(&s, code, n, "sequence");
}

int main(int argc, char **argv)
{
	unsigned long seconds = 5, runs = 0;
	u64 seed = (u64)time(NULL);
	time_t end;
	bool good = true;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = strtoul(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
	}
	world_start();
	native_start();
	end = time(NULL) + (time_t)seconds;
	do {
		random_seed = seed * 0x9e3779b97f4a7c15ULL | 1;
		for (unsigned i = 0; i < 1000 && good; i++, runs++)
			good = once();
		if (!good)
			diag("seed %llu", (unsigned long long)seed);
		seed++;
	} while (good && time(NULL) < end);
	ok(good, "%lu runs of random instructions as on the host", runs);
	return done_testing();
}
