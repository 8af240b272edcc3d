#include "mount.h"

#include <errno.h>
#include <gmime/gmime.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "unit.h"

/* One lock for all awaited waits of a test program. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void mount_init(struct mount *mount)
{
    memset(mount, 0, sizeof *mount);
    g_mime_init();
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(mount->dir, sizeof mount->dir, "%.40s/imapfs-e-XXXXXX", tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(mount->dir));
    mount->pool = fake_pool_create(3);
    mount->options = (struct engine_options){.timeout_ms = 60000, .max_age_ms = 0};
}

int mount_try_start(struct mount *mount, struct err *why)
{
    char state[96];
    char cache[96];
    bool rebuilt = false;
    (void)snprintf(state, sizeof state, "%s/state", mount->dir);
    (void)snprintf(cache, sizeof cache, "%s/cache", mount->dir);
    const struct store_options store_options = {state, cache, (uint64_t)1 << 30};
    ck_assert_int_eq(store_open(&mount->store, &store_options, &rebuilt, why), 0);
    mount->options.store = mount->store;
    mount->options.pool = mount->pool;
    int rc = engine_create(&mount->engine, &mount->options, why);
    return rc == 0 ? engine_start(mount->engine, why) : rc;
}

void mount_start(struct mount *mount)
{
    struct err why = ERR_INIT;
    ck_assert_msg(mount_try_start(mount, &why) == 0, "the mount starts: %s", why.text);
}

void mount_stop(struct mount *mount)
{
    engine_destroy(&mount->engine);
    store_destroy(&mount->store);
}

void mount_finish(struct mount *mount)
{
    char command[128];
    mount_stop(mount);
    pool_destroy(&mount->pool);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", mount->dir);
    ck_assert_int_eq(system(command), 0);
}

static void on_done(struct wait *wait, int result)
{
    struct awaited *awaited = (struct awaited *)(void *)wait;
    pthread_mutex_lock(&mutex);
    awaited->done++;
    awaited->result = result;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

void awaited_init(struct awaited *awaited)
{
    *awaited = (struct awaited){.wait = {.done = on_done}};
}

int awaited_result(struct awaited *awaited)
{
    pthread_mutex_lock(&mutex);
    while (awaited->done == 0) {
        pthread_cond_wait(&changed, &mutex);
    }
    int result = awaited->result;
    pthread_mutex_unlock(&mutex);
    return result;
}

unsigned awaited_times(struct awaited *awaited)
{
    pthread_mutex_lock(&mutex);
    unsigned times = awaited->done;
    pthread_mutex_unlock(&mutex);
    return times;
}

struct inode_no mount_at(struct mount *mount, const char *path)
{
    struct inode_no at = INODE_ROOT;
    char copy[2048];
    char *rest = copy;
    (void)snprintf(copy, sizeof copy, "%s", path);
    for (char *name = strsep(&rest, "/"); name != NULL && name[0] != '\0';
         name = strsep(&rest, "/")) {
        struct node node;
        if (view_lookup(mount->engine, at, name, &node) != 0) {
            return (struct inode_no){0};
        }
        at = node.ino;
    }
    return at;
}

static int freshen(struct mount *mount, struct inode_no ino)
{
    struct awaited awaited;
    awaited_init(&awaited);
    int rc = engine_freshen(mount->engine, ino, FRESH_WHOLE, &awaited.wait);
    return rc == PARKED ? awaited_result(&awaited) : rc;
}

int mount_freshen(struct mount *mount, const char *path)
{
    return freshen(mount, mount_at(mount, path));
}

void mount_relist(struct mount *mount)
{
    unsigned before = fake_counts(mount->pool).lists;
    do {
        ck_assert_int_eq(mount_freshen(mount, ""), 0);
    } while (fake_counts(mount->pool).lists == before);
}

static int add_name(void *arg, const char *name, const struct node *node, uint64_t next)
{
    struct buf *text = arg;
    (void)node;
    (void)next;
    if (text->len > 0) {
        buf_append_char(text, ' ');
    }
    buf_append_text(text, name);
    return 0;
}

char *mount_known(struct mount *mount, const char *path)
{
    struct buf text = BUF_INIT;
    bool end = false;
    int rc = view_list(mount->engine, mount_at(mount, path), 0, add_name, &text, &end);
    if (rc != 0) {
        buf_printf(&text, "!%d", -rc);
    }
    return buf_steal(&text);
}

char *mount_ls(struct mount *mount, const char *path)
{
    int rc = mount_freshen(mount, path);
    if (rc != 0) {
        struct buf text = BUF_INIT;
        buf_printf(&text, "!%d", -rc);
        return buf_steal(&text);
    }
    return mount_known(mount, path);
}

static int count_name(void *arg, const char *name, const struct node *node, uint64_t next)
{
    unsigned *count = arg;
    (void)name;
    (void)node;
    (void)next;
    (*count)++;
    return 0;
}

unsigned mount_count(struct mount *mount, const char *path)
{
    unsigned count = 0;
    bool end = false;
    ck_assert_int_eq(
        view_list(mount->engine, mount_at(mount, path), 0, count_name, &count, &end), 0);
    ck_assert(end);
    return count;
}

static int get_body(struct mount *mount, struct inode_no ino, int *ret_fd, int64_t *ret_size)
{
    for (;;) {
        struct awaited awaited;
        awaited_init(&awaited);
        struct message_id id = {inode_row(ino)};
        int rc = engine_body(mount->engine, id, ret_fd, ret_size, &awaited.wait);
        if (rc == PARKED) {
            rc = awaited_result(&awaited);
            if (rc == 0) {
                continue;
            }
        }
        return rc;
    }
}

char *mount_read(struct mount *mount, struct inode_no ino, int *ret_errno)
{
    int fd = -1;
    int64_t size = 0;
    int rc = get_body(mount, ino, &fd, &size);
    *ret_errno = -rc;
    if (rc != 0) {
        return NULL;
    }
    char *text = alloc_zeroed((size_t)size + 1, 1);
    ck_assert_int_eq(pread(fd, text, (size_t)size, 0), size);
    char beyond;
    ck_assert_int_eq(pread(fd, &beyond, 1, size), 0);
    (void)close(fd);
    return text;
}

char *mount_read_path(struct mount *mount, const char *path, int *ret_errno)
{
    struct inode_no ino = mount_at(mount, path);
    if (ino.value == 0) {
        *ret_errno = ENOENT;
        return NULL;
    }
    return mount_read(mount, ino, ret_errno);
}

char *mount_xattr(struct mount *mount, const char *path, const char *name)
{
    struct buf text = BUF_INIT;
    int rc = view_xattr(mount->engine, mount_at(mount, path), name, &text);
    if (rc != 0) {
        buf_reset(&text);
        buf_printf(&text, "!%d", -rc);
    }
    buf_append(&text, "", 0);
    return buf_steal(&text);
}

static void add_error(void *arg, const struct noted_error *error)
{
    struct buf *text = arg;
    buf_append_text(text, error->text);
    buf_append_char(text, '\n');
}

char *mount_errors(struct mount *mount)
{
    struct buf text = BUF_INIT;
    engine_errors(mount->engine, add_error, &text);
    return buf_steal(&text);
}
