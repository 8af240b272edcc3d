#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "store/dirs.h"
#include "store/inside.h"
#include "store/place.h"
#include "store/schema.h"

/* There after an end that brought everything to the disk, and only then. */
static const char clean_mark[] = "clean";
static const char index_name[] = "index.db";

/* ---- readers ---- */

int reader_take(struct store *store, struct db **ret, struct err *why)
{
    lock_take(&store->readers_lock);
    struct db *reader = store->readers;
    if (reader != NULL) {
        store->readers = reader->next;
        store->readers_count--;
    }
    lock_release(&store->readers_lock);
    if (reader != NULL) {
        *ret = reader;
        return 0;
    }
    int rc = db_open(&reader, store->index_path, DB_READER, store->state_fd, why);
    if (rc == 0) {
        rc = db_prepare(reader, DB_READER, why);
    }
    if (rc != 0) {
        db_close(&reader, false);
        return rc;
    }
    *ret = reader;
    return 0;
}

void reader_give(struct store *store, struct db *reader)
{
    lock_take(&store->readers_lock);
    bool keep = store->readers_count < READERS_KEPT;
    if (keep) {
        reader->next = store->readers;
        store->readers = reader;
        store->readers_count++;
    }
    lock_release(&store->readers_lock);
    if (!keep) {
        db_close(&reader, false);
    }
}

/* ---- opening ---- */

static bool exists(const struct store *store, const char *name)
{
    struct stat st;
    return fstatat(store->state_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
}

/* The database and its logs under a name that is free; they belong together by their names. */
static int move_aside(struct store *store, struct err *why)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[NAME_MAX];
    for (unsigned i = 0;; i++) {
        (void)snprintf(
            name, sizeof name, "%s.corrupt-%" PRId64, index_name, clock_wall_s() + (int64_t)i);
        if (faccessat(store->state_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
            break;
        }
    }
    for (size_t i = sizeof ends / sizeof ends[0]; i-- > 0;) {
        char from[NAME_MAX];
        char to[NAME_MAX + 8];
        (void)snprintf(from, sizeof from, "%s%s", index_name, ends[i]);
        (void)snprintf(to, sizeof to, "%s%s", name, ends[i]);
        if (renameat(store->state_fd, from, store->state_fd, to) != 0 && errno != ENOENT) {
            return disk_failed(errno, "cannot move a corrupted index aside", why);
        }
    }
    return note_remove(store->state_fd, DB_SUSPECT_MARK, why);
}

/* SQLite gives its logs the mode of the file, so it must not make that by itself. */
static int make_index_file(struct store *store, struct err *why)
{
    CLEANUP(fd_close)
    int fd = openat(
        store->state_fd, index_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno == ELOOP
                   ? err_set(why, ERR_LOCAL, EACCES, "the index is a symbolic link: remove it")
                   : disk_failed(errno, "cannot open the index", why);
    }
    return 0;
}

enum doubt { NO_DOUBT, DOUBT, DEEP_DOUBT };

static int open_writer(struct store *store, enum doubt doubt, struct err *why)
{
    int rc = make_index_file(store, why);
    if (rc != 0) {
        return rc;
    }
    lock_take(&store->writer_lock);
    rc = db_open(&store->writer, store->index_path, DB_WRITER, store->state_fd, why);
    if (rc == 0 && doubt != NO_DOUBT) {
        rc = schema_check(store->writer, doubt == DEEP_DOUBT, why);
    }
    if (rc == 0) {
        rc = schema_prepare(store->writer, why);
    }
    if (rc == 0) {
        rc = db_prepare(store->writer, DB_WRITER, why);
    }
    lock_release(&store->writer_lock);
    return rc;
}

/* Whether the failed writer found a file that is no sound index; it is closed and left as it is. */
static bool give_up_writer(struct store *store)
{
    lock_take(&store->writer_lock);
    bool corrupted = store->writer != NULL && db_is_corrupted(store->writer);
    db_close(&store->writer, true);
    lock_release(&store->writer_lock);
    return corrupted;
}

static int open_index(struct store *store, bool *ret_rebuilt, struct err *why)
{
    bool is_there = exists(store, index_name);
    enum doubt doubt = NO_DOUBT;
    if (is_there && (!exists(store, clean_mark) || exists(store, "index.db-wal"))) {
        doubt = DOUBT;
    }
    struct stat st;
    if (fstatat(store->state_fd, DB_SUSPECT_MARK, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        doubt = DEEP_DOUBT;
    }
    int rc = note_remove(store->state_fd, clean_mark, why);
    /* A log without its database would be replayed into the new one. */
    if (rc == 0 && !is_there && exists(store, "index.db-wal")) {
        *ret_rebuilt = true;
        rc = move_aside(store, why);
    }
    if (rc != 0) {
        return rc;
    }
    rc = open_writer(store, doubt, why);
    if (rc == 0) {
        return doubt == DEEP_DOUBT ? note_remove(store->state_fd, DB_SUSPECT_MARK, why) : 0;
    }
    if (!give_up_writer(store)) {
        return rc;
    }
    *ret_rebuilt = true;
    rc = move_aside(store, why);
    return rc != 0 ? rc : open_writer(store, NO_DOUBT, why);
}

/* What a crash left half-written. */
static int clear_incoming(struct store *store, struct err *why)
{
    int fd = openat(store->incoming_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int failed = errno;
        cleanup_fd_close(&fd);
        return disk_failed(failed, "cannot look into the cache", why);
    }
    const struct dirent *entry = NULL;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is our own */
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            (void)unlinkat(dirfd(dir), entry->d_name, 0); /* O_EXCL tells where one stays */
        }
    }
    (void)closedir(dir); /* was only read */
    return 0;
}

