#include "model/mailbox_name.h"

#include <errno.h>
#include <glib.h>
#include <iconv.h>
#include <string.h>

#include "base/text.h"

/* "%~" and 24 hex digits end a cut component. */
enum { HASH_HEX = 24, CUT_MARK_LEN = 2, CUT_MAX = MAILBOX_COMPONENT_MAX - CUT_MARK_LEN - HASH_HEX };
/* No character takes more bytes, four for itself or "%XX" for each of three: how short a cut one
 * can be. */
enum { UNIT_MAX = 9, CUT_MIN = CUT_MAX - UNIT_MAX + 1 };

static const char EMPTY[] = "%empty";
static const char RAW_MARK[] = "%%";
static const char CUT_MARK[] = "%~";

/* A component while it is made; `cut` is the length at its last whole character within CUT_MAX. */
struct draft {
    struct buf *text;
    size_t cut;
};

static bool is_printable_ascii(char c)
{
    return c >= ' ' && c <= '~';
}

/* Texts that are the same in ASCII, modified UTF-7 and UTF-8. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!is_printable_ascii(text[i]) || text[i] == '&') {
            return false;
        }
    }
    return true;
}

/* Appends what the converter gives for `in`, and with a NULL `in` what it still held back. */
static bool convert_step(iconv_t converter, char **in, size_t *in_left, struct buf *ret)
{
    for (;;) {
        char piece[256];
        char *out = piece;
        size_t out_left = sizeof piece;
        size_t rc = iconv(converter, in, in_left, &out, &out_left);
        int errnum = errno;
        buf_append(ret, piece, sizeof piece - out_left);
        if (rc == 0) {
            return true;
        }
        if (rc != (size_t)-1 || errnum != E2BIG) {
            return false; /* bytes that are none of this charset, cut short, or only replaced */
        }
    }
}

static bool convert(struct buf *ret, const char *to, const char *from, const char *text, size_t len)
{
    iconv_t converter = iconv_open(to, from);
    if (converter == (iconv_t)-1) {
        return false;
    }
    CLEANUP(buf) struct buf in = BUF_INIT; /* iconv's interface wants a text that is not const */
    buf_append(&in, text, len);
    char *at = in.data;
    size_t left = in.len;
    buf_reset(ret);
    bool done =
        convert_step(converter, &at, &left, ret) && convert_step(converter, NULL, NULL, ret);
    (void)iconv_close(converter); /* nothing is written by it */
    return done;
}

static bool to_level(struct buf *ret_level, const char *text, size_t len)
{
    if (is_plain(text, len)) {
        buf_reset(ret_level);
        buf_append(ret_level, text, len);
        return true;
    }
    return convert(ret_level, "UTF-7-IMAP", "UTF-8", text, len);
}

/* Sound modified UTF-7 to UTF-8. Only what encodes to the same bytes again is sound: each text has
 * one encoding. */
static bool from_level(struct buf *ret_text, const char *level, size_t len)
{
    if (is_plain(level, len)) {
        buf_reset(ret_text);
        buf_append(ret_text, level, len);
        return true;
    }
    CLEANUP(buf) struct buf again = BUF_INIT;
    return convert(ret_text, "UTF-8", "UTF-7-IMAP", level, len) &&
           to_level(&again, ret_text->data, ret_text->len) && again.len == len &&
           memcmp(again.data, level, len) == 0;
}

bool mailbox_name_works(void)
{
    static const char encoded[] = "Entw&APw-rfe"; /* "Entwürfe" */
    static const char decoded[] = "Entw\xC3\xBCrfe";
    CLEANUP(buf) struct buf text = BUF_INIT;
    return from_level(&text, encoded, sizeof encoded - 1) && strcmp(text.data, decoded) == 0;
}

/* Appends one character, escaped byte by byte or as it is. */
static void put(struct draft *draft, const char *bytes, size_t len, bool escape)
{
    if (escape) {
        for (size_t i = 0; i < len; i++) {
            buf_printf(draft->text, "%%%02X", (unsigned int)(unsigned char)bytes[i]);
        }
    } else {
        buf_append(draft->text, bytes, len);
    }
    if (draft->text->len <= CUT_MAX) {
        draft->cut = draft->text->len;
    }
}

/* Whether the '.' of a final ".eml" is at `at`. */
static bool is_message_suffix(const char *text, size_t len, size_t at)
{
    return len - at == 4 && memcmp(text + at, ".eml", 4) == 0;
}

static void put_decoded(struct draft *draft, const char *text, size_t len, bool first)
{
    static const char reserved[] = "lost+found";
    bool is_reserved = first && len == sizeof reserved - 1 && memcmp(text, reserved, len) == 0;
    for (size_t at = 0; at < len;) {
        uint32_t character = 0;
        size_t char_len = text_char(text + at, len - at, &character);
        if (char_len == 0) { /* no converter writes this, but going on must not depend on it */
            char_len = 1;
            character = 0;
        }
        bool escape = character == '%' || character == '/' || text_is_unprintable(character);
        escape = escape || (at == 0 && (character == '.' || is_reserved));
        escape = escape || is_message_suffix(text, len, at);
        put(draft, text + at, char_len, escape);
        at += char_len;
    }
}

