/*
 * model/file_name.h - the file name of a message: a pure function of the message, frozen once
 * released.
 *
 * `2002-08-22.Re-New-Sequences-Window.k3f9q2.eml`: the date of the Date: header in UTC (else of
 * INTERNALDATE), a slug of the decoded subject (letters, marks and digits of any script in NFC,
 * every other run one '-', at most 100 bytes cut at a character, trimmed of '-'), and six base32
 * characters (a-z2-7) of SHA-256 over the Message-ID (else Date, From and Subject) and the size.
 * Pure; any thread.
 */
#ifndef IMAPFS_MODEL_FILE_NAME_H
#define IMAPFS_MODEL_FILE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"

enum { FILE_NAME_MAX = 255 };

/* The header fields a name is made of: raw, unfolded, borrowed; NULL where the message has none. */
struct name_fields {
    const char *date;
    const char *subject;
    const char *from;
    const char *message_id;
};

/* The name without a duplicate's mark. `size_bytes` is RFC822.SIZE as the server listed it. */
void file_name_make(struct buf *ret_name, const struct name_fields *fields, int64_t internaldate_s,
    int64_t size_bytes);

/* The same with "~<rank>" before ".eml" for rank >= 2: how the exact duplicates of one mailbox are
 * told apart. */
void file_name_ranked(struct buf *ret_name, const char *name, uint32_t rank);

/* Splits "x~3.eml" into "x.eml" and 3; a name without a mark (or with ~0, ~1, ~01) has rank 1 and
 * is returned whole. */
void file_name_split(struct buf *ret_name, uint32_t *ret_rank, const char *ranked);

/* Whether a component ends in ".eml". */
bool file_name_is_message(const char *component);

/* "1042.eml" -> 1042, the names of `.uid/`; 0 if it is none (leading zeros, 0 and numbers over 32
 * bits are none). */
uint32_t file_name_uid(const char *component);

#endif
