// SPDX-License-Identifier: MIT
/*
 * diff/model_guest.c - guests of the naive model: one access each, by what the slots say when it is made
 */
#include "diff/model.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define RAM_GPA	  0x3ff00000ULL
#define RAM_PAGES 4
#define RAM_SLOT  64
#define OUT_GPA	  0x3ff80000ULL
#define STALE	  99

enum { EXIT_MMIO = 6, EXIT_INTERNAL_ERROR = 17, EXIT_MEMORY_FAULT = 39 };

/* In the order of diff/calls_guest.h. */
enum operation { LOAD, STORE, OR, XCHG, XADD, MOVS };
static const struct {
	enum operation operation;
	unsigned size;
} kinds[] = { { LOAD, 1 },  { LOAD, 4 }, { LOAD, 8 }, { STORE, 1 }, { STORE, 4 },
	      { STORE, 8 }, { OR, 1 },	 { XCHG, 4 }, { XADD, 8 },  { MOVS, 4 } };

/* What serves an access. */
struct place {
	enum { BYTES, DEVICE, NO_HOST, FAULT } what;
	unsigned char *bytes;
	u64 flags;
	u64 *dirty; /* the bit to set, in a slot that logs */
	unsigned bit;
};

result model_new_vcpu(u64 v, u64 id)
{
	result ret;

	if (model.vm[v] < 0 || model.vcpu[v].open)
		return answer(SKIPPED);
	ret = model_slot1(v, RAM_SLOT, 0, RAM_GPA, RAM_PAGES * PAGE, RAM_ADDRESS);
	if (ret.ret)
		return ret;
	if (model.instances[model.vm[v]].vcpu_ids >> id & 1)
		return answer(-EEXIST);
	model.instances[model.vm[v]].vcpu_ids |= 1U << id;
	model.vcpu[v] = (struct vcpu){ .open = true, .instance = model.vm[v], .rdi = OUT_GPA, .done = true };
	return ret;
}

result model_close_vcpu(u64 v)
{
	if (!model.vcpu[v].open)
		return answer(SKIPPED);
	model.vcpu[v].open = false;
	return answer(0);
}

static struct memslot *slot_at(int v, u64 gpa)
{
	for (int s = 0; s < SLOTS; s++) {
		struct memslot *slot = &model.instances[v].slot[s];

		if (slot->used && slot->space == 0 && gpa >= slot->gpa && gpa - slot->gpa < slot->size)
			return slot;
	}
	return NULL;
}

static bool frame_is_private(int v, const struct memslot *slot, u64 gpa)
{
	const struct instance *i = &model.instances[v];
	u64 page;

	if (model.kernel->in_place) {
		if (!slot || slot->inode < 0)
			return false;
		page = (slot->offset + gpa - slot->gpa) / PAGE;
		return page < FILE_PAGES && model.inodes[slot->inode].page[page].private;
	}
	for (int a = i->attribute_count - 1; a >= 0; a--) {
		if (gpa >= i->attribute[a].start && gpa <= i->attribute[a].last)
			return i->attribute[a].private;
	}
	return false;
}

/* Memory at an address of the process, as KVM may use it. */
static unsigned char *host_bytes(u64 hva, bool write)
{
	u64 at;

	if (hva >= MEMORY_ADDRESS && hva < MEMORY_ADDRESS + MEMORY_PAGES * PAGE) {
		at = hva - MEMORY_ADDRESS;
		if (at >= MEMORY_NONE * PAGE || (write && at >= MEMORY_READ * PAGE))
			return NULL;
		return model.memory + at;
	}
	for (u64 w = 0; w < WINDOWS; w++) {
		int sig, code;

		at = hva - (WINDOW_BASE + w * WINDOW_STEP);
		if (at < WINDOW_PAGES * PAGE)
			return model_byte(w, at, write, &sig, &code);
	}
	return NULL;
}

static unsigned char *file_bytes(const struct memslot *slot, u64 gpa)
{
	u64 at = slot->offset + gpa - slot->gpa;
	struct inode *inode;
	unsigned char *bytes;

	if (slot->inode < 0 || at >= model.inodes[slot->inode].size || at >= FILE_PAGES * PAGE)
		return NULL;
	inode = &model.inodes[slot->inode];
	bytes = model_page_bytes(&inode->page[at / PAGE]);
	return bytes + at % PAGE;
}

