#include "store/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/dirs.h"

enum { UIDS_A_DIRECTORY = 1000, PRIVATE_DIR = 0700, LEVELS = 3 };

void place_hash(char ret[HASH_TEXT], const void *raw, size_t raw_len)
{
    char *text = g_compute_checksum_for_data(
        G_CHECKSUM_SHA256, raw_len == 0 ? (const void *)"" : raw, raw_len);
    memcpy(ret, text, HASH_TEXT - 1);
    ret[HASH_TEXT - 1] = '\0';
    g_free(text);
}

void place_make(struct place *ret, const char *hash, uint32_t uidvalidity, uint32_t uid)
{
    (void)snprintf(ret->path, sizeof ret->path, "%.32s/%" PRIu32 "/%" PRIu32 "/%" PRIu32 ".eml",
        hash, uidvalidity, uid / UIDS_A_DIRECTORY, uid); /* 32 + 3 * 10 + 7 fit */
}

int place_make_dirs(struct store *store, const struct place *place)
{
    struct place part = *place;
    for (char *at = strchr(part.path, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        int failed =
            mkdirat(store->bodies_fd, part.path, PRIVATE_DIR) == 0 || errno == EEXIST ? 0 : errno;
        *at = '/';
        if (failed != 0) {
            return failed;
        }
    }
    return 0;
}

void place_drop(struct store *store, const char *hash, uint32_t uidvalidity, uint32_t uid)
{
    struct place place = {""};
    place_make(&place, hash, uidvalidity, uid);
    struct stat st;
    if (fstatat(store->bodies_fd, place.path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        unlinkat(store->bodies_fd, place.path, 0) == 0) {
        body_count(store, -1, -(int64_t)st.st_size);
    }
}

int64_t time_ns(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + (int64_t)time.tv_nsec;
}

int64_t now_ns(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
    return time_ns(now);
}

uint64_t body_sum(uint64_t value, int64_t change)
{
    if (change >= 0) {
        return value + (uint64_t)change;
    }
    uint64_t less = (uint64_t)-change;
    return value > less ? value - less : 0;
}

void body_count(struct store *store, int64_t files, int64_t bytes)
{
    lock_take(&store->body_lock);
    store->body_files = body_sum(store->body_files, files);
    store->body_bytes = body_sum(store->body_bytes, bytes);
    store->since_files += files;
    store->since_bytes += bytes;
    lock_release(&store->body_lock);
}

/* ---- walking ---- */

struct level {
    DIR *dir;
    char name[HASH_TEXT]; /* in its parent */
};

struct walk {
    int (*each)(void *arg, const struct body_file *file, enum walk_verdict *ret, struct err *why);
    void *arg;
    struct level levels[LEVELS + 1]; /* bodies/, hash, UIDVALIDITY, thousand */
    int depth;
};

/* A decimal number without leading zeros, and where it ends. */
static bool read_number(const char *text, uint32_t *ret, const char **ret_end)
{
    char *end = NULL;
    if (*text < '0' || *text > '9' || (*text == '0' && text[1] >= '0' && text[1] <= '9')) {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || value > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)value;
    *ret_end = end;
    return true;
}

/* Whether an entry of that depth is a directory of ours. */
static bool is_ours(int depth, const char *name)
{
    if (depth == 0) {
        return strlen(name) == HASH_TEXT - 1 && strspn(name, "0123456789abcdef") == HASH_TEXT - 1;
    }
    uint32_t number = 0;
    const char *end = "";
    return read_number(name, &number, &end) && *end == '\0';
}

static int enter(struct walk *walk, int parent_fd, const char *name, struct err *why)
{
    CLEANUP(fd_close)
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        /* Vanished, or nothing of ours. */
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? 0
                   : disk_failed(errno, "cannot look into the cache", why);
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        return disk_failed(errno, "cannot look into the cache", why);
    }
    (void)steal_fd(&fd); /* closedir() closes it */
    struct level *level = &walk->levels[++walk->depth];
    level->dir = dir;
    (void)snprintf(level->name, sizeof level->name, "%s", name); /* was checked for its length */
    return 0;
}

static void leave(struct walk *walk)
{
    struct level *level = &walk->levels[walk->depth--];
    (void)closedir(level->dir); /* was only read */
    level->dir = NULL;
    if (walk->depth >= 0) {
        /* Goes only if it is empty; who is about to put a body there makes it again. */
        (void)unlinkat(dirfd(walk->levels[walk->depth].dir), level->name, AT_REMOVEDIR);
    }
}

static int visit(struct walk *walk, const char *name, struct err *why)
{
    struct body_file file = {
        .dir_fd = dirfd(walk->levels[LEVELS].dir), .name = name, .hash = walk->levels[1].name};
    const char *end = "";
    struct stat st;
    if (!read_number(name, &file.uid, &end) || strcmp(end, ".eml") != 0 ||
        !read_number(walk->levels[2].name, &file.uidvalidity, &end) ||
        fstatat(file.dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) {
        return 0;
    }
    file.size_bytes = (int64_t)st.st_size;
    file.used_ns = time_ns(st.st_atim);
    file.arrived_ns = time_ns(st.st_mtim);
    enum walk_verdict verdict = WALK_KEEP;
    int rc = walk->each(walk->arg, &file, &verdict, why);
    if (rc == 0 && verdict == WALK_DELETE && unlinkat(file.dir_fd, name, 0) != 0 &&
        errno != ENOENT) {
        return disk_failed(errno, "cannot delete a body of the cache", why);
    }
    return rc;
}

int place_walk(struct store *store,
    int (*each)(void *arg, const struct body_file *file, enum walk_verdict *ret, struct err *why),
    void *arg, struct err *why)
{
    struct walk walk = {.each = each, .arg = arg, .depth = -1};
    int rc = enter(&walk, store->bodies_fd, ".", why);
    while (rc == 0 && walk.depth >= 0) {
        DIR *dir = walk.levels[walk.depth].dir;
        const struct dirent *entry =
            readdir(dir); /* NOLINT(concurrency-mt-unsafe): the stream is this walk's own */
        if (entry == NULL) {
            leave(&walk);
        } else if (walk.depth == LEVELS) {
            rc = visit(&walk, entry->d_name, why);
        } else if (is_ours(walk.depth, entry->d_name)) {
            rc = enter(&walk, dirfd(dir), entry->d_name, why);
        }
    }
    while (walk.depth >= 0) {
        leave(&walk);
    }
    return rc;
}
