// SPDX-License-Identifier: MIT
/*
 * tests/harness_kernel.c - --profile, --shape, --vm-types and --module-param: four texts, a line each
 */
#include "cli/kernel.c"
#include "cli/words.c"

#define HARNESS "kernel"
#include "tests/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[256], why[KERNEL_WHY], *part[4] = { NULL }, *at = text;
	struct kernel_request request;
	struct kernel kernel;
	int ret;

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (int i = 0; i < 4 && at; i++) {
		char *end = strchr(at, '\n');

		if (end)
			*end++ = '\0';
		part[i] = *at ? at : NULL;
		at = end;
	}
	request = (struct kernel_request){ part[0], part[1], part[2], part[3] };
	memset(why, 0x5a, sizeof(why));
	ret = kernel_init(&kernel, &request, why);
	HOLDS(ret <= 0);
	if (ret < 0) {
		HOLDS(memchr(why, 0, sizeof(why)) && why[0] && why[0] != 0x5a);
		return 0;
	}
	HOLDS(kernel.sys.profile);
	HOLDS(kernel.in_place >= -1 && kernel.in_place <= 1);
	return 0;
}
