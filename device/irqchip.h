/* SPDX-License-Identifier: MIT */
/*
 * device/irqchip.h - interrupts of a VM, private to device/
 *
 * Theory of operation.  The controllers are pure state machines (lapic, ioapic,
 * pic, pit).  This part puts them together: an interrupt comes from an ioctl, an eventfd, a
 * timer or a vCPU, is routed, sets bits in a local APIC, and the vCPU is kicked.
 * Timers and eventfds are watched by one thread of the VM (irq_thread.c), which exists only
 * once there is something to watch.
 *
 * Invariants:
 *  IRQ-1  The state of all controllers of a VM, its routes and its eventfds change under
 *	   chip->lock, a leaf: its holder takes no other lock and waits for nobody.
 *  IRQ-2  A vCPU that may hold or wait for it has in_map set, so that it is not parked there (device/world.c).
 *  IRQ-3  Whatever gives a vCPU something to look at is followed by dev_vcpu_kick().
 *  IRQ-4  Requests that change what a vCPU is (INIT, start-up) are carried out by its own
 *	   thread, outside cpu_run().
 *  IRQ-5  A descriptor of the program is watched through a duplicate: closing the original changes nothing here.
 *  IRQ-6  A forked child has neither the thread nor a use for the lock: it only frees.
 */
#ifndef GMEM_DEVICE_IRQCHIP_H
#define GMEM_DEVICE_IRQCHIP_H

#include "device/ioapic.h"
#include "device/lapic.h"
#include "device/pic.h"
#include "device/pit.h"
#include "device/vcpu.h"
#include "rt/lock.h"

enum irqchip_mode { IRQCHIP_NONE, IRQCHIP_SPLIT, IRQCHIP_FULL };

/* Who holds a line up; it is down when nobody does. */
enum irq_source { IRQ_SOURCE_USER, IRQ_SOURCE_PIT, IRQ_SOURCE_RESAMPLE };

struct irq_cpu {
	struct lapic lapic;
	struct irqchip *chip;
	struct dev_vcpu *v;
	struct irq_cpu *next;
};

struct irq_route {
	struct kvm_irq_routing_entry entry;
	u16 next; /* of the same GSI, index + 1 */
};

struct irq_routes {
	u32 nr;
	u16 first[KVM_MAX_IRQ_ROUTES]; /* by GSI, index + 1; 0: none */
	struct irq_route route[];
};

struct irqfd {
	struct irqfd *next;
	u64 id;	      /* what the thread knows it by */
	u64 eventfd;  /* identity of the program's eventfd */
	int fd;	      /* a hidden duplicate */
	int resample; /* likewise, or below 0 */
	u32 gsi;
};

struct ioeventfd {
	struct ioeventfd *next;
	u64 addr, datamatch;
	u64 eventfd;
	int fd;
	u32 len;
	bool pio, matches_any;
};

struct irqchip {
	struct rt_lock lock;
	struct dev_vm *vm;
	enum irqchip_mode mode;
	bool ids32;	   /* KVM_X2APIC_API_USE_32BIT_IDS */
	bool has_pit;
	bool pit_due; /* a tick is to be raised when what is under way is done */
	u32 reserved_pins; /* of a user space I/O APIC, split */
	struct irq_cpu *cpus;
	struct pic pic;
	struct ioapic ioapic;
	struct pit pit;
	u8 pic_lines[PIC_PINS], ioapic_lines[IOAPIC_PINS]; /* bit a source */
	struct irq_routes *routes;

	struct irqfd *irqfds;
	u64 last_id;
	u32 nr_irqfds, sweep_at;
	struct ioeventfd *ioeventfds;
	_Atomic u32 nr_ioeventfds;

	/* irq_thread.c */
	_Atomic u32 tid;
	_Atomic bool quit;
	bool started;
	void *stack;
	int epoll, timer;
	u64 armed; /* when the thread wakes up, 0: never */
};

/* device/irqchip.c */
struct irqchip *irqchip_get(struct dev_vm *vm);
static inline struct irqchip *irqchip_of(const struct dev_vm *vm)
{
	return vm->irq;
}

/* The rest is called with chip->lock held. */
int irq_deliver(struct irqchip *chip, const struct irq_message *m, struct irq_cpu *from);
void irq_pic_changed(struct irqchip *chip);

/* device/irq_route.c */
struct irq_routes *irq_routes_new(u32 nr);
void irq_routes_free(struct irq_routes *routes);
int irq_routes_default(struct irqchip *chip);
int irq_set_gsi(struct irqchip *chip, u32 gsi, enum irq_source source, bool level);
int irq_msi(struct irqchip *chip, u64 address, u32 data);
struct irq_message irq_msi_message(const struct irqchip *chip, u64 address, u32 data);
/* The GSI behind a pin, or -1. */
int irq_gsi_of_pin(const struct irqchip *chip, u32 which, u32 pin);

/* device/irq_thread.c */
u64 irq_now(void);
int irq_thread_start(struct irqchip *chip);
void irq_thread_stop(struct irqchip *chip);
/* A timer's deadline may be earlier than before. */
void irq_timer_changed(struct irqchip *chip, u64 deadline);
void irq_expire_cpu(struct irq_cpu *cpu, u64 now);
/* A tick of the timer, unless it has to wait. */
void irq_pit_tick(struct irqchip *chip);

/* device/irqfd.c */
void irqfd_happened(struct irqchip *chip, u64 id);
void irqfd_acked(struct irqchip *chip, u32 gsi);
void irqfd_fini(struct irqchip *chip);

/* device/irq_vcpu.c */
void irq_vcpu_created(struct dev_vcpu *v);

#endif
