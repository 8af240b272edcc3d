#include "fake_engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/lock.h"

enum { CALLS = 3, RULES_MAX = 128, FIRST_COOKIE = 4, MTIME_S = 1030000000 };

struct fake_node {
    struct inode_no ino;
    struct inode_no parent;
    char name[256];
    bool is_dir;
    bool gone;
    int64_t size_bytes;
    int body_fd; /* a message's bytes, -1 for a mailbox */
    int64_t body_len;
};

struct rule {
    enum fake_call call;
    struct inode_no ino;
    bool hold;
    int fail;
};

struct parked {
    struct wait *wait;
    enum fake_call call;
    struct inode_no ino;
};

struct engine {
    struct lock lock;
    struct cond parked_changed;
    const struct engine_listener *listener;
    struct fake_node **nodes; /* the row of nodes[i] is i + 1, its cookie i + FIRST_COOKIE */
    size_t count;
    struct rule rules[RULES_MAX];
    struct parked *parked;
    size_t parked_count;
    unsigned calls[CALLS];
    uint64_t generation;
    struct view_space space;
};

/* ---- what the tests do ---- */

struct engine *fake_create(void)
{
    struct engine *engine = alloc_zeroed(1, sizeof *engine);
    lock_init(&engine->lock, RANK_ENGINE, "fake engine");
    cond_init(&engine->parked_changed);
    engine->parked = alloc_zeroed(1024, sizeof *engine->parked);
    return engine;
}

void fake_destroy(struct engine *engine)
{
    ck_assert_uint_eq(engine->parked_count, 0);
    for (size_t i = 0; i < engine->count; i++) {
        if (engine->nodes[i]->body_fd >= 0) {
            (void)close(engine->nodes[i]->body_fd);
        }
        free(engine->nodes[i]);
    }
    free(engine->nodes);
    free(engine->parked);
    cond_finish(&engine->parked_changed);
    lock_finish(&engine->lock);
    free(engine);
}

static struct inode_no add(
    struct engine *engine, struct inode_no parent, const char *name, const char *text)
{
    struct fake_node *node = alloc_zeroed(1, sizeof *node);
    node->parent = parent;
    (void)snprintf(node->name, sizeof node->name, "%s", name);
    node->is_dir = text == NULL;
    node->body_fd = -1;
    if (text != NULL) {
        node->body_fd = memfd_create("body", MFD_CLOEXEC);
        node->body_len = (int64_t)strlen(text);
        ck_assert_int_eq(write(node->body_fd, text, strlen(text)), node->body_len);
    }
    lock_take(&engine->lock);
    engine->nodes = alloc_resize(engine->nodes, engine->count + 1, sizeof *engine->nodes);
    engine->nodes[engine->count++] = node;
    node->ino = inode_make(text == NULL ? INODE_MAILBOX : INODE_MESSAGE, (int64_t)engine->count);
    engine->generation++;
    lock_release(&engine->lock);
    return node->ino;
}

struct inode_no fake_add_mailbox(struct engine *engine, struct inode_no parent, const char *name)
{
    return add(engine, parent, name, NULL);
}

static struct fake_node *node_of(struct engine *engine, struct inode_no ino)
{
    int64_t row = inode_row(ino);
    if (row < 1 || (size_t)row > engine->count || engine->nodes[row - 1]->gone ||
        engine->nodes[row - 1]->ino.value != ino.value) {
        return NULL;
    }
    return engine->nodes[row - 1];
}

/* For the tests' own calls, which name what is there. */
static struct fake_node *known_node(struct engine *engine, struct inode_no ino)
{
    struct fake_node *node = node_of(engine, ino);
    if (node == NULL) {
        abort();
    }
    return node;
}

struct inode_no fake_add_message(struct engine *engine, struct inode_no parent, const char *name,
    const char *text, int64_t size_bytes)
{
    struct inode_no ino = add(engine, parent, name, text);
    lock_take(&engine->lock);
    known_node(engine, ino)->size_bytes = size_bytes;
    lock_release(&engine->lock);
    return ino;
}

