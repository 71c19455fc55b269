// SPDX-License-Identifier: MIT
/*
 * cli/check_print.c - the results of gmem check: for people, as TAP, JSON, JUnit's XML, and as bare answers
 *
 * A deviation says what a developer of the kernel needs to act: the call with its
 * arguments, what it answered, what the generation answers, the case's place in the
 * source, and the rule with the function that tests it.
 */
#include <sys/utsname.h>

#include "cli/check_result.h"
#include "cli/json.h"
#include "cli/kernel.h"
#include "cli/words.h"
#include "core/rule.h"

#define SHOWN	     12 /* deviations of a case in a report for people */
#define RULES_IN_FULL 3
#define SLUG_MAX      64

const char *verdict_value(long long value, char *buf, size_t size)
{
	char name[WORDS_MAX];

	if (value == WRONG_ADDRESS)
		snprintf(buf, size, "a signal with another address");
	else if (value <= EXIT(0) && value > EXIT(100))
		snprintf(buf, size, "KVM exit %lld", EXIT(0) - value);
	else if (value < -4096 || value >= 0)
		snprintf(buf, size, value < 10 && value >= 0 ? "%lld" : "%#llx", value);
	else if (value <= -3000)
		snprintf(buf, size, "SIGSEGV code %lld", -3000 - value);
	else if (value <= -2000)
		snprintf(buf, size, "SIGBUS code %lld", -2000 - value);
	else
		snprintf(buf, size, "%s", words_errno((int)-value, name));
	return buf;
}

static const char *value_text(long long value, char buf[WORDS_MAX])
{
	return verdict_value(value, buf, WORDS_MAX);
}

static void column_name(unsigned column, char buf[WORDS_MAX])
{
	const struct traits *k = &traits[column];

	snprintf(buf, WORDS_MAX, "%s%s%s", k->name, k->setting ? " with " : "", k->setting ? k->setting : "");
}

unsigned verdict_deviations(const struct check_case *c, const struct outcome *o, unsigned column)
{
	bool holds = check_holds(&traits[column], c->needs);
	unsigned count = 0;

	if (!o->known)
		return 0;
	if (o->ran != holds || o->trouble)
		return 1;
	for (unsigned i = 0; i < o->count; i++)
		count += o->seen[i].got != o->seen[i].wanted[column];
	return count;
}

/* What is wrong about a case that did not run as the generation would have; NULL if only observations can be. */
static const char *trouble_of(const struct check_case *c, const struct outcome *o, unsigned column)
{
	if (o->trouble)
		return o->trouble;
	if (o->ran != check_holds(&traits[column], c->needs))
		return o->ran ? "the target has what this generation lacks"
			      : "the target lacks what this generation has";
	return NULL;
}

/* What a skipped case would have needed. */
static void lacks_text(const struct check_case *c, char buf[WORDS_MAX])
{
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < check_need_count; i++)
		if (c->needs & ~target.has & check_needs[i].need && len < WORDS_MAX)
			len += (size_t)snprintf(buf + len, WORDS_MAX - len, "%s%s", len ? ", " : "",
						check_needs[i].words);
}

/* The next of the case's rules, from *list on; NULL when there is none left. */
static const struct core_rule *next_rule(const char **list)
{
	char slug[SLUG_MAX];
	size_t len;

	*list += strspn(*list, " ");
	len = strcspn(*list, " ");
	snprintf(slug, sizeof(slug), "%.*s", (int)len, *list);
	*list += len;
	return len ? core_rule_find(slug) : NULL;
}

/* A few rules in words, many by their names. */
static void print_rules(const struct check_case *c)
{
	const char *list = c->rules;
	const struct core_rule *rule;
	unsigned count = 0;
	char buf[WORDS_MAX];

	while (next_rule(&list))
		count++;
	if (count > RULES_IN_FULL)
		printf("  rules (gmem explain RULE): %s\n", c->rules);
	list = c->rules;
	while (count <= RULES_IN_FULL && (rule = next_rule(&list)))
		printf("  rule %s: %s; else %s (%s(), Linux %s)\n", rule->slug, rule->check,
		       words_errno(rule->error, buf), rule->where, rule->since);
}

/* What deviates in a case, and the calls that led to it. */
static void print_deviations(const struct check_case *c, const struct outcome *o, unsigned column, const char *prefix)
{
	const char *trouble = trouble_of(c, o, column);
	char got[WORDS_MAX], wanted[WORDS_MAX];
	unsigned shown = 0;

	if (trouble)
		printf("%s%s\n", prefix, trouble);
	if (trouble && !o->trouble)
		return;
	for (unsigned i = 0; i < o->count; i++) {
		const struct observation *s = &o->seen[i];

		if (s->got == s->wanted[column])
			continue;
		if (shown++ == SHOWN) {
			printf("%s... (all in --json)\n", prefix);
			return;
		}
		printf("%s%s: %s, expected %s (%s)\n", prefix, s->label, value_text(s->got, got),
		       value_text(s->wanted[column], wanted), s->where ? s->where : "?");
		for (unsigned n = 0; n < s->call_count; n++)
			printf("%s    %s\n", prefix, s->calls[n]);
	}
}

