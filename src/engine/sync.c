/*
 * The synchronisation of one mailbox with the index: what is gone, what is missing, whose flags
 * changed. It may break off at any point; what is in the index by then is not fetched again.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "engine/sync_rows.h"

/* Whether what the server says now is what the index was last brought up to. */
static bool is_unchanged(const struct sync *sync, const struct mailbox_status *now)
{
    const struct mailbox_row *row = &sync->row;
    if (!row->complete || row->messages != now->messages || row->uidnext != now->uidnext) {
        return false;
    }
    if (sync->passing ? now->uidvalidity != 0 : row->uidvalidity != now->uidvalidity) {
        return false;
    }
    return row->highestmodseq == now->highestmodseq || row->highestmodseq == 0 ||
           now->highestmodseq == 0;
}

/* Without CONDSTORE only a comparison shows changed flags; it is made when it is due. */
static bool are_flags_due(struct sync *sync, const struct mailbox_status *now)
{
    struct engine *engine = sync->engine;
    if (now->highestmodseq != 0 && sync->row.highestmodseq != 0) {
        return false;
    }
    lock_take(&engine->lock);
    bool due = state_get(engine, sync->row.id)->flags_due_ms <= clock_now_ms();
    lock_release(&engine->lock);
    return due;
}

static void flags_compared(struct sync *sync, int64_t began_ms)
{
    struct engine *engine = sync->engine;
    int64_t now_ms = clock_now_ms();
    lock_take(&engine->lock);
    state_get(engine, sync->row.id)->flags_due_ms = now_ms + COST_FACTOR * (now_ms - began_ms);
    lock_release(&engine->lock);
}

/* A validity for UIDs that mean nothing beyond this listing: never one that was used before. */
static uint32_t make_up_validity(struct sync *sync)
{
    struct engine *engine = sync->engine;
    uint32_t validity;
    do {
        validity = g_random_int();
    } while (validity == 0 || validity == sync->row.uidvalidity);
    lock_take(&engine->lock);
    state_get(engine, sync->row.id)->passing_validity = validity;
    lock_release(&engine->lock);
    return validity;
}

/* Whether the index's UIDs are under a validity that this run made up. */
static bool is_passing(struct engine *engine, const struct mailbox_row *row)
{
    lock_take(&engine->lock);
    uint32_t passing = state_get(engine, row->id)->passing_validity;
    lock_release(&engine->lock);
    return passing != 0 && passing == row->uidvalidity;
}

static int settle_validity(struct sync *sync, const struct mailbox_status *now, struct err *why)
{
    struct mailbox_row *row = &sync->row;
    sync->passing = now->uidvalidity == 0;
    sync->validity = sync->passing ? make_up_validity(sync) : now->uidvalidity;
    if (sync->validity == row->uidvalidity) {
        return 0;
    }
    struct change_listener changes = engine_changes(sync->engine);
    int rc =
        store_mailbox_set_uidvalidity(sync->engine->store, row->id, sync->validity, &changes, why);
    if (rc != 0) {
        return rc;
    }
    if (row->uidvalidity != 0 && !sync->passing) {
        engine_note(sync->engine,
            "mailbox %s: the server began to number its messages anew (UIDVALIDITY was %u, is %u)",
            row->component, row->uidvalidity, sync->validity);
    }
    if (row->uidvalidity != 0) {
        sync->changed = true;
        flight_progress(sync->engine, row->id);
    }
    row->uidvalidity = sync->validity;
    row->highestmodseq = 0;
    row->complete = false;
    return 0;
}

static int remove_gone(struct sync *sync, struct err *why)
{
    CLEANUP(uidset) struct uidset gone = UIDSET_INIT;
    struct uidset left = UIDSET_INIT;
    uidset_subtract(&gone, &sync->known, &sync->server);
    if (gone.count == 0) {
        return 0;
    }
    const struct mailbox_synced synced = {.uidvalidity = sync->validity, .gone = &gone};
    struct change_listener changes = engine_changes(sync->engine);
    int rc = store_mailbox_synced(sync->engine->store, sync->row.id, &synced, &changes, why);
    if (rc != 0) {
        return rc;
    }
    sync->changed = true;
    uidset_subtract(&left, &sync->known, &gone);
    uidset_finish(&sync->known);
    sync->known = left;
    flight_progress(sync->engine, sync->row.id);
    return 0;
}

/* Of the messages that were known before. */
static int bring_flags(struct sync *sync, const struct mailbox_status *now, struct err *why)
{
    uint64_t stored = sync->row.highestmodseq;
    if (stored != 0 && stored == now->highestmodseq) {
        return 0;
    }
    bool condstore = (session_capabilities(sync->session) & CAP_CONDSTORE) != 0 && stored != 0 &&
                     now->highestmodseq > stored;
    int64_t began_ms = clock_now_ms();
    int rc = sync_compare_flags(sync, condstore ? stored : 0, why);
    if (rc == 0 && !condstore) {
        flags_compared(sync, began_ms);
    }
    return rc;
}

