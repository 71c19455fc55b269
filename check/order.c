// SPDX-License-Identifier: MIT
/*
 * check/order.c - which of several violated checks answers
 */
#include "check/order.h"

static bool together(const struct violation *a, const struct violation *b)
{
	return !(a->fields & b->fields);
}

/* What adds to a field comes after what sets it, and tables have it before. */
static long attempt(const struct order *o, const unsigned *which, unsigned count)
{
	char request[REQUEST_MAX] __attribute__((aligned(8)));

	o->right(request);
	while (count--)
		o->violations[which[count]].make(request);
	return o->attempt(request);
}

static long answer_of(const struct order *o, const struct traits *k, unsigned i)
{
	return -(o->error ? o->error(k, &o->violations[i]) : o->violations[i].error);
}

/* The answer of a generation to two violations, i before j in the table. */
static long wanted(const struct order *o, const struct traits *k, unsigned i, unsigned j)
{
	bool swapped = o->rank && o->rank(k, &o->violations[j], j) < o->rank(k, &o->violations[i], i);

	return answer_of(o, k, swapped ? j : i);
}

void check_order(const struct order *o)
{
	for (unsigned i = 0; i < o->count; i++) {
		SEE(attempt(o, &i, 1), answer_of(o, k, i), "%s", o->violations[i].name);
		for (unsigned j = i + 1; j < o->count; j++) {
			unsigned which[3] = { i, j };
			long pair, answer;

			if (!together(&o->violations[i], &o->violations[j]))
				continue;
			answer = pair = attempt(o, which, 2);
			for (which[2] = j + 1; answer == pair && which[2] < o->count; which[2]++)
				if (together(&o->violations[i], &o->violations[which[2]]) &&
				    together(&o->violations[j], &o->violations[which[2]]))
					answer = attempt(o, which, 3);
			SEE(answer, wanted(o, k, i, j), "%s and %s", o->violations[i].name, o->violations[j].name);
		}
	}
}