static void print_matches(const struct verdict *v)
{
	char name[WORDS_MAX];

	for (unsigned column = 0; column < TRAITS_COUNT; column++) {
		column_name(column, name);
		printf("  %-60s %6u deviations\n", name, v->deviations[column]);
	}
}

void verdict_print_text(const struct verdict *v, unsigned column, const char *against)
{
	unsigned ran = 0, skipped = 0;
	char name[WORDS_MAX];

	for (unsigned i = 0; i < check_case_count; i++) {
		const struct outcome *o = &v->outcomes[i];

		ran += o->ran;
		skipped += o->known && !o->ran;
		if (!verdict_deviations(&check_cases[i], o, column))
			continue;
		printf("%s: %s\n", check_cases[i].id, check_cases[i].title);
		print_rules(&check_cases[i]);
		print_deviations(&check_cases[i], o, column, "  ");
	}
	column_name(column, name);
	if (!strcmp(against, "kernel")) {
		printf("kernel: %s %s", v->deviations[column] ? "resembles most" : "is", name);
		/* A few cases, or a configuration without private memory, may not tell all apart. */
		for (unsigned other = column + 1; other < TRAITS_COUNT; other++) {
			column_name(other, name);
			if (v->deviations[other] == v->deviations[column])
				printf(" or %s", name);
		}
		printf(", by %u observations of %u cases (%u need what it lacks)\n", v->observations, ran, skipped);
		print_matches(v);
	} else {
		printf("%s: %u deviations in %u observations of %u cases (%u need what it lacks)\n", name,
		       v->deviations[column], v->observations, ran, skipped);
	}
}

void verdict_print_tap(const struct verdict *v, unsigned column)
{
	char name[WORDS_MAX], lacks[WORDS_MAX];
	unsigned point = 0;

	for (unsigned i = 0; i < check_case_count; i++) {
		const struct outcome *o = &v->outcomes[i];
		unsigned wrong = verdict_deviations(&check_cases[i], o, column);

		if (!o->known)
			continue;
		lacks_text(&check_cases[i], lacks);
		printf("%sok %u - %s: %s%s%s\n", wrong ? "not " : "", ++point, check_cases[i].id, check_cases[i].title,
		       o->ran || wrong ? "" : " # SKIP needs ", o->ran || wrong ? "" : lacks);
		if (wrong)
			print_deviations(&check_cases[i], o, column, "# ");
	}
	column_name(column, name);
	printf("# compared with %s: %u observations\n1..%u\n", name, v->observations, point);
}

static void json_deviation(struct json *json, const struct observation *s, unsigned column)
{
	char buf[WORDS_MAX];

	json_open(json, NULL, '{');
	json_text(json, "what", s->label);
	json_text(json, "got", value_text(s->got, buf));
	json_text(json, "expected", value_text(s->wanted[column], buf));
	json_text(json, "source", s->where);
	json_open(json, "calls", '[');
	for (unsigned i = 0; i < s->call_count; i++)
		json_text(json, NULL, s->calls[i]);
	json_close(json, ']');
	json_close(json, '}');
}

static void json_case(struct json *json, const struct check_case *c, const struct outcome *o, unsigned column)
{
	unsigned wrong = verdict_deviations(c, o, column);
	const char *list = c->rules;
	const struct core_rule *rule;
	char lacks[WORDS_MAX];

	json_open(json, NULL, '{');
	json_text(json, "id", c->id);
	json_text(json, "title", c->title);
	json_open(json, "rules", '[');
	while ((rule = next_rule(&list)))
		json_text(json, NULL, rule->slug);
	json_close(json, ']');
	json_text(json, "result", wrong ? "failed" : o->ran ? "passed" : "skipped");
	if (!o->ran) {
		lacks_text(c, lacks);
		json_text(json, "needs", lacks);
	}
	json_number(json, "observations", o->count);
	json_text(json, "trouble", trouble_of(c, o, column));
	json_open(json, "deviations", '[');
	for (unsigned i = 0; (o->trouble || !trouble_of(c, o, column)) && i < o->count; i++)
		if (o->seen[i].got != o->seen[i].wanted[column])
			json_deviation(json, &o->seen[i], column);
	json_close(json, ']');
	json_close(json, '}');
}

