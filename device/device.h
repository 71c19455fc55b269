/* SPDX-License-Identifier: MIT */
/*
 * device/device.h - an emulated /dev/kvm: objects and what can be done to them
 *
 * Callers (overlay, libgmem) block signals around calls that may lock, which
 * are all but dev_cap_fast().  Functions return what the system call would, -errno for
 * errors, and fill *err (never NULL) when a rule refused.
 */
#ifndef GMEM_DEVICE_DEVICE_H
#define GMEM_DEVICE_DEVICE_H

#include "core/fileop.h"
#include "core/vm.h"
#include "device/stats.h"
#include "host/host.h"
#include "host/object.h"

struct dev_vcpu;

enum dev_kind { DEV_NONE, DEV_SYSTEM, DEV_VM, DEV_GMEM, DEV_VCPU, DEV_KINDS };

/*
 * An object lives from its creation until no descriptor or mapping of it is
 * left in any process, no call is under way on it and nothing depends on it.  Its memory
 * is reused for the same kind only, so that a stale pointer is harmless.
 */
struct dev_object {
	struct host_object host;
	enum dev_kind kind;
	u32 refs;		 /* calls under way and dependants, under dev_lock */
	struct dev_object *next; /* in the table, or in the list of free ones */
};

#define DEV_ZONES 100 /* of coalesced writes */

struct dev_vm {
	struct dev_object obj;
	struct core_vm core;
	u64 mm; /* address space that created it: ioctls from another are EIO */
	struct dev_vcpu *vcpus; /* device/vcpu.h; under dev_slots_lock, as are the next two */
	unsigned nr_vcpus;
	_Atomic u32 stopping; /* vCPUs stay out of the guest; futex word */
	_Atomic u32 changes;  /* of what guest physical addresses mean */
	u64 tsc_khz;	      /* of vCPUs to come, 0: the host's */
	u64 clock_tsc, clock_ns; /* the VM's clock at a reading of the host's counter: device/pvclock.c */
	_Atomic u32 clock_changes;
	_Atomic u64 pv_wall;
	u64 tsc_offset; /* of the vCPUs that run in step; 0: none yet */
	struct rt_lock ring_lock; /* of the ring of coalesced writes */
	unsigned nr_zones;	  /* changed with the vCPUs stopped */
	struct kvm_coalesced_mmio_zone zones[DEV_ZONES];
	struct dev_msr_filter *msr_filter; /* device/msr_filter.c; NULL: all is allowed */
	struct dev_stats stats;
	struct dev_real *real; /* the VM of the real KVM that runs the guest: device/real.h; NULL without */
	void *irq; /* the interrupt controller's, with what it does at the VM's end and for each new vCPU */
	void (*irq_fini)(struct dev_vm *vm);
	void (*vcpu_created)(struct dev_vcpu *v); /* with dev_slots_lock held */
};

/* The conversions to private that a touch may be explained by, newest last. */
#define DEV_HISTORY 64
struct dev_conversion {
	struct rt_pages range;
	s32 pid, tid;
};

struct dev_gmem {
	struct dev_object obj;
	struct core_file core;
	struct host_file host;
	struct dev_vm *vm; /* holds a reference */
	u64 ctime;	   /* ns since the epoch, as is the next */
	_Atomic u64 mtime; /* holes are punched without a lock around this */
	u32 uid, gid;
	int lease; /* F_SETLEASE: F_UNLCK without one */
	u32 nr_conversions; /* modulo 2^32; index into history modulo DEV_HISTORY */
	struct dev_conversion history[DEV_HISTORY];
};

struct dev_config {
	struct core_sys sys;
	/* A file came or went: the broker wants to know.  May be NULL. */
	bool (*file_created)(struct dev_gmem *gmem); /* false: it must not be */
	void (*file_gone)(struct dev_gmem *gmem);
	bool real_cpu; /* guests run on the host's /dev/kvm */
	bool keep_history; /* for dev_gmem_converted_by() */
	/* These signals, blocked by the program, will be unblocked within KVM_RUN; called in KVM_RUN. */
	void (*take_signals)(u64 mask);
	/* A guest met a memory error at hva: SIGBUS for this thread when KVM_RUN, which ends now, has returned. */
	void (*memory_error)(u64 hva);
	/* One line for the user about something that is no refusal. */
	void (*notice)(const char *text);
};

int dev_init(const struct dev_config *config);
const struct core_sys *dev_sys(void);

/* open("/dev/kvm", flags): a descriptor or -errno. */
int dev_open(int flags);

/* The object behind an inode with a reference taken, or NULL. */
struct dev_object *dev_find(struct host_ident id);
/* Take a reference on a pointer that may be stale: false when it is not the object of that inode any more. */
bool dev_get(struct dev_object *obj, struct host_ident id);
void dev_put(struct dev_object *obj);

long dev_ioctl(struct dev_object *obj, u32 cmd, u64 arg, struct core_err *err);
/* KVM_CHECK_EXTENSION and nothing else: no lock, no signal mask; false when dev_ioctl() must decide. */
bool dev_cap_fast(const struct dev_object *obj, u64 arg, long *ret);
/* Name of an ioctl for reports, or NULL. */
const char *dev_ioctl_name(u32 cmd);
/* Whether it returns a descriptor. */
bool dev_ioctl_makes_fd(u32 cmd);

/* Whether the caller's address space is not the one that the table says (fork): true after a raw fork, too. */
u64 dev_mm(void);
void dev_forked(void);
bool dev_fork_pending(void);
/* Around fork(2), as rt_alloc_fork_*(). */
void dev_fork_prepare(void);
void dev_fork_done(void);
/* In a forked child, after host_watch_forked(): what belonged to the parent alone is made anew. */
void dev_forked_objects(void);
/* Around exec(2): this process leaves those that share files, and comes back when exec failed. */
void dev_exec_leave(bool leave);
/* Another process shares a file of ours and asks for helpers (HOST_PEER_SIGNAL). */
void dev_peers_called(void);

/* Free what nothing refers to any more; cheap when nothing was closed. */
void dev_reap(void);
/* st_dev of every object; 0 before there is one. */
u64 dev_st_dev(void);
/* Objects of a kind that exist: leak tests. */
unsigned dev_count(enum dev_kind kind);

/* Calls on a guest_memfd's descriptor. */
long dev_gmem_mmap(struct dev_gmem *g, void *addr, u64 len, int prot, int flags, s64 off, struct core_err *err);
long dev_gmem_fallocate(struct dev_gmem *g, int mode, s64 off, s64 len, struct core_err *err);
/* madvise(2) on a range with views in it. */
long dev_madvise(void *addr, u64 len, int advice, struct core_err *err);
/* Who made a page private: false when it was so from the start. */
bool dev_gmem_converted_by(const struct dev_gmem *g, u64 page, struct dev_conversion *ret);
/* A file of another process, from its parts; takes the descriptors, which are hidden, whatever comes of it. */
struct dev_gmem *dev_gmem_adopt(int placeholder, int backing, int state, u64 size, u64 flags, unsigned vm_type, u64 id);
/*
 * An object of another process that came by exec or a socket: its /dev/kvm is as good as
 * ours (DEV_SYSTEM), its VM answers EIO to everything (DEV_VM).
 */
struct dev_object *dev_foreign(enum dev_kind kind, struct host_ident id);
/* Test hook: pin or unpin a page of a file. */
/* Test hook: an emulated memory error; -EINVAL beyond the end. */
long dev_gmem_poison(struct dev_gmem *g, u64 offset, bool on);
long dev_gmem_pin(struct dev_gmem *g, u64 offset, bool pin);

#endif
