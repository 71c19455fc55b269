// SPDX-License-Identifier: MIT
/*
 * cpu/decode.c - bytes to instruction records
 */
#include "cpu/access.h"
#include "cpu/ops.h"

enum attributes {
	M = 1 << 0,
	B = 1 << 1,
	IB = 1 << 2,
	IZ = 1 << 3,
	IV = 1 << 4,
	IW = 1 << 5,
	MO = 1 << 6,
	FP = 1 << 7,
	D64 = 1 << 8,
	F64 = 1 << 9,
	X64 = 1 << 10,
	L = 1 << 11,
	E = 1 << 12,
	W = 1 << 13,
	S = 1 << 14,
};

struct opcode {
	u16 attributes;
	cpu_op *fn;
};

static const struct opcode opcodes[2][256] = {
#define OP(map, first, last, attributes, handler) [map][(first)...(last)] = { attributes, handler },
#include "cpu/opcode.def"
#undef OP
};

struct decoder {
	const u8 *p, *end; /* what is there, at most 15 bytes */
	bool failed;
	u8 rex;
};

static u64 take(struct decoder *d, unsigned n)
{
	u64 v = 0;

	if (d->failed || (size_t)(d->end - d->p) < n) {
		d->failed = true;
		return 0;
	}
	memcpy(&v, d->p, n);
	d->p += n;
	return v;
}

static u8 peek(struct decoder *d)
{
	if (d->failed || d->p == d->end) {
		d->failed = true;
		return 0;
	}
	return *d->p;
}

/* Prefixes up to the opcode. */
static void prefixes(struct decoder *d, struct cpu_insn *in, int mode)
{
	u8 f23 = CPU_PP_NONE;

	in->seg = 0xff;
	for (;;) {
		const u8 b = peek(d);

		if (d->failed)
			return;
		switch (b) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			/* No override in 64-bit mode, but a REX before it is void. */
			if (mode != CPU_MODE_64)
				in->seg = b >> 3 & 3;
			break;
		case 0x64:
		case 0x65:
			in->seg = b & 7;
			break;
		case 0x66:
			in->flags |= CPU_IN_66;
			break;
		case 0x67:
			in->addr_size = mode == CPU_MODE_32 ? 2 : 4;
			break;
		case 0xf0:
			in->flags |= CPU_IN_LOCK;
			break;
		case 0xf2:
			f23 = CPU_PP_F2;
			break;
		case 0xf3:
			f23 = CPU_PP_F3;
			break;
		default:
			if (mode != CPU_MODE_64 || (b & 0xf0) != 0x40) {
				if (f23)
					in->flags |= f23 == CPU_PP_F3 ? CPU_IN_REP : CPU_IN_REPNE;
				in->pp = f23 ? f23 : in->flags & CPU_IN_66 ? CPU_PP_66 : CPU_PP_NONE;
				return;
			}
			d->rex = b;
			d->p++;
			continue;
		}
		d->rex = 0;
		d->p++;
	}
}

/* VEX, after C4 or C5; false: undefined. */
static bool vex(struct decoder *d, struct cpu_insn *in, int mode, bool three)
{
	u8 a = (u8)take(d, 1), b = three ? (u8)take(d, 1) : a;

	if ((in->flags & CPU_IN_LOCK) || in->pp || d->rex)
		return false;
	in->flags |= CPU_IN_VEX;
	if (!(a & 0x80))
		d->rex |= 4;
	in->map = 1;
	if (three) {
		if (!(a & 0x40))
			d->rex |= 2;
		if (!(a & 0x20))
			d->rex |= 1;
		in->map = a & 31;
		if (b & 0x80)
			d->rex |= 8;
	}
	in->vvvv = ~b >> 3 & 15;
	in->vex_l = b >> 2 & 1;
	in->pp = b & 3;
	if (mode != CPU_MODE_64) {
		/* Bits that would name registers 8 to 15 are ignored outside 64-bit mode. */
		in->vvvv &= 7;
		d->rex &= 8;
	}
	return in->map >= 1 && in->map <= 3;
}

