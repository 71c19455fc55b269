/* SPDX-License-Identifier: MIT */
/*
 * host/engine.h - views, regions and the engines: internals of host/
 *
 * THEORY OF OPERATION
 *
 * A view is a piece of the program's mapping of one file: one protection, one
 * set of flags, contiguous in the file.  Over it lies a grid of regions of
 * 2 MiB, aligned in *file offset*, so that the edge regions of a view may be partial.
 * A region is in one of two states, told by a bit:
 *
 *   closed  its VMA denies every access and holds no page tables; all of its
 *	     pages (those in this view and in the file) are private
 *   open    its VMA allows access; private pages carry a marker, shared pages none
 *
 * host/region.c decides which regions to open and close, within a budget of
 * VMAs; an engine does it: "dp" by userfaultfd registration and poison
 * markers, "eg" by mapping an empty file and guard markers.  Both can mark
 * a page in an open region without a VMA.  "remap" has no markers and works otherwise
 * (host/engine_remap.c).
 *
 *  HOST-1  The states (core/store.h) change only between host_convert_begin()
 *	    and host_convert_end(), which hold the table lock throughout: whoever
 *	    holds that lock sees views and states that agree.
 *  HOST-2  Opening: markers first, then the VMA.  Closing: the VMA first, then
 *	    the page tables.  Hence no private page outside a conversion's range
 *	    is accessible at any instant.
 *  HOST-3  A marker of a page that is private, and stays so, is never removed,
 *	    not even to be put back: deny marks runs of shared pages only.
 *  HOST-4  What can fail comes before what cannot; undoing uses only calls that
 *	    cannot fail (rt_syscall_raw: not fault-injected).  Where that breaks down
 *	    all the same, the view becomes PROT_NONE: closed rather than open.
 *  HOST-5  host_fault() may run at any time on any thread: the table is read
 *	    under its sequence count, and entries' memory is never unmapped.
 */
#ifndef GMEM_HOST_ENGINE_H
#define GMEM_HOST_ENGINE_H

#include "host/host.h"
#include "rt/syscall.h"

/* For the __atomic builtins, which clang wants without _Atomic. */
#define ATOMIC_U32(lvalue) ((u32 *)(uintptr_t)&(lvalue))
#define ATOMIC_U64(lvalue) ((u64 *)(uintptr_t)&(lvalue))

/* Reads what a writer may be changing and checks the sequence count afterwards: on purpose. */
#define SEQUENCE_READER __attribute__((no_sanitize("thread")))

#define REGION_SHIFT 21
#define REGION_SIZE  (1ULL << REGION_SHIFT)
#define ZAP_CHUNK    (64ULL << 20) /* a longer DONTNEED holds mmap_lock too long */

enum host_view_flags {
	VIEW_LOCKED = 1 << 0,	/* mlock(2)ed as far as the program can tell */
	VIEW_DONTFORK = 1 << 1, /* MADV_DONTFORK by the program */
	VIEW_BROKEN = 1 << 2,	/* HOST-4: PROT_NONE whatever prot says */
	VIEW_STALE = 1 << 3,	/* in a forked child: not yet mapped anew */
	VIEW_SEALED = 1 << 4,	/* mseal(2)ed as far as the program can tell */
	/* Where they differ the kernel has two VMAs: MADV_RANDOM and its like, MAP_NORESERVE. */
	VIEW_RANDOM = 1 << 5,
	VIEW_SEQUENTIAL = 1 << 6,
	VIEW_HUGE = 1 << 7,
	VIEW_NOHUGE = 1 << 8,
	VIEW_DONTDUMP = 1 << 9,
	VIEW_NORESERVE = 1 << 10,
};

struct host_view {
	u64 start, end; /* addresses */
	u64 off;	/* of start in the file */
	struct host_file *file;
	u64 *open; /* a bit per region */
	u64 lazy;  /* 1 + the region that was emptied last and left open */
	int prot;
	u32 flags;
	bool cut;  /* one with the view before it for the program, but for want of memory, or of a region open in both */
};

