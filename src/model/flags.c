#include "model/flags.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct flag {
    const char *name;
    size_t place; /* in the order they came */
};

/* RFC 9051 `flag`: an atom, maybe behind a backslash. ']' is let in: servers use it in keywords. */
static bool is_flag(const char *name)
{
    const char *atom = name[0] == '\\' ? name + 1 : name;
    size_t len = strnlen(name, FLAG_LENGTH_MAX + 1);
    if (*atom == '\0' || len > FLAG_LENGTH_MAX) {
        return false;
    }
    for (const char *c = atom; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || strchr("(){%*\"\\", *c) != NULL) {
            return false;
        }
    }
    return g_ascii_strcasecmp(name, "\\Recent") != 0;
}

/* By GLib, whose folding knows no locale: every machine finds the same order. */
static int by_folded_name(const void *left, const void *right)
{
    const struct flag *a = left;
    const struct flag *b = right;
    int order = g_ascii_strcasecmp(a->name, b->name);
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

static int by_kind_and_name(const void *left, const void *right)
{
    const struct flag *a = left;
    const struct flag *b = right;
    if ((a->name[0] == '\\') != (b->name[0] == '\\')) {
        return a->name[0] == '\\' ? -1 : 1;
    }
    return strcmp(a->name, b->name);
}

void flags_canonical(struct buf *ret_text, const char *const *flags, size_t n)
{
    CLEANUP(free) struct flag *kept = alloc_zeroed(n, sizeof *kept);
    size_t valid = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_flag(flags[i])) {
            kept[valid++] = (struct flag){flags[i], i};
        }
    }
    qsort(kept, valid, sizeof *kept, by_folded_name);
    size_t count = 0;
    for (size_t i = 0; i < valid; i++) {
        if (count == 0 || g_ascii_strcasecmp(kept[count - 1].name, kept[i].name) != 0) {
            kept[count++] = kept[i];
        }
    }
    qsort(kept, count, sizeof *kept, by_kind_and_name);
    buf_reset(ret_text);
    buf_append_text(ret_text, "");
    for (size_t i = 0; i < count && i < FLAGS_MAX; i++) {
        buf_append_text(ret_text, i == 0 ? "" : " ");
        buf_append_text(ret_text, kept[i].name);
    }
}

bool flags_has(const char *text, const char *flag)
{
    size_t flag_len = strlen(flag);
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, " ");
        if (len == flag_len && len > 0 && g_ascii_strncasecmp(at, flag, len) == 0) {
            return true;
        }
        at += len;
        at += strspn(at, " ");
    }
    return false;
}