static int open_cache(struct store *store, const struct store_options *options, struct err *why)
{
    int rc = dir_open_private(options->cache_dir, &store->cache_fd, why);
    if (rc == 0) {
        rc =
            dir_lock(store->cache_fd, "cache.lock", options->cache_dir, &store->cache_lock_fd, why);
    }
    if (rc == 0) {
        rc = dir_open_below(store->cache_fd, "bodies", &store->bodies_fd, why);
    }
    if (rc == 0) {
        rc = dir_open_below(store->cache_fd, "incoming", &store->incoming_fd, why);
    }
    if (rc == 0) {
        rc = clear_incoming(store, why);
    }
    return rc != 0 ? rc : settle_open(store, why);
}

/* The database library opens by name: the whole one, since a daemon leaves its directory. */
static int find_index_path(struct store *store, const char *state_dir, struct err *why)
{
    CLEANUP(free) char *whole = realpath(state_dir, NULL);
    if (whole == NULL) {
        return disk_failed(errno, "cannot find the state directory", why);
    }
    struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", whole, index_name);
    store->index_path = buf_steal(&path);
    return 0;
}

static int open_all(
    struct store *store, const struct store_options *options, bool *ret_rebuilt, struct err *why)
{
    int rc = dir_open_private(options->state_dir, &store->state_fd, why);
    if (rc == 0) {
        rc = dir_lock(store->state_fd, "lock", options->state_dir, &store->lock_fd, why);
    }
    if (rc == 0) {
        rc = find_index_path(store, options->state_dir, why);
    }
    if (rc == 0) {
        rc = open_cache(store, options, why);
    }
    return rc != 0 ? rc : open_index(store, ret_rebuilt, why);
}