void fake_remove(struct engine *engine, struct inode_no ino)
{
    lock_take(&engine->lock);
    struct fake_node *node = known_node(engine, ino);
    node->gone = true;
    engine->generation++;
    lock_release(&engine->lock);
    engine->listener->entry_changed(engine->listener->arg, node->parent, node->name, ino, true);
}

void fake_correct_size(struct engine *engine, struct inode_no ino)
{
    lock_take(&engine->lock);
    struct fake_node *node = known_node(engine, ino);
    node->size_bytes = node->body_len;
    lock_release(&engine->lock);
    engine->listener->inode_changed(engine->listener->arg, ino, true);
}

void fake_tell_entry(struct engine *engine, struct inode_no parent, const char *name)
{
    engine->listener->entry_changed(
        engine->listener->arg, parent, name, (struct inode_no){0}, false);
}

void fake_set_space(struct engine *engine, struct view_space space)
{
    lock_take(&engine->lock);
    engine->space = space;
    lock_release(&engine->lock);
}

static struct rule *rule_locked(struct engine *engine, enum fake_call call, struct inode_no ino)
{
    struct rule *unused = NULL;
    for (size_t i = 0; i < RULES_MAX; i++) {
        struct rule *rule = &engine->rules[i];
        if (rule->ino.value == ino.value && rule->call == call) {
            return rule;
        }
        if (rule->ino.value == 0 && unused == NULL) {
            unused = rule;
        }
    }
    ck_assert_ptr_nonnull(unused);
    unused->call = call;
    unused->ino = ino;
    return unused;
}

void fake_hold(struct engine *engine, enum fake_call call, struct inode_no ino)
{
    lock_take(&engine->lock);
    rule_locked(engine, call, ino)->hold = true;
    lock_release(&engine->lock);
}

void fake_fail(struct engine *engine, enum fake_call call, struct inode_no ino, int rc)
{
    lock_take(&engine->lock);
    rule_locked(engine, call, ino)->fail = rc;
    lock_release(&engine->lock);
}

static struct wait *take_parked_locked(
    struct engine *engine, enum fake_call call, struct inode_no ino)
{
    for (size_t i = 0; i < engine->parked_count; i++) {
        if (engine->parked[i].call == call && engine->parked[i].ino.value == ino.value) {
            struct wait *wait = engine->parked[i].wait;
            engine->parked[i] = engine->parked[--engine->parked_count];
            return wait;
        }
    }
    return NULL;
}

static void wake(
    struct engine *engine, enum fake_call call, struct inode_no ino, int result, bool hold)
{
    lock_take(&engine->lock);
    rule_locked(engine, call, ino)->hold = hold;
    engine->generation++;
    size_t bound = engine->parked_count; /* who parks again meanwhile waits on */
    for (size_t i = 0; i < bound; i++) {
        struct wait *wait = take_parked_locked(engine, call, ino);
        if (wait == NULL) {
            break;
        }
        lock_release(&engine->lock);
        wait->done(wait, result);
        lock_take(&engine->lock);
    }
    lock_release(&engine->lock);
}

void fake_release(struct engine *engine, enum fake_call call, struct inode_no ino, int result)
{
    wake(engine, call, ino, result, false);
}

void fake_wake(struct engine *engine, enum fake_call call, struct inode_no ino, int result)
{
    wake(engine, call, ino, result, true);
}

static unsigned parked_locked(const struct engine *engine, enum fake_call call, struct inode_no ino)
{
    unsigned count = 0;
    for (size_t i = 0; i < engine->parked_count; i++) {
        count += engine->parked[i].call == call && engine->parked[i].ino.value == ino.value;
    }
    return count;
}

bool fake_await_parked(
    struct engine *engine, enum fake_call call, struct inode_no ino, unsigned count)
{
    int64_t deadline_ms = deadline_in(60000);
    bool in_time = true;
    lock_take(&engine->lock);
    while (in_time && parked_locked(engine, call, ino) != count) {
        in_time = cond_wait(&engine->parked_changed, &engine->lock, deadline_ms);
    }
    lock_release(&engine->lock);
    return in_time;
}

unsigned fake_parked(struct engine *engine)
{
    lock_take(&engine->lock);
    unsigned count = (unsigned)engine->parked_count;
    lock_release(&engine->lock);
    return count;
}

