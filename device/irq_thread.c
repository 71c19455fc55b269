// SPDX-License-Identifier: MIT
/*
 * device/irq_thread.c - the VM's thread: timers that run and eventfds that are watched
 *
 * It sleeps in epoll_wait(2).  A timerfd stands for the earliest deadline of all
 * timers, so that whoever arms one needs not wake the thread.
 */
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/time_types.h>

#include "device/internal.h"
#include "device/irqchip.h"
#include "host/fd.h"
#include "host/peer.h"
#include "rt/syscall.h"
#include "rt/thread.h"

#define CLOCK_MONOTONIC_ 1
#define TFD_ABSTIME_	 1
#define TFD_FLAGS	 (O_CLOEXEC | O_NONBLOCK)
#define EVENTS		 16
#define TAG_TIMER	 0 /* others are irqfds' ids */
#define STOP_NS		 5000000ULL

u64 irq_now(void)
{
	struct __kernel_timespec ts = { 0, 0 };

	rt_syscall_raw(__NR_clock_gettime, CLOCK_MONOTONIC_, (long)&ts, 0, 0, 0, 0);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

/* ---- expiry ---- */

void irq_expire_cpu(struct irq_cpu *cpu, u64 now)
{
	if (lapic_timer_expire(&cpu->lapic, now))
		dev_vcpu_kick(cpu->v);
}

void irq_pit_tick(struct irqchip *chip)
{
	chip->pit_due = false;
	if (!pit_tick(&chip->pit))
		return;
	irq_set_gsi(chip, 0, IRQ_SOURCE_PIT, true);
	irq_set_gsi(chip, 0, IRQ_SOURCE_PIT, false);
	/* Linux's NMI watchdog has the timer on LINT0. */
	for (struct irq_cpu *cpu = chip->cpus; cpu; cpu = cpu->next) {
		if ((lapic_get(&cpu->lapic, LAPIC_LVT0) >> 8 & 7) == IRQ_NMI && lapic_local(&cpu->lapic, LAPIC_LVT0))
			dev_vcpu_kick(cpu->v);
	}
}

static void expire_pit(struct irqchip *chip, u64 now)
{
	if (chip->has_pit && pit_expire(&chip->pit, now))
		irq_pit_tick(chip);
}

static u64 earliest(u64 a, u64 b)
{
	return a && b ? rt_min(a, b) : a | b;
}

static void set_timer(struct irqchip *chip, u64 deadline)
{
	struct __kernel_itimerspec spec = {
		.it_value = { .tv_sec = (s64)(deadline / 1000000000ULL), .tv_nsec = (s64)(deadline % 1000000000ULL) },
	};

	chip->armed = deadline;
	rt_syscall_raw(__NR_timerfd_settime, chip->timer, TFD_ABSTIME_, (long)&spec, 0, 0, 0);
}

static void expire(struct irqchip *chip)
{
	u64 now = irq_now(), next;

	chip->armed = ~0ULL; /* what is armed meanwhile is seen below */
	expire_pit(chip, now);
	next = chip->has_pit ? chip->pit.deadline : 0;
	for (struct irq_cpu *cpu = chip->cpus; cpu; cpu = cpu->next) {
		irq_expire_cpu(cpu, now);
		next = earliest(next, cpu->lapic.timer.deadline);
	}
	set_timer(chip, next);
}

/* Later deadlines and cancelled timers are left alone: the thread wakes up once for nothing. */
void irq_timer_changed(struct irqchip *chip, u64 deadline)
{
	if (!deadline || chip->armed == ~0ULL || (chip->armed && chip->armed <= deadline))
		return;
	if (irq_thread_start(chip) == 0)
		set_timer(chip, deadline);
}

/* ---- the thread ---- */

static void handle(struct irqchip *chip, const struct epoll_event *events, long n)
{
	rt_lock(&chip->lock);
	for (long i = 0; i < n && !chip->quit; i++) {
		if (events[i].data == TAG_TIMER)
			expire(chip);
		else
			irqfd_happened(chip, events[i].data);
	}
	rt_unlock(&chip->lock);
}

static void thread_main(void *arg)
{
	struct irqchip *chip = arg;
	struct epoll_event events[EVENTS];
	long n;

	while (!chip->quit) {
		n = rt_syscall_raw(__NR_epoll_pwait, chip->epoll, (long)events, EVENTS, (long)(host_look_ns() / 1000000), 0, 0);
		if ((n < 0 && n != -EINTR) || (n == 0 && host_process_left()))
			break;
		handle(chip, events, n);
	}
}

static int own_fd(long fd)
{
	return rt_is_err(fd) ? (int)fd : host_fd_hide((int)fd);
}

int irq_thread_start(struct irqchip *chip)
{
	struct epoll_event event = { .events = EPOLLIN, .data = TAG_TIMER };
	int ret;

	if (chip->started)
		return 0;
	if (chip->epoll < 0)
		chip->epoll = own_fd(host_fd_own(__NR_epoll_create1, O_CLOEXEC, 0, 0, 0));
	if (chip->timer < 0)
		chip->timer = own_fd(host_fd_own(__NR_timerfd_create, CLOCK_MONOTONIC_, TFD_FLAGS, 0, 0));
	if (chip->epoll < 0 || chip->timer < 0)
		return -ENOMEM; /* the kernel's needs no descriptors */
	ret = (int)rt_syscall(__NR_epoll_ctl, chip->epoll, EPOLL_CTL_ADD, chip->timer, &event);
	if (ret < 0 && ret != -EEXIST)
		return ret;
	ret = rt_thread_start(thread_main, chip, &chip->tid, &chip->stack);
	chip->started = ret == 0;
	return ret;
}

/* At the VM's end; IRQ-6: in a child the thread was never there, and the timer is the parent's. */
void irq_thread_stop(struct irqchip *chip)
{
	u32 tid;

	if (chip->started && chip->vm->mm == dev_mm()) {
		chip->quit = true;
		set_timer(chip, 1);
		while ((tid = chip->tid) != 0)
			rt_futex_wait(&chip->tid, tid, STOP_NS, true);
	}
	if (chip->started)
		rt_munmap(chip->stack, RT_THREAD_STACK);
	host_fd_close(chip->timer);
	host_fd_close(chip->epoll);
}
