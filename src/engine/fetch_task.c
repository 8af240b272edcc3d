/* The task that gets the bodies of one mailbox's waiting wants. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "engine/fetch.h"
#include "model/file_name.h"
#include "model/header.h"
#include "store/body.h"

/* ---- where bodies go
 * ------------------------------------------------------------------------------ */

struct intake {
    struct task *task;
    struct session *session;
    const struct mailbox_row *row;
    uint32_t validity;
    struct body_writer *writer; /* NULL: nobody's bytes, or this disk failed */
    struct err disk;            /* why it failed, of the body on its way */
};

/* The task's want of this UID that has not landed, or want_count. */
static size_t want_of(const struct task *task, struct imap_uid uid)
{
    for (size_t i = 0; i < task->want_count; i++) {
        if (task->wants[i] != NULL && task->wants[i]->uid.value == uid.value) {
            return i;
        }
    }
    return task->want_count;
}

static int on_begin(void *arg, struct imap_uid uid, uint64_t size_bytes, struct err *why)
{
    struct intake *intake = arg;
    struct engine *engine = intake->task->engine;
    intake->disk = (struct err)ERR_INIT;
    body_writer_drop(&intake->writer);
    if (size_bytes >= (uint64_t)BODY_BYTES_MAX) {
        return err_set(why, ERR_LOCAL, EFBIG, "mailbox %s: a message of %llu bytes is too large",
            intake->row->component, (unsigned long long)size_bytes);
    }
    if (uid.value != 0 && want_of(intake->task, uid) == intake->task->want_count) {
        return 0; /* nobody asked for it: its bytes go nowhere */
    }
    /* A disk that fails is no reason to end the connection: the rest is read and not kept. */
    (void)!store_body_begin(
        engine->store, intake->row->id, intake->validity, &intake->writer, &intake->disk);
    return 0;
}

static int on_data(void *arg, const void *data, size_t len, struct err *why)
{
    (void)why;
    struct intake *intake = arg;
    if (intake->writer != NULL && body_writer_add(intake->writer, data, len, &intake->disk) != 0) {
        body_writer_drop(&intake->writer);
    }
    return 0;
}

static void body_here(struct intake *intake, size_t index, int64_t size_bytes, bool resized)
{
    struct engine *engine = intake->task->engine;
    struct message_id id = {intake->task->wants[index]->key.id};
    lock_take(&engine->lock);
    engine->bodies_fetched++;
    engine->body_bytes_fetched += (uint64_t)size_bytes;
    lock_release(&engine->lock);
    if (resized && engine->listener.inode_changed != NULL) {
        engine->listener.inode_changed(
            engine->listener.arg, inode_make(INODE_MESSAGE, id.value), true);
    }
    tidy_body_written(engine);
    fetch_land(intake->task, index, 0);
}

static void body_failed(struct intake *intake, size_t index, int result, const struct err *why)
{
    engine_trouble(intake->task->engine, intake->row->component, why);
    fetch_land(intake->task, index, caller_errno(result, why));
}

static int on_end(void *arg, struct imap_uid uid, struct err *why)
{
    (void)why;
    struct intake *intake = arg;
    size_t index = want_of(intake->task, uid);
    struct err commit_why = ERR_INIT;
    struct message_id id;
    bool resized = false;
    if (index == intake->task->want_count) {
        body_writer_drop(&intake->writer);
        return 0;
    }
    if (intake->disk.class != ERR_NONE) {
        body_failed(intake, index, -intake->disk.errnum, &intake->disk);
        return 0;
    }
    if (intake->writer == NULL) {
        return 0; /* begun as another's: it stays wanted */
    }
    int64_t size_bytes = body_writer_size(intake->writer);
    int rc = body_writer_commit(&intake->writer, uid, &id, &resized, &commit_why);
    if (rc == 0) {
        body_here(intake, index, size_bytes, resized);
    } else if (commit_why.class != ERR_HOSTILE) { /* an empty body is none: it is asked about */
        body_failed(intake, index, rc, &commit_why);
    }
    return 0;
}

static void on_drop(void *arg)
{
    struct intake *intake = arg;
    body_writer_drop(&intake->writer);
}

/* ---- which are asked for
 * ---------------------------------------------------------------------------- */

static size_t wanted_uids(const struct task *task, struct uidset *ret)
{
    size_t count = 0;
    uidset_reset(ret);
    for (size_t i = 0; i < task->want_count; i++) {
        if (task->wants[i] != NULL) {
            (void)!uidset_add(ret, task->wants[i]->uid.value, task->wants[i]->uid.value);
            count++; /* a UID of the index is never 0: that is all that could fail */
        }
    }
    return count;
}

static void land_all(struct task *task, int result)
{
    for (size_t i = 0; i < task->want_count; i++) {
        if (task->wants[i] != NULL) {
            fetch_land(task, i, result);
        }
    }
}

/* Came between the caller's look and ours. */
static void land_cached(struct task *task)
{
    for (size_t i = 0; i < task->want_count; i++) {
        if (task->wants[i] != NULL &&
            store_body_has(task->engine->store, (struct message_id){task->wants[i]->key.id})) {
            fetch_land(task, i, 0);
        }
    }
}

