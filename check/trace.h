/* SPDX-License-Identifier: MIT */
/*
 * check/trace.h - the calls that lead to an observation, with their arguments, for who has to act on a deviation
 *
 * Included by check/check.h before anything that makes calls: what a case calls by
 * one of these names is made, and remembered as text until the next observation.
 * Calls in parentheses, (ioctl)(...), leave no trace.
 */
#ifndef GMEM_CHECK_TRACE_H
#define GMEM_CHECK_TRACE_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int trace_ioctl(int fd, unsigned long cmd, unsigned long arg);
int trace_fallocate(int fd, int mode, off_t offset, off_t len);
void *trace_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *trace_mremap(void *at, size_t old, size_t len, int flags, void *to);
int trace_mprotect(void *at, size_t len, int prot);
int trace_madvise(void *at, size_t len, int advice);
ssize_t trace_pread(int fd, void *buf, size_t len, off_t offset);
ssize_t trace_pwrite(int fd, const void *buf, size_t len, off_t offset);
/* Something that is no call above, in words of the caller; ret is its result or -errno. */
void trace_note(long ret, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* One argument, or none, of whatever type. */
#define TRACE_WORD(...) ((unsigned long)(uintptr_t)(__VA_ARGS__))

#define ioctl(fd, cmd, ...) trace_ioctl(fd, cmd, TRACE_WORD(__VA_ARGS__))
#define fallocate(...)	    trace_fallocate(__VA_ARGS__)
#define mmap(...)	    trace_mmap(__VA_ARGS__)
#define TRACE_MREMAP(at, old, len, flags, to, ...) trace_mremap(at, old, len, flags, to)
#define mremap(...)	    TRACE_MREMAP(__VA_ARGS__, NULL, 0)
#define mprotect(...)	    trace_mprotect(__VA_ARGS__)
#define madvise(...)	    trace_madvise(__VA_ARGS__)
#define pread(...)	    trace_pread(__VA_ARGS__)
#define pwrite(...)	    trace_pwrite(__VA_ARGS__)

/* fn is called for each, the oldest first; fn may be NULL.  They are forgotten afterwards. */
void trace_take(void (*fn)(const char *text, long ret));

#endif
