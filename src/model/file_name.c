#include "model/file_name.h"

#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unictype.h>
#include <uninorm.h>

#include "base/text.h"
#include "model/header.h"

enum { SLUG_MAX = 100, HASH_CHARS = 6 };

static const char SUFFIX[] = ".eml";
enum { SUFFIX_LEN = sizeof SUFFIX - 1 };

static const int64_t DATE_MAX_S = 253402300799; /* 9999-12-31T23:59:59Z */

/* Whether the value is there and not empty. */
static bool is_given(const char *value)
{
    return value != NULL && value[0] != '\0';
}

static void append_date(struct buf *name, const char *date, int64_t internaldate_s)
{
    int64_t seconds = 0;
    if (!is_given(date) || !header_date(date, &seconds)) {
        seconds = internaldate_s < 0 ? 0 : internaldate_s;
        seconds = seconds > DATE_MAX_S ? DATE_MAX_S : seconds;
    }
    struct tm utc = {0};
    time_t moment = (time_t)seconds;
    (void)gmtime_r(&moment, &utc); /* cannot fail: the year has four digits */
    buf_printf(name, "%04d-%02d-%02d", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

/* A letter or digit, or a mark on one. What no font shows (fillers, variation selectors) is none.
 */
static bool is_kept(uint32_t character, bool after_kept)
{
    if (uc_is_property_default_ignorable_code_point(character)) {
        return false;
    }
    return uc_is_general_category(character, UC_LETTER) ||
           uc_is_general_category(character, UC_DECIMAL_DIGIT_NUMBER) ||
           (after_kept && uc_is_general_category(character, UC_MARK));
}

/* Appends the slug of a text in NFC; nothing if no character of it is kept. */
static void append_slug(struct buf *name, const char *text, size_t len)
{
    size_t start = name->len;
    bool after_kept = false;
    for (size_t at = 0; at < len;) {
        uint32_t character = 0;
        size_t char_len = text_char(text + at, len - at, &character);
        if (char_len == 0) {
            char_len = 1;
            character = '?';
        }
        bool keep = is_kept(character, after_kept);
        bool dash =
            keep && !after_kept && name->len > start; /* for the run since the last kept one */
        if (keep && name->len - start + (dash ? 1 : 0) + char_len > SLUG_MAX) {
            return;
        }
        if (keep) {
            buf_append(name, "-", dash ? 1 : 0);
            buf_append(name, text + at, char_len);
        }
        after_kept = keep;
        at += char_len;
    }
}

static void append_subject(struct buf *name, const char *subject)
{
    size_t start = name->len;
    if (is_given(subject)) {
        CLEANUP(free) char *decoded = header_decode(subject);
        size_t nfc_len = 0;
        CLEANUP(free)
        uint8_t *nfc =
            u8_normalize(UNINORM_NFC, (const uint8_t *)decoded, strlen(decoded), NULL, &nfc_len);
        if (nfc != NULL) {
            append_slug(name, (const char *)nfc, nfc_len);
        }
    }
    if (name->len == start) {
        buf_append_text(name, "no-subject");
    }
}

/* Feeds one line of what is hashed: a value has no line break, so no two messages give the same
 * lines. */
static void hash_line(GChecksum *hash, const char *value)
{
    if (is_given(value)) {
        g_checksum_update(
            hash, (const unsigned char *)value, (gssize)strnlen(value, HEADER_VALUE_MAX));
    }
    g_checksum_update(hash, (const unsigned char *)"\n", 1);
}

static void append_hash(struct buf *name, const struct name_fields *fields, int64_t size_bytes)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    char size[24];
    (void)snprintf(size, sizeof size, "%" PRId64, size_bytes);
    uint8_t digest[32];
    gsize digest_len = sizeof digest;
    GChecksum *hash = g_checksum_new(G_CHECKSUM_SHA256);
    if (is_given(fields->message_id)) {
        hash_line(hash, fields->message_id);
    } else {
        hash_line(hash, fields->date);
        hash_line(hash, fields->from);
        hash_line(hash, fields->subject);
    }
    hash_line(hash, size);
    g_checksum_get_digest(hash, digest, &digest_len);
    g_checksum_free(hash);

    uint32_t bits = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 |
                    (uint32_t)digest[2] << 8 | digest[3];
    for (int i = 0; i < HASH_CHARS; i++) {
        buf_append_char(name, alphabet[bits >> 27]);
        bits <<= 5;
    }
}

void file_name_make(struct buf *ret_name, const struct name_fields *fields, int64_t internaldate_s,
    int64_t size_bytes)
{
    buf_reset(ret_name);
    append_date(ret_name, fields->date, internaldate_s);
    buf_append_char(ret_name, '.');
    append_subject(ret_name, fields->subject);
    buf_append_char(ret_name, '.');
    append_hash(ret_name, fields, size_bytes);
    buf_append_text(ret_name, SUFFIX);
}

bool file_name_is_message(const char *component)
{
    return g_str_has_suffix(component, SUFFIX);
}

void file_name_ranked(struct buf *ret_name, const char *name, uint32_t rank)
{
    bool message = file_name_is_message(name);
    buf_reset(ret_name);
    buf_append(ret_name, name, strlen(name) - (message ? SUFFIX_LEN : 0));
    if (rank >= 2) {
        buf_printf(ret_name, "~%" PRIu32, rank);
    }
    buf_append_text(ret_name, message ? SUFFIX : "");
}

/* Reads digits without a leading zero that fill text[0, len); 0 if they do not, or pass 32 bits. */
static uint32_t read_number(const char *text, size_t len)
{
    uint64_t value = 0;
    if (len == 0 || text[0] == '0') {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isdigit(text[i])) {
            return 0;
        }
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > UINT32_MAX) {
            return 0;
        }
    }
    return (uint32_t)value;
}

void file_name_split(struct buf *ret_name, uint32_t *ret_rank, const char *ranked)
{
    size_t stem_len = strlen(ranked) - (file_name_is_message(ranked) ? SUFFIX_LEN : 0);
    const char *mark = memrchr(ranked, '~', stem_len);
    uint32_t rank = 1;
    if (mark != NULL && mark > ranked && file_name_is_message(ranked)) {
        uint32_t number = read_number(mark + 1, stem_len - (size_t)(mark + 1 - ranked));
        rank = number >= 2 ? number : 1;
    }
    buf_reset(ret_name);
    if (rank == 1) {
        buf_append_text(ret_name, ranked);
    } else {
        buf_append(ret_name, ranked, (size_t)(mark - ranked));
        buf_append_text(ret_name, SUFFIX);
    }
    *ret_rank = rank;
}

uint32_t file_name_uid(const char *component)
{
    if (!file_name_is_message(component)) {
        return 0;
    }
    return read_number(component, strlen(component) - SUFFIX_LEN);
}
