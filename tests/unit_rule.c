// SPDX-License-Identifier: MIT
/*
 * tests/unit_rule.c - the table of rules
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "core/rule.h"
#include "tests/tap.h"

static bool is_slug(const char *s)
{
	if (!*s || *s == '-')
		return false;
	for (; *s; s++)
		if (!islower((unsigned char)*s) && !isdigit((unsigned char)*s) && *s != '-')
			return false;
	return true;
}

static void test_rows(void)
{
	unsigned bad_slug = 0, twice = 0, bad_error = 0, empty = 0, stops = 0;

	for (unsigned i = 1; i < RULE_COUNT; i++) {
		const struct core_rule *rule = &core_rules[i];

		bad_slug += !is_slug(rule->slug);
		bad_error += rule->error <= 0 || rule->error > 133;
		empty += !*rule->check || !*rule->where || !isdigit((unsigned char)*rule->since);
		stops += rule->check[strlen(rule->check) - 1] == '.';
		for (unsigned j = 1; j < i; j++)
			twice += strcmp(rule->slug, core_rules[j].slug) == 0;
	}
	is(bad_slug, 0, "every slug is made of lower-case letters, digits and dashes");
	is(twice, 0, "no slug occurs twice");
	is(bad_error, 0, "every rule has an errno");
	is(empty, 0, "every rule says what it checks, where, and since when");
	is(stops, 0, "checks are phrases, without a full stop");
	ok(RULE_COUNT > 30, "the table has rows");
}

static void test_find(void)
{
	unsigned wrong = 0;

	for (unsigned i = 1; i < RULE_COUNT; i++)
		wrong += core_rule_find(core_rules[i].slug) != &core_rules[i];
	is(wrong, 0, "every rule is found by its slug");
	ok(!core_rule_find("no-such-rule"), "an unknown slug finds nothing");
	ok(!core_rule_find(""), "the empty slug finds nothing, not RULE_NONE");
}

static void test_refuse(void)
{
	struct core_err err = { 0 };

	is(core_refuse(&err, RULE_SLOT_GPA_OVERLAP, 0, "guest_phys_addr", 7, 9), -EEXIST, "error 0 takes the rule's");
	is(err.rule, RULE_SLOT_GPA_OVERLAP, "the rule is recorded");
	is(err.error, EEXIST, "with its errno");
	ok(strcmp(err.object, "guest_phys_addr") == 0 && err.value == 7 && err.expected == 9,
	   "and object, value and what was expected");
	is(core_refuse(&err, RULE_BIND_CONFLICT, EINVAL, "guest_memfd_offset", 0, 0), -EINVAL, "a profile's errno wins");
	is(err.error, EINVAL, "and is recorded");
	is(core_refuse(NULL, RULE_SLOT_ID, 0, "slot", 0, 0), -EINVAL, "nobody has to listen");
}

/* Where each caller names the errno, the table's is what `gmem explain` tells: the usual one, of new kernels. */
static void test_usual(void)
{
	static const struct {
		enum core_rule_id rule;
		int error;
	} rows[] = {
		{ RULE_BIND_FD, EBADF },     { RULE_BIND_CONFLICT, EEXIST }, { RULE_FALLOCATE_MODE, EOPNOTSUPP },
		{ RULE_FILE_CALL, EINVAL },  { RULE_EVENTFD, EINVAL },	     { RULE_MADVISE_ADVICE, EINVAL },
	};

	for (unsigned i = 0; i < RT_ARRAY_SIZE(rows); i++)
		is(core_rules[rows[i].rule].error, rows[i].error, "%s", core_rules[rows[i].rule].slug);
}

int main(void)
{
	test_rows();
	test_usual();
	test_find();
	test_refuse();
	return done_testing();
}
