// SPDX-License-Identifier: MIT
/*
 * cli/json.c - writing JSON to stdout
 */
#include "cli/json.h"

#include <inttypes.h>
#include <stdio.h>

static void quoted(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void begin(struct json *json, const char *key)
{
	if (json->comma)
		putchar(',');
	if (json->depth)
		printf("\n%*s", (int)(2 * json->depth), "");
	json->comma = true;
	if (key) {
		quoted(key);
		fputs(": ", stdout);
	}
}

void json_open(struct json *json, const char *key, char kind)
{
	begin(json, key);
	putchar(kind);
	json->comma = false;
	json->depth++;
}

void json_close(struct json *json, char kind)
{
	json->depth--;
	if (json->comma)
		printf("\n%*s", (int)(2 * json->depth), "");
	putchar(kind);
	json->comma = true;
	if (!json->depth)
		putchar('\n');
}

void json_text(struct json *json, const char *key, const char *value)
{
	begin(json, key);
	if (value)
		quoted(value);
	else
		fputs("null", stdout);
}

void json_number(struct json *json, const char *key, u64 value)
{
	begin(json, key);
	printf("%" PRIu64, value);
}

/* JSON has no way to write what is not finite. */
void json_real(struct json *json, const char *key, double value)
{
	begin(json, key);
	if (value - value == 0)
		printf("%.6g", value);
	else
		fputs("null", stdout);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	fputs(value ? "true" : "false", stdout);
}
