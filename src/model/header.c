#include "model/header.h"

#include <glib.h>
#include <gmime/gmime.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"

static const int64_t YEAR_10000_S = 253402300800;

enum wanted { WANT_DATE, WANT_SUBJECT, WANT_FROM, WANT_MESSAGE_ID, WANTED_COUNT, WANT_NONE };

/* One line without its end; `next` is where the one behind it begins. */
struct line {
    const char *text;
    size_t len;
    size_t next;
};

static struct line read_line(const char *block, size_t len, size_t at)
{
    const char *text = block + at;
    const char *end = memchr(text, '\n', len - at);
    size_t line_len = end == NULL ? len - at : (size_t)(end - text);
    size_t next = at + line_len + (end == NULL ? 0 : 1);
    if (line_len > 0 && text[line_len - 1] == '\r') {
        line_len--;
    }
    return (struct line){text, line_len, next};
}

/* Which field the line begins, and where its value starts. */
static enum wanted read_name(const struct line *line, size_t *ret_value_at)
{
    static const char *const names[WANTED_COUNT] = {"Date", "Subject", "From", "Message-ID"};
    const char *colon = memchr(line->text, ':', line->len);
    if (colon == NULL) {
        return WANT_NONE;
    }
    size_t name_len = (size_t)(colon - line->text);
    *ret_value_at = name_len + 1;
    while (name_len > 0 && (line->text[name_len - 1] == ' ' || line->text[name_len - 1] == '\t')) {
        name_len--; /* RFC 5322 4.5: "Subject :" */
    }
    for (int i = 0; i < WANTED_COUNT; i++) {
        if (name_len == strlen(names[i]) &&
            g_ascii_strncasecmp(line->text, names[i], name_len) == 0) {
            return (enum wanted)i;
        }
    }
    return WANT_NONE;
}

/* Appends a piece of the value that begins at `start` of the storage: no leading space, no more
 * than the limit. */
static void append_value(struct buf *storage, size_t start, const char *piece, size_t len)
{
    for (size_t i = 0; i < len && storage->len - start < HEADER_VALUE_MAX; i++) {
        bool space = strchr(" \t\r", piece[i]) != NULL; /* finds NUL as well */
        if (!space || storage->len > start) {
            buf_append_char(storage, space ? ' ' : piece[i]);
        }
    }
}

static void end_value(struct buf *storage, size_t start)
{
    while (storage->len > start && storage->data[storage->len - 1] == ' ') {
        storage->len--;
    }
    buf_append_char(storage, '\0');
}

static const char *stored(const struct buf *storage, size_t start)
{
    return start == SIZE_MAX ? NULL : storage->data + start;
}

void header_read(struct header_fields *ret, const char *block, size_t len)
{
    struct buf *storage = &ret->storage;
    size_t starts[WANTED_COUNT] = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    bool reading = false; /* a wanted value, which may go on in the next line */
    size_t start = 0;
    buf_reset(storage);
    for (size_t at = 0; at < len;) {
        struct line line = read_line(block, len, at);
        at = line.next;
        if (line.len == 0) {
            break;
        }
        size_t value_at = 0;
        if (line.text[0] != ' ' && line.text[0] != '\t') {
            if (reading) {
                end_value(storage, start);
            }
            enum wanted wanted = read_name(&line, &value_at);
            reading = wanted != WANT_NONE && starts[wanted] == SIZE_MAX;
            if (reading) {
                start = starts[wanted] = storage->len;
            }
        }
        if (reading) {
            append_value(storage, start, line.text + value_at, line.len - value_at);
        }
    }
    if (reading) {
        end_value(storage, start);
    }
    ret->fields = (struct name_fields){.date = stored(storage, starts[WANT_DATE]),
        .subject = stored(storage, starts[WANT_SUBJECT]),
        .from = stored(storage, starts[WANT_FROM]),
        .message_id = stored(storage, starts[WANT_MESSAGE_ID])};
}

void header_fields_finish(struct header_fields *fields)
{
    buf_finish(&fields->storage);
    fields->fields = (struct name_fields){NULL, NULL, NULL, NULL};
}

/*
 * RFC 2047: "=?charset?encoding?text?=". The charset goes to iconv, whose names may carry suffixes
 * ("//...") and, in some C libraries, paths: whatever no charset is named with becomes '_', and the
 * word is of an unknown charset.
 */
static void neutralise_charsets(char *value)
{
    for (char *at = strstr(value, "=?"); at != NULL; at = strstr(at, "=?")) {
        at += 2;
        size_t charset_len = strcspn(at, "?");
        if (at[charset_len] == '\0') {
            return; /* no word can end any more */
        }
        for (size_t i = 0; i < charset_len; i++) {
            if (!g_ascii_isalnum(at[i]) && strchr("-_.:+()*", at[i]) == NULL) {
                at[i] = '_';
            }
        }
        at += charset_len;
    }
}

char *header_decode(const char *value)
{
    CLEANUP(free) char *cut = alloc_zeroed(HEADER_VALUE_MAX + 1, 1);
    memcpy(cut, value, strnlen(value, HEADER_VALUE_MAX));
    neutralise_charsets(cut);
    char *decoded = g_mime_utils_header_decode_text(NULL, cut);
    const char *text = decoded == NULL ? "" : decoded;
    size_t len = strlen(text);
    char *clean = alloc_zeroed(len + 1, 1); /* cleaning never lengthens */
    (void)text_clean(clean, len + 1, text, len);
    g_free(decoded);
    return clean;
}

bool header_date(const char *value, int64_t *ret_s)
{
    CLEANUP(free) char *cut = alloc_zeroed(HEADER_VALUE_MAX + 1, 1);
    memcpy(cut, value, strnlen(value, HEADER_VALUE_MAX));
    GDateTime *date = g_mime_utils_header_decode_date(cut);
    if (date == NULL) {
        return false;
    }
    int64_t seconds = g_date_time_to_unix(date);
    g_date_time_unref(date);
    if (seconds < 0 || seconds >= YEAR_10000_S) {
        return false;
    }
    *ret_s = seconds;
    return true;
}
