// SPDX-License-Identifier: MIT
/*
 * tests/harness_decode.c - the decoder on any bytes: mode, distance from the block's start, instruction
 */
#include "cpu/access.h"
#include "cpu/ops.h"

#define HARNESS "decode"
#include "tests/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cpu_insn first, again;
	uint8_t bytes[32];
	unsigned avail, start;
	int mode, r;

	if (size < 3)
		return 0;
	mode = data[0] % 3;
	start = data[1] % 128;
	avail = size - 2 < 20 ? (unsigned)size - 2 : 20;
	/* What lies behind the bytes that are there does not matter. */
	memset(bytes, 0xcc, sizeof(bytes));
	memcpy(bytes, data + 2, avail);
	memset(&first, 0, sizeof(first));
	r = cpu_decode(&first, data + 2, avail, mode, start);
	HOLDS(r == CPU_DECODE_SHORT || r == CPU_DECODE_ON || r == CPU_DECODE_ENDS);
	memset(&again, 0, sizeof(again));
	HOLDS(cpu_decode(&again, bytes, avail, mode, start) == r);
	if (r == CPU_DECODE_SHORT) {
		HOLDS(avail < 15);
		return 0;
	}
	HOLDS(!memcmp(&first, &again, sizeof(first)));
	HOLDS(first.fn);
	HOLDS(first.length >= 1 && first.length <= 15 && first.length <= avail);
	HOLDS(first.start == start && first.end == start + first.length);
	/* Its own bytes are enough, unless it is refused for being longer than 15; one fewer is not the same instruction. */
	if (cpu_decode(&again, bytes, first.length, mode, start) == CPU_DECODE_SHORT) {
		HOLDS(avail >= 15 && cpu_decode(&again, bytes, 14, mode, start) == CPU_DECODE_SHORT);
		return 0;
	}
	HOLDS(again.fn == first.fn && again.length == first.length);
	if (first.length > 1 && cpu_decode(&again, bytes, first.length - 1U, mode, start) != CPU_DECODE_SHORT)
		HOLDS(again.length < first.length);
	return 0;
}
