/* SPDX-License-Identifier: MIT */
/*
 * cli/json.h - writing JSON to stdout
 *
 * key is NULL for an element of an array and for the outermost value.
 */
#ifndef GMEM_CLI_JSON_H
#define GMEM_CLI_JSON_H

#include <stdbool.h>

#include "rt/types.h"

struct json {
	bool comma;	/* the next value needs one in front */
	unsigned depth;
};

/* kind is '{' or '['. */
void json_open(struct json *json, const char *key, char kind);
/* kind is '}' or ']'; a newline follows the outermost. */
void json_close(struct json *json, char kind);
/* value NULL writes null. */
void json_text(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, u64 value);
void json_real(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);

#endif
