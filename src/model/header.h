/*
 * model/header.h - the few header fields of a message that we look at.
 * Pure; any thread; main has called g_mime_init(). RFC 5322 2.2, lenient: LF or CRLF, a missing
 * blank line, 8-bit bytes, spaces before the colon; line breaks inside a value, tabs and NULs
 * become spaces.
 */
#ifndef IMAPFS_MODEL_HEADER_H
#define IMAPFS_MODEL_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/file_name.h"

/* What is kept of a value, in bytes: no sound field of these is longer, and decoders never see
 * more. */
enum { HEADER_VALUE_MAX = 2000 };

/* Owns the unfolded texts; fields point into it. */
struct header_fields {
    struct name_fields fields;
    struct buf storage;
};

#define HEADER_FIELDS_INIT                                                                         \
    {                                                                                              \
        {NULL, NULL, NULL, NULL}, BUF_INIT                                                         \
    }

/*
 * Reads Date, Subject, From and Message-ID (the first of each; names in any case) from a header
 * block, up to its first empty line. Each value is unfolded, trimmed and cut to HEADER_VALUE_MAX
 * bytes. What is no field is skipped. Linear in `len`. Replaces what `ret` held.
 */
void header_read(struct header_fields *ret, const char *block, size_t len);
void header_fields_finish(struct header_fields *fields);

/*
 * Decodes the RFC 2047 words of a value for showing: UTF-8 without what text_is_unprintable()
 * names, whatever came in. Looks at HEADER_VALUE_MAX bytes. Never NULL; the caller frees it with
 * free().
 */
char *header_decode(const char *value) MUST_USE;

/* Seconds since 1970 of a Date: value, and true, only if it names a moment from 1970 to 9999. */
bool header_date(const char *value, int64_t *ret_s);

static inline void cleanup_header_fields(struct header_fields *fields)
{
    header_fields_finish(fields);
}

#endif
