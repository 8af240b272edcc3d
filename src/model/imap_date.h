/*
 * model/imap_date.h - INTERNALDATE's "17-Jul-1996 02:44:25 -0700" (RFC 9051 `date-time`). Pure; any
 * thread.
 */
#ifndef IMAPFS_MODEL_IMAP_DATE_H
#define IMAPFS_MODEL_IMAP_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True and seconds since 1970 (clamped to 0 .. 2^38-1) if the text is a real date; leap seconds and
 * " 1-" days are. */
bool imap_date_read(const char *text, size_t len, int64_t *ret_s);

#endif
