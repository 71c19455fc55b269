// SPDX-License-Identifier: MIT
/*
 * core/rule.c - the table of rules and the record of a refusal
 */
#include "core/rule.h"

#include <asm/errno.h>

#include "rt/string.h"

const struct core_rule core_rules[RULE_COUNT] = {
#define RULE(id, slug, error, check, where, since) [RULE_##id] = { slug, error, check, where, since },
#include "core/rule.def"
#undef RULE
};

const struct core_rule *core_rule_find(const char *slug)
{
	for (unsigned i = RULE_NONE + 1; i < RULE_COUNT; i++)
		if (rt_streq(core_rules[i].slug, slug))
			return &core_rules[i];
	return NULL;
}

int core_refuse(struct core_err *err, enum core_rule_id rule, int error, const char *object, u64 value, u64 expected)
{
	if (!error)
		error = core_rules[rule].error;
	if (err)
		*err = (struct core_err){ rule, error, object, value, expected };
	return -error;
}