static void note_dirty(struct place *p, struct memslot *slot, u64 gpa)
{
	p->dirty = slot->flags & 1 ? &slot->dirty : NULL;
	p->bit = (unsigned)((gpa - slot->gpa) / PAGE);
}

/* By KVM itself: userspace_addr, whatever the frame is. */
static struct place own_place(int v, u64 gpa, bool write)
{
	struct place p = { .what = DEVICE };
	struct memslot *slot = slot_at(v, gpa);

	if (!slot || (write && slot->flags & 2))
		return p;
	p.bytes = host_bytes(slot->hva + gpa - slot->gpa, write);
	if (!p.bytes)
		return p;
	p.what = BYTES;
	note_dirty(&p, slot, gpa);
	return p;
}

static struct place place_of(int v, u64 gpa, bool write)
{
	struct place p = { .what = FAULT };
	struct memslot *slot = slot_at(v, gpa);
	const bool frame = frame_is_private(v, slot, gpa), private = frame && type_is_private(model.instances[v].type);

	p.flags = private ? 8 : 0;
	if (frame != private)
		return p;
	if (!slot) {
		p.what = private ? FAULT : DEVICE;
		return p;
	}
	if (private || slot->file_only) {
		p.bytes = slot->with_file ? file_bytes(slot, gpa) : NULL;
		p.what = p.bytes ? BYTES : FAULT;
		return p;
	}
	if (write && slot->flags & 2) {
		p.what = DEVICE;
		return p;
	}
	p.bytes = host_bytes(slot->hva + gpa - slot->gpa, write);
	p.what = p.bytes ? BYTES : NO_HOST;
	note_dirty(&p, slot, gpa);
	return p;
}

static result fault_exit(const struct place *p, u64 gpa)
{
	result ret = answer(-EFAULT);

	ret.code = p->what == FAULT ? EXIT_MEMORY_FAULT : model.kernel->gmem ? 0 : STALE;
	ret.aux = p->what == FAULT ? gpa / PAGE * PAGE | p->flags : 0;
	return ret;
}

static result device_exit(u64 gpa, unsigned size, bool write, u64 value)
{
	result ret = answer((s64)gpa);

	ret.code = EXIT_MMIO | (int)size << 8 | write << 16;
	if (write)
		memcpy(&ret.aux, &value, size);
	return ret;
}

static void write_bytes(const struct place *p, u64 value, unsigned size)
{
	memcpy(p->bytes, &value, size);
	if (p->dirty)
		*p->dirty |= 1ULL << p->bit;
}

/* What an access of memory that is read and written leaves there, and in RAX. */
static u64 combine(struct vcpu *c, u64 old)
{
	const u64 rax = c->rax;

	switch (kinds[c->kind].operation) {
	case XCHG: c->rax = old; return rax;
	case XADD: c->rax = old; return old + rax;
	default: return old | rax;
	}
}

static bool access_memory(struct vcpu *c, result *ret);

/* A locked instruction's write: where there is memory by now it is compared, and the CPU itself tries again. */
static bool compare_and_exchange(struct vcpu *c, const struct place *p, u64 old, u64 value, u64 rax, result *ret)
{
	const unsigned size = kinds[c->kind].size;
	const struct memslot *slot = slot_at(c->instance, c->gpa);

	if (!slot || slot->flags & 2) {
		*ret = device_exit(c->gpa, size, true, value);
		return true;
	}
	if (p->what == BYTES && !memcmp(p->bytes, &old, size)) {
		write_bytes(p, value, size);
		return false;
	}
	c->done = false;
	c->rax = rax;
	if (p->what == BYTES)
		return access_memory(c, ret);
	*ret = answer(0);
	ret->code = EXIT_INTERNAL_ERROR;
	return true;
}

/* KVM does the whole instruction by itself; false when there is no exit. */
static bool emulate(struct vcpu *c, bool answered, u64 data, result *ret)
{
	const unsigned size = kinds[c->kind].size;
	const enum operation operation = kinds[c->kind].operation;
	struct place p;
	const u64 rax = c->rax;
	u64 value = 0, old = 0, to = c->gpa;

	if (operation == STORE) {
		value = c->rax;
	} else if (answered) {
		memcpy(&value, &data, size);
	} else {
		p = own_place(c->instance, c->gpa, false);
		if (p.what != BYTES) {
			c->reading = true;
			*ret = device_exit(c->gpa, size, false, 0);
			return true;
		}
		memcpy(&value, p.bytes, size);
	}
	c->done = true;
	if (operation == LOAD) {
		c->rax = value;
		return false;
	}
	if (operation == MOVS) {
		to = c->rdi;
		c->rdi += size;
	} else if (operation != STORE) {
		old = value;
		value = combine(c, value);
	}
	p = own_place(c->instance, to, true);
	if (operation == XADD || operation == XCHG)
		return compare_and_exchange(c, &p, old, value, rax, ret);
	if (p.what == BYTES) {
		write_bytes(&p, value, size);
		return false;
	}
	*ret = device_exit(to, size, true, value);
	return true;
}