struct host_engine {
	const char *name;
	int (*init)(void);
	void (*fini)(void);

	/*
	 * Map v inaccessible (PROT_NONE or denied), at addr when flags say so; returns the address.
	 * Everything closed, unless all_open: then every region is open, without markers.
	 * Failing after the place has been cleared, it sets v->start to the place.
	 */
	long (*map)(struct host_view *v, u64 addr, int flags, bool all_open);
	/* map() has been followed by open()s: let v->prot apply. */
	int (*expose)(struct host_view *v);

	/* Closed regions [first, first + count) become open; private pages but those of allow are marked. */
	int (*open)(struct host_view *v, u64 first, u64 count, struct rt_pages allow);
	/* The reverse.  undo: cannot fail for want of a VMA, as the regions were closed before. */
	int (*close)(struct host_view *v, u64 first, u64 count, bool undo);
	/* Within open regions: pages that are shared now become inaccessible. */
	int (*mark)(struct host_view *v, struct rt_pages pages);
	/* Within open regions: pages become accessible. */
	void (*clear)(struct host_view *v, struct rt_pages pages);

	/* The three operations of a conversion; dp and eg use host/region.c. */
	int (*deny)(struct host_view *v, struct rt_pages pages);
	int (*allow)(struct host_view *v, struct rt_pages pages); /* all that can fail */
	void (*allow_finish)(struct host_view *v, struct rt_pages pages);
	void (*allow_undo)(struct host_view *v, struct rt_pages pages);
	/* Enforce the states in a view that was just map()ped. */
	int (*settle)(struct host_view *v);
	/* Make a shared page reachable that is not mapped: true when it was not and is now. */
	bool (*serve)(struct host_view *v, u64 page);
	bool serves; /* serve() has something to do */
	/* The table drops this piece; its VMAs are gone or go by other means.  May be NULL. */
	void (*forget)(struct host_view *v);
};

extern const struct host_engine host_engine_dp, host_engine_eg, host_engine_remap;
extern const struct host_engine *host_engine; /* in use; set by host_init() */

/* Knobs of the tests. */
struct host_tuning {
	u64 budget;	    /* 0: min(16000, max_map_count / 4) */
	bool portable_flip; /* dp: as if the kernel answered EBUSY (engines.md, trap 2) */
};
extern struct host_tuning host_tuning;

/* host/view.c: the table, sorted by address.  All but the lock-free ones need the lock. */
struct host_table {
	struct rt_lock lock;
	_Atomic u32 seq; /* odd while entries move */
	_Atomic u32 readers; /* signal handlers that look at entries and their files */
	_Atomic u64 count;
	struct host_view *views;
	u64 capacity;
	u64 vmas; /* that the views use, by our count */
};
extern struct host_table host_table;

void table_lock(void);
void table_unlock(void);
/* Index of the first view that ends after addr. */
u64 table_find(u64 addr);
/* Room for n more views, or -ENOMEM. */
int table_reserve(u64 n);
/* Takes v->open on success.  Room was reserved. */
void table_insert(const struct host_view *v);
/* Cut at addr if it lies inside a view. */
int table_split(u64 addr);
/* -EPERM when one of the views in [start, end) is sealed. */
int table_sealed(u64 start, u64 end);
/* The end of what is mapped from start on without a hole. */
u64 mapped_until(u64 start, u64 end);
/* A view that has just been mapped: locked when it shall be, or all are. */
void host_lock_new(void *addr, u64 len, bool lock);
void host_lock_forked(void);
/* Drop all views within [start, end); nothing crosses its edges. */
void table_remove(u64 start, u64 end);
/* Lock-free: copies the view at addr. Bracket by table_read_enter/exit to use its file. */
bool table_lookup(u64 addr, struct host_view *ret);
void table_read_enter(void);
void table_read_exit(void);
/* Views that touch at addr become one, if nothing tells them apart. */
int table_merge(u64 addr); /* -ENOMEM: table_join() tries again */
int table_join(u64 start, u64 end);
/* Where what the program knows as one mapping ends and begins that has view number `at`. */
u64 table_run_end(u64 at);
u64 table_run_start(u64 at);
int table_cut(u64 start, u64 end); /* split at both ends, or at neither */
/* What the program did to a view. */
void table_set(struct host_view *v, int prot, u32 flags);
u64 *region_bits_new(u64 regions);
void region_bits_free(u64 *bits, u64 regions);

