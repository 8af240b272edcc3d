/*
 * fs/parked.h - requests that may wait for the engine without a thread waiting for them.
 *
 * An operation is run; it answers its request, or the engine parks it and the thread goes on with
 * other requests. When the engine is done the operation is run again, by the thread that says so.
 * INTERRUPT answers it with EINTR at once, the end of the mount with ENOTCONN. Whoever owns an
 * operation answers it, so it is answered once:
 *
 *   state          owner                       leaves by
 *   OP_RUNNING     the thread that runs it     its answer: gone. Parked by the engine: OP_PARKED.
 *                                              Parked, but to be given up: OP_CANCELLING. `done`
 *                                              comes before the running thread returned: OP_WOKEN.
 *   OP_PARKED      the engine                  `done`: OP_RUNNING. To be given up: OP_CANCELLING
 *   OP_CANCELLING  the engine; one thread is   forgotten by the engine: OP_RUNNING, to answer.
 *                  in engine_cancel            `done` comes: OP_WOKEN. `done` is still to come:
 *                                              OP_PARKED, and gives it up when it comes
 *   OP_WOKEN       the thread that was         OP_RUNNING
 *                  running or cancelling
 *
 * Any thread. Nothing here waits but parked_settle.
 */
#ifndef IMAPFS_FS_PARKED_H
#define IMAPFS_FS_PARKED_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/fs_inside.h"

enum op_state { OP_RUNNING, OP_PARKED, OP_CANCELLING, OP_WOKEN };

struct op {
    struct wait wait; /* the first member: the engine's `done` brings it back */

    /* const after op_create; what a kind of operation does not need is zero */
    struct fs *fs;
    fuse_req_t req;
    /* Answers and returns 0, or returns PARKED when the engine has parked op->wait. */
    int (*run)(struct op *op);
    struct inode_no ino;
    bool holds_dir; /* the kernel keeps the directory `ino` locked until the answer */
    bool plus;
    size_t size;
    off_t off;
    struct fuse_file_info fi;

    /* thread: the owner's */
    int result;     /* of the last wait */
    unsigned waits; /* how often the engine was asked so far */
    uint64_t seen;

    /* guarded by the mount's lock */
    enum op_state state;
    bool interrupted;
    struct op *next;
    struct op *prev;

    char name[];
};

struct op *op_create(
    fuse_req_t req, struct inode_no ino, int (*run)(struct op *), const char *name) MUST_USE;
/* Runs it for the first time. The operation belongs to its run function and the engine from now on.
 */
void op_start(struct op *op);

/* The request, to be answered now, exactly once; no interrupt comes any more. Then op_finish. */
fuse_req_t op_request(struct op *op) MUST_USE;
/* Frees an operation whose request was answered. */
void op_finish(struct op *op);
/* Both, with an answer that is only an errno (positive; 0 is success). Returns 0 for `run`. */
int op_fail(struct op *op, int errnum);

/* Whether the kernel holds this directory's lock for a request that is waiting here: telling the
 * kernel about a name in it would then wait for that request. */
bool parked_hold(struct fs *fs, struct inode_no dir);
/* Gives up every operation that waits, and from now on each that would. */
void parked_give_up(struct fs *fs);
/* Waits until the last operation was answered; after parked_give_up. */
void parked_settle(struct fs *fs);

#endif
