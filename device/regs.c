// SPDX-License-Identifier: MIT
/*
 * device/regs.c - registers of a vCPU: general, special, FPU, XSAVE, debug, and kvm_run's copies
 */
#include "device/internal.h"
#include "rt/string.h"
#include "rt/user.h"

#define CR0_PE		   (1ULL << 0)
#define CR0_NW		   (1ULL << 29)
#define CR0_CD		   (1ULL << 30)
#define CR0_PG		   (1ULL << 31)
#define CR4_PAE		   (1ULL << 5)
#define CR4_ALWAYS	   0x7ffULL
#define EFER_SCE	   (1ULL << 0)
#define EFER_LME	   (1ULL << 8)
#define EFER_LMA	   (1ULL << 10)
#define EFER_NX		   (1ULL << 11)
#define EFLAGS_FIXED	   (1ULL << 1)
#define XFEATURE_FP	   (1ULL << 0)
#define XFEATURE_SSE	   (1ULL << 1)
#define XFEATURE_AVX	   (1ULL << 2)
#define APIC_RESERVED_LOW  0x2ffULL /* bits 7:0 and 9 */
#define APIC_MODE	   0xc00ULL
#define APIC_MODE_INVALID  0x400ULL /* x2APIC without the APIC */
#define DR_HIGH		   0xffffffff00000000ULL

/* ---- general ---- */

static void get_regs(const struct cpu *cpu, struct kvm_regs *r)
{
	*r = (struct kvm_regs){ .rax = cpu->gpr[CPU_RAX], .rbx = cpu->gpr[CPU_RBX], .rcx = cpu->gpr[CPU_RCX],
				.rdx = cpu->gpr[CPU_RDX], .rsi = cpu->gpr[CPU_RSI], .rdi = cpu->gpr[CPU_RDI],
				.rsp = cpu->gpr[CPU_RSP], .rbp = cpu->gpr[CPU_RBP], .r8 = cpu->gpr[8],
				.r9 = cpu->gpr[9],	  .r10 = cpu->gpr[10],	    .r11 = cpu->gpr[11],
				.r12 = cpu->gpr[12],	  .r13 = cpu->gpr[13],	    .r14 = cpu->gpr[14],
				.r15 = cpu->gpr[15],	  .rip = cpu->rip,	    .rflags = cpu_rflags(cpu) };
}

static void set_regs(struct cpu *cpu, const struct kvm_regs *r)
{
	cpu->gpr[CPU_RAX] = r->rax;
	cpu->gpr[CPU_RBX] = r->rbx;
	cpu->gpr[CPU_RCX] = r->rcx;
	cpu->gpr[CPU_RDX] = r->rdx;
	cpu->gpr[CPU_RSI] = r->rsi;
	cpu->gpr[CPU_RDI] = r->rdi;
	cpu->gpr[CPU_RSP] = r->rsp;
	cpu->gpr[CPU_RBP] = r->rbp;
	cpu->gpr[8] = r->r8;
	cpu->gpr[9] = r->r9;
	cpu->gpr[10] = r->r10;
	cpu->gpr[11] = r->r11;
	cpu->gpr[12] = r->r12;
	cpu->gpr[13] = r->r13;
	cpu->gpr[14] = r->r14;
	cpu->gpr[15] = r->r15;
	cpu->rip = r->rip;
	cpu_set_rflags(cpu, r->rflags | EFLAGS_FIXED);
	cpu->events.exception.pending = 0;
	cpu_state_changed(cpu);
}

long dev_vcpu_get_regs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct kvm_regs regs;

	get_regs(dev_to_vcpu(obj)->cpu, &regs);
	return dev_copy_out(arg, &regs, sizeof(regs), err);
}

long dev_vcpu_set_regs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	set_regs(dev_to_vcpu(obj)->cpu, copy);
	return 0;
}

/* ---- special ---- */

static void get_segment(const struct cpu *cpu, unsigned which, struct kvm_segment *ret)
{
	const struct cpu_segment *s = &cpu->seg[which];

	*ret = (struct kvm_segment){ .base = s->base, .limit = s->limit, .selector = s->selector, .type = s->type,
				     .present = s->present, .dpl = s->dpl, .db = s->db, .s = s->s, .l = s->l, .g = s->g,
				     .avl = s->avl, .unusable = s->unusable };
}

