// SPDX-License-Identifier: MIT
/*
 * device/pit.c - an 8254: nothing counts, counts are worked out from the time of loading
 *
 * Channel 0 interrupts, channel 2 has a gate and the speaker at port 0x61.  BCD is not counted.
 *
 * Reinjection: an edge that comes while the one before is being handled would be lost in the
 * controller, and a guest that counts ticks would lose time.  So each is raised only when the one before has ended,
 * and those that fell due meanwhile follow.  What ended a masked tick nobody can tell: unmasking begins anew.
 */
#include "device/pit.h"

#include "rt/string.h"

#define HZ	 1193182ULL
#define NS	 1000000000ULL
/* As KVM: a guest may not ask for more interrupts than this. */
#define MIN_PERIOD_NS 200000ULL

enum { PORT_0 = 0x40, PORT_CONTROL = 0x43, PORT_SPEAKER = 0x61 };
enum { RW_LOW = 1, RW_HIGH, RW_BOTH, RW_BOTH_SECOND };

static u64 ticks_to_ns(u64 ticks)
{
	return ticks * NS / HZ;
}

static u64 elapsed(const struct kvm_pit_channel_state *c, u64 now)
{
	u64 ns = now - (u64)c->count_load_time;

	return ns / NS * HZ + ns % NS * HZ / NS;
}

static u16 count_of(const struct kvm_pit_channel_state *c, u64 now)
{
	u64 d = elapsed(c, now);

	switch (c->mode) {
	case 0:
	case 1:
	case 4:
	case 5:
		return (u16)(c->count - d);
	case 3: /* counts down by two, in each half */
		return (u16)(c->count - 2 * d % c->count);
	}
	return (u16)(c->count - d % c->count);
}

static bool output_of(const struct kvm_pit_channel_state *c, u64 now)
{
	u64 d = elapsed(c, now);

	switch (c->mode) {
	case 0:
		return d >= c->count;
	case 1:
		return d >= c->count;
	case 2:
		return !(d && d % c->count == 0);
	case 3:
		return d % c->count < (c->count + 1) >> 1;
	}
	return d == c->count;
}

void pit_forget(struct pit *pit)
{
	pit->waiting = 0;
	pit->acked = true;
}

static void arm(struct pit *pit)
{
	const struct kvm_pit_channel_state *c = &pit->channel[0];
	u64 interval = ticks_to_ns(c->count);

	pit_forget(pit);
	pit->period = 0;
	pit->deadline = 0;
	if (pit->flags & KVM_PIT_FLAGS_HPET_LEGACY)
		return;
	if (c->mode == 2 || c->mode == 3)
		pit->period = rt_max(interval, MIN_PERIOD_NS);
	if (c->mode != 5)
		pit->deadline = (u64)c->count_load_time + rt_max(pit->period, interval);
}

static bool load(struct pit *pit, unsigned which, u32 value, u64 now)
{
	struct kvm_pit_channel_state *c = &pit->channel[which];

	c->count = value ? value : 0x10000;
	c->count_load_time = (s64)now;
	if (which == 0)
		arm(pit);
	return which == 0;
}

void pit_reset(struct pit *pit, u64 now)
{
	memset(pit->channel, 0, sizeof(pit->channel));
	for (unsigned i = 0; i < 3; i++) {
		pit->channel[i].mode = 0xff;
		pit->channel[i].gate = i != 2;
		pit->channel[i].count = 0x10000;
		pit->channel[i].count_load_time = (s64)now;
	}
	pit->deadline = pit->period = 0;
	pit->reinject = true;
	pit_forget(pit);
}

/* The counters start again, as KVM_SET_PIT2's do; a channel that nobody has programmed stays silent. */
void pit_restart(struct pit *pit, u64 now)
{
	for (unsigned i = 0; i < 3; i++) {
		struct kvm_pit_channel_state *c = &pit->channel[i];

		c->count_load_time = (s64)now;
		if (!c->count)
			c->count = 0x10000;
	}
	pit->deadline = pit->period = 0;
	if (pit->channel[0].mode <= 5)
		arm(pit);
}

bool pit_expire(struct pit *pit, u64 now)
{
	u64 deadline = pit->deadline;

	if (!deadline || deadline > now)
		return false;
	pit->deadline = pit->period ? now + pit->period - (now - deadline) % pit->period : 0;
	if (pit->reinject)
		pit->waiting += pit->period ? (u32)((now - deadline) / pit->period) + 1 : 1;
	return true;
}

bool pit_tick(struct pit *pit)
{
	bool ready = !pit->reinject || pit->acked;

	pit->acked = pit->acked && !pit->reinject;
	return ready;
}

