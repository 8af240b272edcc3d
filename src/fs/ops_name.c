#include "fs/fs_inside.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fs/parked.h"

/* A lookup that still misses after the engine said so often that the listing is fresh is answered
 * with what is known. */
enum { WAITS_MAX = 4 };

static void fill_entry(const struct fs *fs, const struct node *node, struct fuse_entry_param *ret)
{
    *ret = (struct fuse_entry_param){
        .ino = node->ino.value,
        .attr_timeout = LIFETIME_S,
        .entry_timeout = LIFETIME_S,
    };
    fs_fill_attr(fs, node, &ret->attr);
}

static bool is_uid_name(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && digits <= 10 && name[0] != '0' && strcmp(name + digits, ".eml") == 0;
}

/* Whether asking the server could bring the name: a mailbox or a message has no leading dot, so
 * what editors, shells and desktops probe for costs no wait. */
static bool could_come(struct inode_no dir, const char *name)
{
    switch (inode_kind(dir)) {
    case INODE_MESSAGE:
        return false;
    case INODE_SPECIAL:
        return dir.value == INODE_ROOT.value && name[0] != '.';
    case INODE_MAILBOX:
        return name[0] != '.';
    case INODE_UID_DIR:
        return is_uid_name(name);
    }
    return false;
}

/* Whether the request was answered: with the entry, or with an error other than ENOENT. */
static int look(struct op *op, bool *ret_answered)
{
    struct node node = {.ino = {0}};
    struct fuse_entry_param entry;
    int rc = view_lookup(op->fs->engine, op->ino, op->name, &node);
    *ret_answered = rc != -ENOENT;
    if (rc == -ENOENT) {
        return 0;
    }
    if (rc < 0) {
        return op_fail(op, -rc);
    }
    fill_entry(op->fs, &node, &entry);
    (void)fuse_reply_entry(op_request(op), &entry); /* forgetting needs no counting */
    op_finish(op);
    return 0;
}

/* The directory whose listing decides: the mailbox's own for its .uid. */
static int listed_dir(const struct op *op, struct inode_no *ret)
{
    if (inode_kind(op->ino) == INODE_UID_DIR) {
        return view_parent(op->fs->engine, op->ino, ret);
    }
    *ret = op->ino;
    return 0;
}

static int lookup_run(struct op *op)
{
    bool answered = false;
    if (op->waits > 0) {
        (void)look(op, &answered); /* always 0 */
        if (answered) {
            return 0;
        }
        if (op->result < 0 || op->waits >= WAITS_MAX) {
            return op_fail(op, op->result < 0 ? -op->result : ENOENT);
        }
    }
    struct inode_no dir = {0};
    int rc = listed_dir(op, &dir);
    if (rc == 0) {
        op->waits++;
        rc = engine_freshen(op->fs->engine, dir, FRESH_WHOLE, &op->wait);
    }
    if (rc == PARKED) {
        return PARKED;
    }
    (void)look(op, &answered); /* always 0 */
    return answered ? 0 : op_fail(op, rc < 0 ? -rc : ENOENT);
}

void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fs_of(req);
    struct inode_no dir = {parent};
    struct node node = {.ino = {0}};
    struct fuse_entry_param entry;
    if (strlen(name) > NAME_MAX_BYTES) {
        (void)fuse_reply_err(req, ENAMETOOLONG);
        return;
    }
    int rc = view_lookup(fs->engine, dir, name, &node);
    if (rc == 0) {
        fill_entry(fs, &node, &entry);
        (void)fuse_reply_entry(req, &entry); /* forgetting needs no counting */
        return;
    }
    if (rc != -ENOENT || !could_come(dir, name)) {
        (void)fuse_reply_err(req, -rc); /* not to be remembered: it may come any time */
        return;
    }
    struct op *op = op_create(req, dir, lookup_run, name);
    op->holds_dir = true;
    op_start(op);
}

void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct node node = {.ino = {0}};
    struct stat attr;
    (void)fi;
    int rc = view_get(fs->engine, (struct inode_no){ino}, &node);
    if (rc < 0) {
        (void)fuse_reply_err(req, -rc); /* who no longer listens needs no answer */
        return;
    }
    fs_fill_attr(fs, &node, &attr);
    (void)fuse_reply_attr(req, &attr, LIFETIME_S);
}