/* host/region.c */
u64 view_regions(const struct host_view *v);
u64 view_vmas(const struct host_view *v);
bool region_is_open(const struct host_view *v, u64 region);
void region_bits_set(u64 *bits, u64 first, u64 count, bool open);
/* The same on a view in the table, whose VMAs it counts. */
void region_set(struct host_view *v, u64 first, u64 count, bool open);
/* Length of the run of equally open regions from region on, at most limit. */
u64 region_run(const struct host_view *v, u64 region, u64 limit);
/* Pages of the file in these regions that the view holds and that lie within the file. */
struct rt_pages region_pages(const struct host_view *v, u64 first, u64 count);
int region_deny(struct host_view *v, struct rt_pages pages);
int region_allow(struct host_view *v, struct rt_pages pages);
void region_allow_finish(struct host_view *v, struct rt_pages pages);
void region_allow_undo(struct host_view *v, struct rt_pages pages);
int region_settle(struct host_view *v);
/* Give up: nothing of v can be accessed any more. */
void view_break(struct host_view *v);

/* host/guard.c: guard pages that the program installed */
int guard_forget(u64 start, u64 end);
bool guard_covers(u64 addr);
/* Takes the markers away and remembers the guards: for pages that get no entry before guard_reinstall(). */
void guard_clear(u64 start, u64 len);
void guard_reinstall(struct host_view *v, struct rt_pages pages);
int guard_copy(u64 from, u64 to, u64 len);
int guard_change(struct host_view *v, u64 start, u64 end, bool install);

/* Pages of the file that v maps. */
struct rt_pages view_pages(const struct host_view *v);
struct rt_pages pages_and(struct rt_pages a, struct rt_pages b);
static inline u64 view_addr(const struct host_view *v, u64 page)
{
	return v->start + ((page << RT_PAGE_SHIFT) - v->off);
}
/* Address range of whole regions, as far as the view reaches; includes what lies beyond the file's end. */
u64 region_start(const struct host_view *v, u64 region);

/*
 * Runs of private pages in range that are not in allow, first to last:
 * for (run = private_run(v, range, allow); run.count; run = private_run_after(...)).
 */
struct rt_pages private_run(const struct host_view *v, struct rt_pages range, struct rt_pages allow);
struct rt_pages shared_run(const struct host_view *v, struct rt_pages range);
struct rt_pages pages_after(struct rt_pages range, struct rt_pages run);

/* Drop page table entries, in chunks; cannot fail on what is mapped. */
void host_zap(u64 addr, u64 len);

/* ftruncate(2) of a memfd whatever RLIMIT_FSIZE says: 0, -ENOMEM. */
int host_memfd_resize(int fd, u64 size);

/* host/engine_eg.c, shared with engine "remap": whole mappings of the backing or of the empty file. */
long eg_map(struct host_view *v, u64 addr, int flags, bool all_open);
int eg_expose(struct host_view *v);
int eg_place(struct host_view *v, u64 start, u64 len, bool backing, bool sure);

/* host/map.c: with the table lock held. */
/* What a file's views are mapped from; hidden, until the last view goes: no file outlives its mappings. */
int file_map_fd(struct host_file *file, bool backing);
void file_map_fds_close(struct host_file *file);
long view_map_locked(struct host_file *file, u64 addr, u64 len, int prot, int flags, u64 off, u32 view_flags);
long view_unmap_locked(u64 addr, u64 len);

#endif
