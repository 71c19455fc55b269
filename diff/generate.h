/* SPDX-License-Identifier: MIT */
/*
 * diff/generate.h - what the parts of the generator share
 */
#ifndef GMEM_DIFF_GENERATE_H
#define GMEM_DIFF_GENERATE_H

#include "diff/diff.h"

#define PAGE	     4096ULL
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(g, ...)                                                                                                   \
	({                                                                                                             \
		static const uint64_t pick_[] = { __VA_ARGS__ };                                                       \
		pick_[below(g, COUNT(pick_))];                                                                         \
	})

uint64_t below(struct diff_generator *g, uint64_t n);
bool one_in(struct diff_generator *g, uint64_t n);
/* Numbers at which something changes. */
uint64_t odd(struct diff_generator *g);
bool find_file(struct diff_generator *g, uint64_t *f);
uint64_t file_offset(struct diff_generator *g, uint64_t f);

/* The arguments of a step: one function for each line of diff/step.def. */
#define STEP(name, args, weight, call) void gen_##name(struct diff_generator *g, uint64_t *a);
#include "diff/step.def"
#undef STEP

#endif
