/* SPDX-License-Identifier: MIT */
/*
 * overlay/exports.S - the exported names, each a jump to its wrapper
 *
 * A jump keeps the caller's stack as it is: vfork(2) must return into the
 * caller's frame, and variadic functions need no knowledge of their arguments.
 */
#define SYMBOL(name, wrapper)                                                                                          \
	.globl name;                                                                                                   \
	.type name, @function;                                                                                         \
	name:                                                                                                          \
	jmp wrapper;                                                                                                   \
	.size name, . - name;

	.text
#include "overlay/symbol.def"
	.section .note.GNU-stack, "", @progbits
