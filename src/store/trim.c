#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/uidset.h"
#include "store/body.h"
#include "store/dirs.h"
#include "store/place.h"

/* The oldest bodies found in one walk: memory does not grow with the cache, which is walked again
 * where this does not suffice. */
enum { OLDEST_KEPT = 16 * 1024, OLDEST_ROOM = 2 * OLDEST_KEPT };

struct old_body {
    int64_t used_ns;
    int64_t size_bytes;
    uint32_t uidvalidity, uid;
    char hash[HASH_TEXT];
};

/* A mailbox that the index knows. */
struct known {
    struct mailbox_id id;
    uint32_t uidvalidity;
    bool complete;
};

struct trim {
    struct store *store;
    int64_t began_ns, protected_ns; /* bodies used since are left alone */
    GHashTable *known;              /* hash -> struct known */
    char uids_hash[HASH_TEXT];      /* whose UIDs are loaded */
    struct uidset uids;
    uint64_t files, bytes; /* that had arrived before this walk began, and stay */
    struct old_body *oldest;
    size_t oldest_count;
};

static int by_use(const void *a, const void *b)
{
    const struct old_body *x = a;
    const struct old_body *y = b;
    return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

static void note_old(struct trim *trim, const struct body_file *file)
{
    if (trim->oldest_count == OLDEST_ROOM) {
        qsort(trim->oldest, trim->oldest_count, sizeof *trim->oldest, by_use);
        trim->oldest_count = OLDEST_KEPT;
    }
    struct old_body *old = &trim->oldest[trim->oldest_count++];
    old->used_ns = file->used_ns;
    old->size_bytes = file->size_bytes;
    old->uidvalidity = file->uidvalidity;
    old->uid = file->uid;
    memcpy(old->hash, file->hash, HASH_TEXT);
}

static int note_known(void *arg, const struct mailbox_row *row)
{
    struct trim *trim = arg;
    struct known *known = g_new0(struct known, 1);
    char *hash = g_malloc0(HASH_TEXT);
    known->id = row->id;
    known->uidvalidity = row->uidvalidity;
    known->complete = row->complete;
    place_hash(hash, row->raw, row->raw_len);
    g_hash_table_insert(trim->known, hash, known);
    return 0;
}

/* Whether no message can be this body's. An index that is new or in the middle of a first listing
 * does not know yet. */
static int is_orphan(struct trim *trim, const struct body_file *file, bool *ret, struct err *why)
{
    *ret = false;
    if (g_hash_table_size(trim->known) == 0) {
        return 0;
    }
    const struct known *known = g_hash_table_lookup(trim->known, file->hash);
    if (known == NULL) {
        *ret = true;
        return 0;
    }
    if (known->uidvalidity == 0) {
        return 0;
    }
    if (known->uidvalidity != file->uidvalidity) {
        *ret = true;
        return 0;
    }
    if (!known->complete) {
        return 0;
    }
    if (strcmp(trim->uids_hash, file->hash) != 0) {
        int rc = store_message_uids(trim->store, known->id, &trim->uids, why);
        if (rc != 0) {
            return rc;
        }
        memcpy(trim->uids_hash, file->hash, HASH_TEXT);
    }
    *ret = !uidset_has(&trim->uids, file->uid);
    return 0;
}

static int look_at(void *arg, const struct body_file *file, enum walk_verdict *ret, struct err *why)
{
    struct trim *trim = arg;
    if (file->arrived_ns > trim->began_ns) {
        return 0; /* its commit counted it, and the mailboxes may be newer than what we know */
    }
    bool orphan = false;
    int rc = is_orphan(trim, file, &orphan, why);
    if (rc != 0) {
        return rc;
    }
    if (orphan) {
        *ret = WALK_DELETE;
        return 0;
    }
    trim->files++;
    trim->bytes += (uint64_t)file->size_bytes;
    if (file->used_ns < trim->protected_ns) {
        note_old(trim, file);
    }
    return 0;
}

/* What the cache holds is what was found and what came meanwhile. */
static int count_all(struct trim *trim, struct err *why)
{
    struct store *store = trim->store;
    trim->files = 0;
    trim->bytes = 0;
    trim->oldest_count = 0;
    lock_take(&store->body_lock);
    store->since_files = 0;
    store->since_bytes = 0;
    /* Bodies that come from now on are stamped with a later time. */
    trim->began_ns = now_ns();
    lock_release(&store->body_lock);
    int rc = place_walk(store, look_at, trim, why);
    if (rc == 0) {
        lock_take(&store->body_lock);
        store->body_files = body_sum(trim->files, store->since_files);
        store->body_bytes = body_sum(trim->bytes, store->since_bytes);
        store->body_counted = true;
        lock_release(&store->body_lock);
    }
    return rc;
}

/* False: it was used meanwhile, or is gone. */
static bool delete_old(struct store *store, const struct old_body *old)
{
    struct place place = {""};
    place_make(&place, old->hash, old->uidvalidity, old->uid);
    struct stat st;
    if (fstatat(store->bodies_fd, place.path, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        time_ns(st.st_atim) != old->used_ns || unlinkat(store->bodies_fd, place.path, 0) != 0) {
        return false;
    }
    body_count(store, -1, -(int64_t)st.st_size);
    return true;
}

/* Some room beyond the limit, so that not every body that comes begins a walk. */
static uint64_t goal_of(const struct store *store)
{
    return store->cache_limit_bytes - store->cache_limit_bytes / 16;
}

static size_t delete_oldest(struct trim *trim)
{
    struct store *store = trim->store;
    qsort(trim->oldest, trim->oldest_count, sizeof *trim->oldest, by_use);
    size_t deleted = 0;
    for (size_t i = 0; i < trim->oldest_count; i++) {
        struct body_totals totals;
        store_body_totals(store, &totals);
        if (totals.bytes <= goal_of(store)) {
            break;
        }
        deleted += delete_old(store, &trim->oldest[i]) ? 1 : 0;
    }
    return deleted;
}

static int trim_all(struct trim *trim, struct err *why)
{
    int rc = store_mailbox_children(
        trim->store, (struct mailbox_id){-1}, (struct mailbox_id){0}, note_known, trim, why);
    size_t deleted = 1;
    while (rc == 0 && deleted > 0) {
        rc = count_all(trim, why);
        if (rc != 0 || !store_body_over_limit(trim->store)) {
            break;
        }
        deleted = delete_oldest(trim);
        struct body_totals totals;
        store_body_totals(trim->store, &totals);
        if (totals.bytes <= trim->store->cache_limit_bytes) {
            break;
        }
    }
    return rc;
}

static bool trim_begins(struct store *store)
{
    lock_take(&store->body_lock);
    bool free_now = !store->trimming;
    store->trimming = true;
    lock_release(&store->body_lock);
    return free_now;
}

static void trim_ends(struct store *store)
{
    lock_take(&store->body_lock);
    store->trimming = false;
    lock_release(&store->body_lock);
}

int store_body_trim(struct store *store, int64_t protect_s, struct err *why)
{
    if (!trim_begins(store)) {
        return 0; /* another thread is at it */
    }
    struct trim trim = {.store = store, .uids = UIDSET_INIT};
    const int64_t second_ns = 1000000000;
    int64_t now = now_ns();
    trim.protected_ns = protect_s >= now / second_ns ? 0 : now - protect_s * second_ns;
    trim.known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    trim.oldest = malloc(OLDEST_ROOM * sizeof *trim.oldest);
    int rc = trim.oldest == NULL ? err_set(why, ERR_LOCAL, ENOMEM, "out of memory for a trim")
                                 : trim_all(&trim, why);
    free(trim.oldest);
    uidset_finish(&trim.uids);
    g_hash_table_destroy(trim.known);
    trim_ends(store);
    return rc;
}

void store_body_totals(struct store *store, struct body_totals *ret)
{
    lock_take(&store->body_lock);
    ret->bytes = store->body_bytes;
    ret->files = store->body_files;
    ret->limit_bytes = store->cache_limit_bytes;
    lock_release(&store->body_lock);
}

bool store_body_over_limit(struct store *store)
{
    lock_take(&store->body_lock);
    bool over = !store->body_counted || store->body_bytes > store->cache_limit_bytes;
    lock_release(&store->body_lock);
    return over;
}
