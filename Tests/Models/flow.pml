/*
 * A model of Weir's flow control: the credit of one consumer, and the gate in front of producers.
 * It is written from the protocol alone and shares nothing with the code. Spin visits every
 * interleaving of it; Tests/Stages/25-model.sh runs that, and runs each MUTANT, a defect put in
 * on purpose, which must be found.
 *
 *   producers --gate--> log (written, visible, synced) --reader--> queue --> consumer
 *       ^                        |                          ^                    |
 *       +---- permits, at the sync; the lag bound           +------ credit ------+
 *
 * A record counts one unit, and a batch has 1 to 3 records. A process is a party that may stop
 * between any two of its steps; a step is one call under the lock. Each event *wakes* those whom it
 * may concern, and who found nothing to do sleeps until then: a wakeup that is lost shows here.
 *
 * Two interleavings that the model goes through, and why the rules are as they are:
 *
 *   reader (window 2, next batch 3)       | consumer
 *   --------------------------------------+---------------------------------------------------
 *   3 > 2: out of credit, sleeps          |
 *                                         | asks: the queue is empty, waits, wakes the reader
 *   overdraft: 3 > 2 > 0, and it waits    |
 *   credit is 2 - 3 = -1                  | takes the batch; asks again: credit is 2
 *
 *   reader                                | consumer
 *   --------------------------------------+---------------------------------------------------
 *   takes a batch of 2, begins to read it |
 *                                         | is cancelled: its account is closed, all of it free
 *   comes home with the batch: dropped,   |
 *   and the account is not touched again  |
 *
 * What is claimed:
 *   1. Nothing gets stuck: what a producer wants to write is written, delivered and released.
 *      `Watch` says it of every state in which nobody can move; the formula `served`, under weak
 *      fairness, of every endless run.
 *   2. available + held + owed == window, always, with held counted anew from the log.
 *   3. Held is at most the window; beyond it only as one batch alone.
 *   4. Permits in use are those of the appends not synced, and at most all; what is not synced is
 *      at most all permits, or one append alone. The lag is at most the bound and one batch.
 *   5. Of a cancelled consumer nothing is held, and nothing is read for it.
 *
 * What the protocol needs of its users, each shown by a run that fails without it:
 *   - A consumer that grants does so, while it waits, until its credit is positive: an overdraft of
 *     3 from a window of 1 leaves a debt of 2, which a single grant of 1 does not lift.
 *   - What is kept holds the released position back. An account that waits for more records than
 *     the lag bound lets in before it releases any waits for ever, and the producers with it.
 *   - The line at the gate is first come, first served, or a large append starves.
 *   - A consumer in another process counts by its commits. It commits when it has worked off all
 *     that it sees; one that only commits every so many records waits, where that is more than the
 *     lag bound, for producers that wait for it, and then the cap of the gate ends it.
 *
 * Not modelled: bytes beside records (both go by the same rules), several reads of one consumer at
 * once, messages on their way between a consumer and the store, and timeouts. The cap may end a
 * wait at any time, which is more than time allows it.
 */

/* Ranges, from which `init` chooses; the stage sets them. */
#ifndef WINDOW_MIN
#define WINDOW_MIN 1
#endif
#ifndef WINDOW_MAX
#define WINDOW_MAX 4
#endif
#ifndef LAG_MIN
#define LAG_MIN 0
#endif
#ifndef LAG_MAX
#define LAG_MAX 4
#endif
#ifndef PERMITS_MIN
#define PERMITS_MIN 1
#endif
#ifndef PERMITS_MAX
#define PERMITS_MAX 3
#endif
#ifndef COMMIT_MIN
#define COMMIT_MIN 1
#endif
#ifndef COMMIT_MAX
#define COMMIT_MAX 1
#endif
#ifndef GRANT_MIN
#define GRANT_MIN 1
#endif
#ifndef GRANT_MAX
#define GRANT_MAX 3
#endif
#ifndef MODE_MIN
#define MODE_MIN AUTOMATIC
#endif
#ifndef MODE_MAX
#define MODE_MAX REMOTE
#endif
#ifndef SYNCED_ONLY_MIN
#define SYNCED_ONLY_MIN 0
#endif
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
/* Also with KEEPS: batches kept; CANCELS: one cancellation; REOPENS: and a new consumer after it;
 * RESIZES: one change of the window; LIVENESS: one batch marked, for `served`; CAPS: the gate opens
 * at last although a consumer lags; RARELY: one elsewhere does not commit because it has nothing to
 * do. */

