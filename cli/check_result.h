/* SPDX-License-Identifier: MIT */
/*
 * cli/check_result.h - what a run of gmem check saw, what it says of each generation, and its printing
 */
#ifndef GMEM_CLI_CHECK_RESULT_H
#define GMEM_CLI_CHECK_RESULT_H

#include "check/check.h"

struct observation {
	char *label;
	long long got, wanted[TRAITS_COUNT];
	char *where;  /* its place in the source; NULL where no generation differs */
	char **calls; /* that led to it, with what they returned */
	unsigned call_count;
};

struct outcome {
	bool known; /* the worker came to it */
	bool ran;
	char *trouble; /* it could not go on */
	struct observation *seen;
	unsigned count;
};

struct verdict {
	struct outcome *outcomes; /* one for each of check_cases */
	unsigned deviations[TRAITS_COUNT];
	unsigned observations, known;
};

/* How a case disagrees with a generation: in observations, or in whether it applies at all. */
unsigned verdict_deviations(const struct check_case *c, const struct outcome *o, unsigned column);

/* column is the generation that is compared with; against is "kernel" or a profile. */
void verdict_print_text(const struct verdict *v, unsigned column, const char *against);
void verdict_print_tap(const struct verdict *v, unsigned column);
void verdict_print_json(const struct verdict *v, unsigned column, const char *against);
void verdict_print_junit(const struct verdict *v, unsigned column);
/* What tests/golden keeps: no verdict, only what was answered, and what configuration was asked. */
void verdict_print_answers(const struct verdict *v, const char *against);
/* The cases that are named, or all. */
void verdict_print_list(char *const *cases);
/* "EINVAL", "SIGBUS code 2", "0x1000". */
const char *verdict_value(long long value, char *buf, size_t size);

#endif
