// SPDX-License-Identifier: MIT
/*
 * cpu/state.c - reset, CPUID's consequences, MSRs
 */
#include "cpu/access.h"

/* MISC_ENABLE: no PEBS, no BTS, which the guest cannot change; EMON, whose writes are ignored. */
#define MISC_PMU  0x1800ULL
#define MISC_EMON 0x80ULL

/* ---- reset ---- */

static void reset_segment(struct cpu_segment *s, u16 selector, u64 base, u8 type)
{
	memset(s, 0, sizeof(*s));
	s->selector = selector;
	s->base = base;
	s->limit = 0xffff;
	s->type = type;
	s->present = 1;
	s->s = type > 2 && type != 11 ? 1 : 0;
}

void cpu_reset(struct cpu *cpu, bool init)
{
	static const u16 fpu_control = 0x37f;

	memset(cpu->gpr, 0, sizeof(cpu->gpr));
	cpu->zero = 0;
	cpu->gpr[CPU_RDX] = 0x600;
	cpu->rip = 0xfff0;
	for (unsigned i = 0; i <= CPU_GS; i++)
		reset_segment(&cpu->seg[i], 0, 0, 3);
	reset_segment(&cpu->seg[CPU_CS], 0xf000, 0xffff0000, 3);
	cpu->seg[CPU_CS].type = 11;
	cpu->seg[CPU_CS].s = 1;
	reset_segment(&cpu->seg[CPU_LDTR], 0, 0, 2);
	reset_segment(&cpu->seg[CPU_TR], 0, 0, 11);
	cpu->gdtr = (struct cpu_table){ 0, 0xffff };
	cpu->idtr = (struct cpu_table){ 0, 0xffff };
	cpu->cr0 = 0x60000010;
	cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->cr8 = cpu->efer = 0;
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr6 = 0xffff0ff0;
	cpu->dr7 = 0x400;
	cpu->cpl = 0;
	cpu->halted = false;
	cpu->trap_dr6 = 0;
	cpu->event.active = cpu->task.active = false;
	cpu->pending = CPU_PENDING_NONE;
	cpu->deferred = false;
	cpu->read_count = cpu->read_pos = cpu->write_count = cpu->write_pos = 0;
	memset(&cpu->events, 0, sizeof(cpu->events));
	if (!init) {
		memset(&cpu->fpu, 0, sizeof(cpu->fpu));
		cpu->fpu.fcw = fpu_control;
		cpu->fpu.mxcsr = 0x1f80;
		cpu->fpu.mxcsr_mask = 0xffff;
		cpu->xcr0 = 1;
		memset(&cpu->msr, 0, sizeof(cpu->msr));
		cpu->msr.apic_base = 0xfee00900;
		cpu->msr.pat = 0x0007040600070406ULL;
		cpu->msr.misc_enable = MISC_PMU;
	}
	cpu_set_rflags(cpu, 2);
	cpu_flush_memory(cpu);
	cpu_update_mode(cpu);
}

void cpu_state_changed(struct cpu *cpu)
{
	cpu->zero = 0;
	if (!(cpu->cr0 & 1))
		cpu->cpl = 0;
	else
		cpu->cpl = cpu->flags & CPU_F_VM ? 3 : cpu->seg[CPU_SS].dpl;
	cpu->insn = NULL;
	cpu->task.active = false;
	cpu_flush_memory(cpu);
	cpu_update_mode(cpu);
	cpu_attention(cpu);
}

/* ---- CPUID ---- */

struct feature {
	u32 leaf, reg, bit;
	u64 flag;
};

