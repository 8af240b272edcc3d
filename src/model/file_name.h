/*
 * model/file_name.h - the file name of a message: a pure function of the message, frozen once
 * released.
 *
 * `2002-08-22.Re-New-Sequences-Window.k3f9q2.eml` is
 *  - the day of the Date: header in UTC; where that names no moment from 1970 to 9999, of
 * INTERNALDATE;
 *  - a slug of the decoded subject in NFC: letters and decimal digits of any script, and marks that
 *    follow one of these; every run of anything else (also of characters that no font shows) is one
 *    '-'; at most 100 bytes, cut at a character, no '-' at either end; `no-subject` if nothing is
 * left;
 *  - six base32 characters (a-z2-7), the first 30 bits of SHA-256 over "Message-ID LF size LF", or
 *    without Message-ID over "Date LF From LF Subject LF size LF": the raw values, the size in
 * decimal. No locale has a say. Pure; any thread; main has called g_mime_init().
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

/* The name without a duplicate's mark, at most 128 bytes. `size_bytes` is RFC822.SIZE as the server
 * listed it. */
void file_name_make(struct buf *ret_name, const struct name_fields *fields, int64_t internaldate_s,
    int64_t size_bytes);

/* The same with "~<rank>" before ".eml" for rank >= 2: how the exact duplicates of one mailbox are
 * told apart. */
void file_name_ranked(struct buf *ret_name, const char *name, uint32_t rank);

/* The reverse: splits "x~3.eml" into "x.eml" and 3; a name without a mark (or with ~0, ~1, ~01) has
 * rank 1 and is returned whole. */
void file_name_split(struct buf *ret_name, uint32_t *ret_rank, const char *ranked);

/* Whether a component ends in ".eml". */
bool file_name_is_message(const char *component);

/* "1042.eml" -> 1042, the names of `.uid/`; 0 if it is none (leading zeros, 0 and numbers over 32
 * bits are none). */
uint32_t file_name_uid(const char *component);

#endif
