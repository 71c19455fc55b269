// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_x87.c - x87, FXSAVE and XSAVE of the software CPU against this host's
 */
#include "tests/cpu_native.h"

static unsigned rounds = 60; /* of each; more of them, and other ones, by arguments: rounds and seed */

static void random_extended(u8 st[16])
{
	u64 v[2] = { random64() | 1ULL << 63, (16383 - 40 + random_below(80)) | (random64() & 0x8000) };

	switch (random_below(8)) {
	case 0:
		v[0] = v[1] = 0;
		break;
	case 1: /* infinity, or not a number */
		v[0] = random_below(2) ? 1ULL << 63 : random64() | 1ULL << 63;
		v[1] = 0x7fff | (random64() & 0x8000);
		break;
	case 2: /* denormal */
		v[0] = random64() >> 1;
		v[1] = random64() & 0x8000;
		break;
	case 3: /* unnormal and worse */
		v[0] = random64();
		v[1] = random64() & 0xffff;
		break;
	case 4: /* a small integer */
		v[0] = (u64)(1 + random_below(1000)) << 50;
		v[0] <<= __builtin_clzll(v[0]);
		v[1] = 16383 + random_below(16);
		break;
	}
	memcpy(st, v, 16);
}

static void random_x87(struct native_state *s, bool masked)
{
	random_state(s);
	s->fpu.fcw = (u16)((random64() & 0xf00) | 0x7f);
	if (!masked)
		s->fpu.fcw &= (u16)(random64() | 0xffc0);
	s->fpu.fsw = (u16)(random64() & 0x7f00);
	if (!random_below(4))
		s->fpu.fsw |= random64() & 0x3f;
	if (!masked && random_below(4))
		s->fpu.fsw &= 0xffc0;
	if (s->fpu.fsw & ~s->fpu.fcw & 0x3f)
		s->fpu.fsw |= 0x8080;
	s->fpu.ftw = random_below(3) ? 0xff : (u8)random64();
	for (unsigned i = 0; i < 8; i++)
		random_extended(s->fpu.st[i]);
	for (unsigned i = 0; i < WORLD_DATA_SIZE; i += 16) {
		if (random_below(4))
			random_vector(world.memory + WORLD_DATA + i);
		else
			random_extended(world.memory + WORLD_DATA + i);
	}
	s->gpr[CPU_RBX] = (u64)(uintptr_t)world.memory + WORLD_DATA + random_below(64);
}

static bool environment(unsigned op, unsigned reg)
{
	return (op == 1 && (reg == 4 || reg == 6)) || (op == 5 && (reg == 4 || reg == 6));
}

static void memory_forms(void)
{
	for (unsigned op = 0; op < 8; op++) {
		for (unsigned reg = 0; reg < 8; reg++) {
			const u8 code[2] = { (u8)(0xd8 + op), (u8)(reg << 3 | 3) };
			char name[16];
			unsigned bad = 0;

			if (environment(op, reg))
				continue;
			snprintf(name, sizeof(name), "%X /%u", 0xd8 + op, reg);
			for (unsigned k = 0; k < rounds && bad < 2; k++) {
				struct native_state s;

				random_x87(&s, k & 1);
				bad += !same_on_both(&s, code, 2, name);
			}
			ok(!bad, "%s as on the host", name);
		}
	}
}

static void register_forms(void)
{
	for (unsigned op = 0; op < 8; op++) {
		unsigned bad = 0;

		for (unsigned sub = 0; sub < 64; sub++) {
			const u8 code[2] = { (u8)(0xd8 + op), (u8)(0xc0 + sub) };

			for (unsigned k = 0; k < rounds && bad < 4; k++) {
				struct native_state s;

				random_x87(&s, k & 1);
				bad += !same_on_both(&s, code, 2, "register form");
			}
		}
		ok(!bad, "%X C0 to FF as on the host, undefined ones too", 0xd8 + op);
	}
}

