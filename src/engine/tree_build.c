#include "engine/tree_build.h"

#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"
#include "model/mailbox_name.h"

enum { INBOX_LEN = 5, HASH_HEX = 24, MARK_LEN = 2 };

struct entry {
    char *raw;
    size_t len;
    char delimiter;
    unsigned attributes;
    char special_use[32];
};

struct tree_build {
    GPtrArray *entries; /* of struct entry */
    GArray *nodes;      /* of struct tree_node */
    GPtrArray *texts;   /* the nodes' components */
    GHashTable *by_raw; /* of GBytes, first level's INBOX in upper case: index of the node */
    GHashTable *names;  /* of texts "<parent>/<component>": the taken ones */
    size_t left_out;
};

static void entry_free(gpointer data)
{
    struct entry *entry = data;
    free(entry->raw);
    free(entry);
}

struct tree_build *tree_build_create(void)
{
    struct tree_build *build = alloc_zeroed(1, sizeof *build);
    build->entries = g_ptr_array_new_with_free_func(entry_free);
    build->nodes = g_array_new(FALSE, TRUE, sizeof(struct tree_node));
    build->texts = g_ptr_array_new_with_free_func(free);
    build->by_raw =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    build->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return build;
}

void tree_build_destroy(struct tree_build **build)
{
    struct tree_build *gone = *build;
    if (gone == NULL) {
        return;
    }
    *build = NULL;
    g_hash_table_destroy(gone->names);
    g_hash_table_destroy(gone->by_raw);
    g_ptr_array_free(gone->texts, TRUE);
    (void)g_array_free(gone->nodes, TRUE);
    g_ptr_array_free(gone->entries, TRUE);
    free(gone);
}

void tree_build_add(struct tree_build *build, const struct listed_mailbox *mailbox)
{
    if (build->entries->len >= TREE_NODES_MAX) {
        build->left_out++;
        return;
    }
    struct entry *entry = alloc_zeroed(1, sizeof *entry);
    entry->raw = alloc_zeroed(mailbox->raw_len + 1, 1);
    memcpy(entry->raw, mailbox->raw, mailbox->raw_len);
    entry->len = mailbox->raw_len;
    entry->delimiter = mailbox->delimiter;
    entry->attributes = mailbox->attributes;
    (void)g_strlcpy(entry->special_use, mailbox->special_use, sizeof entry->special_use);
    g_ptr_array_add(build->entries, entry);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = *(const struct entry *const *)a;
    const struct entry *right = *(const struct entry *const *)b;
    size_t shorter = left->len < right->len ? left->len : right->len;
    int order = memcmp(left->raw, right->raw, shorter);
    if (order == 0) {
        order = (left->len > right->len) - (left->len < right->len);
    }
    if (order == 0) {
        order = (int)left->delimiter - (int)right->delimiter;
    }
    if (order == 0) {
        order = (left->attributes > right->attributes) - (left->attributes < right->attributes);
    }
    return order;
}

/* One entry on its way down the tree. */
struct descent {
    struct tree_build *build;
    const struct entry *entry;
    size_t parent; /* the node of the level above; SIZE_MAX at first */
    bool inbox;
    bool full;
};

static bool is_inbox(const struct entry *entry)
{
    return entry->len >= INBOX_LEN && g_ascii_strncasecmp(entry->raw, "INBOX", INBOX_LEN) == 0 &&
           (entry->len == INBOX_LEN ||
               (entry->delimiter != '\0' && entry->raw[INBOX_LEN] == entry->delimiter));
}

static GBytes *key_of(const struct descent *descent, size_t prefix_len)
{
    char *copy = g_malloc(prefix_len + 1);
    memcpy(copy, descent->entry->raw, prefix_len);
    if (descent->inbox) {
        memcpy(copy, "INBOX", INBOX_LEN);
    }
    return g_bytes_new_take(copy, prefix_len);
}

/* Takes the component if none of its siblings has it. */
static bool take_name(struct tree_build *build, size_t parent, const char *component)
{
    char *name = g_strdup_printf("%zu/%s", parent, component);
    return g_hash_table_add(build->names, name); /* frees the name if it was there */
}