/* The instruction that accesses; false when there is no exit. */
static bool access_memory(struct vcpu *c, result *ret)
{
	const unsigned size = kinds[c->kind].size;
	const enum operation operation = kinds[c->kind].operation;
	const bool write = operation != LOAD && operation != MOVS;
	struct place p = place_of(c->instance, c->gpa, write);
	u64 value = 0;

	if (p.what == FAULT || p.what == NO_HOST) {
		*ret = fault_exit(&p, c->gpa);
		return true;
	}
	if (p.what == BYTES && operation == MOVS) {
		struct place to = place_of(c->instance, c->rdi, true);

		if (to.what == FAULT) {
			*ret = fault_exit(&to, c->rdi);
			return true;
		}
	}
	if (p.what == DEVICE || operation == MOVS)
		return emulate(c, false, 0, ret);
	memcpy(&value, p.bytes, size);
	c->done = true;
	switch (operation) {
	case LOAD: c->rax = value; break;
	case STORE: write_bytes(&p, c->rax, size); break;
	default: write_bytes(&p, combine(c, value), size);
	}
	return false;
}

/* The loop behind it, which stores RAX to a device for ever. */
static result store_rax(const struct vcpu *c)
{
	struct place p = place_of(c->instance, c->rdi, true);
	result ret = answer(0);

	if (p.what == FAULT)
		return fault_exit(&p, c->rdi);
	ret.aux = c->rax;
	return ret;
}

/* Up to an exit. */
static result run(struct vcpu *c, u64 data)
{
	result ret;

	if (c->reading) {
		c->reading = false;
		if (emulate(c, true, data, &ret))
			return ret;
	}
	if (!c->done && access_memory(c, &ret))
		return ret;
	return store_rax(c);
}

result model_guest(u64 v, u64 kind, u64 gpa, u64 value)
{
	struct vcpu *c = &model.vcpu[v];
	result ignored;

	if (!c->open)
		return answer(SKIPPED);
	if (model.in_child)
		return answer(-EIO);
	if (c->reading)
		emulate(c, true, 0, &ignored);
	*c = (struct vcpu){ .open = true, .instance = c->instance, .kind = (unsigned)kind, .gpa = gpa, .rax = value, .rdi = OUT_GPA };
	return run(c, 0);
}

result model_resume(u64 v, u64 value)
{
	if (!model.vcpu[v].open)
		return answer(SKIPPED);
	if (model.in_child)
		return answer(-EIO);
	return run(&model.vcpu[v], value);
}

result model_pre_fault(u64 v, u64 gpa, u64 size, u64 flags)
{
	u64 a[8] = { gpa, size, flags, 1, 2, 3, 4, 5 }, done = 0;
	struct place p = { .what = BYTES };
	result ret;

	if (!model.vcpu[v].open)
		return answer(SKIPPED);
	ret = answer(-EINVAL);
	if (model.in_child)
		ret = answer(-EIO);
	else if (model.kernel->pre_fault && !flags && !(gpa % PAGE) && !(size % PAGE) && gpa + size > gpa)
		ret = answer(0);
	for (; ret.ret == 0 && done < size && p.what == BYTES; done += p.what == BYTES ? PAGE : 0)
		p = place_of(model.vcpu[v].instance, gpa + done, false);
	if (p.what != BYTES && !done && p.what == DEVICE)
		ret = answer(-ENOENT);
	else if (p.what != BYTES && !done)
		ret = fault_exit(&p, gpa);
	/* Memory that cannot be used leaves the exit alone, and so does whatever is not about memory. */
	if (ret.ret && ret.code != EXIT_MEMORY_FAULT)
		ret.code = STALE;
	a[0] += done;
	a[1] -= done;
	ret.aux += model_hash(1, a, sizeof(a));
	return ret;
}

result model_memory(u64 at, u64 value)
{
	result ret = answer(0);

	if (value < 256)
		model.memory[at] = (unsigned char)value;
	ret.aux = model.memory[at];
	return ret;
}
