// SPDX-License-Identifier: MIT
/*
 * diff/model.c - the specification once more, on flat arrays and without cleverness
 *
 * Shares nothing with core/: a page of a mapping is an entry, a page of a file is an
 * entry, and every call walks them.  What a kernel does VMA by VMA is here
 * done page by page, which comes to the same since its VMAs differ where pages do.
 */
#include "diff/diff.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check/traits.h"

typedef uint64_t u64;
typedef int64_t s64;
typedef struct diff_result result;

#define PAGE	     4096ULL
#define VMS	     2
#define FILES	     6
#define WINDOWS	     6
#define WINDOW_PAGES 32
#define INODES	     512 /* one for each step of a sequence */
#define INSTANCES    512
#define SLOTS	     128
#define FILE_PAGES   128 /* of a file; beyond them the generator maps nothing */
#define HVA_LIMIT    0x7ffffffff000ULL
#define GPA_LIMIT    (1ULL << 48)
#define SKIPPED	     (-1000)

struct file_page {
	bool private, used; /* used: touched, so that mincore() tells */
	unsigned char *bytes;
};

struct inode {
	bool live;
	int vm;
	u64 size, flags;
	struct file_page page[FILE_PAGES];
};

struct mapped_page {
	int inode; /* -1: nothing is mapped */
	u64 index, prot;
	bool locked, guard, stays; /* stays: not in children */
};

struct memslot {
	bool used;
	unsigned space, id;
	u64 gpa, size, hva, flags, offset;
	int inode; /* -1: none, or gone */
};

struct instance {
	unsigned type;
	struct memslot slot[SLOTS];
};

static const struct traits *kernel;
static struct inode *inodes;
static struct instance *instances;
static int instance_count, inode_count;
static int vm[VMS], file[FILES];
static struct mapped_page mapped[WINDOWS][WINDOW_PAGES];
static unsigned char source[2 * PAGE];
static bool in_child;

static result answer(s64 ret)
{
	return (result){ .ret = ret };
}

static u64 hash_of(u64 hash, const void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3ULL;
	return hash;
}

static bool meet(u64 a, u64 a_size, u64 b, u64 b_size)
{
	return a < b + b_size && b < a + a_size;
}

static struct mapped_page nothing_mapped(void)
{
	return (struct mapped_page){ .inode = -1 };
}

static void end_sequence(void)
{
	for (int i = 0; i < inode_count; i++) {
		for (int p = 0; p < FILE_PAGES; p++)
			free(inodes[i].page[p].bytes);
		memset(&inodes[i], 0, sizeof(inodes[i]));
	}
	memset(instances, 0, (size_t)instance_count * sizeof(*instances));
	inode_count = instance_count = 0;
	for (int f = 0; f < FILES; f++)
		file[f] = -1;
	for (int v = 0; v < VMS; v++)
		vm[v] = -1;
	for (int w = 0; w < WINDOWS; w++)
		for (int p = 0; p < WINDOW_PAGES; p++)
			mapped[w][p] = nothing_mapped();
}

int diff_model_begin(const char *profile)
{
	kernel = traits_find(profile);
	inodes = calloc(INODES, sizeof(*inodes));
	instances = calloc(INSTANCES, sizeof(*instances));
	if (!kernel || !inodes || !instances)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (unsigned char)(i * 7 + i / PAGE + 1);
	end_sequence();
	return 0;
}

/* A file without descriptors and mappings goes; the slots that it was bound to stay, without it. */
static void forget_files(void)
{
	for (int i = 0; i < inode_count; i++) {
		bool held = !inodes[i].live;

		for (int f = 0; f < FILES; f++)
			held = held || file[f] == i;
		for (int w = 0; w < WINDOWS; w++)
			for (int p = 0; p < WINDOW_PAGES; p++)
				held = held || mapped[w][p].inode == i;
		if (held)
			continue;
		inodes[i].live = false;
		for (int s = 0; s < SLOTS; s++)
			if (instances[inodes[i].vm].slot[s].inode == i)
				instances[inodes[i].vm].slot[s].inode = -1;
	}
}