static void put_raw(struct draft *draft, const char *level, size_t len)
{
    put(draft, RAW_MARK, sizeof RAW_MARK - 1, false);
    for (size_t at = 0; at < len; at++) {
        char byte = level[at];
        bool escape = !is_printable_ascii(byte) || byte == '%' || byte == '/' ||
                      is_message_suffix(level, len, at);
        put(draft, &byte, 1, escape);
    }
}

static void cut(struct draft *draft, const char *level, size_t len)
{
    GChecksum *hash = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(hash, (const unsigned char *)level, (gssize)len);
    buf_cut(draft->text, draft->cut);
    buf_append_text(draft->text, CUT_MARK);
    buf_append(draft->text, g_checksum_get_string(hash), HASH_HEX);
    g_checksum_free(hash);
}

void mailbox_component(struct buf *ret_component, const char *level, size_t len, bool first)
{
    buf_reset(ret_component);
    if (len == 0) {
        buf_append_text(ret_component, EMPTY);
        return;
    }
    if (first && len == 5 && g_ascii_strncasecmp(level, "INBOX", 5) == 0) {
        buf_append_text(ret_component, "INBOX");
        return;
    }
    struct draft draft = {ret_component, 0};
    CLEANUP(buf) struct buf text = BUF_INIT;
    if (from_level(&text, level, len)) {
        put_decoded(&draft, text.data, text.len, first);
    } else {
        put_raw(&draft, level, len);
    }
    if (ret_component->len > MAILBOX_COMPONENT_MAX) {
        cut(&draft, level, len);
    }
}

/* Whether a component has the form of a cut one. */
static bool is_cut(const char *component, size_t len)
{
    if (len < CUT_MIN + CUT_MARK_LEN + HASH_HEX || len > MAILBOX_COMPONENT_MAX) {
        return false;
    }
    const char *mark = component + len - HASH_HEX - CUT_MARK_LEN;
    return memcmp(mark, CUT_MARK, CUT_MARK_LEN) == 0 &&
           strspn(mark + CUT_MARK_LEN, "0123456789abcdef") == HASH_HEX;
}

/* Replaces "%XX" by the byte it stands for. False for a '%' that is followed by anything else. */
static bool unescape(struct buf *ret, const char *text, size_t len)
{
    buf_reset(ret);
    for (size_t at = 0; at < len; at++) {
        char byte = text[at];
        if (byte == '%') {
            int high = len - at > 2 ? g_ascii_xdigit_value(text[at + 1]) : -1;
            int low = len - at > 2 ? g_ascii_xdigit_value(text[at + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (char)(high * 16 + low);
            at += 2;
        }
        buf_append_char(ret, byte);
    }
    return true;
}

/* A level that may have given the component: whether it did, only the way back tells. */
static bool guess_level(struct buf *ret_level, const char *component, size_t len)
{
    buf_reset(ret_level);
    if (strcmp(component, EMPTY) == 0) {
        return true;
    }
    size_t raw_mark_len = sizeof RAW_MARK - 1;
    if (len > raw_mark_len && memcmp(component, RAW_MARK, raw_mark_len) == 0) {
        return unescape(ret_level, component + raw_mark_len, len - raw_mark_len);
    }
    CLEANUP(buf) struct buf text = BUF_INIT;
    return unescape(&text, component, len) && text.len > 0 &&
           to_level(ret_level, text.data, text.len);
}

int mailbox_level(struct buf *ret_level, const char *component, bool first)
{
    size_t len = strlen(component);
    if (is_cut(component, len)) {
        return -ENAMETOOLONG;
    }
    CLEANUP(buf) struct buf level = BUF_INIT;
    CLEANUP(buf) struct buf again = BUF_INIT;
    if (len == 0 || len > MAILBOX_COMPONENT_MAX || !guess_level(&level, component, len)) {
        return -EINVAL;
    }
    mailbox_component(&again, buf_text(&level), level.len, first);
    if (again.len != len || memcmp(again.data, component, len) != 0) {
        return -EINVAL;
    }
    buf_reset(ret_level);
    buf_append(ret_level, buf_text(&level), level.len);
    return 0;
}

int mailbox_levels(const char *raw, size_t len, char delimiter,
    int (*each)(void *arg, const char *level, size_t level_len, size_t prefix_len), void *arg)
{
    size_t at = 0;
    for (;;) {
        const char *end =
            delimiter == '\0' || at == len ? NULL : memchr(raw + at, delimiter, len - at);
        size_t level_len = end == NULL ? len - at : (size_t)(end - raw) - at;
        int rc = each(arg, raw + at, level_len, at + level_len);
        if (rc != 0 || end == NULL) {
            return rc;
        }
        at += level_len + 1;
    }
}