void cpu_cpuid_changed(struct cpu *cpu)
{
	static const struct feature table[] = {
		{1,	     2, 1,  CPU_HAS_PCLMUL	  },
		{ 1,	     2, 3,  CPU_HAS_MONITOR  },
		{ 1,	     2, 12, CPU_HAS_FMA	},
		{ 1,	     2, 17, CPU_HAS_PCID	 },
		{ 1,	     2, 22, CPU_HAS_MOVBE	  },
		{ 1,	     2, 25, CPU_HAS_AES	},
		{ 1,	     2, 26, CPU_HAS_XSAVE	  },
		{ 1,	     2, 28, CPU_HAS_AVX	},
		{ 1,	     2, 29, CPU_HAS_F16C	 },
		{ 1,	     2, 30, CPU_HAS_RDRAND   },
		{ 7,	     1, 0,  CPU_HAS_FSGSBASE },
		{ 7,	     1, 3,  CPU_HAS_BMI1	},
		{ 7,	     1, 5,  CPU_HAS_AVX2	},
		{ 7,	     1, 7,  CPU_HAS_SMEP	},
		{ 7,	     1, 8,  CPU_HAS_BMI2	},
		{ 7,	     1, 10, CPU_HAS_INVPCID  },
		{ 7,	     1, 18, CPU_HAS_RDSEED   },
		{ 7,	     1, 19, CPU_HAS_ADX	},
		{ 7,	     1, 20, CPU_HAS_SMAP	 },
		{ 7,	     1, 29, CPU_HAS_SHA	},
		{ 7,	     2, 2,  CPU_HAS_UMIP	},
		{ 7,	     2, 16, CPU_HAS_LA57	 },
		{ 7,	     2, 22, CPU_HAS_RDPID	  },
		{ 7,	     1, 23, CPU_HAS_CLFLUSHOPT},
		{ 7,	     1, 24, CPU_HAS_CLWB     },
		{ 0xd,	       0, 0,  CPU_HAS_XSAVEOPT }, /* subleaf 1 */
		{ 0xd,	       0, 1,  CPU_HAS_XSAVEC   },
		{ 0xd,	       0, 2,  CPU_HAS_XGETBV1  },
		{ 0xd,	       0, 3,  CPU_HAS_XSAVES   },
		{ 0x80000001, 2, 5,  CPU_HAS_LZCNT	  },
		{ 0x80000001, 3, 20, CPU_HAS_NX	},
		{ 0x80000001, 3, 26, CPU_HAS_1G	},
		{ 0x80000001, 3, 27, CPU_HAS_RDTSCP   },
		{ 0x80000001, 3, 29, CPU_HAS_LONG_MODE},
	};
	u32 r[4] = { 0 }, max, max_extended;
	u64 features = 0;

	cpu->bus->cpuid(cpu->ctx, 0, 0, r);
	max = r[0];
	if (r[1] == 0x68747541 || r[1] == 0x6f677948) /* Auth(enticAMD), Hygo(nGenuine) */
		features |= CPU_HAS_AMD;
	memset(r, 0, sizeof(r));
	cpu->bus->cpuid(cpu->ctx, 0x80000000, 0, r);
	max_extended = r[0];
	for (unsigned i = 0; i < RT_ARRAY_SIZE(table); i++) {
		const struct feature *f = &table[i];

		if (f->leaf > (f->leaf >> 31 ? max_extended : max))
			continue;
		memset(r, 0, sizeof(r));
		cpu->bus->cpuid(cpu->ctx, f->leaf, f->leaf == 0xd, r);
		if (r[f->reg] >> f->bit & 1)
			features |= f->flag;
	}
	cpu->phys_bits = 36;
	if (max_extended >= 0x80000008) {
		memset(r, 0, sizeof(r));
		cpu->bus->cpuid(cpu->ctx, 0x80000008, 0, r);
		cpu->phys_bits = (u8)r[0];
	}
	if (cpu->phys_bits < 32 || cpu->phys_bits > 52)
		cpu->phys_bits = cpu->phys_bits < 32 ? 36 : 52;
	cpu->features = features;
	cpu_forget_code(cpu);
	cpu_flush_tlb(cpu);
}

/* ---- MSRs ---- */

