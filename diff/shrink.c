// SPDX-License-Identifier: MIT
/*
 * diff/shrink.c - delta debugging: leave out steps as long as the last one still differs
 */
#include "diff/diff.h"

#include <stdlib.h>
#include <string.h>

#define TRY_BATCH 256

/* The index of the first step on which new processes differ; count if none. */
static unsigned first_difference(struct diff_side *a, struct diff_side *b, const struct diff_step *steps, unsigned count)
{
	struct diff_result ra[TRY_BATCH], rb[TRY_BATCH];
	unsigned found = count;

	diff_side_stop(a);
	diff_side_stop(b);
	if (diff_side_start(a) < 0 || diff_side_start(b) < 0)
		return count;
	for (unsigned at = 0; at < count && found == count; at += TRY_BATCH) {
		unsigned n = count - at < TRY_BATCH ? count - at : TRY_BATCH;
		bool lost = diff_side_send(a, steps + at, n) < 0 || diff_side_send(b, steps + at, n) < 0 ||
			    diff_side_receive(a, ra, n) < 0 || diff_side_receive(b, rb, n) < 0;

		/* One of them died somewhere in this batch. */
		if (lost)
			return count - 1;
		for (unsigned i = 0; i < n && found == count; i++) {
			if (!diff_same(&ra[i], &rb[i]))
				found = at + i;
		}
	}
	return found;
}

unsigned diff_shrink(struct diff_side *a, struct diff_side *b, struct diff_step *steps, unsigned count)
{
	struct diff_step *fewer = malloc(count * sizeof(*fewer));
	unsigned found = first_difference(a, b, steps, count);

	/* What came before this sequence takes part in it. */
	if (!fewer || found == count) {
		free(fewer);
		return 0;
	}
	count = found + 1;
	for (unsigned chunk = count / 2 ? count / 2 : 1;; chunk = chunk / 2) {
		bool again = true;

		while (again) {
			again = false;
			for (unsigned at = 0; at + 1 < count;) {
				unsigned gone = at + chunk < count ? chunk : count - 1 - at, left = count - gone;

				memcpy(fewer, steps, at * sizeof(*fewer));
				memcpy(fewer + at, steps + at + gone, (count - at - gone) * sizeof(*fewer));
				found = left ? first_difference(a, b, fewer, left) : left;
				if (found < left) {
					memcpy(steps, fewer, (found + 1) * sizeof(*steps));
					count = found + 1;
					again = chunk == 1;
				} else {
					at += chunk;
				}
			}
		}
		if (chunk <= 1)
			break;
	}
	free(fewer);
	return count;
}