/* --- VMs ----------------------------------------------------------------------- */

static uint32_t vm_types(void)
{
	return kernel->types & 3;
}

static unsigned spaces(unsigned type)
{
	return type_is_private(type) ? 1 : 2;
}

static u64 creation_flags(unsigned type)
{
	if (!kernel->mappable)
		return 0;
	return type_is_private(type) && !kernel->in_place ? 1 : 3;
}

static result new_vm(u64 v, u64 type)
{
	if (vm[v] >= 0)
		return answer(SKIPPED);
	if (type >= 32 || !(vm_types() >> type & 1))
		return answer(-EINVAL);
	vm[v] = instance_count++;
	instances[vm[v]].type = (unsigned)type;
	for (int s = 0; s < SLOTS; s++)
		instances[vm[v]].slot[s].inode = -1;
	return answer(0);
}

static result close_vm(u64 v)
{
	if (vm[v] < 0)
		return answer(SKIPPED);
	vm[v] = -1;
	return answer(0);
}

static result capability(u64 v, u64 number)
{
	const bool device = v >= VMS;
	unsigned type = 0;

	if (!device && vm[v] < 0)
		return answer(SKIPPED);
	if (!device && in_child)
		return answer(-EIO);
	if (!device)
		type = instances[vm[v]].type;
	switch (number) {
	case 3: case 16: case 21: case 30: case 81: case 105: return answer(1);
	case 10: return answer(32764);
	case 118: return answer(device ? 2 : spaces(type));
	case 201: return answer(0x1000);
	case 231: case 232: return answer(kernel->gmem);
	case 233:
		return answer(kernel->gmem && kernel->vm_attributes && !kernel->in_place && (device || type_is_private(type)) ? 8 : 0);
	case 234: return answer(kernel->gmem && (device || kernel->gmem_for_all || type_is_private(type)));
	case 235: return answer(kernel->typed ? vm_types() : 0);
	case 236: return answer(kernel->pre_fault);
	case 244: return answer((s64)creation_flags(type));
	case 252: return answer(kernel->in_place && (device || type_is_private(type)) ? 8 : 0);
	default: return answer(0);
	}
}

static struct memslot *find_slot(struct instance *v, unsigned space, unsigned id)
{
	for (int s = 0; s < SLOTS; s++)
		if (v->slot[s].used && v->slot[s].space == space && v->slot[s].id == id)
			return &v->slot[s];
	return NULL;
}

static s64 bind(int v, const struct memslot *new, u64 f, int *ret)
{
	struct inode *inode;

	if (f == FILES)
		return -EBADF;
	if (f > FILES)
		return -EINVAL;
	inode = &inodes[file[f]];
	if (inode->vm != v)
		return -EINVAL;
	if (kernel->signed_sum) {
		if ((s64)new->offset < 0 || (s64)(new->offset + new->size) > (s64)inode->size)
			return -EINVAL;
	} else if (new->offset + new->size > inode->size) {
		return -EINVAL;
	}
	*ret = file[f];
	for (int s = 0; s < SLOTS; s++) {
		const struct memslot *other = &instances[v].slot[s];

		if (other->used && other->inode == file[f] && meet(other->offset, other->size, new->offset, new->size))
			return -kernel->conflict;
	}
	return 0;
}

