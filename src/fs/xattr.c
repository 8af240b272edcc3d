#include "fs/fs_inside.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* A size of 0 asks how much there is. */
static void reply_value(fuse_req_t req, const struct buf *value, size_t size)
{
    if (size == 0) {
        (void)fuse_reply_xattr(req, value->len); /* who no longer listens needs no answer */
    } else if (value->len > size) {
        (void)fuse_reply_err(req, ERANGE);
    } else {
        (void)fuse_reply_buf(req, value->data, value->len);
    }
}

static int find_value(const struct fs *fs, struct inode_no ino, const char *name, struct buf *ret)
{
    if (!begins_with(name, "user.")) {
        return -ENOTSUP; /* ls, cp and getcap ask each file for security.* and system.* */
    }
    if (!begins_with(name, "user.imap.")) {
        return -ENODATA;
    }
    if (ino.value == INODE_ROOT.value && strcmp(name, "user.imap.control") == 0 &&
        fs->control_path != NULL) {
        buf_append_text(ret, fs->control_path);
        return 0;
    }
    return view_xattr(fs->engine, ino, name, ret);
}

void fs_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    CLEANUP(buf) struct buf value = BUF_INIT;
    int rc = find_value(fs_of(req), (struct inode_no){ino}, name, &value);
    if (rc < 0) {
        (void)fuse_reply_err(req, -rc); /* who no longer listens needs no answer */
        return;
    }
    reply_value(req, &value, size);
}

void fs_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    CLEANUP(buf) struct buf names = BUF_INIT;
    int rc = view_xattr_names(fs_of(req)->engine, (struct inode_no){ino}, &names);
    if (rc < 0) {
        (void)fuse_reply_err(req, -rc); /* who no longer listens needs no answer */
        return;
    }
    reply_value(req, &names, size);
}
