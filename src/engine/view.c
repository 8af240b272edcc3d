/* What is seen: from the index and the tree in memory only, never from the server. */
#include "engine/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/inside.h"
#include "model/file_name.h"

static const char UID_DIR_NAME[] = ".uid";
static const char MOUNT_DIR_NAME[] = ".imapfs";
enum { DIR_SIZE = 4096, PAGE = 64 };

/* An offset is the id of the entry and what kind it is: valid as long as ids are. */
enum phase { PHASE_MAILBOX = 1, PHASE_MESSAGE = 2 };

static uint64_t offset_of(int64_t id, enum phase phase)
{
    return ((uint64_t)id << 2) | (uint64_t)phase;
}

static const struct {
    const char *name;
    enum special_node node;
} MOUNT_FILES[] = {
    {"status", SPECIAL_STATUS}, {"status.json", SPECIAL_STATUS_JSON}, {"errors", SPECIAL_ERRORS}};

/* ---- nodes
 * ------------------------------------------------------------------------------------------- */

static int64_t changed_s(struct engine *engine, struct mailbox_id mailbox)
{
    char name[48];
    char value[32] = "";
    lock_take(&engine->lock);
    const struct mailbox_state *state = state_get(engine, mailbox);
    bool known = state->changed_known;
    int64_t at_s = state->changed_s;
    lock_release(&engine->lock);
    if (known) {
        return at_s;
    }
    (void)snprintf(name, sizeof name, "changed.%lld", (long long)mailbox.value);
    if (store_fact_get(engine->store, name, value, sizeof value, NULL) != 0) {
        return 0;
    }
    at_s = g_ascii_strtoll(value, NULL, 10);
    lock_take(&engine->lock);
    struct mailbox_state *again = state_get(engine, mailbox);
    if (!again->changed_known) {
        again->changed_known = true;
        again->changed_s = at_s;
    }
    lock_release(&engine->lock);
    return at_s;
}

static struct node dir_node(struct inode_no ino, uint32_t children, int64_t mtime_s)
{
    return (struct node){.ino = ino,
        .is_dir = true,
        .size_bytes = DIR_SIZE,
        .mtime_s = mtime_s,
        .nlink = 2 + children};
}

static struct node mailbox_node(struct engine *engine, const struct tree_entry *entry)
{
    struct mailbox_id mailbox = {entry->id};
    return dir_node(dir_inode(engine, mailbox), entry->children, changed_s(engine, mailbox));
}

static struct node mount_file_node(enum special_node node)
{
    return (struct node){.ino = inode_make(INODE_SPECIAL, node), .nlink = 1};
}

static struct node message_node(const struct message_row *row)
{
    return (struct node){
        .ino = inode_make(INODE_MESSAGE, row->id.value),
        .size_bytes = row->size_bytes,
        .mtime_s = row->internaldate_s,
        .nlink = 1,
    };
}

static int fill_node(void *arg, const struct message_row *row)
{
    struct node *node = arg;
    *node = message_node(row);
    return 0;
}

static int count_child(gpointer value)
{
    const struct tree_entry *entry = value;
    return entry->visible && entry->parent == 0;
}

static int root_node(struct engine *engine, struct node *ret)
{
    lock_take(&engine->lock);
    struct mailbox_id root = engine->root;
    bool gone = engine->root_gone;
    uint32_t children = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, engine->tree);
    while (root.value == 0 && !gone && g_hash_table_iter_next(&iter, NULL, &value)) {
        children += (uint32_t)count_child(value);
    }
    lock_release(&engine->lock);
    struct tree_entry entry;
    if (root.value != 0 && tree_entry(engine, root, &entry)) {
        *ret = mailbox_node(engine, &entry);
        return 0;
    }
    *ret = dir_node(INODE_ROOT, children, 0);
    return 0;
}

/* The index's failures are the disk's. */
static int view_errno(int rc)
{
    return rc == 0 || rc == -ENOENT ? rc : -EIO;
}

/* ---- lookup
 * ------------------------------------------------------------------------------------------ */

static int lookup_mount_dir(const char *name, struct node *ret)
{
    for (size_t i = 0; i < G_N_ELEMENTS(MOUNT_FILES); i++) {
        if (strcmp(name, MOUNT_FILES[i].name) == 0) {
            *ret = mount_file_node(MOUNT_FILES[i].node);
            return 0;
        }
    }
    return -ENOENT;
}

