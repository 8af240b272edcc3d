#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/body.h"
#include "store/dirs.h"
#include "store/place.h"

/*
 * The note in the cache directory: "<boot id> <nanoseconds> <open|clean> <files> <bytes>". Bodies
 * that did not arrive after that moment are on the disk whole; those that did are in memory only,
 * which a kill of this program does not harm and an end of the machine does.
 */
static const char note_name[] = "settled";
enum { NOTE_TEXT = 200 };

struct note {
    char boot_id[BOOT_ID_TEXT];
    int64_t settled_ns;
    char state[8];
    uint64_t files, bytes;
};

static bool read_note(const struct store *store, struct note *ret)
{
    char text[NOTE_TEXT];
    char settled[24] = "";
    char files[24] = "";
    char bytes[24] = "";
    memset(ret, 0, sizeof *ret);
    if (!note_read(store->cache_fd, note_name, text, sizeof text) ||
        sscanf(text, "%63s %23s %7s %23s %23s", ret->boot_id, settled, ret->state, files, bytes) !=
            5) {
        return false;
    }
    /* What is no number becomes 0: then more is dropped, or counted anew. */
    ret->settled_ns = strtoll(settled, NULL, 10);
    ret->files = strtoull(files, NULL, 10);
    ret->bytes = strtoull(bytes, NULL, 10);
    return true;
}

static int write_note(struct store *store, bool clean, struct err *why)
{
    char text[NOTE_TEXT];
    lock_take(&store->body_lock);
    (void)snprintf(text, sizeof text, "%s %" PRId64 " %s %" PRIu64 " %" PRIu64 "\n", store->boot_id,
        store->settled_ns, clean && store->body_counted ? "clean" : "open", store->body_files,
        store->body_bytes);
    lock_release(&store->body_lock);
    return note_write(store->cache_fd, note_name, text, why);
}

static void read_boot_id(struct store *store)
{
    char text[BOOT_ID_TEXT] = "";
    char word[BOOT_ID_TEXT] = "";
    /* Without /proc every start counts as another boot: that drops too much, never too little. */
    if (!note_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof text) ||
        sscanf(text, "%63s", word) != 1) {
        (void)snprintf(word, sizeof word, "unknown-%" PRId64, now_ns());
    }
    (void)snprintf(store->boot_id, sizeof store->boot_id, "%s", word);
}

static int drop_younger(
    void *arg, const struct body_file *file, enum walk_verdict *ret, struct err *why)
{
    (void)why;
    const int64_t *settled_ns = arg;
    *ret = file->arrived_ns > *settled_ns ? WALK_DELETE : WALK_KEEP;
    return 0;
}

int settle_open(struct store *store, struct err *why)
{
    read_boot_id(store);
    struct note note;
    bool known = read_note(store, &note);
    bool clean = known && strcmp(note.state, "clean") == 0;
    bool same_boot = known && strcmp(note.boot_id, store->boot_id) == 0;
    int64_t settled_ns = known ? note.settled_ns : INT64_MIN;
    if (!clean && !same_boot) {
        int rc = place_walk(store, drop_younger, &settled_ns, why);
        if (rc != 0) {
            return rc;
        }
    }
    lock_take(&store->body_lock);
    store->settled_ns = same_boot && !clean ? settled_ns : now_ns();
    store->body_counted = clean;
    store->body_files = clean ? note.files : 0;
    store->body_bytes = clean ? note.bytes : 0;
    lock_release(&store->body_lock);
    return write_note(store, false, why);
}

static int settle(struct store *store, bool clean, struct err *why)
{
    int rc = store_write(store, NULL, NULL, NULL, why); /* the proofs */
    if (rc != 0) {
        return rc;
    }
    int64_t before_ns = now_ns();
    if (syncfs(store->cache_fd) != 0) {
        return disk_failed(errno, "cannot bring the cache to the disk", why);
    }
    lock_take(&store->body_lock);
    store->settled_ns = before_ns;
    lock_release(&store->body_lock);
    return write_note(store, clean, why);
}

int store_body_settle(struct store *store, struct err *why)
{
    lock_take(&store->body_lock);
    bool busy = store->settling;
    store->settling = true;
    lock_release(&store->body_lock);
    if (busy) {
        return 0;
    }
    int rc = settle(store, false, why);
    lock_take(&store->body_lock);
    store->settling = false;
    lock_release(&store->body_lock);
    return rc;
}

int settle_close(struct store *store, struct err *why)
{
    return settle(store, true, why);
}
