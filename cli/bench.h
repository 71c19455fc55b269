/* SPDX-License-Identifier: MIT */
/*
 * cli/bench.h - gmem bench: a result, how it is measured, kept, compared and shown
 *
 * A ratio is the subject's figure to the one beside it, both of the same round: what
 * the machine or its load does to both cancels out.  Under 1 the subject is faster.
 */
#ifndef GMEM_CLI_BENCH_H
#define GMEM_CLI_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum bench_source {
#define BENCH_SOURCE(id, ...) BENCH_##id,
#include "cli/bench.def"
#undef BENCH_SOURCE
	BENCH_SOURCES
};

enum bench_case {
	BENCH_CASE_NONE,
#define BENCH_CASE(id, ...) BENCH_CASE_##id,
#include "cli/bench.def"
#undef BENCH_CASE
	BENCH_CASES
};

enum bench_section_id {
#define BENCH_SECTION(id, ...) BENCH_SECTION_##id,
#include "cli/bench.def"
#undef BENCH_SECTION
	BENCH_SECTIONS
};

enum bench_limit { BENCH_FREE, BENCH_RATIO, BENCH_UNDER };

struct bench_source_info {
	const char *name, *title, *words;
};

struct bench_case_info {
	const char *name, *program;
	bool slow;
};

struct bench_section {
	const char *words;
	enum bench_source beside;
	unsigned subjects; /* a bit for each source */
};

struct bench_row {
	enum bench_section_id section;
	const char *id, *words, *unit;
	enum bench_case of;
	const char *figure;
	enum bench_case beside_of;
	const char *beside_figure;
	enum bench_limit limit;
	double value;
};

extern const struct bench_source_info bench_sources[BENCH_SOURCES];
extern const struct bench_case_info bench_cases[BENCH_CASES];
extern const struct bench_section bench_sections[BENCH_SECTIONS];
extern const struct bench_row bench_rows[];
extern const unsigned bench_row_count;
#define BENCH_ROWS_MAX	 64
#define BENCH_ROUNDS_MAX 1000

/* Median and quartiles of samples; count is 0 where there is none. */
struct bench_spread {
	double median, low, high;
	unsigned count;
};

struct bench_cell {
	struct bench_spread value, ratio;
	char *missing; /* why there is no value; NULL: there is one, or it was not asked for */
};

struct bench_row_result {
	bool asked;
	struct bench_cell cell[BENCH_SOURCES];
};

struct bench_result {
	char *version, *kernel, *cpu, *date;
	double load; /* of the minute before */
	unsigned cpus, rounds;
	bool quick;
	struct bench_row_result row[BENCH_ROWS_MAX];
	char **unknown; /* ids of rows of a file that this version does not have, up to NULL */
};

/* Whether source is one that row has: a subject, or what stands beside them. */
bool bench_row_has(const struct bench_row *row, enum bench_source source);
/* Sorts the samples. */
struct bench_spread bench_spread_of(double *samples, unsigned count);
/* What must hold for a row's subject: 1 holds, 0 does not, -1 nothing must or it is not known. */
int bench_met(const struct bench_row *row, const struct bench_cell *cell);

struct bench_plan {
	bool asked[BENCH_ROWS_MAX];
	unsigned rounds;
	bool quick;
};
/* Measure what is asked for: 0, or -errno with a complaint. */
int bench_measure(const struct bench_plan *plan, struct bench_result *result);

/* Read what bench_print_json() wrote: 0, or -errno with a complaint. */
int bench_read(const char *path, struct bench_result *result);

enum bench_change { BENCH_SAME, BENCH_SLOWER, BENCH_FASTER, BENCH_GONE, BENCH_NEW, BENCH_ELSEWHERE };
struct bench_comparison {
	const char *name; /* of the earlier result */
	const struct bench_result *before;
	bool same_machine;
	enum bench_change change[BENCH_ROWS_MAX][BENCH_SOURCES];
	unsigned count[BENCH_ELSEWHERE + 1];
};
extern const char *const bench_change_words[BENCH_ELSEWHERE + 1];
void bench_compare(const struct bench_result *before, const struct bench_result *now, struct bench_comparison *ret);

/* comparison may be NULL. */
void bench_print_text(const struct bench_result *result, const struct bench_comparison *comparison);
void bench_print_json(const struct bench_result *result, const struct bench_comparison *comparison);
void bench_print_markdown(const struct bench_result *result);

#endif
