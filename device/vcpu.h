/* SPDX-License-Identifier: MIT */
/*
 * device/vcpu.h - vCPUs of the emulated device
 *
 * Theory of operation.  KVM_RUN executes in the caller's thread, under the
 * vCPU's mutex.  Whoever is about to change what guest physical addresses mean
 * stops the VM's vCPUs (device/world.c), changes it, and lets them go on; they drop
 * what they remember and continue.
 *
 * Invariants:
 *  1. Between world_enter() and world_leave() ("in the guest") a vCPU takes no lock that
 *     a stopper holds: it reads slots and attributes without any, since nobody changes them.
 *  2. Slots, bindings and attributes of a VM change only with dev_slots_lock held and
 *     none of its vCPUs in the guest.
 *  3. The interpreter's state belongs to the holder of the mutex.  Others may only dev_vcpu_kick().
 *  4. No handler of the program runs on top of KVM_RUN: its signals wait until the call
 *     returns, and make it return (device/thread.h).
 *  5. As in the kernel a vCPU lives until its VM goes; its descriptors hold the VM.
 */
#ifndef GMEM_DEVICE_VCPU_H
#define GMEM_DEVICE_VCPU_H

#include "cpu/cpu.h"
#include "device/device.h"
#include "uapi/kvm_irq.h"

struct dev_vcpu;

/*
 * The vCPU's side of an interrupt controller in the device.  Any member may be
 * NULL.  All are called by the vCPU's thread with its mutex held; pending, ack, tpr, mmio, pio
 * and msr from within cpu_run(): no dev_slots_lock there.
 */
struct dev_irq_ops {
	int (*pending)(struct dev_vcpu *v); /* vector that would be taken, or -1 */
	int (*ack)(struct dev_vcpu *v);
	bool (*takes_pic)(struct dev_vcpu *v); /* LINT0 is open for a PIC's interrupt, which may be the program's */
	u64 (*get_tpr)(struct dev_vcpu *v);
	void (*set_tpr)(struct dev_vcpu *v, u64 tpr);
	void (*poll)(struct dev_vcpu *v); /* after a kick: NMI, INIT, SIPI go to v->cpu->events, v->mp_state */
	bool (*wakes)(struct dev_vcpu *v); /* a halted or waiting vCPU has a reason to go on */
	u64 (*deadline)(struct dev_vcpu *v); /* CLOCK_MONOTONIC ns at which to look again while halted; 0: none */
	bool (*mmio)(struct dev_vcpu *v, u64 gpa, void *data, unsigned len, bool write);
	bool (*pio)(struct dev_vcpu *v, u16 port, void *data, unsigned size, bool write);
	enum cpu_msr (*rdmsr)(struct dev_vcpu *v, u32 msr, u64 *ret); /* CPU_MSR_GP: not one of its own */
	enum cpu_msr (*wrmsr)(struct dev_vcpu *v, u32 msr, u64 value);
	void (*reset)(struct dev_vcpu *v, bool init);
	void (*fini)(struct dev_vcpu *v);
};

#define DEV_CPUID_MAX 256 /* KVM_MAX_CPUID_ENTRIES */

#define DEV_MCE_BANKS 32
/* Of each bank: control, status, address, miscellaneous. */
struct dev_mce {
	u64 cap, status, ctl;
	u64 bank[DEV_MCE_BANKS][4];
};

#define DEV_FEATURE_MSRS 5

struct dev_vcpu {
	struct dev_object obj;
	struct dev_vm *vm; /* while !closed it holds a reference */
	struct dev_vcpu *next; /* of the VM, in order of creation; under dev_slots_lock */
	u32 id, index;
	bool closed; /* no descriptor is left; under the mutex */
	struct rt_lock mutex;

	struct cpu *cpu;
	struct dev_real_vcpu *real; /* the vCPU of the real KVM: device/real.h; NULL without */
	struct kvm_run *run; /* three pages and more: run, PIO data, coalesced MMIO, ..., dirty ring */
	size_t run_size;

	/* Stop and wake: device/world.c. */
	_Atomic u32 in_guest; /* futex word of stoppers */
	_Atomic u32 wake;     /* counts kicks; futex word of a halted vCPU */
	_Atomic bool sleeping; /* on `wake` */
	_Atomic bool in_cpu;   /* the thread is in cpu_run() or cpu_complete() */
	_Atomic bool in_map;   /* ... and there in a callback of ours */
	bool aborted;	       /* an access was given up so that others could go on */
	struct dev_thread *thread; /* whose id tid is */
	_Atomic s32 tid;
	u32 seen_changes;      /* vm->changes at the last flush */

