// SPDX-License-Identifier: MIT
/*
 * rt/format.c - formatting into a fixed buffer
 */
#include "rt/format.h"

struct out {
	char *at;
	char *end; /* one before the terminator's last possible place */
};

static void put(struct out *o, char c)
{
	if (o->at < o->end)
		*o->at++ = c;
}

static void put_string(struct out *o, const char *s)
{
	for (s = s ? s : "(null)"; *s; s++)
		put(o, *s);
}

static void put_number(struct out *o, u64 value, unsigned base)
{
	char digits[20];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n)
		put(o, digits[--n]);
}

static void put_signed(struct out *o, s64 value)
{
	if (value < 0)
		put(o, '-');
	put_number(o, value < 0 ? -(u64)value : (u64)value, 10);
}

static const char *put_directive(struct out *o, const char *fmt, va_list *ap)
{
	bool wide = false, prefix = false;
	u64 value;

	if (*fmt == '#') {
		prefix = true;
		fmt++;
	}
	while (*fmt == 'l' || *fmt == 'z') {
		wide = true;
		fmt++;
	}
	switch (*fmt) {
	case 's':
		put_string(o, va_arg(*ap, const char *));
		break;
	case 'c':
		put(o, (char)va_arg(*ap, int));
		break;
	case 'd':
		put_signed(o, wide ? va_arg(*ap, s64) : va_arg(*ap, int));
		break;
	case 'u':
	case 'x':
		value = wide ? va_arg(*ap, u64) : va_arg(*ap, unsigned);
		if (prefix)
			put_string(o, "0x");
		put_number(o, value, *fmt == 'x' ? 16 : 10);
		break;
	case '\0':
		return fmt;
	default:
		put(o, *fmt);
	}
	return fmt + 1;
}

size_t rt_vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, buf + (size ? size - 1 : 0) };
	va_list copy;

	if (!size)
		return 0;
	va_copy(copy, ap);
	while (*fmt) {
		if (*fmt != '%') {
			put(&o, *fmt++);
			continue;
		}
		fmt = put_directive(&o, fmt + 1, &copy);
	}
	va_end(copy);
	*o.at = '\0';
	return (size_t)(o.at - buf);
}

size_t rt_format(char *buf, size_t size, const char *fmt, ...)
{
	size_t n;
	va_list ap;

	va_start(ap, fmt);
	n = rt_vformat(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
