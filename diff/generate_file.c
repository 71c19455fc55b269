// SPDX-License-Identifier: MIT
/*
 * diff/generate_file.c - steps on files: creation, copies of descriptors, fallocate, conversion
 */
#include "diff/generate.h"

uint64_t file_offset(struct diff_generator *g, uint64_t f)
{
	uint64_t pages = g->file[f].used ? g->file[f].size / PAGE : 0;

	if (one_in(g, 12))
		return odd(g);
	return below(g, pages && pages < 40 ? pages + 1 : 12) * PAGE;
}

static uint64_t file_size(struct diff_generator *g)
{
	return one_in(g, 12) ? odd(g) : (1 + below(g, one_in(g, 4) ? 32 : 8)) * PAGE;
}

void gen_new_file(struct diff_generator *g, uint64_t *a)
{
	a[0] = below(g, COUNT(g->file));
	a[1] = below(g, DIFF_VMS);
	a[2] = file_size(g);
	a[3] = one_in(g, 10) ? odd(g) : PICK(g, 3, 3, 3, 3, 3, 1, 1, 0, 2);
	if (!g->file[a[0]].used && g->vm[a[1]].used && !(a[2] % PAGE) && (int64_t)a[2] > 0 && a[3] < 4) {
		g->file[a[0]].used = true;
		g->file[a[0]].size = a[2];
		g->file[a[0]].flags = a[3];
	}
}

void gen_close_file(struct diff_generator *g, uint64_t *a)
{
	if (!find_file(g, &a[0]))
		return;
	g->file[a[0]].used = false;
}

void gen_dup_file(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = below(g, COUNT(g->file));
	if (g->file[a[0]].used && !g->file[a[1]].used)
		g->file[a[1]] = g->file[a[0]];
}

void gen_pass_file(struct diff_generator *g, uint64_t *a)
{
	gen_dup_file(g, a);
	a[2] = one_in(g, 8);
}

void gen_allocate(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = one_in(g, 8) ? PICK(g, 0, 2, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 128, 129, 256, 7) : 1 + 2 * below(g, 2);
	if (g->guards && a[1] == 3)
		a[1] = 1;
	a[2] = file_offset(g, a[0]);
	a[3] = one_in(g, 8) ? odd(g) : (1 + below(g, 8)) * PAGE;
	/* A file is sparse, its pages are not: see the head of this file. */
	if (a[1] == 1 && a[3] > 64 * PAGE && (int64_t)a[3] > 0)
		a[3] = 64 * PAGE;
}

void gen_stat_file(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
}

void gen_file_call(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = below(g, 16);
}

void gen_odd_call(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = below(g, 32);
}

void gen_convert(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = file_offset(g, a[0]);
	a[2] = one_in(g, 12) ? odd(g) : (1 + below(g, 4)) * PAGE;
	a[3] = one_in(g, 16) ? odd(g) : 8 * below(g, 2);
	a[4] = one_in(g, 20) ? odd(g) : 0;
	a[5] = one_in(g, 20) ? below(g, 11) : 99;
}

static uint64_t page_offset(struct diff_generator *g, uint64_t f)
{
	return one_in(g, 12) ? odd(g) : file_offset(g, f) + PICK(g, 0, 0, 0, 1, 4095);
}

void gen_pin(struct diff_generator *g, uint64_t *a)
{
	/* What is held is let go of sooner or later: else nothing could be converted. */
	a[2] = one_in(g, 3);
	if (!a[2] && g->pin_count) {
		g->pin_count--;
		a[0] = g->pin[g->pin_count].file;
		a[1] = g->pin[g->pin_count].offset;
		return;
	}
	find_file(g, &a[0]);
	a[1] = page_offset(g, a[0]);
	if (!a[2] || g->pin_count == COUNT(g->pin))
		return;
	g->pin[g->pin_count].file = (unsigned)a[0];
	g->pin[g->pin_count++].offset = a[1];
}

void gen_strike(struct diff_generator *g, uint64_t *a)
{
	find_file(g, &a[0]);
	a[1] = page_offset(g, a[0]);
}