	/* State that the interpreter does not keep. */
	u32 mp_state;
	bool has_sigset;
	u64 sigset;
	struct kvm_cpuid_entry2 *cpuid;
	u32 nr_cpuid;
	u64 tsc_khz;
	int user_irq; /* KVM_INTERRUPT's vector, or -1 */
	_Atomic bool user_nmi;
	bool has_run;
	int fault_errno; /* why the last CPU_MAP_HOST_FAULT was answered */
	bool fault_poison;
	u32 msr_reason; /* of the last CPU_MSR_EXIT */
	u64 tsc_base; /* the CPU's offset less what the guest made of it: IA32_TSC_ADJUST is the difference */
	u64 hwcr, power_ctl;
	u64 feature[DEV_FEATURE_MSRS]; /* feature MSRs that were written: device/msr_feature.c */
	u32 feature_written;
	struct dev_mce mce;
	bool tpr_reporting; /* KVM_TPR_ACCESS_REPORTING: no access of TPR ends in an exit */
	u64 vapic;	    /* KVM_SET_VAPIC_ADDR: where the guest shares its TPR; 0: nowhere */
	bool pv_enforced; /* KVM_CAP_ENFORCE_PV_FEATURE_CPUID */
	u64 pv_time;   /* MSR_KVM_SYSTEM_TIME */
	u64 pv_offset; /* the counter's, and the VM's clock, that the guest was told */
	u32 pv_seen, pv_version;
	u32 ring_size;   /* entries of the dirty ring, 0 without */
	u32 ring_head, ring_reset;

	/* The interrupt controller's. */
	const struct dev_irq_ops *irq; /* NULL: none in the device */
	void *irq_state;
	u32 sipi_vector;
	struct dev_stats stats;
	u32 ioapic_eoi; /* KVM_EXIT_IOAPIC_EOI is due: 0x100 | vector */
};

static inline struct dev_vcpu *dev_to_vcpu(struct dev_object *obj)
{
	return RT_CONTAINER_OF(obj, struct dev_vcpu, obj);
}

/* KVM_RUN, without dev_ioctl() around it: signals need not be blocked.  -ESTALE: not this object any more, look again. */
long dev_vcpu_run(struct dev_object *obj, u64 arg, struct core_err *err);

/* After the program mapped pages of the vCPU, shared: the VM's ring of coalesced writes is among them. */
int dev_vcpu_show_ring(struct dev_vcpu *v, void *addr, u64 first, u64 pages, int prot);
/* From any thread: end a halt, look at interrupts, NMIs, requests.  Takes no lock. */
void dev_vcpu_kick(struct dev_vcpu *v);
/* With dev_slots_lock held, or from a thread that runs a vCPU of the VM; NULL when there is none. */
struct dev_vcpu *dev_vcpu_by_id(struct dev_vm *vm, u32 id);

/* The overlay's signal entry.  All are async-signal-safe. */
struct dev_fault_context {
	u64 *rip, *rsp, *rdi, *rsi, *eflags;
	const u64 *gregs; /* r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp: as in struct sigcontext */
};
/* A fault at addr on this thread: true when it was the guest's and the context has been changed. */
bool dev_vcpu_fault(u64 addr, bool poison, const struct dev_fault_context *context);
/*
 * True when this thread is in KVM_RUN, which returns now: a signal has to wait for that.  An access of guest
 * memory that was interrupted is given up: the context may have been changed.
 */
bool dev_vcpu_defers(const struct dev_fault_context *context);
/* A DEV_VCPU_SIGNAL of a timer, with its pointer: true when it is ours. */
bool dev_vcpu_tick(const void *pointer, const struct dev_fault_context *context);
/* A DEV_VCPU_SIGNAL with this code is ours: the thread is asked to stop although it may sleep in a page fault. */
#define DEV_VCPU_SIGNAL 7 /* SIGBUS: never blocked where a guest runs */
#define DEV_VCPU_CODE	(-61)
/* pc as it came with the signal: true when the thread stood there in the guest and the context has been changed. */
bool dev_vcpu_aborts(u64 pc, const struct dev_fault_context *context);

#endif
