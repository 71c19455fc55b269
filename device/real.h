/* SPDX-License-Identifier: MIT */
/*
 * device/real.h - the real KVM as the CPU of an emulated VM, private to device/
 *
 * Theory of operation.  With --cpu=kvm an emulated VM has a VM of the host's
 * /dev/kvm behind it, of type 0, and each of its vCPUs a vCPU there.  What guest memory
 * is stays gmem's to say; the real VM has memslots of its own that say the same:
 * one for each run of guest frames that core/resolve.c answers alike, on the user's
 * address or on the guest's view of a file.  What has no such memory, because a
 * touch must be a memory fault, is mapped from addresses where nothing can be touched.
 *
 *   REAL-1  No vCPU is in the guest while the real slots differ from the model.  They are made
 *	     alike lazily: by the first who wants to run or to change a vCPU (dev_real_settle()).
 *   REAL-2  A touch that KVM cannot serve ends KVM_RUN with EFAULT and with no trace of the instruction in
 *	     the registers.  What the touch was is found by the software vCPU: it takes over the registers,
 *	     executes that one instruction with its writes going nowhere, and meets the same fault, with the exit
 *	     that the profile gives.  Nothing of it flows back, so that running again is trying again.
 *   REAL-3  The program sees a kvm_run of gmem's.  Before the real KVM_RUN it is copied to the real one, afterwards
 *	     back, without what the program may write meanwhile.
 *   REAL-4  Whoever stops the world sets immediate_exit in the real kvm_run and sends a signal; it has been
 *	     sent before the thread leaves KVM_RUN, so that no call of the program is interrupted by it.
 *   REAL-5  Registers, interrupts, timers and CPUID are the real KVM's: device/ioctl.def says which calls are passed on.
 */
#ifndef GMEM_DEVICE_REAL_H
#define GMEM_DEVICE_REAL_H

#include "device/vcpu.h"

struct dev_thread;

#define DEV_REAL_SLOTS 32768U

struct dev_real_slot {
	u64 gpa, size, hva;
	u32 flags, id; /* id: number and address space, as in the ioctl */
};

struct dev_real {
	int fd;
	int broken; /* -errno: the real VM cannot be given this memory; under dev_slots_lock, as is the rest */
	unsigned spaces;
	u32 max_slots;
	struct dev_real_slot *slots, *wanted;
	unsigned nr, cap, nr_wanted, cap_wanted;
	u64 used[DEV_REAL_SLOTS / 64]; /* numbers taken, bit each; for all address spaces together */
	_Atomic u32 settled; /* vm->changes that the slots follow */
};

struct dev_real_vcpu {
	int fd;
	struct kvm_run *run;
	size_t run_size;
	_Atomic u32 kicking; /* a signal is about to be sent */
	u32 io_in;	     /* bytes that the program answers with */
	u32 fruitless;	     /* EFAULTs in a row that nothing explained */
	u8 scratch[RT_PAGE_SIZE] __attribute__((aligned(4096))); /* where writes that are only tried go */
};

/* Open the real /dev/kvm: 0 or -errno. */
int dev_real_init(void);
void dev_real_forked(void);

/* Where the real KVM is not the CPU all of these do nothing and say 0. */
int dev_real_vm_create(struct dev_vm *vm);
void dev_real_vm_destroy(struct dev_vm *vm);
int dev_real_vcpu_create(struct dev_vcpu *v);
void dev_real_vcpu_destroy(struct dev_vcpu *v);

/* KVM_CHECK_EXTENSION; vm is NULL for the device. */
long dev_real_cap(const struct dev_vm *vm, u32 cap);
/* Whether that needs a call of the real KVM. */
bool dev_real_answers(u32 cap);
long dev_real_enable_cap(struct dev_vm *vm, u64 arg, const struct kvm_enable_cap *cap, struct core_err *err);
/* The real object behind an emulated one: a descriptor, or -1. */
int dev_real_fd(struct dev_object *obj);
/* Pass a call on as it is. */
long dev_real_pass(struct dev_object *obj, u32 cmd, u64 arg);

/* device/real_slots.c: without dev_slots_lock.  0, or why the guest cannot run. */
int dev_real_settle(struct dev_vm *vm);
/* With dev_slots_lock held: what the real VM logged goes to the model's bitmaps. */
int dev_real_harvest(struct dev_vm *vm);
static inline bool dev_real_settled(const struct dev_vm *vm)
{
	return vm->real->settled == vm->changes;
}

/* device/real_run.c */
long dev_real_run(struct dev_vcpu *v, struct dev_thread *thread);
/* device/real_fault.c: what KVM_RUN returns for an EFAULT of the real one, or 1 to run again. */
long dev_real_fault(struct dev_vcpu *v);
void dev_real_kick(struct dev_vcpu *v);

#endif
