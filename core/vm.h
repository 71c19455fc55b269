/* SPDX-License-Identifier: MIT */
/*
 * core/vm.h - VMs, guest_memfd files, memslots, attributes: the pure model
 *
 * No system call, no thread, no global: memory comes from the allocator in
 * struct core_mem, file descriptors are looked up by a callback.  The caller
 * serialises: calls on one VM and its files exclude each other, as kvm->slots_lock and the
 * file's invalidate lock do in the kernel.  Functions return 0 or -errno and
 * fill *err (which may be NULL) on failure only.
 */
#ifndef GMEM_CORE_VM_H
#define GMEM_CORE_VM_H

#include "core/profile.h"
#include "core/rule.h"
#include "core/store.h"
#include "rt/types.h"
#include "uapi/kvm_vcpu.h"

/* Where the core gets memory: zeroed, or NULL.  free accepts NULL. */
struct core_mem {
	void *(*alloc)(size_t size);
	void (*free)(void *ptr, size_t size);
};

struct core_vm;
struct core_slot;

/* A guest_memfd file: the inode. */
struct core_file {
	struct core_vm *vm;	/* the VM that created it; the file keeps it alive */
	u64 size;		/* bytes */
	u64 flags;		/* GUEST_MEMFD_FLAG_* */
	struct core_store store; /* per page, meaningful where states matter; see core_file_page_state() */
	struct core_slot **bound; /* slots that bind a range, sorted by first page */
	unsigned nr_bound, cap_bound;
	u64 *pins;		/* pages held by somebody (test hook), sorted, one entry a pin */
	unsigned nr_pins, cap_pins;
};

struct core_slot {
	u32 id;		/* low 16 bits id, high 16 bits address space */
	u32 flags;	/* KVM_MEM_* */
	u64 gpa, size, hva;
	bool has_gmem;	/* created with KVM_MEM_GUEST_MEMFD; stays when the file dies */
	bool gmem_only;	/* guest faults are served from the file alone */
	struct core_file *file; /* NULL when has_gmem is false or the file is gone */
	u64 file_offset;
	u64 *dirty; /* bit a page while KVM_MEM_LOG_DIRTY_PAGES is set and no ring replaces it: core/dirty.c */
};

/* Opaque to callers except for these first fields. */
struct core_vm {
	const struct core_sys *sys;
	const struct core_mem *mem;
	unsigned type;
	u64 exit_hypercall;   /* KVM_CAP_EXIT_HYPERCALL's args[0] */
	u64 nr_mmu_pages;
	u64 dirty_manual;     /* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2's args[0] */
	u32 dirty_ring;	      /* bytes of a vCPU's dirty ring, 0: bitmaps */
	u64 quirks_off;	      /* KVM_CAP_DISABLE_QUIRKS2's args[0] */
	bool triple_fault_event; /* KVM_CAP_X86_TRIPLE_FAULT_EVENT */
	u32 msr_exits;	      /* KVM_CAP_X86_USER_SPACE_MSR: KVM_MSR_EXIT_REASON_* */
	bool platform_info_hidden; /* KVM_CAP_MSR_PLATFORM_INFO */
	u64 apic_cycle_ns;    /* KVM_CAP_X86_APIC_BUS_CYCLES_NS's args[0]; 0: not set */
	bool has_vcpus;
	u32 boot_id;	      /* the vCPU that starts running */
	u32 max_vcpu_id;      /* KVM_CAP_MAX_VCPU_ID's args[0]; 0: not set */
	bool irqchip;
	bool pic_outside; /* KVM_CAP_SPLIT_IRQCHIP: the program has PIC and I/O APIC */
	struct core_slots *slots; /* core/memslot.c */
	struct core_attrs *attrs; /* core/attributes.c: per-VM attributes by gfn */
};

/* KVM_CREATE_VM's check of the type. */
int core_vm_type_check(const struct core_sys *sys, u64 type, struct core_err *err);
int core_vm_init(struct core_vm *vm, const struct core_sys *sys, const struct core_mem *mem, unsigned type);
/* All files must be gone. */
void core_vm_fini(struct core_vm *vm);

/* KVM_CREATE_GUEST_MEMFD: checks 3 and 4 (flags, size). */
int core_file_check(const struct core_vm *vm, const struct kvm_create_guest_memfd *args, struct core_err *err);
/* window as core_store_init() wants it; borrowed. */
void core_file_init(struct core_file *file, struct core_vm *vm, const struct kvm_create_guest_memfd *args, void *window);
/* The same for a window that another process initialised. */
void core_file_attach(struct core_file *file, struct core_vm *vm, const struct kvm_create_guest_memfd *args,
		      void *window);
/* The last reference is gone: bindings are severed, slots stay. */
void core_file_fini(struct core_file *file);

enum core_page_state { CORE_PAGE_SHARED, CORE_PAGE_PRIVATE, CORE_PAGE_BEYOND };
/* What a host touch of this page meets; safe in signal handlers. */
enum core_page_state core_file_page_state(const struct core_file *file, u64 page);
/* The same as a refusal with its rule: 0 on a shared page, else -EFAULT. */
int core_file_touch_check(const struct core_file *file, u64 page, struct core_err *err);
/* MADV_POPULATE_*: -EFAULT when a page of the range is private or beyond the end. */
int core_file_populate_check(const struct core_file *file, struct rt_pages range, struct core_err *err);

/*
 * Find the file behind descriptor fd for a binding: 0 and *ret; -EBADF for no
 * open file; -EINVAL for one that is no guest_memfd.
 */
typedef int core_file_lookup(void *ctx, u32 fd, struct core_file **ret);

