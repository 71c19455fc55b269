/* SPDX-License-Identifier: MIT */
/*
 * check/order.h - which of several violated checks answers: every pair, and with every pair each third
 *
 * A table lists the violations of a call in the order of the checks.  Each pair is made
 * in a request that is right otherwise, and each third with it; the first check has to
 * answer.  An observation is a pair's answer, or the first one that a third changed.
 */
#ifndef GMEM_CHECK_ORDER_H
#define GMEM_CHECK_ORDER_H

#include "check/check.h"

struct violation {
	const char *name;
	void (*make)(void *request);
	int error;	 /* what it answers by itself */
	unsigned fields; /* what it sets: two that share a bit are not made together */
};

struct order {
	const struct violation *violations;
	size_t count;
	size_t size; /* of a request */
	void (*right)(void *request);
	long (*attempt)(void *request); /* the result or -errno; leaves things as they were */
	/* Where generations differ; NULL: the table's.  A lower rank is checked earlier. */
	int (*error)(const struct traits *k, const struct violation *v);
	unsigned (*rank)(const struct traits *k, const struct violation *v, unsigned position);
};

#define REQUEST_MAX 256

void check_order(const struct order *o);

/* Makers: NAME changes a request R of a type. */
#define VIOLATION(type, name, ...)                                                                                     \
	static void name(void *request)                                                                                \
	{                                                                                                              \
		type *r = request;                                                                                     \
		__VA_ARGS__;                                                                                           \
	}

#endif
