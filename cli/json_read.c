// SPDX-License-Identifier: MIT
/*
 * cli/json_read.c - reading JSON
 */
#include "cli/json_read.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32

struct parser {
	const char *at;
	unsigned depth;
};

static struct json_value *parse_value(struct parser *p);

static void skip_blanks(struct parser *p)
{
	p->at += strspn(p->at, " \t\r\n");
}

static bool take(struct parser *p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(p->at, word, len) != 0)
		return false;
	p->at += len;
	return true;
}

/* Four hexadecimal digits, or -1. */
static int parse_unit(struct parser *p)
{
	int unit = 0;

	for (unsigned i = 0; i < 4; i++, p->at++) {
		unsigned char c = (unsigned char)*p->at;

		if (!isxdigit(c))
			return -1;
		unit = unit * 16 + (isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return unit;
}

/* \u and what follows, as UTF-8: the end of it, or NULL. */
static char *parse_escaped_unit(struct parser *p, char *to)
{
	int unit = parse_unit(p), low;

	if (unit <= 0 || (unit >= 0xdc00 && unit < 0xe000))
		return NULL;
	if (unit >= 0xd800 && unit < 0xdc00) {
		if (!take(p, "\\u"))
			return NULL;
		low = parse_unit(p);
		if (low < 0xdc00 || low >= 0xe000)
			return NULL;
		unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
		*to++ = (char)(0xf0 | unit >> 18);
		*to++ = (char)(0x80 | (unit >> 12 & 0x3f));
		*to++ = (char)(0x80 | (unit >> 6 & 0x3f));
		*to++ = (char)(0x80 | (unit & 0x3f));
	} else if (unit >= 0x800) {
		*to++ = (char)(0xe0 | unit >> 12);
		*to++ = (char)(0x80 | (unit >> 6 & 0x3f));
		*to++ = (char)(0x80 | (unit & 0x3f));
	} else if (unit >= 0x80) {
		*to++ = (char)(0xc0 | unit >> 6);
		*to++ = (char)(0x80 | (unit & 0x3f));
	} else {
		*to++ = (char)unit;
	}
	return to;
}

/* A quoted text in memory of its own; NULL when it is none. */
static char *parse_text(struct parser *p)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	char *text, *to;

	if (!take(p, "\""))
		return NULL;
	/* No escape is shorter than what it stands for. */
	text = malloc(strlen(p->at) + 1);
	to = text;
	while (to && *p->at != '"') {
		const char *escape;

		if ((unsigned char)*p->at < 0x20)
			break;
		if (*p->at != '\\') {
			*to++ = *p->at++;
			continue;
		}
		p->at++;
		if (take(p, "u")) {
			to = parse_escaped_unit(p, to);
			continue;
		}
		escape = *p->at ? strchr(from, *p->at) : NULL;
		if (!escape)
			break;
		*to++ = into[escape - from];
		p->at++;
	}
	if (!to || !take(p, "\"")) {
		free(text);
		return NULL;
	}
	*to = '\0';
	return text;
}

/* -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][-+]?[0-9]+)?: strtod(3) takes more than that. */
static bool parse_number(struct parser *p, double *ret)
{
	const char *at = p->at + (*p->at == '-');
	size_t digits = strspn(at, "0123456789");

	if (!digits || (*at == '0' && digits > 1))
		return false;
	at += digits;
	if (*at == '.') {
		digits = strspn(++at, "0123456789");
		if (!digits)
			return false;
		at += digits;
	}
	if (*at == 'e' || *at == 'E') {
		at += 1 + (at[1] == '-' || at[1] == '+');
		digits = strspn(at, "0123456789");
		if (!digits)
			return false;
		at += digits;
	}
	*ret = strtod(p->at, NULL);
	p->at = at;
	return true;
}

/* What stands between the brackets, which are taken here. */
static bool parse_members(struct parser *p, struct json_value *value)
{
	const char *end = value->kind == JSON_OBJECT ? "}" : "]";
	struct json_value **to = &value->first;

	skip_blanks(p);
	if (take(p, end))
		return true;
	do {
		char *key = NULL;

		skip_blanks(p);
		if (value->kind == JSON_OBJECT) {
			key = parse_text(p);
			if (!key)
				return false;
			skip_blanks(p);
			if (!take(p, ":")) {
				free(key);
				return false;
			}
		}
		*to = parse_value(p);
		if (!*to) {
			free(key);
			return false;
		}
		(*to)->key = key;
		to = &(*to)->next;
		skip_blanks(p);
	} while (take(p, ","));
	return take(p, end);
}

static bool parse_into(struct parser *p, struct json_value *value)
{
	if (take(p, "{") || take(p, "[")) {
		bool ok = false;

		value->kind = p->at[-1] == '{' ? JSON_OBJECT : JSON_ARRAY;
		if (p->depth++ < DEPTH_MAX)
			ok = parse_members(p, value);
		p->depth--;
		return ok;
	}
	if (*p->at == '"') {
		value->kind = JSON_TEXT;
		value->text = parse_text(p);
		return value->text != NULL;
	}
	if (take(p, "null"))
		return true;
	value->kind = JSON_BOOL;
	if (take(p, "true")) {
		value->number = 1;
		return true;
	}
	if (take(p, "false"))
		return true;
	value->kind = JSON_NUMBER;
	return parse_number(p, &value->number);
}

static struct json_value *parse_value(struct parser *p)
{
	struct json_value *value = calloc(1, sizeof(*value));

	skip_blanks(p);
	if (value && !parse_into(p, value)) {
		json_free(value);
		return NULL;
	}
	return value;
}

struct json_value *json_parse(const char *text)
{
	struct parser p = { .at = text };
	struct json_value *value = parse_value(&p);

	skip_blanks(&p);
	if (value && *p.at) {
		json_free(value);
		return NULL;
	}
	return value;
}

void json_free(struct json_value *value)
{
	while (value) {
		struct json_value *next = value->next;

		json_free(value->first);
		free(value->key);
		free(value->text);
		free(value);
		value = next;
	}
}

const struct json_value *json_member(const struct json_value *object, const char *key, enum json_kind kind)
{
	if (!object || object->kind != JSON_OBJECT)
		return NULL;
	for (const struct json_value *v = object->first; v; v = v->next)
		if (!strcmp(v->key, key))
			return v->kind == kind ? v : NULL;
	return NULL;
}

const char *json_member_text(const struct json_value *object, const char *key)
{
	const struct json_value *v = json_member(object, key, JSON_TEXT);

	return v ? v->text : NULL;
}

double json_member_number(const struct json_value *object, const char *key)
{
	const struct json_value *v = json_member(object, key, JSON_NUMBER);

	return v ? v->number : 0;
}
