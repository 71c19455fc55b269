// SPDX-License-Identifier: MIT
/*
 * tests/harness_answers.c - what gmem check reads from the process that runs its cases: any lines
 *
 * That process is the kernel's or the emulation's to break, and what it prints to its output comes along.
 */
#include "cli/check.c"

#define HARNESS "answers"
#include "tests/harness.h"

void complain(const char *fmt, ...)
{
}

int finish_output(int status)
{
	return status;
}

bool colour_stdout(void)
{
	return false;
}

static void forget(struct verdict *v)
{
	for (unsigned i = 0; i < check_case_count; i++) {
		struct outcome *o = &v->outcomes[i];

		for (unsigned s = 0; s < o->count; s++) {
			for (unsigned c = 0; c < o->seen[s].call_count; c++)
				free(o->seen[s].calls[c]);
			free(o->seen[s].calls);
			free(o->seen[s].where);
			free(o->seen[s].label);
		}
		free(o->seen);
		free(o->trouble);
	}
	free(v->outcomes);
}

static void print(const struct verdict *v, unsigned column)
{
	static FILE *null;
	FILE *out = stdout;

	if (!null)
		null = fopen("/dev/null", "w");
	HOLDS(null);
	stdout = null;
	verdict_print_text(v, column, "kernel");
	verdict_print_text(v, column, "linux-7.4");
	verdict_print_tap(v, column);
	verdict_print_json(v, column, "kernel");
	verdict_print_junit(v, column);
	verdict_print_answers(v, "kernel");
	stdout = out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct verdict v = { .outcomes = calloc(check_case_count, sizeof(*v.outcomes)) };
	FILE *in = size ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	const unsigned column = size ? data[0] % TRAITS_COUNT : 0;

	HOLDS(v.outcomes);
	if (in) {
		read_lines(in, &v);
		fclose(in);
		judge(&v);
		HOLDS(v.known <= check_case_count && best_match(&v) < TRAITS_COUNT);
		HOLDS(v.deviations[best_match(&v)] <= v.deviations[column]);
		print(&v, column);
	}
	forget(&v);
	return 0;
}
