// SPDX-License-Identifier: MIT
/*
 * diff/execute.c - steps on the calls of this process: the real kernel, or gmem when it is preloaded
 */
#include "diff/diff.h"

/* In the order in which they need each other. */
#include "diff/calls.h"
#include "diff/calls_vm.h"
#include "diff/calls_file.h"
#include "diff/calls_map.h"
#include "diff/calls_guest.h"
#include "diff/calls_other.h"

/* The text of what has just been included. */
__asm__(".section .rodata\n"
	".global diff_calls_text\n"
	"diff_calls_text:\n"
	".incbin \"diff/calls.h\"\n"
	".incbin \"diff/calls_vm.h\"\n"
	".incbin \"diff/calls_file.h\"\n"
	".incbin \"diff/calls_map.h\"\n"
	".incbin \"diff/calls_guest.h\"\n"
	".incbin \"diff/calls_other.h\"\n"
	".byte 0\n"
	".previous\n");

_Static_assert(sizeof(struct result) == sizeof(struct diff_result), "one structure, twice: calls.h stands alone");

int diff_execute_begin(void)
{
	return begin();
}

void diff_execute(const struct diff_step *step, struct diff_result *result)
{
	const u64 *a = step->a;
	struct result r = { 0, 0, 0, 0 };

	switch (step->kind) {
#define STEP(name, args, weight, call)                                                                                         \
	case DIFF_##name:                                                                                              \
		r = name call;                                                                                         \
		break;
#include "diff/step.def"
#undef STEP
	default:
		end_sequence();
	}
	*result = (struct diff_result){ r.ret, r.aux, r.sig, r.code };
}

const char *const diff_names[DIFF_KINDS] = {
#define STEP(name, args, weight, call) #name,
#include "diff/step.def"
#undef STEP
};
const unsigned diff_args[DIFF_KINDS] = {
#define STEP(name, args, weight, call) args,
#include "diff/step.def"
#undef STEP
};
