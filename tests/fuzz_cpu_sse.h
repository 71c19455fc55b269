/* SPDX-License-Identifier: MIT */
/*
 * tests/fuzz_cpu_sse.h - random MMX and SSE instructions, from the table of those there are
 */
#ifndef GMEM_TESTS_FUZZ_CPU_SSE_H
#define GMEM_TESTS_FUZZ_CPU_SSE_H

#include "cpu/avx.h"

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

/* ---- VEX ---- */

struct avx_row {
	const char *name;
	u8 class, pp, map, op, w, l, low, high, flags, feature;
};

enum { T_PP_NP, T_PP_66, T_PP_F3, T_PP_F2, T_MAP_0F = 1, T_MAP_38, T_MAP_3A };
#define AVX_ROW_(class, pp, map, op, w, l, low, high, flags, feature)                                                  \
	{ #pp " " #map " " #op " " #w, CLASS_##class, T_PP_##pp, T_MAP_##map, 0x##op, VEX_##w, VEX_##l, low, high, flags, \
	  FEATURE_##feature },
static const struct avx_row avx_rows[] = {
#define VEX(class, pp, map, op, w, l, low, high, flags, feature) AVX_ROW_(class, pp, map, op, w, l, low, high, flags, feature)
#define VEXI(class, pp, map, op, w, l, low, high, flags, feature, count)                                               \
	AVX_ROW_(class, pp, map, op, w, l, low, high, flags, feature)
#define VEXC(class, pp, map, op, w, l, low, high, flags, feature) AVX_ROW_(class, pp, map, op, w, l, low, high, flags, feature)
#include "cpu/avx.def"
};
enum { AVX_ROWS = RT_ARRAY_SIZE(avx_rows) };

static inline bool avx_uses_vvvv(const struct avx_row *r, bool memory)
{
	switch (r->class) {
	case CLASS_A3:
	case CLASS_A3I:
	case CLASS_A4:
	case CLASS_AI:
	case CLASS_AMOVL:
	case CLASS_AMOVH:
	case CLASS_APINSR:
	case CLASS_AMASKLOAD:
	case CLASS_AMASKSTORE:
	case CLASS_AGATHER:
	case CLASS_ASHIFT:
		return true;
	case CLASS_AMOVS:
	case CLASS_AMOVS_TO:
		return !memory;
	}
	return false;
}

/* As sse_encode(); a gather's indexes are of register *index, its address [RBX + index * scale + offset]. */
static inline unsigned avx_encode(u8 *p, const struct avx_row *r, bool memory, s32 offset, u64 (*random)(void), unsigned *index)
{
	static const u8 shifts[3][5] = { { 2, 4, 6, 2, 6 }, { 2, 4, 6, 4, 6 }, { 2, 6, 3, 7, 6 } };
	const u8 *const start = p;
	const u64 x = random();
	const bool gather = r->class == CLASS_AGATHER;
	unsigned reg = x & 15, rm = x >> 4 & 15, vvvv = x >> 8 & 15, l = x >> 12 & 1, w = x >> 13 & 1;

	*index = x >> 14 & 15;
	if (r->w != VEX_WIG)
		w = r->w;
	if (r->l == VEX_L0 || r->l == VEX_L1)
		l = r->l;
	if (r->class == CLASS_ASHIFT)
		reg = shifts[r->op - 0x71][(x >> 20) % 5];
	if (r->class == CLASS_AMXCSR)
		reg = 2 + (x & 1);
	if ((r->class == CLASS_AG || r->class == CLASS_APEXTRW) && reg == 4)
		reg = 5;
	if ((r->class == CLASS_AI || r->class == CLASS_AMOVD || r->class == CLASS_AMOVD_TO || r->class == CLASS_APINSR ||
	     r->class == CLASS_APEXTR) &&
	    rm == 4)
		rm = 5;
	if (memory)
		rm = gather ? 4 : 3;
	if (!avx_uses_vvvv(r, memory))
		vvvv = 0;
	*p++ = 0xc4;
	*p++ = (u8)((reg & 8 ? 0 : 0x80) | (gather && *index & 8 ? 0 : 0x40) | (rm & 8 ? 0 : 0x20) | r->map);
	*p++ = (u8)(w << 7 | (~vvvv & 15) << 3 | l << 2 | r->pp);
	*p++ = r->op;
	if (r->class == CLASS_AZERO)
		return (unsigned)(p - start);
	*p++ = (u8)((memory ? 0x80 : 0xc0) | (reg & 7) << 3 | (rm & 7));
	if (gather)
		*p++ = (u8)((x >> 18 & 3) << 6 | (*index & 7) << 3 | 3);
	if (memory) {
		memcpy(p, &offset, 4);
		p += 4;
	}
	if (r->map == T_MAP_3A || (r->map == T_MAP_0F && (r->op == 0xc2 || r->op == 0xc4 || r->op == 0xc5 || r->op == 0xc6 ||
							  (r->op >= 0x70 && r->op <= 0x73))))
		*p++ = (u8)((x >> 24) % 3 ? x >> 28 : x >> 28 & 15);
	return (unsigned)(p - start);
}

#endif