static int lookup_uid(
    struct engine *engine, struct mailbox_id mailbox, const char *name, struct node *ret)
{
    struct imap_uid uid = {file_name_uid(name)};
    if (uid.value == 0) {
        return -ENOENT;
    }
    return view_errno(store_message_by_uid(engine->store, mailbox, uid, fill_node, ret, NULL));
}

static bool shows_messages(struct engine *engine, struct mailbox_id mailbox)
{
    struct tree_entry entry;
    return tree_entry(engine, mailbox, &entry) && entry.chosen && entry.selectable;
}

static int lookup_mailbox(
    struct engine *engine, struct mailbox_id parent, const char *name, struct node *ret)
{
    struct mailbox_row row;
    struct tree_entry entry;
    int rc = store_mailbox_child(engine->store, parent, name, &row, NULL);
    if (rc != 0) {
        return view_errno(rc);
    }
    struct mailbox_id id = row.id;
    mailbox_row_finish(&row);
    if (!tree_entry(engine, id, &entry) || !entry.visible) {
        return -ENOENT;
    }
    *ret = mailbox_node(engine, &entry);
    return 0;
}

static int lookup_in_mailbox(
    struct engine *engine, struct mailbox_id mailbox, const char *name, struct node *ret)
{
    if (mailbox.value != 0 && strcmp(name, UID_DIR_NAME) == 0 && shows_messages(engine, mailbox)) {
        *ret = dir_node(inode_make(INODE_UID_DIR, mailbox.value), 0, 0);
        return 0;
    }
    if (!file_name_is_message(name)) { /* no mailbox's component ends like a message's */
        return lookup_mailbox(engine, mailbox, name, ret);
    }
    if (mailbox.value == 0 || !shows_messages(engine, mailbox)) {
        return -ENOENT;
    }
    return view_errno(store_message_by_name(engine->store, mailbox, name, fill_node, ret, NULL));
}

