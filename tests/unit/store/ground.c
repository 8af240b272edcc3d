#include "ground.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/uidset.h"
#include "unit.h"

static const char *const change_words[4] = {"added", "removed", "renamed", "attributes"};

void ground_make(struct ground *ground)
{
    memset(ground, 0, sizeof *ground);
    (void)snprintf(ground->root, sizeof ground->root, "/tmp/imapfs-store-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(ground->root));
    (void)snprintf(ground->state, sizeof ground->state, "%s/a/b/state", ground->root);
    (void)snprintf(ground->cache, sizeof ground->cache, "%s/cache", ground->root);
    ground->options.state_dir = ground->state;
    ground->options.cache_dir = ground->cache;
    ground->options.cache_limit_bytes = 1 << 30;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void ground_remove(struct ground *ground)
{
    store_destroy(&ground->store);
    (void)nftw(ground->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* what stays is in /tmp */
}

void ground_open(struct ground *ground)
{
    int rc = store_open(&ground->store, &ground->options, &ground->rebuilt, &ground->why);
    ck_assert_msg(rc == 0, "store_open: %d %s", rc, ground->why.text);
}

void ground_close(struct ground *ground)
{
    store_destroy(&ground->store);
    ck_assert_ptr_null(ground->store);
}

struct tree_node ground_node(const char *raw, size_t parent, const char *component)
{
    return (struct tree_node){.raw = raw,
        .raw_len = strlen(raw),
        .parent = parent,
        .component = component,
        .delimiter = '/',
        .listed = true,
        .selectable = true,
        .special_use = ""};
}

struct mailbox_id ground_inbox(struct ground *ground)
{
    struct tree_node node = ground_node("INBOX", SIZE_MAX, "INBOX");
    ck_assert_int_eq(store_tree_replace(ground->store, &node, 1, NULL, &ground->why), 0);
    struct mailbox_row row;
    ck_assert_int_eq(
        store_mailbox_child(ground->store, (struct mailbox_id){0}, "INBOX", &row, &ground->why), 0);
    struct mailbox_id id = row.id;
    mailbox_row_finish(&row);
    ck_assert_int_eq(store_mailbox_set_uidvalidity(ground->store, id, 7, NULL, &ground->why), 0);
    return id;
}

struct message_new ground_row(uint32_t uid, const char *name)
{
    return (struct message_new){.uid = {uid},
        .size_bytes = 1000 + (int64_t)uid,
        .internaldate_s = 1000000000 + (int64_t)uid,
        .flags = "\\Seen",
        .name = name,
        .subject = "Hello"};
}

void ground_add(
    struct ground *ground, struct mailbox_id mailbox, const struct message_new *rows, size_t count)
{
    int rc = store_messages_add(ground->store, mailbox, 7, rows, count, NULL, &ground->why);
    ck_assert_msg(rc == 0, "store_messages_add: %d %s", rc, ground->why.text);
}

void ground_fill(struct ground *ground, struct mailbox_id mailbox, uint32_t first, uint32_t count)
{
    struct message_new *rows = calloc(count, sizeof *rows);
    char(*names)[32] = calloc(count, sizeof *names);
    ck_assert(rows != NULL && names != NULL);
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof names[i], "m%" PRIu32 ".eml", first + i);
        rows[i] = ground_row(first + i, names[i]);
    }
    ground_add(ground, mailbox, rows, count);
    free(rows);
    free(names);
}

void ground_finish(struct ground *ground, struct mailbox_id mailbox)
{
    struct mailbox_synced synced = {.uidvalidity = 7, .finished = true};
    ck_assert_int_eq(store_mailbox_synced(ground->store, mailbox, &synced, NULL, &ground->why), 0);
}

void ground_gone(struct ground *ground, struct mailbox_id mailbox, const char *uids,
    const struct change_listener *listener)
{
    CLEANUP(uidset) struct uidset gone = UIDSET_INIT;
    ck_assert_int_eq(uidset_parse(&gone, uids, strlen(uids)), 0);
    struct mailbox_synced synced = {.uidvalidity = 7, .gone = &gone};
    ck_assert_int_eq(
        store_mailbox_synced(ground->store, mailbox, &synced, listener, &ground->why), 0);
}

int copy_message(void *arg, const struct message_row *row)
{
    struct copied *copied = arg;
    copied->id = row->id;
    copied->uid = row->uid.value;
    copied->uidvalidity = row->uidvalidity;
    copied->size_bytes = row->size_bytes;
    copied->internaldate_s = row->internaldate_s;
    copied->proven = row->size_proven;
    (void)snprintf(copied->name, sizeof copied->name, "%s", row->name);
    (void)snprintf(copied->flags, sizeof copied->flags, "%s", row->flags);
    (void)snprintf(copied->subject, sizeof copied->subject, "%s", row->subject);
    return 0;
}

bool ground_by_uid(
    struct ground *ground, struct mailbox_id mailbox, uint32_t uid, struct copied *ret)
{
    int rc = store_message_by_uid(
        ground->store, mailbox, (struct imap_uid){uid}, copy_message, ret, &ground->why);
    ck_assert_msg(rc == 0 || rc == -ENOENT, "%d %s", rc, ground->why.text);
    return rc == 0;
}

void ground_names(struct ground *ground, struct mailbox_id mailbox, struct buf *ret)
{
    CLEANUP(uidset) struct uidset uids = UIDSET_INIT;
    ck_assert_int_eq(store_message_uids(ground->store, mailbox, &uids, &ground->why), 0);
    buf_reset(ret);
    for (size_t i = 0; i < uids.count; i++) {
        for (uint32_t uid = uids.ranges[i].first; uid <= uids.ranges[i].last; uid++) {
            struct copied copied;
            ck_assert(ground_by_uid(ground, mailbox, uid, &copied));
            buf_printf(ret, "%s%" PRIu32 ":%s", ret->len == 0 ? "" : " ", uid, copied.name);
        }
    }
}

static void note_change(void *arg, const struct store_change *change)
{
    buf_printf(arg, "%s %" PRIu64 " %" PRId64 " %s\n", change_words[change->kind],
        change->inode.value, change->parent.value, change->component);
}

struct change_listener ground_listener(struct buf *ret_lines)
{
    return (struct change_listener){note_change, ret_lines};
}

int ground_body(struct ground *ground, struct mailbox_id mailbox, uint32_t uid, const char *text,
    bool *ret_changed)
{
    struct body_writer *writer = NULL;
    ck_assert_int_eq(store_body_begin(ground->store, mailbox, 7, &writer, &ground->why), 0);
    ck_assert_int_eq(body_writer_add(writer, text, strlen(text), &ground->why), 0);
    struct message_id id;
    bool changed = false;
    int rc = body_writer_commit(&writer, (struct imap_uid){uid}, &id, &changed, &ground->why);
    ck_assert_ptr_null(writer);
    if (ret_changed != NULL) {
        *ret_changed = changed;
    }
    return rc;
}

char *ground_read(struct ground *ground, struct message_id id)
{
    CLEANUP(fd_close) int fd = -1;
    int64_t size_bytes = 0;
    int rc = store_body_open(ground->store, id, &fd, &size_bytes, &ground->why);
    ck_assert_msg(rc == 0 || rc == -ENOENT, "store_body_open: %d %s", rc, ground->why.text);
    if (rc != 0) {
        return NULL;
    }
    char *text = calloc((size_t)size_bytes + 2, 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(read(fd, text, (size_t)size_bytes + 1), size_bytes);
    return text;
}

void ground_body_path(struct ground *ground, uint32_t uid, char ret[256])
{
    char command[400];
    (void)snprintf(command, sizeof command, "find %s/bodies -name %" PRIu32 ".eml | head -n 1",
        ground->cache, uid);
    FILE *pipe = popen(command, "re");
    ck_assert_ptr_nonnull(pipe);
    ret[0] = '\0';
    if (fgets(ret, 256, pipe) != NULL) {
        ret[strcspn(ret, "\n")] = '\0';
    }
    ck_assert_int_eq(pclose(pipe), 0);
}

void ground_shell(const char *format, ...)
{
    char *command = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&command, format, args);
    va_end(args);
    ck_assert_int_gt(len, 0);
    ck_assert_msg(system(command) == 0, "failed: %s", command);
    free(command);
}

size_t ground_count_files(const char *dir)
{
    char command[400];
    (void)snprintf(command, sizeof command, "find %s -type f | wc -l", dir);
    FILE *pipe = popen(command, "re");
    ck_assert_ptr_nonnull(pipe);
    size_t count = 0;
    ck_assert_int_eq(fscanf(pipe, "%zu", &count), 1);
    ck_assert_int_eq(pclose(pipe), 0);
    return count;
}