static void land_stale(struct task *task, uint32_t validity)
{
    for (size_t i = 0; i < task->want_count; i++) {
        if (task->wants[i] != NULL && task->wants[i]->uidvalidity != validity) {
            fetch_land(task, i, -ESTALE);
        }
    }
}

/* The next look at the mailbox asks the server. */
static void make_stale(struct engine *engine, struct mailbox_id mailbox)
{
    lock_take(&engine->lock);
    state_get(engine, mailbox)->fresh_until_ms = 0;
    lock_release(&engine->lock);
}

/* ---- bodies that did not come
 * ------------------------------------------------------------------------ */

struct present {
    struct uidset set;
};

static int on_present(void *arg, const struct fetched_row *row)
{
    struct present *present = arg;
    (void)!uidset_add(&present->set, row->uid.value, row->uid.value); /* never 0, see session.h */
    return 0;
}

/* Which of the wanted the server still has; the others are gone. */
static int land_expunged(struct intake *intake, const struct uidset *wanted, struct err *why)
{
    struct task *task = intake->task;
    struct mailbox_status now;
    int rc = session_examine(intake->session, intake->row->raw, intake->row->raw_len, &now, why);
    if (rc != 0) {
        return rc;
    }
    struct present present = {UIDSET_INIT};
    const struct row_request request = {wanted, ROW_FLAGS, 0, 0};
    rc = session_fetch_rows(intake->session, &request, on_present, &present, why);
    for (size_t i = 0; rc == 0 && i < task->want_count; i++) {
        if (task->wants[i] != NULL && !uidset_has(&present.set, task->wants[i]->uid.value)) {
            make_stale(task->engine, task->mailbox);
            fetch_land(task, i, -ESTALE);
        }
    }
    uidset_finish(&present.set);
    return rc;
}

static void land_bodiless(struct intake *intake)
{
    struct task *task = intake->task;
    for (size_t i = 0; i < task->want_count; i++) {
        if (task->wants[i] != NULL) {
            engine_note(task->engine,
                "mailbox %s: the server has no body for the message of UID %u",
                intake->row->component, task->wants[i]->uid.value);
            fetch_remember_failure(task->engine, (struct message_id){task->wants[i]->key.id}, -EIO);
            fetch_land(task, i, -EIO);
        }
    }
}

/* ---- servers whose UIDs mean nothing
 * ------------------------------------------------------------------ */

struct likeness {
    struct task *task;
    bool same[BATCH_WANTS];
};

struct comparison {
    const char *name;
    int64_t date_s;
    bool same;
};

static int compare(void *arg, const struct message_row *row)
{
    struct comparison *with = arg;
    struct buf plain = BUF_INIT;
    uint32_t rank;
    file_name_split(&plain, &rank, row->name);
    with->same = strcmp(buf_text(&plain), with->name) == 0 && row->internaldate_s == with->date_s;
    buf_finish(&plain);
    return 0;
}

static int on_likeness(void *arg, const struct fetched_row *row)
{
    struct likeness *likeness = arg;
    const unsigned all = ROW_DATE | ROW_SIZE | ROW_HEADER;
    size_t index = want_of(likeness->task, row->uid);
    if (index == likeness->task->want_count || (row->have & all) != all) {
        return 0;
    }
    struct header_fields header = HEADER_FIELDS_INIT;
    CLEANUP(buf) struct buf name = BUF_INIT;
    header_read(&header, row->header, row->header_len);
    file_name_make(&name, &header.fields, row->internaldate_s, (int64_t)row->size_bytes);
    struct comparison with = {buf_text(&name), row->internaldate_s, false};
    if (store_message_get(likeness->task->engine->store,
            (struct message_id){likeness->task->wants[index]->key.id}, false, compare, &with,
            NULL) == 0) {
        likeness->same[index] = with.same;
    }
    header_fields_finish(&header);
    return 0;
}

/* The server gives no UIDVALIDITY: only messages that still look like those of the index are what
 * was meant. */
static int land_unlike(struct intake *intake, struct err *why)
{
    struct task *task = intake->task;
    struct likeness likeness = {task, {false}};
    CLEANUP(uidset) struct uidset wanted = UIDSET_INIT;
    (void)wanted_uids(task, &wanted); /* the count is known not to be 0 */
    const struct row_request request = {&wanted, ROW_DATE | ROW_SIZE | ROW_HEADER, 0, 0};
    int rc = session_fetch_rows(intake->session, &request, on_likeness, &likeness, why);
    for (size_t i = 0; rc == 0 && i < task->want_count; i++) {
        if (task->wants[i] != NULL && !likeness.same[i]) {
            make_stale(task->engine, task->mailbox);
            fetch_land(task, i, -ESTALE);
        }
    }
    return rc;
}

/* ---- the task
 * ------------------------------------------------------------------------------------------- */

