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

/* One RFC 2047 encoded word "=?charset?encoding?text?=", all parts borrowed. */
struct encoded_word {
    const char *charset, *text;
    size_t charset_len, text_len;
    size_t len; /* of all of it; 0: this is no word, only its charset was found */
    bool base64;
};

/* Reads what `at`, which begins with "=?", begins with. */
static struct encoded_word word_read(const char *at)
{
    struct encoded_word word = {.charset = at + 2, .charset_len = strcspn(at + 2, "?")};
    const char *mark = word.charset + word.charset_len;
    if (mark[0] != '?' || mark[1] == '\0' || mark[2] != '?') {
        return word;
    }
    word.base64 = mark[1] == 'B' || mark[1] == 'b';
    word.text = mark + 3;
    word.text_len = strcspn(word.text, "? ");
    const char *end = word.text + word.text_len;
    word.len = end[0] == '?' && end[1] == '=' ? (size_t)(end + 2 - at) : 0;
    return word;
}

/* The charset goes to iconv, whose names may carry suffixes ("//...") and, in some C libraries,
 * paths: whatever no charset is named with becomes '_', and the word is of an unknown charset. */
static void append_charset(struct buf *ret, const struct encoded_word *word)
{
    for (size_t i = 0; i < word->charset_len; i++) {
        char c = word->charset[i];
        buf_append_char(ret, g_ascii_isalnum(c) || strchr("-_.:+()*", c) != NULL ? c : '_');
    }
}

/*
 * GMime joins the texts of neighbouring base64 words before it decodes them (a character may be
 * split over two), and so loses all that follows a padded one; many programs pad each word. Padded
 * words are given to it as quoted-printable, which joins well.
 */
static void append_padded(struct buf *ret, const struct encoded_word *word)
{
    CLEANUP(free) char *base64 = g_strndup(word->text, word->text_len);
    gsize len = 0;
    CLEANUP(free) guchar *bytes = g_base64_decode(base64, &len);
    buf_append_text(ret, "?Q?");
    for (gsize i = 0; i < len; i++) {
        buf_printf(ret, "=%02X", (unsigned)bytes[i]);
    }
    buf_append_text(ret, "?=");
}

/* The value with its encoded words made fit for GMime. */
static void respell(struct buf *ret, const char *value)
{
    const char *done = value;
    for (const char *at = strstr(value, "=?"); at != NULL; at = strstr(done, "=?")) {
        struct encoded_word word = word_read(at);
        buf_append(ret, done, (size_t)(at + 2 - done));
        append_charset(ret, &word);
        done = word.charset + word.charset_len;
        if (word.len > 0 && word.base64 && word.text_len > 0 &&
            word.text[word.text_len - 1] == '=') {
            append_padded(ret, &word);
            done = at + word.len;
        } else if (word.len > 0) {
            buf_append(ret, done, (size_t)(at + word.len - done));
            done = at + word.len;
        }
    }
    buf_append_text(ret, done);
}

char *header_decode(const char *value)
{
    CLEANUP(free) char *cut = alloc_zeroed(HEADER_VALUE_MAX + 1, 1);
    memcpy(cut, value, strnlen(value, HEADER_VALUE_MAX));
    CLEANUP(buf) struct buf spelt = BUF_INIT;
    respell(&spelt, cut);
    char *decoded = g_mime_utils_header_decode_text(NULL, buf_text(&spelt));
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
