#include "fs/parked.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "fs/notify.h"

static void set_state_locked(const struct fs *fs, struct op *op, enum op_state state)
    REQUIRES(fs->lock)
{
    lock_assert_held(&fs->lock);
    switch (op->state) {
    case OP_RUNNING:
        assert(state == OP_PARKED || state == OP_CANCELLING || state == OP_WOKEN);
        break;
    case OP_PARKED:
        assert(state == OP_RUNNING || state == OP_CANCELLING);
        break;
    case OP_CANCELLING:
        assert(state == OP_RUNNING || state == OP_WOKEN || state == OP_PARKED);
        break;
    case OP_WOKEN:
        assert(state == OP_RUNNING);
        break;
    }
    op->state = state;
}

/* The errno an operation is to be given up with, or 0. */
static int given_up_locked(const struct fs *fs, const struct op *op) REQUIRES(fs->lock)
{
    lock_assert_held(&fs->lock);
    if (fs->draining) {
        return ENOTCONN;
    }
    return op->interrupted ? EINTR : 0;
}

/*
 * Takes an operation in OP_CANCELLING back from the engine. True: it is the caller's and to be
 * answered. False: `done` is still to come; nothing of it may be touched any more.
 */
static bool take_back(struct op *op)
{
    struct fs *fs = op->fs;
    lock_assert_none_held();
    bool forgotten = engine_cancel(fs->engine, &op->wait);
    lock_take(&fs->lock);
    bool ours = forgotten || op->state == OP_WOKEN;
    set_state_locked(fs, op, ours ? OP_RUNNING : OP_PARKED);
    lock_release(&fs->lock);
    return ours;
}

/* Runs an operation that is the caller's until it is answered or parked. */
static void go(struct op *op)
{
    struct fs *fs = op->fs;
    for (;;) {
        lock_take(&fs->lock);
        int errnum = given_up_locked(fs, op);
        lock_release(&fs->lock);
        if (errnum != 0) {
            (void)op_fail(op, errnum); /* always 0 */
            return;
        }
        lock_assert_none_held();
        if (op->run(op) != PARKED) {
            return;
        }
        lock_take(&fs->lock);
        errnum = given_up_locked(fs, op);
        bool again = op->state == OP_WOKEN;
        if (again) {
            set_state_locked(fs, op, OP_RUNNING);
        } else {
            set_state_locked(fs, op, errnum == 0 ? OP_PARKED : OP_CANCELLING);
        }
        lock_release(&fs->lock);
        if (again) {
            continue;
        }
        if (errnum == 0 || !take_back(op)) {
            return;
        }
    }
}

static void on_done(struct wait *wait, int result)
{
    struct op *op = (struct op *)wait;
    struct fs *fs = op->fs;
    lock_take(&fs->lock);
    op->result = result;
    bool ours = op->state == OP_PARKED;
    set_state_locked(fs, op, ours ? OP_RUNNING : OP_WOKEN);
    lock_release(&fs->lock);
    if (ours) {
        go(op);
    }
}

static void unlink_op(struct op *op)
{
    struct fs *fs = op->fs;
    lock_take(&fs->lock);
    if (op->prev != NULL) {
        op->prev->next = op->next;
    } else {
        fs->ops = op->next;
    }
    if (op->next != NULL) {
        op->next->prev = op->prev;
    }
    if (op->holds_dir && op->waits > 0) {
        notify_dir_released(fs->notify);
    }
    if (fs->ops == NULL) {
        cond_wake_all(&fs->all_settled);
    }
    lock_release(&fs->lock); /* the mount may be gone when this returns */
}

/*
 * libfuse calls this with the request's own lock held: from INTERRUPT, where the request lives on
 * until we return, so that it may be answered here; or from fuse_req_interrupt_func in op_start,
 * where it may not, and where the operation is running.
 */
static void on_interrupt(fuse_req_t req, void *data)
{
    struct op *op = data;
    struct fs *fs = op->fs;
    lock_take(&fs->lock);
    op->interrupted = true;
    bool parked = op->state == OP_PARKED;
    if (parked) {
        set_state_locked(fs, op, OP_CANCELLING);
    }
    lock_release(&fs->lock);
    if (parked && take_back(op)) {
        /* not op_request(): taking the callback off would wait for this very callback */
        (void)fuse_reply_err(req, EINTR); /* who no longer listens needs no answer */
        op_finish(op);
    }
}

struct op *op_create(fuse_req_t req, struct inode_no ino, int (*run)(struct op *), const char *name)
{
    size_t name_size = name == NULL ? 1 : strlen(name) + 1;
    struct op *op = alloc_zeroed(1, sizeof *op + name_size);
    op->wait.done = on_done;
    op->fs = fs_of(req);
    op->req = req;
    op->run = run;
    op->ino = ino;
    op->state = OP_RUNNING;
    if (name != NULL) {
        memcpy(op->name, name, name_size);
    }
    return op;
}

void op_start(struct op *op)
{
    struct fs *fs = op->fs;
    lock_take(&fs->lock);
    op->next = fs->ops;
    if (fs->ops != NULL) {
        fs->ops->prev = op;
    }
    fs->ops = op;
    lock_release(&fs->lock);
    fuse_req_interrupt_func(op->req, on_interrupt, op);
    go(op);
}

fuse_req_t op_request(struct op *op)
{
    lock_assert_none_held();
    /* waits for a callback that is under way: it must not find the operation freed */
    fuse_req_interrupt_func(op->req, NULL, NULL);
    return op->req;
}

void op_finish(struct op *op)
{
    unlink_op(op);
    free(op);
}

int op_fail(struct op *op, int errnum)
{
    (void)fuse_reply_err(op_request(op), errnum); /* who no longer listens needs no answer */
    op_finish(op);
    return 0;
}

bool parked_hold(struct fs *fs, struct inode_no dir)
{
    bool found = false;
    lock_take(&fs->lock);
    for (const struct op *op = fs->ops; op != NULL && !found; op = op->next) {
        found = op->holds_dir && op->ino.value == dir.value;
    }
    lock_release(&fs->lock);
    return found;
}

/* One operation that is parked, now being cancelled by the caller; NULL: there is none. */
static struct op *pick_parked_locked(struct fs *fs) REQUIRES(fs->lock)
{
    for (struct op *op = fs->ops; op != NULL; op = op->next) {
        if (op->state == OP_PARKED && !op->interrupted) {
            op->interrupted = true; /* so that it is picked once, even if `done` is still to come */
            set_state_locked(fs, op, OP_CANCELLING);
            return op;
        }
    }
    return NULL;
}

void parked_give_up(struct fs *fs)
{
    lock_take(&fs->lock);
    fs->draining = true;
    for (;;) {
        struct op *op = pick_parked_locked(fs);
        if (op == NULL) {
            break;
        }
        lock_release(&fs->lock);
        if (take_back(op)) {
            (void)op_fail(op, ENOTCONN); /* always 0 */
        }
        lock_take(&fs->lock);
    }
    lock_release(&fs->lock);
}

void parked_settle(struct fs *fs)
{
    lock_take(&fs->lock);
    while (fs->ops != NULL) {
        (void)cond_wait(&fs->all_settled, &fs->lock, DEADLINE_NEVER); /* the list is asked again */
    }
    lock_release(&fs->lock);
}
