/*
 * imap/pool.h - the account's connections: workers that each own one session, and the queue of jobs
 * for them.
 *
 * pool_submit and pool_cancel may be called by any thread and never wait for the network. `run` is
 * called in a worker, `done` in a worker or the pool's clerk (jobs that never ran), both without
 * any lock; `done` is to be short. Workers connect when there is work, at most `connections` at
 * once; one is kept free of low priorities so that an interactive job never waits behind them. Idle
 * sessions are kept for a while and checked before use.
 */
#ifndef IMAPFS_IMAP_POOL_H
#define IMAPFS_IMAP_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "imap/session.h"

enum pool_priority {
    PRIORITY_INTERACTIVE,
    PRIORITY_SYNC,
    PRIORITY_WRITEBACK,
    PRIORITY_PREFETCH,
    PRIORITY_COUNT
};

struct pool_job {
    enum pool_priority priority;
    int64_t affinity; /* jobs with the same non-zero value like the same session (a mailbox id) */
    int64_t deadline_ms; /* clock.h: while queued past it, done gets RETRY ETIMEDOUT; DEADLINE_NEVER
                            for none */
    /* The work. May be called a second time, on a fresh connection, if the first died before it (a
     * dead idle connection). */
    int (*run)(void *arg, struct session *session, struct err *why);
    /* Called exactly once, also when the job was cancelled or the pool ends: the last touch of the
     * job by the pool. `why` is borrowed. */
    void (*done)(void *arg, int result, const struct err *why);
    void *arg;
    /* the pool's own */
    struct pool_job *next;
    int state;
};

enum pool_state { POOL_NEVER_CONNECTED, POOL_ONLINE, POOL_OFFLINE, POOL_AUTH_FAILED };

struct pool_status {
    enum pool_state state;
    unsigned sessions, busy, queued;
    uint64_t bytes_in, bytes_out;
    uint64_t connects;
    struct err last_error; /* of connecting */
    int64_t last_error_wall_s;
    int64_t next_attempt_in_ms; /* 0: at once when there is work */
};

struct pool_options {
    struct account account; /* its strings are borrowed for the pool's life */
    unsigned connections;   /* 1..16 */
    int64_t idle_ms;        /* an unused session is closed after this; 0: 5 minutes */
};

struct pool;

int pool_create(struct pool **ret, const struct pool_options *options, struct err *why) MUST_USE;

/* Connects and logs in once, now, in the caller's thread, and keeps the session for the first job:
 * what the exit status of mounting rests on. */
int pool_connect(struct pool *pool, struct err *why) MUST_USE;

/* Takes no ownership: the job lives until `done`. While connecting fails: interactive jobs fail at
 * once with the connection's error if the last attempt is younger than its back-off (1 s doubling
 * to 30 s, with jitter), else they trigger an attempt; other jobs wait for the next attempt, and
 * the one that made it fails with it. After AUTH_FAILED all jobs fail with it, and an attempt is
 * made at most every 60 s doubling to 15 min. While some session lives, a failed attempt for
 * another one fails no job: they wait for those there are (a server that allows fewer connections
 * than we do). */
void pool_submit(struct pool *pool, struct pool_job *job);

/* Ends a job early: a queued one is done with CANCELLED; of a running one the session's waits are
 * ended (and the session with them). Returns at once; `done` still comes. */
void pool_cancel(struct pool *pool, struct pool_job *job);

/* Tries to connect at once, also after AUTH_FAILED (imapfsctl retry, a resume from suspend). */
void pool_retry_now(struct pool *pool);

void pool_get_status(struct pool *pool, struct pool_status *ret);

/* Cancels everything, joins the workers. */
void pool_destroy(struct pool **pool);

#endif
