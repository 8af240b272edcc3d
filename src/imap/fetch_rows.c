/* What a listing needs to know of each message. */
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "imap/fetch.h"
#include "model/flags.h"
#include "model/imap_date.h"

enum { BLOCK_DEFAULT = 1000 };

struct rows {
    struct session *session;
    int (*each)(void *arg, const struct fetched_row *row);
    void *arg;
    int stopped; /* what `each` returned */
    struct buf flags;
    const char *flag_list[FLAGS_MAX];
};

static const struct token *value_of(const struct response *response, size_t index)
{
    return index != 0 && index < response->count ? &response->tokens[index] : NULL;
}

static void read_flags(struct rows *rows, const struct response *response,
    const struct fetch_items *items, struct fetched_row *row)
{
    const struct token *value = value_of(response, items->flags);
    size_t count = 0;
    if (value == NULL || value->kind != TOKEN_OPEN) {
        return;
    }
    for (size_t i = items->flags + 1; i < value->match && count < FLAGS_MAX; i++) {
        if (response->tokens[i].kind == TOKEN_ATOM) {
            rows->flag_list[count++] = response->tokens[i].text;
        }
    }
    buf_reset(&rows->flags);
    flags_canonical(&rows->flags, rows->flag_list, count);
    row->flags = rows->flags.data != NULL ? rows->flags.data : "";
    row->have |= ROW_FLAGS;
}

static void read_row(struct rows *rows, const struct response *response,
    const struct fetch_items *items, struct fetched_row *row)
{
    const struct token *date = value_of(response, items->date);
    const struct token *header = value_of(response, items->header);
    row->uid.value = items->uid;
    row->flags = "";
    row->header = "";
    read_flags(rows, response, items, row);
    if (date != NULL && date->kind == TOKEN_STRING &&
        imap_date_read(date->text, date->len, &row->internaldate_s)) {
        row->have |= ROW_DATE;
    }
    if (items->size != 0 && token_u64(response, items->size, &row->size_bytes)) {
        row->have |= ROW_SIZE;
    }
    if (header != NULL && header->kind == TOKEN_STRING) {
        row->header = header->text;
        row->header_len = header->len;
        row->have |= ROW_HEADER;
    }
    const struct token *modseq = value_of(response, items->modseq);
    if (modseq != NULL && modseq->kind == TOKEN_OPEN &&
        token_u64(response, items->modseq + 1, &row->modseq)) {
        row->have |= ROW_MODSEQ;
    }
}

static int on_row(void *arg, const struct response *response, struct err *why)
{
    (void)why;
    struct rows *rows = arg;
    struct fetch_items items;
    struct fetched_row row = {.have = 0};
    if (!token_is(response, 1, "FETCH")) {
        return 0;
    }
    fetch_items_read(response, &items);
    if (!items.sound) {
        rows->session->selected.news = true;
        return 0;
    }
    fetch_hear_modseq(rows->session, response, &items);
    if (items.uid == 0 || rows->stopped != 0 || rows->session->selected.changed) {
        return 0;
    }
    read_row(rows, response, &items, &row);
    rows->stopped = rows->each(rows->arg, &row);
    return 0;
}

static void describe_items(const struct session *session, unsigned items, struct buf *ret)
{
    static const struct {
        enum row_item item;
        const char *text;
    } table[] = {
        {ROW_FLAGS, " FLAGS"},
        {ROW_DATE, " INTERNALDATE"},
        {ROW_SIZE, " RFC822.SIZE"},
        {ROW_HEADER, " BODY.PEEK[HEADER.FIELDS (DATE SUBJECT FROM MESSAGE-ID)]"},
    };
    buf_append_text(ret, "(UID");
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if ((items & table[i].item) != 0) {
            buf_append_text(ret, table[i].text);
        }
    }
    if ((items & ROW_MODSEQ) != 0 && (session->capabilities & CAP_CONDSTORE) != 0) {
        buf_append_text(ret, " MODSEQ");
    }
    buf_append_char(ret, ')');
}

int session_fetch_rows(struct session *session, const struct row_request *request,
    int (*each)(void *arg, const struct fetched_row *row), void *arg, struct err *why)
{
    CLEANUP(buf) struct buf items = BUF_INIT;
    char modifier[48];
    struct fetch_plan plan = {
        .cursor = {.uids = request->uids,
            .block = request->block != 0 ? request->block : BLOCK_DEFAULT},
        .what = "list messages",
    };
    describe_items(session, request->items, &items);
    plan.items = items.data;
    if (request->changed_since > 0 && (session->capabilities & CAP_CONDSTORE) != 0) {
        (void)snprintf(
            modifier, sizeof modifier, "(CHANGEDSINCE %" PRIu64 ")", request->changed_since);
        plan.modifier = modifier;
    }
    struct rows *rows = g_new0(struct rows, 1);
    rows->session = session;
    rows->each = each;
    rows->arg = arg;
    const struct listener listener = {.data = on_row, .arg = rows};
    int rc = fetch_run(session, &plan, &listener, why);
    if (rc == 0 && rows->stopped != 0) {
        rc = rows->stopped;
        (void)err_set(why, ERR_CANCELLED, EINTR, "the messages were not wanted to their end");
    }
    buf_finish(&rows->flags);
    g_free(rows);
    return rc;
}
