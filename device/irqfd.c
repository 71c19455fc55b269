// SPDX-License-Identifier: MIT
/*
 * device/irqfd.c - KVM_IRQFD: an eventfd that raises interrupts
 *
 * An eventfd serves one irqfd only, in all VMs of this process, as in the kernel.
 * A level-triggered one (RESAMPLE) keeps its line up until the guest has dealt with it; then
 * the line falls and the second eventfd tells the device, which raises it again if it must.
 */
#include <linux/eventpoll.h>

#include "device/eventfd.h"
#include "device/internal.h"
#include "device/irqchip.h"
#include "host/fd.h"
#include "rt/alloc.h"
#include "rt/syscall.h"

#define SWEEP_MIN 128U

/* Eventfds in use, by any VM, under dev_slots_lock. */
static struct used {
	struct used *next;
	u64 eventfd;
	u64 mm;
} *used;

static bool is_used(u64 eventfd)
{
	for (const struct used *u = used; u; u = u->next) {
		if (u->eventfd == eventfd && u->mm == dev_mm())
			return true;
	}
	return false;
}

static bool use(u64 eventfd)
{
	struct used *u;

	if (!eventfd)
		return true;
	u = rt_alloc(sizeof(*u));
	if (!u)
		return false;
	u->eventfd = eventfd;
	u->mm = dev_mm();
	u->next = used;
	used = u;
	return true;
}

static void unuse(u64 eventfd)
{
	struct used **at = &used, *u;

	while (*at && ((*at)->eventfd != eventfd || (*at)->mm != dev_mm()))
		at = &(*at)->next;
	u = *at;
	if (!u)
		return;
	*at = u->next;
	rt_free(u, sizeof(*u));
}

/* ---- events ---- */

static struct irqfd *find(struct irqchip *chip, u64 id)
{
	struct irqfd *f = chip->irqfds;

	while (f && f->id != id)
		f = f->next;
	return f;
}

static void raise(struct irqchip *chip, struct irqfd *f)
{
	if (f->resample >= 0) {
		irq_set_gsi(chip, f->gsi, IRQ_SOURCE_RESAMPLE, true);
		return;
	}
	irq_set_gsi(chip, f->gsi, IRQ_SOURCE_USER, true);
	irq_set_gsi(chip, f->gsi, IRQ_SOURCE_USER, false);
}

void irqfd_happened(struct irqchip *chip, u64 id)
{
	struct irqfd *f = find(chip, id);

	if (f && eventfd_take(f->fd))
		raise(chip, f);
}

void irqfd_acked(struct irqchip *chip, u32 gsi)
{
	bool any = false;

	for (struct irqfd *f = chip->irqfds; f; f = f->next)
		any |= f->gsi == gsi && f->resample >= 0;
	if (!any)
		return;
	irq_set_gsi(chip, gsi, IRQ_SOURCE_RESAMPLE, false);
	for (struct irqfd *f = chip->irqfds; f; f = f->next) {
		if (f->gsi == gsi && f->resample >= 0)
			eventfd_signal(f->resample);
	}
}

/* ---- assignment ---- */

static void discard(struct irqfd *f)
{
	host_fd_close(f->fd);
	host_fd_close(f->resample);
	rt_free(f, sizeof(*f));
}

/* Out of the list already. */
static void drop(struct irqchip *chip, struct irqfd *f)
{
	if (f->resample >= 0)
		irq_set_gsi(chip, f->gsi, IRQ_SOURCE_RESAMPLE, false);
	rt_syscall_raw(__NR_epoll_ctl, chip->epoll, EPOLL_CTL_DEL, f->fd, 0, 0, 0);
	unuse(f->eventfd);
	discard(f);
	chip->nr_irqfds--;
}

/*
 * The kernel drops an irqfd with the last descriptor of its eventfd; a duplicate
 * keeps that from being seen.  Where there are very many, those that this process has not open any more go.
 */
static void sweep(struct irqchip *chip)
{
	struct irqfd **at = &chip->irqfds, *f;

	if (chip->nr_irqfds < rt_max(chip->sweep_at, SWEEP_MIN))
		return;
	while ((f = *at)) {
		if (!f->eventfd || eventfd_is_open(f->eventfd)) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		drop(chip, f);
	}
	chip->sweep_at = 2 * chip->nr_irqfds;
}

