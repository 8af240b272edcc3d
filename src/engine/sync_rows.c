#include "engine/sync_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "model/file_name.h"
#include "model/header.h"

enum {
    ROWS_MAX = 1000,    /* of one transaction */
    TEXT_MAX = 1 << 20, /* and of the texts they hold */
    FIRST_CHUNK = 1000, /* asked for at first, so that something is seen soon */
    CHUNK_MAX = 16000,  /* later, with several commands on the way */
    BLOCK = 1000,
    UNGIVEN_SHOWN = 5
};
enum { ALL_ITEMS = ROW_FLAGS | ROW_DATE | ROW_SIZE | ROW_HEADER };

/* ---- batches ------------------------------------------------------------------------------------
 */

/* Texts are kept as offsets while the buffer grows. */
struct batch {
    struct message_new rows[ROWS_MAX];
    size_t offsets[ROWS_MAX][6];
    size_t count;
    struct buf text;
};
enum { NO_TEXT = 0 }; /* an offset: the buffer begins with a byte that is nobody's */

static size_t keep_text(struct batch *batch, const char *text)
{
    if (text == NULL) {
        return NO_TEXT;
    }
    if (batch->text.len == 0) {
        buf_append_char(&batch->text, '\0');
    }
    size_t at = batch->text.len;
    buf_append(&batch->text, text, strlen(text) + 1);
    return at;
}

static const char *text_at(const struct batch *batch, size_t offset)
{
    return offset == NO_TEXT ? NULL : batch->text.data + offset;
}

static void batch_row(struct batch *batch, const struct fetched_row *row,
    const struct header_fields *header, const char *name)
{
    const struct name_fields *fields = &header->fields;
    const char *texts[6] = {
        row->flags, name, fields->date, fields->subject, fields->from, fields->message_id};
    batch->rows[batch->count] = (struct message_new){
        .uid = row->uid,
        .size_bytes = (int64_t)row->size_bytes,
        .internaldate_s = row->internaldate_s,
    };
    for (size_t i = 0; i < 6; i++) {
        batch->offsets[batch->count][i] = keep_text(batch, texts[i]);
    }
    batch->count++;
}

static void point(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct message_new *row = &batch->rows[i];
        const size_t *at = batch->offsets[i];
        row->flags = text_at(batch, at[0]);
        row->name = text_at(batch, at[1]);
        row->date = text_at(batch, at[2]);
        row->subject = text_at(batch, at[3]);
        row->from = text_at(batch, at[4]);
        row->message_id = text_at(batch, at[5]);
    }
}

/* ---- flags of known messages
 * --------------------------------------------------------------------- */

/* Differences found so far. */
struct flag_batch {
    struct message_flags rows[ROWS_MAX];
    size_t offsets[ROWS_MAX];
    size_t count;
    struct buf text;
};

struct compared {
    const char *flags;
    bool differs;
};

static int compare_row(void *arg, const struct message_row *row)
{
    struct compared *compared = arg;
    compared->differs = strcmp(row->flags, compared->flags) != 0;
    return 0;
}

static int put_flags(struct sync *sync, struct flag_batch *batch, struct err *why)
{
    if (batch->count == 0) {
        return 0;
    }
    for (size_t i = 0; i < batch->count; i++) {
        batch->rows[i].flags = batch->text.data + batch->offsets[i];
    }
    const struct mailbox_synced synced = {
        .uidvalidity = sync->validity, .flags = batch->rows, .flags_count = batch->count};
    struct change_listener changes = engine_changes(sync->engine);
    int rc = store_mailbox_synced(sync->engine->store, sync->row.id, &synced, &changes, why);
    batch->count = 0;
    buf_reset(&batch->text);
    return rc;
}

static int note_flags(
    struct sync *sync, struct flag_batch *batch, const struct fetched_row *row, struct err *why)
{
    struct compared compared = {row->flags, false};
    int rc = store_message_by_uid(
        sync->engine->store, sync->row.id, row->uid, compare_row, &compared, why);
    if (rc == -ENOENT || (rc == 0 && !compared.differs)) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    batch->rows[batch->count].uid = row->uid;
    batch->offsets[batch->count] = batch->text.len;
    buf_append(&batch->text, row->flags, strlen(row->flags) + 1);
    batch->count++;
    return batch->count == ROWS_MAX ? put_flags(sync, batch, why) : 0;
}

