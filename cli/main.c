// SPDX-License-Identifier: MIT
/*
 * cli/main.c - gmem VERB: finds the verb
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct verb *const verbs[] = { &verb_run, &verb_caps, &verb_profiles, &verb_explain, &verb_doctor,
					     &verb_check, &verb_diff, &verb_bench };

#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

void complain(const char *fmt, ...)
{
	va_list ap;

	fputs("gmem: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int finish_output(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	complain("cannot write the output: %m");
	return EXIT_ANSWER_NO;
}

bool colour_stdout(void)
{
	const char *no_color = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color);
}

static void print_help(FILE *out)
{
	fputs("Usage: gmem VERB [OPTIONS] [ARGUMENTS]\n"
	      "KVM's guest_memfd in user space.\n\n",
	      out);
	for (size_t i = 0; i < NR_VERBS; i++)
		fprintf(out, "  %-10s %s\n", verbs[i]->usage.name, verbs[i]->usage.summary);
	fputs("  help       show this, or the help of a verb\n\n"
	      "gmem VERB --help tells the options of a verb; gmem --version the version.\n",
	      out);
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < NR_VERBS; i++) {
		if (!strcmp(verbs[i]->usage.name, name))
			return verbs[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct verb *verb;

	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("gmem " GMEM_VERSION);
		return finish_output(0);
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		verb = argc > 2 ? find_verb(argv[2]) : NULL;
		if (argc > 2 && !verb) {
			complain("there is no verb %s; see gmem help", argv[2]);
			return EXIT_USAGE;
		}
		if (verb)
			options_help(&verb->usage);
		else
			print_help(stdout);
		return finish_output(0);
	}
	verb = find_verb(argv[1]);
	if (!verb) {
		complain("there is no verb %s; see gmem help", argv[1]);
		return EXIT_USAGE;
	}
	return verb->main(verb, argc - 1, argv + 1);
}