/* The counters are those from before the search: what changed since then shows next time. */
static int finish(struct sync *sync, const struct mailbox_status *now, struct err *why)
{
    const struct mailbox_synced synced = {
        .uidvalidity = sync->validity,
        .finished = true,
        .uidnext = now->uidnext,
        .messages = now->messages,
        .unseen = now->unseen,
        .highestmodseq = now->highestmodseq,
    };
    struct change_listener changes = engine_changes(sync->engine);
    int rc = store_mailbox_synced(sync->engine->store, sync->row.id, &synced, &changes, why);
    if (rc == 0 && sync->changed) {
        changed_now(sync->engine, sync->row.id);
    }
    return rc;
}

static int examine(struct sync *sync, const struct mailbox_status *status,
    struct mailbox_status *ret, struct err *why)
{
    if (sync->examined) {
        *ret = *status;
        return 0;
    }
    return session_examine(sync->session, sync->row.raw, sync->row.raw_len, ret, why);
}

static int bring_up_to_date(struct sync *sync, const struct mailbox_status *status, struct err *why)
{
    CLEANUP(uidset) struct uidset missing = UIDSET_INIT;
    struct mailbox_status now;
    int rc = examine(sync, status, &now, why);
    if (rc != 0) {
        return rc;
    }
    now.unseen = status->unseen;
    if (now.uidnext == 0 && now.uidvalidity == status->uidvalidity) {
        now.uidnext = status->uidnext; /* older: safe */
    }
    rc = settle_validity(sync, &now, why);
    if (rc == 0) {
        rc = session_search_all(sync->session, &sync->server, why);
    }
    if (rc == 0) {
        rc = store_message_uids(sync->engine->store, sync->row.id, &sync->known, why);
    }
    if (rc == 0) {
        rc = remove_gone(sync, why);
    }
    if (rc == 0) {
        uidset_subtract(&missing, &sync->server, &sync->known);
        rc = sync_add_missing(sync, &missing, why);
    }
    if (rc == 0) {
        rc = bring_flags(sync, &now, why);
    }
    return rc == 0 ? finish(sync, &now, why) : rc;
}

/* Nothing but flags may have changed. */
static int only_flags(struct sync *sync, const struct mailbox_status *status, struct err *why)
{
    struct mailbox_status now;
    int rc = examine(sync, status, &now, why);
    if (rc != 0) {
        return rc;
    }
    if (!is_unchanged(sync, status) || now.uidvalidity != status->uidvalidity || sync->passing) {
        return err_set(why, ERR_CONFLICT, ESTALE, "mailbox %s changed while it was looked at",
            sync->row.component);
    }
    sync->validity = sync->row.uidvalidity;
    rc = store_message_uids(sync->engine->store, sync->row.id, &sync->known, why);
    int64_t began_ms = clock_now_ms();
    if (rc == 0) {
        rc = sync_compare_flags(sync, 0, why);
    }
    if (rc == 0) {
        flags_compared(sync, began_ms);
        now.unseen = status->unseen;
        now.messages = status->messages;
        now.uidnext = status->uidnext;
        rc = finish(sync, &now, why);
    }
    return rc;
}

/* Asks for the mailbox's counters: one round trip where nothing changed. */
static int ask_status(struct sync *sync, struct mailbox_status *ret, struct err *why)
{
    const struct mailbox_row *row = &sync->row;
    struct err status_why = ERR_INIT;
    struct mailbox_status counted = {.unseen = row->unseen};
    sync->examined = session_is_selected(sync->session, row->raw, row->raw_len);
    if (sync->examined) {
        int rc = session_examine(sync->session, row->raw, row->raw_len, ret, why);
        if (rc != 0) {
            return rc;
        }
        ret->unseen = row->unseen;
        if (is_unchanged(sync, ret)) {
            return 0;
        }
    }
    int rc = session_status(sync->session, row->raw, row->raw_len, &counted, &status_why);
    if (rc != 0 && status_why.class != ERR_REFUSED) {
        *why = status_why;
        return rc;
    }
    if (!sync->examined) {
        *ret = counted;
    }
    if (ret->uidnext == 0) { /* not every server tells it with EXAMINE */
        ret->uidnext = counted.uidnext;
    }
    ret->unseen = counted.unseen; /* EXAMINE does not count them */
    return 0;
}

static int sync_once(struct sync *sync, struct err *why)
{
    struct mailbox_status status = {0};
    int rc = ask_status(sync, &status, why);
    if (rc != 0) {
        return rc;
    }
    if (!is_unchanged(sync, &status)) {
        return bring_up_to_date(sync, &status, why);
    }
    return !sync->passing && are_flags_due(sync, &status) ? only_flags(sync, &status, why) : 0;
}

static void sync_finish(struct sync *sync)
{
    uidset_finish(&sync->known);
    uidset_finish(&sync->server);
    mailbox_row_finish(&sync->row);
}

int sync_mailbox(
    struct engine *engine, struct session *session, struct mailbox_id mailbox, struct err *why)
{
    int rc = 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        struct sync sync = {.engine = engine, .session = session};
        rc = store_mailbox_get(engine->store, mailbox, &sync.row, why);
        if (rc != 0) {
            return rc;
        }
        sync.passing = is_passing(engine, &sync.row);
        *why = (struct err)ERR_INIT;
        rc = sync.row.selectable ? sync_once(&sync, why) : 0;
        bool again = rc != 0 && why->class == ERR_CONFLICT && !session_is_dead(session);
        sync_finish(&sync);
        if (!again) {
            break; /* the mailbox changed under our hands: once more, from its state */
        }
    }
    return rc;
}