int store_open(
    struct store **ret, const struct store_options *options, bool *ret_rebuilt, struct err *why)
{
    struct store *store = alloc_zeroed(1, sizeof *store);
    store->state_fd = -1;
    store->lock_fd = -1;
    store->cache_fd = -1;
    store->cache_lock_fd = -1;
    store->bodies_fd = -1;
    store->incoming_fd = -1;
    store->cache_limit_bytes = options->cache_limit_bytes;
    lock_init(&store->readers_lock, RANK_STORE_POOL, "store readers");
    lock_init(&store->writer_lock, RANK_STORE, "store writer");
    lock_init(&store->body_lock, RANK_BODY, "store bodies");
    bool rebuilt = false;
    int rc = open_all(store, options, &rebuilt, why);
    if (rc != 0) {
        store_destroy(&store);
        return rc;
    }
    store->opened = true;
    *ret = store;
    *ret_rebuilt = rebuilt;
    return 0;
}

/* ---- the end ---- */

static void close_readers(struct store *store)
{
    lock_take(&store->readers_lock);
    struct db *readers = store->readers;
    store->readers = NULL;
    store->readers_count = 0;
    lock_release(&store->readers_lock);
    while (readers != NULL) {
        struct db *reader = readers;
        readers = reader->next;
        db_close(&reader, false);
    }
}

void store_destroy(struct store **store)
{
    struct store *old = *store;
    if (old == NULL) {
        return;
    }
    /* What cannot be brought to the disk now is looked at more closely at the next start. */
    bool clean = old->opened && settle_close(old, NULL) == 0;
    close_readers(old);
    lock_take(&old->writer_lock);
    db_close(&old->writer, false);
    lock_release(&old->writer_lock);
    if (clean) {
        int rc = note_write(old->state_fd, clean_mark, "1\n", NULL);
        (void)rc;
    }
    cleanup_fd_close(&old->incoming_fd);
    cleanup_fd_close(&old->bodies_fd);
    cleanup_fd_close(&old->cache_fd);
    cleanup_fd_close(&old->state_fd);
    cleanup_fd_close(&old->cache_lock_fd); /* the locks last: nothing is touched after them */
    cleanup_fd_close(&old->lock_fd);
    lock_finish(&old->body_lock);
    lock_finish(&old->writer_lock);
    lock_finish(&old->readers_lock);
    free(old->index_path);
    free(old);
    *store = NULL;
}

/* ---- facts and totals ---- */

int store_fact_get(struct store *store, const char *name, char *ret, size_t size, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(reader, SQL_FACT_GET);
    db_bind_text(reader, statement, 1, name);
    rc = db_step(reader, statement, why);
    if (rc >= 0) {
        (void)snprintf(ret, size, "%s", rc > 0 ? db_text(statement, 0) : "");
        db_reset(statement);
        rc = 0;
    }
    reader_give(store, reader);
    return rc;
}

struct fact {
    const char *name, *value;
};

static int set_fact(struct write *write, void *arg, struct err *why)
{
    const struct fact *fact = arg;
    sqlite3_stmt *statement = db_statement(write->db, SQL_FACT_SET);
    db_bind_text(write->db, statement, 1, fact->name);
    db_bind_text(write->db, statement, 2, fact->value);
    return db_run(write->db, statement, why);
}

int store_fact_set(struct store *store, const char *name, const char *value, struct err *why)
{
    struct fact fact = {name, value};
    return store_write(store, set_fact, &fact, NULL, why);
}

int store_totals(struct store *store, uint64_t *ret_messages, uint64_t *ret_bytes, struct err *why)
{
    struct db *reader = NULL;
    int rc = reader_take(store, &reader, why);
    if (rc != 0) {
        return rc;
    }
    sqlite3_stmt *statement = db_statement(reader, SQL_TOTALS);
    rc = db_step(reader, statement, why);
    if (rc > 0) {
        *ret_messages = (uint64_t)sqlite3_column_int64(statement, 0);
        *ret_bytes = (uint64_t)sqlite3_column_int64(statement, 1);
        db_reset(statement);
        rc = 0;
    } else if (rc == 0) {
        rc = db_failed(reader, SQLITE_CORRUPT, why);
    }
    reader_give(store, reader);
    return rc;
}