/* Asks for what has not landed; who is not answered is asked for once more, alone. */
static int ask(struct intake *intake, struct err *why)
{
    const struct body_sink sink = {
        .begin = on_begin, .data = on_data, .end = on_end, .drop = on_drop, .arg = intake};
    CLEANUP(uidset) struct uidset wanted = UIDSET_INIT;
    struct task *task = intake->task;
    for (uint32_t batch = BATCH_WANTS; wanted_uids(task, &wanted) > 0; batch = 1) {
        int rc = session_fetch_bodies(intake->session, &wanted, batch, &sink, why);
        body_writer_drop(&intake->writer);
        if (rc != 0 && (session_is_dead(intake->session) || why->class == ERR_CONFLICT)) {
            return rc;
        }
        if (wanted_uids(task, &wanted) == 0) {
            return 0;
        }
        rc = land_expunged(intake, &wanted, why);
        if (rc != 0) {
            return rc;
        }
        if (batch == 1) {
            land_bodiless(intake);
            return 0;
        }
    }
    return 0;
}

static int fetch_all(struct intake *intake, struct err *why)
{
    struct task *task = intake->task;
    struct mailbox_status now;
    CLEANUP(uidset) struct uidset none = UIDSET_INIT;
    int rc = session_examine(intake->session, intake->row->raw, intake->row->raw_len, &now, why);
    if (rc != 0) {
        return rc;
    }
    intake->validity = now.uidvalidity != 0 ? now.uidvalidity : intake->row->uidvalidity;
    if (now.uidvalidity != 0 && now.uidvalidity != intake->row->uidvalidity) {
        make_stale(task->engine, task->mailbox);
    }
    land_stale(task, intake->validity);
    if (now.uidvalidity == 0 && wanted_uids(task, &none) > 0) {
        rc = land_unlike(intake, why);
    }
    return rc == 0 ? ask(intake, why) : rc;
}

static int fetch_run(struct task *task, struct session *session, struct err *why)
{
    struct engine *engine = task->engine;
    struct task *next = NULL;
    struct mailbox_row row;
    lock_take(&engine->lock);
    if (task->want_count == 0) { /* else it is run a second time, on a fresh connection */
        state_get(engine, task->mailbox)->task_queued = false;
        fetch_take_wants(engine, task, false);
        next = fetch_task(engine, task->mailbox);
    }
    lock_release(&engine->lock);
    task_submit(next);
    land_cached(task);
    CLEANUP(uidset) struct uidset wanted = UIDSET_INIT;
    if (wanted_uids(task, &wanted) == 0) {
        return 0;
    }
    int rc = store_mailbox_get(engine->store, task->mailbox, &row, why);
    if (rc != 0) {
        return rc;
    }
    struct intake intake = {.task = task, .session = session, .row = &row};
    rc = fetch_all(&intake, why);
    body_writer_drop(&intake.writer);
    mailbox_row_finish(&row);
    return rc;
}

/* The connection broke off, perhaps because of another message's body: once more, each alone. */
static bool is_worth_another(struct engine *engine, const struct task *task, const struct err *why)
    REQUIRES(engine->lock)
{
    if (why == NULL || !task->started || engine->ending) {
        return false;
    }
    return why->class == ERR_RETRY || why->class == ERR_HOSTILE || why->class == ERR_CANCELLED ||
           why->errnum == EFBIG;
}

static void requeue(struct engine *engine, struct task *task) REQUIRES(engine->lock)
{
    for (size_t i = task->want_count; i-- > 0;) {
        struct flight *flight = task->wants[i];
        if (flight == NULL || flight->wait_count == 0 || ++flight->attempts >= BODY_ATTEMPTS) {
            continue;
        }
        task->wants[i] = NULL;
        flight->task = NULL;
        flight_set_state(flight, FLIGHT_QUEUED);
        fetch_queue_want(engine, flight, true);
    }
}

static void fail_left(struct task *task, int result, const struct err *why)
{
    bool poisoned = why != NULL && (why->class == ERR_HOSTILE || why->errnum == EFBIG);
    for (size_t i = 0; i < task->want_count; i++) {
        if (task->wants[i] == NULL) {
            continue;
        }
        if (poisoned) {
            fetch_remember_failure(task->engine, (struct message_id){task->wants[i]->key.id},
                caller_errno(result, why));
        }
        fetch_land(task, i, caller_errno(result, why));
    }
}

static void fetch_done(struct task *task, int result, const struct err *why)
{
    struct engine *engine = task->engine;
    struct task *next = NULL;
    if (result == 0) {
        land_all(task, -EIO); /* none is left */
        return;
    }
    engine_trouble(engine, "fetching messages", why);
    lock_take(&engine->lock);
    if (!task->started) { /* no connection: those it would have served fail with it */
        state_get(engine, task->mailbox)->task_queued = false;
        fetch_take_wants(engine, task, true);
    } else if (is_worth_another(engine, task, why)) {
        requeue(engine, task);
    }
    next = fetch_task(engine, task->mailbox);
    lock_release(&engine->lock);
    fail_left(task, result, why);
    task_submit(next);
    if (why != NULL && (why->class == ERR_GONE || why->class == ERR_CONFLICT)) {
        make_stale(engine, task->mailbox);
    }
}

const struct task_kind fetch_task_kind = {fetch_run, fetch_done};
