#include "fs/fs_inside.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fs/parked.h"

/*
 * Positions in a directory: 0 is before ".", 1 before "..", 2 before the first entry; the engine's
 * own are 4 and more.
 */
enum { OFF_DOT = 1, OFF_DOT_DOT = 2, OFF_FIRST_OF_ENGINE = 4 };

/* So often may a listing go on without one entry more before it is given up. */
enum { WAITS_MAX = 10000, PAGES_MAX = 100 };

struct page {
    struct fs *fs;
    fuse_req_t req;
    bool plus;
    char *data;
    size_t size;
    size_t len;
};

/* Non-zero: there is no room left. */
static int page_add(struct page *page, const char *name, const struct node *node, uint64_t next)
{
    bool is_dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    size_t room = page->size - page->len;
    size_t need;
    if (page->plus) {
        struct fuse_entry_param entry = {
            /* the kernel looks the dots up by itself */
            .ino = is_dots ? 0 : node->ino.value,
            .attr_timeout = LIFETIME_S,
            .entry_timeout = LIFETIME_S,
        };
        fs_fill_attr(page->fs, node, &entry.attr);
        need = fuse_add_direntry_plus(
            page->req, page->data + page->len, room, name, &entry, (off_t)next);
    } else {
        struct stat attr;
        fs_fill_attr(page->fs, node, &attr);
        need = fuse_add_direntry(page->req, page->data + page->len, room, name, &attr, (off_t)next);
    }
    if (need > room) {
        return 1;
    }
    page->len += need;
    return 0;
}

static int page_add_each(void *arg, const char *name, const struct node *node, uint64_t next)
{
    return page_add(arg, name, node, next);
}

static int add_dots(struct page *page, struct inode_no dir, uint64_t *off)
{
    struct node here = {.ino = dir, .is_dir = true};
    struct node above = {.ino = dir, .is_dir = true};
    if (*off >= OFF_DOT_DOT) {
        return 0;
    }
    int rc = view_parent(page->fs->engine, dir, &above.ino);
    if (rc < 0) {
        return rc;
    }
    if (*off < OFF_DOT) {
        if (page_add(page, ".", &here, OFF_DOT) != 0) {
            return 0;
        }
        *off = OFF_DOT;
    }
    if (page_add(page, "..", &above, OFF_DOT_DOT) == 0) {
        *off = OFF_DOT_DOT;
    }
    return 0;
}

/* .imapfs: a handful of files that never change, so the position is simply their number. */
static int list_special(struct page *page, struct inode_no dir, uint64_t off)
{
    static const char *const names[] = {"status", "status.json", "errors"};
    uint64_t first = off < OFF_FIRST_OF_ENGINE ? 0 : off - OFF_FIRST_OF_ENGINE;
    for (uint64_t i = first; i < sizeof names / sizeof names[0]; i++) {
        struct node node = {.ino = {0}};
        int rc = view_lookup(page->fs->engine, dir, names[i], &node);
        if (rc == -ENOENT) {
            continue;
        }
        if (rc < 0) {
            return rc;
        }
        if (page_add(page, names[i], &node, OFF_FIRST_OF_ENGINE + i + 1) != 0) {
            break;
        }
    }
    return 0;
}

/* Whether the directory lists mailboxes and messages, which come from the server. */
static bool is_listed(struct inode_no dir)
{
    return dir.value == INODE_ROOT.value || inode_kind(dir) == INODE_MAILBOX;
}

static int fill_page(struct page *page, struct inode_no dir, uint64_t off)
{
    int rc = add_dots(page, dir, &off);
    if (rc < 0 || off < OFF_DOT_DOT) {
        return rc;
    }
    if (inode_kind(dir) == INODE_UID_DIR) {
        return 0; /* each message was seen in the mailbox already */
    }
    if (!is_listed(dir)) {
        return list_special(page, dir, off);
    }
    bool end = false;
    return view_list(
        page->fs->engine, dir, off < OFF_FIRST_OF_ENGINE ? 0 : off, page_add_each, page, &end);
}

static int reply_page(struct op *op, const struct page *page)
{
    (void)fuse_reply_buf(op_request(op), page->data, page->len); /* the kernel asks again */
    op_finish(op);
    return 0;
}

/* Fills pages until one has entries, the listing is at its end, or it has to wait. */
static int readdir_pages(struct op *op, struct page *page)
{
    for (int i = 0; i < PAGES_MAX; i++) {
        uint64_t seen = is_listed(op->ino) ? engine_generation(op->fs->engine, op->ino) : 0;
        int rc = fill_page(page, op->ino, (uint64_t)op->off);
        if (page->len > 0) {
            return reply_page(op, page); /* an error shows again behind these entries */
        }
        if (rc < 0) {
            return op_fail(op, -rc);
        }
        if (!is_listed(op->ino)) {
            return reply_page(op, page);
        }
        op->waits++;
        rc = engine_more(op->fs->engine, op->ino, seen, &op->wait);
        if (rc == PARKED) {
            return PARKED;
        }
        if (rc == 0) {
            return reply_page(op, page); /* empty: the end */
        }
        if (rc != -EAGAIN) {
            return op_fail(op, -rc);
        }
    }
    return op_fail(op, EIO);
}

static int readdir_run(struct op *op)
{
    if (op->waits > WAITS_MAX) {
        return op_fail(op, EIO);
    }
    if (op->waits > 0 && op->result < 0 && op->result != -EAGAIN) {
        return op_fail(op, -op->result);
    }
    struct page page = {.fs = op->fs, .req = op->req, .plus = op->plus, .size = op->size};
    CLEANUP(free) char *data = alloc_zeroed(1, op->size);
    page.data = data;
    return readdir_pages(op, &page);
}

static void start_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
    struct op *op = op_create(req, (struct inode_no){ino}, readdir_run, NULL);
    op->holds_dir = true;
    op->size = size;
    op->off = off;
    op->plus = plus;
    op_start(op);
}

void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)fi;
    start_readdir(req, ino, size, off, false);
}

void fs_readdirplus(
    fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
    (void)fi;
    start_readdir(req, ino, size, off, true);
}

static int opendir_run(struct op *op)
{
    int rc = 0;
    if (op->waits > 0) {
        rc = op->result;
    } else {
        op->waits++;
        rc = engine_freshen(op->fs->engine, op->ino, FRESH_BEGUN, &op->wait);
        if (rc == PARKED) {
            return PARKED;
        }
    }
    if (rc < 0) {
        return op_fail(op, -rc);
    }
    (void)fuse_reply_open(op_request(op), &op->fi); /* there is nothing to give back */
    op_finish(op);
    return 0;
}

void fs_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct inode_no dir = {ino};
    if (!is_listed(dir)) {
        (void)fuse_reply_open(req, fi); /* there is nothing to give back */
        return;
    }
    struct op *op = op_create(req, dir, opendir_run, NULL);
    op->fi = *fi;
    op_start(op);
}
