// SPDX-License-Identifier: MIT
/*
 * tests/unit_cpu_feature.c - what CPUID offers executes, what it does not offer is #UD
 *
 * One instruction of each feature that a distribution's programs may look for (x86-64-v3 and beyond).  Of the
 * x86-64-v2 baseline all executes whatever CPUID says, as on hardware whose CPUID is masked.
 */
#include "tests/tap.h"

#include "cpu/access.h"
#include "device/internal.h"
#include "tests/cpu_guest.h"

enum { EAX, EBX, ECX, EDX };
enum { PLAIN, HOSTS = 1, BASELINE = 2, NEVER = 4 };

static const struct feature {
	const char *name;
	u32 leaf, subleaf, reg, bit, flags;
	u8 code[12];
} features[] = {
	{ "SSE3", 1, 0, ECX, 0, BASELINE, { 0xf2, 0x0f, 0x7c, 0xca } },
	{ "SSSE3", 1, 0, ECX, 9, BASELINE, { 0x66, 0x0f, 0x38, 0x00, 0xca } },
	{ "CX16", 1, 0, ECX, 13, BASELINE, { 0x48, 0x0f, 0xc7, 0x0e } },
	{ "SSE4.1", 1, 0, ECX, 19, BASELINE, { 0x66, 0x0f, 0x38, 0x38, 0xca } },
	{ "SSE4.2", 1, 0, ECX, 20, BASELINE, { 0xf2, 0x0f, 0x38, 0xf1, 0xc2 } },
	{ "POPCNT", 1, 0, ECX, 23, BASELINE, { 0xf3, 0x0f, 0xb8, 0xc2 } },
	{ "LAHF", 0x80000001, 0, ECX, 0, BASELINE, { 0x9f } },
	{ "CLFLUSH", 1, 0, EDX, 19, BASELINE, { 0x0f, 0xae, 0x3e } },
	{ "PREFETCHW", 0x80000001, 0, ECX, 8, BASELINE, { 0x0f, 0x0d, 0x0e } },
	{ "PCLMULQDQ", 1, 0, ECX, 1, HOSTS, { 0x66, 0x0f, 0x3a, 0x44, 0xca, 0 } },
	{ "MONITOR", 1, 0, ECX, 3, PLAIN, { 0x0f, 0x01, 0xc8 } },
	{ "FMA", 1, 0, ECX, 12, HOSTS, { 0xc4, 0xe2, 0x69, 0xb8, 0xcb } },
	{ "MOVBE", 1, 0, ECX, 22, PLAIN, { 0x0f, 0x38, 0xf0, 0x06 } },
	{ "AES", 1, 0, ECX, 25, HOSTS, { 0x66, 0x0f, 0x38, 0xdc, 0xca } },
	{ "AVX", 1, 0, ECX, 28, HOSTS, { 0xc5, 0xe8, 0x58, 0xcb } },
	{ "F16C", 1, 0, ECX, 29, HOSTS, { 0xc4, 0xe2, 0x79, 0x13, 0xca } },
	{ "RDRAND", 1, 0, ECX, 30, HOSTS, { 0x0f, 0xc7, 0xf0 } },
	{ "FSGSBASE", 7, 0, EBX, 0, PLAIN, { 0xf3, 0x48, 0x0f, 0xae, 0xc0 } },
	{ "BMI1", 7, 0, EBX, 3, PLAIN, { 0xc4, 0xe2, 0x68, 0xf2, 0xc3 } },
	{ "AVX2", 7, 0, EBX, 5, HOSTS, { 0xc5, 0xed, 0xfe, 0xcb } },
	{ "BMI2", 7, 0, EBX, 8, PLAIN, { 0xc4, 0xe2, 0x6b, 0xf5, 0xc3 } },
	{ "INVPCID", 7, 0, EBX, 10, PLAIN, { 0x66, 0x0f, 0x38, 0x82, 0x06 } },
	{ "RDSEED", 7, 0, EBX, 18, HOSTS, { 0x0f, 0xc7, 0xf8 } },
	{ "ADX", 7, 0, EBX, 19, PLAIN, { 0x66, 0x0f, 0x38, 0xf6, 0xc2 } },
	{ "SMAP", 7, 0, EBX, 20, PLAIN, { 0x0f, 0x01, 0xca } },
	{ "CLFLUSHOPT", 7, 0, EBX, 23, PLAIN, { 0x66, 0x0f, 0xae, 0x3e } },
	{ "CLWB", 7, 0, EBX, 24, PLAIN, { 0x66, 0x0f, 0xae, 0x36 } },
	{ "SHA", 7, 0, EBX, 29, HOSTS, { 0x0f, 0x38, 0xc8, 0xca } },
	{ "RDPID", 7, 0, ECX, 22, PLAIN, { 0xf3, 0x0f, 0xc7, 0xf8 } },
	{ "RDTSCP", 0x80000001, 0, EDX, 27, PLAIN, { 0x0f, 0x01, 0xf9 } },
	{ "XSAVEOPT", 0xd, 1, EAX, 0, PLAIN, { 0x0f, 0xae, 0x36 } },
	{ "XSAVEC", 0xd, 1, EAX, 1, PLAIN, { 0x0f, 0xc7, 0x26 } },
	{ "XSAVES", 0xd, 1, EAX, 3, PLAIN, { 0x0f, 0xc7, 0x2e } },
	/* never offered */
	{ "VMX", 1, 0, ECX, 5, NEVER, { 0x0f, 0x01, 0xc2 } },
	{ "SVM", 0x80000001, 0, ECX, 2, NEVER, { 0x0f, 0x01, 0xd8 } },
	{ "SSE4A", 0x80000001, 0, ECX, 6, NEVER, { 0xf2, 0x0f, 0x79, 0xca } },
	{ "3DNOW", 0x80000001, 0, EDX, 31, NEVER, { 0x0f, 0x0f, 0xca, 0x9e } },
	{ "RTM", 7, 0, EBX, 11, NEVER, { 0xc7, 0xf8, 0, 0, 0, 0 } },
	{ "AVX512F", 7, 0, EBX, 16, NEVER, { 0x62, 0xf1, 0x6c, 0x48, 0x58, 0xcb } },
	{ "PKU", 7, 0, ECX, 3, NEVER, { 0x0f, 0x01, 0xee } },
	{ "WAITPKG", 7, 0, ECX, 5, NEVER, { 0x66, 0x0f, 0xae, 0xf0 } },
	{ "GFNI", 7, 0, ECX, 8, NEVER, { 0x66, 0x0f, 0x38, 0xcf, 0xca } },
	{ "VAES", 7, 0, ECX, 9, NEVER, { 0xc4, 0xe2, 0x6d, 0xdc, 0xcb } },
	{ "VPCLMULQDQ", 7, 0, ECX, 10, NEVER, { 0xc4, 0xe3, 0x6d, 0x44, 0xcb, 0 } },
	{ "MOVDIRI", 7, 0, ECX, 27, NEVER, { 0x0f, 0x38, 0xf9, 0x06 } },
	{ "MOVDIR64B", 7, 0, ECX, 28, NEVER, { 0x66, 0x0f, 0x38, 0xf8, 0x06 } },
	{ "SERIALIZE", 7, 0, EDX, 14, NEVER, { 0x0f, 0x01, 0xe8 } },
	{ "AVX-VNNI", 7, 1, EAX, 4, NEVER, { 0xc4, 0xe2, 0x69, 0x50, 0xcb } },
	{ "CLZERO", 0x80000008, 0, EBX, 0, NEVER, { 0x0f, 0x01, 0xfc } },
	{ "MONITORX", 0x80000001, 0, ECX, 29, NEVER, { 0x0f, 0x01, 0xfa } },
	{ "RDPRU", 0x80000008, 0, EBX, 4, NEVER, { 0x0f, 0x01, 0xfd } },
	{ "XOP", 0x80000001, 0, ECX, 11, NEVER, { 0x8f, 0xe8, 0x68, 0xc0, 0xca, 1 } },
	{ "TBM", 0x80000001, 0, ECX, 21, NEVER, { 0x8f, 0xe9, 0x78, 0x01, 0xca } },
	{ "FMA4", 0x80000001, 0, ECX, 16, NEVER, { 0xc4, 0xe3, 0x69, 0x68, 0xcb, 0x40 } },
};

