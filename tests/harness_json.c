// SPDX-License-Identifier: MIT
/*
 * tests/harness_json.c - the reader of JSON, which benchmark results and answers of kernels come through
 */
#include "cli/json_read.c"

#define HARNESS "json"
#include "tests/harness.h"

static unsigned walk(const struct json_value *v, unsigned depth)
{
	unsigned count = 0;

	HOLDS(depth < 100);
	for (; v; v = v->next, count++) {
		HOLDS(v->kind <= JSON_OBJECT);
		HOLDS(v->kind != JSON_TEXT || v->text);
		if (v->kind != JSON_ARRAY && v->kind != JSON_OBJECT)
			HOLDS(!v->first);
		for (const struct json_value *m = v->first; m; m = m->next)
			HOLDS(!m->key == (v->kind == JSON_ARRAY));
		count += walk(v->first, depth + 1);
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct json_value *value;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	value = json_parse(text);
	if (value) {
		/* Each value is at least a byte of text. */
		HOLDS(walk(value, 0) <= size);
		json_member_text(value, "name");
		json_member_number(value, "version");
		json_free(value);
	}
	free(text);
	return 0;
}
