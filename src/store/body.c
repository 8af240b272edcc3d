#include "store/body.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/dirs.h"
#include "store/place.h"

enum { WRITE_BUFFER = 64 * 1024, INCOMING_TEXT = 64, PLACE_TRIES = 8 };
static const int64_t used_grain_ns = INT64_C(60) * 1000000000;

/* What the index says about a body. */
struct expected {
    struct message_id id;
    struct place place;
    char hash[HASH_TEXT];
    uint32_t uidvalidity, uid;
    int64_t size_bytes;
    bool proven;
};

/* -ESTALE: the message is gone. */
static int expect(struct store *store, struct message_id id, struct expected *ret, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(reader, SQL_BODY_OF_MESSAGE);
    db_bind_int(reader, statement, 1, id.value);
    rc = db_step(reader, statement, why);
    if (rc > 0) {
        ret->id = id;
        place_hash(ret->hash, sqlite3_column_blob(statement, 0),
            (size_t)sqlite3_column_bytes(statement, 0));
        ret->uidvalidity = (uint32_t)sqlite3_column_int64(statement, 1);
        ret->uid = (uint32_t)sqlite3_column_int64(statement, 2);
        ret->size_bytes = sqlite3_column_int64(statement, 3);
        ret->proven = sqlite3_column_int(statement, 4) != 0;
        place_make(&ret->place, ret->hash, ret->uidvalidity, ret->uid);
        db_reset(statement);
        rc = 0;
    } else if (rc == 0) {
        rc = err_set(why, ERR_GONE, ESTALE, "the message is no longer there");
    }
    reader_give(store, reader);
    return rc;
}

/* ---- sizes ---- */

struct resize {
    struct message_id id;
    int64_t size_bytes;
};

static int set_size(struct write *write, void *arg, struct err *why)
{
    const struct resize *resize = arg;
    sqlite3_stmt *statement = db_statement(write->db, SQL_MESSAGE_SIZE);
    db_bind_int(write->db, statement, 1, resize->id.value);
    int rc = db_step(write->db, statement, why);
    if (rc <= 0) {
        return rc == 0 ? message_is_gone(why) : rc;
    }
    struct mailbox_id mailbox = {sqlite3_column_int64(statement, 0)};
    int64_t before_bytes = sqlite3_column_int64(statement, 1);
    db_reset(statement);
    statement = db_statement(write->db, SQL_MESSAGE_RESIZE);
    db_bind_int(write->db, statement, 1, resize->id.value);
    db_bind_int(write->db, statement, 2, resize->size_bytes);
    rc = db_run(write->db, statement, why);
    return rc != 0 ? rc
                   : write_count(write, mailbox, 0,
                         counted_bytes(resize->size_bytes) - counted_bytes(before_bytes), why);
}

/* True if the list is full. */
static bool note_proof(struct store *store, struct message_id id, int64_t size_bytes)
{
    lock_take(&store->body_lock);
    if (store->proofs_count < PROOFS_KEPT) {
        store->proofs[store->proofs_count++] = (struct proof){id, size_bytes};
    }
    bool full = store->proofs_count == PROOFS_KEPT;
    lock_release(&store->body_lock);
    return full;
}

/* The whole body is `size_bytes` long, and the index knows it or soon will: at once only where it
 * said something else. */
static int learn_size(struct store *store, const struct expected *expected, int64_t size_bytes,
    bool *ret_changed, struct err *why)
{
    *ret_changed = size_bytes != expected->size_bytes;
    if (*ret_changed) {
        struct resize resize = {expected->id, size_bytes};
        return store_write(store, set_size, &resize, NULL, why);
    }
    if (!expected->proven && note_proof(store, expected->id, size_bytes)) {
        return store_write(store, NULL, NULL, NULL, why);
    }
    return 0;
}

/* ---- reading ---- */

static void mark_used(int fd, const struct stat *st)
{
    int64_t now = now_ns();
    int64_t used = time_ns(st->st_atim);
    if (now - used > used_grain_ns || used > now) {
        const struct timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
        (void)futimens(fd, times); /* a body that looks older than it is goes a little early */
    }
}

