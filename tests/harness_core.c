// SPDX-License-Identifier: MIT
/*
 * tests/harness_core.c - core/ as a stream of operations: memslots, files, conversions, pins
 *
 * The first byte chooses profile and type, then each operation is a byte and its arguments. After each:
 *
 *  1. slots of an address space lie apart and are found by each of their addresses;
 *  2. ranges bound to a file lie within it and apart, and core_file_slot() says the same;
 *  3. pages have the state that the conversions gave them; a pinned page never became private;
 *  4. at the end all memory has been given back;
 *  5. once more, the same operations give the same answers (INV-8).
 */
#include <errno.h>
#include <sys/mman.h>

#include "core/vm.h"
#include "tests/core_mem.h"

#define HARNESS "core"
#include "tests/harness.h"

#define PG    4096ULL
#define PAGES 24U
#define SLOTS 6U

struct world {
	struct core_sys sys;
	struct core_vm vm;
	struct core_file file[2];
	bool open[2], is_private[2][PAGES];
	unsigned pins[2][PAGES];
	void *window[2];
};

static uint64_t answers; /* a hash of all so far */

static int note(int ret, const struct core_err *err)
{
	answers = (answers ^ (uint64_t)(unsigned)ret ^ (ret ? (uint64_t)err->rule << 32 : 0)) * 0x100000001b3ULL;
	return ret;
}

static const char *const profiles[] = { "linux-6.8", "linux-6.12", "linux-6.18", "linux-7.3", "linux-7.4" };

static int find(void *ctx, u32 fd, struct core_file **ret)
{
	struct world *w = ctx;

	if (fd < 2 && w->open[fd])
		*ret = &w->file[fd];
	return fd < 2 && w->open[fd] ? 0 : fd == 2 ? -EINVAL : -EBADF;
}

static void create(struct world *w, unsigned f, u64 flags)
{
	struct kvm_create_guest_memfd args = { .size = PAGES * PG, .flags = flags };
	struct core_err err = { .rule = RULE_NONE };

	if (w->open[f] || note(core_file_check(&w->vm, &args, &err), &err))
		return;
	memset(w->window[f], 0, core_store_window_size(PAGES));
	core_file_init(&w->file[f], &w->vm, &args, w->window[f]);
	w->open[f] = true;
	for (unsigned p = 0; p < PAGES; p++) {
		w->is_private[f][p] = core_file_page_state(&w->file[f], p) == CORE_PAGE_PRIVATE;
		w->pins[f][p] = 0;
	}
}

static void destroy(struct world *w, unsigned f)
{
	if (!w->open[f])
		return;
	core_file_fini(&w->file[f]);
	w->open[f] = false;
}

static void convert(struct world *w, unsigned f, u64 first, u64 count, u64 value)
{
	struct kvm_memory_attributes2 args = { .offset = first * PG, .size = count * PG, .attributes = value };
	struct rt_pages range = { first, count };
	const bool to_private = value == 8;
	u64 error_offset = ~0ULL;
	struct core_err err = { .rule = RULE_NONE };
	int ret;

	if (!w->open[f] || !core_file_has_attributes_ioctl(&w->file[f]) || note(core_convert_check(&w->file[f], &args, &err), &err))
		return;
	HOLDS(count && first + count <= PAGES && (value == 0 || value == 8));
	ret = core_convert_begin(&w->file[f], range, to_private, &error_offset, &err);
	answers = (answers ^ error_offset) * 0x100000001b3ULL ^ (uint64_t)(unsigned)ret;
	if (ret == -EAGAIN)
		HOLDS(to_private && error_offset / PG >= first && error_offset / PG < first + count && w->pins[f][error_offset / PG]);
	if (ret == 1)
		for (u64 p = first; p < first + count; p++)
			HOLDS(w->is_private[f][p] == to_private);
	if (ret)
		return;
	core_convert_commit(&w->file[f], range, to_private);
	for (u64 p = first; p < first + count; p++) {
		HOLDS(!to_private || !w->pins[f][p]);
		w->is_private[f][p] = to_private;
	}
}

static void set_slot(struct world *w, struct input *in)
{
	struct kvm_userspace_memory_region2 r = { .slot = (u32)input_take(in, 1) % SLOTS, .flags = (u32)input_take(in, 1) & 7 };
	const u64 fine = input_take(in, 1);
	struct core_slot_effect effect;
	struct core_err err = { .rule = RULE_NONE };

	r.guest_phys_addr = input_take(in, 1) % 64 * PG;
	r.memory_size = input_take(in, 1) % 20 * PG;
	r.userspace_addr = 0x10000000 + input_take(in, 1) % 4 * 64 * PG;
	r.guest_memfd = (u32)input_take(in, 1) % 4;
	r.guest_memfd_offset = input_take(in, 1) % 28 * PG;
	switch (fine) {
	case 250: r.slot |= 1U << 16; break;
	case 251: r.memory_size = input_take(in, 8); break;
	case 252: r.guest_phys_addr = input_take(in, 8); break;
	case 253: r.userspace_addr = input_take(in, 8); break;
	case 254: r.guest_memfd_offset = input_take(in, 8); break;
	case 255: r.flags = (u32)input_take(in, 4); break;
	}
	note(core_memslot_set(&w->vm, &r, r.flags & 4 ? 2 : 1 + (int)(fine & 1), find, w, &effect, &err), &err);
}

