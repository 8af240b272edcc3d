/* The questions of session.h, answered by the server in memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_server.h"

static void take(struct session *session)
{
    pthread_mutex_lock(&session->pool->mutex);
}

static void release(struct session *session)
{
    pthread_mutex_unlock(&session->pool->mutex);
}

bool session_is_selected(const struct session *session, const char *raw, size_t len)
{
    return session->selected[0] != '\0' && strlen(session->selected) == len &&
           memcmp(session->selected, raw, len) == 0;
}

bool session_is_dead(const struct session *session)
{
    return session->dead;
}

unsigned session_capabilities(const struct session *session)
{
    pthread_mutex_lock(&session->pool->mutex);
    unsigned capabilities = session->pool->condstore ? CAP_CONDSTORE : 0;
    pthread_mutex_unlock(&session->pool->mutex);
    return capabilities;
}

int session_list(struct session *session,
    int (*each)(void *arg, const struct listed_mailbox *mailbox), void *arg, size_t *ret_odd,
    struct err *why)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    GArray *listed = g_array_new(FALSE, FALSE, sizeof(struct listed_mailbox));
    take(session);
    session->pool->counts.lists++;
    int rc = fake_stand(session, HOLD_LIST, why);
    for (guint i = 0; rc == 0 && i < session->pool->boxes->len; i++) {
        const struct fake_box *box = session->pool->boxes->pdata[i];
        char *raw = g_strdup(box->raw);
        struct listed_mailbox mailbox = {
            raw, strlen(raw), box->delimiter, box->attributes, box->special_use};
        g_ptr_array_add(names, raw);
        g_array_append_val(listed, mailbox);
    }
    if (rc == 0 && ret_odd != NULL) {
        *ret_odd = session->pool->odd;
    }
    release(session);
    for (guint i = 0; rc == 0 && i < listed->len; i++) {
        rc = each(arg, &g_array_index(listed, struct listed_mailbox, i));
    }
    (void)g_array_free(listed, TRUE);
    g_ptr_array_free(names, TRUE);
    return rc;
}

static int find(
    struct session *session, const char *raw, size_t len, struct fake_box **ret, struct err *why)
{
    struct fake_box *box = fake_box_at(session->pool, raw, len);
    if (box == NULL) {
        return err_set(why, ERR_GONE, ENOENT, "no such mailbox");
    }
    if (box->refused) {
        return err_set(why, ERR_REFUSED, EACCES, "the mailbox is refused");
    }
    *ret = box;
    return 0;
}

static struct mailbox_status status_of(const struct pool *pool, const struct fake_box *box)
{
    struct mailbox_status status = {
        .messages = box->messages->len,
        .uidvalidity = box->uidvalidity,
        .uidnext = box->uidnext,
        .highestmodseq = pool->condstore ? box->modseq : 0,
    };
    return status;
}

int session_status(struct session *session, const char *raw, size_t len, struct mailbox_status *ret,
    struct err *why)
{
    struct fake_box *box = NULL;
    take(session);
    session->pool->counts.statuses++;
    int rc = fake_stand(session, HOLD_STATUS, why);
    if (rc == 0) {
        rc = find(session, raw, len, &box, why);
    }
    if (rc == 0) {
        *ret = status_of(session->pool, box);
        for (guint i = 0; i < box->messages->len; i++) {
            const struct fake_mail *message = box->messages->pdata[i];
            ret->unseen += strstr(message->flags, "\\Seen") == NULL;
        }
        if (session_is_selected(session, raw, len)) { /* as Dovecot does */
            uint32_t unseen = ret->unseen;
            *ret = session->seen;
            ret->unseen = unseen;
        }
    }
    release(session);
    return rc;
}

