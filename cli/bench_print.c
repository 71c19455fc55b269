// SPDX-License-Identifier: MIT
/*
 * cli/bench_print.c - gmem bench: a result for people, in columns and as Markdown
 */
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

#define FIELD 32 /* a value, a ratio or a limit in words */

static const char ratio_words[] = "A ratio is to the figure in the first column, of the same round: under 1 gmem is faster. "
				  "± is half of what lies between the quartiles.";

/* --- numbers in words ------------------------------------------------------------------ */

/* Three digits, and none that a count does not have. */
static void digits(double v, char buf[FIELD])
{
	int decimals = v >= 99.95 || v == (double)(long)v ? 0 : v >= 9.995 ? 1 : 2;

	snprintf(buf, FIELD, "%.*f", decimals, v);
}

static void value_text(double v, const char *unit, char buf[FIELD])
{
	static const char *const times[] = { "ns", "µs", "ms", "s" };
	char number[FIELD];
	unsigned scale = 0;

	if (strcmp(unit, "ns") != 0) {
		digits(v, number);
		snprintf(buf, FIELD, "%.16s %.14s", number, unit);
		return;
	}
	for (; v >= 999.5 && scale < 3; scale++)
		v /= 1000;
	digits(v, number);
	snprintf(buf, FIELD, "%.16s %s", number, times[scale]);
}

/* Under a tenth it is "1/47": how many times as fast. Beside 1 a digit more tells on which side it lies. */
static void ratio_text(double r, char buf[FIELD])
{
	if (r == 1)
		snprintf(buf, FIELD, "1");
	else if (r > 0.99 && r < 1.01)
		snprintf(buf, FIELD, "%.4f", r);
	else if (r <= 0 || r >= 0.0995)
		snprintf(buf, FIELD, r < 9.995 ? "%.2f" : "%.0f", r);
	else
		snprintf(buf, FIELD, "1/%.0f", 1 / r);
}

static void limit_text(const struct bench_row *row, char buf[FIELD])
{
	char what[FIELD];

	buf[0] = '\0';
	if (row->limit == BENCH_RATIO) {
		ratio_text(row->value, what);
		snprintf(buf, FIELD, "at most %.16s", what);
	} else if (row->limit == BENCH_UNDER) {
		value_text(row->value, row->unit, what);
		snprintf(buf, FIELD, "under %.24s", what);
	}
}

/* Half of what lies between the quartiles, in per cent of the median. */
static void spread_text(const struct bench_spread *s, char buf[FIELD])
{
	buf[0] = '\0';
	if (s->median > 0 && s->count > 1)
		snprintf(buf, FIELD, "±%.0f%%", (s->high - s->low) / 2 / s->median * 100);
}

static void cell_text(const struct bench_cell *cell, const char *unit, char buf[2 * FIELD])
{
	char value[FIELD], spread[FIELD];

	if (!cell->value.count) {
		snprintf(buf, 2 * FIELD, "%s", "-");
		return;
	}
	value_text(cell->value.median, unit, value);
	spread_text(&cell->value, spread);
	snprintf(buf, 2 * FIELD, "%s%s%s", value, *spread ? " " : "", spread);
}

static bool is_subject(const struct bench_row *row, unsigned source)
{
	return bench_sections[row->section].subjects & 1U << source;
}

/* "met", "missed: dp eg", or nothing. */
static void verdict_text(const struct bench_row *row, const struct bench_row_result *r, char buf[2 * FIELD])
{
	bool known = false, missed = false;
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned s = 0; s < BENCH_SOURCES; s++) {
		int met = is_subject(row, s) ? bench_met(row, &r->cell[s]) : -1;

		known = known || met >= 0;
		if (met == 0) {
			len += (size_t)snprintf(buf + len, 2 * FIELD - len, "%s%s", missed ? " " : "missed: ", bench_sources[s].name);
			missed = true;
		}
	}
	if (known && !missed)
		snprintf(buf, 2 * FIELD, "met");
}

/* --- columns ---------------------------------------------------------------------------- */

