/* SPDX-License-Identifier: MIT */
/*
 * tests/protocol.pml - one file in several processes, for spin: INV-1 and INV-6
 *
 * The protocol of host/peer.c, convert.c, fault.c, fork.c and of the file lock, step by
 * step as implemented.  Each process has a program's thread, which converts, touches, advises and
 * forks as it likes, and a helper.  Any of them may pause between any two steps for as long as it
 * likes; "not in time" is therefore always possible.  At most DEATHS processes are killed, anywhere.
 *
 *  open[]   the page is accessible through the process's view
 *  priv[]   its state
 *  turn     which conversion it is, modulo 4: the rest of the sequence word
 *  kept[]   a conversion to private has returned and none to shared has begun since: INV-1 says that
 *	     no view of a living process is open.  That can only break where a page is opened or
 *	     where kept[] is set, so these places assert it.
 *
 * TRANSITION-3: who calls a conversion off has waited for that one (touch).
 *
 * INV-6: when nothing moves any more, every living program must have come to its end (watchdog; run
 * with pan -E).  The holder of the file lock may pause, but not for ever: who is stopped there stops those
 * who want the lock, and only death frees it (docs/divergences.md).
 *
 * What is simplified: processes have one view each and start their helper when they attach; loading the sequence
 * word and the successful exchange of it are one step, as the word then had one value throughout.
 *
 * Each BREAK_x takes one rule away.  tests/protocol.t wants spin to find every one of them.
 */
#ifndef PROCS
#define PROCS 2
#endif
#ifndef PAGES
#define PAGES 1
#endif
#ifndef FIRST_WORK
#define FIRST_WORK 1	/* operations of the first program */
#endif
#ifndef WORK
#define WORK 1	/* of the others */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

#define NONE	0
#define OPEN	1	/* can be called off */
#define WRITING 3

mtype = { DENY, ALLOW, SETTLE };

bool alive[PROCS];	/* runs, and is not dead */
bool finished[PROCS];	/* the program's thread has come to its end */
bool forked[PROCS];	/* exists */
bool view[PROCS];
bool attached[PROCS];
bool table[PROCS];	/* the table lock */
byte asked[PROCS], done[PROCS];
bool open[PROCS * PAGES];
bool priv[PAGES], kept[PAGES];

byte owner;		/* the file lock: process + 1 */
byte phase;		/* of the sequence word */
byte turn;
byte first, count;	/* the transition */
bool to_priv;
mtype request;
byte deaths = DEATHS;

#define AT(p, page)	  open[(p) * PAGES + (page)]
#define COVERS(page)	  ((page) >= first && (page) < first + count)
#define BARS(page)	  (phase != NONE && to_priv && COVERS(page))
#define OWNER_LIVES	  (owner != 0 && alive[owner - 1])

inline set_open(p, page)
{
	assert(!kept[page]);	/* INV-1 */
	AT(p, page) = 1
}

/* A page has become private for good. */
inline keep(page)
{
	kept[page] = 1;
	k = 0;
	do
	:: k < PROCS -> assert(!alive[k] || !AT(k, page)); k++	/* INV-1 */
	:: else -> break
	od;
	k = 0
}

inline table_lock(p)   { atomic { !table[p] -> table[p] = 1 } }
inline table_unlock(p) { table[p] = 0 }

inline file_lock(p)
{
	atomic {
#ifdef BREAK_NO_TAKEOVER
		owner == 0 -> owner = p + 1;
#else
		!OWNER_LIVES -> owner = p + 1;
#endif
		/* What a dead holder left. */
		phase = NONE
	}
}

inline file_unlock(p) { owner = 0 }

/* Between file_lock() and file_unlock(), and before the first view. */
inline attach(p) { atomic { done[p] = asked[p]; attached[p] = 1 } }

/* A view from the states.  With the file lock: no conversion is under way. */
inline map_view(p)
{
#ifndef BREAK_FORK_UNLOCKED
	file_lock(p);
#endif
	attach(p);
	table_lock(p);
	i = 0;
	do
	:: i < PAGES ->
		atomic { here = !priv[i] };
		atomic {
			if
			:: here -> set_open(p, i)
			:: else
			fi;
			here = 0;
			i++
		}
	:: else -> break
	od;
	i = 0;
	atomic { view[p] = 1; table_unlock(p) };
#ifndef BREAK_FORK_UNLOCKED
	file_unlock(p)
#endif
}

