// SPDX-License-Identifier: MIT
/*
 * diff/model.c - the naive model's state, its beginning and end, and steps made by others than the first thread
 */
#include "diff/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct model model;

u64 model_hash(u64 hash, const void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3ULL;
	return hash;
}

static void end_sequence(void)
{
	for (int i = 0; i < model.inode_count; i++) {
		for (int p = 0; p < FILE_PAGES; p++)
			free(model.inodes[i].page[p].bytes);
		memset(&model.inodes[i], 0, sizeof(model.inodes[i]));
	}
	memset(model.instances, 0, (size_t)model.instance_count * sizeof(*model.instances));
	model.inode_count = model.instance_count = 0;
	for (int f = 0; f < FILES; f++)
		model.file[f] = -1;
	for (int v = 0; v < VMS; v++)
		model.vm[v] = -1;
	memset(model.vcpu, 0, sizeof(model.vcpu));
	memset(model.memory, 0, sizeof(model.memory));
	for (int w = 0; w < WINDOWS; w++)
		for (int p = 0; p < WINDOW_PAGES; p++)
			model.mapped[w][p] = nothing_mapped();
}

int diff_model_begin(const char *profile)
{
	model.kernel = traits_find(profile);
	model.inodes = calloc(INODES, sizeof(*model.inodes));
	model.instances = calloc(INSTANCES, sizeof(*model.instances));
	if (!model.kernel || !model.inodes || !model.instances)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(model.source); i++)
		model.source[i] = (unsigned char)(i * 7 + i / PAGE + 1);
	end_sequence();
	return 0;
}

void model_forget_files(void)
{
	for (int i = 0; i < model.inode_count; i++) {
		bool held = !model.inodes[i].live;

		for (int f = 0; f < FILES; f++)
			held = held || model.file[f] == i;
		for (int w = 0; w < WINDOWS; w++)
			for (int p = 0; p < WINDOW_PAGES; p++)
				held = held || model.mapped[w][p].inode == i;
		if (held)
			continue;
		model.inodes[i].live = false;
		for (int s = 0; s < SLOTS; s++)
			if (model.instances[model.inodes[i].vm].slot[s].inode == i)
				model.instances[model.inodes[i].vm].slot[s].inode = -1;
	}
}

static result by_other(u64 what, u64 a, u64 b, u64 c, u64 d)
{
	switch (what) {
	case 0: return model_load(a, b);
	case 1: return model_store(a, b, c);
	case 2: return model_allocate(a, 3, b, c);
	case 3: return model_convert(a, b, c, d, 0, 99);
	case 4: return model_capability(a, b);
	case 5:
		if (model.vm[b] < 0)
			return answer(SKIPPED);
		return answer(model.in_child ? -EIO : model.kernel->gmem ? -EFAULT : -ENOTTY);
	case 7: return model_guest(a, b, c, d);
	default: return model_unmap(a, b, c);
	}
}

result model_child(u64 what, u64 a, u64 b, u64 c, u64 d)
{
	result ret;

	model.in_child = true;
	ret = by_other(what, a, b, c, d);
	model.in_child = false;
	return ret;
}

result model_thread(u64 what, u64 a, u64 b, u64 c, u64 d)
{
	return by_other(what, a, b, c, d);
}

void diff_model(const struct diff_step *step, struct diff_result *ret)
{
	const u64 *a = step->a;

	switch (step->kind) {
#define STEP(name, args, weight, call)                                                                                         \
	case DIFF_##name:                                                                                              \
		*ret = model_##name call;                                                                              \
		break;
#include "diff/step.def"
#undef STEP
	default:
		end_sequence();
		*ret = answer(0);
	}
}