static void modrm16(struct decoder *d, struct cpu_insn *in, unsigned rm)
{
	static const u8 bases[8] = { CPU_RBX, CPU_RBX, CPU_RBP, CPU_RBP, CPU_RSI, CPU_RDI, CPU_RBP, CPU_RBX };
	static const u8 indexes[4] = { CPU_RSI, CPU_RDI, CPU_RSI, CPU_RDI };

	in->base = bases[rm];
	in->index = rm < 4 ? indexes[rm] : CPU_REG_ZERO;
	if (in->mod == 0 && rm == 6)
		in->base = CPU_REG_ZERO;
	if (in->mod == 2 || (in->mod == 0 && rm == 6))
		in->disp = (int16_t)take(d, 2);
	else if (in->mod == 1)
		in->disp = (int8_t)take(d, 1);
	if (in->seg == 0xff)
		in->seg = in->base == CPU_RBP ? CPU_SS : CPU_DS;
}

static void modrm32(struct decoder *d, struct cpu_insn *in, unsigned rm, int mode)
{
	unsigned base = rm | (d->rex & 1) << 3;

	if (rm == 4) {
		const u8 sib = (u8)take(d, 1);
		const unsigned index = (sib >> 3 & 7) | (d->rex & 2) << 2;

		base = (sib & 7) | (d->rex & 1) << 3;
		in->scale = sib >> 6; /* of a vector index also when it is number 4 */
		if (index != 4)
			in->index = (u8)index;
		if (in->mod == 0 && (sib & 7) == 5) {
			base = CPU_REG_ZERO;
			in->disp = (s32)take(d, 4);
		}
	} else if (in->mod == 0 && rm == 5) {
		base = mode == CPU_MODE_64 ? CPU_REG_RIP : CPU_REG_ZERO;
		in->disp = (s32)take(d, 4);
	}
	in->base = (u8)base;
	if (in->mod == 1)
		in->disp = (int8_t)take(d, 1);
	else if (in->mod == 2)
		in->disp = (s32)take(d, 4);
	if (in->seg == 0xff)
		in->seg = base == CPU_RSP || base == CPU_RBP ? CPU_SS : CPU_DS;
}

static u8 byte_place(const struct cpu_insn *in, unsigned r)
{
	if (r >= 4 && r < 8 && !(in->flags & (CPU_IN_REX | CPU_IN_VEX)))
		return (u8)((r - 4) * 8 + 1);
	return (u8)(r * 8);
}

static void modrm(struct decoder *d, struct cpu_insn *in, int mode)
{
	const u8 b = (u8)take(d, 1);

	in->mod = b >> 6;
	in->reg = (b >> 3 & 7) | (d->rex & 4) << 1;
	if (in->map == 1 && in->opcode >= 0x20 && in->opcode <= 0x23 && !(in->flags & CPU_IN_VEX))
		in->mod = 3; /* MOV to and from CRn and DRn ignore it */
	in->rm = (b & 7) | (d->rex & 1) << 3;
	if (in->mod != 3 && in->addr_size == 2)
		modrm16(d, in, b & 7);
	else if (in->mod != 3)
		modrm32(d, in, b & 7, mode);
	in->reg8 = byte_place(in, in->reg);
	in->rm8 = byte_place(in, in->rm);
}

/* 0F38 and 0F3A, and VEX of all maps, except integer: SSE's. */
static struct opcode other_map(const struct cpu_insn *in)
{
	struct opcode o = { M | W, cpu_sse };

