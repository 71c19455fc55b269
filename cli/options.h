/* SPDX-License-Identifier: MIT */
/*
 * cli/options.h - declarative command line options
 */
#ifndef GMEM_CLI_OPTIONS_H
#define GMEM_CLI_OPTIONS_H

#include <stddef.h>

enum option_kind {
	OPTION_END,  /* ends the table */
	OPTION_FLAG, /* --name: a bool */
	OPTION_TEXT  /* --name=TEXT or --name TEXT: a const char * */
};

struct option {
	enum option_kind kind;
	const char *name;
	size_t field;	  /* offset in the verb's structure of values */
	const char *text; /* name of the argument in help */
	const char *help; /* NULL: not shown */
};

struct usage {
	const char *name;	       /* of the verb */
	const char *summary;	       /* one line for `gmem help` */
	const char *synopsis;	       /* what follows the verb */
	const struct option *options;
	int error;		       /* exit status of a usage error */
};

/*
 * Parse options up to the first argument that is none, or beyond "--".  Returns
 * the index of the first argument left; or -1 when the verb is to exit with
 * *status: --help was answered on stdout, or an error told on stderr.
 */
int options_parse(const struct usage *usage, int argc, char **argv, void *values, int *status);
/* A usage error in words of the verb; returns its exit status. */
int options_error(const struct usage *usage, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void options_help(const struct usage *usage);

#endif