int view_lookup(struct engine *engine, struct inode_no dir, const char *name, struct node *ret)
{
    struct mailbox_id mailbox = {0};
    int rc = dir_mailbox(engine, dir, &mailbox);
    if (rc == DIR_OF_MOUNT) {
        return lookup_mount_dir(name, ret);
    }
    if (dir.value == INODE_ROOT.value && strcmp(name, MOUNT_DIR_NAME) == 0) {
        *ret = dir_node(inode_make(INODE_SPECIAL, SPECIAL_DIR), 0, 0);
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    if (inode_kind(dir) == INODE_UID_DIR) {
        return lookup_uid(engine, mailbox, name, ret);
    }
    return lookup_in_mailbox(engine, mailbox, name, ret);
}

/* ---- get, parent
 * ---------------------------------------------------------------------------------------- */

static int get_special(struct engine *engine, int64_t row, struct node *ret)
{
    if (row == SPECIAL_ROOT) {
        return root_node(engine, ret);
    }
    if (row == SPECIAL_DIR) {
        *ret = dir_node(inode_make(INODE_SPECIAL, SPECIAL_DIR), 0, 0);
        return 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(MOUNT_FILES); i++) {
        if ((int64_t)MOUNT_FILES[i].node == row) {
            *ret = mount_file_node(MOUNT_FILES[i].node);
            return 0;
        }
    }
    return -ENOENT;
}

int view_get(struct engine *engine, struct inode_no ino, struct node *ret)
{
    int64_t row = inode_row(ino);
    struct tree_entry entry;
    switch (inode_kind(ino)) {
    case INODE_SPECIAL:
        return get_special(engine, row, ret);
    case INODE_MESSAGE:
        return view_errno(store_message_get(
            engine->store, (struct message_id){row}, false, fill_node, ret, NULL));
    case INODE_MAILBOX:
        if (!tree_entry(engine, (struct mailbox_id){row}, &entry) || !entry.visible) {
            return -ENOENT;
        }
        *ret = mailbox_node(engine, &entry);
        return 0;
    case INODE_UID_DIR:
        if (!shows_messages(engine, (struct mailbox_id){row})) {
            return -ENOENT;
        }
        *ret = dir_node(ino, 0, 0);
        return 0;
    }
    return -ENOENT;
}

int view_parent(struct engine *engine, struct inode_no dir, struct inode_no *ret)
{
    struct tree_entry entry;
    struct mailbox_id mailbox = {inode_row(dir)};
    switch (inode_kind(dir)) {
    case INODE_MESSAGE:
        return -ENOTDIR;
    case INODE_SPECIAL:
        *ret = INODE_ROOT;
        return 0;
    case INODE_UID_DIR:
        *ret = dir_inode(engine, mailbox);
        return 0;
    case INODE_MAILBOX:
        break;
    }
    if (!tree_entry(engine, mailbox, &entry)) {
        return -ENOENT;
    }
    *ret = dir_inode(engine, (struct mailbox_id){entry.parent});
    return 0;
}

/* ---- listing
 * ---------------------------------------------------------------------------------------------- */

struct lister {
    int (*each)(void *arg, const char *name, const struct node *node, uint64_t next);
    void *arg;
    bool stopped;
    int64_t last; /* the id seen last */
    size_t seen;  /* of this page */
};

struct page {
    int64_t ids[PAGE];
    char names[PAGE][MAILBOX_NAME_SIZE];
    size_t count;
};

static int collect(void *arg, const struct mailbox_row *row)
{
    struct page *page = arg;
    page->ids[page->count] = row->id.value;
    (void)g_strlcpy(page->names[page->count], row->component, sizeof page->names[0]);
    page->count++;
    return page->count == PAGE;
}

static void give_page(struct engine *engine, const struct page *page, struct lister *lister)
{
    struct tree_entry entry;
    for (size_t i = 0; i < page->count && !lister->stopped; i++) {
        if (!tree_entry(engine, (struct mailbox_id){page->ids[i]}, &entry) || !entry.visible) {
            continue;
        }
        struct node node = mailbox_node(engine, &entry);
        lister->stopped = lister->each(lister->arg, page->names[i], &node,
                              offset_of(page->ids[i], PHASE_MAILBOX)) != 0;
    }
}

static int list_mailboxes(
    struct engine *engine, struct mailbox_id parent, int64_t after, struct lister *lister)
{
    struct page *page = g_new(struct page, 1);
    int rc = 0;
    do {
        page->count = 0;
        rc = store_mailbox_children(
            engine->store, parent, (struct mailbox_id){after}, collect, page, NULL);
        if (rc == 0 && page->count > 0) {
            after = page->ids[page->count - 1];
            give_page(engine, page, lister);
        }
    } while (rc == 0 && !lister->stopped && page->count == PAGE);
    g_free(page);
    return rc;
}

static int give_message(void *arg, const struct message_row *row)
{
    struct lister *lister = arg;
    struct node node = message_node(row);
    lister->stopped =
        lister->each(lister->arg, row->name, &node, offset_of(row->id.value, PHASE_MESSAGE)) != 0;
    lister->last = row->id.value;
    lister->seen++;
    return lister->stopped;
}

static int list_messages(
    struct engine *engine, struct mailbox_id mailbox, int64_t after, struct lister *lister)
{
    enum { MESSAGES = 512 };
    int rc = 0;
    lister->last = after;
    do {
        lister->seen = 0;
        rc = store_message_page(engine->store, mailbox, (struct message_id){lister->last}, MESSAGES,
            give_message, lister, NULL);
    } while (rc == 0 && !lister->stopped && lister->seen == MESSAGES);
    return rc;
}

/* The mount's own directories list nothing or a few names; offsets are positions. */
static void list_mount_dir(uint64_t offset, struct lister *lister)
{
    for (size_t i = offset; i < G_N_ELEMENTS(MOUNT_FILES) && !lister->stopped; i++) {
        struct node node = mount_file_node(MOUNT_FILES[i].node);
        lister->stopped = lister->each(lister->arg, MOUNT_FILES[i].name, &node, i + 1) != 0;
    }
}

int view_list(struct engine *engine, struct inode_no dir, uint64_t offset,
    int (*each)(void *arg, const char *name, const struct node *node, uint64_t next), void *arg,
    bool *ret_end)
{
    struct lister lister = {.each = each, .arg = arg};
    struct mailbox_id mailbox = {0};
    int64_t after = (int64_t)(offset >> 2);
    bool messages = (offset & 3) == PHASE_MESSAGE;
    int rc = dir_mailbox(engine, dir, &mailbox);
    if (rc == DIR_OF_MOUNT) {
        list_mount_dir(offset, &lister);
        *ret_end = !lister.stopped;
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    bool uid_dir = inode_kind(dir) == INODE_UID_DIR; /* serves lookups, lists nothing */
    if (!messages && !uid_dir) {
        rc = list_mailboxes(engine, mailbox, after, &lister);
        after = 0;
    }
    if (rc == 0 && !lister.stopped && !uid_dir && mailbox.value != 0 &&
        shows_messages(engine, mailbox)) {
        rc = list_messages(engine, mailbox, after, &lister);
    }
    if (rc != 0) {
        return view_errno(rc);
    }
    *ret_end = !lister.stopped;
    return 0;
}