	if (in->map == 3)
		o.attributes |= IB;
	if (!(in->flags & CPU_IN_VEX)) {
		if (in->map == 2) {
			if (in->opcode == 0xf0 || in->opcode == 0xf1)
				o.fn = in->pp == CPU_PP_F2 ? op_crc32 : op_movbe;
			else if (in->opcode == 0xf6 && (in->pp == CPU_PP_66 || in->pp == CPU_PP_F3))
				o.fn = op_adx;
			else if (in->opcode == 0x82 && in->pp == CPU_PP_66)
				o.fn = op_invpcid;
		}
		return o;
	}
	if (in->map == 1) {
		const struct opcode *plain = &opcodes[1][in->opcode];

		if (plain->fn == cpu_sse)
			return *plain;
		if (in->opcode == 0xae) /* VLDMXCSR, VSTMXCSR */
			return o;
		o.fn = op_undefined;
		o.attributes = M | E;
		return o;
	}
	if (in->map == 2) {
		switch (in->opcode) {
		case 0xf2:
			o.fn = op_andn;
			break;
		case 0xf3:
			o.fn = op_bls;
			break;
		case 0xf5:
			o.fn = in->pp == CPU_PP_NONE ? op_bzhi : op_pdep;
			break;
		case 0xf6:
			o.fn = op_mulx;
			break;
		case 0xf7:
			o.fn = in->pp == CPU_PP_NONE ? op_bextr : op_shiftx;
			break;
		}
	} else if (in->opcode == 0xf0) {
		o.fn = op_rorx;
	}
	return o;
}

static void operand_size(struct cpu_insn *in, unsigned attributes, int mode)
{
	if (mode == CPU_MODE_64) {
		if ((attributes & F64) || (in->flags & CPU_IN_REXW))
			in->size = 8;
		else if (in->flags & CPU_IN_66)
			in->size = 2;
		else
			in->size = attributes & D64 ? 8 : 4;
	} else {
		in->size = (mode == CPU_MODE_32) == !(in->flags & CPU_IN_66) ? 4 : 2;
	}
	/* Without VEX.W it is 32 bits: 66 is part of the opcode there. */
	if (in->flags & CPU_IN_VEX)
		in->size = (in->flags & CPU_IN_REXW) && mode == CPU_MODE_64 ? 8 : 4;
}

static void immediates(struct decoder *d, struct cpu_insn *in, unsigned attributes)
{
	const unsigned z = in->size == 2 ? 2 : 4;

	if (attributes & IB)
		in->imm = (int8_t)take(d, 1);
	if (attributes & IZ)
		in->imm = z == 2 ? (int16_t)take(d, 2) : (s32)take(d, 4);
	if (attributes & IV)
		in->imm = in->size == 8 ? (s64)take(d, 8) : z == 2 ? (int16_t)take(d, 2) : (s32)take(d, 4);
	if (attributes & IW) {
		in->imm = (s64)take(d, 2);
		if (in->map == 0 && in->opcode == 0xc8)
			in->imm2 = (u8)take(d, 1);
	}
	if (attributes & MO)
		in->disp = (s64)take(d, in->addr_size);
	if (attributes & FP) {
		in->imm = (s64)take(d, z);
		in->disp = (s64)take(d, 2);
	}
}

/* Groups whose members differ in what follows or in how they end a block. */
static unsigned refine(const struct cpu_insn *in, unsigned attributes)
{
	const unsigned sub = in->reg & 7;

	if (in->map == 0) {
		switch (in->opcode) {
		case 0xf6:
		case 0xf7:
			if (sub < 2)
				attributes |= in->opcode == 0xf6 ? IB : IZ;
			if (sub != 2 && sub != 3)
				attributes &= ~(unsigned)L;
			break;
		case 0xfe:
		case 0xff:
			if (sub >= 2)
				attributes = (attributes & ~(unsigned)L) | E;
			/* Near branches and PUSH are 64-bit by default. */
			if (in->opcode == 0xff && (sub == 2 || sub == 4))
				attributes |= F64;
			if (in->opcode == 0xff && sub == 6)
				attributes |= D64;
			break;
		case 0x80:
		case 0x81:
		case 0x82:
		case 0x83:
			if (sub == 7)
				attributes &= ~(unsigned)(L | W);
			break;
		case 0x38:
		case 0x39:
			attributes &= ~(unsigned)(L | W);
			break;
		}
	} else if (in->map == 1) {
		if (in->opcode == 0xba && sub == 4)
			attributes &= ~(unsigned)(L | W);
		if (in->opcode == 0xc7 && sub != 1)
			attributes &= ~(unsigned)L;
	}
	return attributes;
}

