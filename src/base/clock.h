/*
 * base/clock.h - time that only goes forward, deadlines, and the calendar's time.
 * Any thread; nothing waits.
 */
#ifndef IMAPFS_BASE_CLOCK_H
#define IMAPFS_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds since some fixed moment, not stopped by suspend (CLOCK_BOOTTIME): what deadlines are
 * made of. */
int64_t clock_now_ms(void);
/* Seconds since 1970: only for showing to people and for dates of mail. */
int64_t clock_wall_s(void);

#define DEADLINE_NEVER INT64_MAX
/* The moment `wait_ms` from now; DEADLINE_NEVER if that is beyond all numbers, now for a negative
 * wait. */
int64_t deadline_in(int64_t wait_ms);
/* Milliseconds left: 0 when passed, INT64_MAX for DEADLINE_NEVER. */
int64_t deadline_left_ms(int64_t deadline_ms);
/* The same for poll(2): 0 when passed, -1 for DEADLINE_NEVER, at most INT_MAX. */
int deadline_poll_ms(int64_t deadline_ms);

#endif