#define AUTOMATIC 1 /* credit comes back with a release */
#define MANUAL 2    /* the consumer grants it */
#define REMOTE 3    /* releases are told in chunks, or when it waits */
#define ELSEWHERE 4 /* in another process: the gate sees its commits, and nothing else */

#define SIZE_MAX 3
#define PLACES (LAG_MAX + SIZE_MAX + SIZE_MAX + COMMIT_MAX - 1)

/* Where a batch is, in the order of its life. */
#define UNREAD 0
#define READING 1
#define QUEUED 2
#define LEASED 3
#define DONE 4 /* released by a remote consumer, which has not told it yet */
#define KEPT 5 /* on the consumer's own account */
#define RELEASED 6

/* Parameters, fixed by `init`. */
bool stingy; /* a manual consumer that grants only when it waits and has no credit left */
byte window, windowOnce, resumeAt, mode, grantSize, commitEvery, lagBound, permits;
bool syncedOnly; /* visibility: synced, or flushed already */

/* The log from the cursor's committed position on: positions count batches from there. */
byte size[PLACES], at[PLACES];
byte written, visible, synced, next; /* next: the first that is not read */

/* The consumer's account. */
short available;
byte owed; /* released in manual mode and not granted */
byte queued, kept;
bool holding; /* a batch is in the consumer's hands */
bool live = true, waiting, dry;
bool reading, stale; /* stale: for a consumer that is no more */
bool readerWoken = true;

/* The gate. */
byte used;
bool gateWoken, releasesWanted;
#ifdef CAPS
bool shut, capped; /* for lag; open in spite of it, until it was within its bound again */
#else
#define capped false
hidden byte shut;
#endif
chan line = [PRODUCERS] of { byte };

bool cancelledOnce;
#ifdef MUTANT_GRANTS_ONCE
bool granted; /* since the consumer began to wait */
#else
hidden byte granted;
#endif
#ifdef LIVENESS
#define UNMARKED 0
#define WANTED 1
#define SERVED 2
#define IN_LINE 100
byte mark, markPlace; /* markPlace: one more than its position, or IN_LINE and its producer */
#endif

/* Scratch of one step; no part of the state. */
hidden byte i, n, units, total, batch, held, heldCount, unsynced, unsyncedPermits, keptCount;
hidden byte admitted, fits, overdraft, moved;

#define waits (waiting && queued == 0)
#define permitsOf(b) (b < permits -> b : permits)
/* By what the gate measures a consumer. */
#define lag (live && mode != ELSEWHERE -> units : total)
#ifdef RARELY
#define commitsAtRest false
#else
#define commitsAtRest (mode == ELSEWHERE && waits && !reading && next == visible)
#endif