static size_t whole_characters(const char *text, size_t most)
{
    size_t at = 0;
    size_t len = strlen(text);
    for (;;) {
        uint32_t character;
        size_t step = at < len ? text_char(text + at, len - at, &character) : 0;
        if (step == 0 || at + step > most) {
            return at;
        }
        at += step;
    }
}

static void tell_apart(struct buf *component, const char *raw, size_t raw_len)
{
    char *hash = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)raw, raw_len);
    buf_cut(component,
        whole_characters(buf_text(component), MAILBOX_COMPONENT_MAX - MARK_LEN - HASH_HEX));
    buf_append_text(component, "%=");
    buf_append(component, hash, HASH_HEX);
    g_free(hash);
}

static size_t add_node(
    struct descent *descent, const char *level, size_t level_len, size_t prefix_len)
{
    struct tree_build *build = descent->build;
    CLEANUP(buf) struct buf component = BUF_INIT;
    mailbox_component(&component, level, level_len, descent->parent == SIZE_MAX);
    if (!take_name(build, descent->parent, buf_text(&component))) {
        tell_apart(&component, descent->entry->raw, prefix_len);
        (void)take_name(build, descent->parent, buf_text(&component)); /* a hash is free */
    }
    char *text = buf_steal(&component);
    g_ptr_array_add(build->texts, text);
    const struct tree_node node = {
        .raw = descent->entry->raw,
        .raw_len = prefix_len,
        .parent = descent->parent,
        .component = text,
        .delimiter = descent->entry->delimiter,
        .special_use = "",
    };
    g_array_append_val(build->nodes, node);
    return build->nodes->len - 1;
}

static int on_level(void *arg, const char *level, size_t level_len, size_t prefix_len)
{
    struct descent *descent = arg;
    struct tree_build *build = descent->build;
    GBytes *key = key_of(descent, prefix_len);
    gpointer found;
    if (g_hash_table_lookup_extended(build->by_raw, key, NULL, &found)) {
        g_bytes_unref(key);
        descent->parent = GPOINTER_TO_SIZE(found);
        return 0;
    }
    if (build->nodes->len >= TREE_NODES_MAX) {
        g_bytes_unref(key);
        descent->full = true;
        return 1;
    }
    descent->parent = add_node(descent, level, level_len, prefix_len);
    g_hash_table_insert(build->by_raw, key, GSIZE_TO_POINTER(descent->parent));
    return 0;
}

/* The line's own node gets what the line says; of two lines of one mailbox the first counts. */
static void describe(struct tree_build *build, const struct descent *descent)
{
    const struct entry *entry = descent->entry;
    struct tree_node *node = &g_array_index(build->nodes, struct tree_node, descent->parent);
    if (node->listed) {
        return;
    }
    node->raw = entry->raw; /* an implied INBOX may have been spelt otherwise */
    node->raw_len = entry->len;
    node->delimiter = entry->delimiter;
    node->listed = true;
    node->selectable = (entry->attributes & MAILBOX_NOSELECT) == 0;
    node->no_inferiors = (entry->attributes & MAILBOX_NOINFERIORS) != 0;
    node->subscribed = (entry->attributes & MAILBOX_SUBSCRIBED) != 0;
    node->special_use = entry->special_use;
}

void tree_build_nodes(struct tree_build *build, const struct tree_node **ret_nodes,
    size_t *ret_count, size_t *ret_left_out)
{
    if (build->entries->len > 0) {
        qsort(build->entries->pdata, build->entries->len, sizeof(gpointer), compare_entries);
    }
    for (guint i = 0; i < build->entries->len; i++) {
        const struct entry *entry = build->entries->pdata[i];
        struct descent descent = {build, entry, SIZE_MAX, is_inbox(entry), false};
        (void)mailbox_levels(entry->raw, entry->len, entry->delimiter, on_level, &descent);
        if (descent.full) {
            build->left_out++;
        } else {
            describe(build, &descent);
        }
    }
    *ret_nodes = (const struct tree_node *)(const void *)build->nodes->data;
    *ret_count = build->nodes->len;
    *ret_left_out = build->left_out;
}
