/* SPDX-License-Identifier: MIT */
/*
 * cli/advice.h - what to do about a refusal
 */
#ifndef GMEM_CLI_ADVICE_H
#define GMEM_CLI_ADVICE_H

#include <stddef.h>

/* Advice for the rule of that name; NULL if there is none, which tests/unit_advice.c forbids. */
const char *advice_for(const char *rule);
/* The rule that the n-th piece of advice is about; NULL beyond the last. */
const char *advice_rule(size_t n);

#endif