static s64 set_slot(int v, u64 number, u64 flags, u64 gpa, u64 size, u64 hva, u64 f, u64 offset)
{
	struct instance *instance = &instances[v];
	struct memslot new = { .used = true, .space = (unsigned)(number >> 16), .id = number & 0xffff, .gpa = gpa, .size = size,
			       .hva = hva, .flags = flags, .inode = -1 };
	const bool with_file = flags & 4;
	u64 allowed = with_file ? 0 : 3, limit = kernel->sign_hva ? INT64_MAX : HVA_LIMIT;
	struct memslot *old;
	int inode = -1;
	s64 ret = 0;

	if (kernel->gmem && (kernel->gmem_for_all || type_is_private(instance->type)))
		allowed |= 4;
	if (new.id >= 32764 || flags & ~allowed)
		return -EINVAL;
	if (size % PAGE || gpa % PAGE || hva % PAGE)
		return -EINVAL;
	if (hva + size < hva || hva + size > limit)
		return -EINVAL;
	if (with_file && (offset % PAGE || offset + size < offset))
		return -EINVAL;
	if (new.space >= spaces(instance->type) || gpa + size < gpa || size / PAGE > 0x7fffffff)
		return -EINVAL;
	old = find_slot(instance, new.space, new.id);
	if (!size) {
		if (!old)
			return -EINVAL;
		*old = (struct memslot){ .inode = -1 };
		return 0;
	}
	if (old) {
		if (with_file || hva != old->hva || size != old->size || (flags ^ old->flags) & 6)
			return -EINVAL;
		if (gpa == old->gpa) {
			old->flags = flags;
			return 0;
		}
	}
	for (int s = 0; s < SLOTS; s++) {
		const struct memslot *other = &instance->slot[s];

		if (other->used && other != old && other->space == new.space && meet(gpa, size, other->gpa, other->size))
			return -EEXIST;
	}
	new.offset = offset;
	if (with_file)
		ret = bind(v, &new, f, &inode);
	/* Newer kernels look for the conflict last. */
	if (gpa + size > GPA_LIMIT && (!ret || (kernel->late_conflict && ret == -EEXIST)))
		return -EINVAL;
	if (ret)
		return ret;
	new.inode = inode;
	for (int s = 0; !old; s++)
		if (!instance->slot[s].used)
			old = &instance->slot[s];
	*old = new;
	return 0;
}

static result slot(u64 v, u64 id, u64 flags, u64 gpa, u64 size, u64 hva, u64 f, u64 offset)
{
	if (vm[v] < 0 || (f < FILES && file[f] < 0))
		return answer(SKIPPED);
	if (!kernel->gmem)
		return answer(-ENOTTY);
	return answer(set_slot(vm[v], (uint32_t)id, (uint32_t)flags, gpa, size, hva, f, offset));
}

static result slot1(u64 v, u64 id, u64 flags, u64 gpa, u64 size, u64 hva)
{
	if (vm[v] < 0)
		return answer(SKIPPED);
	if ((uint32_t)flags & ~3U)
		return answer(-EINVAL);
	return answer(set_slot(vm[v], (uint32_t)id, (uint32_t)flags, gpa, size, hva, FILES, 0));
}

static result dirty_log(u64 v, u64 id)
{
	const unsigned space = (uint32_t)id >> 16, number = id & 0xffff;
	const struct memslot *s;

	if (vm[v] < 0)
		return answer(SKIPPED);
	if (space >= spaces(instances[vm[v]].type) || number >= 32764)
		return answer(-EINVAL);
	s = find_slot(&instances[vm[v]], space, number);
	return answer(s && s->flags & 1 ? 0 : -ENOENT);
}

static result attributes(u64 v, u64 address, u64 size, u64 value, u64 flags)
{
	if (vm[v] < 0)
		return answer(SKIPPED);
	if (!kernel->vm_attributes)
		return answer(-ENOTTY);
	if (flags || value & ~(type_is_private(instances[vm[v]].type) && !kernel->in_place ? 8ULL : 0))
		return answer(-EINVAL);
	if (!size || address + size <= address || address % PAGE || size % PAGE)
		return answer(-EINVAL);
	return answer(0);
}

static result enable(u64 v, u64 number, u64 flags, u64 arg)
{
	if (vm[v] < 0)
		return answer(SKIPPED);
	return answer(number == 201 && !(uint32_t)flags && !(arg & ~0x1000ULL) ? 0 : -EINVAL);
}

