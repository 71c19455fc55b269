// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_length.c - the decoder's lengths are those of a disassembler library
 *
 *	unit_cpu_length [ROUNDS [SEED]]
 *
 * Random bytes, most of them shaped like instructions, in 16-, 32- and 64-bit mode.  Where both the decoder and
 * Zydis accept them, the lengths are equal.  Zydis accepts nothing that the decoder refuses,
 * except what unknown[] has, with reasons.
 */
#include "tests/tap.h"

#if __has_include(<Zydis/Zydis.h>)
#include <string.h>
#include <Zydis/Zydis.h>

#include "cpu/access.h"
#include "cpu/ops.h"

static u64 seed = 0x9e3779b97f4a7c15ULL;

static unsigned below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed * 0x2545f4914f6cdd1dULL >> 40) % n);
}

/* Prefixes, perhaps an escape, and whatever follows. */
static void shape(u8 bytes[16], bool wide)
{
	static const u8 prefixes[] = { 0x66, 0x66, 0x66, 0x67, 0x67, 0xf2, 0xf3, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65 };
	const bool many = !below(32);
	unsigned n = 0;

	for (unsigned i = 0; i < 16; i++)
		bytes[i] = (u8)below(256);
	if (!below(16))
		return;
	while (n < 14 && below(5) < (many ? 4 : 2))
		bytes[n++] = prefixes[below(sizeof(prefixes))];
	if (wide && below(2))
		bytes[n++] = (u8)(0x40 + below(16));
	switch (n < 12 ? below(8) : 0) {
	case 0:
	case 1:
		return;
	case 2:
		bytes[n++] = 0x0f;
		bytes[n++] = below(2) ? 0x38 : 0x3a;
		return;
	case 3:
		bytes[n++] = 0xc5;
		return;
	case 4:
		bytes[n++] = 0xc4;
		bytes[n++] = (u8)((wide ? below(8) : 7) << 5 | (1 + below(3)));
		return;
	}
	bytes[n++] = 0x0f;
}

/* Why the decoder need not know an instruction: by the beginning of the name of its set, or by its own name. */
static const struct {
	const char *name, *reason;
} unknown[] = {
	{ "AMD3DNOW", "gone from all processors since 2010; of it PREFETCHW stays" },
	{ "SSE4A", "not offered; immediates of two bytes" },
	{ "AVX512", "not offered: EVEX, and VEX of mask registers" },
	{ "KNC", "of another processor's EVEX and VEX" },
	{ "XOP", "not offered; POP shares its first byte" },
	{ "TBM", "XOP's encoding" },
	{ "LWP", "XOP's encoding" },
	{ "FMA4", "not offered" },
	{ "SMX", "not offered" },
	{ "AMX", "not offered" },
	{ "PADLOCK", "VIA's only" },
	{ "rsm", "there is no system management mode" },
	{ "ud0", "undefined by definition" },
	{ "ud1", "undefined by definition" },
	{ "ud2", "undefined by definition" },
};

static bool is_unknown(const ZydisDecodedInstruction *z)
{
	const char *set = ZydisISASetGetString(z->meta.isa_set), *mnemonic = ZydisMnemonicGetString(z->mnemonic);

	for (unsigned i = 0; i < RT_ARRAY_SIZE(unknown); i++) {
		if (!strncmp(set, unknown[i].name, strlen(unknown[i].name)) || !strcmp(mnemonic, unknown[i].name))
			return true;
	}
	return false;
}

static void complain(const u8 *bytes, const ZydisDecodedInstruction *z, const struct cpu_insn *in, const char *what)
{
	char text[64] = "";

	for (unsigned i = 0; i < 15; i++)
		sprintf(text + 3 * i, "%02x ", bytes[i]);
	diag("%s%s (%s): %u bytes, ours %u, %s", text, ZydisMnemonicGetString(z->mnemonic), ZydisISASetGetString(z->meta.isa_set),
	     z->length, in->length, what);
}

static void compare(int mode, const ZydisDecoder *decoder, unsigned rounds)
{
	static const char *const names[] = { "16", "32", "64" };
	unsigned both = 0, lengths = 0, missing = 0, locked = 0, unlocked = 0, too_long = 0, cut = 0;

	for (unsigned i = 0; i < rounds; i++) {
		ZydisDecodedInstruction z;
		struct cpu_insn in;
		u8 bytes[16];
		bool accepted;
		ZyanStatus status;

		shape(bytes, mode == CPU_MODE_64);
		status = ZydisDecoderDecodeInstruction(decoder, NULL, bytes, 16, &z);
		cpu_decode(&in, bytes, 15, mode, 0);
		accepted = in.fn != op_undefined && in.fn != op_too_long;
		if (status == ZYDIS_STATUS_ILLEGAL_LOCK && ++locked && accepted && unlocked++ < 20)
			complain(bytes, &z, &in, "LOCK is not refused");
		/* What is undefined anyhow has no length. */
		if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG && ++too_long && accepted && cut++ < 20)
			complain(bytes, &z, &in, "of more than 15 bytes");
		if (!ZYAN_SUCCESS(status))
			continue;
		if (is_unknown(&z))
			continue;
		if (!accepted) {
			if (missing++ < 20)
				complain(bytes, &z, &in, "refused");
			continue;
		}
		both++;
		if (in.length != z.length && lengths++ < 20)
			complain(bytes, &z, &in, "another length");
	}
	is(lengths, 0, "%s-bit mode: %u instructions are as long as Zydis says", names[mode], both);
	is(missing, 0, "%s-bit mode: none is missing", names[mode]);
	is(unlocked, 0, "%s-bit mode: LOCK is refused on %u instructions", names[mode], locked);
	is(cut, 0, "%s-bit mode: %u instructions are too long", names[mode], too_long);
	ok(both > rounds / 8 && locked && too_long, "%s-bit mode: enough were compared", names[mode]);
}

/* #GP for more than 15 bytes comes before #UD for LOCK. */
static void long_lock(void)
{
	u8 bytes[16] = { [13] = 0x01, 0x04, 0x25 };
	struct cpu_insn in;

	memset(bytes, 0xf0, 13);
	cpu_decode(&in, bytes, 15, CPU_MODE_64, 0);
	ok(in.fn == op_too_long, "LOCK ADD of 19 bytes is too long");
	bytes[13] = 0x03;
	cpu_decode(&in, bytes, 15, CPU_MODE_64, 0);
	ok(in.fn == op_too_long, "and so is one that LOCK is not for");
}

int main(int argc, char **argv)
{
	const unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 2000000;
	ZydisDecoder decoder;

	if (argc > 2)
		seed ^= strtoull(argv[2], NULL, 0) << 20;
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	compare(CPU_MODE_16, &decoder, rounds);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	compare(CPU_MODE_32, &decoder, rounds);
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	compare(CPU_MODE_64, &decoder, rounds);
	long_lock();
	return done_testing();
}
#else
int main(void)
{
	skip_all("no libzydis-dev to compare with");
}
#endif
