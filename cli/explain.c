// SPDX-License-Identifier: MIT
/*
 * cli/explain.c - gmem explain: what a refusal means
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/advice.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/roff.h"
#include "cli/words.h"
#include "core/profile.h"
#include "core/rule.h"

struct explain_options {
	bool json, man;
};

#define FIELD(name) offsetof(struct explain_options, name)

static const struct option options[] = {
	{ OPTION_FLAG, "json", FIELD(json), NULL, "print JSON" },
	{ OPTION_FLAG, "man", FIELD(man), NULL, "print gmem-rules(7)" },
	{ .kind = OPTION_END }
};

/* "6.18" in "linux-6.18" or "6.18" as 618 in base 1000; 0 if there is none. */
static unsigned release(const char *text)
{
	unsigned major = 0, minor = 0;

	while (*text && !isdigit((unsigned char)*text))
		text++;
	return sscanf(text, "%u.%u", &major, &minor) >= 1 ? major * 1000 + minor : 0;
}

/* The errno that a rule answers with in a profile; 0 where the profile has no such rule. */
static int rule_errno(const struct core_profile *profile, enum core_rule_id id)
{
	const struct core_rule *rule = &core_rules[id];

	if (release(rule->since) > release(profile->name))
		return 0;
	switch (id) {
	case RULE_BIND_CONFLICT:
		return profile->bind_conflict_errno;
	case RULE_BIND_OFFSET:
		return profile->signed_offset_bug ? rule->error : 0;
	case RULE_MMAP_SUPPORT:
		return profile->has_mmap ? 0 : rule->error;
	case RULE_ATTRS_FLAGS:
	case RULE_ATTRS_MASK:
	case RULE_ATTRS_SIZE:
	case RULE_ATTRS_ALIGN:
	case RULE_ATTRS_MEMORY:
		return profile->vm_attributes ? rule->error : 0;
	default:
		return rule->error;
	}
}

/* "EINVAL in linux-6.8, linux-6.12; EEXIST in linux-7.3": groups in the order of the table. */
static void errno_text(enum core_rule_id id, char *buf, size_t size)
{
	bool told[64] = { false };
	size_t len = 0;
	char name[WORDS_MAX];

	buf[0] = '\0';
	for (unsigned i = 0; i < core_profile_count && i < 64; i++) {
		int error = rule_errno(&core_profiles[i], id);

		if (!error || told[i] || len >= size)
			continue;
		len += (size_t)snprintf(buf + len, size - len, "%s%s in %s", len ? "; " : "", words_errno(error, name),
					core_profiles[i].name);
		for (unsigned k = i + 1; k < core_profile_count && k < 64; k++) {
			if (rule_errno(&core_profiles[k], id) != error)
				continue;
			told[k] = true;
			if (len < size)
				len += (size_t)snprintf(buf + len, size - len, ", %s", core_profiles[k].name);
		}
	}
	if (!len)
		snprintf(buf, size, "%s, in none of the profiles", words_errno(core_rules[id].error, name));
}

static const char *advice_text(enum core_rule_id id)
{
	const char *text = advice_for(core_rules[id].slug);

	return text ? text : "";
}

static void print_rule(enum core_rule_id id)
{
	const struct core_rule *rule = &core_rules[id];
	char errors[512];

	errno_text(id, errors, sizeof(errors));
	printf("%s\n"
	       "  must hold:  %s\n"
	       "  otherwise:  %s\n"
	       "  tested by:  %s()\n"
	       "  since:      Linux %s\n"
	       "  what to do: %s\n",
	       rule->slug, rule->check, errors, rule->where, rule->since, advice_text(id));
}

static void json_rule(struct json *json, enum core_rule_id id)
{
	const struct core_rule *rule = &core_rules[id];
	char name[WORDS_MAX];

	json_open(json, NULL, '{');
	json_text(json, "rule", rule->slug);
	json_text(json, "check", rule->check);
	json_text(json, "function", rule->where);
	json_text(json, "since", rule->since);
	json_text(json, "advice", advice_text(id));
	json_open(json, "errno", '{');
	for (unsigned i = 0; i < core_profile_count; i++) {
		int error = rule_errno(&core_profiles[i], id);

		json_text(json, core_profiles[i].name, error ? words_errno(error, name) : NULL);
	}
	json_close(json, '}');
	json_close(json, '}');
}