static result mmu_pages(u64 v, u64 pages)
{
	if (vm[v] < 0)
		return answer(SKIPPED);
	return answer(pages < 64 ? -EINVAL : 0);
}

/* --- files --------------------------------------------------------------------- */

static result new_file(u64 f, u64 v, u64 size, u64 flags)
{
	struct inode *inode;

	if (file[f] >= 0 || vm[v] < 0)
		return answer(SKIPPED);
	if (!kernel->gmem)
		return answer(-ENOTTY);
	if (flags & ~creation_flags(instances[vm[v]].type) || (s64)size <= 0 || size % PAGE)
		return answer(-EINVAL);
	file[f] = inode_count++;
	inode = &inodes[file[f]];
	*inode = (struct inode){ .live = true, .vm = vm[v], .size = size, .flags = flags };
	for (int p = 0; p < FILE_PAGES; p++)
		inode->page[p].private = !(flags & 2);
	return answer(0);
}

static result close_file(u64 f)
{
	if (file[f] < 0)
		return answer(SKIPPED);
	file[f] = -1;
	forget_files();
	return answer(0);
}

static result dup_file(u64 f, u64 g)
{
	if (file[f] < 0 || file[g] >= 0)
		return answer(SKIPPED);
	file[g] = file[f];
	return answer(0);
}

static void punch(struct inode *inode, u64 first, u64 count)
{
	for (u64 p = first; p < first + count && p < FILE_PAGES; p++) {
		free(inode->page[p].bytes);
		inode->page[p].bytes = NULL;
		inode->page[p].used = false;
	}
}

static bool generic_mode(u64 mode)
{
	const u64 operation = mode & 0xfa; /* PUNCH 2, COLLAPSE 8, ZERO 16, INSERT 32, UNSHARE 64, WRITE_ZEROES 128 */

	if (mode & ~0xfbULL)
		return false;
	switch (operation) {
	case 0: case 16: case 64: return true;
	case 2: return mode & 1;
	case 8: case 32: return !(mode & 1);
	case 128: return kernel->write_zeroes && !(mode & 1);
	default: return false;
	}
}

static result allocate(u64 f, u64 mode, u64 offset, u64 size)
{
	mode = (uint32_t)mode;
	if (file[f] < 0 || (mode == 1 && size > 64ULL << 20 && (s64)size > 0))
		return answer(SKIPPED);
	if ((s64)offset < 0 || (s64)size <= 0)
		return answer(-EINVAL);
	if (!generic_mode(mode) && kernel->modes_by_flag && !(mode & ~0x7bULL) && (mode & 3) != 2 && (mode & 0x12) != 0x12)
		return answer(-EINVAL);
	if (!generic_mode(mode))
		return answer(-EOPNOTSUPP);
	if ((s64)(offset + size) < 0)
		return answer(-EFBIG);
	if (mode != 1 && mode != 3)
		return answer(-EOPNOTSUPP);
	if (offset % PAGE || size % PAGE)
		return answer(-EINVAL);
	if (mode == 1)
		return answer(offset + size > inodes[file[f]].size ? -EINVAL : 0);
	punch(&inodes[file[f]], offset / PAGE, size / PAGE);
	return answer(0);
}

static result stat_file(u64 f)
{
	const unsigned mode = 0100600;
	result ret = answer(0);

	if (file[f] < 0)
		return answer(SKIPPED);
	ret.aux = hash_of(inodes[file[f]].size, &mode, sizeof(mode)) + 1 * 5 + PAGE * 7;
	return ret;
}

static result file_call(u64 f, u64 which)
{
	static const s64 answers[16] = { -EINVAL, -EINVAL, -ESPIPE, -EINVAL, -ESPIPE, -EINVAL, -EINVAL, -EINVAL,
					 -EINVAL, -EINVAL, -ENOTTY, -EINVAL, -ENOTTY, -ENOTTY, 0x8002,	5 };

	if (file[f] < 0)
		return answer(SKIPPED);
	if (kernel->old_calls && (which == 9 || which == 10))
		return answer(0);
	return answer(answers[which]);
}

