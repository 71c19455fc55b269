// SPDX-License-Identifier: MIT
/*
 * rt/syscall.c - the one instruction through which gmem enters the kernel
 */
#include "rt/syscall.h"

__asm__(".text\n"
	".globl rt_syscall_raw\n"
	".hidden rt_syscall_raw\n"
	".type rt_syscall_raw, @function\n"
	"rt_syscall_raw:\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	jmp *rt_syscall_gate(%rip)\n"
	".size rt_syscall_raw, .-rt_syscall_raw\n"
	/* Alone in its page of the object file: see overlay/seccomp.c. */
	".balign 4096\n"
	".globl rt_syscall_stub\n"
	".hidden rt_syscall_stub\n"
	".type rt_syscall_stub, @function\n"
	"rt_syscall_stub:\n"
	"	syscall\n"
	"	ret\n"
	".size rt_syscall_stub, .-rt_syscall_stub\n"
	".balign 4096, 0xcc\n");

const char *rt_syscall_gate = rt_syscall_stub;
