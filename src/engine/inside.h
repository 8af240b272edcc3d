/*
 * engine/inside.h - what the room's own files share: the engine, its flights, its tasks.
 *
 * A FLIGHT is one piece of work for one key (the tree; the listing of a mailbox; the body of a
 * message; the quota; a synchronisation of everything) with those who wait for it: whoever wants
 * the same joins and starts nothing. A TASK is one job of the pool that carries flights. Only files
 * of this room include this header.
 *
 * Threads: callers (fs, app), the pool's workers (tasks), the clock (expires waits), tidy (trims
 * the cache). `lock` guards all that is marked so and is never held during a call of store, pool, a
 * listener or a wait's `done`.
 */
#ifndef IMAPFS_ENGINE_INSIDE_H
#define IMAPFS_ENGINE_INSIDE_H

#include <glib.h>

#include "base/lock.h"
#include "engine/engine.h"

/* Nobody who has a whole listing waits longer for a newer one. */
enum { REVALIDATE_MS = 5000 };
/* A command of bodies: this many messages, or this many bytes as listed. */
enum { BATCH_WANTS = 64, BATCH_BYTES = 4 << 20, BODY_ATTEMPTS = 2 };
#define BODY_BYTES_MAX ((int64_t)1 << 31)
/* The tree and the flags are asked for again after this many times the time it took, at least. */
enum { COST_FACTOR = 10 };

/* ---- flights ---- */

enum flight_kind { FLIGHT_TREE, FLIGHT_LISTING, FLIGHT_BODY, FLIGHT_QUOTA, FLIGHT_SYNC_ALL };

/*
 * state    in the table  who holds it                     how it leaves
 * QUEUED   yes           its task, not yet run; a body:   a worker begins (RUNNING); failed or all
 *                        its mailbox's queue of wants     waits of a body gone (LANDED)
 * RUNNING  yes           the task a worker is at          done (LANDED); a body whose connection
 *                                                         broke, once (QUEUED)
 * LANDED   no            who landed it, until freed       -
 * Waits are only on flights in the table. SYNC_ALL has no task: it holds itself, by its parts.
 */
enum flight_state { FLIGHT_QUEUED, FLIGHT_RUNNING, FLIGHT_LANDED };

struct flight_key {
    enum flight_kind kind;
    int64_t id; /* mailbox or message; 0 where there is one only */
};

struct task;

struct flight {
    struct flight_key key; /* const after create */
    struct engine *engine;
    /* guarded by engine->lock */
    enum flight_state state;
    struct wait *waits;
    size_t wait_count;
    bool progressed; /* LISTING: something came already */
    /* bodies only; const after create: */
    struct mailbox_id mailbox;
    uint32_t uidvalidity;
    struct imap_uid uid;
    int64_t size_bytes;
    /* bodies only; guarded by engine->lock: */
    GList link;        /* in its mailbox's wants while QUEUED */
    struct task *task; /* while RUNNING */
    unsigned attempts;
    int64_t linger_ms; /* RUNNING without waits: given up then; else DEADLINE_NEVER */
};

/* ---- tasks ---- */

struct task_kind {
    int (*run)(struct task *task, struct session *session, struct err *why);
    void (*done)(struct task *task, int result, const struct err *why);
};

struct task {
    struct pool_job job;
    struct engine *engine;
    const struct task_kind *kind;
    struct flight *flight; /* NULL for bodies */
    /* guarded by engine->lock */
    struct task *next, *prev;
    unsigned pins; /* threads that are inside pool_cancel with it */
    bool finished, cancelled;
    /* bodies: */
    struct mailbox_id mailbox;
    struct flight *wants[BATCH_WANTS];
    size_t want_count;
    bool started;
};

/* ---- what is remembered of a mailbox ---- */

struct mailbox_state {
    int64_t id;
    int64_t fresh_until_ms; /* the listing is whole and need not be looked at before */
    int64_t flags_due_ms;   /* without CONDSTORE: not compared again before */
    uint64_t generation;
    int last_error;            /* of the last listing; 0 after success */
    uint32_t passing_validity; /* made up in this run, for a server that gives none; else 0 */
    int64_t changed_s;         /* calendar time of the last change seen */
    bool changed_known;        /* changed_s was read from the index or set */
    GQueue wants;              /* of body flights, QUEUED */
    bool task_queued;          /* a task for them is under way and has taken none yet */
};

/* The tree in memory: who is shown, by filters. */
struct tree_entry {
    int64_t id, parent;
    bool chosen;  /* passes the filters: its messages are shown and synchronised */
    bool visible; /* chosen, or above one that is */
    bool selectable;
    uint32_t children; /* visible ones */
};

struct note {
    struct noted_error error;
    unsigned times;
};
enum { NOTES_MAX = 100, NOTE_REPEAT_S = 60 };

struct engine {
    /* const after create (the listener: after the first request) */
    struct store *store;
    struct pool *pool;
    struct log *log;
    struct engine_listener listener;
    int64_t max_age_ms, timeout_ms;
    bool subscribed_only;
    char **include, **exclude; /* NULL-ended; NULL: none given */
    char *root_path;           /* "" : the whole tree */
    pthread_t clock_thread, tidy_thread;
    bool clock_started, tidy_started;

