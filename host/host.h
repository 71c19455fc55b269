/* SPDX-License-Identifier: MIT */
/*
 * host/host.h - pages of this process: backing files and enforced host views
 *
 * A host file has a backing memfd that holds the contents, a window of shared
 * memory that holds the page states (core/store.h behind a control page), and
 * any number of host views: mappings that the program made, in which private
 * pages must not be accessible.  How that is enforced is an engine's business
 * (host/engine.h).
 *
 * Locks: the file lock (host_file_lock) is held across a conversion, and taken by
 * whatever maps or punches; below it the table lock of this process's views.
 * Callers in a preloaded program block all signals around every call, so that
 * no handler of the program runs on top of a held lock.
 *
 * All functions return 0 or a non-negative value, or -errno.
 */
#ifndef GMEM_HOST_HOST_H
#define GMEM_HOST_HOST_H

#include "core/store.h"
#include "rt/lock.h"
#include "rt/types.h"

/* What this host can do, found by host_init(). */
struct host_caps {
	bool userfaultfd;   /* userfaultfd(2) is allowed, with UFFD_FEATURE_SIGBUS */
	bool poison;	    /* UFFDIO_POISON works on shmem */
	bool guard;	    /* MADV_GUARD_INSTALL works on shmem */
	bool memory_failure; /* poison raises BUS_MCEERR_AR instead of BUS_ADRERR */
	bool memfd;	    /* memfd_create(2) */
	u64 max_map_count;  /* vm.max_map_count, 65530 where unreadable */
	const char *engine; /* the engine in use: "dp", "eg" or "remap" */
	const char *why;    /* one line: why this engine */
};

/*
 * Probe and choose.  engine: NULL or "auto" for the best, else a name from
 * host_engine_names(), which must be able to run here (-EOPNOTSUPP if not,
 * -EINVAL for an unknown name; -ENOMEM and the like when nothing could be found out).  May be called again after fork.
 */
int host_init(const char *engine);
const struct host_caps *host_caps(void);
/* What kept host_init() or host_engine_runs() from finding out: 0, -ENOMEM and the like. */
int host_probe_error(void);
/* NULL-terminated, best first; includes engines that cannot run here. */
const char *const *host_engine_names(void);
bool host_engine_runs(const char *name);

/* A process that has, or had, views of a file (host/peer.c). */
#define HOST_PEERS 64
struct host_peer {
	_Atomic u32 pid;    /* 0: free */
	u32 start;	    /* low bits of the process's start time: pids are reused */
	_Atomic u32 helper; /* its thread for this file; 0 when it ended, HOST_NO_HELPER before it began; futex word */
	_Atomic u32 asked;  /* number of the last request; futex word of the helper */
	_Atomic u32 done;   /* number of the last request that it has complied with; futex word of the asker */
	_Atomic u32 failed; /* ... and could not */
};
#define HOST_NO_HELPER 0xffffffffU
enum { HOST_REQUEST_DENY = 1, HOST_REQUEST_ALLOW, HOST_REQUEST_SETTLE };

#define HOST_POISON_MAX 64

/* First page of a file's window: what all processes agree on about it. */
struct host_control {
	_Atomic u32 owner;	     /* the file lock: pid of its holder, bit 31 when others wait; futex word */
	_Atomic u32 seq;	     /* of transitions, host/convert.c: odd while there is one; futex word */
	_Atomic u64 transition_first; /* pages in transition while seq is odd */
	_Atomic u64 transition_count;
	_Atomic u32 waiters;	     /* threads that sleep on seq */
	_Atomic u32 poison_used;     /* entries in poison[] */
	_Atomic u64 poison[HOST_POISON_MAX]; /* page number + 1, 0: free */
	_Atomic u32 request;	     /* HOST_REQUEST_*: what peers are asked to do with the range */
	_Atomic u32 shared;	     /* more than one process may have views: host/peer.h */
	_Atomic u32 owner_start;     /* start time of the lock's holder, 0 while it is not known */
	_Atomic u32 allocated;	     /* fallocate(2) has made pages that nobody may have touched yet */
	_Atomic u32 transition_private; /* where the transition leads */
	_Atomic u32 peers_top;	     /* entries of peers[] from here on have never been used */
	struct host_peer peers[HOST_PEERS];
};

