// SPDX-License-Identifier: MIT
/*
 * cpu/avx_stub.c - one host instruction each: the stubs of cpu/avx.def, 8 bytes long
 *
 * They need no compiler flag, and are only called where the host has the instruction.
 */
#include "cpu/avx.h"

#define PP_NP "0"
#define PP_66 "1"
#define PP_F3 "2"
#define PP_F2 "3"
#define MAP_0F "0xe1"
#define MAP_38 "0xe2"
#define MAP_3A "0xe3"
#define W_W0 "0"
#define W_W1 "0x80"
#define W_WIG "0"
/* VEX.vvvv is inverted: register 3, or none. */
#define V_A2 "0x78"
#define V_A2I "0x78"
#define V_A3 "0x60"
#define V_A3I "0x60"
#define V_A4 "0x60"
#define V_AI "0x60"
#define V_AG "0x78"
#define V_AF "0x78"
#define V_APS2PH "0x78"
#define IS4_A2 ""
#define IS4_A3 ""
#define IS4_A4 ",0x40"
#define IS4_AI ""
#define IS4_AG ""
#define IS4_AF ""

#define CODE_(class, pp, map, op, w, l, imm)                                                                           \
	".byte 0xc4," MAP_##map "," W_##w "+" V_##class "+" l "+" PP_##pp ",0x" #op ",0xca" imm "\n ret\n"              \
	".balign 8, 0xcc\n"
#define CODE_L0(class, pp, map, op, w, imm)  CODE_(class, pp, map, op, w, "0", imm)
#define CODE_L1(class, pp, map, op, w, imm)  CODE_(class, pp, map, op, w, "4", imm)
#define CODE_LX(class, pp, map, op, w, imm)  CODE_L0(class, pp, map, op, w, imm) CODE_L1(class, pp, map, op, w, imm)
#define CODE_LIG(class, pp, map, op, w, imm) CODE_L0(class, pp, map, op, w, imm)

#define EACH_(count, code) ".set imm, 0\n.rept " #count "\n" code ".set imm, imm + 1\n.endr\n"
#define EACH_L0(class, pp, map, op, w, count)  EACH_(count, CODE_L0(class, pp, map, op, w, ",imm"))
#define EACH_L1(class, pp, map, op, w, count)  EACH_(count, CODE_L1(class, pp, map, op, w, ",imm"))
#define EACH_LX(class, pp, map, op, w, count)                                                                          \
	EACH_L0(class, pp, map, op, w, count) EACH_L1(class, pp, map, op, w, count)
#define EACH_LIG(class, pp, map, op, w, count) EACH_L0(class, pp, map, op, w, count)

/* clang-format off */
__asm__(".pushsection .text\n"
	".balign 64\n"
	".globl cpu_avx_stubs\n.hidden cpu_avx_stubs\n"
	"cpu_avx_stubs:\n"
#define VEX(class, pp, map, op, w, l, low, high, flags, feature) CODE_##l(class, pp, map, op, w, IS4_##class)
#define VEXI(class, pp, map, op, w, l, low, high, flags, feature, count) EACH_##l(class, pp, map, op, w, count)
#include "cpu/avx.def"
	".balign 16\n"
	".globl cpu_call_avx\n.hidden cpu_call_avx\n.type cpu_call_avx, @function\n"
	"cpu_call_avx:\n"
	"	vmovups (%rdi), %ymm1\n"
	"	vmovups 32(%rdi), %ymm2\n"
	"	vmovups 64(%rdi), %ymm3\n"
	"	vmovups 96(%rdi), %ymm4\n"
	"	mov 128(%rdi), %rcx\n"
	"	mov 136(%rdi), %rdx\n"
	"	call *%rsi\n"
	"	vmovups %ymm1, (%rdi)\n"
	"	vmovups %ymm2, 32(%rdi)\n"
	"	mov %rcx, 128(%rdi)\n"
	"	pushfq\n"
	"	pop 144(%rdi)\n"
	"	vzeroupper\n"
	"	ret\n"
	".size cpu_call_avx, .-cpu_call_avx\n"
	".popsection\n");
/* clang-format on */