/* ---- rows as they arrive
 * -------------------------------------------------------------------------- */

struct intake {
    struct sync *sync;
    const struct uidset *wanted; /* missing ones; NULL: only flags are compared */
    struct batch *batch;         /* NULL with wanted NULL */
    struct flag_batch *flags;
    struct header_fields header;
    struct buf name;
    struct err failure; /* of this disk, while rows were arriving */
    uint64_t rows;
    uint64_t fewer; /* rows of wanted messages with fewer items than asked */
};

static int put_batch(struct intake *intake, struct err *why)
{
    struct sync *sync = intake->sync;
    struct batch *batch = intake->batch;
    if (batch == NULL || batch->count == 0) {
        return 0;
    }
    point(batch);
    struct change_listener changes = engine_changes(sync->engine);
    int rc = store_messages_add(sync->engine->store, sync->row.id, sync->validity, batch->rows,
        batch->count, &changes, why);
    batch->count = 0;
    buf_reset(&batch->text);
    if (rc == 0) {
        sync->changed = true;
        flight_progress(sync->engine, sync->row.id);
    }
    return rc;
}

static int take_message(struct intake *intake, const struct fetched_row *row)
{
    struct batch *batch = intake->batch;
    if ((row->have & ALL_ITEMS) != ALL_ITEMS || row->size_bytes > INT64_MAX) {
        intake->fewer++;
        return 0;
    }
    header_read(&intake->header, row->header, row->header_len);
    buf_reset(&intake->name);
    file_name_make(
        &intake->name, &intake->header.fields, row->internaldate_s, (int64_t)row->size_bytes);
    batch_row(batch, row, &intake->header, buf_text(&intake->name));
    if (batch->count == ROWS_MAX || batch->text.len >= TEXT_MAX) {
        return put_batch(intake, &intake->failure);
    }
    return 0;
}

static int on_row(void *arg, const struct fetched_row *row)
{
    struct intake *intake = arg;
    intake->rows++;
    if (intake->wanted != NULL && uidset_has(intake->wanted, row->uid.value)) {
        return take_message(intake, row);
    }
    if ((row->have & ROW_FLAGS) != 0) { /* asked for, or news of a known one that came along */
        return note_flags(intake->sync, intake->flags, row, &intake->failure);
    }
    return 0;
}

static void count_rows(struct engine *engine, uint64_t rows)
{
    lock_take(&engine->lock);
    engine->rows_fetched += rows;
    lock_release(&engine->lock);
}

/* Asks for the rows, and puts down what came, also when the connection broke off. */
static int fetch(struct intake *intake, const struct row_request *request, struct err *why)
{
    struct err put_why = ERR_INIT;
    intake->rows = 0;
    intake->fewer = 0;
    intake->failure = (struct err)ERR_INIT;
    int rc = session_fetch_rows(intake->sync->session, request, on_row, intake, why);
    if (intake->failure.class != ERR_NONE) { /* the session only says that it was stopped */
        *why = intake->failure;
        rc = -intake->failure.errnum;
    }
    count_rows(intake->sync->engine, intake->rows);
    int put = put_batch(intake, &put_why);
    if (put == 0) {
        put = put_flags(intake->sync, intake->flags, &put_why);
    }
    if (rc == 0 && put != 0) {
        *why = put_why;
        rc = put;
    }
    return rc;
}

static void intake_begin(struct intake *intake, struct sync *sync, bool with_messages)
{
    memset(intake, 0, sizeof *intake);
    intake->sync = sync;
    intake->flags = alloc_zeroed(1, sizeof *intake->flags);
    intake->batch = with_messages ? alloc_zeroed(1, sizeof *intake->batch) : NULL;
}

static void intake_finish(struct intake *intake)
{
    buf_finish(&intake->flags->text);
    free(intake->flags);
    if (intake->batch != NULL) {
        buf_finish(&intake->batch->text);
        free(intake->batch);
    }
    header_fields_finish(&intake->header);
    buf_finish(&intake->name);
}

/* ---- missing messages
 * ----------------------------------------------------------------------------- */

