// SPDX-License-Identifier: MIT
/*
 * core/shape.c - a shape from its text, as GMEM_SHAPE_HOST carries it
 *
 * "smm=0,tdp=0,gpa_bits=52,...": fields of struct core_shape by name, in any
 * order; what is not named keeps the value it has.
 */
#include "core/profile.h"
#include "rt/string.h"

static bool set_field(struct core_shape *shape, const char *name, u64 value)
{
	if (rt_streq(name, "sw_protected"))
		shape->sw_protected = value != 0;
	else if (rt_streq(name, "private_mem"))
		shape->private_mem = value != 0;
	else if (rt_streq(name, "smm"))
		shape->smm = value != 0;
	else if (rt_streq(name, "tdp"))
		shape->tdp = value != 0;
	else if (rt_streq(name, "gpa_bits"))
		shape->gpa_bits = (unsigned)value;
	else if (rt_streq(name, "hva_limit"))
		shape->hva_limit = value;
	else if (rt_streq(name, "vm_types"))
		shape->vm_types = value;
	else if (rt_streq(name, "cpus"))
		shape->cpus = (unsigned)value;
	else
		return false;
	return true;
}

/* Copy up to one of the two ends into buf; the rest of text, or NULL when it is too long. */
static const char *take_word(const char *text, char end, char *buf, size_t size)
{
	size_t n = 0;

	while (text[n] && text[n] != end)
		n++;
	if (n >= size)
		return NULL;
	memcpy(buf, text, n);
	buf[n] = '\0';
	return text[n] ? text + n + 1 : text + n;
}

bool core_shape_parse(struct core_shape *shape, const char *text)
{
	char name[24], number[24];
	u64 value;

	shape->name = "host";
	while (*text) {
		text = take_word(text, '=', name, sizeof(name));
		if (text)
			text = take_word(text, ',', number, sizeof(number));
		if (!text || !rt_parse_u64(number, &value) || !set_field(shape, name, value))
			return false;
	}
	return true;
}