int cpu_decode(struct cpu_insn *in, const u8 *bytes, unsigned avail, int mode, unsigned start)
{
	struct decoder d = { bytes, bytes + rt_min(avail, 15), false, 0 };
	struct opcode o;
	bool undefined = false, quick;
	u8 b;

	memset(in, 0, sizeof(*in));
	in->start = (u8)start;
	in->base = in->index = CPU_REG_ZERO;
	in->addr_size = mode == CPU_MODE_64 ? 8 : mode == CPU_MODE_32 ? 4 : 2;
	if (mode == CPU_MODE_64)
		in->flags |= CPU_IN_64;
	prefixes(&d, in, mode);
	b = (u8)take(&d, 1);
	if ((b == 0xc4 || b == 0xc5) && (mode == CPU_MODE_64 || peek(&d) >= 0xc0)) {
		undefined = !vex(&d, in, mode, b == 0xc4);
		in->opcode = (u8)take(&d, 1);
	} else if (b == 0x0f) {
		in->map = 1;
		b = (u8)take(&d, 1);
		if (b == 0x38 || b == 0x3a) {
			in->map = b == 0x38 ? 2 : 3;
			b = (u8)take(&d, 1);
		}
		in->opcode = b;
	} else {
		in->opcode = b;
	}
	if (d.rex)
		in->flags |= (d.rex & 0x40 ? CPU_IN_REX : 0) | (d.rex & 8 ? CPU_IN_REXW : 0);
	if (in->seg != 0xff)
		in->flags |= CPU_IN_OVERRIDE;
	if (undefined)
		o = (struct opcode){ E, op_undefined };
	else if ((in->flags & CPU_IN_VEX) || in->map >= 2)
		o = other_map(in);
	else
		o = opcodes[in->map][in->opcode];
	if (!o.fn || ((o.attributes & X64) && mode == CPU_MODE_64))
		o = (struct opcode){ E, op_undefined };
	if (o.attributes & M) {
		modrm(&d, in, mode);
		o.attributes = (u16)refine(in, o.attributes);
	} else {
		in->mod = 3;
		in->reg = in->rm = (in->opcode & 7) | (d.rex & 1) << 3;
		in->reg8 = in->rm8 = byte_place(in, in->rm);
	}
	if (in->seg == 0xff)
		in->seg = CPU_DS;
	operand_size(in, o.attributes, mode);
	immediates(&d, in, o.attributes);
	if (o.attributes & B)
		in->size = 1;
	if (mode != CPU_MODE_64 || in->addr_size != 8)
		in->flags |= CPU_IN_SLOW;
	if (d.failed) {
		if (avail < 15)
			return CPU_DECODE_SHORT;
		o = (struct opcode){ E, op_too_long };
	}
	in->length = (u8)(d.p - bytes);
	in->end = (u8)(start + in->length);
	if (in->base == CPU_REG_RIP)
		in->disp += in->end;
	if ((in->flags & CPU_IN_LOCK) && (!(o.attributes & L) || in->mod == 3) && o.fn != op_too_long)
		o = (struct opcode){ E, op_undefined };
	in->fn = o.fn == op_undefined || o.fn == op_too_long ? NULL : cpu_quick(in);
	if (!in->fn && o.fn == cpu_sse)
		in->fn = cpu_sse_quick(in);
	quick = in->fn;
	if (!quick)
		in->fn = o.fn;
	if (o.attributes & E)
		return CPU_DECODE_ENDS;
	if ((o.fn == cpu_sse && !cpu_sse_writes(in)) || (o.fn == cpu_x87 && !cpu_x87_writes(in)))
		o.attributes &= (u16)~W;
	/* Quick handlers look after their stores themselves. */
	return !quick && ((o.attributes & S) || ((o.attributes & W) && in->mod != 3)) ? CPU_DECODE_ENDS : CPU_DECODE_ON;
}
