/* SPDX-License-Identifier: MIT */
/*
 * device/internal.h - shared by the files of this folder only
 */
#ifndef GMEM_DEVICE_INTERNAL_H
#define GMEM_DEVICE_INTERNAL_H

#include "device/vcpu.h"
#include "rt/lock.h"

/* Guards memslots, bindings and per-VM attributes of all VMs; taken before dev_lock. */
extern struct rt_lock dev_slots_lock;
/* Guards the table of objects and the reference counts. */
extern struct rt_lock dev_lock;
extern struct dev_config dev_config;
extern const struct core_mem dev_mem;

/* Zeroed memory of a kind; it goes back with dev_object_free(). */
struct dev_object *dev_object_new(enum dev_kind kind);
void dev_object_free(struct dev_object *obj);
/* Enter into the table, with dev_lock held. */
void dev_object_publish(struct dev_object *obj);
/*
 * The last step of a creation: publish, and only then open a descriptor, since any
 * thread may guess its number.  Without one the object goes again.  No lock may be held.
 */
int dev_object_hand_out(struct dev_object *obj, int flags);

static inline struct dev_vm *dev_to_vm(struct dev_object *obj)
{
	return RT_CONTAINER_OF(obj, struct dev_vm, obj);
}

static inline struct dev_gmem *dev_to_gmem(struct dev_object *obj)
{
	return RT_CONTAINER_OF(obj, struct dev_gmem, obj);
}

#define DEV_VCPU_PAGES 3 /* run page, PIO data, coalesced writes: as on every x86 kernel */

/* Parts of dev_reap(), with dev_lock held. */
bool dev_gmem_unused(struct dev_gmem *g);
void dev_gmem_destroy(struct dev_gmem *g);
void dev_vm_destroy(struct dev_vm *vm);
bool dev_vcpu_unused(struct dev_vcpu *v);
void dev_vcpu_close(struct dev_vcpu *v);
void dev_vcpu_destroy(struct dev_vcpu *v);
void dev_vcpu_forked(struct dev_vcpu *v);

/* device/bus.c */
extern const struct cpu_bus dev_cpu_bus;

/* device/bus.c: whether the page at hva can be had as KVM would ask for it; may sleep in a page fault. */
bool dev_hva_accessible(u64 hva, bool write);

/* device/events.c: the program plays the PIC; and whether its interrupt could be taken now, IF aside. */
static inline bool dev_pic_outside(const struct dev_vcpu *v)
{
	return !v->vm->core.irqchip || v->vm->core.pic_outside;
}
bool dev_takes_user_irq(struct dev_vcpu *v);

/* device/cpuid.c */
void dev_cpuid_answer(struct dev_vcpu *v, u32 leaf, u32 subleaf, u32 out[4]);

/* Whether the guest may use a paravirtual feature, by its bit in CPUID leaf 0x40000001. */
bool dev_pv_has(struct dev_vcpu *v, unsigned bit);

/* device/msr.c; host: the program asks, not the guest. */
enum cpu_msr dev_msr_read(struct dev_vcpu *v, u32 msr, bool host, u64 *ret);
enum cpu_msr dev_msr_write(struct dev_vcpu *v, u32 msr, bool host, u64 value);
/* Why the guest's access failed: KVM_MSR_EXIT_REASON_INVAL or _UNKNOWN. */
u32 dev_msr_reason(struct dev_vcpu *v, u32 msr);

/* device/msr_filter.c; a refused access: #GP, or an exit that the program asked for. */
enum cpu_msr dev_msr_filter(struct dev_vcpu *v, u32 msr, bool write);
enum cpu_msr dev_msr_refused(struct dev_vcpu *v, u32 reason);
void dev_msr_filter_fini(struct dev_vm *vm);

/* device/dirty.c, by the vCPU's thread */
void dev_dirty_mark(struct dev_vcpu *v, const struct core_slot *slot, u64 gpa);
bool dev_dirty_ring_full(const struct dev_vcpu *v);

/* device/stuck.c: the thread's own signal handler, which has put a signal off */
struct dev_thread;
void dev_stuck_signal(struct dev_thread *thread, const struct dev_fault_context *context);

/* device/coalesced.c */
bool dev_coalesce(struct dev_vcpu *v, u64 addr, const void *data, unsigned len, bool pio);

/* device/ioeventfd.c */
bool dev_ioeventfd(struct dev_vcpu *v, u64 addr, const void *data, unsigned len, bool pio);

/* device/irqchip.c: false when the capability is not one of its own. */
bool dev_irq_enable_cap(struct dev_vm *vm, const struct kvm_enable_cap *args, long *ret, struct core_err *err);

/* device/regs.c, device/events.c */
/* What another CPU holds, unchecked. */
void dev_regs_take(struct dev_vcpu *v, const struct kvm_regs *regs, const struct kvm_sregs *sregs, u64 xcr0);
int dev_sync_load(struct dev_vcpu *v);
void dev_sync_store(struct dev_vcpu *v);
void dev_events_get(struct dev_vcpu *v, struct kvm_vcpu_events *ret);
int dev_events_set(struct dev_vcpu *v, const struct kvm_vcpu_events *in, struct core_err *err);

/* device/pvclock.c; enter: between world_enter() and the guest. */
u64 dev_clock_read(const struct dev_vm *vm, u64 tsc);
void dev_pvclock_enter(struct dev_vcpu *v);
bool dev_pvclock_rdmsr(struct dev_vcpu *v, u32 msr, u64 *ret);
bool dev_pvclock_wrmsr(struct dev_vcpu *v, u32 msr, bool host, u64 value);
/* KVM's own access to guest memory: by userspace_addr, within one page, or not at all. */
void dev_write_guest(struct dev_vcpu *v, u64 gpa, const void *data, size_t size);

/* device/vapic.c: around cpu_run() */
void dev_vapic_enter(struct dev_vcpu *v);
void dev_vapic_leave(struct dev_vcpu *v);

/* device/mce.c */
void dev_mce_init(struct dev_vcpu *v);
/* CPU_MSR_GP: refused, or none of the machine check's. */
bool dev_feature_value(u32 index, u64 *ret);
enum cpu_msr dev_feature_rdmsr(struct dev_vcpu *v, u32 msr, bool host, u64 *ret);
enum cpu_msr dev_feature_wrmsr(struct dev_vcpu *v, u32 msr, bool host, u64 value);
long dev_msr_list_out(u64 arg, u32 given, const u32 *indices, u32 n, struct core_err *err);
enum cpu_msr dev_mce_rdmsr(const struct dev_vcpu *v, u32 msr, bool host, u64 *ret);
enum cpu_msr dev_mce_wrmsr(struct dev_vcpu *v, u32 msr, bool host, u64 value);

/* device/clock.c */
void dev_clock_start(struct dev_vm *vm);

/* device/ioctl.c: the result to where the program wants it: 0, or the refusal argument-write. */
int dev_copy_out(u64 to, const void *from, size_t size, struct core_err *err);

/* Handlers: device/ioctl.def says which and with what argument copied in. */
typedef long dev_handler(struct dev_object *obj, u64 arg, void *copy, struct core_err *err);
#define IOCTL(kind, name, copy, gate, real, handler) dev_handler handler;
#include "device/ioctl.def"
#undef IOCTL

/* Whether a descriptor number is free: 0, -EMFILE or -ENFILE. */
int dev_fd_available(void);
bool dev_host_is_intel(void);
u64 dev_tsc(void);
u64 dev_tsc_khz(void);
void dev_tsc_start(void);
void dev_tsc_fork(void);

#endif
