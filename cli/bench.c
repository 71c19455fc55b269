// SPDX-License-Identifier: MIT
/*
 * cli/bench.c - gmem bench: what emulation costs, beside what there was before it
 *
 * cli/bench.def lists the rows; bench_run.c measures them by the programs of bench/.
 */
#include "cli/bench.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define ROUNDS	     5
#define ROUNDS_QUICK 1

struct bench_options {
	const char *against, *result, *rounds;
	bool json, markdown, quick, list;
};

#define FIELD(name) offsetof(struct bench_options, name)

static const struct option options[] = {
	{ OPTION_TEXT, "against", FIELD(against), "FILE", "name what got slower than in FILE (--json of an earlier run)" },
	{ OPTION_TEXT, "result", FIELD(result), "FILE", "measure nothing, take the result in FILE" },
	{ OPTION_TEXT, "rounds", FIELD(rounds), "N", "rounds to take medians of; default 5, with --quick 1" },
	{ OPTION_FLAG, "quick", FIELD(quick), NULL, "few and short samples, and no case that takes seconds" },
	{ OPTION_FLAG, "json", FIELD(json), NULL, "print JSON" },
	{ OPTION_FLAG, "markdown", FIELD(markdown), NULL, "print the tables as Markdown" },
	{ OPTION_FLAG, "list", FIELD(list), NULL, "list the rows" },
	{ .kind = OPTION_END }
};

/* Rows whose name is one of names, or begins with it and a dash; all where there is none. */
static int choose_rows(const struct verb *verb, char **names, bool asked[BENCH_ROWS_MAX])
{
	for (unsigned r = 0; r < bench_row_count; r++)
		asked[r] = !*names;
	for (; *names; names++) {
		size_t len = strlen(*names);
		bool known = false;

		for (unsigned r = 0; r < bench_row_count; r++) {
			const char *id = bench_rows[r].id;

			if (strncmp(id, *names, len) != 0 || (id[len] && id[len] != '-'))
				continue;
			known = asked[r] = true;
		}
		if (!known)
			return options_error(&verb->usage, "there is no row %s (--list)", *names);
	}
	return 0;
}

static int choose_rounds(const struct verb *verb, const struct bench_options *o, unsigned *ret)
{
	char *end;
	long rounds;

	*ret = o->quick ? ROUNDS_QUICK : ROUNDS;
	if (!o->rounds)
		return 0;
	rounds = strtol(o->rounds, &end, 10);
	if (!*o->rounds || *end || rounds < 1 || rounds > BENCH_ROUNDS_MAX)
		return options_error(&verb->usage, "--rounds takes a number from 1 to %d", BENCH_ROUNDS_MAX);
	*ret = (unsigned)rounds;
	return 0;
}

static void print_list(const bool asked[BENCH_ROWS_MAX])
{
	for (unsigned r = 0; r < bench_row_count; r++)
		if (asked[r])
			printf("%-28s %s\n", bench_rows[r].id, bench_rows[r].words);
}

static int bench(const struct verb *verb, int argc, char **argv)
{
	static struct bench_result before, result;
	static struct bench_comparison comparison;
	struct bench_options o = { 0 };
	struct bench_plan plan = { 0 };
	int status, first = options_parse(&verb->usage, argc, argv, &o, &status);

	if (first < 0)
		return status;
	if (o.json && o.markdown)
		return options_error(&verb->usage, "--json and --markdown exclude each other");
	if (o.markdown && o.against)
		return options_error(&verb->usage, "--markdown has no room for a comparison");
	if (o.result && (o.quick || o.rounds))
		return options_error(&verb->usage, "--result measures nothing: --quick and --rounds are for measuring");
	status = choose_rows(verb, argv + first, plan.asked);
	if (!status)
		status = choose_rounds(verb, &o, &plan.rounds);
	if (status)
		return status;
	if (o.list) {
		print_list(plan.asked);
		return finish_output(0);
	}
	plan.quick = o.quick;
	/* An earlier result that cannot be read is told before minutes are spent. */
	if (o.against && bench_read(o.against, &before))
		return EXIT_ANSWER_NO;
	if (o.result ? bench_read(o.result, &result) : bench_measure(&plan, &result))
		return EXIT_ANSWER_NO;
	for (unsigned r = 0; r < bench_row_count; r++)
		result.row[r].asked = result.row[r].asked && plan.asked[r];
	if (o.against) {
		comparison.name = o.against;
		bench_compare(&before, &result, &comparison);
	}
	if (o.json)
		bench_print_json(&result, o.against ? &comparison : NULL);
	else if (o.markdown)
		bench_print_markdown(&result);
	else
		bench_print_text(&result, o.against ? &comparison : NULL);
	return finish_output(comparison.count[BENCH_SLOWER] ? EXIT_ANSWER_NO : 0);
}

const struct verb verb_bench = {
	.usage = { .name = "bench",
		   .summary = "Measure what emulation costs, beside what it replaces",
		   .synopsis = "[OPTIONS] [ROW ...]",
		   .options = options,
		   .error = EXIT_USAGE },
	.main = bench,
};