/* What FNSTENV and FNSAVE leave and what comes back, but for the pointers. */
static void environments(void)
{
	static const struct {
		const char *name;
		u8 code[6], n;
	} cases[] = {
		{ "FNSTENV", { 0xd9, 0x33 }, 2 },	   { "FNSTENV, 16 bits", { 0x66, 0xd9, 0x33 }, 3 },
		{ "FNSAVE", { 0xdd, 0x33 }, 2 },	   { "FNSAVE, 16 bits", { 0x66, 0xdd, 0x33 }, 3 },
		{ "FLDENV", { 0xd9, 0x23 }, 2 },	   { "FLDENV, 16 bits", { 0x66, 0xd9, 0x23 }, 3 },
		{ "FRSTOR", { 0xdd, 0x23 }, 2 },	   { "FRSTOR, 16 bits", { 0x66, 0xdd, 0x23 }, 3 },
		{ "FNSAVE, FRSTOR", { 0xdd, 0x33, 0xdd, 0x23 }, 4 },
		{ "FNSTENV, FLDENV", { 0xd9, 0x33, 0xd9, 0x23 }, 4 },
	};

	for (unsigned i = 0; i < RT_ARRAY_SIZE(cases); i++) {
		unsigned bad = 0;

		for (unsigned k = 0; k < rounds && bad < 2; k++) {
			struct native_state s;

			random_x87(&s, k & 1);
			bad += !same_on_both(&s, cases[i].code, cases[i].n, cases[i].name);
		}
		ok(!bad, "%s as on the host", cases[i].name);
	}
}

/* Images in memory: RBX is aligned, EAX the components asked for; the image there is a valid one.  MXCSR_MASK is ours. */
static void images(void)
{
	static const struct {
		const char *name;
		u8 code[5], n;
		bool xsave;
	} cases[] = {
		{ "FXSAVE", { 0x0f, 0xae, 0x03 }, 3, false },
		{ "FXSAVE64", { 0x48, 0x0f, 0xae, 0x03 }, 4, false },
		{ "FXRSTOR", { 0x0f, 0xae, 0x0b }, 3, false },
		{ "FXRSTOR64", { 0x48, 0x0f, 0xae, 0x0b }, 4, false },
		{ "LDMXCSR", { 0x0f, 0xae, 0x53, 24 }, 4, false },
		{ "STMXCSR", { 0x0f, 0xae, 0x5b, 24 }, 4, false },
		{ "XSAVE", { 0x0f, 0xae, 0x23 }, 3, true },
		{ "XSAVE64", { 0x48, 0x0f, 0xae, 0x23 }, 4, true },
		{ "XRSTOR", { 0x0f, 0xae, 0x2b }, 3, true },
		{ "XRSTOR64", { 0x48, 0x0f, 0xae, 0x2b }, 4, true },
		{ "XSAVEC", { 0x0f, 0xc7, 0x23 }, 3, true },
		{ "XSAVEC64", { 0x48, 0x0f, 0xc7, 0x23 }, 4, true },
	};

	world.ignored = 28;
	for (unsigned i = 0; i < RT_ARRAY_SIZE(cases); i++) {
		unsigned bad = 0;

		if (cases[i].xsave && (!world.avx || !(world.cpu.features & CPU_HAS_XSAVEC))) {
			skip(1, "%s: not on this host", cases[i].name);
			continue;
		}
		for (unsigned k = 0; k < rounds && bad < 2; k++) {
			struct native_state s, image;
			u8 *const data = world.memory + WORLD_DATA;

			random_x87(&image, true);
			random_x87(&s, true);
			image.fpu.xstate_bv = random64() & 7;
			if (!random_below(8))
				image.fpu.mxcsr |= 0x10000; /* #GP */
			if (!random_below(8))
				image.fpu.xcomp_bv = 1ULL << random_below(60); /* #GP from XRSTOR */
			else if (!random_below(3))
				image.fpu.xcomp_bv = 1ULL << 63 | (random_below(4) ? 7 : random64() & 7); /* compacted */
			memset(data, 0x5a, 1024);
			memcpy(data, &image.fpu, sizeof(image.fpu));
			s.gpr[CPU_RBX] = (u64)(uintptr_t)data;
			if (!random_below(8))
				s.gpr[CPU_RBX] += 8; /* #GP for all but MXCSR's */
			s.gpr[CPU_RAX] = random64() & 7;
			bad += !same_on_both(&s, cases[i].code, cases[i].n, cases[i].name);
		}
		ok(!bad, "%s as on the host", cases[i].name);
	}
	world.ignored = 0;
}

