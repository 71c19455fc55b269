// SPDX-License-Identifier: MIT
/*
 * tests/unit_advice.c - every rule has advice, and no advice is about nothing
 */
#include "cli/advice.c"

#include "core/rule.h"
#include "tests/tap.h"

int main(void)
{
	for (unsigned id = RULE_NONE + 1; id < RULE_COUNT; id++)
		ok(advice_for(core_rules[id].slug) != NULL, "%s has advice", core_rules[id].slug);
	for (size_t n = 0; advice_rule(n); n++)
		ok(core_rule_find(advice_rule(n)) != NULL, "%s is a rule", advice_rule(n));
	ok(advice_for("none-such") == NULL, "no advice for what is no rule");
	return done_testing();
}