/* Bytes are not columns: the signs of micro and of plus-minus have two. */
static void pad(const char *text, int width, bool right)
{
	for (const char *c = text; *c; c++)
		width -= ((unsigned char)*c & 0xc0) != 0x80;
	if (right)
		printf("%*s%s", width > 0 ? width : 0, "", text);
	else
		printf("%s%*s", text, width > 0 ? width : 0, "");
}

static bool section_asked(const struct bench_result *result, unsigned section)
{
	for (unsigned r = 0; r < bench_row_count; r++)
		if (bench_rows[r].section == section && result->row[r].asked)
			return true;
	return false;
}

/* Sources of a section in their order: what stands beside first. */
static unsigned columns_of(unsigned section, unsigned columns[BENCH_SOURCES])
{
	unsigned n = 0;

	columns[n++] = bench_sections[section].beside;
	for (unsigned s = 0; s < BENCH_SOURCES; s++)
		if (bench_sections[section].subjects & 1U << s)
			columns[n++] = s;
	return n;
}

static void print_row(const struct bench_row *row, const struct bench_row_result *r)
{
	unsigned columns[BENCH_SOURCES], n = columns_of(row->section, columns);
	char text[2 * FIELD];

	pad(row->words, 54, false);
	for (unsigned i = 0; i < n; i++) {
		const struct bench_cell *cell = &r->cell[columns[i]];

		if (bench_row_has(row, (enum bench_source)columns[i]))
			cell_text(cell, row->unit, text);
		else
			text[0] = '\0';
		pad(text, 18, true);
		if (!is_subject(row, columns[i]))
			continue;
		text[0] = '\0';
		if (cell->ratio.count)
			ratio_text(cell->ratio.median, text);
		pad(text, 8, true);
	}
	limit_text(row, text);
	printf("  ");
	pad(text, 17, false);
	verdict_text(row, r, text);
	printf(" %s\n", text);
}

/* Reasons why figures are missing: each once, with the rows that it keeps from being known. */
static void print_missing(const struct bench_result *result, const char *prefix)
{
	bool told[BENCH_ROWS_MAX][BENCH_SOURCES] = { 0 };

	for (unsigned r = 0; r < bench_row_count; r++) {
		for (unsigned s = 0; s < BENCH_SOURCES; s++) {
			const char *reason = result->row[r].cell[s].missing;

			if (!reason || told[r][s])
				continue;
			printf("%sno figure from %s: %s (", prefix, bench_sources[s].words, reason);
			for (unsigned other = r; other < bench_row_count; other++) {
				const char *same = result->row[other].cell[s].missing;

				if (!same || strcmp(same, reason) != 0)
					continue;
				printf("%s%s", other == r ? "" : ", ", bench_rows[other].id);
				told[other][s] = true;
			}
			printf(")\n");
		}
	}
}

static void print_change(const struct bench_comparison *c, const struct bench_result *result, unsigned r, unsigned s)
{
	const struct bench_cell *was = &c->before->row[r].cell[s], *is = &result->row[r].cell[s];
	char before[2 * FIELD] = "-", now[2 * FIELD] = "-";

	cell_text(was, bench_rows[r].unit, before);
	cell_text(is, bench_rows[r].unit, now);
	printf("%s: %s on %s: %s, before %s", bench_change_words[c->change[r][s]], bench_rows[r].id, bench_sources[s].name, now,
	       before);
	if (was->ratio.count && is->ratio.count) {
		ratio_text(is->ratio.median, now);
		ratio_text(was->ratio.median, before);
		printf("; ratio %s, before %s", now, before);
	}
	printf("\n");
}