int store_body_open(struct store *store, struct message_id id, int *ret_fd, int64_t *ret_size_bytes,
    struct err *why)
{
    struct expected expected = {.uid = 0};
    int rc = expect(store, id, &expected, why);
    if (rc != 0) {
        return rc;
    }
    CLEANUP(fd_close)
    int fd =
        openat(store->bodies_fd, expected.place.path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? -ENOENT : disk_failed(errno, "cannot open a cached body", why);
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return disk_failed(errno, "cannot look at a cached body", why);
    }
    int64_t size_bytes = (int64_t)st.st_size;
    if (expected.proven && size_bytes != expected.size_bytes) {
        place_drop(store, expected.hash, expected.uidvalidity, expected.uid);
        return -ENOENT;
    }
    /* It was put there whole, so where nothing was proven the file is right: the index was lost
     * since, or lists what the server only estimated. */
    bool changed = false;
    rc = learn_size(store, &expected, size_bytes, &changed, why);
    if (rc != 0) {
        return rc == -ENOENT ? err_set(why, ERR_GONE, ESTALE, "the message is no longer there")
                             : rc;
    }
    mark_used(fd, &st);
    *ret_fd = steal_fd(&fd);
    *ret_size_bytes = size_bytes;
    return 0;
}

bool store_body_has(struct store *store, struct message_id id)
{
    struct expected expected = {.uid = 0};
    struct stat st;
    return expect(store, id, &expected, NULL) == 0 &&
           fstatat(store->bodies_fd, expected.place.path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           (!expected.proven || (int64_t)st.st_size == expected.size_bytes);
}

/* ---- writing ---- */

struct body_writer {
    struct store *store;
    struct mailbox_id mailbox;
    uint32_t uidvalidity;
    char hash[HASH_TEXT];
    char incoming[INCOMING_TEXT];
    int fd;
    int64_t size_bytes;
    bool failed;
    size_t used;
    char buffer[WRITE_BUFFER];
};

void body_writer_drop(struct body_writer **writer)
{
    if (*writer == NULL) {
        return;
    }
    cleanup_fd_close(&(*writer)->fd);
    if ((*writer)->incoming[0] != '\0') {
        (void)unlinkat((*writer)->store->incoming_fd, (*writer)->incoming,
            0); /* what stays is removed at the next start */
    }
    free(*writer);
    *writer = NULL;
}

static int open_incoming(struct body_writer *writer, struct err *why)
{
    struct store *store = writer->store;
    lock_take(&store->body_lock);
    uint64_t number = store->next_incoming++;
    lock_release(&store->body_lock);
    char name[INCOMING_TEXT];
    (void)snprintf(name, sizeof name, "%" PRIu64, number);
    writer->fd = openat(
        store->incoming_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (writer->fd < 0) {
        return disk_failed(errno, "cannot make a body in the cache", why);
    }
    memcpy(writer->incoming, name, sizeof name);
    return 0;
}

int store_body_begin(struct store *store, struct mailbox_id mailbox, uint32_t uidvalidity,
    struct body_writer **ret, struct err *why)
{
    struct mailbox_row row;
    int rc = store_mailbox_get(store, mailbox, &row, why);
    if (rc != 0) {
        return rc;
    }
    struct body_writer *writer = malloc(sizeof *writer);
    if (writer == NULL) {
        mailbox_row_finish(&row);
        return err_set(why, ERR_LOCAL, ENOMEM, "out of memory for a body");
    }
    writer->store = store;
    writer->mailbox = mailbox;
    writer->uidvalidity = uidvalidity;
    place_hash(writer->hash, row.raw, row.raw_len);
    mailbox_row_finish(&row);
    writer->incoming[0] = '\0';
    writer->fd = -1;
    writer->size_bytes = 0;
    writer->failed = false;
    writer->used = 0;
    rc = open_incoming(writer, why);
    if (rc != 0) {
        body_writer_drop(&writer);
        return rc;
    }
    *ret = writer;
    return 0;
}

static int write_out(struct body_writer *writer, const char *data, size_t len, struct err *why)
{
    size_t done = 0;
    while (done < len) {
        ssize_t written = write(writer->fd, data + done, len - done);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            writer->failed = true;
            return disk_failed(
                written < 0 ? errno : ENOSPC, "cannot write a body into the cache", why);
        }
        done += (size_t)written;
    }
    return 0;
}

static int flush(struct body_writer *writer, struct err *why)
{
    size_t len = writer->used;
    writer->used = 0;
    return write_out(writer, writer->buffer, len, why);
}

int body_writer_add(struct body_writer *writer, const void *data, size_t len, struct err *why)
{
    if (writer->failed) {
        return err_set(why, ERR_LOCAL, EIO, "the body could not be written before");
    }
    if (len == 0) {
        return 0;
    }
    if (len > sizeof writer->buffer - writer->used) {
        int rc = flush(writer, why);
        if (rc == 0 && len >= sizeof writer->buffer) {
            rc = write_out(writer, data, len, why);
            writer->size_bytes += rc == 0 ? (int64_t)len : 0;
            return rc;
        }
        if (rc != 0) {
            return rc;
        }
    }
    memcpy(writer->buffer + writer->used, data, len);
    writer->used += len;
    writer->size_bytes += (int64_t)len;
    return 0;
}

int64_t body_writer_size(const struct body_writer *writer)
{
    return writer->size_bytes;
}

/* -ENOENT: no such message now. */
static int expect_uid(
    struct body_writer *writer, struct imap_uid uid, struct expected *ret, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(writer->store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(reader, SQL_BODY_OF_UID);
    db_bind_int(reader, statement, 1, writer->mailbox.value);
    db_bind_int(reader, statement, 2, writer->uidvalidity);
    db_bind_int(reader, statement, 3, uid.value);
    rc = db_step(reader, statement, why);
    if (rc > 0) {
        ret->id.value = sqlite3_column_int64(statement, 0);
        ret->size_bytes = sqlite3_column_int64(statement, 1);
        ret->proven = sqlite3_column_int(statement, 2) != 0;
        memcpy(ret->hash, writer->hash, sizeof ret->hash);
        ret->uidvalidity = writer->uidvalidity;
        ret->uid = uid.value;
        place_make(&ret->place, ret->hash, ret->uidvalidity, ret->uid);
        db_reset(statement);
        rc = 0;
    } else if (rc == 0) {
        rc = message_is_gone(why);
    }
    reader_give(writer->store, reader);
    return rc;
}

/* A body counts as settled by this time, so it must not be older than the last settling, whatever
 * the calendar says now. */
static int stamp(struct body_writer *writer, struct err *why)
{
    struct store *store = writer->store;
    int64_t now = now_ns();
    lock_take(&store->body_lock);
    if (now <= store->settled_ns) {
        now = store->settled_ns + 1;
    }
    lock_release(&store->body_lock);
    const struct timespec times[2] = {
        {0, UTIME_NOW}, {(time_t)(now / 1000000000), (long)(now % 1000000000)}};
    return futimens(writer->fd, times) == 0
               ? 0
               : disk_failed(errno, "cannot write a body into the cache", why);
}

/* Bodies never change, so what this one may replace is as good; only the count must be right. */
static int put_in_place(struct body_writer *writer, const struct place *place, struct err *why)
{
    struct store *store = writer->store;
    struct stat old;
    bool replaces = fstatat(store->bodies_fd, place->path, &old, AT_SYMLINK_NOFOLLOW) == 0;
    for (int tries = 0;; tries++) {
        if (renameat(store->incoming_fd, writer->incoming, store->bodies_fd, place->path) == 0) {
            break;
        }
        int failed = errno;
        if (failed == ENOENT && tries < PLACE_TRIES) {
            failed = place_make_dirs(store, place);
            if (failed == 0 || failed == ENOENT) {
                continue; /* a trim may take an empty directory away again */
            }
        }
        return disk_failed(failed, "cannot put a body into the cache", why);
    }
    writer->incoming[0] = '\0';
    body_count(store, replaces ? 0 : 1, writer->size_bytes - (replaces ? (int64_t)old.st_size : 0));
    return 0;
}

static int commit(struct body_writer *writer, struct imap_uid uid, struct message_id *ret_id,
    bool *ret_size_changed, struct err *why)
{
    if (writer->failed) {
        return err_set(why, ERR_LOCAL, EIO, "the body could not be written before");
    }
    struct expected expected = {.uid = 0};
    int rc = expect_uid(writer, uid, &expected, why);
    if (rc != 0) {
        return rc;
    }
    if (writer->size_bytes == 0 && expected.size_bytes != 0) {
        return err_set(why, ERR_HOSTILE, EPROTO,
            "the server sent an empty message for one of "
            "%" PRId64 " bytes",
            expected.size_bytes);
    }
    rc = flush(writer, why);
    if (rc == 0) {
        rc = stamp(writer, why);
    }
    /* The index first: a proven size without a body is true, a body that contradicts one is
     * dropped. */
    bool changed = false;
    if (rc == 0) {
        rc = learn_size(writer->store, &expected, writer->size_bytes, &changed, why);
    }
    if (rc == 0) {
        rc = put_in_place(writer, &expected.place, why);
    }
    if (rc == 0) {
        *ret_id = expected.id;
        *ret_size_changed = changed;
    }
    return rc;
}

int body_writer_commit(struct body_writer **writer, struct imap_uid uid, struct message_id *ret_id,
    bool *ret_size_changed, struct err *why)
{
    int rc = commit(*writer, uid, ret_id, ret_size_changed, why);
    body_writer_drop(writer);
    return rc;
}