/* A state that is initial is marked so. */
static void initial_state(void)
{
	struct native_state s;
	u8 *const data = world.memory + WORLD_DATA, *const code = world.memory + WORLD_CODE;
	u64 bv;

	if (!world.avx || !(world.cpu.features & CPU_HAS_XSAVEOPT)) {
		skip(2, "no XSAVEOPT here");
		return;
	}
	memset(&s, 0, sizeof(s));
	s.fpu.fcw = 0x37f;
	s.fpu.mxcsr = 0x1f80;
	s.fpu.xmm[3][5] = 1;
	s.gpr[CPU_RAX] = 7;
	s.gpr[CPU_RBX] = (u64)(uintptr_t)data;
	memset(data, 0, 1024);
	is(guest_run(&s, memcpy(code, "\x0f\xae\x33", 3), 3), NO_VECTOR, "XSAVEOPT");
	memcpy(&bv, data + 512, 8);
	is(bv, 2, "XSAVEOPT: only SSE is in use");
}

/* XSAVES and XRSTORS are the kernel's: no host to compare with. */
static void supervisor_forms(void)
{
	u8 *const data = world.memory + WORLD_DATA, *const code = world.memory + WORLD_CODE;
	struct native_state s, saved;
	u64 header[2];

	if (!world.avx || !(world.cpu.features & CPU_HAS_XSAVES)) {
		skip(9, "no XSAVES here");
		return;
	}
	random_x87(&s, true);
	s.fpu.mxcsr = 0x1fa0;
	memset(s.fpu.xmm, 0, sizeof(s.fpu.xmm));
	s.fpu.ymmh[2][3] = 1;
	s.gpr[CPU_RAX] = 6;
	s.gpr[CPU_RDX] = ~0ULL;
	s.gpr[CPU_RBX] = (u64)(uintptr_t)data;
	memset(data, 0, 1024);
	saved = s;
	is(guest_run(&s, memcpy(code, "\x0f\xc7\x2b", 3), 3), NO_VECTOR, "XSAVES");
	memcpy(header, data + 512, 16);
	is(header[0], 6, "AVX is in use, and SSE because of MXCSR");
	is(header[1], 1ULL << 63 | 6, "the form is compacted");
	s.fpu.mxcsr = 0x1f80;
	memset(s.fpu.ymmh, 0, sizeof(s.fpu.ymmh));
	is(guest_run(&s, memcpy(code, "\x0f\xc7\x1b", 3), 3), NO_VECTOR, "XRSTORS");
	ok(s.fpu.mxcsr == 0x1fa0 && !memcmp(s.fpu.ymmh, saved.fpu.ymmh, sizeof(s.fpu.ymmh)), "brings it back");
	header[0] = 0;
	memcpy(data + 512, header, 8);
	is(guest_run(&s, memcpy(code, "\x0f\xc7\x1b", 3), 3), NO_VECTOR, "XRSTORS of what was initial");
	is(s.fpu.mxcsr, 0x1f80, "MXCSR is, too");
	header[1] = 0;
	memcpy(data + 520, header + 1, 8);
	is(guest_run(&s, memcpy(code, "\x0f\xc7\x1b", 3), 3), 13, "XRSTORS of the standard form raises #GP");
	s = saved;
	s.gpr[CPU_RCX] = 1;
	guest_run(&s, memcpy(code, "\x0f\x01\xd0", 3), 3);
	is(s.gpr[CPU_RAX] & 6, 4, "XGETBV(1): SSE is initial, AVX is in use");
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = (unsigned)atoi(argv[1]);
	if (argc > 2)
		random_seed ^= strtoull(argv[2], NULL, 0) << 20;
	world_start();
	native_start();
	memory_forms();
	register_forms();
	environments();
	images();
	initial_state();
	supervisor_forms();
	return done_testing();
}
