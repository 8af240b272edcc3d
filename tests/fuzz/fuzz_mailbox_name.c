/*
 * fuzz_mailbox_name.c: the first byte says whether the rest is a level or a component, and whether
 * it is the first of its name; then the two must give each other back.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/mailbox_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
    if (!fact) {
        abort();
    }
}

static bool same(const struct buf *buf, const char *bytes, size_t len)
{
    return buf->len == len && (len == 0 || memcmp(buf->data, bytes, len) == 0);
}

static void require_form(const struct buf *component)
{
    const char *text = component->data;
    size_t len = component->len;
    require(len >= 1 && len <= MAILBOX_COMPONENT_MAX && strlen(text) == len);
    require(text[0] != '.' && strchr(text, '/') == NULL);
    require(len < 4 || strcmp(text + len - 4, ".eml") != 0);
    for (size_t at = 0; at < len;) {
        uint32_t character = 0;
        size_t step = text_char(text + at, len - at, &character);
        require(step > 0 && !text_is_unprintable(character));
        at += step;
    }
}

static bool is_inbox(const char *level, size_t len)
{
    static const char name[] = "inbox";
    for (size_t i = 0; i < len; i++) {
        if (len != 5 || (level[i] | 0x20) != name[i]) {
            return false;
        }
    }
    return len == 5;
}

static void try_level(const char *level, size_t len, bool first)
{
    CLEANUP(buf) struct buf component = BUF_INIT;
    CLEANUP(buf) struct buf back = BUF_INIT;
    mailbox_component(&component, level, len, first);
    require_form(&component);
    int rc = mailbox_level(&back, component.data, first);
    if (rc == -ENAMETOOLONG) {
        require(len > 60 && component.len > 220);
    } else if (first && is_inbox(level, len)) {
        require(rc == 0 && same(&back, "INBOX", 5));
    } else {
        require(rc == 0 && same(&back, level, len));
    }
}

static void try_component(const char *bytes, size_t len, bool first)
{
    CLEANUP(buf) struct buf text = BUF_INIT;
    CLEANUP(buf) struct buf level = BUF_INIT;
    CLEANUP(buf) struct buf again = BUF_INIT;
    buf_append(&text, bytes, len);
    int rc = mailbox_level(&level, text.data, first);
    require(rc == 0 || rc == -EINVAL || rc == -ENAMETOOLONG);
    if (rc == 0) {
        require_form(&text);
        mailbox_component(&again, buf_text(&level), level.len, first);
        require(same(&again, text.data, text.len));
    } else {
        require(level.data == NULL);
    }
}

struct walk {
    const char *raw;
    size_t end; /* of the level before, and the delimiter behind it */
    int count;
};

static int next_level(void *arg, const char *level, size_t level_len, size_t prefix_len)
{
    struct walk *walk = arg;
    require(level == walk->raw + walk->end && walk->end + level_len == prefix_len);
    try_level(level, level_len, walk->count == 0);
    walk->end = prefix_len + 1;
    walk->count++;
    return walk->count == 1000 ? 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const char *rest = (const char *)data + 1;
    size_t len = size - 1;
    bool first = (data[0] & 1) != 0;
    if ((data[0] & 2) != 0) {
        const char *nul = memchr(rest, '\0', len);
        try_component(rest, nul == NULL ? len : (size_t)(nul - rest), first);
    } else if ((data[0] & 4) != 0) {
        struct walk walk = {rest, 0, 0};
        int rc = mailbox_levels(rest, len, first ? '/' : '.', next_level, &walk);
        require(rc == 1 || walk.end == len + 1);
    } else {
        try_level(rest, len, first);
    }
    return 0;
}