unsigned fake_calls(struct engine *engine, enum fake_call call)
{
    lock_take(&engine->lock);
    unsigned count = engine->calls[call];
    lock_release(&engine->lock);
    return count;
}

/* ---- what fs calls ---- */

void engine_set_listener(struct engine *engine, const struct engine_listener *listener)
{
    engine->listener = listener;
}

/* 0, PARKED or the error that the test asked for. */
static int ask(struct engine *engine, enum fake_call call, struct inode_no ino, struct wait *wait)
{
    lock_take(&engine->lock);
    engine->calls[call]++;
    const struct rule *rule = rule_locked(engine, call, ino);
    int rc = rule->fail;
    if (rule->hold) {
        ck_assert_uint_lt(engine->parked_count, 1024);
        engine->parked[engine->parked_count++] = (struct parked){wait, call, ino};
        cond_wake_all(&engine->parked_changed);
        rc = PARKED;
    }
    lock_release(&engine->lock);
    return rc;
}

bool engine_cancel(struct engine *engine, struct wait *wait)
{
    bool found = false;
    lock_take(&engine->lock);
    for (size_t i = 0; i < engine->parked_count && !found; i++) {
        found = engine->parked[i].wait == wait;
        if (found) {
            engine->parked[i] = engine->parked[--engine->parked_count];
            cond_wake_all(&engine->parked_changed);
        }
    }
    lock_release(&engine->lock);
    return found;
}

int engine_freshen(
    struct engine *engine, struct inode_no dir, enum freshness freshness, struct wait *wait)
{
    (void)freshness;
    return ask(engine, FAKE_FRESHEN, dir, wait);
}

uint64_t engine_generation(struct engine *engine, struct inode_no dir)
{
    (void)dir;
    lock_take(&engine->lock);
    uint64_t generation = engine->generation;
    lock_release(&engine->lock);
    return generation;
}

int engine_more(struct engine *engine, struct inode_no dir, uint64_t seen, struct wait *wait)
{
    if (engine_generation(engine, dir) != seen) {
        return -EAGAIN;
    }
    return ask(engine, FAKE_MORE, dir, wait);
}

int engine_body(struct engine *engine, struct message_id id, int *ret_fd, int64_t *ret_size_bytes,
    struct wait *wait)
{
    struct inode_no ino = inode_make(INODE_MESSAGE, id.value);
    int rc = ask(engine, FAKE_BODY, ino, wait);
    if (rc != 0) {
        return rc;
    }
    lock_take(&engine->lock);
    const struct fake_node *node = node_of(engine, ino);
    if (node == NULL) {
        rc = -ESTALE;
    } else {
        *ret_fd = dup(node->body_fd);
        *ret_size_bytes = node->body_len;
    }
    lock_release(&engine->lock);
    return rc;
}

static void fill(struct node *ret, struct inode_no ino, bool is_dir, int64_t size_bytes)
{
    *ret = (struct node){.ino = ino,
        .is_dir = is_dir,
        .size_bytes = size_bytes,
        .mtime_s = MTIME_S,
        .nlink = is_dir ? 2 : 1};
}

/* The names that the mount itself serves. */
static int special_lookup(struct inode_no dir, const char *name, struct node *ret)
{
    static const char *const files[] = {"status", "status.json", "errors"};
    if (dir.value == INODE_ROOT.value && strcmp(name, ".imapfs") == 0) {
        fill(ret, inode_make(INODE_SPECIAL, SPECIAL_DIR), true, 0);
        return 0;
    }
    if (inode_kind(dir) == INODE_MAILBOX && strcmp(name, ".uid") == 0) {
        fill(ret, inode_make(INODE_UID_DIR, inode_row(dir)), true, 0);
        return 0;
    }
    for (int i = 0; dir.value == inode_make(INODE_SPECIAL, SPECIAL_DIR).value && i < 3; i++) {
        if (strcmp(name, files[i]) == 0) {
            fill(ret, inode_make(INODE_SPECIAL, SPECIAL_STATUS + i), false, 0);
            return 0;
        }
    }
    return -ENOENT;
}