static void set_segment(struct cpu *cpu, unsigned which, const struct kvm_segment *s)
{
	cpu->seg[which] = (struct cpu_segment){ .base = s->base, .limit = s->limit, .selector = s->selector,
						.type = s->type & 15, .present = s->present != 0, .dpl = s->dpl & 3,
						.db = s->db != 0, .s = s->s != 0, .l = s->l != 0, .g = s->g != 0,
						.avl = s->avl != 0, .unusable = s->unusable != 0 };
}

/* What kvm_sregs and kvm_sregs2 have in common: all before interrupt_bitmap. */
static void get_common(struct dev_vcpu *v, struct kvm_sregs *r)
{
	const struct cpu *cpu = v->cpu;

	memset(r, 0, sizeof(*r));
	get_segment(cpu, CPU_CS, &r->cs);
	get_segment(cpu, CPU_DS, &r->ds);
	get_segment(cpu, CPU_ES, &r->es);
	get_segment(cpu, CPU_FS, &r->fs);
	get_segment(cpu, CPU_GS, &r->gs);
	get_segment(cpu, CPU_SS, &r->ss);
	get_segment(cpu, CPU_TR, &r->tr);
	get_segment(cpu, CPU_LDTR, &r->ldt);
	r->gdt.base = cpu->gdtr.base;
	r->gdt.limit = cpu->gdtr.limit;
	r->idt.base = cpu->idtr.base;
	r->idt.limit = cpu->idtr.limit;
	r->cr0 = cpu->cr0;
	r->cr2 = cpu->cr2;
	r->cr3 = cpu->cr3;
	r->cr4 = cpu->cr4;
	r->cr8 = v->irq && v->irq->get_tpr ? v->irq->get_tpr(v) : cpu->cr8;
	r->efer = cpu->efer;
	r->apic_base = cpu->msr.apic_base;
}

static void get_sregs(struct dev_vcpu *v, struct kvm_sregs *r)
{
	get_common(v, r);
	if (v->cpu->events.interrupt.injected && !v->cpu->events.interrupt.soft)
		r->interrupt_bitmap[v->cpu->events.interrupt.nr / 64] |= 1ULL << (v->cpu->events.interrupt.nr % 64);
}

static u64 cr4_legal(const struct cpu *cpu)
{
	static const struct {
		u32 feature;
		unsigned bit;
	} bits[] = {
		{ CPU_HAS_UMIP, 11 }, { CPU_HAS_LA57, 12 },  { CPU_HAS_FSGSBASE, 16 }, { CPU_HAS_PCID, 17 },
		{ CPU_HAS_XSAVE, 18 }, { CPU_HAS_SMEP, 20 }, { CPU_HAS_SMAP, 21 },
	};
	u64 legal = CR4_ALWAYS;

	for (size_t i = 0; i < RT_ARRAY_SIZE(bits); i++) {
		if (cpu->features & bits[i].feature)
			legal |= 1ULL << bits[i].bit;
	}
	return legal;
}

static bool legal_paging(const struct cpu *cpu, const struct kvm_sregs *r)
{
	if (!(r->efer & EFER_LME) || !(r->cr0 & CR0_PG))
		return !(r->efer & EFER_LMA) && !r->cs.l;
	if (!(r->cr4 & CR4_PAE) || !(r->efer & EFER_LMA))
		return false;
	return !(r->cr3 >> cpu->phys_bits);
}

static u64 efer_legal(const struct cpu *cpu)
{
	return EFER_SCE | (cpu->features & CPU_HAS_LONG_MODE ? EFER_LME | EFER_LMA : 0) |
	       (cpu->features & CPU_HAS_NX ? EFER_NX : 0);
}

static bool legal_sregs(const struct dev_vcpu *v, const struct kvm_sregs *r)
{
	const struct cpu *cpu = v->cpu;
	u64 reserved = APIC_RESERVED_LOW | (cpu->phys_bits < 64 ? ~0ULL << cpu->phys_bits : 0);

	if (!legal_paging(cpu, r) || (r->cr4 & ~cr4_legal(cpu)) || (r->cr0 >> 32))
		return false;
	if (v->vm->core.sys->profile->efer_checked && (r->efer & ~efer_legal(cpu)))
		return false;
	if ((r->cr0 & CR0_NW) && !(r->cr0 & CR0_CD))
		return false;
	if ((r->cr0 & CR0_PG) && !(r->cr0 & CR0_PE))
		return false;
	return !(r->apic_base & reserved) && (r->apic_base & APIC_MODE) != APIC_MODE_INVALID;
}

