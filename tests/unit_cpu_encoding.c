// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_encoding.c - encodings that this host refuses are refused by the software CPU
 *
 * All opcodes of the SIMD maps, with all prefixes, in register and memory form; with VEX also both lengths, both W and
 * a vvvv that is used or not.  What the host executes and the guest refuses are extensions that are not offered.
 */
#include "tests/cpu_native.h"

/* Of the 0F map only what is MMX's and SSE's: the rest branches, or belongs to the system. */
static bool is_simd(unsigned op)
{
	return (op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) || (op >= 0x50 && op <= 0x7f) || op == 0xc2 ||
	       (op >= 0xc4 && op <= 0xc6) || (op >= 0xd0 && op <= 0xfe);
}

static bool has_imm(unsigned map, unsigned op)
{
	return map == 3 || (map == 1 && ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6)));
}

static unsigned tried, refused, wrong;

static void compare(const u8 *bytes, unsigned n)
{
	u8 *const code = world.memory + WORLD_CODE;
	struct native_state g, h;
	int gv, hv;

	random_state(&g);
	/* Nothing that an instruction could object to. */
	memset(g.fpu.xmm, 0, sizeof(g.fpu.xmm));
	memset(g.fpu.ymmh, 0, sizeof(g.fpu.ymmh));
	g.gpr[CPU_RBX] = g.gpr[CPU_RDI] = (u64)(uintptr_t)world.memory + WORLD_DATA;
	g.gpr[CPU_RDX] = 5;
	h = g;
	hv = native_run(&h, memcpy(code, bytes, n), n);
	gv = guest_run(&g, memcpy(code, bytes, n), n);
	tried++;
	refused += hv == 6;
	if (hv != 6 || gv == 6)
		return;
	wrong++;
	printf("# the host has no");
	for (unsigned i = 0; i < n; i++)
		printf(" %02x", bytes[i]);
	printf(", the guest's vector was %d\n", gv);
}

static void legacy(unsigned map, unsigned op, unsigned pp, bool memory)
{
	static const u8 prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
	u8 code[8];
	unsigned n = 0;

	if (pp)
		code[n++] = prefixes[pp];
	code[n++] = 0x0f;
	if (map > 1)
		code[n++] = map == 2 ? 0x38 : 0x3a;
	code[n++] = (u8)op;
	if (map != 1 || op != 0x77)
		code[n++] = memory ? 0x13 : 0xd2;
	if (has_imm(map, op))
		code[n++] = 1;
	compare(code, n);
}

static void vex(unsigned map, unsigned op, unsigned pp, bool memory, unsigned variant)
{
	u8 code[8] = { 0xc4, (u8)(0xe0 | map), (u8)((variant & 1) << 7 | (variant & 2 ? 0x60 : 0x78) | (variant & 4) | pp), (u8)op };
	unsigned n = 4;

	if (map != 1 || op != 0x77)
		code[n++] = memory ? 0x13 : 0xd2;
	if (map == 2 && memory && op >= 0x90 && op <= 0x93) {
		code[n - 1] = 0x14; /* a gather needs an index: XMM5 */
		code[n++] = 0x2b;
	}
	if (has_imm(map, op))
		code[n++] = 1;
	compare(code, n);
}

int main(void)
{
	world_start();
	native_start();
	for (unsigned map = 1; map <= 3; map++) {
		for (unsigned i = 0; i < 256 * 4 * 2; i++) {
			if (map == 1 && !is_simd(i >> 3))
				continue;
			legacy(map, i >> 3, i & 3, i & 4);
			for (unsigned variant = 0; variant < 8 && world.avx; variant++)
				vex(map, i >> 3, i & 3, i & 4, variant);
		}
	}
	ok(refused > tried / 10, "%u encodings, %u of which the host refuses", tried, refused);
	is(wrong, 0, "these are refused here, too");
	return done_testing();
}