static void attributes(struct world *w, struct input *in)
{
	struct kvm_memory_attributes a = { .address = input_take(in, 1) % 64 * PG, .size = input_take(in, 1) % 32 * PG };
	const u64 first = a.address / PG;
	struct core_err err = { .rule = RULE_NONE };

	a.attributes = input_take(in, 1) % 3 * 8;
	if (!core_vm_has_attributes_ioctl(&w->vm) || note(core_vm_set_attributes(&w->vm, &a, &err), &err))
		return;
	for (u64 p = first; p < first + a.size / PG; p++)
		HOLDS(core_vm_attributes(&w->vm, p) == a.attributes);
	HOLDS(core_vm_attributes_end(&w->vm, first) >= first + a.size / PG);
}

static void pin(struct world *w, unsigned f, u64 page, bool add)
{
	int ret;

	if (!w->open[f])
		return;
	ret = add ? core_file_pin(&w->file[f], page) : core_file_unpin(&w->file[f], page);
	HOLDS(page < PAGES || ret < 0);
	if (ret)
		return;
	HOLDS(add ? !w->is_private[f][page] : w->pins[f][page] > 0);
	w->pins[f][page] += add ? 1 : -1U;
}

static void check_slots(const struct world *w)
{
	for (u32 space = 0; space < 2; space++) {
		for (u32 i = 0; i < SLOTS; i++) {
			const struct core_slot *a = core_memslot_by_id(&w->vm, space << 16 | i);

			if (!a)
				continue;
			HOLDS(a->size && a->gpa + a->size > a->gpa && a->id == (space << 16 | i));
			HOLDS(core_memslot_by_gpa(&w->vm, space, a->gpa) == a);
			HOLDS(core_memslot_by_gpa(&w->vm, space, a->gpa + a->size - 1) == a);
			HOLDS(core_memslot_by_gpa(&w->vm, space, a->gpa + a->size) != a);
			HOLDS(!a->file || (a->file_offset + a->size <= a->file->size && core_file_slot(a->file, a->file_offset / PG) == a));
		}
	}
}

static void check_files(const struct world *w)
{
	for (unsigned f = 0; f < 2; f++) {
		if (!w->open[f])
			continue;
		for (unsigned i = 1; i < w->file[f].nr_bound; i++)
			HOLDS(w->file[f].bound[i - 1]->file_offset + w->file[f].bound[i - 1]->size <= w->file[f].bound[i]->file_offset);
		for (unsigned p = 0; p < PAGES; p++)
			HOLDS((core_file_page_state(&w->file[f], p) == CORE_PAGE_PRIVATE) == w->is_private[f][p]);
		HOLDS(core_file_page_state(&w->file[f], PAGES) == CORE_PAGE_BEYOND);
	}
}

static void step(struct world *w, struct input *in)
{
	const unsigned op = (unsigned)input_take(in, 1), f = op >> 3 & 1;
	u64 a, b;

	switch (op & 7) {
	case 0: create(w, f, op >> 4 & 3); break;
	case 1:
		if (op >> 4 == 7)
			destroy(w, f);
		break;
	case 2:
	case 3: set_slot(w, in); break;
	case 4: attributes(w, in); break;
	case 5:
	case 6:
		a = input_take(in, 1) % (PAGES + 2);
		b = input_take(in, 1) % (PAGES + 2);
		convert(w, f, a, b, op >> 4 == 15 ? input_take(in, 1) : op >> 4 & 1 ? 8 : 0);
		break;
	default:
		pin(w, f, input_take(in, 1) % (PAGES + 2), op >> 4 & 1);
	}
}

static uint64_t play(const uint8_t *data, size_t size)
{
	static struct world w;
	static void *windows[2];
	struct input in = { data, data + size };
	const unsigned choice = (unsigned)input_take(&in, 1);
	const struct core_profile *p = core_profile_find(profiles[choice % RT_ARRAY_SIZE(profiles)]);
	const long before = mem_live;

	answers = 1;
	w = (struct world){ .open = { false } };
	for (unsigned f = 0; f < 2; f++) {
		if (!windows[f])
			windows[f] = mmap(NULL, core_store_window_size(PAGES), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		HOLDS(windows[f] != MAP_FAILED);
		w.window[f] = windows[f];
	}
	if (!p || core_sys_init(&w.sys, p, &core_shape_mainline, p->known_vm_types, -1) < 0 ||
	    core_vm_init(&w.vm, &w.sys, &test_mem, choice >> 7 & 1) < 0)
		return 0;
	for (unsigned n = 0; n < 200 && in.p < in.end; n++) {
		step(&w, &in);
		check_slots(&w);
		check_files(&w);
	}
	destroy(&w, 0);
	destroy(&w, 1);
	check_slots(&w);
	core_vm_fini(&w.vm);
	HOLDS(mem_live == before);
	return answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t first = play(data, size);

	HOLDS(play(data, size) == first);
	return 0;
}
