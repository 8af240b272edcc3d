/* Whole messages, streamed. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "imap/fetch.h"

enum body_state {
    BODY_NONE,   /* no BODY[] in this answer so far */
    BODY_COMING, /* sink.begin was called, neither end nor drop yet */
    BODY_DONE    /* it was ended or dropped */
};

/*
 *   state        sink has seen             leaves by
 *   BODY_NONE    nothing of this answer    a literal of BODY[] -> COMING
 *   BODY_COMING  begin, perhaps data       end of the answer, or of the connection -> DONE
 *   BODY_DONE    end or drop               the next answer -> NONE
 */
struct bodies {
    struct session *session;
    const struct uidset *uids;
    const struct body_sink *sink;
    enum body_state state;
    struct uidset bare;  /* asked for, answered without a body */
    struct uidset ended; /* of those asked for: given whole */
    uint64_t expunges;   /* of the mailbox at the start */
};

/* Where it is known already: the UID among complete items of an answer whose end is not here yet.
 */
static uint32_t uid_so_far(const struct response *so_far)
{
    uint32_t uid = 0;
    for (size_t i = 3; i + 2 < so_far->count; i = token_next(so_far, i + 1)) {
        if (token_is(so_far, i, "UID") && token_u32(so_far, i + 1, &uid)) {
            return uid;
        }
    }
    return 0;
}

static int negative(int rc)
{
    return rc > 0 ? -rc : rc;
}

static int on_literal(void *arg, const struct response *so_far, uint64_t size, struct err *why)
{
    struct bodies *bodies = arg;
    if (bodies->state != BODY_NONE || so_far->count < 4 || so_far->malformed ||
        bodies->session->selected.changed || !token_is(so_far, 1, "FETCH") ||
        !token_is(so_far, so_far->count - 1, "BODY[]")) {
        return 0;
    }
    struct imap_uid uid = {uid_so_far(so_far)};
    int rc = bodies->sink->begin(bodies->sink->arg, uid, size, why);
    if (rc != 0) {
        return negative(rc);
    }
    bodies->state = BODY_COMING;
    return 1;
}

static int on_piece(void *arg, const void *data, size_t len, struct err *why)
{
    struct bodies *bodies = arg;
    return negative(bodies->sink->data(bodies->sink->arg, data, len, why));
}

static void drop(struct bodies *bodies)
{
    if (bodies->state == BODY_COMING) {
        bodies->state = BODY_DONE;
        bodies->sink->drop(bodies->sink->arg);
    }
}

static void note(struct uidset *set, uint32_t uid)
{
    (void)!uidset_add(set, uid, uid); /* refuses only 0 */
}

static int end_body(struct bodies *bodies, uint32_t uid, struct err *why)
{
    struct imap_uid id = {uid};
    bodies->state = BODY_DONE;
    int rc = bodies->sink->end(bodies->sink->arg, id, why);
    if (rc == 0 && uidset_has(bodies->uids, uid)) {
        note(&bodies->ended, uid);
    }
    return negative(rc);
}

/* A body that did not come as a streamed literal: quoted, short as it then is. */
static int give_quoted(
    struct bodies *bodies, uint32_t uid, const struct token *value, struct err *why)
{
    struct imap_uid id = {uid};
    int rc = bodies->sink->begin(bodies->sink->arg, id, value->len, why);
    if (rc != 0) {
        return negative(rc);
    }
    bodies->state = BODY_COMING;
    rc = value->len > 0 ? on_piece(bodies, value->text, value->len, why) : 0;
    if (rc != 0) {
        drop(bodies);
        return rc;
    }
    return end_body(bodies, uid, why);
}

static int finish_answer(struct bodies *bodies, const struct response *response,
    const struct fetch_items *items, struct err *why)
{
    const struct token *value =
        items->body != 0 && items->body < response->count ? &response->tokens[items->body] : NULL;
    if (!items->sound || items->uid == 0 || bodies->session->selected.changed) {
        drop(bodies); /* whose it is nobody can tell */
        return 0;
    }
    if (bodies->state == BODY_COMING) {
        if (value == NULL || !value->streamed) { /* BODY[] stood where no item stands */
            drop(bodies);
            return 0;
        }
        return end_body(bodies, items->uid, why);
    }
    if (value != NULL && value->kind == TOKEN_STRING && value->literal_size == value->len) {
        return give_quoted(bodies, items->uid, value, why);
    }
    if (uidset_has(bodies->uids, items->uid)) {
        note(&bodies->bare, items->uid);
    }
    return 0;
}

static int on_answer(void *arg, const struct response *response, struct err *why)
{
    struct bodies *bodies = arg;
    struct fetch_items items;
    int rc = 0;
    if (token_is(response, 1, "FETCH")) {
        fetch_items_read(response, &items);
        if (items.sound) {
            fetch_hear_modseq(bodies->session, response, &items);
        }
        rc = finish_answer(bodies, response, &items, why);
    }
    drop(bodies); /* a malformed answer whose start looked right */
    bodies->state = BODY_NONE;
    return rc;
}

/* Tells of those that were answered without a body, unless an expunge may be the reason. */
static void tell_missing(struct bodies *bodies)
{
    const struct body_sink *sink = bodies->sink;
    if (sink->missing == NULL || bodies->session->selected.expunges != bodies->expunges) {
        return;
    }
    CLEANUP(uidset) struct uidset missing = UIDSET_INIT;
    uidset_subtract(&missing, &bodies->bare, &bodies->ended);
    for (size_t i = 0; i < missing.count; i++) {
        uint32_t uid = missing.ranges[i].first;
        do { /* counts what was asked for, one by one, never more */
            struct imap_uid id = {uid};
            sink->missing(sink->arg, id);
        } while (uid++ != missing.ranges[i].last);
    }
}

int session_fetch_bodies(struct session *session, const struct uidset *uids, uint32_t batch,
    const struct body_sink *sink, struct err *why)
{
    struct fetch_plan plan = {
        .cursor = {.uids = uids, .block = batch != 0 ? batch : 1},
        .items = "(UID BODY.PEEK[])",
        .what = "send messages",
    };
    struct bodies bodies = {.session = session,
        .uids = uids,
        .sink = sink,
        .bare = UIDSET_INIT,
        .ended = UIDSET_INIT,
        .expunges = session->selected.expunges};
    const struct gate_sink gate_sink = {.begin = on_literal, .data = on_piece, .arg = &bodies};
    const struct listener listener = {.data = on_answer, .sink = &gate_sink, .arg = &bodies};
    int rc = fetch_run(session, &plan, &listener, why);
    drop(&bodies); /* what was coming when the connection broke off */
    if (rc == 0) {
        tell_missing(&bodies);
    }
    uidset_finish(&bodies.bare);
    uidset_finish(&bodies.ended);
    return rc;
}