    struct lock lock;
    /* guarded by lock */
    GHashTable *flights;  /* of struct flight by key */
    GHashTable *states;   /* of struct mailbox_state by id */
    GHashTable *tree;     /* of struct tree_entry by id */
    GHashTable *failures; /* of struct failure by message id */
    struct task *tasks;
    struct cond tasks_gone;
    bool ending;
    size_t wait_count;

    int64_t clock_target_ms; /* the clock sleeps until then */
    struct cond clock_changed;
    bool clock_ending;

    struct cond tidy_changed;
    bool tidy_ending, trim_wanted;
    int64_t settle_ms, trim_ms; /* DEADLINE_NEVER: nothing to do */

    struct mailbox_id root; /* the mailbox that is the mount's root; 0: the whole tree */
    bool root_gone;
    bool tree_known;
    int64_t tree_fresh_until_ms;
    struct err tree_error; /* of the last attempt */

    bool trouble_noted; /* the connection failed and that was said */
    struct note notes[NOTES_MAX];
    size_t note_first, note_count;
    uint64_t errors;

    struct view_space quota;
    int64_t quota_fresh_until_ms;

    uint64_t bodies_fetched, body_bytes_fetched, rows_fetched;
};

/* ---- flight.c ---- */

struct flight *flight_find(struct engine *engine, enum flight_kind kind, int64_t id)
    REQUIRES(engine->lock);
/* A new flight in the table, QUEUED. There must be none with this key. */
struct flight *flight_create(struct engine *engine, enum flight_kind kind, int64_t id)
    REQUIRES(engine->lock);
void flight_set_state(struct flight *flight, enum flight_state state);

enum wait_manner {
    WAIT_SOFT = 1 << 0, /* something whole is known: failure and deadline mean "go on with it" */
    WAIT_PROGRESS = 1 << 1, /* done at the next step, not only at the end */
    WAIT_THEN_TREE = 1 << 2 /* afterwards the tree, if that is still on the way */
};
void flight_join(struct engine *engine, struct flight *flight, struct wait *wait, unsigned manner,
    int64_t deadline_ms) REQUIRES(engine->lock);
/* The flight is over: out of the table, its waits done, freed. Called by its holder, no lock held.
 */
void flight_land(struct flight *flight, int result);
/* A step of a listing: the mailbox's generation rises and those who wait for progress are done. */
void flight_progress(struct engine *engine, struct mailbox_id mailbox);
/* Asserts the table above for every flight (debug builds). */
void engine_check(struct engine *engine);

void *clock_main(void *arg);

/* ---- task.c ---- */

/* A task for the flight (or NULL), not yet submitted. */
struct task *task_create(struct engine *engine, const struct task_kind *kind, struct flight *flight)
    REQUIRES(engine->lock);
/* Hands it to the pool; with NULL nothing happens. */
void task_submit(struct task *task);
/* Ends it early; the caller has pinned it under the lock. */
void task_cancel_pinned(struct task *task);
/* Cancels all and waits until the pool has let go of each. */
void tasks_end(struct engine *engine);

/* ---- freshness.c ---- */

struct mailbox_state *state_get(struct engine *engine, struct mailbox_id mailbox)
    REQUIRES(engine->lock);
/* Begins the flight unless it is under way: *ret_task is to be submitted after the lock, or NULL.
 */
struct flight *tree_begin(struct engine *engine, struct task **ret_task) REQUIRES(engine->lock);
struct flight *listing_begin(struct engine *engine, struct mailbox_id mailbox,
    enum pool_priority priority, struct task **ret_task) REQUIRES(engine->lock);
/* Which mailbox's content an inode of a directory shows: 0 for the whole tree's root. -ENOTDIR,
 * -ENOENT (the root's mailbox is gone); 1: a directory of the mount's own. */
int dir_mailbox(struct engine *engine, struct inode_no dir, struct mailbox_id *ret);
enum { DIR_OF_MOUNT = 1 };
/* The inode that shows a mailbox (0: the tree's root). */
struct inode_no dir_inode(struct engine *engine, struct mailbox_id mailbox);
/* For stores: turns their news into the listener's. */
struct change_listener engine_changes(struct engine *engine);
void changed_now(struct engine *engine, struct mailbox_id mailbox);

/* ---- tree.c ---- */

int tree_fetch(struct engine *engine, struct session *session, struct err *why) MUST_USE;
/* Reads the tree in memory anew from the index and applies the filters. */
int tree_load(struct engine *engine, struct err *why) MUST_USE;
bool tree_entry(struct engine *engine, struct mailbox_id mailbox, struct tree_entry *ret);
/* Whether messages of the mailbox are shown. */
bool tree_shows_messages_locked(struct engine *engine, struct mailbox_id mailbox)
    REQUIRES(engine->lock);

/* ---- sync.c, sync_rows.c ---- */

int sync_mailbox(struct engine *engine, struct session *session, struct mailbox_id mailbox,
    struct err *why) MUST_USE;

/* ---- space.c ---- */

void quota_refresh(struct engine *engine);

/* ---- tidy.c ---- */

void *tidy_main(void *arg);
void tidy_body_written(struct engine *engine);

/* ---- notes.c ---- */

void engine_note(struct engine *engine, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A task failed: says so once where a person should know. `what` may be "". */
void engine_trouble(struct engine *engine, const char *what, const struct err *why);
/* The server answered. */
void engine_well(struct engine *engine);

/* What a caller is given for a failure. */
int caller_errno(int result, const struct err *why);

#endif