static void wake_at_reset(struct dev_vcpu *v)
{
	/* Older programs do not unhalt a vCPU when they reset it. */
	if (v->id == v->vm->core.boot_id && v->cpu->rip == 0xfff0 && v->cpu->seg[CPU_CS].selector == 0xf000 &&
	    !(v->cpu->cr0 & CR0_PE))
		v->mp_state = KVM_MP_STATE_RUNNABLE;
}

static void take_common(struct cpu *cpu, const struct kvm_sregs *r)
{
	set_segment(cpu, CPU_CS, &r->cs);
	set_segment(cpu, CPU_DS, &r->ds);
	set_segment(cpu, CPU_ES, &r->es);
	set_segment(cpu, CPU_FS, &r->fs);
	set_segment(cpu, CPU_GS, &r->gs);
	set_segment(cpu, CPU_SS, &r->ss);
	set_segment(cpu, CPU_TR, &r->tr);
	set_segment(cpu, CPU_LDTR, &r->ldt);
	cpu->gdtr = (struct cpu_table){ r->gdt.base, r->gdt.limit };
	cpu->idtr = (struct cpu_table){ r->idt.base, r->idt.limit };
	cpu->cr0 = r->cr0;
	cpu->cr2 = r->cr2;
	cpu->cr3 = r->cr3;
	cpu->cr4 = r->cr4;
	cpu->cr8 = r->cr8 & 15;
	cpu->efer = r->efer;
}

static int set_common(struct dev_vcpu *v, const struct kvm_sregs *r, struct core_err *err)
{
	struct cpu *cpu = v->cpu;

	if (!legal_sregs(v, r))
		return core_refuse(err, RULE_SREGS_LEGAL, 0, "cr4", r->cr4, cr4_legal(cpu));
	take_common(cpu, r);
	if (v->irq && v->irq->set_tpr)
		v->irq->set_tpr(v, cpu->cr8);
	if (v->irq && v->irq->wrmsr)
		v->irq->wrmsr(v, 0x1b, r->apic_base);
	cpu->msr.apic_base = r->apic_base;
	wake_at_reset(v);
	cpu_flush_tlb(cpu);
	return 0;
}

void dev_regs_take(struct dev_vcpu *v, const struct kvm_regs *regs, const struct kvm_sregs *sregs, u64 xcr0)
{
	set_regs(v->cpu, regs);
	take_common(v->cpu, sregs);
	v->cpu->xcr0 = xcr0;
	cpu_state_changed(v->cpu);
}

static void queue_interrupt(struct cpu *cpu, const __u64 *bitmap)
{
	for (unsigned i = 0; i < KVM_NR_INTERRUPTS; i++) {
		if (!(bitmap[i / 64] >> (i % 64) & 1))
			continue;
		cpu->events.interrupt.injected = 1;
		cpu->events.interrupt.soft = 0;
		cpu->events.interrupt.nr = (u8)i;
		return;
	}
}

static int set_sregs(struct dev_vcpu *v, const struct kvm_sregs *r, struct core_err *err)
{
	int ret = set_common(v, r, err);

	if (ret < 0)
		return ret;
	queue_interrupt(v->cpu, r->interrupt_bitmap);
	cpu_state_changed(v->cpu);
	return 0;
}

long dev_vcpu_get_sregs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct kvm_sregs sregs;

	get_sregs(dev_to_vcpu(obj), &sregs);
	return dev_copy_out(arg, &sregs, sizeof(sregs), err);
}

long dev_vcpu_set_sregs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	return set_sregs(dev_to_vcpu(obj), copy, err);
}