/* --- the helper ---------------------------------------------------------- */

/* A state is looked at, then the page is opened: two steps. */
inline settle(p, from, n)
{
	i = from;
	do
	:: i < from + n ->
		may = !priv[i] && view[p];
		atomic {
			if
			:: may -> set_open(p, i)
			:: else
			fi;
			may = 0;
			i++
		}
	:: else -> break
	od;
	i = 0
}

inline deny(p, from, n)
{
	i = from;
	do
	:: i < from + n -> AT(p, i) = 0; i++
	:: else -> break
	od;
	i = 0
}

proctype helper(byte p) provided (alive[p])
{
	byte served, now, i, from, n;
	bool missed, may;

	served = done[p];
	do
	:: atomic {
		asked[p] != served -> now = asked[p]; missed = now - served > 1;
		from = first; n = count
	   };
	   table_lock(p);
	   if
	   :: request == SETTLE || missed -> settle(p, 0, PAGES)
	   :: else
	   fi;
	   if
	   :: request == DENY -> deny(p, from, n)
	   :: request == ALLOW -> settle(p, from, n)
	   :: else
	   fi;
	   atomic { table_unlock(p); done[p] = now; served = now; now = 0; missed = 0; from = 0; n = 0 }
	od
}

/* --- a conversion ----------------------------------------------------------- */

inline ask_all(p, what)
{
	request = what;
	atomic {
		q = 0;
		do
		:: q < PROCS ->
			if
			:: q != p && attached[q] -> asked[q]++; waits[q] = 1
			:: else
			fi;
			q++
		:: else -> break
		od
	};
	q = 0;
	do
	:: q < PROCS ->
		if
		:: waits[q] ->
			waits[q] = 0;
#ifndef BREAK_NO_WAIT
			if
			:: done[q] == asked[q]
#ifdef BREAK_ZOMBIE
			/* "Dead" by its first thread alone. */
			:: attached[q] = 0
#endif
#ifdef BREAK_AWAIT
			/* Neither time nor death ends it. */
#else
			:: !alive[q] -> attached[q] = 0
#ifdef BREAK_LATE
			:: done[q] != asked[q] /* counts as an answer */
#else
			:: done[q] != asked[q] -> failed = 1
#endif
#endif
			fi
#endif
		:: else
		fi;
		q++
	:: else -> break
	od;
	q = 0
}

inline write_states(value)
{
	i = first;
	do
	:: i < first + count -> priv[i] = value; i++
	:: else -> break
	od;
	i = 0
}

inline start(from, n, private_)
{
	/* Others look at the range only when the word says that there is one. */
	atomic {
		first = from; count = n; to_priv = private_; phase = OPEN; turn = (turn + 1) & 3;
		i = from;
		do
		:: i < from + n && !private_ -> kept[i] = 0; i++
		:: else -> break
		od;
		i = 0
	}
}

inline finish() { phase = NONE }

inline to_private(p, from, n)
{
	file_lock(p);
	start(from, n, 1);
	failed = 0;
#ifdef BREAK_COMMIT_FIRST
	write_states(1);
	ask_all(p, DENY);
	failed = 0;
#else
	ask_all(p, DENY);
#endif
	if
	:: failed ->
		failed = 0;
		ask_all(p, SETTLE);
		failed = 0;
		finish()
	:: else ->
		table_lock(p);
		deny(p, from, n);
		if
#ifdef BREAK_IGNORE_CALL_OFF
		:: phase = WRITING
#else
		:: atomic { phase == OPEN -> phase = WRITING }
#endif
			write_states(1);
			table_unlock(p);
			atomic {
				/* It returns now. */
				i = from;
				do
				:: i < from + n -> keep(i); i++
				:: else -> break
				od;
				i = 0
			};
			finish()
#ifndef BREAK_IGNORE_CALL_OFF
		:: atomic { phase != OPEN -> skip };
			settle(p, from, n);
			table_unlock(p);
			ask_all(p, SETTLE);
			failed = 0;
			finish()
#endif
		fi
	fi;
	file_unlock(p)
}

inline to_shared(p, from, n)
{
	file_lock(p);
	start(from, n, 0);
	table_lock(p);
	i = from;
	do
	:: i < from + n -> atomic { set_open(p, i); i++ }
	:: else -> break
	od;
	i = 0;
	write_states(0);
	table_unlock(p);
	ask_all(p, ALLOW);
	failed = 0;
	finish();
	file_unlock(p)
}

