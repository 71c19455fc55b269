// SPDX-License-Identifier: MIT
/*
 * tests/harness_image.c - what exec is asked to start (overlay/servable.h): any bytes as a program
 *
 * The first two bytes choose where reading the file fails, if at all; the rest is the file.
 */
#include <errno.h>

#include "overlay/servable.h"

#define HARNESS "image"
#include "tests/harness.h"

struct file {
	const uint8_t *bytes;
	size_t size;
	unsigned reads, fails; /* the read of that number */
};

static long read_bytes(void *ctx, void *buf, size_t len, u64 off)
{
	struct file *file = ctx;

	if (++file->reads == file->fails)
		return -EIO;
	if (off >= file->size)
		return 0;
	len = len < file->size - off ? len : file->size - off;
	memcpy(buf, file->bytes + off, len);
	return (long)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	struct file file = { .fails = (unsigned)input_take(&in, 2) };
	struct servable ret;
	int kind;

	file.bytes = in.p;
	file.size = (size_t)(in.end - in.p);
	memset(&ret, 0x5a, sizeof(ret));
	kind = servable_image(read_bytes, &file, &ret);
	HOLDS(kind == 0 || kind == 1 || kind == -ENOEXEC || kind == -EACCES || kind == -EIO);
	HOLDS(memchr(ret.interp, 0, sizeof(ret.interp)) && memchr(ret.asan, 0, sizeof(ret.asan)));
	/* A reason is gmem's own refusal; a script has an interpreter, and nothing else has. */
	HOLDS(!ret.reason == (kind != -EACCES));
	HOLDS((kind == 1) == (ret.interp[0] != 0));
	HOLDS(!ret.asan[0] || servable_is_asan(ret.asan));
	return 0;
}
