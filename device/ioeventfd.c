// SPDX-License-Identifier: MIT
/*
 * device/ioeventfd.c - KVM_IOEVENTFD: a guest's write that signals an eventfd instead of making KVM_RUN return
 */
#include "device/eventfd.h"
#include "device/internal.h"
#include "device/irqchip.h"
#include "host/fd.h"
#include "rt/alloc.h"
#include "rt/string.h"

#define FLAGS (u32)(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN)

static bool answers(const struct ioeventfd *e, u64 addr, const void *data, unsigned len, bool pio)
{
	u64 value = 0;

	if (e->pio != pio || e->addr != addr)
		return false;
	if (!e->len)
		return true;
	if (e->len != len)
		return false;
	memcpy(&value, data, len);
	return e->matches_any || value == e->datamatch;
}

bool dev_ioeventfd(struct dev_vcpu *v, u64 addr, const void *data, unsigned len, bool pio)
{
	struct irqchip *chip = irqchip_of(v->vm);
	struct ioeventfd *e;
	bool was = v->in_map;

	if (!chip || !chip->nr_ioeventfds || len > 8)
		return false;
	v->in_map = true;
	rt_lock(&chip->lock);
	for (e = chip->ioeventfds; e && !answers(e, addr, data, len, pio); e = e->next)
		;
	if (e)
		eventfd_signal(e->fd);
	rt_unlock(&chip->lock);
	v->in_map = was;
	return e != NULL;
}

/* Two that one write could mean. */
static bool collides(const struct ioeventfd *a, const struct ioeventfd *b)
{
	if (a->pio != b->pio || a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (a->matches_any || b->matches_any || a->datamatch == b->datamatch);
}

static bool same(const struct ioeventfd *a, const struct ioeventfd *b)
{
	return a->eventfd == b->eventfd && a->pio == b->pio && a->addr == b->addr && a->len == b->len &&
	       a->matches_any == b->matches_any && (a->matches_any || a->datamatch == b->datamatch);
}

/* The descriptor in it is the caller's to close. */
static int describe(const struct kvm_ioeventfd *args, struct ioeventfd *ret)
{
	*ret = (struct ioeventfd){
		.addr = args->addr,
		.datamatch = args->datamatch,
		.len = args->len,
		.pio = args->flags & KVM_IOEVENTFD_FLAG_PIO,
		.matches_any = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH),
	};
	ret->fd = eventfd_hold((u32)args->fd, &ret->eventfd);
	return ret->fd < 0 ? ret->fd : 0;
}

static long assign(struct dev_vm *vm, const struct kvm_ioeventfd *args, struct core_err *err)
{
	struct irqchip *chip = irqchip_get(vm);
	struct ioeventfd *e = chip ? rt_alloc(sizeof(*e)) : NULL, *other;
	int ret;

	if (!e)
		return core_refuse(err, RULE_NO_MEMORY, 0, "ioeventfd", 0, 0);
	ret = describe(args, e);
	if (ret < 0) {
		rt_free(e, sizeof(*e));
		return core_refuse(err, RULE_EVENTFD, -ret, "fd", (u32)args->fd, 0);
	}
	rt_lock(&chip->lock);
	for (other = chip->ioeventfds; other && !collides(other, e); other = other->next)
		;
	if (!other) {
		e->next = chip->ioeventfds;
		chip->ioeventfds = e;
		chip->nr_ioeventfds++;
	}
	rt_unlock(&chip->lock);
	if (!other)
		return 0;
	host_fd_close(e->fd);
	rt_free(e, sizeof(*e));
	return core_refuse(err, RULE_IOEVENTFD_EXISTS, 0, "addr", args->addr, 0);
}

static long deassign(struct dev_vm *vm, const struct kvm_ioeventfd *args, struct core_err *err)
{
	struct irqchip *chip = irqchip_of(vm);
	struct ioeventfd wanted, **at, *e = NULL;
	int ret = describe(args, &wanted);

	if (ret < 0)
		return core_refuse(err, RULE_EVENTFD, -ret, "fd", (u32)args->fd, 0);
	host_fd_close(wanted.fd);
	if (chip) {
		rt_lock(&chip->lock);
		for (at = &chip->ioeventfds; *at && !same(*at, &wanted); at = &(*at)->next)
			;
		e = *at;
		if (e) {
			*at = e->next;
			chip->nr_ioeventfds--;
		}
		rt_unlock(&chip->lock);
	}
	if (!e)
		return core_refuse(err, RULE_IOEVENTFD_NONE, 0, "addr", args->addr, 0);
	host_fd_close(e->fd);
	rt_free(e, sizeof(*e));
	return 0;
}

static bool valid_length(u32 len)
{
	return len == 0 || len == 1 || len == 2 || len == 4 || len == 8;
}

long dev_vm_ioeventfd(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct kvm_ioeventfd *args = copy;
	bool without_length = !args->len && (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);

	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return deassign(dev_to_vm(obj), args, err);
	if (!valid_length(args->len) || rt_add_wraps(args->addr, args->len))
		return core_refuse(err, RULE_IOEVENTFD_RANGE, 0, "len", args->len, 8);
	if ((args->flags & ~FLAGS) || without_length)
		return core_refuse(err, RULE_IOEVENTFD_FLAGS, 0, "flags", args->flags, FLAGS);
	return assign(dev_to_vm(obj), args, err);
}
