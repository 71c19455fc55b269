/* SPDX-License-Identifier: MIT */
/*
 * rt/format.h - formatting into a fixed buffer
 */
#ifndef GMEM_RT_FORMAT_H
#define GMEM_RT_FORMAT_H

#include <stdarg.h>

#include "rt/types.h"

/*
 * A subset of snprintf(3): %s %c %d %u %x (int), %ld %lu %lx (64 bit), %#x and
 * %#lx for a 0x prefix, %%.  Always terminates when size > 0; returns the
 * number of characters stored, without the terminator (never more than size - 1).
 */
size_t rt_format(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
size_t rt_vformat(char *buf, size_t size, const char *fmt, va_list ap);

#endif