static int watch(struct irqchip *chip, const struct irqfd *f)
{
	struct epoll_event event = { .events = EPOLLIN, .data = f->id };
	int ret = irq_thread_start(chip);

	if (ret < 0)
		return ret;
	return (int)rt_syscall(__NR_epoll_ctl, chip->epoll, EPOLL_CTL_ADD, f->fd, &event);
}

static int publish(struct irqchip *chip, struct irqfd *f)
{
	int ret;

	rt_lock(&dev_slots_lock);
	if (f->eventfd && is_used(f->eventfd)) {
		rt_unlock(&dev_slots_lock);
		return -EBUSY;
	}
	rt_lock(&chip->lock);
	sweep(chip);
	f->id = ++chip->last_id;
	/* Watching comes last: closing our descriptor would not end it, as the program has the eventfd open. */
	ret = use(f->eventfd) ? watch(chip, f) : -ENOMEM;
	if (ret < 0) {
		unuse(f->eventfd);
	} else {
		f->next = chip->irqfds;
		chip->irqfds = f;
		chip->nr_irqfds++;
	}
	rt_unlock(&chip->lock);
	rt_unlock(&dev_slots_lock);
	return ret;
}

static int prepare(const struct kvm_irqfd *args, struct irqfd *f)
{
	u64 unused;

	f->resample = -1;
	f->gsi = args->gsi;
	f->fd = eventfd_hold(args->fd, &f->eventfd);
	if (f->fd < 0 || !(args->flags & KVM_IRQFD_FLAG_RESAMPLE))
		return f->fd < 0 ? f->fd : 0;
	f->resample = eventfd_hold(args->resamplefd, &unused);
	return f->resample < 0 ? f->resample : 0;
}

static long assign(struct dev_vm *vm, const struct kvm_irqfd *args, struct core_err *err)
{
	struct irqchip *chip = irqchip_get(vm);
	struct irqfd *f = chip ? rt_alloc(sizeof(*f)) : NULL;
	int ret;

	if (!f)
		return core_refuse(err, RULE_NO_MEMORY, 0, "irqfd", 0, 0);
	if ((args->flags & KVM_IRQFD_FLAG_RESAMPLE) && chip->mode != IRQCHIP_FULL) {
		rt_free(f, sizeof(*f));
		return core_refuse(err, RULE_IRQFD_RESAMPLE, 0, "flags", args->flags, 0);
	}
	ret = prepare(args, f);
	if (ret == 0)
		ret = publish(chip, f);
	if (ret == 0)
		return 0;
	discard(f);
	if (ret == -EBUSY)
		return core_refuse(err, RULE_IRQFD_BUSY, 0, "fd", args->fd, 0);
	return core_refuse(err, RULE_EVENTFD, -ret, "fd", args->fd, 0);
}

/* Any eventfd may be taken away, also one that was never given. */
static long deassign(struct dev_vm *vm, const struct kvm_irqfd *args, struct core_err *err)
{
	struct irqchip *chip = irqchip_of(vm);
	struct irqfd **at, *f;
	u64 id;
	int fd = eventfd_hold(args->fd, &id);

	if (fd < 0)
		return core_refuse(err, RULE_EVENTFD, -fd, "fd", args->fd, 0);
	host_fd_close(fd);
	if (!chip)
		return 0;
	rt_lock(&dev_slots_lock);
	rt_lock(&chip->lock);
	for (at = &chip->irqfds; *at;) {
		f = *at;
		if (f->eventfd != id || f->gsi != args->gsi) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		drop(chip, f);
	}
	rt_unlock(&chip->lock);
	rt_unlock(&dev_slots_lock);
	return 0;
}

long dev_vm_irqfd(struct dev_object *obj, u64 arg, void *copy, struct core_err *err)
{
	const struct kvm_irqfd *args = copy;

	if (args->flags & ~(u32)(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return core_refuse(err, RULE_IRQFD_FLAGS, 0, "flags", args->flags, 3);
	dev_reap();
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return deassign(dev_to_vm(obj), args, err);
	return assign(dev_to_vm(obj), args, err);
}

/* At the VM's end, with the thread gone and dev_slots_lock held. */
void irqfd_fini(struct irqchip *chip)
{
	struct irqfd *f;
	struct ioeventfd *io;
	bool ours = chip->vm->mm == dev_mm();

	while ((f = chip->irqfds)) {
		chip->irqfds = f->next;
		if (ours)
			unuse(f->eventfd);
		discard(f);
	}
	while ((io = chip->ioeventfds)) {
		chip->ioeventfds = io->next;
		host_fd_close(io->fd);
		rt_free(io, sizeof(*io));
	}
}