/* Newest first: a small part at first, then larger ones, so that commands overlap. */
static int fetch_newest_first(struct intake *intake, struct uidset *missing, struct err *why)
{
    CLEANUP(uidset) struct uidset chunk = UIDSET_INIT;
    uint64_t size = FIRST_CHUNK;
    int rc = 0;
    while (rc == 0 && missing->count > 0) {
        uidset_take_highest(missing, size, &chunk);
        /* cppcheck-suppress autoVariables ; forgotten again before the return */
        intake->wanted = &chunk;
        const struct row_request request = {&chunk, ALL_ITEMS, 0, BLOCK};
        rc = fetch(intake, &request, why);
        size = size * 2 < CHUNK_MAX ? size * 2 : CHUNK_MAX;
    }
    intake->wanted = NULL;
    return rc;
}

/* What of `wanted` is not in the index. */
static int left_of(
    struct sync *sync, const struct uidset *wanted, struct uidset *ret, struct err *why)
{
    CLEANUP(uidset) struct uidset known = UIDSET_INIT;
    int rc = store_message_uids(sync->engine->store, sync->row.id, &known, why);
    if (rc == 0) {
        uidset_subtract(ret, wanted, &known);
    }
    return rc;
}

/* Twice asked and not given. What the server does not name any more was expunged meanwhile. */
static int note_ungiven(struct sync *sync, struct uidset *left, struct err *why)
{
    CLEANUP(uidset) struct uidset now = UIDSET_INIT;
    CLEANUP(uidset) struct uidset gone = UIDSET_INIT;
    CLEANUP(uidset) struct uidset ungiven = UIDSET_INIT;
    int rc = session_search_all(sync->session, &now, why);
    if (rc != 0) {
        return rc;
    }
    uidset_subtract(&gone, left, &now);
    uidset_subtract(&ungiven, left, &gone);
    if (ungiven.count == 0) {
        return 0;
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    uint64_t count = uidset_size(&ungiven);
    CLEANUP(uidset) struct uidset shown = UIDSET_INIT;
    uidset_take_highest(&ungiven, UNGIVEN_SHOWN, &shown);
    uidset_format(&shown, &text);
    engine_note(sync->engine,
        "mailbox %s: the server names %llu messages whose size, date or header it does not give "
        "(UID %s%s): they are not shown",
        sync->row.component, (unsigned long long)count, buf_text(&text),
        count > UNGIVEN_SHOWN ? " and others" : "");
    return 0;
}

static int fetch_left(struct intake *intake, const struct uidset *wanted, struct err *why)
{
    struct sync *sync = intake->sync;
    CLEANUP(uidset) struct uidset left = UIDSET_INIT;
    CLEANUP(uidset) struct uidset again = UIDSET_INIT;
    int rc = left_of(sync, wanted, &left, why);
    if (rc != 0 || left.count == 0) {
        return rc;
    }
    rc = left_of(sync, wanted, &again, why);
    if (rc == 0) {
        rc = fetch_newest_first(intake, &again, why);
    }
    if (rc == 0) {
        rc = left_of(sync, wanted, &left, why);
    }
    return rc == 0 && left.count > 0 ? note_ungiven(sync, &left, why) : rc;
}

int sync_add_missing(struct sync *sync, struct uidset *missing, struct err *why)
{
    CLEANUP(uidset) struct uidset wanted = UIDSET_INIT;
    CLEANUP(uidset) struct uidset none = UIDSET_INIT;
    struct intake intake;
    if (missing->count == 0) {
        return 0;
    }
    uidset_subtract(&wanted, missing, &none); /* a copy */
    intake_begin(&intake, sync, true);
    int rc = fetch_newest_first(&intake, missing, why);
    if (rc == 0) {
        rc = fetch_left(&intake, &wanted, why);
    }
    intake_finish(&intake);
    return rc;
}

int sync_compare_flags(struct sync *sync, uint64_t since, struct err *why)
{
    struct intake intake;
    if (sync->known.count == 0) {
        return 0;
    }
    intake_begin(&intake, sync, false);
    const struct row_request request = {&sync->known, ROW_FLAGS, since, BLOCK};
    int rc = fetch(&intake, &request, why);
    intake_finish(&intake);
    return rc;
}
