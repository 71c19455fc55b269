// SPDX-License-Identifier: MIT
/*
 * cli/bench_file.c - gmem bench: a result as JSON, written and read again
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/json_read.h"

#define FILE_SIZE_MAX (4U << 20)
#define COUNT_MAX	 1e9 /* of samples and the like, in a file */

/* --- writing ------------------------------------------------------------------------- */

static void write_spread(struct json *json, const struct bench_spread *s)
{
	json_real(json, "median", s->median);
	json_real(json, "low", s->low);
	json_real(json, "high", s->high);
	json_number(json, "samples", s->count);
}

static void write_cell(struct json *json, const struct bench_row *row, enum bench_source source, const struct bench_cell *c)
{
	bool subject = bench_sections[row->section].subjects & 1U << source;

	json_open(json, NULL, '{');
	json_text(json, "source", bench_sources[source].name);
	json_bool(json, "beside", !subject);
	if (c->missing)
		json_text(json, "missing", c->missing);
	if (c->value.count)
		write_spread(json, &c->value);
	if (c->ratio.count) {
		json_open(json, "ratio", '{');
		write_spread(json, &c->ratio);
		json_close(json, '}');
	}
	if (subject && bench_met(row, c) >= 0)
		json_bool(json, "met", bench_met(row, c));
	json_close(json, '}');
}

static void write_row(struct json *json, const struct bench_row *row, const struct bench_row_result *r)
{
	json_open(json, NULL, '{');
	json_text(json, "id", row->id);
	json_text(json, "words", row->words);
	json_text(json, "section", bench_sections[row->section].words);
	json_text(json, "unit", row->unit);
	if (row->limit != BENCH_FREE)
		json_real(json, row->limit == BENCH_RATIO ? "ratio_at_most" : "under", row->value);
	json_open(json, "figures", '[');
	for (unsigned s = 0; s < BENCH_SOURCES; s++)
		if (bench_row_has(row, (enum bench_source)s))
			write_cell(json, row, (enum bench_source)s, &r->cell[s]);
	json_close(json, ']');
	json_close(json, '}');
}

static void write_comparison(struct json *json, const struct bench_comparison *c)
{
	json_open(json, "comparison", '{');
	json_text(json, "against", c->name);
	json_text(json, "against_date", c->before->date);
	json_bool(json, "same_machine", c->same_machine);
	json_number(json, "slower", c->count[BENCH_SLOWER]);
	json_open(json, "changes", '[');
	for (unsigned r = 0; r < bench_row_count; r++) {
		for (unsigned s = 0; s < BENCH_SOURCES; s++) {
			if (c->change[r][s] == BENCH_SAME)
				continue;
			json_open(json, NULL, '{');
			json_text(json, "id", bench_rows[r].id);
			json_text(json, "source", bench_sources[s].name);
			json_text(json, "change", bench_change_words[c->change[r][s]]);
			json_close(json, '}');
		}
	}
	json_close(json, ']');
	json_close(json, '}');
}

void bench_print_json(const struct bench_result *result, const struct bench_comparison *comparison)
{
	struct json json = { 0 };

	json_open(&json, NULL, '{');
	json_text(&json, "gmem", result->version);
	json_text(&json, "kernel", result->kernel);
	json_text(&json, "cpu", result->cpu);
	json_number(&json, "cpus", result->cpus);
	json_text(&json, "date", result->date);
	json_real(&json, "load", result->load);
	json_number(&json, "rounds", result->rounds);
	json_bool(&json, "quick", result->quick);
	json_open(&json, "rows", '[');
	for (unsigned r = 0; r < bench_row_count; r++)
		if (result->row[r].asked)
			write_row(&json, &bench_rows[r], &result->row[r]);
	json_close(&json, ']');
	if (comparison)
		write_comparison(&json, comparison);
	json_close(&json, '}');
}

/* --- reading ------------------------------------------------------------------------- */

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* What is no number of anything is none. */
static unsigned read_count(const struct json_value *from, const char *key)
{
	double value = json_member_number(from, key);

	return value >= 0 && value <= COUNT_MAX ? (unsigned)value : 0;
}

static struct bench_spread read_spread(const struct json_value *from)
{
	return (struct bench_spread){ .median = json_member_number(from, "median"),
				      .low = json_member_number(from, "low"),
				      .high = json_member_number(from, "high"),
				      .count = read_count(from, "samples") };
}

static void read_row(const struct json_value *from, struct bench_row_result *to)
{
	const struct json_value *figures = json_member(from, "figures", JSON_ARRAY);

	to->asked = true;
	for (const struct json_value *f = figures ? figures->first : NULL; f; f = f->next) {
		const char *source = json_member_text(f, "source");

		for (unsigned s = 0; source && s < BENCH_SOURCES; s++) {
			if (strcmp(source, bench_sources[s].name) != 0)
				continue;
			to->cell[s].value = read_spread(f);
			to->cell[s].ratio = read_spread(json_member(f, "ratio", JSON_OBJECT));
			to->cell[s].missing = copy(json_member_text(f, "missing"));
		}
	}
}

static int read_rows(const struct json_value *rows, struct bench_result *result)
{
	unsigned unknown = 0;

	for (const struct json_value *v = rows->first; v; v = v->next) {
		const char *id = json_member_text(v, "id");
		unsigned r = 0;

		if (!id)
			continue;
		while (r < bench_row_count && strcmp(bench_rows[r].id, id) != 0)
			r++;
		if (r < bench_row_count) {
			read_row(v, &result->row[r]);
			continue;
		}
		result->unknown = realloc(result->unknown, (unknown + 2) * sizeof(*result->unknown));
		if (!result->unknown)
			return -ENOMEM;
		result->unknown[unknown++] = strdup(id);
		result->unknown[unknown] = NULL;
	}
	return 0;
}

static char *read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = f ? calloc(1, FILE_SIZE_MAX + 1) : NULL;

	if (text)
		fread(text, 1, FILE_SIZE_MAX, f);
	if (!text || ferror(f)) {
		complain("%s: %m", path);
		free(text);
		text = NULL;
	}
	if (f)
		fclose(f);
	return text;
}

int bench_read(const char *path, struct bench_result *result)
{
	char *text = read_text(path);
	struct json_value *value;
	const struct json_value *rows;
	int ret;

	if (!text)
		return -EIO;
	value = json_parse(text);
	free(text);
	rows = json_member(value, "rows", JSON_ARRAY);
	if (!rows) {
		complain("%s is no result of gmem bench --json", path);
		json_free(value);
		return -EINVAL;
	}
	result->version = copy(json_member_text(value, "gmem"));
	result->kernel = copy(json_member_text(value, "kernel"));
	result->cpu = copy(json_member_text(value, "cpu"));
	result->date = copy(json_member_text(value, "date"));
	result->load = json_member_number(value, "load");
	result->cpus = read_count(value, "cpus");
	result->rounds = read_count(value, "rounds");
	result->quick = json_member(value, "quick", JSON_BOOL) && json_member(value, "quick", JSON_BOOL)->number != 0;
	ret = read_rows(rows, result);
	json_free(value);
	return ret;
}
