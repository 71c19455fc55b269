/* SPDX-License-Identifier: MIT */
/*
 * tests/cpu_guest32.h - the guest of tests/cpu_guest.h in 32-bit protected mode
 */
#ifndef GMEM_TESTS_CPU_GUEST32_H
#define GMEM_TESTS_CPU_GUEST32_H

#include "tests/cpu_guest.h"

/* Run until a handler writes its vector; negative: another exit. */
static inline int handler(struct guest *g)
{
	struct cpu *c = g->cpu;
	enum cpu_exit why = cpu_run(c);

	if (why != CPU_EXIT_IO)
		return -1 - (int)why;
	c->pending = CPU_PENDING_NONE;
	return c->exit.io.data[0];
}

static inline void put32(struct guest *g, u64 gpa, u32 v)
{
	memcpy(g->mem + gpa, &v, 4);
}

enum { P_IDT = 0x9000, P_TSS = 0xa800, P_HANDLERS = 0xc800 };

static inline void gate32(struct guest *g, unsigned vector, u32 target, unsigned type, unsigned dpl)
{
	put64(g, P_IDT + 8 * vector,
	      (target & 0xffff) | S_CODE32 << 16 | (u64)(0x80 | dpl << 5 | type) << 40 | (u64)(target >> 16) << 48);
}

/* 32-bit flat code without paging; each handler writes its vector to port 0xe0. */
static inline void protected_mode(struct guest *g, unsigned cpl, const u8 *code, size_t n)
{
	struct cpu *c = g->cpu;
	const u16 rpl = (u16)cpl;

	guest_long(g, 0);
	memset(g->mem + P_IDT, 0, 0x800);
	for (unsigned v = 0; v < 256; v++) {
		const u8 handler_code[] = { 0x50, 0xb0, (u8)v, 0xe6, 0xe0, 0xf4 };

		memcpy(g->mem + P_HANDLERS + 8 * v, handler_code, sizeof(handler_code));
		gate32(g, v, P_HANDLERS + 8 * v, 14, v == 0x80 ? 3 : 0);
	}
	put32(g, P_TSS + 4, G_STACK0);
	put32(g, P_TSS + 8, S_DATA);
	c->cr0 = 0x33;
	c->cr4 = c->efer = 0;
	c->seg[CPU_CS] = guest_segment(cpl ? S_UCODE32 | rpl : S_CODE32, cpl, true, false);
	for (unsigned s = 0; s < 6; s++) {
		if (s != CPU_CS)
			c->seg[s] = guest_segment(cpl ? S_UDATA | rpl : S_DATA, cpl, false, false);
	}
	c->seg[CPU_TR] =
		(struct cpu_segment){ .selector = S_TSS, .base = P_TSS, .limit = 0x67, .type = 11, .present = 1 };
	c->idtr = (struct cpu_table){ P_IDT, 0x7ff };
	cpu_state_changed(c);
	memcpy(g->mem + G_CODE, code, n);
}
#define protected(g, cpl, name) protected_mode(g, cpl, name, (size_t)(name##_end - name))

#endif
