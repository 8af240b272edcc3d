/* user.imap.*: what is known of a message or mailbox besides its bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/inside.h"
#include "engine/view.h"
#include "model/header.h"
#include "store/body.h"

static const char PREFIX[] = "user.imap.";
enum { DEPTH_MAX = 1024 };

void view_path(struct engine *engine, struct mailbox_id mailbox, struct buf *ret)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(g_free);
    while (mailbox.value != 0 && parts->len < DEPTH_MAX) {
        struct mailbox_row row;
        if (store_mailbox_get(engine->store, mailbox, &row, NULL) != 0) {
            break;
        }
        g_ptr_array_add(parts, g_strdup(row.component));
        mailbox = row.parent;
        mailbox_row_finish(&row);
    }
    for (guint i = parts->len; i-- > 0;) {
        buf_append_text(ret, parts->pdata[i]);
        if (i > 0) {
            buf_append_char(ret, '/');
        }
    }
    g_ptr_array_free(parts, TRUE);
}

/* ---- messages
 * ---------------------------------------------------------------------------------------- */

/* What a message's attributes are made of: filled during the index's call, used after it. */
struct message_facts {
    const char *name; /* without the prefix */
    struct buf *ret;
    struct mailbox_id mailbox;
    bool found;
};

static bool add_decoded(struct buf *ret, const char *value)
{
    if (value[0] == '\0') {
        return false;
    }
    char *text = header_decode(value);
    buf_append_text(ret, text);
    free(text);
    return true;
}

static bool add_raw(struct buf *ret, const char *value)
{
    buf_append_text(ret, value);
    return value[0] != '\0';
}

static int read_message(void *arg, const struct message_row *row)
{
    struct message_facts *facts = arg;
    const char *name = facts->name;
    facts->mailbox = row->mailbox;
    facts->found = true;
    if (strcmp(name, "flags") == 0) {
        buf_append_text(facts->ret, row->flags);
    } else if (strcmp(name, "uid") == 0) {
        buf_printf(facts->ret, "%u", row->uid.value);
    } else if (strcmp(name, "uidvalidity") == 0) {
        buf_printf(facts->ret, "%u", row->uidvalidity);
    } else if (strcmp(name, "message_id") == 0) {
        facts->found = add_raw(facts->ret, row->message_id);
    } else if (strcmp(name, "date") == 0) {
        facts->found = add_raw(facts->ret, row->date);
    } else if (strcmp(name, "subject") == 0) {
        facts->found = add_decoded(facts->ret, row->subject);
    } else if (strcmp(name, "from") == 0) {
        facts->found = add_decoded(facts->ret, row->from);
    } else {
        facts->found = false;
    }
    return 0;
}

/* Whether the name needs the header's values. */
static bool is_detail(const char *name)
{
    static const char *const details[] = {"message_id", "date", "subject", "from"};
    for (size_t i = 0; i < G_N_ELEMENTS(details); i++) {
        if (strcmp(name, details[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int message_xattr(
    struct engine *engine, struct message_id id, const char *name, struct buf *ret)
{
    struct message_facts facts = {.name = name, .ret = ret};
    int rc = store_message_get(engine->store, id, is_detail(name), read_message, &facts, NULL);
    if (rc != 0) {
        return rc == -ENOENT ? rc : -EIO;
    }
    if (strcmp(name, "mailbox") == 0) {
        view_path(engine, facts.mailbox, ret);
        return 0;
    }
    if (strcmp(name, "cached") == 0) {
        buf_append_char(ret, store_body_has(engine->store, id) ? '1' : '0');
        return 0;
    }
    return facts.found ? 0 : -ENODATA;
}

/* ---- mailboxes
 * --------------------------------------------------------------------------------------- */

static int row_xattr(const struct mailbox_row *row, const char *name, struct buf *ret)
{
    if (strcmp(name, "special_use") == 0) {
        return add_raw(ret, row->special_use) ? 0 : -ENODATA;
    }
    if (strcmp(name, "subscribed") == 0) {
        buf_append_char(ret, row->subscribed ? '1' : '0');
        return 0;
    }
    if (row->uidvalidity == 0) { /* the rest is known from the first synchronisation on */
        return -ENODATA;
    }
    if (strcmp(name, "messages") == 0) {
        buf_printf(ret, "%u", row->messages);
    } else if (strcmp(name, "unseen") == 0) {
        buf_printf(ret, "%u", row->unseen);
    } else if (strcmp(name, "uidvalidity") == 0) {
        buf_printf(ret, "%u", row->uidvalidity);
    } else {
        return -ENODATA;
    }
    return 0;
}

static int mailbox_xattr(
    struct engine *engine, struct mailbox_id id, const char *name, struct buf *ret)
{
    struct mailbox_row row;
    if (id.value == 0) {
        return -ENODATA;
    }
    if (strcmp(name, "mailbox") == 0) {
        view_path(engine, id, ret);
        return 0;
    }
    int rc = store_mailbox_get(engine->store, id, &row, NULL);
    if (rc != 0) {
        return rc == -ENOENT ? rc : -EIO;
    }
    rc = row_xattr(&row, name, ret);
    mailbox_row_finish(&row);
    return rc;
}

int view_xattr(struct engine *engine, struct inode_no ino, const char *name, struct buf *ret)
{
    struct mailbox_id mailbox = {0};
    if (strncmp(name, PREFIX, sizeof PREFIX - 1) != 0) {
        return -ENODATA;
    }
    name += sizeof PREFIX - 1;
    if (inode_kind(ino) == INODE_MESSAGE) {
        return message_xattr(engine, (struct message_id){inode_row(ino)}, name, ret);
    }
    if (inode_kind(ino) == INODE_UID_DIR || dir_mailbox(engine, ino, &mailbox) != 0) {
        return -ENODATA;
    }
    return mailbox_xattr(engine, mailbox, name, ret);
}

int view_xattr_names(struct engine *engine, struct inode_no ino, struct buf *ret)
{
    static const char flags[] = "user.imap.flags";
    (void)engine; /* which names there are depends on nothing but the kind */
    if (inode_kind(ino) == INODE_MESSAGE) {
        buf_append(ret, flags, sizeof flags);
    }
    return 0;
}
