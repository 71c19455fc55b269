// SPDX-License-Identifier: MIT
/*
 * cpu/sse_stub.c - one host instruction each: the stubs of cpu/sse.def
 *
 * A stub of a STUB row is a function of 16 bytes: load, execute, store, return.  For
 * immediates there is only the instruction and a return, 8 bytes for each value,
 * called by cpu_call_*().  The opcodes are written as bytes, so that any
 * assembler will do, and so that test and emulation cannot disagree on a name.
 *
 * MMX stubs end in EMMS: the ABI wants the x87 stack empty.
 */
#include "cpu/sse.h"

#define PP_NP ""
#define PP_66 "0x66,"
#define PP_F3 "0xf3,"
#define PP_F2 "0xf2,"
#define MAP_0F "0x0f,"
#define MAP_38 "0x0f,0x38,"
#define MAP_3A "0x0f,0x3a,"

#define BEGIN_X	 "movups (%rdi),%xmm1\n movups (%rsi),%xmm2\n"
#define END_X	 "movups %xmm1,(%rdi)\n ret\n"
#define BEGIN_M	 "movq (%rdi),%mm1\n movq (%rsi),%mm2\n"
#define END_M	 "movq %mm1,(%rdi)\n emms\n ret\n"
#define BEGIN_XM "movups (%rdi),%xmm1\n movq (%rsi),%mm2\n"
#define END_XM	 "movups %xmm1,(%rdi)\n emms\n ret\n"
#define BEGIN_MX "movq (%rdi),%mm1\n movups (%rsi),%xmm2\n"
#define END_MX	 END_M
#define BEGIN_I	 "movups (%rdi),%xmm1\n mov %rsi,%rdx\n"
#define END_I	 END_X
#define BEGIN_G	 "movups (%rsi),%xmm2\n"
#define END_G	 "mov %rcx,%rax\n ret\n"
#define BEGIN_GM "movq (%rsi),%mm2\n"
#define END_GM	 "mov %rcx,%rax\n emms\n ret\n"
#define BEGIN_F	 BEGIN_X
#define END_F	 "pushfq\n pop %rax\n ret\n"
#define BEGIN_B	 BEGIN_X
#define END_B	 END_X

/* ModRM: register form, reg 1, rm 2. */
#define CODE_(class, prefix, pp, map, op)                                                                              \
	BEGIN_##class ".byte " PP_##pp prefix MAP_##map "0x" #op ",0xca\n" END_##class ".balign 16, 0xcc\n"

/* clang-format off */
__asm__(".pushsection .text\n"
	".balign 64\n"
	".globl cpu_sse_stubs\n.hidden cpu_sse_stubs\n"
	"cpu_sse_stubs:\n"
#define STUB(class, pp, map, op, bytes, flags, feature) CODE_(class, "", pp, map, op)
#define STUBW(class, pp, map, op, bytes, flags, feature)                                                               \
	CODE_(class, "", pp, map, op) CODE_(class, "0x48,", pp, map, op)
#include "cpu/sse.def"
	".globl cpu_sse_imm_stubs\n.hidden cpu_sse_imm_stubs\n"
	"cpu_sse_imm_stubs:\n"
#define IMM(class, pp, map, op, bytes, flags, feature, count)                                                          \
	".set imm, 0\n"                                                                                                \
	".rept " #count "\n"                                                                                           \
	".byte " PP_##pp MAP_##map "0x" #op ",0xca,imm\n ret\n .balign 8, 0xcc\n"                                      \
	".set imm, imm + 1\n"                                                                                          \
	".endr\n"
#include "cpu/sse.def"
	".popsection\n");

#define FUNCTION(name) ".globl " name "\n.hidden " name "\n.type " name ", @function\n" name ":\n"
__asm__(".pushsection .text\n"
	".balign 16\n"
	FUNCTION("cpu_call_xi")
	"	movups (%rdi), %xmm1\n"
	"	movups (%rsi), %xmm2\n"
	"	call *%rdx\n"
	"	movups %xmm1, (%rdi)\n"
	"	ret\n"
	FUNCTION("cpu_call_mi")
	"	movq (%rdi), %mm1\n"
	"	movq (%rsi), %mm2\n"
	"	call *%rdx\n"
	"	movq %mm1, (%rdi)\n"
	"	emms\n"
	"	ret\n"
	FUNCTION("cpu_call_blend")
	"	movups (%rdx), %xmm0\n"
	"	jmp *%rcx\n"
	FUNCTION("cpu_call_string")
	"	mov %rsi, %r8\n"
	"	movups (%rdi), %xmm1\n"
	"	movups 16(%rdi), %xmm2\n"
	"	movups 32(%rdi), %xmm0\n"
	"	mov 48(%rdi), %rax\n"
	"	mov 56(%rdi), %rdx\n"
	"	mov 64(%rdi), %rcx\n"
	"	call *%r8\n"
	"	movups %xmm0, 32(%rdi)\n"
	"	mov %rcx, 64(%rdi)\n"
	"	pushfq\n"
	"	pop 72(%rdi)\n"
	"	ret\n"
	".popsection\n");
/* clang-format on */
