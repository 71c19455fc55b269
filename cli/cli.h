/* SPDX-License-Identifier: MIT */
/*
 * cli/cli.h - the verbs of the command, and what they share
 */
#ifndef GMEM_CLI_CLI_H
#define GMEM_CLI_CLI_H

#include <stdbool.h>

#include "cli/options.h"

#define GMEM_VERSION "0.1.0"

/* Exit statuses.  Those of `gmem run` are env(1)'s: everything below belongs to the program. */
enum {
	EXIT_ANSWER_NO = 1,  /* the question was understood, and the answer is no */
	EXIT_USAGE = 2,	     /* of all verbs but run */
	EXIT_GMEM = 125,     /* gmem run itself failed */
	EXIT_UNSERVED = 126, /* the program was found but cannot be served or executed */
	EXIT_NOT_FOUND = 127
};

struct verb {
	struct usage usage;
	/* argv[0] is the verb; the result is the exit status. */
	int (*main)(const struct verb *verb, int argc, char **argv);
};

extern const struct verb verb_run, verb_caps, verb_profiles, verb_explain, verb_doctor, verb_check, verb_diff,
	verb_bench;

/* "gmem: ..." and a newline on stderr. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Flush stdout: EXIT_ANSWER_NO with a complaint when it could not be written, else status. */
int finish_output(int status);
/* Whether output on stdout may be coloured: a terminal, and NO_COLOR is not set. */
bool colour_stdout(void);

#endif
