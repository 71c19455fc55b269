// SPDX-License-Identifier: MIT
/*
 * cli/bench_result.c - the tables of gmem bench, medians and spreads, comparison of two results
 */
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

/* Two medians that are nearer than this are alike, however narrow their spreads. */
#define ALIKE 0.05

const struct bench_source_info bench_sources[BENCH_SOURCES] = {
#define BENCH_SOURCE(id, name, title, words) [BENCH_##id] = { name, title, words },
#include "cli/bench.def"
#undef BENCH_SOURCE
};

const struct bench_case_info bench_cases[BENCH_CASES] = {
#define BENCH_CASE(id, name, program, slow) [BENCH_CASE_##id] = { name, program, slow },
#include "cli/bench.def"
#undef BENCH_CASE
};

const struct bench_section bench_sections[BENCH_SECTIONS] = {
#define BENCH_SECTION(id, words, beside, subjects) [BENCH_SECTION_##id] = { words, BENCH_##beside, subjects },
#include "cli/bench.def"
#undef BENCH_SECTION
};

const struct bench_row bench_rows[] = {
#define BENCH_ROW(section_, id_, words_, unit_, of_, figure_, beside_of_, beside_figure_, limit_, value_)              \
	{ .section = BENCH_SECTION_##section_,                                                                         \
	  .id = id_,                                                                                                   \
	  .words = words_,                                                                                             \
	  .unit = unit_,                                                                                               \
	  .of = BENCH_CASE_##of_,                                                                                      \
	  .figure = figure_,                                                                                           \
	  .beside_of = BENCH_CASE_##beside_of_,                                                                        \
	  .beside_figure = beside_figure_,                                                                             \
	  .limit = BENCH_##limit_,                                                                                     \
	  .value = value_ },
#include "cli/bench.def"
#undef BENCH_ROW
};
const unsigned bench_row_count = sizeof(bench_rows) / sizeof(*bench_rows);
_Static_assert(sizeof(bench_rows) / sizeof(*bench_rows) <= BENCH_ROWS_MAX, "a result has no room for the rows");

const char *const bench_change_words[] = {
	[BENCH_SAME] = "as before",
	[BENCH_SLOWER] = "slower",
	[BENCH_FASTER] = "faster",
	[BENCH_GONE] = "no longer measured",
	[BENCH_NEW] = "new",
	[BENCH_ELSEWHERE] = "of another machine, with nothing beside it",
};

bool bench_row_has(const struct bench_row *row, enum bench_source source)
{
	const struct bench_section *section = &bench_sections[row->section];

	if (section->subjects & 1U << source)
		return true;
	return row->beside_of && section->beside == source;
}

static int compare_samples(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Between two samples where none lies at that part of them. */
static double quantile(const double *sorted, unsigned count, double part)
{
	double at = part * (count - 1);
	unsigned below = (unsigned)at;
	double rest = at - below;

	return below + 1 < count ? sorted[below] * (1 - rest) + sorted[below + 1] * rest : sorted[below];
}

struct bench_spread bench_spread_of(double *samples, unsigned count)
{
	struct bench_spread s = { .count = count };

	if (!count)
		return s;
	qsort(samples, count, sizeof(*samples), compare_samples);
	s.median = quantile(samples, count, 0.5);
	s.low = quantile(samples, count, 0.25);
	s.high = quantile(samples, count, 0.75);
	return s;
}

int bench_met(const struct bench_row *row, const struct bench_cell *cell)
{
	if (row->limit == BENCH_RATIO && cell->ratio.count)
		return cell->ratio.median <= row->value;
	if (row->limit == BENCH_UNDER && cell->value.count)
		return cell->value.median < row->value;
	return -1;
}

/* 1 when now is beyond before, -1 when it is below: their spreads do not touch. */
static int moved(const struct bench_spread *before, const struct bench_spread *now)
{
	if (now->low > before->high && now->median > before->median * (1 + ALIKE))
		return 1;
	if (now->high < before->low && now->median < before->median * (1 - ALIKE))
		return -1;
	return 0;
}

/*
 * On the same machine the figure itself has to have moved, and its ratio with it: a
 * load slows down both sides and leaves the ratio, a new pair changes the ratio alone.
 * Elsewhere the ratio is all that can be compared.
 */
static enum bench_change change_of(const struct bench_cell *before, const struct bench_cell *now, bool same_machine)
{
	bool ratios = before->ratio.count && now->ratio.count;
	int by_ratio = ratios ? moved(&before->ratio, &now->ratio) : 0;
	int by_value = same_machine ? moved(&before->value, &now->value) : by_ratio;

	if (!same_machine && !ratios)
		return BENCH_ELSEWHERE;
	if (!by_value || (ratios && by_value != by_ratio))
		return BENCH_SAME;
	return by_value > 0 ? BENCH_SLOWER : BENCH_FASTER;
}

static bool same_text(const char *a, const char *b)
{
	return a && b && !strcmp(a, b);
}

void bench_compare(const struct bench_result *before, const struct bench_result *now, struct bench_comparison *ret)
{
	ret->before = before;
	ret->same_machine = same_text(before->cpu, now->cpu) && same_text(before->kernel, now->kernel) &&
			    before->cpus == now->cpus;
	for (unsigned r = 0; r < bench_row_count; r++) {
		for (unsigned s = 0; s < BENCH_SOURCES; s++) {
			const struct bench_cell *was = &before->row[r].cell[s], *is = &now->row[r].cell[s];
			bool subject = bench_sections[bench_rows[r].section].subjects & 1U << s;
			enum bench_change change = BENCH_SAME;

			if (!subject || !now->row[r].asked || (!was->value.count && !is->value.count))
				continue;
			if (!is->value.count)
				change = BENCH_GONE;
			else if (!was->value.count)
				change = BENCH_NEW;
			else
				change = change_of(was, is, ret->same_machine);
			ret->change[r][s] = change;
			ret->count[change]++;
		}
	}
}
