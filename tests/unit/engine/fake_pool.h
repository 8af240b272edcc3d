/*
 * A server in memory, behind pool.h and session.h: it knows mailboxes and messages, and does wrong
 * what a test tells it to. Linked instead of src/imap's pool and session.
 */
#ifndef FAKE_POOL_H
#define FAKE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "imap/pool.h"

/* What is wrong with a message's body. */
enum body_fault {
    BODY_SOUND,
    BODY_MISSING,    /* answered without BODY[] */
    BODY_UNANSWERED, /* no FETCH answer at all */
    BODY_EMPTY,
    BODY_OF_OTHER,   /* another UID's FETCH comes instead */
    BODY_CUT_ALWAYS, /* the connection ends in its middle, each time */
    BODY_HOSTILE,    /* an answer no sound server gives */
    BODY_HUGE        /* announced with more than 2 GiB */
};

/* Where the server can be made to stand still. */
enum hold { HOLD_NONE, HOLD_NOWHERE, HOLD_CONNECT, HOLD_LIST, HOLD_STATUS, HOLD_ROWS, HOLD_BODIES };

struct fake_counts {
    unsigned lists, statuses, examines, searches, row_commands, rows, body_commands, bodies, quotas;
};

struct pool *fake_pool_create(unsigned workers);
/* pool_destroy frees it all. */

/* ---- the server's content ---- */
void fake_mailbox(struct pool *pool, const char *raw, char delimiter, unsigned attributes);
void fake_mailbox_use(struct pool *pool, const char *raw, const char *special_use);
void fake_mailbox_remove(struct pool *pool, const char *raw);
/* A message with the next UID: its header says subject and Message-ID, its body repeats them.
 * Returns the UID. */
uint32_t fake_message(struct pool *pool, const char *raw, const char *subject);
uint32_t fake_messages(struct pool *pool, const char *raw, unsigned count);
/* A copy of the message, as a client's COPY would make it. */
uint32_t fake_copy(struct pool *pool, const char *raw, uint32_t uid);
void fake_expunge(struct pool *pool, const char *raw, uint32_t uid);
void fake_flags(struct pool *pool, const char *raw, uint32_t uid, const char *flags);
/* The mailbox gets another UIDVALIDITY; messages are numbered from 1 again. */
void fake_renumber(struct pool *pool, const char *raw, uint32_t uidvalidity);
/* What BODY[] of the message is, as malloc'ed text. */
char *fake_body(struct pool *pool, const char *raw, uint32_t uid);

/* ---- what it does wrong ---- */
void fake_offline(struct pool *pool, bool offline);
void fake_auth_failed(struct pool *pool, bool failed);
void fake_condstore(struct pool *pool, bool condstore);
void fake_quota(struct pool *pool, uint64_t used_bytes, uint64_t limit_bytes);
void fake_odd_lines(struct pool *pool, size_t count);
/* The connection breaks after so many more rows; -1 never. */
void fake_break_after_rows(struct pool *pool, int64_t rows);
void fake_body_fault(struct pool *pool, const char *raw, uint32_t uid, enum body_fault fault);
/* RFC822.SIZE is told with this much added. */
void fake_lie_about_size(struct pool *pool, const char *raw, uint32_t uid, int64_t more);
/* Its rows lack their size. */
void fake_row_without_size(struct pool *pool, const char *raw, uint32_t uid);
/* EXAMINE and STATUS are refused. */
void fake_refuse(struct pool *pool, const char *raw, bool refuse);

/* All that comes to this point waits there, from now on. */
void fake_hold(struct pool *pool, enum hold hold);
/* Rows stand still after so many more. */
void fake_hold_rows_after(struct pool *pool, int64_t rows);
void fake_release(struct pool *pool);
/* Waits until so many stand there. */
void fake_await_held(struct pool *pool, unsigned count);
/* Waits until none stands there any more, as when all were given up. */
void fake_await_none_held(struct pool *pool);

struct fake_counts fake_counts(struct pool *pool);
/* UIDs whose rows were given, in that order: "3,2,1" with ranges left as they are; freed by the
 * caller. */
char *fake_row_log(struct pool *pool);

#endif
