/* SPDX-License-Identifier: MIT */
/*
 * cli/json_read.h - reading JSON
 */
#ifndef GMEM_CLI_JSON_READ_H
#define GMEM_CLI_JSON_READ_H

#include <stdbool.h>

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_TEXT, JSON_ARRAY, JSON_OBJECT };

struct json_value {
	enum json_kind kind;
	char *key; /* of a member of an object */
	char *text;
	double number; /* 1 for true */
	struct json_value *first, *next; /* members or elements; the next of them */
};

/* Parse one value, blanks around it allowed: NULL when it is none, or out of memory. */
struct json_value *json_parse(const char *text);
void json_free(struct json_value *value);

/* A member of an object: NULL if there is none of that kind. Any object may be NULL. */
const struct json_value *json_member(const struct json_value *object, const char *key, enum json_kind kind);
/* Its text or NULL; its number or 0. */
const char *json_member_text(const struct json_value *object, const char *key);
double json_member_number(const struct json_value *object, const char *key);

#endif