bool pit_acked(struct pit *pit)
{
	if (!pit->reinject)
		return false;
	pit->acked = true;
	if (pit->waiting)
		pit->waiting--;
	return pit->waiting != 0;
}

void pit_set_reinject(struct pit *pit, bool on)
{
	if (on && !pit->reinject)
		pit_forget(pit);
	pit->reinject = on;
}

bool pit_is_port(const struct pit *pit, u16 port)
{
	return (port & ~3) == PORT_0 || (port == PORT_SPEAKER && pit->has_speaker);
}

/* ---- latches ---- */

static void latch_count(struct kvm_pit_channel_state *c, u64 now)
{
	if (c->count_latched)
		return;
	c->latched_count = count_of(c, now);
	c->count_latched = c->rw_mode;
}

static void latch_status(struct kvm_pit_channel_state *c, u64 now)
{
	if (c->status_latched)
		return;
	c->status = (u8)(output_of(c, now) << 7 | c->rw_mode << 4 | (c->mode & 7) << 1 | c->bcd);
	c->status_latched = 1;
}

static void read_back(struct pit *pit, u8 value, u64 now)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(value & (2U << i)))
			continue;
		if (!(value & 0x20))
			latch_count(&pit->channel[i], now);
		if (!(value & 0x10))
			latch_status(&pit->channel[i], now);
	}
}

static void write_control(struct pit *pit, u8 value, u64 now)
{
	struct kvm_pit_channel_state *c;
	unsigned which = value >> 6, rw = value >> 4 & 3;

	if (which == 3) {
		read_back(pit, value, now);
		return;
	}
	c = &pit->channel[which];
	if (rw == 0) {
		latch_count(c, now);
		return;
	}
	c->rw_mode = c->read_state = c->write_state = (u8)rw;
	c->mode = value >> 1 & 7;
	if (c->mode > 5)
		c->mode -= 4;
	c->bcd = value & 1;
}

static bool write_counter(struct pit *pit, unsigned which, u8 value, u64 now)
{
	struct kvm_pit_channel_state *c = &pit->channel[which];

	switch (c->write_state) {
	case RW_LOW:
		return load(pit, which, value, now);
	case RW_HIGH:
		return load(pit, which, (u32)value << 8, now);
	case RW_BOTH:
		c->write_latch = value;
		c->write_state = RW_BOTH_SECOND;
		return false;
	case RW_BOTH_SECOND:
		c->write_state = RW_BOTH;
		return load(pit, which, c->write_latch | (u32)value << 8, now);
	}
	return false;
}

static void write_speaker(struct pit *pit, u8 value, u64 now)
{
	struct kvm_pit_channel_state *c = &pit->channel[2];
	bool gate = value & 1;

	/* The gate's rise starts modes 1 and 5, and restarts 2 and 3. */
	if (gate && !c->gate && c->mode && c->mode != 4)
		c->count_load_time = (s64)now;
	c->gate = gate;
	pit->speaker_on = value >> 1 & 1;
}

bool pit_write(struct pit *pit, u16 port, u8 value, u64 now)
{
	if (port == PORT_SPEAKER)
		write_speaker(pit, value, now);
	else if (port == PORT_CONTROL)
		write_control(pit, value, now);
	else
		return write_counter(pit, port & 3, value, now);
	return false;
}

/* ---- reading ---- */

static u8 read_half(struct kvm_pit_channel_state *c, u8 *state, u16 count)
{
	switch (*state) {
	case RW_HIGH:
		return (u8)(count >> 8);
	case RW_BOTH:
		*state = RW_BOTH_SECOND;
		return (u8)count;
	case RW_BOTH_SECOND:
		*state = RW_BOTH;
		return (u8)(count >> 8);
	}
	return (u8)count;
}

static u8 read_counter(struct kvm_pit_channel_state *c, u64 now)
{
	u8 state = c->count_latched, ret;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (!state)
		return read_half(c, &c->read_state, count_of(c, now));
	ret = read_half(c, &state, c->latched_count);
	/* Low and high byte of the latch are read, then it is free. */
	c->count_latched = state == RW_BOTH_SECOND ? state : 0;
	return ret;
}

u8 pit_read(struct pit *pit, u16 port, u64 now)
{
	struct kvm_pit_channel_state *c = &pit->channel[2];

	if (port == PORT_CONTROL)
		return 0;
	if (port != PORT_SPEAKER)
		return read_counter(&pit->channel[port & 3], now);
	/* Bit 4 follows the refresh clock. */
	return (u8)(output_of(c, now) << 5 | (now / 15000 & 1) << 4 | pit->speaker_on << 1 | c->gate);
}