struct host_file {
	u64 size;		/* bytes */
	int backing;		/* hidden fd, contents */
	int state;		/* hidden fd, window */
	int deny;		/* hidden fd of an empty file, sealed SHRINK|GROW (not WRITE: it is mapped writable); borrowed */
	struct host_control *control; /* first page of the window */
	void *window;		/* what follows: for core_store_init() */
	size_t window_size;	/* bytes of it */
	struct core_store store; /* attached to the window by the owner of the states */
	u64 id;			/* names the file in reports; set by the owner */
	void *owner;		/* the owner's pointer; untouched here */
	u64 views;		/* pieces of it in this process's table */
	int peer;		/* this process's entry in control->peers, -1 without */
	void *helper_stack;	/* of the thread that serves it; NULL without */
	struct host_guest *_Atomic guest; /* windows of the guest's view, host/guest.c */
	struct rt_lock guest_lock;
	u32 entries_met;	/* host/engine_dp.c: so many pages to be marked are expected to have an entry */
	int map_backing, map_deny; /* host/engine_eg.c: what its views are mapped from, hidden; -1 without views */
};

/* Create backing and window for a file of size bytes (> 0, page multiple, up to 2^63 - 4096). */
/* Not limited by RLIMIT_FSIZE; -ENOMEM, -ENFILE, -EMFILE.  deny is borrowed. */
int host_file_init(struct host_file *file, u64 size, int deny);
/* Adopt a file that another process made: takes both descriptors, which are hidden, on success. */
int host_file_adopt(struct host_file *file, u64 size, int backing, int state, int deny);
/* Whether any descriptor or mapping of the file is left, in any process; true when that cannot be told. */
bool host_file_in_use(struct host_file *file);
/* No view may be left. */
void host_file_fini(struct host_file *file);

/* -EAGAIN when the holder, another process, is stopped: it does not go on by itself. */
int host_file_lock(struct host_file *file) __attribute__((warn_unused_result));
void host_file_unlock(struct host_file *file);

/*
 * Make the pages of range inaccessible (to_private) or accessible in every
 * view of this process, with the file lock held.  The caller commits the new
 * states between begin and end; on failure of begin nothing has
 * changed for good (mappings may have been dropped) and end must not be called: -ENOMEM, or
 * -EAGAIN when another process did not comply in time.
 * While begin..end is under way touches of the range wait for the outcome.
 */
int host_convert_begin(struct host_file *file, struct rt_pages range, bool to_private);
void host_convert_end(struct host_file *file, struct rt_pages range, bool to_private);

/* fallocate's two operations on the contents; the range lies within the file. -ENOMEM, -EINTR. */
int host_file_punch(struct host_file *file, struct rt_pages range);
int host_file_allocate(struct host_file *file, struct rt_pages range);

/*
 * The guest's view: where a page of the file can be read and written whatever its state; NULL when there is no room.
 * Stays valid until host_guest_drop(), which host_file_fini() calls.
 */
#define HOST_GUEST_WINDOW (1ULL << 30) /* what lies in one window, by offset, is mapped in one piece */
u8 *host_guest_page(struct host_file *file, u64 page);
void host_guest_drop(struct host_file *file);
/* In a forked child: the windows were not inherited. */
void host_guest_forked(struct host_file *file);

/*
 * Views.  Arguments are those of mmap(2), already validated for a guest_memfd:
 * a shared mapping, off page aligned; it may reach beyond the end of the file,
 * where touches are SIGBUS.  flags may hold MAP_FIXED, MAP_FIXED_NOREPLACE,
 * MAP_POPULATE, MAP_LOCKED, MAP_NORESERVE, MAP_32BIT ...  Returns the address or -errno.
 */
long host_view_map(struct host_file *file, void *addr, u64 len, int prot, int flags, u64 off);

/* Whether any view intersects; one relaxed load when the process has no views at all. */
bool host_view_overlaps(const void *addr, u64 len);

/*
 * The program's calls on address ranges that intersect views; parts outside
 * views are handled as the kernel would.  Results are those of the system
 * calls on a real guest_memfd mapping (specification 4.3, 4.5).
 */
