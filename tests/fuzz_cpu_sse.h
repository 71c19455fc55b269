/* SPDX-License-Identifier: MIT */
/*
 * tests/fuzz_cpu_sse.h - random MMX and SSE instructions, from the table of those there are
 */
#ifndef GMEM_TESTS_FUZZ_CPU_SSE_H
#define GMEM_TESTS_FUZZ_CPU_SSE_H

#include "cpu/sse.h"

struct sse_row {
	const char *name;
	u8 class, pp, map, op, bytes, flags, feature;
	u16 count; /* of immediates; 0: none, or looked at elsewhere */
};

enum { T_NP, T_66 = 0x66, T_F3 = 0xf3, T_F2 = 0xf2, T_0F = 1, T_38 = 0x38, T_3A = 0x3a };
#define SSE_ROW_(class, pp, map, op, bytes, flags, feature, count)                                                     \
	{ #pp " " #map " " #op, CLASS_##class, T_##pp, T_##map, 0x##op, bytes, flags, FEATURE_##feature, count },
static const struct sse_row sse_rows[] = {
#define STUB(class, pp, map, op, bytes, flags, feature)	      SSE_ROW_(class, pp, map, op, bytes, flags, feature, 0)
#define STUBW(class, pp, map, op, bytes, flags, feature)      SSE_ROW_(class, pp, map, op, bytes, flags, feature, 0)
#define IMM(class, pp, map, op, bytes, flags, feature, count) SSE_ROW_(class, pp, map, op, bytes, flags, feature, count)
#define CODE(class, pp, map, op, bytes, flags, feature)	      SSE_ROW_(class, pp, map, op, bytes, flags, feature, 0)
#include "cpu/sse.def"
};
enum { SSE_ROWS = RT_ARRAY_SIZE(sse_rows) };

static inline bool sse_reg_is_gpr(const struct sse_row *r)
{
	return r->class == CLASS_G || r->class == CLASS_GM || r->class == CLASS_PEXTRW || r->class == CLASS_PEXTRW_MMX;
}

static inline bool sse_rm_is_gpr(const struct sse_row *r)
{
	switch (r->class) {
	case CLASS_I:
	case CLASS_MOVD:
	case CLASS_MOVD_TO:
	case CLASS_MOVD_MMX:
	case CLASS_MOVD_MMX_TO:
	case CLASS_PINSR:
	case CLASS_PINSR_MMX:
	case CLASS_PEXTR:
		return true;
	}
	return false;
}

static inline bool sse_has_imm(const struct sse_row *r)
{
	switch (r->class) {
	case CLASS_SHIFT:
	case CLASS_SHIFT_MMX:
	case CLASS_PINSR:
	case CLASS_PINSR_MMX:
	case CLASS_PEXTR:
	case CLASS_PEXTRW:
	case CLASS_PEXTRW_MMX:
		return true;
	}
	return r->count;
}

static inline bool sse_touches_mmx(const struct sse_row *r)
{
	return r->pp == T_NP && (r->class == CLASS_M || r->class == CLASS_MI || r->class == CLASS_GM);
}

/*
 * The row's instruction at p; with memory its operand is at [RBX + offset].  random() is the caller's.  RSP is not
 * named.  Returns the length.
 */
static inline unsigned sse_encode(u8 *p, const struct sse_row *r, bool memory, s32 offset, u64 (*random)(void))
{
	static const u8 shifts[3][5] = { { 2, 4, 6, 2, 6 }, { 2, 4, 6, 4, 6 }, { 2, 6, 3, 7, 6 } };
	const u8 *const start = p;
	u64 x = random();
	unsigned reg = x & 15, rm = x >> 4 & 15;
	const bool w = x >> 8 & 1;

	if (r->class == CLASS_SHIFT || r->class == CLASS_SHIFT_MMX) {
		reg = shifts[r->op - 0x71][(x >> 10) % 5];
		if (r->class == CLASS_SHIFT_MMX && (reg & 3) == 3)
			reg = 2;
	}
	if (sse_reg_is_gpr(r) && reg == 4)
		reg = 5;
	if (sse_rm_is_gpr(r) && rm == 4)
		rm = 5;
	if (memory)
		rm = 3;
	if (r->pp)
		*p++ = r->pp;
	*p++ = (u8)(0x40 | w << 3 | (reg & 8) >> 1 | (rm & 8) >> 3);
	*p++ = 0x0f;
	if (r->map != T_0F)
		*p++ = r->map;
	*p++ = r->op;
	if (r->class == CLASS_EMMS)
		return (unsigned)(p - start);
	*p++ = (u8)((memory ? 0x80 : 0xc0) | (reg & 7) << 3 | (rm & 7));
	if (memory) {
		memcpy(p, &offset, 4);
		p += 4;
	}
	if (sse_has_imm(r))
		*p++ = (u8)((x >> 20) % 3 ? x >> 24 : x >> 24 & 15);
	return (unsigned)(p - start);
}

#endif