static bool is_pae(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

#define COMMON_SREGS offsetof(struct kvm_sregs, interrupt_bitmap)
_Static_assert(offsetof(struct kvm_sregs2, flags) == COMMON_SREGS, "the two begin alike");

long dev_vcpu_get_sregs2(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	struct kvm_sregs common;
	struct kvm_sregs2 sregs;

	memset(&sregs, 0, sizeof(sregs));
	get_common(v, &common);
	memcpy(&sregs, &common, COMMON_SREGS);
	if (is_pae(v->cpu->cr0, v->cpu->cr4, v->cpu->efer)) {
		sregs.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
		memcpy(sregs.pdptrs, v->cpu->pdptr, sizeof(sregs.pdptrs));
	}
	return dev_copy_out(arg, &sregs, sizeof(sregs), err);
}

long dev_vcpu_set_sregs2(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	const struct kvm_sregs2 *sregs = copy;
	struct kvm_sregs common;
	bool pae = is_pae(sregs->cr0, sregs->cr4, sregs->efer);
	int ret;

	if (sregs->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return core_refuse(err, RULE_SREGS_LEGAL, 0, "flags", sregs->flags, KVM_SREGS2_FLAGS_PDPTRS_VALID);
	if (sregs->flags && !pae)
		return core_refuse(err, RULE_SREGS_LEGAL, 0, "flags", sregs->flags, 0);
	memset(&common, 0, sizeof(common));
	memcpy(&common, sregs, COMMON_SREGS);
	ret = set_common(v, &common, err);
	if (ret < 0)
		return ret;
	cpu_state_changed(v->cpu);
	if (sregs->flags)
		memcpy(v->cpu->pdptr, sregs->pdptrs, sizeof(sregs->pdptrs));
	return 0;
}

/* ---- floating point ---- */

/* As in the kernel MXCSR is left out, in both directions. */
long dev_vcpu_get_fpu(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct cpu_fpu *f = &dev_to_vcpu(obj)->cpu->fpu;
	struct kvm_fpu fpu;

	memset(&fpu, 0, sizeof(fpu));
	memcpy(fpu.fpr, f->st, sizeof(fpu.fpr));
	memcpy(fpu.xmm, f->xmm, sizeof(fpu.xmm));
	fpu.fcw = f->fcw;
	fpu.fsw = f->fsw;
	fpu.ftwx = f->ftw;
	fpu.last_opcode = f->fop;
	fpu.last_ip = f->fip;
	fpu.last_dp = f->fdp;
	return dev_copy_out(arg, &fpu, sizeof(fpu), err);
}

long dev_vcpu_set_fpu(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct cpu_fpu *f = &dev_to_vcpu(obj)->cpu->fpu;
	const struct kvm_fpu *fpu = copy;

	memcpy(f->st, fpu->fpr, sizeof(f->st));
	memcpy(f->xmm, fpu->xmm, sizeof(f->xmm));
	f->fcw = fpu->fcw;
	f->fsw = fpu->fsw;
	f->ftw = fpu->ftwx;
	f->fop = fpu->last_opcode;
	f->fip = fpu->last_ip;
	f->fdp = fpu->last_dp;
	return 0;
}

static u64 xfeatures(const struct cpu *cpu)
{
	return XFEATURE_FP | XFEATURE_SSE | (cpu->features & CPU_HAS_AVX ? XFEATURE_AVX : 0);
}

#define XSAVE_COMMON offsetof(struct cpu_fpu, ymmh)

long dev_vcpu_get_xsave(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct cpu *cpu = dev_to_vcpu(obj)->cpu;
	struct cpu_fpu area = cpu->fpu;
	static const u8 zeros[256];
	u64 at = sizeof(area);
	int ret;

	area.xstate_bv = xfeatures(cpu);
	area.xcomp_bv = 0;
	ret = dev_copy_out(arg, &area, sizeof(area), err);
	for (; ret == 0 && at < sizeof(struct kvm_xsave); at += sizeof(zeros))
		ret = rt_copy_out(arg + at, zeros, rt_min(sizeof(zeros), sizeof(struct kvm_xsave) - at));
	return ret;
}

/* Components that xstate_bv leaves out get their initial values. */
long dev_vcpu_set_xsave(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	static const struct cpu_fpu initial = { .fcw = 0x37f, .mxcsr = 0x1f80 };
	struct cpu *cpu = dev_to_vcpu(obj)->cpu;
	struct cpu_fpu area;
	u64 reserved = 0;

	if (rt_copy_in(&area, arg, sizeof(area)) < 0)
		return core_refuse(err, RULE_ARGUMENT_READ, 0, "argument", arg, sizeof(struct kvm_xsave));
	for (unsigned i = 0; i < RT_ARRAY_SIZE(area.header); i++)
		reserved |= area.header[i];
	if ((area.xstate_bv & ~xfeatures(cpu)) || area.xcomp_bv || reserved)
		return core_refuse(err, RULE_XSAVE_HEADER, 0, "xstate_bv", area.xstate_bv, xfeatures(cpu));
	if (area.mxcsr & ~cpu->fpu.mxcsr_mask)
		return core_refuse(err, RULE_XSAVE_HEADER, 0, "mxcsr", area.mxcsr, cpu->fpu.mxcsr_mask);
	if (!(area.xstate_bv & XFEATURE_FP))
		memcpy(&area, &initial, offsetof(struct cpu_fpu, mxcsr));
	if (!(area.xstate_bv & XFEATURE_FP))
		memset(area.st, 0, sizeof(area.st));
	if (!(area.xstate_bv & XFEATURE_SSE))
		memset(area.xmm, 0, sizeof(area.xmm));
	if (!(area.xstate_bv & (XFEATURE_SSE | XFEATURE_AVX)))
		area.mxcsr = initial.mxcsr;
	if (!(area.xstate_bv & XFEATURE_AVX))
		memset(area.ymmh, 0, sizeof(area.ymmh));
	area.mxcsr_mask = cpu->fpu.mxcsr_mask;
	cpu->fpu = area;
	return 0;
}

long dev_vcpu_get_xcrs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct kvm_xcrs xcrs;

	memset(&xcrs, 0, sizeof(xcrs));
	xcrs.nr_xcrs = 1;
	xcrs.xcrs[0].value = dev_to_vcpu(obj)->cpu->xcr0;
	return dev_copy_out(arg, &xcrs, sizeof(xcrs), err);
}

long dev_vcpu_set_xcrs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct cpu *cpu = dev_to_vcpu(obj)->cpu;
	const struct kvm_xcrs *xcrs = copy;

	if (xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return core_refuse(err, RULE_XCRS_LEGAL, 0, "nr_xcrs", xcrs->nr_xcrs, KVM_MAX_XCRS);
	for (u32 i = 0; i < xcrs->nr_xcrs; i++) {
		u64 value = xcrs->xcrs[i].value;

		if (xcrs->xcrs[i].xcr != 0)
			continue;
		if (!(value & XFEATURE_FP) || (value & ~xfeatures(cpu)) ||
		    ((value & XFEATURE_AVX) && !(value & XFEATURE_SSE)))
			return core_refuse(err, RULE_XCRS_LEGAL, 0, "xcr0", value, xfeatures(cpu));
		cpu->xcr0 = value;
		break;
	}
	return 0;
}

/* ---- debug registers ---- */

long dev_vcpu_get_debugregs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct cpu *cpu = dev_to_vcpu(obj)->cpu;
	struct kvm_debugregs regs;

	memset(&regs, 0, sizeof(regs));
	memcpy(regs.db, cpu->dr, sizeof(regs.db));
	regs.dr6 = cpu->dr6;
	regs.dr7 = cpu->dr7;
	return dev_copy_out(arg, &regs, sizeof(regs), err);
}