int session_examine(struct session *session, const char *raw, size_t len,
    struct mailbox_status *ret, struct err *why)
{
    struct fake_box *box = NULL;
    take(session);
    session->pool->counts.examines++;
    bool again = session_is_selected(session, raw, len);
    int rc = fake_stand(session, again ? HOLD_STATUS : HOLD_NOWHERE, why);
    if (rc == 0) {
        rc = find(session, raw, len, &box, why);
    }
    if (rc == 0) {
        *ret = status_of(session->pool, box);
        session->seen = *ret;
        (void)len;
        (void)g_strlcpy(session->selected, box->raw, sizeof session->selected);
    }
    release(session);
    return rc;
}

static struct fake_box *selected(struct session *session)
{
    return fake_box_at(session->pool, session->selected, strlen(session->selected));
}

int session_search_all(struct session *session, struct uidset *ret, struct err *why)
{
    take(session);
    session->pool->counts.searches++;
    int rc = fake_stand(session, HOLD_NOWHERE, why);
    struct fake_box *box = selected(session);
    uidset_reset(ret);
    for (guint i = 0; rc == 0 && i < box->messages->len; i++) {
        const struct fake_mail *message = box->messages->pdata[i];
        rc = uidset_add(ret, message->uid, message->uid);
    }
    release(session);
    return rc;
}

/* ---- rows
 * ----------------------------------------------------------------------------------------- */

/* 1: a row to give. 0: none. */
static int prepare_row(struct session *session, const struct row_request *request, uint32_t uid,
    struct fetched_row *ret, struct err *why)
{
    struct pool *pool = session->pool;
    struct fake_box *box = selected(session);
    struct fake_mail *message = box == NULL ? NULL : fake_mail_at(box, uid);
    if (message == NULL ||
        (request->changed_since > 0 && message->modseq <= request->changed_since)) {
        return 0;
    }
    if (pool->break_rows == 0) {
        pool->break_rows = -1;
        session->dead = true;
        return err_set(why, ERR_RETRY, EHOSTDOWN, "the connection is lost");
    }
    pool->break_rows -= pool->break_rows > 0;
    if (pool->hold == HOLD_ROWS && pool->hold_rows > 0) {
        pool->hold_rows--;
    } else {
        int rc = fake_stand(session, HOLD_ROWS, why);
        if (rc != 0) {
            return rc;
        }
        message = fake_mail_at(box, uid);
        if (message == NULL) {
            return 0;
        }
    }
    pool->counts.rows++;
    *ret = (struct fetched_row){.uid = {uid},
        .have = request->items,
        .modseq = message->modseq,
        .internaldate_s = message->date_s,
        .size_bytes = (uint64_t)((int64_t)strlen(message->body) + message->lie),
        .flags = g_strdup(message->flags),
        .header = g_strdup(message->header),
        .header_len = strlen(message->header)};
    if (message->sizeless) {
        ret->have &= ~(unsigned)ROW_SIZE;
    }
    if ((request->items & ROW_HEADER) != 0) {
        g_string_append_printf(pool->row_log, "%s%u", pool->row_log->len > 0 ? "," : "", uid);
    }
    return 1;
}

