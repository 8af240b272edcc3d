#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* Cleaning makes at most three bytes one, so a text of this length fills err.text and its own cut
 * never shows. */
enum { DRAFT_SIZE = 3 * sizeof((struct err *)NULL)->text + 8 };

int err_set(struct err *why, enum err_class class, int errnum, const char *fmt, ...)
{
    if (why == NULL) {
        return -errnum;
    }
    char draft[DRAFT_SIZE]; /* the arguments may point into `why` */
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(draft, sizeof draft, fmt, args);
    va_end(args);
    size_t draft_len = len < 0 ? 0 : strlen(draft);
    why->class = class;
    why->errnum = errnum;
    (void)text_clean(
        why->text, sizeof why->text, draft, draft_len); /* what is beyond the text is left out */
    return -errnum;
}

int err_errno(enum err_class class)
{
    switch (class) {
    case ERR_NONE:
        return 0;
    case ERR_RETRY:
        return EHOSTDOWN;
    case ERR_AUTH:
        return EACCES;
    case ERR_GONE:
    case ERR_CONFLICT:
        return ESTALE;
    case ERR_HOSTILE:
        return EPROTO;
    case ERR_CANCELLED:
        return EINTR;
    case ERR_REFUSED:
    case ERR_LOCAL:
    case ERR_BUG:
        return EIO;
    }
    return EIO;
}

const char *err_class_name(enum err_class class)
{
    switch (class) {
    case ERR_NONE:
        return "none";
    case ERR_RETRY:
        return "retry";
    case ERR_AUTH:
        return "auth";
    case ERR_GONE:
        return "gone";
    case ERR_REFUSED:
        return "refused";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_HOSTILE:
        return "hostile";
    case ERR_CANCELLED:
        return "cancelled";
    case ERR_LOCAL:
        return "local";
    case ERR_BUG:
        return "bug";
    }
    return "unknown";
}