/* --- what the program does to its view ------------------------------------------- */

#ifdef BREAK_OPEN_UNCHECKED
#define MAY_OPEN(page) (!priv[page])
#else
#define MAY_OPEN(page) (!priv[page] && !BARS(page))
#endif

/* Under the table lock: what counts as shared and is not counted on. */
inline open_page(p, page)
{
#ifdef BREAK_OPEN_UNLOCKED
	here = MAY_OPEN(page);
	table_lock(p);
#else
	atomic { !table[p] -> table[p] = 1; here = MAY_OPEN(page) };
#endif
	atomic {
		if
		:: here -> set_open(p, page)
		:: else
		fi;
		here = 0;
		table_unlock(p)
	}
}

/* Whether what is under way is what was waited for. */
#ifdef BREAK_CALL_OFF_ANY
#define AWAITED(page) (phase != NONE && COVERS(page))
#else
#define AWAITED(page) (phase != NONE && seen == turn)
#endif

inline touch(p, page)
{
	if
	:: AT(p, page)	/* an access; set_open() and keep() have seen to INV-1 */
	:: else ->
		/* Wait for the conversion of the page, but not for ever. */
		if
		:: !(phase != NONE && COVERS(page))
		:: atomic { phase != NONE && COVERS(page) -> seen = turn };
			if
			:: atomic { !AWAITED(page) -> seen = 0 }
#ifndef BREAK_WAIT_FOR_EVER
			:: atomic { phase == OPEN && AWAITED(page) -> assert(seen == turn); phase = NONE; seen = 0 }	/* called off */
			:: atomic { phase == WRITING && AWAITED(page) && !OWNER_LIVES -> phase = NONE; seen = 0 }
			:: atomic { phase == WRITING && AWAITED(page) && OWNER_LIVES -> bus = 1; seen = 0 }
#endif
			fi
		fi;
		if
		:: bus || priv[page] -> bus = 0
		:: else -> open_page(p, page)
		fi
	fi
}

inline fork(p, child)
{
	forked[child] = 1;
	alive[child] = 1;
#ifdef BREAK_FORK_INHERITS
	/* The view as it is, known to nobody. */
	i = 0;
	do
	:: i < PAGES ->
		if
		:: AT(p, i) -> set_open(child, i)
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
#endif
	run program(child);
	run helper(child)
}

proctype program(byte p) provided (alive[p])
{
	byte i, q, k, work, seen;
	bool failed, here, may, bus;
	bool waits[PROCS];

	if
	:: !view[p] -> map_view(p)
	:: else
	fi;
	do
	:: atomic { p + 1 < PROCS && !forked[p + 1] -> fork(p, p + 1) }
	:: work < (p -> WORK : FIRST_WORK) ->
		work++;
		if
		:: to_private(p, 0, PAGES)
#if PAGES > 1
		:: to_private(p, 1, 1)
#endif
		:: to_shared(p, 0, PAGES)
		:: touch(p, 0)
		:: open_page(p, PAGES - 1)	/* MADV_DONTNEED and the like */
		fi
	:: else -> break
	od;
	finished[p] = 1
}

/* Kills whom it likes when it likes. */
proctype killer()
{
	byte p, i, k;

end:	do
	:: atomic {
		deaths > 0 -> deaths--;
		p = 0;
		do
		:: p < PROCS - 1 -> p++
		:: break
		od;
		if
		:: alive[p] ->
			alive[p] = 0;
			i = 0;
			do
			:: i < PAGES ->
				AT(p, i) = 0;
				/* What it has written of a conversion is so for good, and what it has not is not. */
				if
				:: owner == p + 1 && priv[i] -> keep(i)
				:: else
				fi;
				i++
			:: else -> break
			od
		:: else
		fi;
		p = 0;
		i = 0
	   }
	od
}

/* INV-6 */
proctype watchdog()
{
	byte p;

	timeout;
	do
	:: p < PROCS -> assert(!alive[p] || finished[p]); p++
	:: else -> break
	od
}

init {
	byte i;

	atomic {
		alive[0] = 1;
		forked[0] = 1;
		view[0] = 1;
		attached[0] = 1;
		request = SETTLE;
		do
		:: i < PAGES -> open[i] = 1; i++
		:: else -> break
		od;
		run killer();
		run watchdog();
		run helper(0);
		run program(0)
	}
}