void verdict_print_json(const struct verdict *v, unsigned column, const char *against)
{
	struct json json = { 0 };
	char buf[WORDS_MAX];

	json_open(&json, NULL, '{');
	json_text(&json, "against", against);
	column_name(column, buf);
	json_text(&json, "compared_with", buf);
	json_number(&json, "observations", v->observations);
	json_number(&json, "deviations", v->deviations[column]);
	json_open(&json, "generations", '[');
	for (unsigned k = 0; k < TRAITS_COUNT; k++) {
		json_open(&json, NULL, '{');
		column_name(k, buf);
		json_text(&json, "name", buf);
		json_number(&json, "deviations", v->deviations[k]);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_open(&json, "cases", '[');
	for (unsigned i = 0; i < check_case_count; i++)
		if (v->outcomes[i].known)
			json_case(&json, &check_cases[i], &v->outcomes[i], column);
	json_close(&json, ']');
	json_close(&json, '}');
}

/* Control characters may not stand in XML at all. */
static void print_xml(const char *text)
{
	for (; *text; text++) {
		if (*text == '&' || *text == '<' || *text == '>' || *text == '"')
			printf("&#%d;", *text);
		else
			putchar((unsigned char)*text < 0x20 && *text != '\n' ? '?' : *text);
	}
}

static void junit_case(const struct check_case *c, const struct outcome *o, unsigned column)
{
	const char *trouble = trouble_of(c, o, column);
	unsigned wrong = verdict_deviations(c, o, column);
	char got[WORDS_MAX], wanted[WORDS_MAX];

	printf("  <testcase classname=\"%.*s\" name=\"", (int)strcspn(c->id, "."), c->id);
	print_xml(c->id);
	printf("\">");
	if (!wrong) {
		lacks_text(c, got);
		if (!o->ran)
			printf("<skipped message=\"needs %s\"/>", got);
		printf("</testcase>\n");
		return;
	}
	printf("<failure message=\"%u deviations\">rules: %s\n", wrong, *c->rules ? c->rules : "none");
	if (trouble) {
		print_xml(trouble);
		putchar('\n');
	}
	for (unsigned i = 0; (o->trouble || !trouble) && i < o->count; i++) {
		const struct observation *s = &o->seen[i];

		if (s->got == s->wanted[column])
			continue;
		print_xml(s->label);
		printf(": %s, expected %s (%s)\n", value_text(s->got, got), value_text(s->wanted[column], wanted),
		       s->where ? s->where : "?");
		for (unsigned n = 0; n < s->call_count; n++) {
			printf("    ");
			print_xml(s->calls[n]);
			putchar('\n');
		}
	}
	printf("</failure></testcase>\n");
}

void verdict_print_junit(const struct verdict *v, unsigned column)
{
	unsigned failed = 0, known = 0, skipped = 0;
	char name[WORDS_MAX];

	for (unsigned i = 0; i < check_case_count; i++) {
		bool wrong = verdict_deviations(&check_cases[i], &v->outcomes[i], column) > 0;

		known += v->outcomes[i].known;
		failed += wrong;
		skipped += v->outcomes[i].known && !v->outcomes[i].ran && !wrong;
	}
	column_name(column, name);
	printf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"gmem check: %s\" tests=\"%u\" "
	       "failures=\"%u\" "
	       "skipped=\"%u\">\n",
	       name, known, failed, skipped);
	for (unsigned i = 0; i < check_case_count; i++)
		if (v->outcomes[i].known)
			junit_case(&check_cases[i], &v->outcomes[i], column);
	printf("</testsuite>\n");
}

void verdict_print_answers(const struct verdict *v, const char *against)
{
	char text[WORDS_MAX], shape_text[256];
	struct core_shape shape;
	struct utsname name;

	if (!strcmp(against, "kernel") && !uname(&name) && !kernel_host_shape(&shape)) {
		kernel_shape_text(&shape, shape_text, sizeof(shape_text));
		printf("# kernel: %s, %s\n# shape: %s\n", name.release, name.version, shape_text);
	}
	for (unsigned i = 0; i < check_case_count; i++) {
		const struct outcome *o = &v->outcomes[i];

		if (!o->known)
			continue;
		printf("[%s]%s\n", check_cases[i].id, o->ran ? "" : " lacks what it needs");
		for (unsigned s = 0; s < o->count; s++)
			printf("%s\t%s\n", o->seen[s].label, value_text(o->seen[s].got, text));
		if (o->trouble)
			printf("%s\n", o->trouble);
	}
}

void verdict_print_list(char *const *cases)
{
	char needs[WORDS_MAX];

	target.has = 0; /* every need is one that is lacking */
	for (unsigned i = 0; i < check_case_count; i++) {
		bool listed = !*cases;

		for (char *const *c = cases; *c; c++)
			listed = listed || !strncmp(check_cases[i].id, *c, strlen(*c));
		if (!listed)
			continue;
		printf("%-28s %s\n", check_cases[i].id, check_cases[i].title);
		lacks_text(&check_cases[i], needs);
		if (*needs)
			printf("%-28s needs: %s\n", "", needs);
		if (*check_cases[i].rules)
			printf("%-28s rules: %s\n", "", check_cases[i].rules);
	}
}
