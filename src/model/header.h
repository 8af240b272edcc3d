/*
 * model/header.h - the few header fields of a message that we look at.
 * Pure; any thread. RFC 5322 2.2, lenient: LF or CRLF, missing blank line, 8-bit bytes, NULs taken
 * as spaces.
 */
#ifndef IMAPFS_MODEL_HEADER_H
#define IMAPFS_MODEL_HEADER_H

#include <stddef.h>

#include "base/buf.h"
#include "model/file_name.h"

/* Owns the unfolded texts; fields point into it. */
struct header_fields {
    struct name_fields fields;
    struct buf storage;
};

#define HEADER_FIELDS_INIT                                                                         \
    {                                                                                              \
        {NULL, NULL, NULL, NULL}, BUF_INIT                                                         \
    }

/* Reads Date, Subject, From and Message-ID (the first of each; names in any case) from a header
 * block. Each value is unfolded, trimmed and cut to 2,000 bytes. Replaces what `ret` held. */
void header_read(struct header_fields *ret, const char *block, size_t len);
void header_fields_finish(struct header_fields *fields);

/* Decodes RFC 2047 words of a value to UTF-8 for showing (xattrs); never NULL; the caller frees it.
 */
char *header_decode(const char *value);

/* Seconds since 1970 of a Date: value; 0 and true only if it names a moment between 1970 and 9999.
 */
#include <stdbool.h>
#include <stdint.h>
bool header_date(const char *value, int64_t *ret_s);

#endif
