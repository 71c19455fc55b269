// SPDX-License-Identifier: MIT
/*
 * device/stats.c - KVM_GET_STATS_FD
 *
 * The file is a memfd of one page with header, name, descriptors and data, which we have
 * mapped and go on counting in: reading needs no help.  The program gets a
 * descriptor that only reads.  The file outlives the object, as in the kernel.
 */
#include "device/stats.h"

#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>

#include "device/internal.h"
#include "host/fd.h"
#include "rt/format.h"
#include "rt/self.h"
#include "rt/string.h"
#include "rt/syscall.h"

#define NAME_SIZE 48U /* KVM_STATS_NAME_SIZE */

/* As the kernel's, whose header has flexible arrays at their ends. */
struct stats_header {
	u32 flags, name_size, num_desc, id_offset, desc_offset, data_offset;
};

struct stats_desc {
	u32 flags; /* 0: a sum, without a unit */
	int16_t exponent;
	u16 size;
	u32 offset;
	u32 bucket_size;
	char name[NAME_SIZE];
};
_Static_assert(sizeof(struct stats_header) == 24 && sizeof(struct stats_desc) == 64, "ABI");

static const struct {
	enum dev_kind kind;
	const char *name;
} stats[DEV_STATS] = {
#define STAT(object, name) { DEV_##object, #name },
#include "device/stat.def"
#undef STAT
};

static void describe(void *page, enum dev_kind kind, const char *id, u64 **data)
{
	struct stats_header *head = page;
	struct stats_desc *desc;
	u32 n = 0, first = 0;

	head->name_size = NAME_SIZE;
	head->id_offset = sizeof(*head);
	head->desc_offset = head->id_offset + NAME_SIZE;
	rt_format((char *)page + head->id_offset, NAME_SIZE, "%s", id);
	desc = (struct stats_desc *)(void *)((char *)page + head->desc_offset);
	for (u32 i = 0; i < DEV_STATS; i++) {
		if (stats[i].kind != kind)
			continue;
		if (!n)
			first = i;
		desc[n].size = 1;
		desc[n].offset = (i - first) * (u32)sizeof(u64);
		rt_format(desc[n].name, NAME_SIZE, "%s", stats[i].name);
		n++;
	}
	head->num_desc = n;
	head->data_offset = head->desc_offset + n * (u32)sizeof(*desc);
	/* Where position 0 of all would be. */
	*data = (u64 *)(void *)((char *)page + head->data_offset) - first;
}

static int make_file(struct dev_stats *s, enum dev_kind kind, const char *id)
{
	long fd = host_fd_own(__NR_memfd_create, (long)id, MFD_CLOEXEC, 0, 0), page;
	u64 *data;

	if (rt_is_err(fd))
		return (int)fd;
	fd = host_fd_hide((int)fd);
	if (fd < 0)
		return (int)fd;
	page = rt_is_err(rt_syscall(__NR_ftruncate, fd, RT_PAGE_SIZE)) ? -ENOMEM :
		       rt_mmap(NULL, RT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	if (rt_is_err(page)) {
		host_fd_close((int)fd);
		return -ENOMEM;
	}
	describe((void *)page, kind, id, &data);
	for (u32 i = 0; i < DEV_STATS; i++) {
		if (stats[i].kind == kind)
			data[i] = s->own[i];
	}
	s->page = (void *)page;
	s->shown = data;
	s->keep = (int)fd;
	return 0;
}

int dev_stats_open(struct dev_stats *s, bool is_vcpu, const char *id)
{
	int ret = s->page ? 0 : make_file(s, is_vcpu ? DEV_VCPU : DEV_VM, id);

	return ret < 0 ? ret : host_fd_reopen(s->keep, O_RDONLY | O_CLOEXEC);
}

void dev_stats_fini(struct dev_stats *s)
{
	if (!s->page)
		return;
	rt_munmap(s->page, RT_PAGE_SIZE);
	host_fd_close(s->keep);
	s->page = NULL;
	s->shown = NULL;
}

long dev_vm_get_stats_fd(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vm *vm = dev_to_vm(obj);
	char id[NAME_SIZE];
	long ret;

	rt_format(id, sizeof(id), "kvm-%u", rt_self_pid());
	rt_lock(&dev_slots_lock);
	ret = dev_stats_open(&vm->stats, false, id);
	rt_unlock(&dev_slots_lock);
	return ret;
}

long dev_vcpu_get_stats_fd(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	struct dev_vcpu *v = dev_to_vcpu(obj);
	char id[NAME_SIZE];

	rt_format(id, sizeof(id), "kvm-%u/vcpu-%u", rt_self_pid(), v->id);
	return dev_stats_open(&v->stats, true, id);
}