static const struct feature *hidden; /* alone is not offered; NULL: everything is */
static struct kvm_cpuid2 *table;     /* or what the device offers */

static void answer(void *ctx, u32 leaf, u32 subleaf, u32 out[4])
{
	memset(out, 0, 16);
	for (u32 i = 0; table && i < table->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &table->entries[i];

		if (e->function == leaf && (e->index == subleaf || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			memcpy(out, &e->eax, 16);
	}
	if (table)
		return;
	if (leaf == 0) {
		out[0] = 0xd;
	} else if (leaf == 0x80000000) {
		out[0] = 0x80000008;
	} else if (leaf == 0x80000008) {
		out[0] = 0x3030;
	} else if (leaf == 1 || leaf == 7 || leaf == 0xd || leaf == 0x80000001) {
		memset(out, 0xff, 16);
		if (hidden && hidden->leaf == leaf && hidden->subleaf == subleaf)
			out[hidden->reg] &= ~(1U << hidden->bit);
	}
}

static bool offered(const struct feature *f)
{
	u32 r[4];

	answer(NULL, f->leaf, f->subleaf, r);
	return r[f->reg] >> f->bit & 1;
}

/* The vector that the instruction raises, or 0 when it runs. */
static int run(struct guest *g, const struct feature *f)
{
	struct cpu *c = g->cpu;
	struct cpu_insn in;
	enum cpu_exit why;

	guest_long(g, 0);
	cpu_cpuid_changed(c);
	c->cr4 |= (c->features & CPU_HAS_FSGSBASE ? 1 << 16 : 0) | (c->features & CPU_HAS_XSAVE ? 1 << 18 : 0);
	c->xcr0 = c->features & CPU_HAS_AVX ? 7 : 3;
	cpu_state_changed(c);
	memset(g->mem + G_DATA, 0, 4096);
	c->gpr[CPU_RSI] = G_DATA;
	cpu_decode(&in, f->code, sizeof(f->code), CPU_MODE_64, 0);
	guest_code(g, f->code, sizeof(f->code));
	g->mem[G_CODE + in.length] = 0xf4;
	why = cpu_run(c);
	if (why != CPU_EXIT_IO)
		return why == CPU_EXIT_HLT ? 0 : -1 - (int)why;
	c->pending = CPU_PENDING_NONE;
	return c->exit.io.data[0];
}

static bool host_lacks(const struct feature *f)
{
	u32 r[4];

	if (!(f->flags & HOSTS))
		return false;
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(f->leaf), "c"(f->subleaf));
	return !(r[f->reg] >> f->bit & 1);
}

static void each(struct guest *g)
{
	for (unsigned i = 0; i < RT_ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];
		int vector;

		hidden = NULL;
		vector = run(g, f);
		if (f->flags & NEVER)
			is(vector, 6, "%s is never there", f->name);
		else if (host_lacks(f))
			is(vector, 6, "%s: this host has none to execute it with", f->name);
		else
			ok(vector != 6 && vector >= 0, "%s, offered, is not #UD", f->name);
		if (f->flags & (NEVER | BASELINE))
			continue;
		hidden = f;
		is(run(g, f), 6, "%s, not offered, is #UD", f->name);
	}
}

/* KVM_GET_SUPPORTED_CPUID as a program takes it. */
static void device(struct guest *g)
{
	struct core_err err = { 0 };
	u32 one[4];

	table = calloc(1, sizeof(*table) + 256 * sizeof(table->entries[0]));
	table->nent = 256;
	is(dev_system_supported_cpuid(NULL, (u64)(uintptr_t)table, table, &err), 0, "the device offers a CPU");
	answer(NULL, 1, 0, one);
	is(one[EDX] & 2, 0, "without virtual-8086 extensions");
	for (unsigned i = 0; i < RT_ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];
		const bool there = offered(f);

		if (there || !(f->flags & BASELINE))
			is(run(g, f) == 6, !there, "%s, which it %s", f->name, there ? "has" : "has not");
	}
	free(table);
	table = NULL;
}

int main(void)
{
	struct guest *g = guest_new();
	struct cpu_bus bus = guest_bus;

	bus.cpuid = answer;
	g->cpu->bus = &bus;
	each(g);
	device(g);
	guest_free(g);
	return done_testing();
}
