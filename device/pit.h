/* SPDX-License-Identifier: MIT */
/*
 * device/pit.h - an 8254 and the speaker's port
 *
 * Pure: callers say what time it is.  The owner serialises (device/irqchip.h).
 */
#ifndef GMEM_DEVICE_PIT_H
#define GMEM_DEVICE_PIT_H

#include "rt/types.h"
#include "uapi/kvm_irq.h"

struct pit {
	struct kvm_pit_channel_state channel[3]; /* count_load_time in ns */
	u32 flags;			      /* KVM_PIT_FLAGS_* */
	bool has_speaker, speaker_on;
	u64 deadline;			      /* of channel 0's interrupt in ns, 0: none */
	u64 period;			      /* 0: once */
	bool reinject;			      /* ticks wait for the end of the one before, and none is lost */
	bool acked;			      /* the last tick has ended, or nobody could see it */
	u32 waiting;			      /* ticks since, the last one included */
};

void pit_reset(struct pit *pit, u64 now);
bool pit_is_port(const struct pit *pit, u16 port);
u8 pit_read(struct pit *pit, u16 port, u64 now);
/* true when the deadline changed. */
bool pit_write(struct pit *pit, u16 port, u8 value, u64 now);
/* true when channel 0 was due: ask pit_tick(). */
bool pit_expire(struct pit *pit, u64 now);
/* Whether the interrupt is to be raised now. */
bool pit_tick(struct pit *pit);
/* A tick has ended: true when another waits, ask pit_tick(). */
bool pit_acked(struct pit *pit);
/* Whoever could not see ticks can now: none waits. */
void pit_forget(struct pit *pit);
void pit_set_reinject(struct pit *pit, bool on);
/* After the channels were written as a whole. */
void pit_restart(struct pit *pit, u64 now);

#endif