static s64 set_private(struct inode *inode, u64 offset, u64 size, u64 value, u64 flags, u64 word)
{
	if (!kernel->in_place)
		return -ENOTTY;
	if (flags || word < 11 || !type_is_private(instances[inode->vm].type) || value & ~8ULL)
		return -EINVAL;
	if (!size || offset + size < offset || offset % PAGE || size % PAGE)
		return -EINVAL;
	if (offset >= inode->size || offset + size > inode->size)
		return -EINVAL;
	for (u64 p = offset / PAGE; p < (offset + size) / PAGE && p < FILE_PAGES; p++)
		inode->page[p].private = value != 0;
	return 0;
}

static result convert(u64 f, u64 offset, u64 size, u64 value, u64 flags, u64 word)
{
	result ret;

	if (file[f] < 0)
		return answer(SKIPPED);
	ret = answer(set_private(&inodes[file[f]], offset, size, value, flags, word));
	/* Nothing is pinned, so that error_offset is never written. */
	ret.aux = 0x1234;
	return ret;
}

/* --- mappings ------------------------------------------------------------------ */

/* The page of the file behind a mapped page that can be used now; NULL when the host may not touch it. */
static struct file_page *usable(const struct mapped_page *m)
{
	struct inode *inode = &inodes[m->inode];
	struct file_page *page;

	if (m->index >= inode->size / PAGE || m->index >= FILE_PAGES)
		return NULL;
	page = &inode->page[m->index];
	if (page->private)
		return NULL;
	if (!page->bytes)
		page->bytes = calloc(1, PAGE);
	page->used = true;
	return page;
}

static void populate(u64 w, u64 at, u64 pages)
{
	for (u64 p = at; p < at + pages; p++)
		if (!mapped[w][p].prot || mapped[w][p].guard || !usable(&mapped[w][p]))
			return;
}

