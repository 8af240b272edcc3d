/* What the two halves of the server in memory share. Everything is guarded by the pool's mutex. */
#ifndef FAKE_SERVER_H
#define FAKE_SERVER_H

#include <glib.h>
#include <pthread.h>

#include "fake_pool.h"

struct fake_mail {
    uint32_t uid;
    char *header, *body, *flags;
    int64_t date_s;
    uint64_t modseq;
    int64_t lie;
    bool sizeless;
    enum body_fault fault;
};

struct fake_box {
    char *raw;
    char delimiter;
    unsigned attributes;
    const char *special_use;
    uint32_t uidvalidity, uidnext;
    uint64_t modseq;
    GPtrArray *messages; /* of struct fake_mail, by UID */
    bool refused;
};

struct worker;

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    GPtrArray *boxes; /* of struct fake_box */
    struct pool_job *jobs;
    struct worker *workers;
    unsigned worker_count;
    bool ending, offline, auth_failed, condstore;
    unsigned age; /* sessions of another age are dead */
    uint32_t next_validity;
    struct quota quota;
    size_t odd;
    int64_t break_rows;
    enum hold hold;
    int64_t hold_rows;
    unsigned held;
    struct fake_counts counts;
    GString *row_log;
};

struct session {
    struct pool *pool;
    unsigned age;
    bool dead, cancelled;
    char selected[1024];
    struct mailbox_status seen; /* of the selected mailbox, when it was last looked at */
};

struct fake_box *fake_box_at(struct pool *pool, const char *raw, size_t len);
struct fake_mail *fake_mail_at(struct fake_box *box, uint32_t uid);
/* Stands still while the test wants it; the mutex is held. */
int fake_stand(struct session *session, enum hold hold, struct err *why);

#endif
