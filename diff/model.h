/* SPDX-License-Identifier: MIT */
/*
 * diff/model.h - the specification once more, on flat arrays and without cleverness
 *
 * Shares nothing with core/: a page of a mapping is an entry, a page of a file is an
 * entry, and every call walks them.  What a kernel does VMA by VMA is here
 * done page by page, which comes to the same since its VMAs differ where pages do.
 */
#ifndef GMEM_DIFF_MODEL_H
#define GMEM_DIFF_MODEL_H

#include "check/traits.h"
#include "diff/diff.h"

typedef uint64_t u64;
typedef int64_t s64;
typedef struct diff_result result;

#define PAGE	     4096ULL
#define VMS	     DIFF_VMS
#define FILES	     6
#define WINDOWS	     6
#define WINDOW_PAGES 32
#define INODES	     512 /* one for each step of a sequence */
#define INSTANCES    512
#define SLOTS	     128
#define FILE_PAGES   1024 /* of a file; nothing is mapped beyond them, see map() in calls_map.h */
#define WINDOW_BASE  0x200000000000ULL
#define WINDOW_STEP  0x400000ULL
#define RAM_ADDRESS  (WINDOW_BASE + WINDOWS * WINDOW_STEP)
#define MEMORY_ADDRESS (WINDOW_BASE + (WINDOWS + 1) * WINDOW_STEP)
#define MEMORY_PAGES 16
#define MEMORY_READ  10 /* from here on: not written */
#define MEMORY_NONE  13 /* nor read */
#define HVA_LIMIT    0x7ffffffff000ULL
#define GPA_LIMIT    (1ULL << 48)
#define SKIPPED	     (-1000)

struct file_page {
	bool private, used; /* used: touched, so that mincore() tells */
	bool struck;	    /* by a memory error, until it is punched */
	unsigned pins;	    /* of whatever page lies at the offset */
	unsigned char *bytes;
};

struct inode {
	bool live;
	int vm;
	u64 size, flags;
	struct file_page page[FILE_PAGES];
};

/* What else keeps a kernel from joining two VMAs. */
enum {
	KIND_RANDOM = 1, KIND_SEQUENTIAL = 2, KIND_ACCESS = 3, /* MADV_NORMAL: neither */
	KIND_HUGE = 4, KIND_NOHUGE = 8, KIND_SIZE = 12,
	KIND_NODUMP = 16,
	KIND_NORESERVE = 32,
};

struct mapped_page {
	int inode; /* -1: nothing is mapped */
	u64 index, prot, kind;
	bool locked, guard, stays; /* stays: not in children */
	bool apart;		   /* a VMA begins here although it could be joined with the one before */
};

struct memslot {
	bool used;
	unsigned space, id;
	u64 gpa, size, hva, flags, offset;
	int inode; /* -1: none, or gone */
	bool with_file, file_only; /* file_only: serves whatever the guest accesses */
	u64 dirty; /* a bit for each page: there are 64 at most */
};

struct range {
	u64 start, last;
	bool private;
};

struct instance {
	unsigned type, vcpu_ids;
	u64 manual; /* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
	struct memslot slot[SLOTS];
	struct range attribute[DIFF_SEQUENCE]; /* as they were set: the last one counts */
	int attribute_count;
};

/* It stands before its instruction, amid it (waiting for what a device answers), or in the loop behind it. */
struct vcpu {
	bool open, reading, done;
	int instance;
	unsigned kind;
	u64 gpa, rax, rdi;
};

extern struct model {
	const struct traits *kernel;
	struct inode *inodes;
	struct instance *instances;
	int instance_count, inode_count;
	int vm[VMS], file[FILES];
	struct mapped_page mapped[WINDOWS][WINDOW_PAGES];
	struct vcpu vcpu[VMS];
	unsigned char source[2 * PAGE], memory[MEMORY_PAGES * PAGE];
	bool in_child;
} model;

static inline result answer(s64 ret)
{
	return (result){ .ret = ret };
}

static inline struct mapped_page nothing_mapped(void)
{
	return (struct mapped_page){ .inode = -1 };
}

