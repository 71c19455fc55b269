/* SPDX-License-Identifier: MIT */
/*
 * core/rule.h - the rules by which guest memory calls are refused
 *
 * core/rule.def is the one table: RULE(id, slug, errno, check, where, since).
 * Refusals, `gmem explain`, the man page gmem-rules(7) and the tests that every
 * rule is reached are made from it.
 */
#ifndef GMEM_CORE_RULE_H
#define GMEM_CORE_RULE_H

#include "rt/types.h"

enum core_rule_id {
	RULE_NONE, /* no refusal */
#define RULE(id, slug, error, check, where, since) RULE_##id,
#include "core/rule.def"
#undef RULE
	RULE_COUNT
};

struct core_rule {
	const char *slug;  /* what users type: "slot-overlap" */
	int error;	   /* the errno that it answers with, where no profile differs */
	const char *check; /* the condition that must hold, in words */
	const char *where; /* kernel function that tests it */
	const char *since; /* first kernel with it: "6.8" */
};

/* Index is enum core_rule_id; entry RULE_NONE is all NULL. */
extern const struct core_rule core_rules[RULE_COUNT];
/* NULL when there is none of that name. */
const struct core_rule *core_rule_find(const char *slug);

/*
 * Why a call was refused.  Written only on failure.  object names the argument
 * or object ("guest_memfd_offset"), value is what was given, expected what the
 * rule compares it with (0 where there is no such number).
 */
struct core_err {
	enum core_rule_id rule;
	int error;
	const char *object;
	u64 value;
	u64 expected;
};

/* Record a refusal and return -error; error 0 takes the rule's own.  err may be NULL. */
int core_refuse(struct core_err *err, enum core_rule_id rule, int error, const char *object, u64 value, u64 expected);

#endif