long host_munmap(void *addr, u64 len);
long host_mprotect(void *addr, u64 len, int prot, int pkey /* -1: mprotect(2) */);
long host_mremap(void *old, u64 old_len, u64 new_len, int flags, void *new_addr);
/* shmat(2) with SHM_REMAP, of a segment of len bytes. */
long host_shmat_over(int id, void *addr, int flags, u64 len);
/* What mremap(2) refuses before it looks at mappings; lengths are of whole pages. */
int host_mremap_check(u64 old, u64 old_len, u64 new_len, int flags, u64 new_addr);
/* How much of the range is mapped from its beginning on: of one view, or of what lies before the next; 0 for a hole. */
u64 host_mapped(const void *addr, u64 len);
long host_mmap_over(void *addr, u64 len, int prot, int flags, int fd, u64 off); /* any MAP_FIXED mapping over views */
/* mlockall(2): flags; views made from then on are locked where MCL_FUTURE says so, until host_munlockall(). */
long host_mlockall(int flags);
long host_munlockall(void);
/* mseal(2), kept here: engines must go on changing what the program must not. */
long host_mseal(void *addr, u64 len);
long host_mlock(void *addr, u64 len, unsigned flags, bool lock);
long host_mincore(void *addr, u64 len, u8 *vec);
/* After an mbind(2) of the range that the kernel has accepted. */
void host_mbind_follow(void *addr, u64 len, u64 mode, u64 mask, u64 bits);
/* advice has been classified by core/fileop.h; this drops, populates and installs guards, or passes on. */
long host_madvise_drop(void *addr, u64 len, int advice);
long host_madvise_populate(void *addr, u64 len, int advice);
long host_madvise_pass(void *addr, u64 len, int advice);
long host_madvise_guard(void *addr, u64 len, int advice);

/* One view piece at or after addr, for calls that go file range by file range; false when none before end. */
struct host_piece {
	struct host_file *file;
	char *addr;
	u64 len, off;
	int prot;
	bool locked; /* mlocked: MADV_REMOVE and MADV_DONTNEED are EINVAL */
};
bool host_view_next(const void *addr, const void *end, struct host_piece *ret);

/* What a signal at addr means.  Async-signal-safe, takes no lock. */
enum host_fault_kind {
	HOST_FAULT_FOREIGN, /* not in a view: the program's own */
	HOST_FAULT_RETRY,   /* resolved, or the state changed meanwhile: return and let the instruction run again */
	HOST_FAULT_BUS,	    /* a private page or beyond the end: SIGBUS, BUS_ADRERR */
	HOST_FAULT_POISON,  /* an emulated memory error: SIGBUS, BUS_MCEERR_AR */
	HOST_FAULT_GUARD,   /* the program's own guard page, which is private too: SIGSEGV, SEGV_MAPERR */
	HOST_FAULT_OTHER    /* in a view but as the kernel says (SEGV_ACCERR, the program's own guard page) */
};
struct host_fault {
	enum host_fault_kind kind;
	struct host_file *file;
	u64 offset; /* bytes in the file */
	bool beyond_end;
};
void host_fault(int signo, int code, void *addr, struct host_fault *ret);
/* A system call of the program got EFAULT for [addr, len): wait for conversions, or make shared pages
 * reachable where the engine serves them on demand; true when trying again makes sense. */
bool host_fault_fixup(void *addr, u64 len);

/*
 * Emulated memory errors, with the file lock held: the page raises SIGBUS, BUS_MCEERR_AR, in every view until it is
 * punched.  -ENOSPC beyond HOST_POISON_MAX pages of a file, -ENOMEM, -EAGAIN.
 */
int host_poison(struct host_file *file, u64 page);
void host_poison_heal(struct host_file *file, struct rt_pages range);
bool host_poisoned(const struct host_file *file, u64 page); /* lock-free, async-signal-safe */
/* The first poisoned page from `page` on, below end; end when there is none. */
u64 host_poison_next(const struct host_file *file, u64 page, u64 end);

/* Around fork(2): prepare takes the locks, parent and child release; child rebuilds what fork lost. */
void host_fork_prepare(void);
void host_fork_parent(void);
int host_fork_child(void);

/* Compare what is enforced with the states: 0, or -EUCLEAN and the first page that differs. Tests only. */
int host_audit(struct host_file *file, u64 *bad_page);
/* VMAs that views of this process use at most: the budget of engines.md. */
u64 host_vma_budget(void);

#endif