enum {
	MSR_TSC = 0x10,
	MSR_APIC_BASE = 0x1b,
	MSR_MTRR_CAP = 0xfe,
	MSR_SYSENTER_CS = 0x174,
	MSR_SYSENTER_ESP,
	MSR_SYSENTER_EIP,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_DEBUGCTL = 0x1d9,
	MSR_MTRR_BASE = 0x200,
	MSR_MTRR_END = 0x20f,
	MSR_MTRR_FIX64K = 0x250,
	MSR_MTRR_FIX16K = 0x258,
	MSR_MTRR_FIX4K = 0x268,
	MSR_PAT = 0x277,
	MSR_MTRR_DEF = 0x2ff,
	MSR_XSS = 0xda0,
};
enum {
	MSR_EFER = (int)0xc0000080,
	MSR_STAR,
	MSR_LSTAR,
	MSR_CSTAR,
	MSR_SFMASK,
	MSR_FS_BASE = (int)0xc0000100,
	MSR_GS_BASE,
	MSR_KERNEL_GS_BASE,
	MSR_TSC_AUX,
};

static u64 *fixed_mtrr(struct cpu *cpu, u32 index)
{
	if (index == MSR_MTRR_FIX64K)
		return &cpu->msr.mtrr_fix[0];
	if (index == MSR_MTRR_FIX16K || index == MSR_MTRR_FIX16K + 1)
		return &cpu->msr.mtrr_fix[1 + index - MSR_MTRR_FIX16K];
	if (index >= MSR_MTRR_FIX4K && index < MSR_MTRR_FIX4K + 8)
		return &cpu->msr.mtrr_fix[3 + index - MSR_MTRR_FIX4K];
	return NULL;
}

/* MSRs that are a plain field; NULL for others. */
static u64 *field(struct cpu *cpu, u32 index)
{
	switch ((int)index) {
	case MSR_APIC_BASE:
		return &cpu->msr.apic_base;
	case MSR_SYSENTER_CS:
		return &cpu->msr.sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &cpu->msr.sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &cpu->msr.sysenter_eip;
	case MSR_MISC_ENABLE:
		return &cpu->msr.misc_enable;
	case MSR_DEBUGCTL:
		return &cpu->msr.debugctl;
	case MSR_PAT:
		return &cpu->msr.pat;
	case MSR_MTRR_DEF:
		return &cpu->msr.mtrr_def;
	case MSR_STAR:
		return &cpu->msr.star;
	case MSR_LSTAR:
		return &cpu->msr.lstar;
	case MSR_CSTAR:
		return &cpu->msr.cstar;
	case MSR_SFMASK:
		return &cpu->msr.sfmask;
	case MSR_KERNEL_GS_BASE:
		return &cpu->msr.kernel_gs_base;
	case MSR_TSC_AUX:
		return &cpu->msr.tsc_aux;
	case MSR_FS_BASE:
		return &cpu->seg[CPU_FS].base;
	case MSR_GS_BASE:
		return &cpu->seg[CPU_GS].base;
	case MSR_EFER:
		return &cpu->efer;
	}
	if (index >= MSR_MTRR_BASE && index <= MSR_MTRR_END) {
		const u32 i = (index - MSR_MTRR_BASE) / 2;

		return index & 1 ? &cpu->msr.mtrr_mask[i] : &cpu->msr.mtrr_base[i];
	}
	return fixed_mtrr(cpu, index);
}

bool cpu_get_msr(struct cpu *cpu, u32 index, u64 *ret)
{
	const u64 *p = field(cpu, index);

	if (p) {
		*ret = *p;
		return true;
	}
	if (index == MSR_TSC)
		*ret = cpu_time_stamp(cpu);
	else if (index == MSR_XSS && (cpu->features & CPU_HAS_XSAVES))
		*ret = 0; /* no supervisor state */
	else if (index == MSR_MTRR_CAP)
		*ret = 0x500 | CPU_MTRR_VAR;
	else
		return false;
	return true;
}

static bool memory_type(u64 type)
{
	return type <= 1 || (type >= 4 && type <= 6);
}

static bool each_type(u64 v, bool pat)
{
	for (unsigned i = 0; i < 8; i++, v >>= 8) {
		if (!memory_type(v & 0xff) && !(pat && (v & 0xff) == 7))
			return false;
	}
	return true;
}