static int give_rows(struct session *session, const struct row_request *request,
    const struct uid_range *range, int (*each)(void *arg, const struct fetched_row *row), void *arg,
    struct err *why)
{
    for (uint64_t uid = range->first; uid <= range->last; uid++) {
        struct fetched_row row;
        take(session);
        int rc = prepare_row(session, request, (uint32_t)uid, &row, why);
        release(session);
        if (rc == 1) {
            rc = each(arg, &row);
            g_free((char *)(uintptr_t)row.flags);
            g_free((char *)(uintptr_t)row.header);
            if (rc != 0) {
                session->dead = true;
                (void)err_set(why, ERR_CANCELLED, EINTR, "the rows were not wanted to their end");
            }
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int session_fetch_rows(struct session *session, const struct row_request *request,
    int (*each)(void *arg, const struct fetched_row *row), void *arg, struct err *why)
{
    take(session);
    session->pool->counts.row_commands++;
    release(session);
    for (size_t i = 0; i < request->uids->count; i++) {
        int rc = give_rows(session, request, &request->uids->ranges[i], each, arg, why);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* ---- bodies
 * ---------------------------------------------------------------------------------------- */

struct answer {
    char *body; /* NULL: none */
    uint32_t uid;
    enum body_fault fault;
};

static int prepare_body(struct session *session, uint32_t uid, struct answer *ret, struct err *why)
{
    struct pool *pool = session->pool;
    int rc = fake_stand(session, HOLD_BODIES, why);
    struct fake_box *box = selected(session);
    const struct fake_mail *message = box == NULL ? NULL : fake_mail_at(box, uid);
    *ret = (struct answer){NULL, uid, BODY_UNANSWERED};
    if (rc == 0 && message != NULL) {
        ret->fault = message->fault;
        ret->body = g_strdup(message->body);
        if (message->fault == BODY_OF_OTHER) {
            const struct fake_mail *other = box->messages->pdata[0];
            ret->uid = other->uid;
            g_free(ret->body);
            ret->body = g_strdup(other->body);
        }
        pool->counts.bodies++;
    }
    return rc;
}

static int send_body(struct session *session, const struct answer *answer,
    const struct body_sink *sink, struct err *why)
{
    static unsigned turn;
    size_t len = answer->fault == BODY_EMPTY ? 0 : strlen(answer->body);
    /* A server may name the UID before or after the body. */
    bool uid_first = (__atomic_fetch_add(&turn, 1, __ATOMIC_RELAXED) & 1) == 0;
    struct imap_uid uid = {answer->uid};
    struct imap_uid early = uid_first ? uid : (struct imap_uid){0};
    uint64_t announced = answer->fault == BODY_HUGE ? (uint64_t)3 << 30 : len;
    int rc = sink->begin(sink->arg, early, announced, why);
    size_t cut = answer->fault == BODY_CUT_ALWAYS ? len / 2 : len;
    for (size_t at = 0; rc == 0 && at < cut; at += 16) {
        rc = sink->data(sink->arg, answer->body + at, cut - at < 16 ? cut - at : 16, why);
    }
    if (rc == 0 && answer->fault == BODY_CUT_ALWAYS) {
        rc = err_set(why, ERR_RETRY, EHOSTDOWN, "the connection is lost");
    }
    if (rc != 0) {
        session->dead = true;
        sink->drop(sink->arg);
        return rc;
    }
    return sink->end(sink->arg, uid, why);
}

static int give_body(
    struct session *session, uint32_t uid, const struct body_sink *sink, struct err *why)
{
    struct answer answer;
    take(session);
    int rc = prepare_body(session, uid, &answer, why);
    release(session);
    if (rc == 0) {
        switch (answer.fault) {
        case BODY_UNANSWERED:
            break;
        case BODY_MISSING:
            if (sink->missing != NULL) {
                sink->missing(sink->arg, (struct imap_uid){uid});
            }
            break;
        case BODY_HOSTILE:
            session->dead = true;
            rc = err_set(why, ERR_HOSTILE, EPROTO, "an answer no sound server gives");
            break;
        case BODY_SOUND:
        case BODY_EMPTY:
        case BODY_OF_OTHER:
        case BODY_CUT_ALWAYS:
        case BODY_HUGE:
            rc = send_body(session, &answer, sink, why);
            break;
        }
    }
    g_free(answer.body);
    return rc;
}

int session_fetch_bodies(struct session *session, const struct uidset *uids, uint32_t batch,
    const struct body_sink *sink, struct err *why)
{
    uint64_t size = uidset_size(uids);
    take(session);
    session->pool->counts.body_commands += (unsigned)((size + batch - 1) / batch);
    release(session);
    for (size_t i = 0; i < uids->count; i++) {
        for (uint64_t uid = uids->ranges[i].first; uid <= uids->ranges[i].last; uid++) {
            int rc = give_body(session, (uint32_t)uid, sink, why);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

int session_quota(
    struct session *session, const char *raw, size_t len, struct quota *ret, struct err *why)
{
    (void)raw;
    (void)len;
    take(session);
    session->pool->counts.quotas++;
    int rc = fake_stand(session, HOLD_NOWHERE, why);
    *ret = session->pool->quota;
    release(session);
    return rc;
}
