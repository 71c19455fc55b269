// SPDX-License-Identifier: MIT
/*
 * tests/harness_options.c - command lines: words, each ended by a newline, the first of them the verb
 *
 * Of every verb the options are read; those that only print what the tables say do all that they do.
 */
int gmem_main(int argc, char **argv);
#define main gmem_main
#include "cli/main.c"
#undef main

#define HARNESS "options"
#include "tests/harness.h"

#define WORDS	   32
#define LINE	   512
#define NOT_SET	   (-12345)
#define VALUES	   1024
#define VALUE_SIZE sizeof(void *)

/* Every text is one of the words, or the end of one. */
static void check_values(const struct usage *usage, const char *values, const char *text, size_t size)
{
	for (const struct option *o = usage->options; o->kind != OPTION_END; o++) {
		const char *value;

		HOLDS(o->field + VALUE_SIZE <= VALUES);
		if (o->kind == OPTION_FLAG) {
			HOLDS(!(values[o->field] & ~1));
			continue;
		}
		memcpy(&value, values + o->field, sizeof(value));
		HOLDS(!value || (value >= text && value <= text + size));
	}
}

static void parse(const struct verb *verb, int argc, char **argv, const char *text, size_t size)
{
	static char values[VALUES];
	int status = NOT_SET, first;

	memset(values, 0, sizeof(values));
	first = options_parse(&verb->usage, argc, argv, values, &status);
	HOLDS(first < 0 ? first == -1 && (status == 0 || status == verb->usage.error) : first >= 1 && first <= argc);
	HOLDS(first < 0 || status == NOT_SET);
	check_values(&verb->usage, values, text, size);
}

/* Not those that start programs, open /dev/kvm or measure. */
static bool only_prints(const struct verb *verb)
{
	return !verb || verb == &verb_explain || verb == &verb_profiles;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *null;
	FILE *out = stdout, *err = stderr;
	char text[LINE + 1], name[] = "gmem", *argv[WORDS + 2] = { name };
	const struct verb *verb;
	int argc = 1;

	if (size > LINE || memchr(data, 0, size))
		return 0;
	if (!null)
		null = fopen("/dev/null", "w");
	HOLDS(null);
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *at = text, *end; argc <= WORDS && (end = strchr(at, '\n')); at = end + 1) {
		*end = '\0';
		argv[argc++] = at;
	}
	verb = argc > 1 ? find_verb(argv[1]) : NULL;
	stdout = stderr = null;
	if (verb)
		parse(verb, argc - 1, argv + 1, text, size);
	if (only_prints(verb)) {
		int status = gmem_main(argc, argv);

		HOLDS(status == 0 || status == EXIT_ANSWER_NO || status == EXIT_USAGE);
	}
	stdout = out;
	stderr = err;
	return 0;
}
