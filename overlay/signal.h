/* SPDX-License-Identifier: MIT */
/*
 * overlay/signal.h - actions of signals: what signal.c (delivery) and sigaction.c (the program's calls) share
 */
#ifndef GMEM_OVERLAY_SIGNAL_H
#define GMEM_OVERLAY_SIGNAL_H

#include <asm/siginfo.h>
#include <asm/signal.h>

#include "overlay/overlay.h"

#define SIG_DFL_ 0UL
#define SIG_IGN_ 1UL
#define SIG_HOLD_ 2UL
#define SIG_ERR_ (~0UL)
#define SIGBIT(signo) (1ULL << ((signo)-1))

/* As rt_sigaction(2) has it. */
struct ov_action {
	u64 handler, flags, restorer, mask;
};

/* The program's action for this signal is kept beside the kernel's. */
bool ov_signal_ours(int signo);
/* Swap the program's view of an action; either may be asked for alone: act may be NULL. */
long ov_signal_change(int signo, const struct ov_action *act, struct ov_action *old);

#endif
