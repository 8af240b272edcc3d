/* An engine over a real store in a directory of its own and the server in memory. */
#ifndef ENGINE_MOUNT_H
#define ENGINE_MOUNT_H

#include <stdbool.h>

#include "engine/engine.h"
#include "fake_pool.h"

struct mount {
    char dir[64];
    struct store *store;
    struct pool *pool;
    struct log *log;
    struct engine *engine;
    struct engine_options options;
};

/* Server and directory; the engine is made by mount_start. max_age 0, 60 s of patience. */
void mount_init(struct mount *mount);
/* Opens store and engine and lists the mailboxes; the errno of engine_start. */
int mount_try_start(struct mount *mount, struct err *why);
void mount_start(struct mount *mount);
/* Ends engine and store; the server and the directory stay. */
void mount_stop(struct mount *mount);
void mount_finish(struct mount *mount);

/* A wait that a test awaits. */
struct awaited {
    struct wait wait; /* the first member */
    unsigned done;    /* how often; read through the functions only */
    int result;
};
void awaited_init(struct awaited *awaited);
/* Waits for done, however long it takes, and gives its result. */
int awaited_result(struct awaited *awaited);
unsigned awaited_times(struct awaited *awaited);

/* The inode of a path from the root ("" is the root); 0 when there is none. */
struct inode_no mount_at(struct mount *mount, const char *path);
/* Makes the directory fresh, waiting for it. */
int mount_freshen(struct mount *mount, const char *path);
/* Makes the root fresh until the server was asked for its mailboxes once more: a list that took
 * some time counts as fresh for a while whatever max_age says. */
void mount_relist(struct mount *mount);
/* Makes it fresh and lists it: names with a space between, in the order of the list; or "!<errno>".
 * Freed by the caller. */
char *mount_ls(struct mount *mount, const char *path);
/* Without asking for freshness. */
char *mount_known(struct mount *mount, const char *path);
unsigned mount_count(struct mount *mount, const char *path);
/* The body of a message: its text, freed by the caller, or NULL and the negative errno. */
char *mount_read(struct mount *mount, struct inode_no ino, int *ret_errno);
/* The same by "mailbox/.uid/7.eml". */
char *mount_read_path(struct mount *mount, const char *path, int *ret_errno);
/* An xattr as text, or "!<errno>". */
char *mount_xattr(struct mount *mount, const char *path, const char *name);
/* All noted errors with a line end each. */
char *mount_errors(struct mount *mount);

#define assert_text(taken, expected)                                                               \
    do {                                                                                           \
        char *taken_text = (taken);                                                                \
        ck_assert_str_eq(taken_text, (expected));                                                  \
        free(taken_text);                                                                          \
    } while (0)

#endif
