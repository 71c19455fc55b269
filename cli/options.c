// SPDX-License-Identifier: MIT
/*
 * cli/options.c - declarative command line options
 */
#include "cli/options.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int options_error(const struct usage *usage, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "gmem %s: ", usage->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see gmem %s --help\n", usage->name);
	return usage->error;
}

void options_help(const struct usage *usage)
{
	printf("Usage: gmem %s %s\n%s.\n\n", usage->name, usage->synopsis, usage->summary);
	for (const struct option *o = usage->options; o->kind != OPTION_END; o++) {
		char left[64];

		if (!o->help)
			continue;
		if (o->kind == OPTION_TEXT)
			snprintf(left, sizeof(left), "--%s=%s", o->name, o->text);
		else
			snprintf(left, sizeof(left), "--%s", o->name);
		printf("  %-28s %s\n", left, o->help);
	}
	printf("  %-28s %s\n", "--help", "show this");
}

/* The option that word (without dashes, up to '=') names. */
static const struct option *find(const struct option *options, const char *word, size_t len)
{
	for (const struct option *o = options; o->kind != OPTION_END; o++) {
		if (strlen(o->name) == len && memcmp(o->name, word, len) == 0)
			return o;
	}
	return NULL;
}

int options_parse(const struct usage *usage, int argc, char **argv, void *values, int *status)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *word = argv[i] + 2, *value = strchr(argv[i], '=');
		const struct option *o;
		void *field;

		if (!strcmp(argv[i], "--"))
			return i + 1;
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			options_help(usage);
			*status = finish_output(0);
			return -1;
		}
		o = argv[i][1] == '-' ? find(usage->options, word, value ? (size_t)(value - word) : strlen(word)) : NULL;
		if (!o) {
			*status = options_error(usage, "unknown option %s", argv[i]);
			return -1;
		}
		field = (char *)values + o->field;
		if (o->kind == OPTION_FLAG) {
			if (value) {
				*status = options_error(usage, "option --%s takes no value", o->name);
				return -1;
			}
			*(bool *)field = true;
			continue;
		}
		if (!value && i + 1 == argc) {
			*status = options_error(usage, "option --%s needs a value (%s)", o->name, o->text);
			return -1;
		}
		*(const char **)field = value ? value + 1 : argv[++i];
	}
	return i;
}