static void print_list(void)
{
	char name[WORDS_MAX];

	for (unsigned id = RULE_NONE + 1; id < RULE_COUNT; id++)
		printf("%-24s %-11s %s\n", core_rules[id].slug, words_errno(core_rules[id].error, name),
		       core_rules[id].check);
}

static void print_man(void)
{
	roff_begin("gmem-rules", "rules by which guest memory calls are refused");
	roff_section("DESCRIPTION");
	fputs("A call that is refused names the rule that it broke, in the lines of\n.B gmem run \\-\\-explain\n"
	      "and for\n.BR \"gmem explain\" .\n"
	      "Rules stand here in the order in which the kernel tests them, call by call.\n",
	      stdout);
	roff_section("RULES");
	for (unsigned id = RULE_NONE + 1; id < RULE_COUNT; id++) {
		char errors[512];

		errno_text((enum core_rule_id)id, errors, sizeof(errors));
		roff_tag(core_rules[id].slug);
		fputs("Must hold: ", stdout);
		roff_text(core_rules[id].check);
		fputs(".\n.br\nOtherwise: ", stdout);
		roff_text(errors);
		fputs(".\n.br\nTested by ", stdout);
		roff_text(core_rules[id].where);
		fputs("() since Linux ", stdout);
		roff_text(core_rules[id].since);
		fputs(".\n.br\n", stdout);
		roff_text(advice_text((enum core_rule_id)id));
		putchar('\n');
	}
	roff_section("SEE ALSO");
	fputs(".BR gmem (1),\n.BR gmem\\-profiles (7),\n.BR gmem (7)\n", stdout);
}

/* No such rule: name the ones that look like it. */
static int unknown(const char *word)
{
	bool any = false;

	fprintf(stderr, "gmem: there is no rule %s", word);
	for (unsigned id = RULE_NONE + 1; id < RULE_COUNT; id++) {
		if (!*word || (!strstr(core_rules[id].slug, word) && !strstr(word, core_rules[id].slug)))
			continue;
		fprintf(stderr, "%s %s", any ? "," : "; did you mean", core_rules[id].slug);
		any = true;
	}
	fputs(any ? "?\n" : "; gmem explain lists all\n", stderr);
	return EXIT_ANSWER_NO;
}

static int explain_some(bool as_json, char **slugs, int count)
{
	struct json json = { 0 };

	for (int i = 0; i < count; i++) {
		if (!core_rule_find(slugs[i]))
			return unknown(slugs[i]);
	}
	if (as_json)
		json_open(&json, NULL, '[');
	for (int i = 0; i < count; i++) {
		enum core_rule_id id = (enum core_rule_id)(core_rule_find(slugs[i]) - core_rules);

		if (as_json)
			json_rule(&json, id);
		else
			print_rule(id);
	}
	if (as_json)
		json_close(&json, ']');
	return finish_output(0);
}

static int explain(const struct verb *verb, int argc, char **argv)
{
	struct explain_options o = { 0 };
	struct json json = { 0 };
	int status, first = options_parse(&verb->usage, argc, argv, &o, &status);

	if (first < 0)
		return status;
	if (o.man && (o.json || first < argc))
		return options_error(&verb->usage, "--man stands alone");
	if (first < argc)
		return explain_some(o.json, argv + first, argc - first);
	if (o.man) {
		print_man();
	} else if (o.json) {
		json_open(&json, NULL, '[');
		for (unsigned id = RULE_NONE + 1; id < RULE_COUNT; id++)
			json_rule(&json, (enum core_rule_id)id);
		json_close(&json, ']');
	} else {
		print_list();
	}
	return finish_output(0);
}

const struct verb verb_explain = {
	.usage = { .name = "explain",
		   .summary = "Tell what a refusal means and what to do about it",
		   .synopsis = "[--json] [RULE...]",
		   .options = options,
		   .error = EXIT_USAGE },
	.main = explain,
};