long dev_vcpu_set_debugregs(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct cpu *cpu = dev_to_vcpu(obj)->cpu;
	const struct kvm_debugregs *regs = copy;

	if (regs->flags || (regs->dr6 & DR_HIGH) || (regs->dr7 & DR_HIGH))
		return core_refuse(err, RULE_DEBUGREGS_LEGAL, 0, "flags", regs->flags, 0);
	memcpy(cpu->dr, regs->db, sizeof(cpu->dr));
	cpu->dr6 = regs->dr6;
	cpu->dr7 = regs->dr7;
	cpu_state_changed(cpu);
	return 0;
}

/* ---- kvm_run's copies ---- */

int dev_sync_load(struct dev_vcpu *v)
{
	struct kvm_sync_regs *s = &v->run->s.regs;
	int ret = 0;

	/* Copied first: the program can change them meanwhile. */
	if (v->run->kvm_dirty_regs & KVM_SYNC_X86_REGS) {
		struct kvm_regs regs = s->regs;

		set_regs(v->cpu, &regs);
		v->run->kvm_dirty_regs &= ~KVM_SYNC_X86_REGS;
	}
	if (v->run->kvm_dirty_regs & KVM_SYNC_X86_SREGS) {
		struct kvm_sregs sregs = s->sregs;

		ret = set_sregs(v, &sregs, NULL);
		if (ret < 0)
			return ret;
		v->run->kvm_dirty_regs &= ~KVM_SYNC_X86_SREGS;
	}
	if (v->run->kvm_dirty_regs & KVM_SYNC_X86_EVENTS) {
		struct kvm_vcpu_events events = s->events;

		ret = dev_events_set(v, &events, NULL);
		if (ret < 0)
			return ret;
		v->run->kvm_dirty_regs &= ~KVM_SYNC_X86_EVENTS;
	}
	return ret;
}

void dev_sync_store(struct dev_vcpu *v)
{
	u64 valid = v->run->kvm_valid_regs;

	if (valid & KVM_SYNC_X86_REGS)
		get_regs(v->cpu, &v->run->s.regs.regs);
	if (valid & KVM_SYNC_X86_SREGS)
		get_sregs(v, &v->run->s.regs.sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		dev_events_get(v, &v->run->s.regs.events);
}