/* What KVM_SET_USER_MEMORY_REGION[2] did, for those who must zap guest mappings. */
enum core_slot_change { CORE_SLOT_NONE, CORE_SLOT_CREATE, CORE_SLOT_DELETE, CORE_SLOT_MOVE, CORE_SLOT_FLAGS };
struct core_slot_effect {
	enum core_slot_change change;
	u64 old_gpa, new_gpa, size;
};

/* region has the v1 fields zero-extended when version is 1.  effect may be NULL. */
int core_memslot_set(struct core_vm *vm, const struct kvm_userspace_memory_region2 *region, int version,
		     core_file_lookup *lookup, void *ctx, struct core_slot_effect *effect, struct core_err *err);
const struct core_slot *core_memslot_by_id(const struct core_vm *vm, u32 id);
const struct core_slot *core_memslot_by_gpa(const struct core_vm *vm, unsigned address_space, u64 gpa);
/* The first slot that ends above gpa, or NULL. */
const struct core_slot *core_memslot_next(const struct core_vm *vm, unsigned address_space, u64 gpa);
/* The slot that a page of this file is bound to, or NULL. */
const struct core_slot *core_file_slot(const struct core_file *file, u64 page);
/* Checks of KVM_GET_DIRTY_LOG up to the copy: the bitmap's size in bytes in *bytes. */
int core_dirty_log_check(const struct core_vm *vm, u32 slot, u64 *bytes, struct core_err *err);

/* KVM_SET_MEMORY_ATTRIBUTES; -ENOTTY (no rule) where the build lacks it is core_vm_has_attributes_ioctl(). */
bool core_vm_has_attributes_ioctl(const struct core_vm *vm);
int core_vm_set_attributes(struct core_vm *vm, const struct kvm_memory_attributes *args, struct core_err *err);
u64 core_vm_attributes(const struct core_vm *vm, u64 gfn);
/* The first gfn above this one that has other attributes; all ones when there is none. */
u64 core_vm_attributes_end(const struct core_vm *vm, u64 gfn);

/* KVM_ENABLE_CAP on a VM, after the copy. */
int core_vm_enable_cap(struct core_vm *vm, const struct kvm_enable_cap *args, struct core_err *err);
/* Ids are below this. */
u32 core_vm_max_vcpu_id(const struct core_vm *vm);
u64 core_vm_apic_cycle_ns(const struct core_vm *vm);
/* KVM_CHECK_EXTENSION on a VM. */
int core_vm_cap(const struct core_vm *vm, u32 cap);
int core_vm_set_nr_mmu_pages(struct core_vm *vm, u64 pages, struct core_err *err);
int core_vm_create_irqchip(struct core_vm *vm, struct core_err *err);
/* KVM_CREATE_VCPU: the kernel's checks but for an id that exists.  nr: vCPUs that there are. */
int core_vm_create_vcpu(const struct core_vm *vm, u64 id, unsigned nr, struct core_err *err);

/* What serves a guest's access to the page at gpa, core/resolve.c. */
enum core_backing { CORE_BACKING_FILE, CORE_BACKING_HVA, CORE_BACKING_MMIO, CORE_BACKING_FAULT };
struct core_place {
	enum core_backing backing;
	const struct core_slot *slot; /* NULL when there is none */
	u64 page;	 /* of the file */
	u64 hva;
	u64 fault_flags; /* of KVM_EXIT_MEMORY_FAULT, should it come to that */
	bool is_private; /* the access */
};
void core_resolve(const struct core_vm *vm, unsigned space, u64 gpa, bool write, struct core_place *ret);
/*
 * The same for reads from gpa on, as far as one answer holds: returns the end of that range, below limit.
 * Pages follow each other within it.  States of pages end no run: where they can change, all they change is the flags
 * of faults.
 */
u64 core_resolve_run(const struct core_vm *vm, unsigned space, u64 gpa, u64 limit, struct core_place *ret);
/* The same for what KVM accesses in software: userspace_addr or MMIO. */
void core_resolve_own(const struct core_vm *vm, unsigned space, u64 gpa, bool write, struct core_place *ret);

/* core/dirty.c */
u64 core_dirty_words(const struct core_slot *slot);
int core_dirty_start(const struct core_vm *vm, struct core_slot *slot);
void core_dirty_stop(const struct core_vm *vm, struct core_slot *slot);
void core_dirty_mark(const struct core_slot *slot, u64 gpa);
int core_dirty_clear_check(const struct core_vm *vm, u32 slot, u64 first, u64 count, u64 *bytes, struct core_err *err);

/*
 * KVM_SET_MEMORY_ATTRIBUTES2, in three steps.
 * has_ioctl: false means ENOTTY before the argument is read.
 * check:     validation 4 to 10 of the specification, on the copied struct.
 * begin:     with the file's lock held: 1 when all pages have the state already
 *            (answer 0, nothing else happens), 0 to go on, -ENOMEM or -EAGAIN with *error_offset set.
 * commit:    the new state; cannot fail after begin said 0.
 */
bool core_file_has_attributes_ioctl(const struct core_file *file);
int core_convert_check(const struct core_file *file, const struct kvm_memory_attributes2 *args, struct core_err *err);
int core_convert_begin(struct core_file *file, struct rt_pages range, bool to_private, u64 *error_offset,
		       struct core_err *err);
void core_convert_commit(struct core_file *file, struct rt_pages range, bool to_private);

/* Test hook: hold a page as a DMA pin would; -ENOMEM, -EINVAL beyond the end or on a private page (unpin: on no pin). */
int core_file_pin(struct core_file *file, u64 page);
int core_file_unpin(struct core_file *file, u64 page);
/* Whether a page of the range is pinned, and the lowest such page. */
bool core_file_lowest_pin(const struct core_file *file, struct rt_pages range, u64 *page);

#endif