u64 model_hash(u64 hash, const void *data, size_t size);
/* A file without descriptors and mappings goes; the slots that it was bound to stay, without it. */
void model_forget_files(void);
u64 model_creation_flags(unsigned type);
unsigned model_spaces(unsigned type);
struct memslot *model_find_slot(struct instance *v, unsigned space, unsigned id);
void model_punch(struct inode *inode, u64 first, u64 count);
/* The page of the file behind a mapped page that can be used now; NULL when the host may not touch it. */
struct file_page *model_usable(const struct mapped_page *m);

/* Anything but the guard of this page changes: a kernel tries to join its VMA with its neighbours. */
void model_change(u64 w, u64 at, struct mapped_page to);
void model_populate(u64 w, u64 at, u64 pages);
/* The bytes of a page of a file, which is used from now on. */
unsigned char *model_page_bytes(struct file_page *page);
/* PEEK: by another process, for which writable is not readable.  FORCE: by /proc/PID/mem, which asks for no protection. */
enum access { READ, WRITE, PEEK, FORCE };
/* The byte at an address, or NULL with the signal that a touch gets. */
unsigned char *model_byte(u64 w, u64 at, enum access how, int *sig, int *code);

/* The steps, as diff/step.def gives them. */
result model_new_vm(u64 v, u64 type);
result model_close_vm(u64 v);
result model_capability(u64 v, u64 number);
result model_slot(u64 v, u64 id, u64 flags, u64 gpa, u64 size, u64 hva, u64 f, u64 offset);
result model_slot1(u64 v, u64 id, u64 flags, u64 gpa, u64 size, u64 hva);
result model_dup_vm(u64 v, u64 u);
result model_dirty_log(u64 v, u64 id);
result model_clear_log(u64 v, u64 id, u64 first, u64 pages, u64 mask);
result model_argument(u64 object, u64 which, u64 how);
result model_number(u64 v, u64 which, u64 value);
result model_attributes(u64 v, u64 address, u64 size, u64 value, u64 flags);
result model_enable(u64 v, u64 number, u64 flags, u64 arg);
result model_mmu_pages(u64 v, u64 pages);
result model_new_file(u64 f, u64 v, u64 size, u64 flags);
result model_close_file(u64 f);
result model_dup_file(u64 f, u64 g);
result model_pass_file(u64 f, u64 g, u64 forked);
result model_allocate(u64 f, u64 mode, u64 offset, u64 size);
result model_stat_file(u64 f);
result model_file_call(u64 f, u64 which);
result model_odd_call(u64 f, u64 which);
result model_convert(u64 f, u64 offset, u64 size, u64 value, u64 flags, u64 word);
result model_pin(u64 f, u64 offset, u64 on);
result model_strike(u64 f, u64 offset);
result model_map(u64 w, u64 at, u64 pages, u64 f, u64 offset, u64 prot, u64 flags);
result model_unmap(u64 w, u64 at, u64 pages);
result model_protect(u64 w, u64 at, u64 pages, u64 prot);
result model_remap(u64 w, u64 at, u64 size, u64 to, u64 to_at, u64 new_size, u64 flags);
result model_advise(u64 w, u64 at, u64 pages, u64 advice);
result model_lock(u64 w, u64 at, u64 pages);
result model_unlock(u64 w, u64 at, u64 pages);
result model_sync_range(u64 w, u64 at, u64 pages, u64 flags);
result model_resident(u64 w, u64 at, u64 pages);
result model_load(u64 w, u64 at);
result model_store(u64 w, u64 at, u64 value);
result model_kernel_store(u64 w, u64 at, u64 size, u64 how);
result model_kernel_load(u64 w, u64 at, u64 size, u64 how);
result model_child(u64 what, u64 a, u64 b, u64 c, u64 d);
result model_new_vcpu(u64 v, u64 id);
result model_close_vcpu(u64 v);
result model_guest(u64 v, u64 kind, u64 gpa, u64 value);
result model_resume(u64 v, u64 value);
result model_pre_fault(u64 v, u64 gpa, u64 size, u64 flags);
result model_memory(u64 at, u64 value);
result model_thread(u64 what, u64 a, u64 b, u64 c, u64 d);

#endif