/* lag: units; released but not committed: total - units; n: batches of the latter. */
inline measure() {
    n = 0; total = 0; units = 0; i = 0;
    do
    :: i < written ->
        total = total + size[i];
        if
        :: n == i && at[i] == RELEASED -> n++
        :: else -> units = units + size[i]
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline audit() {
    held = 0; heldCount = 0; unsynced = 0; unsyncedPermits = 0; keptCount = 0; i = 0;
    do
    :: i < written ->
        if
        :: at[i] >= READING && at[i] <= DONE -> held = held + size[i]; heldCount++
        :: at[i] == KEPT -> keptCount++
        :: else
        fi;
        if
        :: i >= synced ->
            unsynced = unsynced + size[i];
            unsyncedPermits = unsyncedPermits + permitsOf(size[i])
        :: else
        fi;
        i++
    :: else -> break
    od;
    assert(available + held + owed == window);
    assert(held <= windowOnce || heldCount == 1);
    assert(live || held + queued + owed + keptCount == 0);
    assert(keptCount == kept);
    assert(used == unsyncedPermits && used <= permits);
    assert(unsynced <= permits || written - synced == 1);
    assert(visible <= written && synced <= visible && next <= visible);
    measure();
#ifndef REOPENS
    assert(!live || capped || lag <= lagBound + SIZE_MAX)
#endif
}

/* The released position moved or the log was synced: commits the cursor, and forgets before it. */
inline settle() {
    measure();
    moved = (mode != ELSEWHERE);
    if
    :: live && (total - units >= commitEvery || commitsAtRest) && n > 0 ->
        n = (n < synced -> n : synced);
        moved = moved || n > 0;
        i = 0;
        do
        :: i + n < written -> size[i] = size[i + n]; at[i] = at[i + n]; i++
        :: i < written && i + n >= written -> size[i] = 0; at[i] = UNREAD; i++
        :: else -> break
        od;
        written = written - n; visible = visible - n; synced = synced - n; next = next - n;
#ifdef LIVENESS
        markPlace = (markPlace > n && markPlace < IN_LINE -> markPlace - n : markPlace);
#endif
        i = 0
    :: else
    fi;
#ifdef MUTANT_NO_WAKE_AT_RELEASE
    moved = false;
#endif
    gateWoken = gateWoken || moved
}

inline giveBack(b) {
#ifdef MUTANT_CREDIT_AT_RECEIPT
    skip
#else
    if
    :: mode == MANUAL -> owed = owed + b
    :: else -> available = available + b; readerWoken = true
    fi
#endif
}

inline release(place) {
    at[place] = RELEASED;
#ifdef LIVENESS
    if
    :: markPlace == place + 1 -> mark = SERVED; markPlace = 0
    :: else
    fi;
#endif
}

/* What a remote consumer is done with, told to the store. An answer that tells nothing wakes
 * nobody: else the gate asks, is woken by the answer, and asks again, without end. */
inline report() {
    i = 0; batch = 0;
    do
    :: i < written ->
        if
        :: at[i] == DONE -> batch++; giveBack(size[i]); release(i)
        :: else
        fi;
        i++
    :: else -> break
    od;
    releasesWanted = false;
#ifdef MUTANT_ANSWER_ALWAYS_WAKES
    settle()
#else
    if
    :: batch > 0 -> settle()
    :: else
    fi
#endif
}

inline find(state) {
    i = 0;
    do
    :: i < written && at[i] != state -> i++
    :: else -> break
    od
}

/* Ends the lease of the batch in hand, if there is one. */
inline finish() {
    find(LEASED); holding = false;
    if
    :: i == written
    :: i < written && mode != REMOTE -> giveBack(size[i]); release(i); settle()
    :: i < written && mode == REMOTE ->
        at[i] = DONE;
        i = 0; units = 0;
        do
        :: i < written -> units = units + (at[i] == DONE -> size[i] : 0); i++
        :: else -> break
        od;
        if
        :: units >= grantSize || releasesWanted -> report()
        :: else
        fi
    fi
}

inline take() {
    find(QUEUED);
    at[i] = LEASED; queued--; holding = true; waiting = false;
#ifdef MUTANT_CREDIT_AT_RECEIPT
    available = available + size[i]; readerWoken = true;
#endif
}

/* Whether the next batch may be read: 1 if so, for each of the two reasons. */
inline decide() {
    batch = size[next];
#ifdef MUTANT_HYSTERESIS_DEAF
    fits = available >= batch && (!dry || available >= resumeAt);
#else
    fits = available >= batch && (!dry || available >= resumeAt || waits);
#endif
#ifdef MUTANT_NO_OVERDRAFT
    overdraft = false
#else
#ifdef MUTANT_OVERDRAFT_UNASKED
    overdraft = available < batch && available > 0
#else
    overdraft = available < batch && available > 0 && waits
#endif
#endif
}

/* Its successor begins where the cursor was committed, and reads what was not committed again. */
inline cancel() {
    i = 0;
    do
#ifdef MUTANT_CANCEL_LEAVES_READ
    :: i < written && at[i] == READING -> i++
#endif
    :: else ->
        if
        :: i < written -> at[i] = UNREAD; i++
        :: else -> break
        fi
    od;
    stale = reading;
    next = 0; queued = 0; kept = 0; owed = 0; available = window;
    holding = false; waiting = false; dry = false; live = false; cancelledOnce = true;
    gateWoken = true
}

proctype Reader() {
end:
    do
    :: d_step { live && readerWoken && !reading ->
        if
        :: next < visible ->
            decide();
            if
            :: fits || overdraft ->
                at[next] = READING; next++; reading = true; stale = false;
                available = available - batch;
                dry = overdraft
            :: else ->
                dry = dry || available < batch;
                readerWoken = false
            fi
        :: else -> readerWoken = false
        fi;
        audit()
    }
    :: d_step { reading ->
        reading = false;
        if
        :: stale /* dropped */
        :: else ->
            find(READING);
            at[i] = QUEUED; queued++
        fi;
        stale = false;
        audit()
    }
    od
}

#ifdef MUTANT_GRANTS_ONCE
#define lacksCredit !granted
#else
#define lacksCredit available <= 0
#endif

proctype Consumer() {
end:
    do
    :: d_step { live && !waiting -> /* asks for the next batch, which releases the last */
        finish();
        if
        :: queued > 0 -> take()
        :: else ->
            waiting = true; granted = false;
            if
            :: mode == REMOTE -> report()
            :: mode == ELSEWHERE -> settle()
            :: else
            fi;
#ifndef MUTANT_NO_WAKE_AT_WAIT
            readerWoken = true
#endif
        fi;
        audit()
    }
    :: d_step { live && waiting && queued > 0 -> take(); audit() }
    :: d_step { live && holding -> finish(); audit() }
    :: d_step { live && owed > 0 && (!stingy || (waits && lacksCredit)) ->
        /* Never more than the window has room for, beside what is held. */
        granted = true;
        batch = (grantSize < owed -> grantSize : owed);
        owed = owed - batch; available = available + batch; readerWoken = true;
        audit()
    }
#ifdef KEEPS
    :: d_step { live && holding && kept < KEEPS ->
        find(LEASED); holding = false;
        at[i] = KEPT; kept++;
#ifndef MUTANT_CREDIT_LOST_ON_KEEP
        giveBack(size[i]);
#endif
        audit()
    }
#endif
    :: d_step { mode == REMOTE && live && releasesWanted -> report(); audit() }
#ifdef CANCELS
    :: d_step { live && !cancelledOnce -> cancel(); audit() }
#endif
#ifdef REOPENS
    :: d_step { !live -> live = true; readerWoken = true; gateWoken = true; audit() }
#endif
    od
}

#ifdef KEEPS
#ifdef WEAK_KEEPER_WAITS_FOR_MORE
#define keeperIsReady (kept == KEEPS)
#else
#define keeperIsReady true
#endif
/* The consumer's own account: another of its tasks releases what was kept, at any time. */
proctype Keeper() {
end:
    do
    :: d_step { kept > 0 && keeperIsReady ->
        find(KEPT);
        kept--; release(i); settle();
        audit()
    }
    od
}
#endif

#ifdef RESIZES
/* The controller of an adaptive window. What is out stays out: credit may be negative then. */
proctype Controller() {
    byte target;
    select(target : WINDOW_MIN .. WINDOW_MAX);
    d_step {
        available = available + target - window;
        window = target;
        windowOnce = (window > windowOnce -> window : windowOnce);
        readerWoken = true;
        audit()
    }
}
#endif

/* The gate, asked for a batch by the first in line. */
inline enter(b) {
    measure();
#ifdef MUTANT_LAG_OF_COMMITTED
    units = total;
#endif
    admitted = false;
    shut = lag > lagBound && !capped;
    if
    :: shut -> releasesWanted = (live && mode == REMOTE)
    :: else -> admitted = (used + permitsOf(b) <= permits)
    fi;
#ifdef CAPS
    capped = capped && lag > lagBound
#endif
}

#ifdef CAPS
/* The gate was shut for as long as it may. */
proctype Cap() {
end:
    do
    :: d_step { shut && len(line) > 0 -> shut = false; capped = true; gateWoken = true; audit() }
    od
}
#endif

#ifdef MUTANT_NO_LINE
#define FIRST ?? /* any in line */
#else
#define FIRST ? /* the first in line */
#endif

/* Behind a cap nothing but the model's own size bounds the log. */
#ifdef CAPS
#define hasPlaces (written < LAG_MAX + COMMIT_MAX)
#else
#define hasPlaces true
#endif

inline standInLine(b) {
    wanted = b;
    line ! _pid;
    gateWoken = true
}

proctype Producer() {
    byte wanted;
end:
    do
    :: d_step { wanted == 0 && hasPlaces -> standInLine(1) }
    :: d_step { wanted == 0 && hasPlaces -> standInLine(2) }
    :: d_step { wanted == 0 && hasPlaces -> standInLine(3) }
#ifdef LIVENESS
    :: d_step { wanted == 0 && mark == UNMARKED ->
        standInLine(2);
        mark = WANTED; markPlace = IN_LINE + _pid
    }
#endif
    :: wanted == 0 -> break /* after any batch: what it wrote goes through all the same */
    :: d_step { wanted > 0 && gateWoken && line FIRST [eval(_pid)] ->
        enter(wanted);
        if
        :: admitted ->
            line FIRST eval(_pid);
            assert(written < PLACES);
            size[written] = wanted; at[written] = UNREAD; written++;
            used = used + permitsOf(wanted);
#ifdef LIVENESS
            markPlace = (markPlace == IN_LINE + _pid -> written : markPlace);
#endif
            wanted = 0
        :: else -> gateWoken = false
        fi;
        audit()
    }
    od
}

/* Batches become visible and are synced in groups: all that are there, at any time. */
proctype Log() {
end:
    do
    :: d_step { !syncedOnly && visible < written ->
        visible = written; readerWoken = true;
        audit()
    }
    :: d_step { synced < (syncedOnly -> written : visible) ->
        visible = (syncedOnly -> written : visible);
        do
        :: synced < visible -> used = used - permitsOf(size[synced]); synced++
        :: else -> break
        od;
        readerWoken = true;
        settle();
        gateWoken = true;
        audit()
    }
    od
}

#ifndef LIVENESS
/* Nobody can move: then all that was wanted must have come to its end. */
active proctype Watch() {
end:
    d_step { timeout ->
        measure();
        assert(synced == written && used == 0);
        assert(live || len(line) == 0 || total > lagBound);
        assert(!live || (len(line) == 0 && units == 0 && waiting && queued + kept == 0));
        assert(!live || stingy || available == window)
    }
}
#endif

init {
    atomic {
        select(window : WINDOW_MIN .. WINDOW_MAX);
        windowOnce = window;
        available = window;
        select(resumeAt : 0 .. window);
        select(mode : MODE_MIN .. MODE_MAX);
        if
        :: mode == AUTOMATIC || mode == ELSEWHERE -> grantSize = 1
        :: else -> select(grantSize : GRANT_MIN .. GRANT_MAX)
        fi;
        if
        :: mode == MANUAL -> stingy = true
        :: true
        fi;
        select(commitEvery : COMMIT_MIN .. COMMIT_MAX);
        select(lagBound : LAG_MIN .. LAG_MAX);
        select(permits : PERMITS_MIN .. PERMITS_MAX);
        if
        :: SYNCED_ONLY_MIN == 0 -> syncedOnly = false
        :: true -> syncedOnly = true
        fi;
        run Reader();
        run Consumer();
        run Log();
#ifdef KEEPS
        run Keeper();
#endif
#ifdef RESIZES
        run Controller();
#endif
#ifdef CAPS
        run Cap();
#endif
        run Producer();
#if PRODUCERS > 1
        run Producer();
#endif
    }
}

#ifdef LIVENESS
ltl served { [] ((mark == WANTED) -> <> (mark == SERVED)) }
#endif