static s64 refuse_map(const struct inode *inode, u64 size, u64 offset, u64 prot, u64 flags, bool *cleared)
{
	const u64 type = flags & 0xf;

	*cleared = false;
	if (offset % PAGE || flags & MAP_HUGETLB)
		return -EINVAL;
	if (offset / PAGE > (INT64_MAX - size) / PAGE)
		return -EOVERFLOW;
	if (type < MAP_SHARED || type > MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (type == MAP_SHARED_VALIDATE && flags & 0x80000)
		return -EOPNOTSUPP;
	if (kernel->noexec && prot & PROT_EXEC)
		return -EPERM;
	if (!kernel->mappable)
		return -ENODEV;
	if (flags & MAP_GROWSDOWN)
		return -EINVAL;
	/* From here on it is the file that refuses, and what lay there is gone. */
	*cleared = true;
	if (!(inode->flags & 1))
		return -ENODEV;
	return type == MAP_PRIVATE ? -EINVAL : 0;
}

static result map(u64 w, u64 at, u64 pages, u64 f, u64 offset, u64 prot, u64 flags)
{
	bool cleared;
	s64 ret;

	if (file[f] < 0)
		return answer(SKIPPED);
	ret = refuse_map(&inodes[file[f]], pages * PAGE, offset, prot, flags, &cleared);
	for (u64 p = at; cleared && p < at + pages; p++) {
		mapped[w][p] = nothing_mapped();
		if (!ret)
			mapped[w][p] = (struct mapped_page){ .inode = file[f], .index = offset / PAGE + p - at, .prot = prot,
							     .locked = flags & MAP_LOCKED };
	}
	if (!ret && flags & (MAP_LOCKED | MAP_POPULATE))
		populate(w, at, pages);
	forget_files();
	return answer(ret);
}

static result unmap(u64 w, u64 at, u64 pages)
{
	if (!pages)
		return answer(-EINVAL);
	if (in_child)
		return answer(0);
	for (u64 p = at; p < at + pages; p++)
		mapped[w][p] = nothing_mapped();
	forget_files();
	return answer(0);
}

static result protect(u64 w, u64 at, u64 pages, u64 prot)
{
	for (u64 p = at; p < at + pages; p++) {
		if (mapped[w][p].inode < 0)
			return answer(-ENOMEM);
		if (prot & PROT_EXEC)
			return answer(-EACCES);
		mapped[w][p].prot = prot;
	}
	return answer(0);
}

static s64 populate_advice(u64 w, u64 at, u64 pages, u64 need)
{
	for (u64 p = at; p < at + pages; p++) {
		if (mapped[w][p].inode < 0)
			return -ENOMEM;
		if (!(mapped[w][p].prot & need))
			return -EINVAL;
		if (mapped[w][p].guard || !usable(&mapped[w][p]))
			return -EFAULT;
	}
	return 0;
}

static s64 advise_page(struct mapped_page *m, u64 advice)
{
	switch (advice) {
	case MADV_DONTNEED: case MADV_COLD: case MADV_PAGEOUT:
		return m->locked ? -EINVAL : 0;
	case MADV_REMOVE:
		if (m->locked)
			return -EINVAL;
		punch(&inodes[m->inode], m->index, 1);
		return 0;
	case MADV_FREE: case MADV_WIPEONFORK: case 25: /* COLLAPSE */
		return -EINVAL;
	case MADV_DONTFORK:
		m->stays = true;
		return 0;
	case MADV_DOFORK:
		m->stays = false;
		return 0;
	case 102: /* GUARD_INSTALL */
		if (m->locked)
			return -EINVAL;
		m->guard = true;
		return 0;
	case 103:
		m->guard = false;
		return 0;
	default:
		return 0;
	}
}

static result advise(u64 w, u64 at, u64 pages, u64 advice)
{
	s64 hole = 0;

	if (advice == 77)
		return answer(-EINVAL);
	if (!pages)
		return answer(0);
	if (advice == 22 || advice == 23)
		return answer(populate_advice(w, at, pages, advice == 22 ? PROT_READ : PROT_WRITE));
	for (u64 p = at; p < at + pages; p++) {
		s64 ret = mapped[w][p].inode < 0 ? 0 : advise_page(&mapped[w][p], advice);

		if (ret)
			return answer(ret);
		if (mapped[w][p].inode < 0)
			hole = -ENOMEM;
	}
	return answer(hole);
}

static result lock(u64 w, u64 at, u64 pages)
{
	for (u64 p = at; p < at + pages; p++) {
		if (mapped[w][p].inode < 0)
			return answer(-ENOMEM);
		mapped[w][p].locked = true;
	}
	for (u64 p = at; p < at + pages; p++)
		if (!mapped[w][p].prot || mapped[w][p].guard || !usable(&mapped[w][p]))
			return answer(-ENOMEM);
	return answer(0);
}

static result unlock(u64 w, u64 at, u64 pages)
{
	for (u64 p = at; p < at + pages; p++) {
		if (mapped[w][p].inode < 0)
			return answer(-ENOMEM);
		mapped[w][p].locked = false;
	}
	return answer(0);
}

static result sync_range(u64 w, u64 at, u64 pages, u64 flags)
{
	s64 hole = 0;

	if (flags & ~7ULL || (flags & MS_ASYNC && flags & MS_SYNC))
		return answer(-EINVAL);
	for (u64 p = at; p < at + pages; p++) {
		if (mapped[w][p].inode < 0) {
			if (flags == MS_ASYNC)
				return answer(-ENOMEM);
			hole = -ENOMEM;
			continue;
		}
		if (flags & MS_INVALIDATE && mapped[w][p].locked)
			return answer(-EBUSY);
		if (flags & MS_SYNC)
			return answer(-EINVAL);
	}
	return answer(hole);
}

static result resident(u64 w, u64 at, u64 pages)
{
	result ret = answer(0);

	for (u64 p = 0; p < pages; p++) {
		const struct mapped_page *m = &mapped[w][at + p];

		if (m->inode < 0) {
			ret.ret = -ENOMEM;
			return ret;
		}
		if (m->index < inodes[m->inode].size / PAGE && m->index < FILE_PAGES && inodes[m->inode].page[m->index].used)
			ret.aux |= 1ULL << p;
	}
	return ret;
}

/* The byte at an address, or NULL with the signal that a touch gets. */
static unsigned char *byte_at(u64 w, u64 at, bool write, int *sig, int *code)
{
	const struct mapped_page *m = &mapped[w][at / PAGE];
	struct file_page *page;

	*sig = SIGSEGV;
	*code = SEGV_MAPERR;
	if (m->inode < 0 || (in_child && m->stays))
		return NULL;
	*code = SEGV_ACCERR;
	if (!m->prot || (write && !(m->prot & PROT_WRITE)))
		return NULL;
	*code = SEGV_MAPERR;
	if (m->guard)
		return NULL;
	*sig = SIGBUS;
	*code = BUS_ADRERR;
	page = usable(m);
	return page ? page->bytes + at % PAGE : NULL;
}

static result touch(u64 w, u64 at, int value)
{
	result ret = answer(0);
	unsigned char *byte = byte_at(w, at, value >= 0, &ret.sig, &ret.code);

	if (!byte) {
		ret.aux = at;
		return ret;
	}
	ret.sig = ret.code = 0;
	if (value >= 0)
		*byte = (unsigned char)value;
	else
		ret.aux = *byte;
	return ret;
}

static result load(u64 w, u64 at)
{
	return touch(w, at, -1);
}

static result store(u64 w, u64 at, u64 value)
{
	return touch(w, at, (int)(value & 0xff));
}

/* A copy ends at the first byte that cannot be touched; it fails if that is the very first. */
static result kernel_store(u64 w, u64 at, u64 size)
{
	int sig, code;
	u64 done = 0;

	for (; done < size; done++) {
		unsigned char *byte = byte_at(w, at + done, true, &sig, &code);

		if (!byte)
			break;
		*byte = source[done];
	}
	return answer(size && !done ? -EFAULT : (s64)done);
}

static result kernel_load(u64 w, u64 at, u64 size)
{
	unsigned char bytes[2 * PAGE];
	result ret;
	int sig, code;
	u64 done = 0;

	for (; done < size; done++) {
		const unsigned char *byte = byte_at(w, at + done, false, &sig, &code);

		if (!byte)
			break;
		bytes[done] = *byte;
	}
	ret = answer(size && !done ? -EFAULT : (s64)done);
	if (done)
		ret.aux = hash_of(1, bytes, done);
	return ret;
}

static result child(u64 what, u64 a, u64 b, u64 c, u64 d)
{
	result ret = answer(0);

	in_child = true;
	switch (what) {
	case 0: ret = load(a, b); break;
	case 1: ret = store(a, b, c); break;
	case 2: ret = allocate(a, 3, b, c); break;
	case 3: ret = convert(a, b, c, d, 0, 99); break;
	case 4: ret = capability(a, b); break;
	case 5: ret = answer(vm[b] < 0 ? SKIPPED : -EIO); break;
	default: ret = unmap(a, b, c); break;
	}
	in_child = false;
	return ret;
}

void diff_model(const struct diff_step *step, struct diff_result *ret)
{
	const u64 *a = step->a;

	switch (step->kind) {
#define STEP(name, args, call)                                                                                         \
	case DIFF_##name:                                                                                              \
		*ret = name call;                                                                                      \
		break;
#include "diff/step.def"
#undef STEP
	default:
		end_sequence();
		*ret = answer(0);
	}
}