static void print_comparison(const struct bench_result *result, const struct bench_comparison *c)
{
	static const enum bench_change order[] = { BENCH_SLOWER, BENCH_FASTER, BENCH_NEW, BENCH_GONE, BENCH_ELSEWHERE };
	char *const *unknown = c->before->unknown;

	printf("\nagainst %s, %s%s\n", c->name, c->before->date ? c->before->date : "without a date",
	       c->same_machine ? "" : ", of another machine or kernel: ratios alone are compared");
	for (unsigned i = 0; i < sizeof(order) / sizeof(*order); i++)
		for (unsigned r = 0; r < bench_row_count; r++)
			for (unsigned s = 0; s < BENCH_SOURCES; s++)
				if (c->change[r][s] == order[i])
					print_change(c, result, r, s);
	for (; unknown && *unknown; unknown++)
		printf("%s: %s\n", bench_change_words[BENCH_GONE], *unknown);
	printf("%u slower, %u faster beyond the spread\n", c->count[BENCH_SLOWER], c->count[BENCH_FASTER]);
}

static void print_machine(const struct bench_result *result)
{
	printf("Linux %s, %s, %u CPUs, load %.1f; %s; gmem %s, medians of %u round%s%s\n", result->kernel ? result->kernel : "?",
	       result->cpu ? result->cpu : "?", result->cpus, result->load, result->date ? result->date : "?",
	       result->version ? result->version : "?", result->rounds, result->rounds == 1 ? "" : "s",
	       result->quick ? ", hurried (--quick)" : "");
	if (result->load > result->cpus / 2.0)
		printf("The machine was busy: what a measured thread waited for a processor is taken off, but caches were shared.\n");
}

void bench_print_text(const struct bench_result *result, const struct bench_comparison *comparison)
{
	unsigned columns[BENCH_SOURCES];

	print_machine(result);
	printf("%s\n", ratio_words);
	for (unsigned section = 0; section < BENCH_SECTIONS; section++) {
		unsigned n = columns_of(section, columns);

		if (!section_asked(result, section))
			continue;
		printf("\n");
		pad(bench_sections[section].words, 54, false);
		for (unsigned i = 0; i < n; i++)
			printf("%18s%s", bench_sources[columns[i]].name, i ? "   ratio" : "");
		printf("  target\n");
		for (unsigned r = 0; r < bench_row_count; r++)
			if (bench_rows[r].section == section && result->row[r].asked)
				print_row(&bench_rows[r], &result->row[r]);
	}
	printf("\n");
	print_missing(result, "");
	if (comparison)
		print_comparison(result, comparison);
}

/* --- Markdown ---------------------------------------------------------------------------- */

/* A cell of a subject: its value and, in brackets, its ratio. */
static void markdown_cell(const struct bench_row *row, const struct bench_row_result *r, unsigned source)
{
	const struct bench_cell *cell = &r->cell[source];
	char text[2 * FIELD], ratio[FIELD];
	int met = is_subject(row, source) ? bench_met(row, cell) : -1;

	if (!bench_row_has(row, (enum bench_source)source)) {
		printf(" |");
		return;
	}
	cell_text(cell, row->unit, text);
	printf(" %s", text);
	if (cell->ratio.count) {
		ratio_text(cell->ratio.median, ratio);
		printf(" (%s)", ratio);
	}
	printf("%s |", met == 0 ? " **missed**" : "");
}

void bench_print_markdown(const struct bench_result *result)
{
	unsigned columns[BENCH_SOURCES];
	char limit[FIELD];

	print_machine(result);
	printf("\n%s\n", ratio_words);
	for (unsigned section = 0; section < BENCH_SECTIONS; section++) {
		unsigned n = columns_of(section, columns);

		if (!section_asked(result, section))
			continue;
		printf("\n| %s |", bench_sections[section].words);
		for (unsigned i = 0; i < n; i++)
			printf(" %s |", bench_sources[columns[i]].title);
		printf(" target |\n|---|");
		for (unsigned i = 0; i < n; i++)
			printf("---|");
		printf("---|\n");
		for (unsigned r = 0; r < bench_row_count; r++) {
			if (bench_rows[r].section != section || !result->row[r].asked)
				continue;
			printf("| %s |", bench_rows[r].words);
			for (unsigned i = 0; i < n; i++)
				markdown_cell(&bench_rows[r], &result->row[r], columns[i]);
			limit_text(&bench_rows[r], limit);
			printf(" %s |\n", limit);
		}
	}
	printf("\n");
	print_missing(result, "- ");
}
