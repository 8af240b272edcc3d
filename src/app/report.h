/*
 * app/report.h - the state of the mount as text for people and as JSON for programs. Any thread;
 * waits for this disk only.
 */
#ifndef IMAPFS_APP_REPORT_H
#define IMAPFS_APP_REPORT_H

#include "base/cleanup.h"
#include "engine/engine.h"

struct report_facts {
    struct engine *engine; /* borrowed */
    const char *account;   /* source_display's text, borrowed */
};

/* The caller frees the texts. Each ends with a newline, and may be empty for errors. */
char *report_status(const struct report_facts *facts) MUST_USE;
char *report_status_json(const struct report_facts *facts) MUST_USE;
char *report_errors(const struct report_facts *facts) MUST_USE;

#endif
