/* SPDX-License-Identifier: MIT */
/*
 * cli/broker.h - the process behind `gmem run`: reports and files of a served program
 */
#ifndef GMEM_CLI_BROKER_H
#define GMEM_CLI_BROKER_H

#include <signal.h>
#include <sys/types.h>

#include "cli/keep.h"
#include "cli/report.h"

#define BROKER_NAME 48

struct broker_peer;

struct broker {
	int listener;
	int epoll;
	int signals; /* signalfd of broker_signals() */
	char name[BROKER_NAME]; /* what GMEM_BROKER carries */
	struct broker_peer *peers;
	struct keep keep;
	struct report *report;
	pid_t child;
};

/* Signals that the broker takes for its child, and SIGCHLD: to be blocked before the fork. */
void broker_signals(sigset_t *ret);
/* The listening socket under a fresh name: 0 or -errno. */
int broker_open(struct broker *broker, struct report *report);
/* In the parent, after the fork: lets go of everything that belongs to the program. */
int broker_settle(struct broker *broker, pid_t child);
/* Serve until the child is gone; its wait status. */
int broker_run(struct broker *broker);

#endif