static u64 efer_allowed(const struct cpu *cpu)
{
	return 1 | 1 << 10 | (cpu->features & CPU_HAS_LONG_MODE ? 1 << 8 : 0) |
	       (cpu->features & CPU_HAS_NX ? 1 << 11 : 0);
}

/* What the processor refuses, whoever writes. */
static bool valid(const struct cpu *cpu, u32 index, u64 v)
{
	const u64 beyond = v >> cpu->phys_bits;

	switch ((int)index) {
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
		return cpu_canonical(cpu, v);
	case MSR_TSC_AUX:
		return (cpu->features & CPU_HAS_AMD) || !(v >> 32);
	case MSR_PAT:
		return each_type(v, true);
	case MSR_EFER:
		return !(v & ~efer_allowed(cpu));
	case MSR_APIC_BASE:
		return !beyond && !(v & 0x2ff & ~0x100ULL);
	case MSR_MTRR_DEF:
		return !(v & ~0xcffULL) && memory_type(v & 0xff);
	case MSR_MTRR_CAP:
		return false;
	}
	if (index >= MSR_MTRR_BASE && index <= MSR_MTRR_END)
		return !beyond && (index & 1 ? !(v & 0x7ff) : !(v & 0xf00) && memory_type(v & 0xff));
	if (index >= MSR_MTRR_FIX64K && index < MSR_MTRR_FIX4K + 8)
		return each_type(v, false);
	return true;
}

int cpu_set_msr(struct cpu *cpu, u32 index, u64 value)
{
	u64 *p = field(cpu, index), now;

	if (index == MSR_XSS && (cpu->features & CPU_HAS_XSAVES))
		return value ? -EINVAL : 0;
	if (!p && index != MSR_TSC)
		return index == MSR_MTRR_CAP ? -EINVAL : -ENOENT;
	if (!valid(cpu, index, value))
		return -EINVAL;
	if (index == MSR_TSC) {
		now = cpu_time_stamp(cpu);
		cpu->tsc_offset += value - now;
		return 0;
	}
	*p = value;
	switch ((int)index) {
	case MSR_TSC_AUX:
		*p = (u32)value; /* AMD ignores the upper half, which Intel refuses */
		break;
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
		if (cpu->features & CPU_HAS_AMD)
			*p = (u32)value;
		break;
	case MSR_EFER:
		cpu_flush_tlb(cpu);
		cpu_update_mode(cpu);
		break;
	case MSR_FS_BASE:
	case MSR_GS_BASE:
		cpu_update_mode(cpu);
		break;
	}
	return 0;
}

/* What the guest's CPUID hides from RDMSR and WRMSR. */
bool cpu_guest_msr_hidden(const struct cpu *cpu, u32 index)
{
	return (int)index == MSR_TSC_AUX && !(cpu->features & (CPU_HAS_RDTSCP | CPU_HAS_RDPID));
}

/* As the guest writes it: EFER.LMA is the processor's own, LME changes only without paging. */
int cpu_guest_wrmsr(struct cpu *cpu, u32 index, u64 value)
{
	if (cpu_guest_msr_hidden(cpu, index))
		return -EINVAL;
	if ((int)index == MSR_EFER) {
		const u64 lma = 1 << 10, lme = 1 << 8;

		if (((value ^ cpu->efer) & lme) && (cpu->cr0 >> 31))
			return -EINVAL;
		value = (value & ~lma) | (cpu->efer & lma);
	}
	if (index == MSR_MISC_ENABLE) {
		if ((value ^ cpu->msr.misc_enable) & MISC_PMU)
			return -EINVAL;
		value = (value & ~MISC_EMON) | (cpu->msr.misc_enable & MISC_EMON);
	}
	if ((int)index == MSR_APIC_BASE)
		return -ENOENT; /* the owner's APIC decides, and sets it */
	return cpu_set_msr(cpu, index, value);
}
