/* SPDX-License-Identifier: MIT */
/*
 * tests/fuzz_cpu_insn.h - random integer and SSE instructions for tests/fuzz_cpu.c
 *
 * R8 to R11 point into the data, R12 is a small index; RSP is never a destination.
 */
#ifndef GMEM_TESTS_FUZZ_CPU_INSN_H
#define GMEM_TESTS_FUZZ_CPU_INSN_H

#include "tests/cpu_guest.h"

static u64 rng_state;

static u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dULL;
}

static u32 below(u32 n)
{
	return (u32)(rng() >> 32) % n;
}

static u8 *emit(u8 *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

/* ---- random instructions ---- */

enum { A_CF = 1, A_PF = 4, A_AF = 16, A_ZF = 64, A_SF = 128, A_OF = 2048, A_ALL = 0x8d5 };

struct choice {
	u8 opcode[4];
	u8 length;
	u8 kind;       /* K_* */
	u16 undefined; /* flags */
};
enum {
	K_RM = 1,  /* ModRM with any register or memory */
	K_SUB = 2, /* reg field given in `sub` bits: opcode[3] */
	K_I8 = 4,
	K_IZ = 8,
	K_BYTE = 16,  /* no REX.W, 66 */
	K_LOCK = 32,  /* LOCK allowed with memory */
	K_PLAIN = 64, /* no ModRM */
	K_REG = 128,  /* register form only */
};

/* The guest's flags come from the host's own instructions: what is undefined is the same, too. */
#define U_LOGIC 0
#define U_MUL	0
#define U_SHIFT 0U

static struct choice choices[512];
static unsigned choice_count;

static void add(u8 a, u8 b, u8 c, unsigned length, unsigned kind, unsigned sub, unsigned undefined)
{
	choices[choice_count++] = (struct choice){
		{a, b, c, (u8)sub},
		      (u8)length, (u8)kind, (u16)undefined
	};
}

static void fill_choices(void)
{
	for (unsigned op = 0; op < 8; op++) {
		const unsigned lock = op == 7 ? 0 : K_LOCK, undefined = op == 1 || op == 4 || op == 6 ? U_LOGIC : 0;

		add((u8)(8 * op), 0, 0, 1, K_RM | K_BYTE | lock, 0, undefined);
		add((u8)(8 * op + 1), 0, 0, 1, K_RM | lock, 0, undefined);
		add((u8)(8 * op + 2), 0, 0, 1, K_RM | K_BYTE, 0, undefined);
		add((u8)(8 * op + 3), 0, 0, 1, K_RM, 0, undefined);
		add((u8)(8 * op + 4), 0, 0, 1, K_PLAIN | K_BYTE | K_I8, 0, undefined);
		add((u8)(8 * op + 5), 0, 0, 1, K_PLAIN | K_IZ, 0, undefined);
		add(0x80, 0, 0, 1, K_RM | K_SUB | K_BYTE | K_I8 | lock, op, undefined);
		add(0x81, 0, 0, 1, K_RM | K_SUB | K_IZ | lock, op, undefined);
		add(0x83, 0, 0, 1, K_RM | K_SUB | K_I8 | lock, op, undefined);
		add(0xc0, 0, 0, 1, K_RM | K_SUB | K_BYTE | K_I8, op, 0x8000);
		add(0xc1, 0, 0, 1, K_RM | K_SUB | K_I8, op, 0x8000);
		add(0xd0, 0, 0, 1, K_RM | K_SUB | K_BYTE, op, 0x8000);
		add(0xd1, 0, 0, 1, K_RM | K_SUB, op, 0x8000);
		add(0xd2, 0, 0, 1, K_RM | K_SUB | K_BYTE, op, 0x8000);
		add(0xd3, 0, 0, 1, K_RM | K_SUB, op, 0x8000);
		add((u8)(0x90 + op), 0, 0, 1, K_PLAIN, 0, 0);
		add((u8)(0xb0 + op), 0, 0, 1, K_PLAIN | K_BYTE | K_I8, 0, 0);
		add(0x0f, (u8)(0xc8 + op), 0, 2, K_PLAIN, 0, 0);
		add((u8)(0x50 + op), 0, 0, 1, K_PLAIN, 0, 0);
		add((u8)(0x58 + op), 0, 0, 1, K_PLAIN, 0, 0);
	}
	for (unsigned cc = 0; cc < 16; cc++) {
		add(0x0f, (u8)(0x40 + cc), 0, 2, K_RM, 0, 0);
		add(0x0f, (u8)(0x90 + cc), 0, 2, K_RM | K_BYTE, 0, 0);
	}
	add(0x84, 0, 0, 1, K_RM | K_BYTE, 0, U_LOGIC);
	add(0x85, 0, 0, 1, K_RM, 0, U_LOGIC);
	add(0xa8, 0, 0, 1, K_PLAIN | K_BYTE | K_I8, 0, U_LOGIC);
	add(0xa9, 0, 0, 1, K_PLAIN | K_IZ, 0, U_LOGIC);
	add(0x86, 0, 0, 1, K_RM | K_BYTE | K_LOCK, 0, 0);
	add(0x87, 0, 0, 1, K_RM | K_LOCK, 0, 0);
	for (unsigned i = 0x88; i < 0x8c; i++)
		add((u8)i, 0, 0, 1, K_RM | (i & 1 ? 0 : K_BYTE), 0, 0);
	add(0x8d, 0, 0, 1, K_RM, 0, 0);
	add(0x8f, 0, 0, 1, K_RM | K_SUB, 0, 0);
	add(0xc6, 0, 0, 1, K_RM | K_SUB | K_BYTE | K_I8, 0, 0);
	add(0xc7, 0, 0, 1, K_RM | K_SUB | K_IZ, 0, 0);
	add(0x63, 0, 0, 1, K_RM, 0, 0);
	add(0x69, 0, 0, 1, K_RM | K_IZ, 0, U_MUL);
	add(0x6b, 0, 0, 1, K_RM | K_I8, 0, U_MUL);
	add(0x68, 0, 0, 1, K_PLAIN | K_IZ, 0, 0);
	add(0x6a, 0, 0, 1, K_PLAIN | K_I8, 0, 0);
	add(0x98, 0, 0, 1, K_PLAIN, 0, 0);
	add(0x99, 0, 0, 1, K_PLAIN, 0, 0);
	add(0x9e, 0, 0, 1, K_PLAIN, 0, 0);
	add(0x9f, 0, 0, 1, K_PLAIN, 0, 0);
	add(0xc9, 0, 0, 1, K_PLAIN, 0, 0);
	add(0xd7, 0, 0, 1, K_PLAIN | K_BYTE, 0, 0);
	for (unsigned i = 0xa4; i < 0xb0; i++) {
		if (i != 0xa8 && i != 0xa9)
			add((u8)i, 0, 0, 1, K_PLAIN | (i & 1 ? 0 : K_BYTE), 1, 0);
	}
	add(0xf5, 0, 0, 1, K_PLAIN | K_BYTE, 0, 0);
	add(0xf8, 0, 0, 1, K_PLAIN | K_BYTE, 0, 0);
	add(0xf9, 0, 0, 1, K_PLAIN | K_BYTE, 0, 0);
	add(0xfc, 0, 0, 1, K_PLAIN | K_BYTE, 0, 0);
	add(0xfd, 0, 0, 1, K_PLAIN | K_BYTE, 0, 0);
	for (unsigned sub = 0; sub < 8; sub++) {
		const unsigned undefined = sub < 2 ? U_LOGIC : sub < 4 ? 0 : sub < 6 ? U_MUL : A_ALL;

		add(0xf6, 0, 0, 1, K_RM | K_SUB | K_BYTE | (sub < 2 ? K_I8 : 0) | (sub == 2 || sub == 3 ? K_LOCK : 0),
		    sub, undefined);
		add(0xf7, 0, 0, 1, K_RM | K_SUB | (sub < 2 ? K_IZ : 0) | (sub == 2 || sub == 3 ? K_LOCK : 0), sub,
		    undefined);
	}
	for (unsigned sub = 0; sub < 2; sub++) {
		add(0xfe, 0, 0, 1, K_RM | K_SUB | K_BYTE | K_LOCK, sub, 0);
		add(0xff, 0, 0, 1, K_RM | K_SUB | K_LOCK, sub, 0);
	}
	add(0xff, 0, 0, 1, K_RM | K_SUB, 6, 0);
	for (unsigned sub = 4; sub < 8; sub++) {
		const unsigned lock = sub == 4 ? 0 : K_LOCK;

		add(0x0f, 0xba, 0, 2, K_RM | K_SUB | K_I8 | lock, sub, A_OF | A_SF | A_AF | A_PF);
		add(0x0f, (u8)(0xa3 + 8 * (sub - 4)), 0, 2, K_RM | K_REG | lock, 0, A_OF | A_SF | A_AF | A_PF);
		add(0x0f, (u8)(0xa3 + 8 * (sub - 4)), 0, 2, K_RM | lock, 1, A_OF | A_SF | A_AF | A_PF);
	}
	add(0x0f, 0xa4, 0, 2, K_RM | K_I8, 0, 0x8000);
	add(0x0f, 0xa5, 0, 2, K_RM, 0, 0x8000);
	add(0x0f, 0xac, 0, 2, K_RM | K_I8, 0, 0x8000);
	add(0x0f, 0xad, 0, 2, K_RM, 0, 0x8000);
	add(0x0f, 0xaf, 0, 2, K_RM, 0, U_MUL);
	add(0x0f, 0xb0, 0, 2, K_RM | K_BYTE | K_LOCK, 0, 0);
	add(0x0f, 0xb1, 0, 2, K_RM | K_LOCK, 0, 0);
	add(0x0f, 0xc0, 0, 2, K_RM | K_BYTE | K_LOCK, 0, 0);
	add(0x0f, 0xc1, 0, 2, K_RM | K_LOCK, 0, 0);
	add(0x0f, 0xc7, 0, 2, K_RM | K_SUB | K_LOCK, 1, 0);
	add(0x0f, 0xc3, 0, 2, K_RM, 0, 0);
	for (unsigned i = 0xb6; i <= 0xbf; i++) {
		if (i == 0xb6 || i == 0xb7 || i == 0xbe || i == 0xbf)
			add(0x0f, (u8)i, 0, 2, K_RM, 0, 0);
	}
	add(0x0f, 0xbc, 0, 2, K_RM, 2, A_CF | A_OF | A_SF | A_AF | A_PF);
	add(0x0f, 0xbd, 0, 2, K_RM, 2, A_CF | A_OF | A_SF | A_AF | A_PF);
	add(0x0f, 0xb8, 0, 2, K_RM, 3, 0);
	add(0x0f, 0x38, 0xf0, 3, K_RM, 4, 0);
	add(0x0f, 0x38, 0xf1, 3, K_RM, 4, 0);
	add(0x0f, 0x38, 0xf6, 3, K_RM, 5, 0);
	add(0x0f, 0x18, 0, 2, K_RM, 0, 0);
	add(0x0f, 0x1f, 0, 2, K_RM, 0, 0);
	/* VEX: opcode[0] = 0xc4 stands for map 2 with opcode[1], pp in sub */
	add(0xc4, 0xf2, 2, 2, K_RM, 0x20, A_AF | A_PF);
	add(0xc4, 0xf3, 2, 2, K_RM, 0x21, A_AF | A_PF);
	add(0xc4, 0xf3, 2, 2, K_RM, 0x22, A_AF | A_PF);
	add(0xc4, 0xf3, 2, 2, K_RM, 0x23, A_AF | A_PF);
	add(0xc4, 0xf5, 2, 2, K_RM, 0x20, A_AF | A_PF);
	add(0xc4, 0xf5, 2, 2, K_RM, 0x28, 0);
	add(0xc4, 0xf5, 2, 2, K_RM, 0x30, 0);
	add(0xc4, 0xf6, 2, 2, K_RM, 0x30, 0);
	add(0xc4, 0xf7, 2, 2, K_RM, 0x20, A_AF | A_PF | A_SF);
	add(0xc4, 0xf7, 2, 2, K_RM, 0x24 | 0x80, 0);
	add(0xc4, 0xf7, 2, 2, K_RM, 0x28, 0);
	add(0xc4, 0xf7, 2, 2, K_RM, 0x30, 0);
	add(0xc4, 0xf0, 3, 2, K_RM | K_I8, 0x30, 0);
}

struct insn {
	u8 bytes[16];
	unsigned length, undefined;
	bool string, bits;
};

/* ModRM: registers hold pointers to the data, or small numbers (index). */
static u8 *modrm(u8 *p, u8 *rex, unsigned reg, bool memory)
{
	const unsigned base = 8 + below(4); /* R8..R11 point into the data */
	unsigned rm;

	*rex |= (reg & 8) >> 1;
	if (!memory) {
		do {
			rm = below(16);
		} while (rm == 4);
		*rex |= rm >> 3;
		*p++ = (u8)(0xc0 | (reg & 7) << 3 | (rm & 7));
		return p;
	}
	*rex |= 1;
	switch (below(4)) {
	case 0:
		*p++ = (u8)(0x40 | (reg & 7) << 3 | (base & 7));
		if ((base & 7) == 4)
			*p++ = 0x24;
		*p++ = (u8)below(256);
		break;
	case 1:
		*p++ = (u8)(0x80 | (reg & 7) << 3 | (base & 7));
		if ((base & 7) == 4)
			*p++ = 0x24;
		p = emit(p, &(s32){ (s32)below(1024) - 512 }, 4);
		break;
	default:
		/* R12 is a small index */
		*rex |= 2;
		*p++ = (u8)(0x44 | (reg & 7) << 3);
		*p++ = (u8)(below(4) << 6 | 4 << 3 | (base & 7));
		*p++ = (u8)below(256);
	}
	return p;
}

static void generate_integer(struct insn *in)
{
	const struct choice *c = &choices[below(choice_count)];
	const bool memory = (c->kind & K_RM) && !(c->kind & K_REG) && (below(2) || c->opcode[0] == 0x8d);
	u8 body[16], *p = body, rex = 0, *out = in->bytes;
	unsigned reg = c->kind & K_SUB ? c->opcode[3] : below(16);
	bool p66 = false;

	memset(in, 0, sizeof(*in));
	in->undefined = c->undefined;
	if (c->opcode[0] == 0xc4) {
		const u8 vvvv = (u8)below(16), pp = c->opcode[3] >> 3 & 3;
		static const u8 pps[4] = { 0, 1, 2, 3 };
		unsigned sub = c->opcode[3];
		u8 flip;

		/* sub: 0x20 none, 0x24|0x80: 66, 0x28: F3, 0x30: F2; low bits: group member */
		u8 real_pp = sub & 0x80 ? 1 : pp == 1 ? 2 : pp == 2 ? 3 : 0;

		if (c->opcode[1] == 0xf3)
			reg = sub & 7;
		if (vvvv == 4 || reg == 4) /* not RSP */
			reg = c->opcode[1] == 0xf3 ? reg : 3;
		p = modrm(p, &rex, reg, memory);
		flip = (u8)(rex & 4 ? 0 : 0x80) | (u8)(rex & 2 ? 0 : 0x40) | (u8)(rex & 1 ? 0 : 0x20);
		*out++ = 0xc4;
		*out++ = (u8)(flip | c->opcode[2]);
		*out++ = (u8)((below(2) ? 0x80 : 0) | (~(vvvv == 4 ? 5 : vvvv) & 15) << 3 | pps[real_pp]);
		*out++ = c->opcode[1];
		out = emit(out, body, (size_t)(p - body));
		if (c->kind & K_I8)
			*out++ = (u8)rng();
		in->length = (unsigned)(out - in->bytes);
		return;
	}
	/* RSP as a destination would be lost: registers other than it, except in stack instructions. */
	if (!(c->kind & K_SUB) && reg == 4)
		reg = 5;
	if (memory && c->length == 2 && (c->opcode[1] & 0xc7) == 0x83 && c->opcode[1] >= 0xa0) {
		/* A bit string: RDX is made small. */
		in->bits = true;
		reg = CPU_RDX;
	}
	if (c->kind & K_RM)
		p = modrm(p, &rex, reg, memory);
	else if (c->length == 1 && (c->opcode[0] & 0xf0) == 0x50 && (c->opcode[0] & 7) == 4)
		rex |= 1;
	else if (c->length == 1 &&
		 ((c->opcode[0] & 0xf8) == 0x90 || (c->opcode[0] & 0xf8) == 0xb0 || (c->opcode[0] & 0xf8) == 0x50))
		rex |= (u8)below(2);
	else if (c->length == 2 && (c->opcode[1] & 0xf8) == 0xc8)
		rex |= (u8)below(2);
	if (c->opcode[0] == 0x94 || (c->length == 2 && c->opcode[1] == 0xcc) || c->opcode[0] == 0x54 ||
	    c->opcode[0] == 0x5c)
		rex |= 1;
	if (below(3) == 0)
		rex |= 8;
	else if (!(c->kind & K_BYTE) && below(3) == 0)
		p66 = true;
	/* Without REX, byte registers are AH..BH sometimes; with, never. */
	if (rex || below(2))
		rex |= 0x40;
	if ((c->kind & K_LOCK) && memory && below(3) == 0)
		*out++ = 0xf0;
	if (c->kind & K_PLAIN && c->opcode[3] == 1 && below(2)) {
		in->string = true;
		*out++ = below(2) ? 0xf3 : 0xf2;
	}
	if (c->opcode[3] == 2 && !(c->kind & K_SUB) && c->length == 2 && below(2)) {
		*out++ = 0xf3;
		in->undefined = A_OF | A_SF | A_AF | A_PF;
	}
	if (c->opcode[3] == 3 && !(c->kind & K_SUB) && c->length == 2)
		*out++ = 0xf3;
	if (p66)
		*out++ = 0x66;
	if (c->length == 3 && c->opcode[3] == 4) { /* crc32, or movbe where there is memory */
		if (below(2) || !memory)
			*out++ = 0xf2;
	}
	if (c->length == 3 && c->opcode[3] == 5)
		*out++ = below(2) ? 0x66 : 0xf3;
	/* 66 with PUSH and POP of 16 bits, 66 F2 and so on: fine.  REX comes last. */
	if (rex & 0x40)
		*out++ = rex;
	out = emit(out, c->opcode, c->length);
	out = emit(out, body, (size_t)(p - body));
	if (c->kind & K_I8)
		*out++ = (u8)rng();
	if (c->kind & K_IZ) {
		const bool word = p66 && !(rex & 8);

		out = emit(out, &(u32){ (u32)rng() }, word ? 2 : 4);
	}
	in->length = (unsigned)(out - in->bytes);
	/* Shifts: what is undefined depends on the count. */
	if (c->undefined == 0x8000)
		in->undefined = U_SHIFT;
}

/* Random opcodes of the SSE space: whatever the host faults on, the guest must as well. */
static void generate_sse(struct insn *in)
{
	static const u8 prefixes[4] = { 0, 0x66, 0xf3, 0xf2 };
	static const u8 rows[] = { 0x10, 0x20, 0x50, 0x60, 0x70, 0xc0, 0xd0, 0xe0, 0xf0 };
	const u8 pp = prefixes[below(4)];
	u8 body[8], *p, rex = 0, *out = in->bytes, opcode, map = (u8)below(4);
	bool imm = false;

	memset(in, 0, sizeof(*in));
	if (map == 2) {
		opcode = (u8)below(0x42);
	} else if (map == 3) {
		static const u8 ops[] = { 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x14, 0x15, 0x16,
					  0x17, 0x20, 0x21, 0x22, 0x40, 0x41, 0x42, 0x60, 0x61, 0x62, 0x63 };

		opcode = ops[below(sizeof(ops))];
		imm = true;
	} else {
		do {
			opcode = (u8)(rows[below(sizeof(rows))] | below(16));
		} while ((opcode >= 0x18 && opcode < 0x28) || (opcode & 0xf8) == 0xc8 || opcode == 0xc0 ||
			 opcode == 0xc1 || opcode == 0xc3 || opcode == 0xc7 || opcode == 0x77 || opcode == 0xff ||
			 opcode == 0x78 || opcode == 0x79 || opcode == 0x2b);
		imm = (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
		map = 1;
	}
	/* No MMX here: 66, F2 and F3 forms, and the plain forms that use XMM registers. */
	p = modrm(body, &rex, below(16) & ~(below(16) ? 0U : 0U), below(2));
	if (pp)
		*out++ = pp;
	rex |= (u8)(below(3) ? 0 : 8);
	if (rex)
		*out++ = rex | 0x40;
	*out++ = 0x0f;
	if (map >= 2)
		*out++ = map == 2 ? 0x38 : 0x3a;
	*out++ = opcode;
	out = emit(out, body, (size_t)(p - body));
	if (imm)
		*out++ = (u8)rng();
	in->length = (unsigned)(out - in->bytes);
}

/* MMX registers are not part of the state: those forms are left out here. */
static bool uses_mmx(const struct insn *in)
{
	const u8 *p = in->bytes;
	u8 pp = 0, op;

	if (*p == 0x66 || *p == 0xf2 || *p == 0xf3)
		pp = *p++;
	if ((*p & 0xf0) == 0x40)
		p++;
	if (p[0] != 0x0f)
		return false;
	op = p[1];
	if (op == 0x38 || op == 0x3a)
		return pp == 0;
	if (op == 0x2a || op == 0x2c || op == 0x2d)
		return pp == 0 || pp == 0x66;
	if (op == 0xd6)
		return pp != 0x66;
	if (op == 0xe6 || op == 0xf0 || op == 0x7c || op == 0x7d || op == 0xd0)
		return false;
	return pp == 0 && ((op >= 0x60 && op < 0x80) || op == 0xc4 || op == 0xc5 || op >= 0xd0);
}

#endif