/* .uid/N.eml is the message of row N here. */
static const struct fake_node *find_locked(
    struct engine *engine, struct inode_no dir, const char *name)
{
    if (inode_kind(dir) == INODE_UID_DIR) {
        return node_of(engine, inode_make(INODE_MESSAGE, strtol(name, NULL, 10)));
    }
    for (size_t i = 0; i < engine->count; i++) {
        const struct fake_node *node = engine->nodes[i];
        if (!node->gone && node->parent.value == dir.value && strcmp(node->name, name) == 0) {
            return node;
        }
    }
    return NULL;
}

int view_lookup(struct engine *engine, struct inode_no dir, const char *name, struct node *ret)
{
    if (special_lookup(dir, name, ret) == 0) {
        return 0;
    }
    lock_take(&engine->lock);
    const struct fake_node *node = find_locked(engine, dir, name);
    if (node != NULL) {
        fill(ret, node->ino, node->is_dir, node->size_bytes);
    }
    lock_release(&engine->lock);
    return node == NULL ? -ENOENT : 0;
}

int view_get(struct engine *engine, struct inode_no ino, struct node *ret)
{
    if (inode_kind(ino) == INODE_SPECIAL || inode_kind(ino) == INODE_UID_DIR) {
        fill(ret, ino, inode_kind(ino) == INODE_UID_DIR || inode_row(ino) < SPECIAL_STATUS, 0);
        return 0;
    }
    lock_take(&engine->lock);
    const struct fake_node *node = node_of(engine, ino);
    if (node != NULL) {
        fill(ret, ino, node->is_dir, node->size_bytes);
    }
    lock_release(&engine->lock);
    return node == NULL ? -ENOENT : 0;
}

int view_parent(struct engine *engine, struct inode_no dir, struct inode_no *ret)
{
    if (inode_kind(dir) == INODE_SPECIAL) {
        *ret = INODE_ROOT;
        return 0;
    }
    if (inode_kind(dir) == INODE_UID_DIR) {
        *ret = inode_make(INODE_MAILBOX, inode_row(dir));
        return 0;
    }
    lock_take(&engine->lock);
    const struct fake_node *node = node_of(engine, dir);
    if (node != NULL) {
        *ret = node->parent;
    }
    lock_release(&engine->lock);
    return node == NULL ? -ENOENT : 0;
}

int view_list(struct engine *engine, struct inode_no dir, uint64_t offset,
    int (*each)(void *arg, const char *name, const struct node *node, uint64_t next), void *arg,
    bool *ret_end)
{
    size_t first = offset == 0 ? 0 : (size_t)(offset - FIRST_COOKIE + 1);
    for (size_t i = first;; i++) {
        struct node found;
        char name[256];
        lock_take(&engine->lock);
        while (i < engine->count &&
               (engine->nodes[i]->gone || engine->nodes[i]->parent.value != dir.value)) {
            i++;
        }
        bool end = i >= engine->count;
        if (!end) {
            const struct fake_node *node = engine->nodes[i];
            fill(&found, node->ino, node->is_dir, node->size_bytes);
            memcpy(name, node->name, sizeof name);
        }
        lock_release(&engine->lock);
        *ret_end = end;
        if (end || each(arg, name, &found, (uint64_t)i + FIRST_COOKIE) != 0) {
            return 0;
        }
    }
}

int view_xattr(struct engine *engine, struct inode_no ino, const char *name, struct buf *ret)
{
    (void)engine;
    if (strcmp(name, "user.imap.flags") == 0 && inode_kind(ino) == INODE_MESSAGE) {
        buf_append_text(ret, "\\Seen \\Flagged");
        return 0;
    }
    if (strcmp(name, "user.imap.subject") == 0 && inode_kind(ino) == INODE_MESSAGE) {
        return 0; /* an empty one */
    }
    return -ENODATA;
}

int view_xattr_names(struct engine *engine, struct inode_no ino, struct buf *ret)
{
    (void)engine;
    if (inode_kind(ino) == INODE_MESSAGE) {
        buf_append(ret, "user.imap.flags", sizeof "user.imap.flags");
    }
    return 0;
}

int view_space(struct engine *engine, struct view_space *ret)
{
    lock_take(&engine->lock);
    *ret = engine->space;
    lock_release(&engine->lock);
    return 0;
}
